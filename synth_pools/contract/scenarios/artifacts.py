"""Scenarios of artifacts: the entries of a container's answer, described and downloaded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from synth_pools.contract.harness.context import Context, Judge
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import Rollout, ids_of, run_rollout
from synth_pools.contract.http.client import at

_ONE = "get_global_rollout_artifact"
_LISTS = ("get_rollout_artifacts", "get_global_rollout_artifacts")
_INLINE = 4096
_KNOWN = 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """Entry of a container's answer, with its name and its bytes."""

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
            "artifact_type": "report",
        },
        "b.txt",
        "Grüße\n".encode(),
    ),
    _Entry(
        {"path": "logs/a.bin", "content": base64.b64encode(_BYTES).decode(), "encoding": "base64"},
        "logs/a.bin",
        _BYTES,
    ),
    _Entry({"name": "b.txt", "content": {"k": [1, "x"]}}, "b.txt", b'{"k": [1, "x"]}'),
    _Entry({"metadata": {"name": "../../up.txt"}, "content": "up"}, "../../up.txt", b"up"),
    _Entry({"artifact_name": "/abs/x", "content": "abs"}, "/abs/x", b"abs"),
    _Entry({"name": "large.txt", "content": "y" * (_INLINE + 1)}, "large.txt", b"y" * 4097),
    _Entry({"name": "whole.txt", "content": "y" * _INLINE}, "whole.txt", b"y" * _INLINE),
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
    """Run a rollout whose container answers with all entries; return it and the answer."""
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
        Artifact.content_type#07bb#6019, Artifact.artifact_type#f583, Artifact.path#4f55,
        Artifact#1e33#ac9b, Artifact.size_bytes#b6bf
    """,
    needs="containers",
)
def artifacts_described(ctx: Context) -> None:
    for spelling in ("artifact", "artifacts"):
        rollout, _ = _ended(ctx, spelling)
        for operation, ids in readers(ctx, rollout, "ArtifactList"):
            response = ctx.require(200, operation, ids)
            items = response.list_at("items")
            judge = ctx.judge(operation, response)
            expected = [entry.name for entry in _ENTRIES]
            judge.equal("artifact_name, in order", expected, ids_of(items, "artifact_name"))
            if len(items) == len(_ENTRIES):
                _judge_items(judge, items)


_FIRST, _SECOND = ({"artifact_name": name, "content": name} for name in ("first", "second"))


@scenario("artifacts.either", *_LISTS, clauses="Artifact#ac9b", needs="containers")
def artifacts_either(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    for entries, expected in (
        ({"artifact": [_FIRST], "artifacts": [_SECOND]}, ["first"]),
        ({"artifact": None, "artifacts": [_SECOND, _FIRST]}, ["second", "first"]),
        ({"artifact": [], "artifacts": [_SECOND]}, []),
        ({"artifacts": _FIRST}, ["first"]),
    ):
        answer = {"status": "completed", "reward": 1.0, **entries}
        rollout = run_rollout(ctx, pool_id, env={"answer": answer})
        for operation, ids in readers(ctx, rollout, "ArtifactList"):
            response = ctx.require(200, operation, ids)
            names = ids_of(response.list_at("items"), "artifact_name")
            label = f"artifact_name of the artifacts in {sorted(entries)}"
            ctx.expect.equal(operation, label, expected, names, response)


@scenario(
    "artifacts.failed",
    *_LISTS,
    _ONE,
    "get_global_rollout_artifacts_zip",
    clauses="get_rollout_artifacts#d2e1, get_global_rollout_artifacts_zip#630e",
    needs="containers",
)
def artifacts_failed(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    second = {"path": "logs/second", "content": "second"}
    answer = {"status": "failed", "reward": 0, "artifact": [_FIRST, second]}
    rollout = run_rollout(ctx, pool_id, env={"answer": answer})
    path = second["path"]
    for operation, ids in readers(ctx, rollout, "ArtifactList"):
        response = ctx.require(200, operation, ids)
        names = ids_of(response.list_at("items"), "artifact_name")
        label = "artifact_name of the artifacts of a failed rollout"
        ctx.expect.equal(operation, label, ["first", "logs/second"], names, response)
        path = str(at(response.list_at("items"), -1, "path"))
    for download in offered(ctx, _ONE, "get_global_rollout_artifacts_zip"):
        ids = download.own_ids({**rollout.ids, "artifact_path": path})
        content = ctx.require(200, download.id, ids).exchange.response_body
        # Without these words in the archive it does not hold the file.
        word = b"second" if download.id == _ONE else path.encode()
        demand = f"the artifact {path} of a failed rollout"
        is_there = word in content
        ctx.judge(download.id).that(demand, is_there, f"{len(content)} bytes without it")


def _judge_items(judge: Judge, items: list[Any]) -> None:
    for place, (expected, item) in enumerate(zip(_ENTRIES, items, strict=True)):
        content_type = expected.entry.get("content_type", "application/octet-stream")
        for field, default in (
            ("metadata", {}),
            ("content_type", content_type),
            ("artifact_type", content_type),
        ):
            value = expected.entry.get(field, default)
            judge.equal(f"{field} of entry {place}", value, at(item, field))
        if isinstance(expected.entry["content"], str):
            digest, size = hashlib.sha256(expected.content).hexdigest(), len(expected.content)
            judge.equal(f"sha256 of entry {place}", digest, at(item, "sha256"))
            judge.equal(f"size_bytes of entry {place}", size, at(item, "size_bytes"))
    paths = [str(at(item, "path")) for item in items]
    unsafe = [path for path in paths if not _is_safe(path)]
    judge.that("paths that are safe to create below a folder", not unsafe, f"{unsafe}")
    is_unique = len(set(paths)) == len(paths)
    judge.that("paths that are unique in the rollout", is_unique, f"{paths}")


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
            result_entry |= {"content": None, "content_sha256": digest}
            result_entry["size_bytes"] = len(sent_entry.content)
    for operation, ids in readers(ctx, rollout, "Rollout"):
        response = ctx.require(200, operation, ids)
        for name, expected in {**answer, "artifact": entries}.items():
            ctx.judge(operation, response).field(f"result.{name}", expected)


@scenario(
    "artifacts.downloads",
    _ONE,
    _LISTS[1],
    clauses="""
        get_global_rollout_artifact#c2cb#8c1f#fbd4, Artifact.download_url#af21#b50d,
        parameters ArtifactPath#3236#71b9, Artifact#ac9b
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
    page = ctx.require(200, operation, rollout.global_ids)
    items = page.list_at("items")
    if len(items) != len(_ENTRIES):
        ctx.expect.inconclusive(_ONE, f"{len(items)} of {len(_ENTRIES)} artifacts are listed")
        return
    for place, (expected, item) in enumerate(zip(_ENTRIES, items, strict=True)):
        url = at(item, "download_url")
        path = urlsplit(url).path if isinstance(url, str) else ""
        _, _, artifact_path = path.partition(f"/v1/rollouts/{rollout.id}/artifacts/")
        ctx.judge(operation, page).that(
            f"download_url of entry {place} names an artifact", bool(artifact_path), str(url)
        )
        if not artifact_path:
            continue
        ids = {**rollout.global_ids, "artifact_path": unquote(artifact_path)}
        response = ctx.require(200, _ONE, ids)
        body = response.exchange.response_body
        has_dots = "%2E" in artifact_path.upper() or ".." in artifact_path
        if "%2F" in artifact_path.upper() and not has_dots:
            plain_url = ctx.session.http.url(f"/v1/rollouts/{rollout.id}/artifacts/", {}, None)
            plain_url += re.sub("%2F", "/", artifact_path, flags=re.IGNORECASE)
            slashed = ctx.raw("GET", plain_url, ctx.session.http.authorized(), None, _ONE)
            same = slashed.status == 200 and slashed.exchange.response_body == body
            demand = "a slash as it is leads to the same artifact"
            observed = f"{slashed.status}, {len(body)} bytes"
            ctx.judge(_ONE, slashed).that(demand, same, observed)
        is_text = isinstance(expected.entry["content"], str)
        same = body == expected.content if is_text else _parsed(body) == expected.entry["content"]
        demand = f"the bytes of entry {place}: {expected.content[:40]!r}"
        ctx.judge(_ONE, response).that(demand, same, repr(body[:40]))
        media = str(response.exchange.header("content-type")).partition(";")[0]
        ctx.expect.equal(_ONE, "Content-Type", "application/octet-stream", media, response)
    unknown = {**rollout.global_ids, "artifact_path": "no-such-artifact"}
    not_found = Status(404, "there is none", code="artifact_not_found")
    response = ctx.check(not_found, _ONE, unknown)
    if isinstance(response.at("error"), dict):
        existing = {at(item, "path") for item in items}
        paths = response.list_at("error", "details", "artifacts")
        is_met = 0 < len(paths) <= _KNOWN and set(paths) <= existing
        demand = f"details.artifacts: of {sorted(map(str, existing))}"
        observed = str(response.at("error", "details", "artifacts"))
        ctx.judge(_ONE, response).that(demand, is_met, observed)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


@scenario(
    "artifacts.many",
    *_LISTS,
    clauses="get_rollout_artifacts responses 200#9b19, ArtifactList#41ee",
    needs="containers",
)
def artifacts_many(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    for count in (0, 1, 11, 120):
        expected = [f"a{number}" for number in range(count)]
        entries = [{"artifact_name": name, "content": f"content of {name}"} for name in expected]
        answer = {"status": "completed", "reward": 1.0, "artifact": entries}
        rollout = run_rollout(ctx, pool_id, env={"answer": answer})
        for operation, ids in readers(ctx, rollout, "ArtifactList"):
            response = ctx.require(200, operation, ids)
            items, judge = response.list_at("items"), ctx.judge(operation, response)
            names = ids_of(items, "artifact_name")
            judge.equal("artifacts of many, in order,", expected, names)
            artifact_ids = set(map(str, ids_of(items, "artifact_id")))
            judge.equal("the number of artifact_ids", count, len(artifact_ids))
            judge.field("next_cursor", None)
