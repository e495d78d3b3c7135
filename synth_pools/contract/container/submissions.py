"""Rollouts that the kit submits to a container, and the states that it tells of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.http.client import ABSENT, HttpClient, Response, at
from synth_pools.contract.http.reproduce import CONTAINER_KEY
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import excerpt

UNDER_WAY = frozenset(
    {"accepted", "created", "in_progress", "paused", "pending", "queued", "running", "starting"}
    | {"submitted"}
)
FAILURES = frozenset(
    {"aborted", "canceled", "cancelled", "error", "failed", "terminated", "timed_out", "timeout"}
)
SUCCESSES = frozenset({"success", "succeeded", "completed", "ok"})
REWARDS = (
    *(("metrics", "outcome_reward"), ("reward_info", "outcome_reward")),
    *(("summary", "reward"), ("summary", "outcome_reward"), ("reward",)),
)
_ACCEPTED = Status((200, 201, 202), "the rollout is taken")


class State(Enum):
    """State of a rollout by an answer; `UNKNOWN` if it tells none."""

    UNKNOWN = "unknown"
    UNDER_WAY = "under way"
    ENDED = "ended"


class SubmissionClient(HttpClient):
    """Client of a container: its key is in `X-API-Key`."""

    def call(
        self,
        operation: str,
        ids: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
        **request: Any,
    ) -> Response:
        """Send a request with the key, unless `headers` are given; see `HttpClient.call`."""
        headers = self.authorized() if headers is None else headers
        return super().call(operation, ids, headers=headers, authorization=authorization, **request)

    def authorized(self) -> dict[str, str]:
        return {"x-api-key": CONTAINER_KEY} if self.key.reveal() else {}

    def _keys(self) -> dict[str, str]:
        return {CONTAINER_KEY: self.key.reveal()}


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted rollout, and the answer to its submission."""

    id: str
    answer: Response

    @property
    def ids(self) -> dict[str, str]:
        return {"rollout_id": self.id}


def state_of(response: Response) -> State:
    """Return the state that an answer tells; silence is that of a rollout under way."""
    body = response.json
    if response.exchange.late:
        return State.UNDER_WAY
    if response.status is None or response.status >= 300 or not isinstance(body, dict):
        return State.UNKNOWN
    status, success = body.get("status"), body.get("success_status")
    if isinstance(status, str) and status.lower() in UNDER_WAY:
        return State.UNDER_WAY
    if isinstance(status, str) or isinstance(success, str) or reward_of(body) is not None:
        return State.ENDED
    return State.UNDER_WAY if response.status == 202 else State.UNKNOWN


def has_failed(response: Response) -> bool:
    """Return True if an answer tells the failure of a rollout."""
    status, success = response.at("status"), response.at("success_status")
    is_good = success in (ABSENT, None) or str(success).lower() in SUCCESSES
    return not is_good or str(status).lower() in FAILURES


def reward_of(body: Any) -> float | None:
    """Return the reward in an answer, the first number in the places for it."""
    values = (at(body, *path) for path in REWARDS)
    return next((value for value in values if type(value) in (int, float)), None)


def is_known(response: Response, rollout_id: str) -> bool:
    """Return True if an answer to `get_rollout` tells the state of this rollout."""
    is_own = response.at("rollout_id") in (ABSENT, None, rollout_id)
    # A reward alone is no state.
    texts = (response.at("status"), response.at("success_status"))
    return response.status == 200 and is_own and any(isinstance(text, str) for text in texts)


def submission_body(
    ctx: Context, mode: str, rollout_id: str = "", *, slow: bool = False, **more: Any
) -> dict[str, Any]:
    """Build the body of a submission from the fields of the options."""
    options = ctx.session.options
    fields = (options.slow_request if slow else None) or options.rollout_request or {}
    identity = rollout_id or ctx.resources.name()
    return {**fields, **more, "rollout_id": identity, "submission_mode": mode}


def submit(ctx: Context, mode: str, rollout_id: str = "", **more: Any) -> Submission:
    """Submit a rollout; see `submission_body` and `send`."""
    return send(ctx, submission_body(ctx, mode, rollout_id, **more))


def send(ctx: Context, body: Mapping[str, Any]) -> Submission:
    """Submit a body.

    Raises:
        StopScenarioError: The container does not take it, or answers for another rollout.
    """
    identity = str(body["rollout_id"])
    ctx.session.created.add(identity)
    limit = ctx.session.allowance(ctx.session.patience)
    response = ctx.require(_ACCEPTED, "run_rollout", json=body, limit=limit)
    is_named = response.at("rollout_id") not in (ABSENT, None)
    if is_named and not ctx.judge("run_rollout", response).field("rollout_id", identity):
        raise StopScenarioError
    return Submission(identity, response)


def read_state(ctx: Context, submission: Submission) -> Response:
    """Read the state of a rollout; one that has ended needs no clean-up."""
    response = ctx.call("get_rollout", submission.ids, limit=ctx.session.patience)
    if state_of(response) is State.ENDED:
        ctx.session.created.discard(submission.id)
    return response


def end_of(ctx: Context, submission: Submission) -> Response:
    """Return the answer with the end of a rollout; wait for it.

    Raises:
        StopScenarioError: The container loses the rollout, or it does not end.
        InconclusiveError: It does not end, and everything takes long here.
    """
    response = submission.answer
    for _ in ctx.session.pauses():
        if state_of(response) is State.ENDED:
            ctx.session.created.discard(submission.id)
            return response
        response = read_state(ctx, submission)
        demand, observed = "a rollout that is under way is known", excerpt(response.exchange)
        is_there = response.exchange.late or is_known(response, submission.id)
        if not ctx.judge("get_rollout", response).that(demand, is_there, observed):
            raise StopScenarioError
    ended_in_time(ctx, "get_rollout", response, "the rollout ends")
    raise StopScenarioError


def ended_in_time(ctx: Context, operation: str, response: Response, demand: str) -> None:
    """Judge the last answer of a wait for the end of a rollout.

    Raises:
        InconclusiveError: It has not ended, and everything takes long here.
    """
    is_over = state_of(response) is not State.UNDER_WAY
    waited = ctx.session.allowance(ctx.session.patience)
    if not is_over and not ctx.session.is_proof(waited):
        note = f"the rollout has not ended after {waited:.0f} s, and requests take long here"
        raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
    ctx.judge(operation, response).that(demand, is_over, excerpt(response.exchange))


@contextlib.contextmanager
def under_way(ctx: Context, count: int) -> Iterator[list[Submission]]:
    """Submit rollouts that last, and terminate them at the end.

    Raises:
        InconclusiveError: They end at once.
    """
    submissions = [submit(ctx, "async", slow=True) for _ in range(count)]
    for submission in submissions:
        states = (state_of(submission.answer), state_of(read_state(ctx, submission)))
        if State.ENDED in states:
            note = "no rollout lasts long enough: give --slow-request with one that does"
            raise InconclusiveError(Outcome.NOT_REACHED, "terminate_rollout", note)
    try:
        yield submissions
    finally:
        for submission in submissions:
            ctx.session.http.call("terminate_rollout", submission.ids, json={})


def refuse_left_out(response: Response, operation: str) -> None:
    """Raise if the container leaves an operation out.

    Raises:
        InconclusiveError: It answers 4XX or 501.
    """
    status = response.status or 0
    if 400 <= status < 500 or status == 501:
        note = f"the container leaves it out: it answers {status}"
        raise InconclusiveError(Outcome.NOT_OFFERED, operation, note)
