"""The client's methods for the operations that a backend may do without."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.client_judging import called, judge_alike
from synth_pools.contract.scenario import Context


def later_operations(ctx: Context, call: Any) -> None:
    """Each of those that are offered, under its full and its short name."""
    world = ctx.world
    pool = {"pool_id": ctx.pool("later")}
    if world.offers("validate"):
        for body in ({**world.rollout_body(), **pool}, {"no_such_key": 1}):
            raw = ctx.want(200, "validate_rollout", json=body)
            for name in ("validate_rollout", "agent_rollouts.validate"):
                came = called(ctx, call, "validate_rollout", name, body)
                judge_alike(ctx, "validate_rollout", name, raw, raw.json, came)
