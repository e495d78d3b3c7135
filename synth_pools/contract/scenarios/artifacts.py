"""Scenarios of artifacts: what becomes of each entry of a container's answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import Rollout, run_rollout
from synth_pools.contract.http.client import Response, at

_ONE = "get_global_rollout_artifact"
_LISTS = ("get_rollout_artifacts", "get_global_rollout_artifacts")
_INLINE = 4096
_KNOWN = 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a container's answer, the name in it, and the bytes that it stands for."""

    entry: dict[str, Any]
    name: str
    content: bytes


_BYTES = bytes(range(256))
_ENTRIES = (
    _Entry(
        {
            "artifact_name": "b.txt",
            "content": "Grüße\n",
            "metadata": {"n": [1, None]},
            "content_type": "text/html",
        },
        "b.txt",
        "Grüße\n".encode(),
    ),
    _Entry(
        {
            "path": "logs/a.bin",
            "content": base64.b64encode(_BYTES).decode(),
            "encoding": "base64",
        },
        "logs/a.bin",
        _BYTES,
    ),
    _Entry({"name": "b.txt", "content": {"k": [1, "x"]}}, "b.txt", b'{"k": [1, "x"]}'),
    _Entry({"metadata": {"name": "../../up.txt"}, "content": "up"}, "../../up.txt", b"up"),
    _Entry({"artifact_name": "/abs/x", "content": "abs"}, "/abs/x", b"abs"),
    _Entry({"name": "large.txt", "content": "y" * (_INLINE + 1)}, "large.txt", b"y" * 4097),
    _Entry(
        {
            "name": "a.bin",
            "content": base64.b64encode(b"\x00\xff").decode(),
            "content_encoding": "base64",
        },
        "a.bin",
        b"\x00\xff",
    ),
)


def _ended(ctx: Context, spelling: str) -> tuple[Rollout, dict[str, Any]]:
    """Run a rollout whose container answers all entries; return it and that answer."""
    answer = {
        "status": "completed",
        "success_status": "success",
        "summary": {"reward": 0.5},
        spelling: [artifact.entry for artifact in _ENTRIES],
    }
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    return run_rollout(ctx, pool_id, env={"answer": answer}), answer


@scenario(
    "artifacts.described",
    *_LISTS,
    clauses="""
        get_rollout_artifacts#a321, Artifact.artifact_name#e12d,
        get_rollout_artifacts responses 200#9b19, Artifact.metadata#e3b2,
        Artifact.content_type#56e7#6019, Artifact.path#4f55, Artifact#1e33#32d3,
        Artifact.size_bytes#b6bf
    """,
    needs="containers",
)
def artifacts_described(ctx: Context) -> None:
    for spelling in ("artifact", "artifacts"):
        rollout, _ = _ended(ctx, spelling)
        for operation, ids in readers(ctx, rollout, "ArtifactList"):
            response = ctx.require(200, operation, ids)
            listed_items = response.at("items")
            items = listed_items if isinstance(listed_items, list) else []
            names = [at(item, "artifact_name") for item in items]
            ctx.expect.equal(
                operation, "artifact_name, in order", [e.name for e in _ENTRIES], names, response
            )
            if len(items) == len(_ENTRIES):
                _judge_items(ctx, operation, items, response)


def _judge_items(ctx: Context, operation: str, items: list[Any], response: Response) -> None:
    for place, (expected, item) in enumerate(zip(_ENTRIES, items, strict=True)):
        for field in ("metadata", "content_type"):
            if field in expected.entry:
                ctx.expect.equal(
                    operation,
                    f"{field} of entry {place}",
                    expected.entry[field],
                    at(item, field),
                    response,
                )
        if isinstance(expected.entry["content"], str):
            digest = hashlib.sha256(expected.content).hexdigest()
            ctx.expect.equal(
                operation, f"sha256 of entry {place}", digest, at(item, "sha256"), response
            )
            ctx.expect.equal(
                operation,
                f"size_bytes of entry {place}",
                len(expected.content),
                at(item, "size_bytes"),
                response,
            )
    paths = [str(at(item, "path")) for item in items]
    unsafe = [path for path in paths if not _is_safe(path)]
    safe = Expectation(operation, "paths that are safe to create below a folder", response)
    ctx.expect.that(safe, not unsafe, f"{unsafe}")
    unique = Expectation(operation, "paths that are unique in the rollout", response)
    ctx.expect.that(unique, len(set(paths)) == len(paths), f"{paths}")


def _is_safe(path: str) -> bool:
    parts = re.split(r"[/\\]", path)
    return bool(path) and "\x00" not in path and not {"", ".", ".."} & set(parts)


