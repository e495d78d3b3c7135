"""Scenarios of what a container reports beside the outcome: usage, events, and its telemetry."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import Rollout, run_rollout
from synth_pools.contract.http.client import at
from synth_pools.contract.http.stub_container import reported_event
from synth_pools.contract.rules.verdict import same_json, show

_STREAMS = ("stream_rollout_events", "stream_global_rollout_events")
_USAGES = ("get_rollout_usage", "get_global_rollout_usage")
_LARGE = 400_000
_COSTS = {"kit": 0.5, "other": 0.25}
# Under the names that servers and model providers use.
_USAGE = {
    "llm_input_tokens": 123, "input_tokens": 123, "prompt_tokens": 123,
    "llm_output_tokens": 45, "output_tokens": 45, "completion_tokens": 45,
    "cost_usd": 0.75, "total_cost_usd": 0.75, "provider_costs": _COSTS,
}  # fmt: skip


@scenario(
    "reported.usage",
    *_USAGES,
    clauses="""
        RolloutUsage.bytes_uploaded#4b41, RolloutUsage.bytes_downloaded#e66c,
        RolloutUsage.llm_input_tokens#c28f, RolloutUsage.llm_output_tokens#14a7,
        RolloutUsage.cost_usd#9631, RolloutUsage.provider_costs#cd9a
    """,
    needs="containers",
)
def reported_usage(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    silent = run_rollout(ctx, pool_id)
    rollout = run_rollout(ctx, pool_id, env={"usage": _USAGE}, metadata={"padding": "x" * 5_000})
    for case, tokens in ((rollout, (123, 45, 0.75, _COSTS)), (silent, (None, None, None, {}))):
        for operation, ids in readers(ctx, case, "RolloutUsage"):
            response = ctx.require(200, operation, ids)
            fields = ("llm_input_tokens", "llm_output_tokens", "cost_usd", "provider_costs")
            for field, expected in zip(fields, tokens, strict=True):
                actual = response.at(field)
                # Under which names a container reports them is not the contract's.
                unknown = actual is None or actual == {}
                ctx.expect.that(
                    Expectation(operation, f"{field}: what the container reports", response),
                    unknown or same_json(expected, actual),
                    show(actual),
                )
            _judge_bytes(ctx, operation, case, response)


def _judge_bytes(ctx: Context, operation: str, rollout: Rollout, response: Any) -> None:
    sent, answered, most_sent, most_answered = ctx.session.received.bytes_of(rollout.id)
    for field, least, most in (
        ("bytes_uploaded", sent, most_sent),
        ("bytes_downloaded", answered, most_answered),
    ):
        actual = response.at(field)
        ctx.expect.that(
            Expectation(operation, f"{field}: {least} to {most} went over the line", response),
            isinstance(actual, int) and least <= actual <= most,
            show(actual),
        )


@scenario(
    "reported.events",
    *_STREAMS,
    clauses="RolloutEventType#a81a#233e#c644#d2b5#03a3, RolloutEventData#f35d#7611",
    needs="containers",
)
def reported_events(ctx: Context) -> None:
    events_sent: list[dict[str, Any]] = [
        {"sequence": 1, "type": "step", "text": "Grüße 🌍", "n": [1, 2.5, None]},
        # The container makes it large: the request has to pass every limit.
        {"sequence": 2, "type": "large", "repeat": _LARGE},
        {"sequence": 4, "nested": {"deep": [{"x": 1}]}},
    ]
    pool_id = ctx.resources.pool(
        container_url=ctx.session.containers["good"], config={"telemetry": {"kit": True}}
    )
    rollout = run_rollout(ctx, pool_id, env={"tell": events_sent, "reward": 0.5})
    for operation, ids in zip(_STREAMS, (rollout.ids, rollout.global_ids), strict=True):
        stream = ctx.stream(operation, ids)
        data = [m.envelope.get("data") for m in stream.reader.messages if m.event == "agent"]
        remaining = [reported_event(event_data) for event_data in events_sent]
        for event_data in data:
            place = next(
                (
                    n
                    for n, reported_event in enumerate(remaining)
                    if _is_of(reported_event, event_data)
                ),
                None,
            )
            demand = Expectation(operation, "an event of the container's, whole, in order", stream)
            if not ctx.expect.that(demand, place is not None, show(event_data, 300)):
                break
            remaining = remaining[(place or 0) + 1 :]
        rewards = [m.envelope.get("data") for m in stream.reader.messages if m.event == "reward"]
        ctx.expect.equal(operation, "the number of reward events", 1, len(rewards), stream)
        sources = {m.event.split(".")[0] for m in stream.reader.messages}
        ctx.expect.that(
            Expectation(operation, "events of the server, and of the container that ran", stream),
            sources <= {"rollout", "agent", "reward", "verifier", "heartbeat"},
            str(sorted(sources)),
        )


def _is_of(event: dict[str, Any], data: Any) -> bool:
    """Return True if an event's data is what a container told, or stands for it."""
    if at(data, "truncated") is True:
        size = at(data, "size_bytes")
        return event.get("type") == "large" and isinstance(size, int) and size >= _LARGE
    return same_json(event, data)


@scenario(
    "reported.telemetry",
    "create_rollout",
    clauses="PoolConfig.telemetry#6fd7",
    needs="containers",
)
def reported_telemetry(ctx: Context) -> None:
    telemetry = {"level": "high", "nested": {"x": [1, None]}}
    pool_id = ctx.resources.pool(
        container_url=ctx.session.containers["good"], config={"telemetry": telemetry}
    )
    rollout = run_rollout(ctx, pool_id)
    read = ctx.require(200, "get_rollout", rollout.ids)
    sent = [
        request
        for request in ctx.session.received.of_rollout(rollout.id)
        if request.path == "/rollouts"
    ]
    actual = [at(request.body, "telemetry") for request in sent]
    ctx.expect.equal("create_rollout", "telemetry of what is sent", [telemetry], actual, read)
