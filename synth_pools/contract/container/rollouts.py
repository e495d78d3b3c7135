"""Scenarios of the result of a rollout, and of its termination."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from typing import Any

from synth_pools.contract.container.level import scenario
from synth_pools.contract.container.submissions import (
    REWARDS,
    TELEMETRY,
    RolloutAnswer,
    line_headers,
    lines_of,
    raise_too_short,
    send_for_lines,
    submission_body,
    submit,
    under_way,
)
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.waits import becomes_true, call_simultaneously
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show
from synth_pools.trajectories.rules import misplaced

_PATIENCES = 10
_FIRST_EVENT = re.compile(rb'"events"\s*:\s*\[\s*\{')
_RESULTS = ("run_rollout", "get_rollout")
_TOKENS = (
    *("input_tokens", "llm_input_tokens", "prompt_tokens"),
    *("output_tokens", "llm_output_tokens", "completion_tokens"),
    *("cached_input_tokens", "cached_tokens"),
)
_COSTS = ("cost_usd", "total_cost_usd")


def _ends(ctx: Context) -> Iterator[tuple[str, RolloutAnswer]]:
    """Yield the end of a rollout of each mode, with the operation that tells it."""
    for mode in ("sync", "async"):
        submission = submit(ctx, mode)
        end = submission.end()
        yield _RESULTS[end is not submission.answer], end


@scenario("rollouts.reward", "run_rollout", clauses="info#501c")
def rollouts_reward(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        values = [at(end.json, *path) for path in REWARDS]
        others = [value for value in values if value not in (ABSENT, None)]
        is_number = end.reward is not None or not others
        ctx.judge(operation, end).that("a reward is a number", is_number, show(others))


@scenario("rollouts.usage", "run_rollout", clauses="RolloutState.usage#53e8")
def rollouts_usage(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        for name in (*_TOKENS, *_COSTS):
            value = end.at("usage", name)
            is_number = type(value) is int or (name in _COSTS and type(value) is float)
            is_good = value in (ABSENT, None) or (is_number and value >= 0)
            demand = f"usage.{name} is a number from 0 on, of tokens a whole one"
            ctx.judge(operation, end).that(demand, is_good, f"it is {show(value)}")


@scenario("rollouts.artifacts", "run_rollout", clauses="RolloutState.artifact#cb3f")
def rollouts_artifacts(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        listed = end.at("artifact")
        listed = end.at("artifacts") if listed in (ABSENT, None) else listed
        for item in listed if isinstance(listed, list) else [listed]:
            if at(item, "content_encoding") == "base64":
                content = at(item, "content")
                demand = "the content of an artifact of base64 is base64"
                ctx.judge(operation, end).that(demand, _is_base64(content), show(str(content)))


@scenario(
    "rollouts.trajectory",
    "run_rollout",
    clauses="RolloutState.trajectory#eb36, Trajectory#d947#0321#b846, TrajectoryStep#d7bc",
)
def rollouts_trajectory(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        trajectory = end.at("trajectory")
        if isinstance(trajectory, dict):
            faults = ctx.session.document.errors("Trajectory", trajectory)
            fault = faults[0] if faults else misplaced(trajectory)
            is_good, observed = fault is None, fault or ""
            ctx.judge(operation, end).that("the trajectory is in ATIF", is_good, observed)


def _is_base64(content: Any) -> bool:
    try:
        base64.b64decode("".join(content.split()), validate=True)
    except (AttributeError, ValueError):
        return False
    return True


@scenario(
    "rollouts.terminated",
    "terminate_rollout",
    clauses="terminate_rollout#7960, terminate_rollout responses 2XX#8d01",
)
def rollouts_terminated(ctx: Context) -> None:
    with under_way(ctx, 1) as [submission]:
        submission.terminate()


@scenario("rollouts.lines", "run_rollout", clauses="run_rollout#a951")
def rollouts_lines(ctx: Context) -> None:
    send_for_lines(ctx)
    session, http = ctx.session, ctx.session.http
    body = submission_body(ctx, "sync", slow=True, telemetry=TELEMETRY)
    ids = {"rollout_id": body["rollout_id"]}
    session.created.add(body["rollout_id"])
    has_arrived, limit = threading.Event(), _PATIENCES * session.patience

    def read() -> Any:
        """Return the answer up to its first event."""
        answer = http.call(
            "run_rollout",
            json=body,
            headers=line_headers(ctx),
            limit=session.allowance(limit),
            until=lambda content: _FIRST_EVENT.search(content) is not None,
        )
        has_arrived.set()
        return answer

    def watch() -> Any:
        """Return whether an event that pages have comes with the answer, too."""
        try:
            for _ in session.pauses():
                page = http.call("get_rollout_events", ids, query={"after": 0, "limit": 1})
                if has_arrived.is_set() or page.list_at("events"):
                    return becomes_true(ctx, "get_rollout_events", has_arrived.is_set)
        finally:
            http.call("terminate_rollout", ids, json={})
        note = "no event while a rollout runs: give --slow-request with one that tells some"
        raise InconclusiveError(Outcome.NOT_REACHED, "get_rollout_events", note)

    answer, is_in_time = call_simultaneously(ctx, [read, watch], limit)
    ctx.expect.record(answer.exchange)
    is_event = _FIRST_EVENT.search(answer.exchange.response_body) is not None
    if is_in_time and not (is_event and not lines_of(answer)[-1].has_ended):
        raise_too_short("get_rollout_events")
    demand, observed = "events come with the answer once they have happened", "none came in time"
    ctx.judge("run_rollout", answer).that(demand, is_in_time, observed)
