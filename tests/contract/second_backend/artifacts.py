"""Artifacts: files from a container, stored beside their rollout."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import re
import secrets
import zipfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from tests.contract.second_backend.problems import Problem
from tests.contract.second_backend.rules import Rules

_INLINE = 4096
_LONGEST_NAME = 100
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\ud800-\udfff]')
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$", re.IGNORECASE)
_SECRET_NAMES = re.compile(r"(?i)key|token|secret|password|passwd|authorization|credential|cookie")
_SECRET_TEXTS = re.compile(
    r"(?i)bearer [\w.~+/=-]+|\bsk-[\w-]{8,}|\bgh[pousr]_\w{8,}|\bAKIA\w{12,}|eyJ[\w-]{8,}\.[\w.-]+"
)
_NOT_SECRET_NAMES = {"container_key_env", "llm_input_tokens", "llm_output_tokens"}


@dataclass(frozen=True)
class Artifact:
    id: str
    name: str
    path: str
    kind: str
    content_type: str
    content: bytes
    created_at: str | None
    metadata: dict[str, Any]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def shown(self, base: str, rollout_id: str, keeps: Rules) -> dict[str, Any]:
        at = self.path if keeps("artifacts.url") else f"{self.path}-"
        return {
            "artifact_id": self.id,
            "artifact_type": self.kind,
            "kind": self.kind if keeps("artifacts.kind") else "",
            "artifact_name": self.name if keeps("artifacts.name") else self.path,
            "path": self.path,
            "size_bytes": len(self.content) if keeps("artifacts.size") else 0,
            "sha256": self.sha256 if keeps("artifacts.sha256") else "0" * 64,
            "content_type": self.content_type,
            "created_at": self.created_at,
            "download_url": f"{base}/v1/rollouts/{quote(rollout_id, safe='')}"
            f"/artifacts/{quote(at, safe='')}",
            "metadata": self.metadata if keeps("artifacts.metadata") else {},
        }


def take_artifacts(result: dict[str, Any], now: str | None, keeps: Rules) -> list[Artifact]:
    """Store the artifacts of a container's answer; remove large contents from the answer."""
    entries = result.get("artifact")
    if entries is None or (not entries and not keeps("artifacts.empty_counts")):
        entries = result.get("artifacts")
    artifacts: list[Artifact] = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict):
            continue
        content = _content(entry, keeps)
        metadata = entry.get("metadata")
        name = _first_text(entry, "artifact_name", "path", "name")
        if name is None and isinstance(metadata, dict):
            name = _first_text(metadata, "name")
        name = name or f"artifact-{len(artifacts) + 1}"
        content_type = _first_text(entry, "content_type", "media_type", "mime_type")
        content_type = content_type or "application/octet-stream"
        paths = [artifact.path for artifact in artifacts]
        artifacts.append(
            Artifact(
                f"artifact_{secrets.token_hex(16)}",
                name,
                _safe_path(name, paths, keeps),
                _first_text(entry, "artifact_type", "kind", "type") or content_type,
                content_type,
                content,
                now,
                metadata if isinstance(metadata, dict) else {},
            )
        )
        if len(content) > _INLINE and keeps("artifacts.large_leave_result"):
            entry["content"] = None
            entry["content_sha256"] = artifacts[-1].sha256
            entry["size_bytes"] = len(content)
    return artifacts


def download(
    artifacts: list[Artifact], path: str, headers: dict[str, str], keeps: Rules
) -> Response:
    """Answer with the bytes of one artifact, or a part of them."""
    for artifact in artifacts:
        if path == artifact.path or (path == artifact.id and keeps("downloads.by_id")):
            return _content_response(artifact, headers, keeps)
    paths = [artifact.path for artifact in artifacts[:20]] if keeps("downloads.says_which") else []
    raise Problem("artifact_not_found", f"There is no artifact {path[:200]!r}.", artifacts=paths)


