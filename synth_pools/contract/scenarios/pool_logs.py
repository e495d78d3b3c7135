"""Scenario of the logs of a pool without processes."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario

_LOGS = "get_pool_logs"


@scenario(
    "pool_logs.empty",
    _LOGS,
    clauses="get_pool_logs#040c#0957#7886, Features.pool_logs#53b1",
    needs="pool_logs",
)
def pool_logs_empty(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    for status in ("active", "archived"):
        page = ctx.require(200, _LOGS, {"pool_id": pool_id})
        for field, expected in (
            ("pool_id", pool_id),
            ("status", status),
            ("processes", []),
            ("lines", []),
            ("has_more", False),
            ("truncated", False),
        ):
            ctx.judge(_LOGS, page).field(field, expected)
        for cursor in (page.at("next_cursor"), "nonsense", "x" * 512):
            rest = ctx.require(
                200, _LOGS, {"pool_id": pool_id}, query={"cursor": cursor, "process": 7}
            )
            ctx.judge(_LOGS, rest).field("lines", [])
        if status == "active":
            ctx.require(200, "delete_pool", {"pool_id": pool_id})
    ctx.check(404, _LOGS, {"pool_id": ctx.session.pool_id("nowhere")})
