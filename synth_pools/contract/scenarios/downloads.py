"""Scenarios of downloads: whole artifacts and parts of them, archives and support bundles."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import read_events
from synth_pools.contract.harness.waits import Rollout, ids_of, run_rollout, start_rollout
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.roles.reading import judge_part
from synth_pools.contract.rules.verdict import show

_ONE = "get_global_rollout_artifact"
_ALL = "get_global_rollout_artifacts_zip"
_BUNDLE = "get_global_rollout_support_bundle"
_LIST = "get_global_rollout_artifacts"
_TRAJECTORY = "get_global_rollout_trajectory"
_ARTIFACTS = [{"name": "b.txt", "content": "hello"}, {"name": "d/none.txt", "content": ""}]


def _described(ctx: Context, operation: str) -> tuple[Rollout, list[Any]]:
    """Run a rollout; return it and the descriptions of its artifacts."""
    containers = ctx.session.containers
    more = {"container_url": containers["good"]} if containers else {}
    answer = {"answer": {"status": "completed", "reward": 1.0, "artifact": _ARTIFACTS}}
    env = {"env": answer} if containers else {}
    rollout = run_rollout(ctx, ctx.resources.pool(**more), **env)
    items = ctx.require(200, _LIST, rollout.global_ids).list_at("items")
    if not items:
        ctx.expect.inconclusive(operation, "the rollout left no artifact behind")
    return rollout, items


@scenario(
    "downloads.content",
    _ONE,
    _LIST,
    clauses="""
        get_global_rollout_artifact#caef#c2cb, headers ETag#0aaa, Artifact.sha256#f482,
        parameters ArtifactPath#3236, Artifact.size_bytes#b6bf, Artifact.download_url#af21#b50d,
        Artifact.artifact_id#d636, ArtifactList.items#a1da, Features.artifact_downloads#bf23
    """,
    needs="artifact_downloads",
)
def downloads_content(ctx: Context) -> None:
    rollout, items = _described(ctx, _ONE)
    response = ctx.require(200, _LIST, rollout.global_ids)
    for item in items:
        for field in ("path", "artifact_id"):
            download = _get(ctx, 200, rollout, str(at(item, field)))
            judge = ctx.judge(_ONE, download)
            body = download.exchange.response_body
            digest = hashlib.sha256(body).hexdigest()
            judge.equal(f"the SHA-256, by {field},", at(item, "sha256"), digest)
            judge.equal("the length", at(item, "size_bytes"), len(body))
            judge.equal("ETag", f'"{digest}"', download.exchange.header("etag"))
        url = at(item, "download_url")
        is_met = isinstance(url, str) and url.startswith(("http://", "https://"))
        ctx.judge(_LIST, response).that(
            "download_url is where the content can be had", is_met, str(url)
        )
    if ctx.session.containers:
        sizes = [at(item, "size_bytes") for item in items]
        ctx.judge(_LIST, response).equal("size_bytes of hello, and of nothing", [5, 0], sizes)


@scenario(
    "downloads.range",
    _ONE,
    clauses="""
        get_global_rollout_artifact#8e6e, get_global_rollout_artifact responses 304#299d,
        get_global_rollout_artifact responses 206#2e93, responses RangeNotSatisfiable#29ac,
        parameters Range#5869, parameters IfRange#0ffd, parameters IfNoneMatch#83ab#9a02#73ee,
        headers ContentRange#8517, Errors#0f1d
    """,
    needs="artifact_downloads",
)
def downloads_range(ctx: Context) -> None:
    rollout, items = _described(ctx, _ONE)
    for item in items[:1]:
        path = str(at(item, "path"))
        full = _get(ctx, 200, rollout, path)
        content, etag = full.exchange.response_body, f'"{at(item, "sha256")}"'
        size = len(content)
        parts = (
            ("bytes=1-2", 1, 2),
            ("bytes=1-", 1, size - 1),
            ("bytes=-2", size - 2, size - 1),
            (f"bytes={size - 1}-{size + 99}", size - 1, size - 1),
            (f"bytes=-{size + 99}", 0, size - 1),
        )
        for range_header, first, last in parts:
            part = _get(ctx, 206, rollout, path, range=range_header)
            judge_part(ctx, _ONE, part, full, first, last)
        path_ids = {**rollout.global_ids, "artifact_path": path}
        beyond = {"range": f"bytes={size + 5}-"}
        ctx.check(Status(416, "it begins after the end"), _ONE, path_ids, headers=beyond)
        for ignored in (
            {"range": "lines=1-2"},
            {"range": "bytes=0-0,2-3"},
            {"range": "bytes=1-2", "if-range": '"other"'},
        ):
            response = _get(ctx, 200, rollout, path, **ignored)
            is_whole = response.exchange.response_body == content
            demand = f"the whole content: {ignored} does not count"
            ctx.judge(_ONE, response).that(demand, is_whole, "a part")
        _get(ctx, 206, rollout, path, **{"range": "bytes=1-2", "if-range": etag})
        not_modified = Status(304, "it is the same content")
        unchanged = ctx.check(not_modified, _ONE, path_ids, headers={"if-none-match": etag})
        length = len(unchanged.exchange.response_body)
        ctx.judge(_ONE, unchanged).equal("the body of 304", 0, length)
        for tags in (f'"other", {etag}', f"W/{etag}", "*"):
            headers = {"if-none-match": tags, "range": "bytes=1-2"}
            ctx.check(Status(304, f"If-None-Match is {tags}"), _ONE, path_ids, headers=headers)
        _get(ctx, 200, rollout, path, **{"if-none-match": '"other", "another"'})


def _get(ctx: Context, status: int, rollout: Rollout, path: str, **headers: str) -> Response:
    ids = {**rollout.global_ids, "artifact_path": path}
    return ctx.require(status, _ONE, ids, headers=headers)


@scenario(
    "downloads.unknown",
    _ONE,
    clauses="get_global_rollout_artifact#8c1f, Errors#0cb1",
    needs="artifact_downloads",
)
def downloads_unknown(ctx: Context) -> None:
    rollout, items = _described(ctx, _ONE)
    for path in ("no-such-artifact", "../../secret", ctx.resources.name()):
        ids = {**rollout.global_ids, "artifact_path": path}
        ctx.check(Status(404, "there is none", code="artifact_not_found"), _ONE, ids)
    other_rollout = run_rollout(ctx, ctx.resources.pool("other"))
    for item in items[:1]:
        ids = {**other_rollout.global_ids, "artifact_path": str(at(item, "artifact_id"))}
        ctx.check(Status(404, "it is of another rollout"), _ONE, ids)


@scenario(
    "downloads.archive",
    _ALL,
    clauses="get_global_rollout_artifacts_zip#630e#85e4, get_rollout_artifacts#e695",
    needs="artifact_downloads",
)
def downloads_archive(ctx: Context) -> None:
    rollout, items = _described(ctx, _ALL)
    response = ctx.require(200, _ALL, rollout.global_ids)
    files = _files(ctx, _ALL, response)
    expected = {str(at(item, "path")): at(item, "sha256") for item in items}
    actual = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    ctx.expect.equal(_ALL, "the SHA-256 of each file", expected, actual, response)
    live = ctx.session.live_pool_body("x", pool_id=(name := ctx.resources.name("live")), name=name)
    if live is not None:
        ctx.resources.create_pool(live)
        running = start_rollout(ctx, name, env={"delay": 600})
        empty = ctx.require(200, _ALL, running.global_ids)
        ctx.expect.equal(_ALL, "files before the end", [], sorted(_files(ctx, _ALL, empty)), empty)


@scenario(
    "downloads.bundle",
    _BUNDLE,
    clauses="get_global_rollout_support_bundle#1820#49f3#c145, Features.support_bundle#1074",
    needs="support_bundle",
)
def downloads_bundle(ctx: Context) -> None:
    secret = f"sk-{ctx.session.options.run_id * 6}"
    mark, pool_mark = ctx.resources.name("mark"), ctx.resources.name("pool-mark")
    pool_id = ctx.resources.pool(metadata={"mark": pool_mark})
    request = {"metadata": {"mark": mark}, "policy_config": {"api_key": secret}}
    rollout = run_rollout(ctx, pool_id, **request)
    version = ctx.require(200, "get_capabilities").at("version")
    response = ctx.require(200, _BUNDLE, rollout.global_ids)
    content = b"\n".join(_files(ctx, _BUNDLE, response).values())
    judge = ctx.judge(_BUNDLE, response)
    for label, text in (
        ("the rollout", rollout.id),
        ("its request", mark),
        ("its events", "rollout.queued"),
        ("its pool", pool_mark),
        # Older servers show no version.
        ("the versions of what ran it", version if isinstance(version, str) else ""),
    ):
        judge.that(f"{label}: {text}", text.encode() in content, "it is in none of the files")
    if ctx.session.echo and ctx.session.offers("event_pages"):
        long = run_rollout(ctx, ctx.resources.pool("long", container_url=None), env={"events": 120})
        page = read_events(ctx, "stream_global_rollout_events", long.global_ids, limit=1000)
        bundle = ctx.require(200, _BUNDLE, long.global_ids)
        files = b"\n".join(_files(ctx, _BUNDLE, bundle).values())
        missing = [
            name for name in ids_of(page.list_at("events")) if str(name).encode() not in files
        ]
        ctx.judge(_BUNDLE, bundle).that(
            "each of many events", not missing, f"without {missing[:3]}"
        )
    is_hidden = secret.encode() not in content
    judge.that("no secret of the request", is_hidden, "the api_key is in it")


@scenario(
    "downloads.trajectory",
    _TRAJECTORY,
    _LIST,
    clauses="""
        get_global_rollout_trajectory#9645#3f9c#5192,
        parameters Step#452b#6c0f#8afd, Features.trajectories#ff8e,
        Trajectory.schema_version#3227, Trajectory.agent#82e8, Trajectory.steps#d17f,
        Trajectory.final_metrics#d82c, TrajectoryStep.step_id#2643, TrajectoryStep.source#d7ad,
        TrajectoryStep.message#f2c1
    """,
    needs=("trajectories", "containers"),
)
def downloads_trajectory(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    sources = ("system", "user", "agent", "user")
    steps = [
        {"step_id": number, "source": source, "message": f"step {number}", "extra": {"n": number}}
        for number, source in enumerate(sources, 1)
    ]
    trajectory: dict[str, Any] = {
        "schema_version": "ATIF-v1.8",
        "agent": {"name": "kit", "version": "1", "extra": {"kit": True}},
        "final_metrics": {"total_steps": len(steps)},
        "extra": {"kit": [1]},
    }
    for status in ("completed", "failed"):
        answer = {"status": status, "reward": 1.0, "trajectory": {**trajectory, "steps": steps}}
        rollout = run_rollout(ctx, pool_id, env={"answer": answer})
        for step, expected in (
            (None, steps),
            ("2", steps[1:2]),
            ("2..3", steps[1:3]),
            ("3..", steps[2:]),
            ("..2", steps[:2]),
            ("9", []),
        ):
            query = None if step is None else {"step": step}
            response = ctx.require(200, _TRAJECTORY, rollout.global_ids, query=query)
            for field, value in (*trajectory.items(), ("steps", expected)):
                ctx.expect.equal(_TRAJECTORY, field, value, response.at(field), response)
        for step in ("0", "0..2", "..0", "3..2"):
            wrong = Status(422, f"there is no step {step}")
            ctx.check(wrong, _TRAJECTORY, rollout.global_ids, query={"step": step})
        listed = ctx.require(200, _LIST, rollout.global_ids)
        kinds = [at(item, "artifact_type") for item in listed.list_at("items")]
        is_listed = "trajectory" in kinds
        ctx.judge(_LIST, listed).that("the trajectory is an artifact", is_listed, show(kinds))
    for answered in ({}, {"trajectory": {**trajectory, "steps": steps[1:]}}):
        answer = {"status": "completed", "reward": 1.0, **answered}
        rollout = run_rollout(ctx, pool_id, env={"answer": answer})
        missing = Status(404, "it has none in ATIF", code="artifact_not_found")
        ctx.check(missing, _TRAJECTORY, rollout.global_ids)


def _files(ctx: Context, operation: str, response: Response) -> dict[str, bytes]:
    """Return the files of an archive by name; record a departure if it cannot be read."""
    files: dict[str, bytes] = {}
    trouble = ""
    try:
        with zipfile.ZipFile(io.BytesIO(response.exchange.response_body)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, RuntimeError, ValueError, OSError) as error:
        trouble = f"none: {error}"
    ctx.judge(operation, response).that("a ZIP archive", not trouble, trouble)
    return files
