"""Scenarios of replays."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import (
    Rollout,
    rollout_id,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT

_OPERATION = "replay_rollout"


@scenario(
    "replay.again",
    _OPERATION,
    "get_rollout",
    "get_global_rollout",
    clauses="""
        replay_rollout#d4e2#9d75, replay_rollout responses 202#f895, Rollout.replay_of#84c3,
        Capabilities.features#33a3
    """,
    needs="replay",
)
def replay_again(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    request = {"task_id": "t", "seed": 7, "metadata": {"n": [1, None, "ü🌍"]}}
    original = run_rollout(ctx, pool_id, **request)
    before = ctx.require(200, "get_rollout", original.ids)
    response = ctx.require((202, 200), _OPERATION, original.global_ids)
    replay = Rollout(pool_id, rollout_id(response))
    ctx.expect.that(
        Expectation(_OPERATION, "a rollout of its own", response),
        replay.id != original.id,
        replay.id,
    )
    wait_for(ctx, replay, FINAL)
    for reader, observed, read in [(_OPERATION, response.json, response), *of_rollout(ctx, replay)]:
        if not isinstance(observed, dict):
            ctx.expect.that(Expectation(reader, "the rollout", read), False, "no such rollout")
            continue
        ctx.expect.equal(reader, "replay_of", original.id, observed.get("replay_of", ABSENT), read)
        for field in ("pool_id", "request", "task_id"):
            if field in observed:
                ctx.expect.equal(_OPERATION, field, before.at(field), observed[field], read)
    after = ctx.require(200, "get_rollout", original.ids)
    ctx.expect.equal(_OPERATION, "the rollout that was repeated", before.json, after.json, after)
    ctx.expect.that(
        Expectation("get_rollout", "replay_of is null where nothing is repeated", after),
        after.at("replay_of") in (None, ABSENT),
        str(after.at("replay_of")),
    )


@scenario(
    "replay.any_state",
    _OPERATION,
    clauses="replay_rollout#d4e2, replay_rollout responses 202#f895",
    needs="replay",
)
def replay_any_state(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    failed = run_rollout(ctx, pool_id, env={"fail": True})
    open_ = start_rollout(ctx, pool_id, env={"delay": 600})
    cancelled = start_rollout(ctx, pool_id, env={"delay": 600})
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    for rollout in (failed, open_, cancelled):
        ctx.check(Status((202, 200), "any rollout can be repeated"), _OPERATION, rollout.global_ids)


@scenario(
    "replay.sync",
    _OPERATION,
    clauses="replay_rollout responses 200#e0d7, replay_rollout#f8b3",
    needs="replay",
)
def replay_sync(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    original = run_rollout(ctx, pool_id, mode="sync")
    response = ctx.require(
        (200, 202), _OPERATION, original.global_ids, limit=ctx.session.patience * 2
    )
    if response.status == 200:
        has_ended = response.at("status") in FINAL
        demand = Expectation(_OPERATION, "200 has the finished rollout", response)
        ctx.expect.that(demand, has_ended, f"status {response.at('status')}")
        read = ctx.require(200, "get_rollout", Rollout(pool_id, rollout_id(response)).ids)
        ctx.expect.equal(_OPERATION, "the rollout as it is read", read.json, response.json, read)


@scenario(
    "replay.refused",
    _OPERATION,
    clauses="replay_rollout#0184",
    needs="replay",
)
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
    clauses="parameters IdempotencyKey#75ed#957b#ed66#0ed0",
    needs=("replay", "idempotency_keys"),
)
def replay_key(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}"}
    first_rollout, other_rollout = run_rollout(ctx, pool_id), run_rollout(ctx, pool_id)
    first = ctx.require((202, 200), _OPERATION, first_rollout.global_ids, headers=headers)
    final = wait_for(ctx, Rollout(pool_id, rollout_id(first)), FINAL)
    second = ctx.require((202, 200), _OPERATION, first_rollout.global_ids, headers=headers)
    ctx.expect.equal(_OPERATION, "the status, again,", first.status, second.status, second)
    ctx.expect.equal(_OPERATION, "the rollout as it is now", final.json, second.json, second)
    third = ctx.require((202, 200), _OPERATION, other_rollout.global_ids, headers=headers)
    ctx.expect.equal(_OPERATION, "replay_of", other_rollout.id, third.at("replay_of"), third)
    listed = ctx.require(200, "list_rollouts", {"pool_id": pool_id})
    ctx.expect.equal(_OPERATION, "the number of rollouts", 4, len(listed.at("items") or []), listed)
