"""Scenarios of what a container reports besides the outcome: usage, events, telemetry."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import STREAMS, run_rollout
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.http.stub_container import reported_event
from synth_pools.contract.rules.verdict import same_json, show

_USAGES = ("get_rollout_usage", "get_global_rollout_usage")
_FIELDS = ("llm_input_tokens", "llm_output_tokens", "cost_usd", "provider_costs")
_LARGE = 400_000
_SUMMARIES = ("get_rollout_summary", "get_global_rollout_summary")
# More digits than amounts of money have.
_COST = 0.7654321
_COSTS = {"kit": 0.5, "other": 0.2654321}
# The same usage under the names that servers and model providers use.
_USAGE = {
    "llm_input_tokens": 123, "input_tokens": 123, "prompt_tokens": 123,
    "llm_output_tokens": 45, "output_tokens": 45, "completion_tokens": 45,
    "cost_usd": _COST, "total_cost_usd": _COST, "provider_costs": _COSTS,
    "cached_input_tokens": 23, "kit_turns": 7,
}  # fmt: skip
_SUMMED = {
    "input_tokens": 123, "output_tokens": 45, "cached_input_tokens": 23, "cost_usd": _COST,
    "kit_turns": 7,
}  # fmt: skip


@scenario(
    "reported.usage",
    *_USAGES,
    *_SUMMARIES,
    "get_pool_metrics",
    clauses="""
        RolloutUsage.bytes_uploaded#4b41, RolloutUsage.bytes_downloaded#e66c,
        RolloutUsage.llm_input_tokens#37f9, RolloutUsage.llm_output_tokens#2c23,
        RolloutUsage.cost_usd#f9e4, RolloutUsage.provider_costs#1d43, RolloutUsage#c6ab,
        RolloutSummary.usage#e76a, ReportedUsage#9e2c#0f68, ReportedUsage.input_tokens#1523,
        ReportedUsage.output_tokens#c03b, ReportedUsage.cached_input_tokens#a00e,
        ReportedUsage.cost_usd#8177, RolloutLimits.max_cost_usd#df06,
        PoolMetrics.task_usage#cf9a, UsageSums#8381, UsageSums.rollouts#ec00,
        UsageSums.input_tokens#3552, UsageSums.output_tokens#3ed9, UsageSums.cost_usd#e174,
        TaskUsage#b4ff, TaskUsage.task_id#39ea
    """,
    needs="containers",
)
def reported_usage(ctx: Context) -> None:
    tasks = [{"task_id": "a"}, {"task_id": "z"}]
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"], tasks=tasks)
    run = {"run": ctx.resources.name()} if ctx.session.offers("runs") else {}
    silent = run_rollout(ctx, pool_id, **run)
    more: dict[str, Any] = {"metadata": {"padding": "x" * 5_000}, "task_id": "z", **run}
    more["limits"] = limits = {"max_cost_usd": 0.5}
    rollout = run_rollout(ctx, pool_id, env={"usage": _USAGE}, **more)
    env = {"usage": _USAGE, "fail": True, "reward": 0.25}
    failed, other_failed = (
        run_rollout(ctx, pool_id, env=env, task_id=task, **run) for task in "za"
    )
    values: tuple[Any, ...]
    for case in (rollout, failed, other_failed, silent):
        values = (None, None, None, {}) if case is silent else (123, 45, _COST, _COSTS)
        min_sent, min_answered, max_sent, max_answered = ctx.session.received.bytes_of(case.id)
        bounds = (
            ("bytes_uploaded", min_sent, max_sent),
            ("bytes_downloaded", min_answered, max_answered),
        )
        for operation, ids in readers(ctx, case, "RolloutUsage"):
            response = ctx.require(200, operation, ids)
            judge = ctx.judge(operation, response)
            for field, expected in zip(_FIELDS, values, strict=True):
                judge.field(field, expected, f"{field}, as the container reports it,")
            for field, least, most in bounds:
                actual = response.at(field)
                is_met = isinstance(actual, int) and least <= actual <= most
                judge.that(f"{field}: {least} to {most} went over the line", is_met, show(actual))
    for operation, ids in readers(ctx, silent, "RolloutSummary"):
        judge = ctx.judge(operation, ctx.require(200, operation, ids))
        judge.field("usage", None, "usage where none is reported", optional=True)
    for operation, ids in readers(ctx, rollout, "RolloutSummary"):
        response = ctx.require(200, operation, ids)
        usage = response.at("usage")
        # Servers before this field lack it.
        for name, amount in _SUMMED.items() if usage is not ABSENT else ():
            ctx.judge(operation, response).equal(f"usage.{name}", amount, at(usage, name))
    _judge_zeros(ctx)
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    judge = ctx.judge("get_pool_metrics", metrics)
    for place, count in (("usage", 3), ("task_usage.0", 2)):
        judge.field(f"{place}.rollouts", count, optional=True)
        for name in ("input_tokens", "output_tokens"):
            judge.field(f"{place}.{name}", count * _SUMMED[name], optional=True)
    # The sum of both tasks is judged by a rule.
    judge.field("task_usage.0.cost_usd", 2 * _COST, optional=True)
    judge.field("task_usage.0.task_id", "z", optional=True)
    if run:
        # The rules for facts compare its sums with its rollouts.
        for case in (rollout, failed, other_failed, silent):
            ctx.require(200, "get_rollout", case.ids)
        ctx.require(200, "get_run", run)
    sent = [at(request.body, "limits") for request in ctx.session.received.sent(rollout.id)]
    read = ctx.require(200, "get_rollout", rollout.ids)
    ctx.expect.equal("create_rollout", "limits of what is sent", [limits], sent, read)


def _judge_zeros(ctx: Context) -> None:
    """Expect figures of 0 to be told as such, not as missing."""
    pool_id = ctx.resources.pool("zeros", container_url=ctx.session.containers["good"])
    usage: dict[str, Any] = dict.fromkeys(_SUMMED, 0)
    rollout = run_rollout(ctx, pool_id, env={"usage": usage})
    for operation, ids in readers(ctx, rollout, "RolloutUsage"):
        judge = ctx.judge(operation, ctx.require(200, operation, ids))
        for field in _FIELDS[:3]:
            judge.field(field, 0, f"{field}, where the container reports 0,")
    for operation, ids in readers(ctx, rollout, "RolloutSummary"):
        response = ctx.require(200, operation, ids)
        if response.at("usage") is not ABSENT:
            zeros = {name: response.at("usage", name) for name in usage}
            ctx.expect.equal(operation, "usage of 0", usage, zeros, response)
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    for name in usage:
        label = f"usage.{name} of 0"
        ctx.judge("get_pool_metrics", metrics).field(f"usage.{name}", 0, label, optional=True)


@scenario(
    "reported.events",
    *STREAMS,
    clauses="RolloutEventType#a81a#2c5d#c644#d2b5#03a3, RolloutEventData#f35d#7611, Limits#579a",
    needs="containers",
)
def reported_events(ctx: Context) -> None:
    events_sent: list[dict[str, Any]] = [
        {"sequence": 1, "type": "step", "text": "Grüße 🌍", "n": [1, 2.5, None, 2**53 + 1]},
        # The container makes the event large: the request must stay below every limit.
        {"sequence": 2, "type": "large", "repeat": _LARGE},
        # Every server takes as much as this.
        {"sequence": 3, "type": "medium", "text": "x" * 3_900},
        {"sequence": 4, "nested": {"deep": [{"x": 1}]}},
    ]
    pool_id = ctx.resources.pool(
        container_url=ctx.session.containers["good"], config={"telemetry": {"kit": True}}
    )
    rollout = run_rollout(ctx, pool_id, env={"tell": events_sent, "reward": 0.5})
    for operation, ids in rollout.streams(ctx):
        stream = ctx.stream(operation, ids)
        judge = ctx.judge(operation, stream)
        remaining = [reported_event(event) for event in events_sent]
        for data in (m.envelope.get("data") for m in stream.messages if m.event == "agent"):
            places = [n for n, event in enumerate(remaining) if _is_of(event, data)]
            demand = "an event of the container's, whole, in order"
            if not judge.that(demand, bool(places), show(data, 300)):
                break
            remaining = remaining[places[0] + 1 :]
        judge.equal("the number of reward events", 1, stream.events.count("reward"))
        sources = {event.split(".")[0] for event in stream.events}
        judge.that(
            "events of the server, and of the container that ran",
            sources <= {"rollout", "agent", "reward", "verifier"},
            str(sorted(sources)),
        )


def _is_of(event: dict[str, Any], data: Any) -> bool:
    """Return True if data is an event of a container, or its truncated form."""
    if at(data, "truncated") is True:
        size = at(data, "size_bytes")
        return event.get("type") == "large" and isinstance(size, int) and size >= _LARGE
    return same_json(event, data)


@scenario(
    "reported.telemetry",
    "create_rollout",
    "update_pool",
    clauses="PoolConfig.telemetry#6fd7, update_pool#aed3",
    needs="containers",
)
def reported_telemetry(ctx: Context) -> None:
    first = {"level": "high", "nested": {"x": [1, None]}}
    pool_id = ctx.resources.pool(
        container_url=ctx.session.containers["good"], config={"telemetry": first}
    )
    _judge_telemetry(ctx, pool_id, first)
    changed = {"level": None, "nested": {"x": [2], "y": "low"}}
    ctx.require(200, "update_pool", {"pool_id": pool_id}, json={"config": {"telemetry": changed}})
    # A null is merged like all others: it takes the field away.
    _judge_telemetry(ctx, pool_id, {"nested": {"x": [2], "y": "low"}})


def _judge_telemetry(ctx: Context, pool_id: str, expected: dict[str, Any]) -> None:
    rollout = run_rollout(ctx, pool_id)
    read = ctx.require(200, "get_rollout", rollout.ids)
    requests = ctx.session.received.sent(rollout.id)
    actual = [at(request.body, "telemetry") for request in requests]
    ctx.expect.equal("create_rollout", "telemetry of what is sent", [expected], actual, read)
