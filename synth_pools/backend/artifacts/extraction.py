"""Extraction of artifacts from a container's answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from synth_pools.backend.artifacts.safe_paths import safe_paths
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.clock import now
from synth_pools.backend.domain.validation import trajectory_fault
from synth_pools.backend.limits import Limits
from synth_pools.backend.storage.artifacts import ContentRow
from synth_pools.backend.storage.contents.store import Content

# Largest content that stays in the rollout's result, and is served from there.
LARGEST_IN_RESULT = 4096

_SHOWN = 500

# Marks, in the database only, an item whose content is a file.
IN_FILE = "in_file"
# Marks, there too, the trajectory of the rollout; the value is what is wrong with it, or None.
TRAJECTORY = "trajectory"


class UnusableArtifactsError(Exception):
    """The answer has artifacts that are too many, too large, or of another form."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ExtractedArtifacts(NamedTuple):
    """Artifacts of an answer, and the answer without their large contents."""

    # Descriptions in the order of the answer.
    items: list[dict[str, Any]]
    # The original document if nothing in it was replaced.
    document: dict[str, Any]
    contents: list[Content]

    def rows(self) -> list[ContentRow]:
        """Build the database rows of the contents that are files."""
        return [
            ContentRow(position, item["sha256"], item["size_bytes"])
            for position, item in enumerate(self.items)
            if IN_FILE in item
        ]


def extract(
    document: dict[str, Any], limits: Limits, *, is_strict: bool = False
) -> ExtractedArtifacts:
    """Describe the artifacts and move the large contents out of the document.

    Args:
        document: The container's answer.
        limits: The largest number and size of artifacts.
        is_strict: Whether to refuse artifacts that are no objects, and contents that are no base64.

    Returns:
        The descriptions, the remaining document, and the contents to be stored as files.

    Raises:
        UnusableArtifactsError: There are too many, one is too large, or, if `is_strict`, one has
            another form.
    """
    if is_strict:
        _check_objects(document)
    descriptions = artifacts_of(document)
    if len(descriptions) > limits.max_artifacts:
        raise _too_many(len(descriptions), limits.max_artifacts)
    trajectory, problem = trajectory_of(document), None
    if trajectory is not None:
        problem = trajectory_fault(document["trajectory"])
        if problem is not None:
            trajectory["metadata"] = {"problem": problem}
        descriptions.append(trajectory)
    if not descriptions:
        return ExtractedArtifacts([], document, [])
    paths = safe_paths(_name(item, number) for number, item in enumerate(descriptions, 1))
    moment = now()
    items: list[dict[str, Any]] = []
    contents: list[Content] = []
    stubs: dict[int, dict[str, Any]] = {}
    for number, (description, path) in enumerate(zip(descriptions, paths, strict=True), 1):
        name = _name(description, number)
        try:
            data = content_bytes(description, is_strict=is_strict)
        except ValueError:
            raise _unusable(f"{_field(document, description)}.content", "no base64") from None
        if len(data) > limits.max_artifact_bytes:
            raise _too_large(name, len(data), limits.max_artifact_bytes)
        item = _item(description, name, path, data)
        item["created_at"] = moment
        if description is trajectory:
            item[TRAJECTORY] = problem
        if len(data) > LARGEST_IN_RESULT:
            item[IN_FILE] = True
            contents.append(Content(item["sha256"], data))
            stubs[id(description)] = {
                **description,
                "content": None,
                "content_sha256": item["sha256"],
                "size_bytes": len(data),
            }
        items.append(item)
    if trajectory is not None and (stub := stubs.pop(id(trajectory), None)) is not None:
        document = {**document, "trajectory": stub}
    return ExtractedArtifacts(items, _with(document, stubs) if stubs else document, contents)


def _check_objects(document: Mapping[str, Any]) -> None:
    artifacts = document.get(_key(document))
    items = artifacts if isinstance(artifacts, list) else [artifacts]
    for item in items:
        if item is not None and not isinstance(item, dict):
            raise _unusable(_field(document, item), "no object")


