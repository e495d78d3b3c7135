"""Scenarios of requests at the same time."""

from __future__ import annotations

from functools import partial
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import call_simultaneously, ids_of, start_rollout
from synth_pools.contract.http.client import Response

_AT_ONCE = 8
# Seconds that all requests together may take.
_SECONDS = 120.0


@scenario("races.pool", "create_pool", "get_pool", clauses="Repeating a request#5633")
def races_pool(ctx: Context) -> None:
    name = ctx.resources.name()
    ctx.session.register_pool(name)
    body = {**ctx.session.pool_body("x"), "pool_id": name, "name": name}
    bodies = [{**body, "metadata": {"which": number}} for number in range(_AT_ONCE)]
    calls = [partial(ctx.call, "create_pool", json=body) for body in bodies]
    responses = call_simultaneously(ctx, calls, _SECONDS)
    winner = _one_winner(ctx, "create_pool", responses)
    if winner is not None:
        read = ctx.require(200, "get_pool", {"pool_id": name})
        ctx.judge("get_pool", read).field("metadata", {"which": winner}, "metadata, the winner's,")


@scenario(
    "races.task", "create_task", "list_tasks", clauses="Identifiers#0035, Repeating a request#5633"
)
def races_task(ctx: Context) -> None:
    ids = {"pool_id": ctx.resources.pool()}
    bodies = [{"task_id": "t", "task_metadata": {"which": n}} for n in range(_AT_ONCE)]
    calls = [partial(ctx.call, "create_task", ids, json=body) for body in bodies]
    responses = call_simultaneously(ctx, calls, _SECONDS)
    winner = _one_winner(ctx, "create_task", responses)
    page = ctx.require(200, "list_tasks", ids)
    if winner is not None:
        items = ids_of(page.list_at("items"), "task_metadata")
        ctx.judge("list_tasks", page).equal("the task, the winner's,", [{"which": winner}], items)


@scenario(
    "races.patch", "update_pool", "patch_task", clauses="update_pool#173e#1046, patch_task#51a8"
)
def races_patch(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    pool, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "t"}
    names = [f"n{number}" for number in range(_AT_ONCE)]
    for operation, ids, field in (
        ("update_pool", pool, "metadata"),
        ("patch_task", task, "task_metadata"),
    ):
        calls = [partial(ctx.call, operation, ids, json={field: {name: 1}}) for name in names]
        for response in call_simultaneously(ctx, calls, _SECONDS):
            ctx.expect.status(response, 200, operation)
        read = ctx.require(200, operation, ids, json={})
        expected, label = dict.fromkeys(names, 1), f"{field} after {_AT_ONCE} changes at once"
        ctx.judge(operation, read).field(field, expected, label)


@scenario(
    "races.cancel",
    "cancel_rollout",
    "cancel_global_rollout",
    "stream_rollout_events",
    clauses="cancel_rollout#fe62",
    needs="live",
)
def races_cancel(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    rollout = start_rollout(ctx, pool_id, env={"delay": 600})
    ways = rollout.cancels(ctx) * 3
    calls = [partial(ctx.call, *way, json={}) for way in ways]
    responses = call_simultaneously(ctx, calls, _SECONDS)
    for (operation, _), response in zip(ways, responses, strict=True):
        if ctx.expect.status(response, 200, operation):
            ctx.judge(operation, response).field("status", "cancelled")
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    count = stream.events.count("rollout.cancelled")
    ctx.judge("stream_rollout_events", stream).equal("the number of rollout.cancelled", 1, count)


def _one_winner(ctx: Context, operation: str, responses: list[Response]) -> Any:
    won = [number for number, response in enumerate(responses) if response.status == 201]
    for response in responses:
        ctx.expect.status(response, Status((201, 409), "one wins, the others are told"), operation)
    ctx.judge(operation, responses[0]).that(
        "one winner", len(won) == 1, f"{len(won)} were answered 201"
    )
    return won[0] if len(won) == 1 else None
