"""Rollouts that the kit submits to a container, and the states that it tells of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.waits import becomes_true
from synth_pools.contract.http.client import ABSENT, HttpClient, Response
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


class RolloutAnswer(Response):
    """Answer that tells how a rollout is, or nothing of that."""

    @property
    def is_under_way(self) -> bool:
        """True of a rollout under way; silence is a sign of one."""
        status = self.at("status")
        is_said = isinstance(status, str) and status.lower() in UNDER_WAY
        is_accepted = self.status == 202 and not self._has_words
        return self.exchange.late or (self._is_good and (is_said or is_accepted))

    @property
    def has_ended(self) -> bool:
        """True of a rollout that has ended, in any way."""
        return self._is_good and self._has_words and not self.is_under_way

    @property
    def has_failed(self) -> bool:
        """True of a failure."""
        status, success = self.at("status"), self.at("success_status")
        is_good = success in (ABSENT, None) or str(success).lower() in SUCCESSES
        return not is_good or str(status).lower() in FAILURES

    @property
    def reward(self) -> float | None:
        """The reward, the first number in the places for it."""
        values = (self.at(*path) for path in REWARDS)
        return next((value for value in values if type(value) in (int, float)), None)

    def is_of(self, rollout_id: str) -> bool:
        """Return True if an answer to `get_rollout` tells the state of this rollout."""
        is_own = self.at("rollout_id") in (ABSENT, None, rollout_id)
        # A reward alone is no state.
        return self.status == 200 and is_own and self._has_state

    @property
    def _is_good(self) -> bool:
        return self.status is not None and self.status < 300 and isinstance(self.json, dict)

    @property
    def _has_state(self) -> bool:
        return any(isinstance(self.at(name), str) for name in ("status", "success_status"))

    @property
    def _has_words(self) -> bool:
        return self._has_state or self.reward is not None


@dataclass
class SubmissionClient(HttpClient):
    """Client of a container: its key is in `X-API-Key`, and no status says that it is busy."""

    busy: tuple[int, ...] = ()
    untimed: frozenset[str] = frozenset({"run_rollout"})

    def call(
        self,
        operation: str,
        ids: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Response:
        """Send a request with the key, unless `headers` are given; see `HttpClient.call`."""
        headers = self.authorized() if headers is None else headers
        return super().call(operation, ids, headers=headers, **request, authorization=None)

    def authorized(self) -> dict[str, str]:
        return {"x-api-key": CONTAINER_KEY} if self.key.reveal() else {}

    def _keys(self) -> dict[str, str]:
        return {CONTAINER_KEY: self.key.reveal()}


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted rollout, the answer to its submission, and the lines before that."""

    ctx: Context
    id: str
    answer: RolloutAnswer
    lines: Sequence[Response] = ()

    def call(self, operation: str, **request: Any) -> Response:
        """Send a request about the rollout; see `Context.call`."""
        return self.ctx.call(operation, {"rollout_id": self.id}, **request)

    def read(self) -> RolloutAnswer:
        """Read the state; a rollout that has ended needs no clean-up."""
        session = self.ctx.session
        answer = RolloutAnswer(self.call("get_rollout", limit=session.patience).exchange)
        if answer.has_ended:
            session.created.discard(self.id)
        return answer

    def end(self) -> RolloutAnswer:
        """Return the answer with the end of the rollout; wait for it.

        Raises:
            StopScenarioError: The container loses the rollout, or it does not end.
            InconclusiveError: It does not end, and everything takes long here.
        """

        def has_ended(answer: RolloutAnswer) -> bool:
            is_there = answer.exchange.late or answer.is_of(self.id)
            judge = self.ctx.judge("get_rollout", answer)
            if not judge.answered("a rollout that is under way is known", is_there):
                raise StopScenarioError
            return answer.has_ended

        answer = self.answer
        if not answer.has_ended:
            answer = self._read_until(has_ended, "get_rollout", "the rollout ends")
        self.ctx.session.created.discard(self.id)
        return answer

    def terminate(self) -> None:
        """Terminate the rollout, and expect it to end, or to be known no more.

        Raises:
            InconclusiveError: The container leaves it out, or everything takes long here.
        """
        response = self.call("terminate_rollout", json={})
        refuse_left_out(response, "terminate_rollout")
        if self.ctx.expect.status(response, (200, 201, 202, 204), "terminate_rollout"):
            demand = "a rollout ends after a 2XX to its termination"
            self._read_until(lambda it: not it.is_under_way, "terminate_rollout", demand)

    def clean_up(self) -> None:
        """Terminate the rollout, whatever the container answers."""
        self.ctx.session.http.call("terminate_rollout", {"rollout_id": self.id}, json={})

    def _read_until(
        self, is_over: Callable[[RolloutAnswer], bool], operation: str, demand: str
    ) -> RolloutAnswer:
        """Wait for an end that an operation has to bring about.

        Raises:
            StopScenarioError: It does not come.
            InconclusiveError: It has not come, and everything takes long here.
        """
        last = self.answer

        def look() -> bool:
            nonlocal last
            last = self.read()
            return is_over(last)

        has_come = becomes_true(self.ctx, operation, look)
        if not self.ctx.judge(operation, last).answered(demand, has_come):
            raise StopScenarioError
        return last


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
    has_lines = takes_lines and media_type(response.exchange) == LINES
    *lines, answer = lines_of(response) if has_lines else [RolloutAnswer(response.exchange)]
    is_named = answer.at("rollout_id") not in (ABSENT, None)
    if is_named and not ctx.judge("run_rollout", answer).field("rollout_id", identity):
        raise StopScenarioError
    return Submission(ctx, identity, answer, lines)


def line_headers(ctx: Context) -> dict[str, str]:
    """Return the headers of a submission whose answer may have lines of events before it."""
    return {**ctx.session.http.authorized(), "accept": f"application/json, {LINES}"}


def lines_of(response: Response) -> list[RolloutAnswer]:
    """Return the lines of an answer that are not empty, the last of which is the answer itself."""
    exchange = response.exchange
    lines = [line for line in _LINE.findall(exchange.response_body) if line.strip()]
    return [RolloutAnswer(replace(exchange, response_body=line)) for line in lines or [b""]]


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
        if submission.answer.has_ended or submission.read().has_ended:
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
