"""Checks of the client's methods for optional operations."""

from __future__ import annotations

import hashlib
from typing import Any

from synth_pools.contract.client.calls import call_method, expect_alike, expect_listed
from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.waits import Rollout, run_rollout, wait_for, wait_until_resumed
from synth_pools.contract.http.client import ABSENT, at


def check_optional_operations(ctx: Context, call: Any) -> None:
    """Check each offered operation under its full and its short name."""
    offers = ctx.session.offers
    pool_id = ctx.resources.pool("later")
    rollout = run_rollout(ctx, pool_id)
    if offers("validate"):
        _validation(ctx, call, pool_id)
    if offers("batch"):
        _batch(ctx, call, pool_id)
    if offers("replay"):
        _replay(ctx, call, rollout)
    if offers("artifact_downloads"):
        _downloads(ctx, call, rollout)
    if offers("support_bundle"):
        for name in ("get_global_rollout_support_bundle", "agent_rollouts.support_bundle"):
            _archive(ctx, call, "get_global_rollout_support_bundle", name, rollout)
    if offers("trajectories") and ctx.session.containers:
        _trajectory(ctx, call)
    if offers("pause"):
        _pause(ctx, call, pool_id)
    if offers("pool_events") and offers("event_pages"):
        _pool_events(ctx, call, pool_id)
    if offers("pool_logs"):
        raw = ctx.require(200, "get_pool_logs", {"pool_id": pool_id}, query={"limit": 1000})
        for name in ("get_pool_logs", "logs"):
            actual = call_method(ctx, call, "get_pool_logs", name, pool_id)
            expect_alike(ctx, "get_pool_logs", name, raw, raw.at("lines"), at(actual, "lines"))
    if offers("runs"):
        _runs(ctx, call, pool_id)
    if offers("query"):
        sql = "SELECT COUNT(*) AS rollouts FROM rollouts WHERE id = 'none'"
        raw = ctx.require(200, "run_query", json={"sql": sql})
        actual = call_method(ctx, call, "run_query", "run_query", sql)
        expect_alike(ctx, "run_query", "run_query", raw, raw.json, actual)
    if offers("image_releases"):
        _image_releases(ctx, call, pool_id)


def _runs(ctx: Context, call: Any, pool_id: str) -> None:
    for number, (read, listed, delete) in enumerate(
        (("get_run", "list_runs", "delete_run"), ("runs.get", "runs.list", "runs.delete"))
    ):
        name = f"client {number} {pool_id}"[:128]
        run_rollout(ctx, pool_id, run=name)
        raw = ctx.require(200, "get_run", {"run": name})
        actual = call_method(ctx, call, "get_run", read, name)
        expect_alike(ctx, "get_run", read, raw, raw.json, actual)
        short = {key: raw.json[key] for key in raw.json if key != "configuration"}
        expect_listed(ctx, call, listed, "list_runs", {}, ("name", name))
        ctx.session.collector.forget_run(name)
        actual = call_method(ctx, call, "delete_run", delete, name)
        ctx.check(404, "get_run", {"run": name})
        expect_alike(ctx, "delete_run", delete, raw, short, actual)


def _validation(ctx: Context, call: Any, pool_id: str) -> None:
    for body in ({**ctx.session.rollout_body(), "pool_id": pool_id}, {"no_such_key": 1}):
        raw = ctx.require(200, "validate_rollout", json=body)
        for name in ("validate_rollout", "agent_rollouts.validate"):
            actual = call_method(ctx, call, "validate_rollout", name, body)
            expect_alike(ctx, "validate_rollout", name, raw, raw.json, actual)


def _batch(ctx: Context, call: Any, pool_id: str) -> None:
    operation = "create_rollout_batch"
    body = {"pool_id": pool_id, "rollouts": [ctx.session.rollout_body(), {"no_such_key": 1}]}
    for name in (operation, "agent_rollouts.create_batch"):
        actual = call_method(ctx, call, operation, name, body)
        rollout_id = at(actual, "items", 0, "rollout", "rollout_id")
        if isinstance(rollout_id, str):
            ids = {"pool_id": pool_id, "rollout_id": rollout_id}
            read = ctx.require(200, "get_rollout", ids)
            part = at(actual, "items", 0, "rollout", "request")
            expect_alike(ctx, operation, name, read, read.at("request"), part)
        raw = ctx.require(200, operation, json=body)
        for field in ("status", "rollout", "error"):
            expected = _without_request_id(raw.at("items", 1, field))
            part = _without_request_id(at(actual, "items", 1, field))
            expect_alike(ctx, operation, name, raw, expected, ABSENT if actual is ABSENT else part)