@scenario(
    "artifacts.inline",
    "get_rollout",
    "get_global_rollout",
    clauses="Rollout.result#8f4d#83bb, Artifact.download_url#685d",
    needs="containers",
)
def artifacts_inline(ctx: Context) -> None:
    rollout, answer = _ended(ctx, "artifact")
    entries = [dict(item.entry) for item in _ENTRIES]
    for result_entry, sent_entry in zip(entries, _ENTRIES, strict=True):
        if len(sent_entry.content) > _INLINE:
            digest = hashlib.sha256(sent_entry.content).hexdigest()
            result_entry |= {
                "content": None,
                "content_sha256": digest,
                "size_bytes": len(sent_entry.content),
            }
    for operation, ids in (
        ("get_rollout", rollout.ids),
        ("get_global_rollout", rollout.global_ids),
    ):
        response = ctx.require(200, operation, ids)
        for name, expected in {**answer, "artifact": entries}.items():
            ctx.expect.equal(
                operation, f"result.{name}", expected, response.at("result", name), response
            )


@scenario(
    "artifacts.downloads",
    _ONE,
    _LISTS[1],
    clauses="""
        get_global_rollout_artifact#c2cb#8c1f#fbd4, Artifact.download_url#af21#b50d,
        parameters ArtifactPath#3236#71b9, Artifact#32d3
    """,
    needs="containers",
)
def artifacts_downloads(ctx: Context) -> None:
    absent = ctx.session.not_offered()
    if _ONE in absent:
        ctx.expect.inconclusive(_ONE, absent[_ONE])
        return
    rollout, _ = _ended(ctx, "artifact")
    operation = "get_global_rollout_artifacts"
    listed = ctx.require(200, operation, rollout.global_ids)
    listed_items = listed.at("items")
    items = listed_items if isinstance(listed_items, list) else []
    if len(items) != len(_ENTRIES):
        ctx.expect.inconclusive(_ONE, f"{len(items)} of {len(_ENTRIES)} artifacts are listed")
        return
    for place, (expected, item) in enumerate(zip(_ENTRIES, items, strict=True)):
        url = at(item, "download_url")
        path = urlsplit(url).path if isinstance(url, str) else ""
        _, _, artifact_path = path.partition(f"/v1/rollouts/{rollout.id}/artifacts/")
        ctx.expect.that(
            Expectation(operation, f"download_url of entry {place} names an artifact", listed),
            bool(artifact_path),
            str(url),
        )
        if not artifact_path:
            continue
        here = {**rollout.global_ids, "artifact_path": unquote(artifact_path)}
        response = ctx.require(200, _ONE, here)
        body = response.exchange.response_body
        if (
            "%2F" in artifact_path.upper()
            and "%2E" not in artifact_path.upper()
            and ".." not in artifact_path
        ):
            plain = ctx.session.http.url(f"/v1/rollouts/{rollout.id}/artifacts/", {}, None)
            plain += re.sub("%2F", "/", artifact_path, flags=re.IGNORECASE)
            slashed = ctx.raw("GET", plain, ctx.session.http.authorized(), None, _ONE)
            same = slashed.status == 200 and slashed.exchange.response_body == body
            demand = Expectation(_ONE, "a slash as it is leads to the same artifact", slashed)
            ctx.expect.that(demand, same, f"{slashed.status}, {len(body)} bytes")
        same = (
            body == expected.content
            if isinstance(expected.entry["content"], str)
            else _parsed(body) == expected.entry["content"]
        )
        ctx.expect.that(
            Expectation(_ONE, f"the bytes of entry {place}: {expected.content[:40]!r}", response),
            same,
            repr(body[:40]),
        )
        media = str(response.exchange.header("content-type")).partition(";")[0]
        ctx.expect.equal(_ONE, "Content-Type", "application/octet-stream", media, response)
    unknown_artifact = {**rollout.global_ids, "artifact_path": "no-such-artifact"}
    response = ctx.check(
        Status(404, "there is none", code="artifact_not_found"), _ONE, unknown_artifact
    )
    if isinstance(response.at("error"), dict):
        paths_named = response.at("error", "details", "artifacts")
        paths = {at(item, "path") for item in items}
        names_them = (
            isinstance(paths_named, list)
            and 0 < len(paths_named) <= _KNOWN
            and set(paths_named) <= paths
        )
        ctx.expect.that(
            Expectation(_ONE, f"details.artifacts: of {sorted(map(str, paths))}", response),
            names_them,
            str(paths_named),
        )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


@scenario(
    "artifacts.many",
    *_LISTS,
    clauses="get_rollout_artifacts responses 200#9b19, ArtifactList#8064",
    needs="containers",
)
def artifacts_many(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    for count in (0, 1, 11, 120):
        expected = [f"a{number}" for number in range(count)]
        sent = [{"artifact_name": name, "content": f"content of {name}"} for name in expected]
        answer = {"status": "completed", "reward": 1.0, "artifact": sent}
        rollout = run_rollout(ctx, pool_id, env={"answer": answer})
        for operation, ids in readers(ctx, rollout, "ArtifactList"):
            response = ctx.require(200, operation, ids)
            actual = [at(item, "artifact_name") for item in response.at("items") or []]
            ctx.expect.equal(operation, "artifacts of many, in order,", expected, actual, response)
            keys = {str(at(item, "artifact_id")) for item in response.at("items") or []}
            ctx.expect.equal(operation, "the number of artifact_ids", count, len(keys), response)
            ctx.expect.equal(operation, "next_cursor", None, response.at("next_cursor"), response)
