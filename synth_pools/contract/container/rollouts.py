"""Scenarios of the result of a rollout, and of its termination."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from synth_pools.contract.container.level import scenario
from synth_pools.contract.container.submissions import (
    REWARDS,
    State,
    Submission,
    end_of,
    read_state,
    refuse_left_out,
    reward_of,
    state_of,
    submit,
    under_way,
)
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import excerpt, show

_RESULTS = ("run_rollout", "get_rollout")
_TOKENS = (
    *("input_tokens", "llm_input_tokens", "prompt_tokens"),
    *("output_tokens", "llm_output_tokens", "completion_tokens"),
)
_COSTS = ("cost_usd", "total_cost_usd")


def _ends(ctx: Context) -> Iterator[tuple[str, Response]]:
    """Yield the end of a rollout of each mode, with the operation that tells it."""
    for mode in ("sync", "async"):
        submission = submit(ctx, mode)
        end = end_of(ctx, submission)
        yield _RESULTS[end is not submission.answer], end


@scenario("rollouts.reward", "run_rollout", clauses="info#5aa1")
def rollouts_reward(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        values = [at(end.json, *path) for path in REWARDS]
        others = [value for value in values if value not in (ABSENT, None)]
        is_number = reward_of(end.json) is not None or not others
        ctx.judge(operation, end).that("a reward is a number", is_number, show(others))


@scenario("rollouts.usage", "run_rollout", clauses="RolloutState.usage#53e8")
def rollouts_usage(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        for name in (*_TOKENS, *_COSTS):
            value = end.at("usage", name)
            if value in (ABSENT, None):
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            is_whole = name in _COSTS or (is_number and value == int(value))
            ctx.judge(operation, end).that(
                f"usage.{name} is a number from 0 on, of tokens a whole one",
                is_number and is_whole and value >= 0,
                f"usage.{name} is {show(value)}",
            )


@scenario("rollouts.artifacts", "run_rollout", clauses="RolloutState.artifact#cb3f")
def rollouts_artifacts(ctx: Context) -> None:
    for operation, end in _ends(ctx):
        listed = end.at("artifact")
        listed = end.at("artifacts") if listed in (ABSENT, None) else listed
        for item in listed if isinstance(listed, list) else [listed]:
            if at(item, "content_encoding") == "base64":
                content = item.get("content")
                ctx.judge(operation, end).that(
                    "the content of an artifact of base64 is base64",
                    _is_base64(content),
                    show(content),
                )


def _is_base64(content: Any) -> bool:
    try:
        base64.b64decode("".join(str(content).split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return isinstance(content, str)


@scenario(
    "rollouts.terminated",
    "terminate_rollout",
    clauses="""
        terminate_rollout#7960, terminate_rollout responses 2XX#8d01
    """,
)
def rollouts_terminated(ctx: Context) -> None:
    [submission] = under_way(ctx)
    terminate(ctx, submission)
    end_after_termination(ctx, submission)


def terminate(ctx: Context, submission: Submission) -> None:
    """Terminate a rollout.

    Raises:
        InconclusiveError: The container leaves it out.
    """
    response = ctx.call("terminate_rollout", submission.ids, json={})
    refuse_left_out(response, "terminate_rollout")
    ctx.expect.status(response, (200, 201, 202, 204), "terminate_rollout")


def end_after_termination(ctx: Context, submission: Submission) -> None:
    """Expect a terminated rollout to end, or to be known no more.

    Raises:
        InconclusiveError: It does not end, and everything takes long here.
    """
    waited = ctx.session.patience
    for _ in ctx.session.pauses():
        response = read_state(ctx, submission)
        if state_of(response) is not State.UNDER_WAY:
            break
    is_over = state_of(response) is not State.UNDER_WAY
    if not is_over and not ctx.session.is_proof(waited):
        note = f"it has not ended after {waited:.0f} s, and requests take long here"
        raise InconclusiveError(Outcome.NOT_REACHED, "terminate_rollout", note)
    ctx.judge("terminate_rollout", response).that(
        "a rollout ends after a 2XX to its termination", is_over, excerpt(response.exchange)
    )