def _trajectory(ctx: Context, call: Any) -> None:
    operation = "get_global_rollout_trajectory"
    step = {"step_id": 1, "source": "user", "message": "Go."}
    trajectory = {"agent": {"name": "kit", "version": "1"}, "steps": [step]}
    answer = {"status": "completed", "trajectory": trajectory}
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    rollout = run_rollout(ctx, pool_id, env={"answer": answer})
    for query in ({}, {"step": "1"}, {"step": "2.."}):
        raw = ctx.require(200, operation, rollout.global_ids, query=query)
        for name in (operation, "agent_rollouts.trajectory"):
            actual = call_method(ctx, call, operation, name, rollout.id, **query)
            expect_alike(ctx, operation, name, raw, raw.json, actual)


def _without_request_id(error: Any) -> Any:
    if not isinstance(error, dict):
        return error
    return {name: value for name, value in error.items() if name != "request_id"}


def _replay(ctx: Context, call: Any, rollout: Rollout) -> None:
    for name in ("replay_rollout", "agent_rollouts.replay"):
        actual = call_method(ctx, call, "replay_rollout", name, rollout.id)
        rollout_id = at(actual, "rollout_id")
        if isinstance(rollout_id, str):
            read = wait_for(ctx, Rollout(rollout.pool_id, rollout_id), FINAL)
            for field in ("request", "replay_of", "pool_id"):
                expect_alike(ctx, "replay_rollout", name, read, read.at(field), at(actual, field))


def _downloads(ctx: Context, call: Any, rollout: Rollout) -> None:
    operation = "get_global_rollout_artifact"
    page = ctx.require(200, "get_global_rollout_artifacts", rollout.global_ids)
    items = page.at("items")
    for item in items[:1] if isinstance(items, list) else ():
        path, expected = str(at(item, "path")), at(item, "sha256")
        for name in (operation, "agent_rollouts.artifact"):
            actual = call_method(ctx, call, operation, name, rollout.id, path)
            expect_alike(ctx, operation, name, page, expected, _digest(actual))
    operation = "get_global_rollout_artifacts_zip"
    for name in (operation, "agent_rollouts.artifacts_zip"):
        _archive(ctx, call, operation, name, rollout)


def _archive(ctx: Context, call: Any, operation: str, name: str, rollout: Rollout) -> None:
    actual = call_method(ctx, call, operation, name, rollout.id)
    if actual is not ABSENT:
        expectation = Expectation(operation, f"{name} of the client answers an archive", None)
        is_archive = isinstance(actual, bytes) and actual.startswith(b"PK")
        ctx.expect.that(expectation, is_archive, repr(actual)[:80])


def _digest(content: Any) -> Any:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else content


def _pause(ctx: Context, call: Any, pool_id: str) -> None:
    path = {"pool_id": pool_id}
    for short in (False, True):
        for operation in ("pause_pool", "resume_pool"):
            name = operation.removesuffix("_pool") if short else operation
            actual = call_method(ctx, call, operation, name, pool_id)
            read = ctx.require(200, "get_pool", path)
            if operation == "pause_pool":
                expect_alike(ctx, operation, name, read, read.json, actual)
            else:
                wait_until_resumed(ctx, pool_id, read)
                expect_alike(
                    ctx, operation, name, read, read.at("metadata"), at(actual, "metadata")
                )


def _pool_events(ctx: Context, call: Any, pool_id: str) -> None:
    operation = "stream_pool_events"
    query = {"format": "json", "limit": 200}
    raw = ctx.require(200, operation, {"pool_id": pool_id}, query=query)
    for name in ("get_pool_event_page", "event_page"):
        actual = call_method(ctx, call, operation, name, pool_id)
        expect_alike(ctx, operation, name, raw, raw.at("events"), at(actual, "events"))


def _image_releases(ctx: Context, call: Any, pool_id: str) -> None:
    image = ctx.session.options.image or {"image": f"kit.invalid/none@sha256:{'0' * 64}"}
    body = {"source_kind": "image_ref", "image_ref": image["image"]}
    raw = ctx.call("create_image_release", {"pool_id": pool_id}, json=body)
    if raw.at("error", "code") == "image_unavailable":
        return
    created = call_method(ctx, call, "create_image_release", "create_image_release", pool_id, body)
    release_id = at(created, "release_id")
    if not isinstance(release_id, str):
        return
    pool = {"pool_id": pool_id}
    release = {**pool, "release_id": release_id}
    for name, ids in (("list_image_releases", pool), ("get_image_release", release)):
        raw = ctx.require(200, name, ids)
        actual = call_method(ctx, call, name, name, *ids.values())
        expect_alike(ctx, name, name, raw, raw.json, actual)
    name = "delete_image_release"
    actual = call_method(ctx, call, name, name, pool_id, release_id)
    ctx.check(404, "get_image_release", release)
    expectation = Expectation(name, "the release that is gone", None)
    ctx.expect.that(expectation, at(actual, "release_id") == release_id, repr(actual)[:80])
