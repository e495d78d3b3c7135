"""Requests at the same time: one winner, no mixture."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.waits import start, together
from synth_pools.contract.http.client import Answer

_AT_ONCE = 8


@scenario(
    "races.pool",
    "Identifiers",
    "of several creations with one id at once one wins, the others are 409",
    "create_pool",
    "get_pool",
)
def pool(ctx: Context) -> None:
    name = ctx.name()
    ctx.world.made_pool(name)
    bodies = [
        {**ctx.world.pool_body("x"), "pool_id": name, "name": name, "metadata": {"which": number}}
        for number in range(_AT_ONCE)
    ]
    answers = together(
        ctx,
        [
            lambda body=body: ctx.call("create_pool", json=body)  # type: ignore[misc]
            for body in bodies
        ],
        120.0,
    )
    winner = _one_winner(ctx, "create_pool", answers)
    if winner is not None:
        read = ctx.want(200, "get_pool", {"pool_id": name})
        ctx.equal(
            "get_pool", "metadata, the winner's,", {"which": winner}, read.at("metadata"), read
        )


@scenario(
    "races.task",
    "Identifiers",
    "of several creations with one id at once one wins, the others are 409",
    "create_task",
    "list_tasks",
)
def task(ctx: Context) -> None:
    ids = {"pool_id": ctx.pool()}
    answers = together(
        ctx,
        [
            lambda number=number: ctx.call(  # type: ignore[misc]
                "create_task", ids, json={"task_id": "t", "task_metadata": {"which": number}}
            )
            for number in range(_AT_ONCE)
        ],
        120.0,
    )
    winner = _one_winner(ctx, "create_task", answers)
    listed = ctx.want(200, "list_tasks", ids)
    if winner is not None:
        found = [item.get("task_metadata") for item in listed.at("items") or []]
        ctx.equal("list_tasks", "the task, the winner's,", [{"which": winner}], found, listed)


@scenario(
    "races.cancel",
    "Rollouts: states",
    "cancelling several times at once is 200 each time",
    "cancel_rollout",
    "cancel_global_rollout",
    "stream_rollout_events",
    needs="live",
)
def cancel(ctx: Context) -> None:
    pool_id = ctx.live_pool()
    rollout = start(ctx, pool_id, env={"delay": 600})
    ways = [("cancel_rollout", rollout.ids), ("cancel_global_rollout", rollout.global_ids)] * 3
    answers = together(
        ctx,
        [lambda way=way: ctx.call(*way, json={}) for way in ways],  # type: ignore[misc]
        120.0,
    )
    for (operation, _), answer in zip(ways, answers, strict=True):
        if ctx.expect(answer, 200, operation):
            ctx.equal(operation, "status", "cancelled", answer.at("status"), answer)
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    events = [message.event for message in stream.reader.messages]
    ctx.equal(
        "stream_rollout_events",
        "the number of rollout.cancelled",
        1,
        events.count("rollout.cancelled"),
        stream,
    )


def _one_winner(ctx: Context, operation: str, answers: list[Answer]) -> Any:
    won = [number for number, answer in enumerate(answers) if answer.status == 201]
    for answer in answers:
        ctx.expect(answer, (201, 409), operation, because="one wins, the others are told")
    ctx.judge(operation, len(won) == 1, "one winner", f"{len(won)} were answered 201", answers[0])
    return won[0] if len(won) == 1 else None
