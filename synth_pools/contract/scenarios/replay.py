"""Scenarios of replays."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import judge_rollout_count, of_rollout
from synth_pools.contract.harness.waits import (
    Rollout,
    rollout_id,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT

_OPERATION = "replay_rollout"
# Values that are something, although a condition may take them for nothing.
_EMPTY: dict[str, Any] = {"zero": 0, "no": False, "text": "", "list": [], "object": {}}
_EMPTY_FIELDS = {"seed": 0, "priority": 0, "record": False, "params": {}, "ops": [], "metadata": {}}


@scenario(
    "replay.again",
    _OPERATION,
    "get_rollout",
    "get_global_rollout",
    clauses="""
        replay_rollout#d4e2#9d75, replay_rollout responses 202#f895, Rollout.replay_of#84c3,
        Features.replay#64e2
    """,
    needs="replay",
)
def replay_again(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    request = {"task_id": "t", "seed": 7, "metadata": {"n": [1, None, "ü🌍"]}, "priority": 1}
    request |= {"instance_id": "i", "override_bundle_id": "o", "params": {"a": 1}, "ops": [{}]}
    request |= {"safety": {"b": 1}, "record": True, "limits": {"c": 1}}
    request |= {"policy_config": {"d": 1}, "task_contract": "e", "context_overrides": [None]}
    request |= {"env": _EMPTY, "params": {"a": 1, **_EMPTY}, "policy": _EMPTY}
    request |= ctx.session.grouping()
    request["trace_correlation_id"] = f"trace-{ctx.session.options.run_id}"
    original = run_rollout(ctx, pool_id, **request)
    before = ctx.require(200, "get_rollout", original.ids)
    response = ctx.require((202, 200), _OPERATION, original.global_ids)
    replay = Rollout(pool_id, rollout_id(response))
    ctx.judge(_OPERATION, response).that(
        "a rollout of its own", replay.id != original.id, replay.id
    )
    wait_for(ctx, replay, FINAL)
    for reader, observed, read in [(_OPERATION, response.json, response), *of_rollout(ctx, replay)]:
        judge = ctx.judge(reader, read)
        if not judge.that("the rollout", isinstance(observed, dict), "no such rollout"):
            continue
        judge.equal("replay_of", original.id, observed.get("replay_of", ABSENT))
        for field in ("pool_id", "request", "task_id"):
            if field in observed:
                ctx.expect.equal(_OPERATION, field, before.at(field), observed[field], read)
    # The rules for single answers and for facts judge this one.
    second = ctx.require((202, 200), _OPERATION, replay.global_ids)
    wait_for(ctx, Rollout(pool_id, rollout_id(second)), FINAL)
    after = ctx.require(200, "get_rollout", original.ids)
    ctx.expect.equal(_OPERATION, "the rollout that was repeated", before.json, after.json, after)
    ctx.judge("get_rollout", after).among(
        "replay_of", (None, ABSENT), "replay_of is null where nothing is repeated"
    )


@scenario(
    "replay.any_state",
    _OPERATION,
    clauses="replay_rollout#d4e2, replay_rollout responses 202#f895",
    needs="replay",
)
def replay_any_state(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    # The rules for facts compare the requests.
    failed = run_rollout(ctx, pool_id, env={"fail": True}, **_EMPTY_FIELDS)
    running = start_rollout(ctx, pool_id, env={"delay": 600})
    cancelled = start_rollout(ctx, pool_id, env={"delay": 600})
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    for rollout in (failed, running, cancelled):
        ctx.check(Status((202, 200), "any rollout can be repeated"), _OPERATION, rollout.global_ids)


@scenario(
    "replay.sync",
    _OPERATION,
    clauses="replay_rollout responses 200#03e5, replay_rollout#f8b3",
    needs="replay",
)
def replay_sync(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    original = run_rollout(ctx, pool_id, mode="sync")
    limit = ctx.session.patience * 2
    response = ctx.require((200, 202), _OPERATION, original.global_ids, limit=limit)
    if response.status == 200:
        ctx.judge(_OPERATION, response).among("status", FINAL, "200 has the finished rollout")
        read = ctx.require(200, "get_rollout", Rollout(pool_id, rollout_id(response)).ids)
        ctx.expect.equal(_OPERATION, "the rollout as it is read", read.json, response.json, read)


@scenario("replay.refused", _OPERATION, clauses="replay_rollout#0184", needs="replay")
def replay_refused(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}])}
    rollout = run_rollout(ctx, pool["pool_id"], task_id="t")
    nobody = {"rollout_id": ctx.resources.name("nobody")}
    ctx.check(Status(404, "there is none", code="rollout_not_found"), _OPERATION, nobody)
    ctx.require(200, "delete_task", {**pool, "task_id": "t"})
    ids = rollout.global_ids
    ctx.check(Status(404, "the task is gone", code="task_not_found"), _OPERATION, ids)
    ctx.require(200, "delete_pool", pool)
    ctx.check(Status(409, "the pool is archived", code="pool_archived"), _OPERATION, ids)


@scenario(
    "replay.key",
    _OPERATION,
    clauses="parameters IdempotencyKey#50fe#ccb2#957b#ed66#0ed0",
    needs=("replay", "idempotency_keys"),
)
def replay_key(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}"}
    first_rollout, other_rollout = run_rollout(ctx, pool_id), run_rollout(ctx, pool_id)
    first = ctx.require((202, 200), _OPERATION, first_rollout.global_ids, headers=headers)
    final = wait_for(ctx, Rollout(pool_id, rollout_id(first)), FINAL)
    second = ctx.require(200, _OPERATION, first_rollout.global_ids, headers=headers)
    ctx.expect.equal(_OPERATION, "the rollout as it is now", final.json, second.json, second)
    third = ctx.require((202, 200), _OPERATION, other_rollout.global_ids, headers=headers)
    ctx.judge(_OPERATION, third).field("replay_of", other_rollout.id)
    judge_rollout_count(ctx, pool_id, 4, _OPERATION)