def _field(document: Mapping[str, Any], artifact: Any) -> str:
    key = _key(document)
    artifacts = document[key]
    if not isinstance(artifacts, list):
        return key
    number = next(number for number, item in enumerate(artifacts) if item is artifact)
    return f"{key}[{number}]"


def _unusable(field: str, problem: str) -> UnusableArtifactsError:
    message = f"The container answered {problem} as {field}."
    return UnusableArtifactsError(message, {"field": field})


def _too_many(number: int, most: int) -> UnusableArtifactsError:
    return UnusableArtifactsError(
        f"The container left {number} artifacts, more than the {most} that this backend takes.",
        {"artifacts": number, "max_artifacts": most},
    )


def _too_large(name: str, size: int, most: int) -> UnusableArtifactsError:
    return UnusableArtifactsError(
        f"An artifact of the container has {size} bytes, more than the {most} that this backend"
        " takes.",
        {"artifact_name": name[:_SHOWN], "size_bytes": size, "max_artifact_bytes": most},
    )


def artifacts_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the artifacts of an answer as the container wrote them."""
    artifacts = document.get(_key(document))
    items = artifacts if isinstance(artifacts, list) else [artifacts]
    return [item for item in items if isinstance(item, dict)]


def trajectory_of(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the trajectory of an answer as an artifact behind the others; None without one."""
    if not isinstance(content := document.get("trajectory"), dict):
        return None
    return {
        "artifact_name": "trajectory.json",
        "artifact_type": "trajectory",
        "content_type": "application/json",
        "content": content,
    }


def content_bytes(item: Mapping[str, Any], *, is_strict: bool = False) -> bytes:
    """Decode an artifact's content: as base64 if it says so, else unchanged.

    Raises:
        ValueError: It is no base64, and `is_strict` is set; otherwise the text is the content.
    """
    content = item.get("content")
    if isinstance(content, str) and _text(item, "content_encoding", "encoding") == "base64":
        try:
            return base64.b64decode("".join(content.split()), validate=True)
        except ValueError:
            if is_strict:
                raise
    return plain_bytes(content)


def plain_bytes(content: Any) -> bytes:
    """Encode content as it is: text in UTF-8, another value as JSON text."""
    if content is None:
        return b""
    if isinstance(content, str):
        # A lone surrogate is a valid JSON character that UTF-8 cannot encode.
        return content.encode("utf-8", "surrogatepass")
    return json_text.dumps(content).encode("ascii")


def _key(document: Mapping[str, Any]) -> str:
    return "artifacts" if document.get("artifact") is None else "artifact"


def _item(description: Mapping[str, Any], name: str, path: str, data: bytes) -> dict[str, Any]:
    content_type = _text(description, "content_type", "media_type") or "application/octet-stream"
    kind = _text(description, "artifact_type", "kind", "type") or content_type
    metadata = description.get("metadata")
    return {
        "artifact_id": clock.new_id("artifact"),
        "artifact_type": kind,
        "kind": kind,
        "artifact_name": name,
        "path": path,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "content_type": content_type,
        "created_at": None,
        "download_url": None,
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


def _with(document: dict[str, Any], stubs: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Copy the document with replaced artifacts, found by identity, since two may be equal."""
    key = _key(document)
    value = document[key]
    if not isinstance(value, list):
        return {**document, key: stubs[id(value)]}
    return {**document, key: [stubs.get(id(item), item) for item in value]}


def _name(item: Mapping[str, Any], number: int) -> str:
    metadata = item.get("metadata")
    name = _text(metadata, "name") if isinstance(metadata, dict) else None
    return _text(item, "artifact_name", "path", "name") or name or f"artifact-{number}"


def _text(item: Mapping[str, Any], *names: str) -> str | None:
    return next(_texts(item, names), None)


def _texts(item: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = item.get(name)
        if isinstance(value, str) and value:
            yield value
