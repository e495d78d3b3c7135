"""updated_at: moves with every change, and with nothing else."""

from __future__ import annotations

from synth_pools.contract.exceptions import StoppedError
from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.waits import FINAL, moment, start, wait
from synth_pools.contract.http.client import Answer

# Longer than the coarsest clock that a server may write its time stamps with.
_APART = 1.1


@scenario(
    "times.updated_at",
    "Pool",
    "updated_at is when it last changed, created_at when it was made",
    "update_pool",
    "replace_pool",
    "get_pool",
    "delete_pool",
)
def pool(ctx: Context) -> None:
    pool_id = ctx.pool()
    path = {"pool_id": pool_id}
    body = {**ctx.world.pool_body("x"), "pool_id": pool_id, "name": pool_id}
    former = ctx.want(200, "get_pool", path)
    _pause(ctx)
    same = ctx.want(200, "get_pool", path)
    ctx.equal("get_pool", "updated_at", former.at("updated_at"), same.at("updated_at"), same)
    patched = ctx.want(200, "update_pool", path, json={"metadata": {"changed": 1}})
    _later(ctx, "update_pool", former, patched)
    _pause(ctx)
    body["metadata"] = {"changed": 2}
    replaced = ctx.want(200, "replace_pool", path, json=body)
    _later(ctx, "replace_pool", patched, replaced)
    read = ctx.want(200, "get_pool", path)
    ctx.equal("get_pool", "updated_at", replaced.at("updated_at"), read.at("updated_at"), read)
    _pause(ctx)
    archived = ctx.want(200, "delete_pool", path)
    _later(ctx, "delete_pool", replaced, archived)


@scenario(
    "times.rollout",
    "Rollout",
    "updated_at is when it last changed, created_at when it was admitted",
    "get_rollout",
    "get_global_rollout",
    needs="live",
)
def rollout(ctx: Context) -> None:
    made = start(ctx, ctx.live_pool(), env={"delay": _APART})
    wait(ctx, made, FINAL)
    for operation, ids in made.both(""):
        answer = ctx.want(200, operation, ids)
        begun, changed = (moment(answer.at(name)) for name in ("created_at", "updated_at"))
        if begun and changed:
            ctx.judge(
                operation,
                changed > begun,
                "updated_at of a rollout that took its time is later than created_at",
                f"{changed} is not later than {begun}",
                answer,
            )


def _later(ctx: Context, operation: str, former: Answer, answer: Answer) -> None:
    before, after = moment(former.at("updated_at")), moment(answer.at("updated_at"))
    if before and after:
        ctx.judge(
            operation,
            after > before,
            "updated_at is later than before the change",
            f"{after} is not later than {before}",
            answer,
        )
    made, shown = former.at("created_at"), answer.at("created_at")
    ctx.equal(operation, "created_at", made, shown, answer)


def _pause(ctx: Context) -> None:
    if ctx.world.probe.stop.wait(_APART):
        raise StoppedError
