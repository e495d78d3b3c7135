"""Scenarios of rollouts: their request, their end, and the agreement of all views."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import WITHOUT, scenario
from synth_pools.contract.harness.rollout_views import judge_timing, judge_usage
from synth_pools.contract.harness.views import USAGE, of_rollout, read_list, readers
from synth_pools.contract.harness.waits import (
    Rollout,
    creations,
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
    body.update(ctx.session.options.rollout_request or {}, pool_id=pool_id, task_id="t")
    for operation, ids, _ in creations(ctx, pool_id):
        created = ctx.require((202, 200), operation, ids, json=body)
        rollout = Rollout(pool_id, rollout_id(created))
        views = [(operation, created.json, created), *of_rollout(ctx, rollout)]
        for reader, observed, response in views:
            judge = ctx.judge(reader, response)
            if not judge.that("the rollout", observed is not ABSENT, "no such rollout"):
                continue
            expected = {
                "request": body,
                "id": rollout.id,
                "pool_id": pool_id,
                "trace_correlation_id": body["trace_correlation_id"],
                "task_id": "t",
            }
            for field, value in expected.items():
                if field != "task_id" or at(observed, field) is not ABSENT:
                    judge.equal(field, value, at(observed, field))


@scenario(
    "rollouts.agree",
    describes_rollout,
    clauses="""
        Rollouts: the two families#1e49, Rollout.score#9f18, Rollout#7253, RolloutSummary#8479,
        RolloutUsage.sandbox_minutes#1aa9, RolloutSummary.reward#40d6, get_rollout_summary#cb15,
        RolloutTiming.queue_seconds#9cd5
    """,
)
def rollouts_agree(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    # Several rollouts that differ, so that a mixed-up view shows.
    rollouts = [start_rollout(ctx, pool_id, metadata={"which": number}) for number in range(3)]
    for rollout in rollouts:
        wait_for(ctx, rollout, FINAL)
    names: list[str] = []
    for number, rollout in enumerate(rollouts):
        views = of_rollout(ctx, rollout)
        whole_rollout, source = views[0][1], views[0][2]
        ctx.judge("get_rollout", source).equal(
            "metadata", {"which": number}, at(whole_rollout, "request", "metadata")
        )
        ctx.expect.consistent("the rollout", views)
        for schema, name in _PARTS.items():
            reads = readers(ctx, rollout, schema)
            parts = [(operation, ctx.require(200, operation, ids)) for operation, ids in reads]
            views = [(operation, part.json, part) for operation, part in parts]
            if not views:
                continue
            ctx.expect.consistent(f"the {name}", views)
            for operation, part in parts:
                _judge_part(ctx, operation, rollout, whole_rollout, part)
            if schema == "ArtifactList":
                names += map(str, ids_of(parts[0][1].list_at("items"), "artifact_id"))
    twice = sorted({name for name in names if names.count(name) > 1})
    ctx.judge("get_rollout_artifacts").that(
        "artifacts of its own for each rollout", not twice, f"{twice[:3]} are of several"
    )


def _judge_part(
    ctx: Context, operation: str, rollout: Rollout, whole_rollout: Any, response: Response
) -> None:
    """Compare a summary, usage or list of artifacts with the rollout itself."""
    judge = ctx.judge(operation, response)
    described = ctx.session.document.operations[operation]
    if described.item == "Artifact":
        judge.field("next_cursor", None)
        return
    judge.field("rollout_id", rollout.id)
    judge.field("pool_id", rollout.pool_id, optional=True)
    if described.result == "RolloutSummary":
        _judge_summary(ctx, operation, whole_rollout, response)
        return
    amounts = {name: response.at(name) for name in USAGE}
    negative = [name for name, n in amounts.items() if isinstance(n, int | float) and n < 0]
    judge.that("no negative numbers", not negative, f"{negative} are")
    judge_usage(ctx, operation, response, whole_rollout)


def _judge_summary(ctx: Context, operation: str, whole_rollout: Any, response: Response) -> None:
    judge = ctx.judge(operation, response)
    status = at(whole_rollout, "status")
    reward = at(whole_rollout, "metrics", "outcome_reward")
    for field, expected in {
        "status": status,
        "state": status,
        "reward": reward,
        "score": reward,
        "error": at(whole_rollout, "error"),
    }.items():
        judge.field(field, expected)
    judge.field("last_event.event", f"rollout.{status}", "the type of last_event")
    judge.field("last_event.rollout_id", at(whole_rollout, "id"), "rollout_id of last_event")
    judge_timing(ctx, operation, whole_rollout, response)


@scenario(
    "rollouts.ended",
    "get_rollout",
    "create_rollout",
    clauses="""
        Rollouts: states#c39e, Rollout.finished_at#9458, RolloutTiming.finished_at#60d4,
        Rollout.created_at#2b21, Rollout.started_at#4c3f, RolloutTiming.started_at#886a
    """,
)
def rollouts_ended(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    response = ctx.require(200, "get_rollout", rollout.ids)
    judge, status = ctx.judge("get_rollout", response), response.at("status")
    if status == "completed":
        result = response.at("result")
        judge.that("a result", isinstance(result, dict), repr(result))
        judge.field("error", None, "error of a completed rollout")
    elif status == "failed":
        code = response.at("error", "code")
        judge.that("an error code", isinstance(code, str), repr(code))
    times = [response.at(name) for name in ("created_at", "started_at", "finished_at")]
    stamps = [stamp for stamp in map(moment, times) if stamp]
    demand = "created, started, finished in this order"
    judge.that(demand, stamps == sorted(stamps), str(times))


@scenario(
    "rollouts.sync",
    "create_rollout",
    "create_global_rollout",
    "get_rollout",
    clauses="""
        create_rollout responses 200#40c0, create_rollout#f0ba#84be, replay_rollout#f8b3,
        RolloutRequest.mode#ab8d, Features.sync_mode#ebc9
    """,
)
def rollouts_sync(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    body = ctx.session.rollout_body(mode="sync")
    limit = ctx.session.patience * 2
    for operation, ids, more in creations(ctx, pool_id):
        request = {**body, **more}
        response = ctx.require((200, 202), operation, ids, json=request, limit=limit)
        rollout = Rollout(pool_id, rollout_id(response))
        if response.status == 200:
            ctx.judge(operation, response).among("status", FINAL, "200 has the finished rollout")
            read = ctx.require(200, "get_rollout", rollout.ids)
            label = "the rollout as it was created"
            ctx.judge("get_rollout", read).equal(label, response.json, read.json)
        else:
            wait_for(ctx, rollout, FINAL)


@scenario(
    "rollouts.sync_failed",
    "create_rollout",
    "create_global_rollout",
    clauses="create_rollout responses 200#40c0, create_rollout#f0ba, RolloutRequest.mode#ab8d",
    needs="live",
)
def rollouts_sync_failed(ctx: Context) -> None:
    body = {"mode": "sync", "env": {"fail": True}}
    for operation, ids, more in creations(ctx, ctx.resources.live_pool()):
        response = ctx.check((200, 202), operation, ids, json={**body, **more})
        if response.status == 200:
            ctx.judge(operation, response).field("status", "failed")


@scenario(
    "rollouts.sync_not_offered",
    "create_rollout",
    "create_global_rollout",
    clauses="Features.sync_mode#c0fa",
    needs=("live", f"{WITHOUT}sync_mode"),
)
def rollouts_sync_not_offered(ctx: Context) -> None:
    body = {"mode": "sync", "env": {"delay": 600}}
    for operation, ids, more in creations(ctx, ctx.resources.live_pool()):
        response = ctx.check(202, operation, ids, json={**body, **more})
        demand = "a rollout that has not ended, as with mode async"
        ctx.judge(operation, response).among("status", ("queued", "running"), demand)


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
        for operation, ids, more in creations(ctx, pool_id):
            response = ctx.check(202, operation, ids, json={**body, **more})
            judge = ctx.judge(operation, response)
            demand = "202 has a rollout that has not ended"
            judge.among("status", ("queued", "running"), demand)
            for field in ("result", "error"):
                judge.field(field, None)


@scenario(
    "rollouts.left",
    "create_rollout",
    "create_global_rollout",
    clauses="create_rollout#f3d6",
    needs="live",
)
def rollouts_left(ctx: Context) -> None:
    for family in (0, 1):
        for holder in hold(ctx):
            pool_id = holder.pool(("in-pool", "global")[family])
            operation, ids, more = creations(ctx, pool_id)[-family]
            body = {"mode": "sync", "env": {"delay": holder.seconds, "hold": True}, **more}
            # Seconds after which the client hangs up.
            seconds = holder.seconds / 4 + ctx.session.http.round_trip
            created = ctx.call(operation, ids, json=body, limit=seconds)
            created_ids: list[str] = []

            def admitted(pool: str = pool_id, into: list[str] = created_ids) -> bool:
                page = read_list(ctx, "list_rollouts", {"pool_id": pool})
                into[:] = map(str, ids_of(page.list_at("items")))
                return bool(into)

            if created.status == 200 or not eventually(ctx, admitted):
                # The rollout ended, or was not admitted, before the client hung up.
                continue
            rollout = Rollout(pool_id, created_ids[0])
            holder.release(rollout)
            final = wait_for(ctx, rollout, FINAL)
            ctx.judge(operation, final).field("status", "completed")
            break
