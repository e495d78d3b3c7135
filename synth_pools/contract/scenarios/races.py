"""Scenarios of requests at the same time."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import call_simultaneously, start_rollout
from synth_pools.contract.http.client import Response

_AT_ONCE = 8


@scenario(
    "races.pool",
    "create_pool",
    "get_pool",
    clauses="Repeating a request#5633",
)
def races_pool(ctx: Context) -> None:
    name = ctx.resources.name()
    ctx.session.register_pool(name)
    bodies = [
        {**ctx.session.pool_body("x"), "pool_id": name, "name": name, "metadata": {"which": number}}
        for number in range(_AT_ONCE)
    ]
    responses = call_simultaneously(
        ctx,
        [
            lambda body=body: ctx.call("create_pool", json=body)  # type: ignore[misc]
            for body in bodies
        ],
        120.0,
    )
    winner = _one_winner(ctx, "create_pool", responses)
    if winner is not None:
        read = ctx.require(200, "get_pool", {"pool_id": name})
        ctx.expect.equal(
            "get_pool", "metadata, the winner's,", {"which": winner}, read.at("metadata"), read
        )


@scenario(
    "races.task",
    "create_task",
    "list_tasks",
    clauses="Identifiers#0035, Repeating a request#5633",
)
def races_task(ctx: Context) -> None:
    ids = {"pool_id": ctx.resources.pool()}
    responses = call_simultaneously(
        ctx,
        [
            lambda number=number: ctx.call(  # type: ignore[misc]
                "create_task", ids, json={"task_id": "t", "task_metadata": {"which": number}}
            )
            for number in range(_AT_ONCE)
        ],
        120.0,
    )
    winner = _one_winner(ctx, "create_task", responses)
    listed = ctx.require(200, "list_tasks", ids)
    if winner is not None:
        items = [item.get("task_metadata") for item in listed.at("items") or []]
        ctx.expect.equal(
            "list_tasks", "the task, the winner's,", [{"which": winner}], items, listed
        )


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
    ways = [("cancel_rollout", rollout.ids), ("cancel_global_rollout", rollout.global_ids)] * 3
    responses = call_simultaneously(
        ctx,
        [lambda way=way: ctx.call(*way, json={}) for way in ways],  # type: ignore[misc]
        120.0,
    )
    for (operation, _), response in zip(ways, responses, strict=True):
        if ctx.expect.status(response, 200, operation):
            ctx.expect.equal(operation, "status", "cancelled", response.at("status"), response)
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    events = [message.event for message in stream.reader.messages]
    ctx.expect.equal(
        "stream_rollout_events",
        "the number of rollout.cancelled",
        1,
        events.count("rollout.cancelled"),
        stream,
    )


def _one_winner(ctx: Context, operation: str, responses: list[Response]) -> Any:
    won = [number for number, response in enumerate(responses) if response.status == 201]
    for response in responses:
        ctx.expect.status(response, Status((201, 409), "one wins, the others are told"), operation)
    ctx.expect.that(
        Expectation(operation, "one winner", responses[0]),
        len(won) == 1,
        f"{len(won)} were answered 201",
    )
    return won[0] if len(won) == 1 else None
