"""Rollouts that the kit submits to a container, and the states that it tells of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NoReturn

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.http.client import ABSENT, HttpClient, Response, at
from synth_pools.contract.http.reproduce import CONTAINER_KEY
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import media_type

# Added by a pool with `telemetry` in its configuration.
TELEMETRY = {"enabled": True, "transport": "poll"}
LINES = "application/x-ndjson"
_LINE = re.compile(rb"[^\n]+\n?")
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
    """A submitted rollout, the answer to its submission, and the lines before that."""

    ctx: Context
    id: str
    answer: Response
    lines: Sequence[Response] = ()

    def call(self, operation: str, **request: Any) -> Response:
        """Send a request about the rollout; see `Context.call`."""
        return self.ctx.call(operation, {"rollout_id": self.id}, **request)

    def read(self) -> Response:
        """Read the state; a rollout that has ended needs no clean-up."""
        session = self.ctx.session
        response = self.call("get_rollout", limit=session.patience)
        if state_of(response) is State.ENDED:
            session.created.discard(self.id)
        return response

    def end(self) -> Response:
        """Return the answer with the end of the rollout; wait for it.

        Raises:
            StopScenarioError: The container loses the rollout, or it does not end.
            InconclusiveError: It does not end, and everything takes long here.
        """
        response = self.answer
        for _ in self.ctx.session.pauses():
            if state_of(response) is State.ENDED:
                self.ctx.session.created.discard(self.id)
                return response
            response = self.read()
            is_there = response.exchange.late or is_known(response, self.id)
            judge = self.ctx.judge("get_rollout", response)
            if not judge.answered("a rollout that is under way is known", is_there):
                raise StopScenarioError
        self._judge_end("get_rollout", response, "the rollout ends")
        raise StopScenarioError

    def terminate(self) -> None:
        """Terminate the rollout, and expect it to end, or to be known no more.

        Raises:
            InconclusiveError: The container leaves it out, or everything takes long here.
        """
        response = self.call("terminate_rollout", json={})
        refuse_left_out(response, "terminate_rollout")
        if self.ctx.expect.status(response, (200, 201, 202, 204), "terminate_rollout"):
            for _ in self.ctx.session.pauses():
                response = self.read()
                if state_of(response) is not State.UNDER_WAY:
                    break
            demand = "a rollout ends after a 2XX to its termination"
            self._judge_end("terminate_rollout", response, demand)

    def clean_up(self) -> None:
        """Terminate the rollout, whatever the container answers."""
        self.ctx.session.http.call("terminate_rollout", {"rollout_id": self.id}, json={})

    def _judge_end(self, operation: str, response: Response, demand: str) -> None:
        """Judge the last answer of a wait for the end.

        Raises:
            InconclusiveError: It has not ended, and everything takes long here.
        """
        session = self.ctx.session
        is_over = state_of(response) is not State.UNDER_WAY
        waited = session.allowance(session.patience)
        if not is_over and not session.is_proof(waited):
            note = f"the rollout has not ended after {waited:.0f} s, and requests take long here"
            raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
        self.ctx.judge(operation, response).answered(demand, is_over)


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


def send(ctx: Context, body: Mapping[str, Any], *, takes_lines: bool = False) -> Submission:
    """Submit a body.

    Raises:
        StopScenarioError: The container does not take it, or answers for another rollout.
    """
    identity = str(body["rollout_id"])
    ctx.session.created.add(identity)
    limit = ctx.session.allowance(ctx.session.patience)
    headers = line_headers(ctx) if takes_lines else None
    response = ctx.require(_ACCEPTED, "run_rollout", json=body, limit=limit, headers=headers)
    lines: list[Response] = []
    if takes_lines and media_type(response.exchange) == LINES:
        *lines, response = lines_of(response)
    is_named = response.at("rollout_id") not in (ABSENT, None)
    if is_named and not ctx.judge("run_rollout", response).field("rollout_id", identity):
        raise StopScenarioError
    return Submission(ctx, identity, response, lines)


def line_headers(ctx: Context) -> dict[str, str]:
    """Return the headers of a submission whose answer may have lines of events before it."""
    return {**ctx.session.http.authorized(), "accept": f"application/json, {LINES}"}


def lines_of(response: Response) -> list[Response]:
    """Return the lines of an answer that are not empty, the last of which is the answer itself."""
    lines = [line for line in _LINE.findall(response.exchange.response_body) if line.strip()]
    return [Response(replace(response.exchange, response_body=line)) for line in lines or [b""]]


def send_for_lines(ctx: Context) -> Submission:
    """Submit a rollout whose answer has lines of events before it.

    Raises:
        InconclusiveError: The container sends none.
    """
    submission = send(ctx, submission_body(ctx, "sync", telemetry=TELEMETRY), takes_lines=True)
    if media_type(submission.answer.exchange) != LINES:
        note = "its answers have no lines of events"
        raise InconclusiveError(Outcome.NOT_OFFERED, "get_rollout_events", note)
    return submission


@contextlib.contextmanager
def under_way(ctx: Context, count: int) -> Iterator[list[Submission]]:
    """Submit rollouts that last, and terminate them at the end.

    Raises:
        InconclusiveError: They end at once.
    """
    submissions = [submit(ctx, "async", slow=True) for _ in range(count)]
    for submission in submissions:
        if State.ENDED in (state_of(submission.answer), state_of(submission.read())):
            raise_too_short("terminate_rollout")
    try:
        yield submissions
    finally:
        for submission in submissions:
            submission.clean_up()


def raise_too_short(operation: str) -> NoReturn:
    """Raise because rollouts end at once.

    Raises:
        InconclusiveError: In any case.
    """
    note = "no rollout lasts long enough: give --slow-request with one that does"
    raise InconclusiveError(Outcome.NOT_REACHED, operation, note)


def refuse_left_out(response: Response, operation: str) -> None:
    """Raise if the container leaves an operation out.

    Raises:
        InconclusiveError: It answers 4XX or 501.
    """
    status = response.status or 0
    if 400 <= status < 500 or status == 501:
        note = f"the container leaves it out: it answers {status}"
        raise InconclusiveError(Outcome.NOT_OFFERED, operation, note)
