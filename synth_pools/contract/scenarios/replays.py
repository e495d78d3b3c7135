"""Replays: the same request once more, as a rollout of its own."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import FINAL, Rollout, finish, rollout_id, start, wait
from synth_pools.contract.http.client import ABSENT
from synth_pools.contract.results import Outcome

_OPERATION = "replay_rollout"


@scenario(
    "replay.again",
    "Many at once, and once more",
    "a new rollout with the request, task and pool of an earlier one, which it names in replay_of",
    _OPERATION,
    "get_rollout",
    "get_global_rollout",
    needs="replay",
)
def again(ctx: Context) -> None:
    pool_id = ctx.pool(tasks=[{"task_id": "t"}])
    request = {"task_id": "t", "seed": 7, "metadata": {"n": [1, None, "ü🌍"]}}
    original = finish(ctx, pool_id, **request)
    before = ctx.want(200, "get_rollout", original.ids)
    answer = ctx.want((202, 200), _OPERATION, original.global_ids)
    replay = Rollout(pool_id, rollout_id(answer))
    ctx.judge(_OPERATION, replay.id != original.id, "a rollout of its own", replay.id, answer)
    wait(ctx, replay, FINAL)
    for reader, seen, read in [(_OPERATION, answer.json, answer), *of_rollout(ctx, replay)]:
        if not isinstance(seen, dict):
            ctx.judge(reader, False, "the rollout", "no such rollout", read)
            continue
        ctx.equal(reader, "replay_of", original.id, seen.get("replay_of", ABSENT), read)
        for field in ("pool_id", "request", "task_id"):
            if field in seen:
                ctx.equal(_OPERATION, field, before.at(field), seen[field], read)
    after = ctx.want(200, "get_rollout", original.ids)
    ctx.equal(_OPERATION, "the rollout that was repeated", before.json, after.json, after)
    ctx.judge(
        "get_rollout",
        after.at("replay_of") in (None, ABSENT),
        "replay_of is null where nothing is repeated",
        str(after.at("replay_of")),
        after,
    )


@scenario(
    "replay.any_state",
    _OPERATION,
    "whatever the state of the rollout",
    _OPERATION,
    needs="replay",
)
def any_state(ctx: Context) -> None:
    pool_id = ctx.live_pool()
    failed = finish(ctx, pool_id, env={"fail": True})
    open_ = start(ctx, pool_id, env={"delay": 600})
    cancelled = start(ctx, pool_id, env={"delay": 600})
    ctx.want(200, "cancel_rollout", cancelled.ids, json={})
    for rollout in (failed, open_, cancelled):
        ctx.try_((202, 200), _OPERATION, rollout.global_ids, because="any rollout can be repeated")


@scenario(
    "replay.refused",
    _OPERATION,
    "it counts as a creation of its own: the pool must be active and the task be there",
    _OPERATION,
    needs="replay",
)
def refused(ctx: Context) -> None:
    pool = {"pool_id": ctx.pool(tasks=[{"task_id": "t"}])}
    rollout = finish(ctx, pool["pool_id"], task_id="t")
    nobody = {"rollout_id": ctx.name("nobody")}
    ctx.try_(404, _OPERATION, nobody, because="there is none", code="rollout_not_found")
    ctx.want(200, "delete_task", {**pool, "task_id": "t"})
    ids = rollout.global_ids
    ctx.try_(404, _OPERATION, ids, because="the task is gone", code="task_not_found")
    ctx.want(200, "delete_pool", pool)
    ctx.try_(409, _OPERATION, ids, because="the pool is archived", code="pool_archived")


@scenario(
    "replay.key",
    "Idempotency",
    "the same key answers the same replay as it is now, and creates nothing",
    _OPERATION,
    needs="replay",
)
def key(ctx: Context) -> None:
    if not ctx.world.offers("idempotency_keys"):
        ctx.lack(_OPERATION, "features.idempotency_keys is not true", Outcome.NOT_OFFERED)
        return
    pool_id = ctx.pool()
    headers = {"idempotency-key": f"{ctx.world.options.run_id}-{ctx.scenario.id}"}
    one, other = finish(ctx, pool_id), finish(ctx, pool_id)
    first = ctx.want((202, 200), _OPERATION, one.global_ids, headers=headers)
    ended = wait(ctx, Rollout(pool_id, rollout_id(first)), FINAL)
    second = ctx.want((202, 200), _OPERATION, one.global_ids, headers=headers)
    ctx.equal(_OPERATION, "the status, again,", first.status, second.status, second)
    ctx.equal(_OPERATION, "the rollout as it is now", ended.json, second.json, second)
    third = ctx.want((202, 200), _OPERATION, other.global_ids, headers=headers)
    ctx.equal(_OPERATION, "replay_of", other.id, third.at("replay_of"), third)
    listed = ctx.want(200, "list_rollouts", {"pool_id": pool_id})
    ctx.equal(_OPERATION, "the number of rollouts", 4, len(listed.at("items") or []), listed)