def _content_response(artifact: Artifact, headers: dict[str, str], keeps: Rules) -> Response:
    content, etag = artifact.content, f'"{artifact.sha256}"'
    header = headers.get("if-none-match", "")
    tags = [tag.strip() for tag in header.split(",")] if keeps("downloads.etag_lists") else [header]
    fields = {"ETag": etag if keeps("downloads.etag") else f'"{len(content)}"'}
    fields["Accept-Ranges"] = "bytes"
    weak = f"W/{etag}" if keeps("downloads.weak_etag") else etag
    if keeps("downloads.if_none_match") and any(tag in (etag, weak, "*") for tag in tags):
        return Response(status_code=304, headers=fields)
    byte_range = _RANGE.match(headers.get("range", "")) if keeps("downloads.range") else None
    if keeps("downloads.if_range") and headers.get("if-range", etag) != etag:
        byte_range = None
    media = "application/octet-stream" if keeps("downloads.octet_stream") else artifact.content_type
    part = _part(byte_range, len(content)) if byte_range else None
    if part is None:
        return Response(content, headers=fields, media_type=media)
    first, end = part
    if first >= end:
        if not keeps("downloads.unsatisfiable"):
            return Response(content, headers=fields, media_type=media)
        raise Problem(
            "range_not_satisfiable",
            f"The content has {len(content)} bytes; the range begins after them.",
            headers={"Content-Range": f"bytes */{len(content)}"},
        )
    content_range = f"bytes {first}-{end - 1}/{len(content)}"
    fields["Content-Range"] = content_range if keeps("downloads.content_range") else "bytes 0-0/*"
    return Response(content[first:end], status_code=206, headers=fields, media_type=media)


def _part(byte_range: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last; None for no range."""
    first, last = byte_range[1], byte_range[2]
    if first:
        if last and int(last) < int(first):
            return None
        return int(first), min(int(last) + 1 if last else size, size)
    if not last or (size == 0 and int(last)):
        return None
    return max(0, size - int(last)), size


def archive(files: dict[str, bytes]) -> Response:
    """A ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        for path, content in files.items():
            written.writestr(path, content)
    return Response(buffer.getvalue(), media_type="application/zip")


def support_bundle(parts: dict[str, Any], keeps: Rules) -> Response:
    """Build the archive of a rollout: JSON files without probable secrets."""
    return archive(
        {
            f"{name}.json": json.dumps(
                _without_secrets(part) if keeps("bundle.no_secrets") else part, indent=2
            ).encode()
            for name, part in parts.items()
        }
    )


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_secrets(inner)
            for name, inner in value.items()
            if name in _NOT_SECRET_NAMES or not _SECRET_NAMES.search(name)
        }
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return _SECRET_TEXTS.sub("***", value) if isinstance(value, str) else value


def is_decodable(entry: dict[str, Any]) -> bool:
    content = entry.get("content")
    encoding = entry.get("encoding") or entry.get("content_encoding")
    if encoding != "base64" or not isinstance(content, str):
        return True
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _content(entry: dict[str, Any], keeps: Rules) -> bytes:
    if "content" not in entry:
        return b""
    content = entry["content"]
    if not isinstance(content, str):
        return json.dumps(content).encode()
    encoding = entry.get("encoding") or entry.get("content_encoding")
    if encoding == "base64" and keeps("artifacts.base64"):
        try:
            return base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            pass
    return content.encode("utf-8", "replace")


def _safe_path(name: str, paths: list[str], keeps: Rules) -> str:
    parts = [_UNSAFE.sub("_", part).strip(" .") for part in re.split(r"[/\\]", name)]
    parts = [part[:_LONGEST_NAME] for part in parts if part][:8]
    path = "/".join(parts) or "artifact"
    if not keeps("artifacts.safe_path"):
        return name
    if not keeps("artifacts.unique_path"):
        return path
    number, unique = 1, path
    while any(_collide(unique.lower(), path.lower()) for path in paths):
        number += 1
        unique = f"{number}-{path}"
    return unique


def _collide(first: str, second: str) -> bool:
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


def _first_text(values: dict[str, Any], *names: str) -> str | None:
    for name in names:
        if isinstance(values.get(name), str) and values[name]:
            return str(values[name])
    return None
