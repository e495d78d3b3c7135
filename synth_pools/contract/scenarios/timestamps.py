"""Scenarios of time stamps: updated_at moves with every change, and with nothing else."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import StoppedError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import moment, start_rollout, wait_for
from synth_pools.contract.http.client import Response

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
def times_updated_at(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    path = {"pool_id": pool_id}
    body = {**ctx.session.pool_body("x"), "pool_id": pool_id, "name": pool_id}
    former = ctx.require(200, "get_pool", path)
    _pause(ctx)
    again = ctx.require(200, "get_pool", path)
    ctx.expect.equal(
        "get_pool", "updated_at", former.at("updated_at"), again.at("updated_at"), again
    )
    patched = ctx.require(200, "update_pool", path, json={"metadata": {"changed": 1}})
    _later(ctx, "update_pool", former, patched)
    _pause(ctx)
    body["metadata"] = {"changed": 2}
    replaced = ctx.require(200, "replace_pool", path, json=body)
    _later(ctx, "replace_pool", patched, replaced)
    read = ctx.require(200, "get_pool", path)
    ctx.expect.equal(
        "get_pool", "updated_at", replaced.at("updated_at"), read.at("updated_at"), read
    )
    _pause(ctx)
    archived = ctx.require(200, "delete_pool", path)
    _later(ctx, "delete_pool", replaced, archived)


@scenario(
    "times.rollout",
    "Rollout",
    "updated_at is when it last changed, created_at when it was admitted",
    "get_rollout",
    "get_global_rollout",
    needs="live",
)
def times_rollout(ctx: Context) -> None:
    made = start_rollout(ctx, ctx.resources.live_pool(), env={"delay": _APART})
    wait_for(ctx, made, FINAL)
    for operation, ids in made.both(""):
        response = ctx.require(200, operation, ids)
        begun, changed = (moment(response.at(name)) for name in ("created_at", "updated_at"))
        if begun and changed:
            ctx.expect.that(
                Expectation(
                    operation,
                    "updated_at of a rollout that took its time is later than created_at",
                    response,
                ),
                changed > begun,
                f"{changed} is not later than {begun}",
            )


def _later(ctx: Context, operation: str, former: Response, response: Response) -> None:
    before, after = moment(former.at("updated_at")), moment(response.at("updated_at"))
    if before and after:
        ctx.expect.that(
            Expectation(operation, "updated_at is later than before the change", response),
            after > before,
            f"{after} is not later than {before}",
        )
    made, shown = former.at("created_at"), response.at("created_at")
    ctx.expect.equal(operation, "created_at", made, shown, response)


def _pause(ctx: Context) -> None:
    if ctx.session.http.stop.wait(_APART):
        raise StoppedError
