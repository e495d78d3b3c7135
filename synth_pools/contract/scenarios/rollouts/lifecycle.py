"""Scenarios of rollouts: the request, the ending, and the agreement of all accounts."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import USAGE, of_rollout, readers
from synth_pools.contract.harness.waits import (
    Rollout,
    eventually,
    ids_of,
    moment,
    rollout_id,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.selections import describes_rollout, shows

# Time stamps may be of whole seconds; where requests take long two clocks are read a while apart.
_ROUNDING = 1.5
_PARTS = {"ArtifactList": "artifacts", "RolloutUsage": "usage", "RolloutSummary": "summary"}


@scenario(
    "rollouts.request",
    "create_rollout",
    "create_global_rollout",
    shows("Rollout"),
    clauses="RolloutRequest#f9d2, Rollout.task_id#b029, Rollout.pool_id#3f16",
)
def rollouts_request(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    body: dict[str, Any] = {
        "context_overrides": [{"file": "a", "text": "b"}],
        "env": {"seed": 3, "config": {"a": 1}, "other": [1]},
        "inference_url": "https://inference.example/v1",
        "instance_id": "instance-1",
        "limits": {"timeout_seconds": 3600, "other": 1},
        "messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "tool", "x": 1}],
        "metadata": {"n": ctx.random.randrange(10**6), "nested": {"x": [None]}},
        "mode": "async",
        "ops": ["a", {"b": 1}],
        "override_bundle_id": "bundle-1",
        "params": {"p": 1},
        "policy": {"model": "m", "provider": "p", "config": {}, "inference_url": None},
        "policy_config": {"temperature": 0.5},
        "pool_id": pool_id,
        "record": True,
        "safety": {"s": False},
        "seed": 2**53,
        "task_contract": {"c": "v1"},
        "task_id": "t",
        "trace_correlation_id": f"trace-{ctx.random.randrange(10**6)}",
    }
    configured = ctx.session.options.rollout_request or {}
    body.update(configured, pool_id=pool_id, task_id="t")
    for operation, ids in (
        ("create_rollout", {"pool_id": pool_id}),
        ("create_global_rollout", {}),
    ):
        created = ctx.require((202, 200), operation, ids, json=body)
        rollout = Rollout(pool_id, rollout_id(created))
        views = [(operation, created.json, created), *of_rollout(ctx, rollout)]
        for reader, observed, response in views:
            if not ctx.expect.that(
                Expectation(reader, "the rollout", response),
                observed is not ABSENT,
                "no such rollout",
            ):
                continue
            ctx.expect.equal(reader, "request", body, at(observed, "request"), response)
            ctx.expect.equal(reader, "id", rollout.id, at(observed, "id"), response)
            ctx.expect.equal(reader, "pool_id", pool_id, at(observed, "pool_id"), response)
            ctx.expect.equal(
                reader,
                "trace_correlation_id",
                body["trace_correlation_id"],
                at(observed, "trace_correlation_id"),
                response,
            )
            if at(observed, "task_id") is not ABSENT:
                ctx.expect.equal(reader, "task_id", "t", at(observed, "task_id"), response)


@scenario(
    "rollouts.agree",
    describes_rollout,
    clauses="""
        Rollouts: the two families#1e49, Rollout.score#9f18, Rollout#7253, RolloutSummary#8479,
        RolloutUsage.sandbox_minutes#1aa9, RolloutSummary.reward#40d6, get_rollout_summary#cb15,
        RolloutTiming.queue_seconds#e86e
    """,
)
def rollouts_agree(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    # Several that differ, so that mixed up accounts show.
    rollouts = [start_rollout(ctx, pool_id, metadata={"which": number}) for number in range(3)]
    for rollout in rollouts:
        wait_for(ctx, rollout, FINAL)
    artifacts: dict[str, list[Any]] = {}
    for number, rollout in enumerate(rollouts):
        views = of_rollout(ctx, rollout)
        whole_rollout, source = views[0][1], views[0][2]
        ctx.expect.equal(
            "get_rollout",
            "metadata",
            {"which": number},
            at(whole_rollout, "request", "metadata"),
            source,
        )
        ctx.expect.consistent("the rollout", views)
        for schema, name in _PARTS.items():
            parts = [
                (operation, ctx.require(200, operation, ids))
                for operation, ids in readers(ctx, rollout, schema)
            ]
            ctx.expect.consistent(
                f"the {name}", [(operation, part.json, part) for operation, part in parts]
            )
            for operation, part in parts:
                _belongs(ctx, operation, schema, rollout, whole_rollout, part)
            if schema == "ArtifactList":
                items = parts[0][1].at("items")
                artifacts[rollout.id] = [
                    at(item, "artifact_id") for item in (items if isinstance(items, list) else [])
                ]
    names = [name for artifact_ids in artifacts.values() for name in artifact_ids]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    ctx.expect.that(
        Expectation("get_rollout_artifacts", "artifacts of its own for each rollout", None),
        not twice,
        f"{twice[:3]} are of several",
    )


def _belongs(
    ctx: Context,
    operation: str,
    schema: str,
    rollout: Rollout,
    whole_rollout: Any,
    response: Response,
) -> None:
    """Compare summary, usage and artifacts with the rollout itself."""
    if schema == "ArtifactList":
        ctx.expect.equal(operation, "next_cursor", None, response.at("next_cursor"), response)
        return
    ctx.expect.equal(operation, "rollout_id", rollout.id, response.at("rollout_id"), response)
    if response.at("pool_id") is not ABSENT:
        ctx.expect.equal(operation, "pool_id", rollout.pool_id, response.at("pool_id"), response)
    if schema == "RolloutSummary":
        _summary(ctx, operation, whole_rollout, response)
    else:
        _usage(ctx, operation, whole_rollout, response)


def _summary(ctx: Context, operation: str, whole_rollout: Any, response: Response) -> None:
    reward = at(whole_rollout, "metrics", "outcome_reward")
    for field, expected in {
        "status": at(whole_rollout, "status"),
        "state": at(whole_rollout, "status"),
        "reward": reward,
        "score": reward,
        "error": at(whole_rollout, "error"),
    }.items():
        ctx.expect.equal(operation, field, expected, response.at(field), response)
    for field in ("created_at", "started_at", "finished_at"):
        if at(whole_rollout, field) is not ABSENT:
            ctx.expect.equal(
                operation,
                f"timing.{field}",
                at(whole_rollout, field),
                response.at("timing", field),
                response,
            )
    last = response.at("last_event")
    ctx.expect.equal(
        operation,
        "the type of last_event",
        f"rollout.{at(whole_rollout, 'status')}",
        at(last, "event"),
        response,
    )
    ctx.expect.equal(
        operation,
        "rollout_id of last_event",
        at(whole_rollout, "id"),
        at(last, "rollout_id"),
        response,
    )
    for seconds, begin, end in (
        ("queue_seconds", "created_at", "started_at"),
        ("run_seconds", "started_at", "finished_at"),
    ):
        actual = response.at("timing", seconds)
        from_, to = (moment(response.at("timing", name)) for name in (begin, end))
        if from_ and to and isinstance(actual, int | float):
            expected = (to - from_).total_seconds()
            ctx.expect.that(
                Expectation(
                    operation, f"timing.{seconds} is {end} minus {begin}: {expected}", response
                ),
                abs(actual - expected) < _ROUNDING + ctx.session.http.round_trip,
                str(actual),
            )


def _usage(ctx: Context, operation: str, whole_rollout: Any, response: Response) -> None:
    negative = [
        name
        for name in USAGE
        if isinstance(response.at(name), int | float) and response.at(name) < 0
    ]
    ctx.expect.that(
        Expectation(operation, "no negative numbers", response), not negative, f"{negative} are"
    )
    wall, minutes = response.at("wall_time_sec"), response.at("sandbox_minutes")
    if not isinstance(wall, int | float) or not isinstance(minutes, int | float):
        return
    ctx.expect.that(
        Expectation(
            operation, f"sandbox_minutes is wall_time_sec in minutes: {wall / 60:.4f}", response
        ),
        abs(wall / 60 - minutes) < 0.01,
        str(minutes),
    )
    begin, end = moment(at(whole_rollout, "started_at")), moment(at(whole_rollout, "finished_at"))
    if begin and end:
        expected = (end - begin).total_seconds()
        ctx.expect.that(
            Expectation(
                operation, f"wall_time_sec is the time from start to end: {expected}", response
            ),
            abs(wall - expected) < _ROUNDING + ctx.session.http.round_trip,
            str(wall),
        )


@scenario(
    "rollouts.ended",
    "get_rollout",
    "create_rollout",
    clauses="""
        Rollouts: states#c39e, Rollout.finished_at#9458, RolloutTiming.finished_at#60d4,
        Rollout.created_at#2b21, Rollout.started_at#4c3f, RolloutTiming.started_at#8067
    """,
)
def rollouts_ended(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    response = ctx.require(200, "get_rollout", rollout.ids)
    status = response.at("status")
    if status == "completed":
        result = response.at("result")
        ctx.expect.that(
            Expectation("get_rollout", "a result", response), isinstance(result, dict), repr(result)
        )
        ctx.expect.equal(
            "get_rollout", "error of a completed rollout", None, response.at("error"), response
        )
    elif status == "failed":
        code = response.at("error", "code")
        ctx.expect.that(
            Expectation("get_rollout", "an error code", response), isinstance(code, str), repr(code)
        )
    stamps = [moment(response.at(name)) for name in ("created_at", "started_at", "finished_at")]
    stamps_present = [stamp for stamp in stamps if stamp]
    ctx.expect.that(
        Expectation("get_rollout", "created, started, finished in this order", response),
        stamps_present == sorted(stamps_present),
        str([response.at(name) for name in ("created_at", "started_at", "finished_at")]),
    )


@scenario(
    "rollouts.sync",
    "create_rollout",
    "create_global_rollout",
    "get_rollout",
    clauses="""
        create_rollout responses 200#b286, create_rollout#f0ba#84be, replay_rollout#f8b3,
        RolloutRequest.mode#ab8d, Capabilities.features#785a
    """,
)
def rollouts_sync(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    body = ctx.session.rollout_body(mode="sync")
    for operation, ids, more in (
        ("create_rollout", {"pool_id": pool_id}, {}),
        ("create_global_rollout", {}, {"pool_id": pool_id}),
    ):
        response = ctx.require(
            (200, 202), operation, ids, json={**body, **more}, limit=ctx.session.patience * 2
        )
        rollout = Rollout(pool_id, rollout_id(response))
        if response.status == 200:
            ctx.expect.that(
                Expectation(operation, "200 has the finished rollout", response),
                response.at("status") in FINAL,
                f"status {response.at('status')}",
            )
            read = ctx.require(200, "get_rollout", rollout.ids)
            ctx.expect.equal(
                "get_rollout", "the rollout as it was created", response.json, read.json, read
            )
        else:
            wait_for(ctx, rollout, FINAL)


@scenario(
    "rollouts.sync_failed",
    "create_rollout",
    "create_global_rollout",
    clauses="create_rollout responses 200#b286, create_rollout#f0ba, RolloutRequest.mode#ab8d",
    needs="live",
)
def rollouts_sync_failed(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.live_pool()}
    body = {"mode": "sync", "env": {"fail": True}}
    for operation, ids, more in (("create_rollout", pool, {}), ("create_global_rollout", {}, pool)):
        response = ctx.check((200, 202), operation, ids, json={**body, **more})
        if response.status == 200:
            ctx.expect.equal(operation, "status", "failed", response.at("status"), response)


@scenario(
    "rollouts.async",
    "create_rollout",
    "create_global_rollout",
    clauses="create_rollout#59b1, create_rollout responses 202#7a08",
    needs="live",
)
def rollouts_async(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    for mode in ({}, {"mode": "async"}, {"mode": None}):
        body = {"env": {"delay": 600}, **mode}
        pool = {"pool_id": pool_id}
        for operation, ids, more in (
            ("create_rollout", pool, {}),
            ("create_global_rollout", {}, pool),
        ):
            response = ctx.check(202, operation, ids, json={**body, **more})
            ctx.expect.that(
                Expectation(operation, "202 has a rollout that has not ended", response),
                response.at("status") in ("queued", "running"),
                f"status {response.at('status')}",
            )
            for field in ("result", "error"):
                ctx.expect.equal(operation, field, None, response.at(field), response)


@scenario(
    "rollouts.left",
    "create_rollout",
    "create_global_rollout",
    clauses="create_rollout#f3d6",
    needs="live",
)
def rollouts_left(ctx: Context) -> None:
    for operation in ("create_rollout", "create_global_rollout"):
        for holder in hold(ctx):
            pool_id = holder.pool(operation.replace("_", "-"))
            pool = {"pool_id": pool_id}
            ids, more = (pool, {}) if operation == "create_rollout" else ({}, pool)
            body = {"mode": "sync", "env": {"delay": holder.seconds, "hold": True}, **more}
            # The client hangs up once it has waited so long.
            seconds = holder.seconds / 4 + ctx.session.http.round_trip
            created = ctx.call(operation, ids, json=body, limit=seconds)
            created_ids: list[str] = []

            def admitted(where: dict[str, str] = pool, into: list[str] = created_ids) -> bool:
                listed = ctx.require(200, "list_rollouts", where)
                into[:] = [str(name) for name in ids_of(listed.at("items") or [])]
                return bool(into)

            if created.status == 200 or not eventually(ctx, admitted):
                # It ended, or was not sent, before the client left.
                continue
            rollout = Rollout(pool_id, created_ids[0])
            holder.release(rollout)
            final = wait_for(ctx, rollout, FINAL)
            ctx.expect.equal(operation, "status", "completed", final.at("status"), final)
            break
