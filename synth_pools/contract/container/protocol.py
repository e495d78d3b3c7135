"""Scenarios of the protocol: submission, states, events, ids, keys and repetition."""

from __future__ import annotations

import contextlib

from synth_pools.contract.container.level import scenario
from synth_pools.contract.container.submissions import (
    TELEMETRY,
    RolloutAnswer,
    Submission,
    refuse_left_out,
    send,
    send_for_lines,
    submission_body,
    submit,
)
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context, Judge
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.http.reproduce import CONTAINER_KEY
from synth_pools.contract.results import Column, Outcome
from synth_pools.contract.rules.verdict import excerpt

# Largest answer that a line break may end.
_LARGEST_LINE = 256 * 1024
_NO_KEY = Status((401, 403), "the key is missing, or it is wrong")


@scenario(
    "protocol.modes",
    "run_rollout",
    clauses="""
        info#6df2#4122#4f1a#1414#3ada, run_rollout responses 2XX#b2c7,
        RolloutSubmission.submission_mode#691b, RolloutSubmission.rollout_id#3912,
        RolloutState.rollout_id#7b4d, RolloutState#e237, RolloutState.status#e72f
    """,
)
def protocol_modes(ctx: Context) -> None:
    for mode in ("sync", "async"):
        submission = submit(ctx, mode)
        answer = submission.answer
        judge = ctx.judge("run_rollout", answer)
        judge.answered("a state or a reward", answer.has_ended or answer.is_under_way)
        submission.end()


@scenario("protocol.ended", "get_rollout", clauses="get_rollout#bbf8, KnownRollout#7430")
def protocol_ended(ctx: Context) -> None:
    note, rewards = "", []
    for mode in ("sync", "async"):
        submission = submit(ctx, mode)
        end = submission.end()
        rewards.append(None if end.has_failed else end.reward)
        for again in (submission.read(), submission.read()):
            if again.is_of(submission.id):
                _same_end(ctx, end, again)
            else:
                note = f"it knows no rollout that has ended: it answers {again.status}"
    if end is submission.answer and note:
        raise InconclusiveError(Outcome.NOT_OFFERED, "get_rollout", note)
    is_whole = rewards[0] is None or rewards[1] is not None or end.has_failed
    ctx.judge("get_rollout", end).answered("the whole answer, with the reward", is_whole)


def _same_end(ctx: Context, end: RolloutAnswer, again: RolloutAnswer) -> None:
    observed = f"{excerpt(again.exchange)} after {excerpt(end.exchange)}"
    is_same = again.has_ended and again.has_failed == end.has_failed
    judge = ctx.judge("get_rollout", again)
    judge.that("it stays as it ended", is_same, observed)
    judge.equal("the reward, again,", end.reward, again.reward)


@scenario(
    "protocol.unknown",
    "get_rollout",
    "get_rollout_events",
    "terminate_rollout",
    clauses="get_rollout#ecc3",
)
def protocol_unknown(ctx: Context) -> None:
    unknown = {"rollout_id": ctx.resources.name()}
    answer = RolloutAnswer(ctx.session.http.call("get_rollout", unknown).exchange)
    # A body without a state is an answer to this question, though it is no `KnownRollout`.
    ctx.expect.record(answer.exchange, judged=answer.status != 200)
    judge, is_unknown = ctx.judge("get_rollout", answer), not answer.is_of(unknown["rollout_id"])
    judge.answered("no state of a rollout that was never sent", is_unknown)
    for operation, body in (("get_rollout_events", ABSENT), ("terminate_rollout", {})):
        response = ctx.call(operation, unknown, json=body)
        is_answer = (response.status or 500) < 500 or response.status == 501
        ctx.judge(operation, response).answered("2XX or 4XX", is_answer)


@scenario("protocol.ids", "run_rollout", clauses="parameters RolloutId#852c")
def protocol_ids(ctx: Context) -> None:
    name = ctx.resources.name()
    twins = [submit(ctx, "async", identity) for identity in (f"{name}.A_z", f"{name}.a_Z")]
    for submission in (*twins, submit(ctx, "async", name.ljust(128, "x"))):
        submission.end()


@scenario("protocol.fields", "run_rollout", clauses="RolloutSubmission#5a9d, run_rollout#65cc")
def protocol_fields(ctx: Context) -> None:
    submit(ctx, "sync", telemetry=TELEMETRY).end()
    submit(ctx, "sync", seed=7).end()


@scenario("protocol.direct", "run_rollout", clauses="run_rollout#c55d")
def protocol_direct(ctx: Context) -> None:
    ctx.call("run_rollout", query={"seed": 7, "kit": "ü & =?#/%41"}, json={})
    submit(ctx, "sync").end()


@scenario("protocol.repeated", "run_rollout", clauses="info#3d30#0850")
def protocol_repeated(ctx: Context) -> None:
    for mode in ("sync", "async"):
        body = submission_body(ctx, mode)
        for _ in range(2):
            send(ctx, body).end()


@scenario("protocol.key", "run_rollout", clauses="info#2017")
def protocol_key(ctx: Context) -> None:
    if not ctx.session.http.authorized():
        raise InconclusiveError(Outcome.NOT_REACHED, "run_rollout", "needs --api-key")
    submission = submit(ctx, "async")
    for headers in ({}, {"x-api-key": "wrong"}, {"x-api-key": f"{CONTAINER_KEY}x"}):
        sent = submission_body(ctx, "sync")
        response = ctx.call("run_rollout", json=sent, headers=headers)
        _refused(ctx, "run_rollout", response)
        for operation, body in (("get_rollout", ABSENT), ("terminate_rollout", {})):
            right = ctx.session.http.call(operation, {"rollout_id": submission.id}, json=body)
            if right.status is not None and right.status < 300:
                response = submission.call(operation, headers=headers, json=body)
                _refused(ctx, operation, response)


def _refused(ctx: Context, operation: str, response: Response) -> None:
    judge = ctx.judge(operation, response, column=Column.AUTH)
    judge.answered(str(_NO_KEY), response.status in _NO_KEY.statuses)


@scenario(
    "protocol.events",
    "get_rollout_events",
    clauses="""
        get_rollout_events#29db, get_rollout_events parameters after#6088, get_rollout_events
        parameters after_sequence#f8ec, get_rollout_events parameters limit#4a8c,
        EventPage#9925, EventPage.events#a40a
    """,
)
def protocol_events(ctx: Context) -> None:
    for slow in (False, True):
        submission = submit(ctx, "async", slow=slow, telemetry=TELEMETRY)
        first: list[int] = []
        is_over = submission.answer.has_ended
        for _ in ctx.session.pauses():
            first, _ = _page(ctx, submission, 0)
            if first or is_over:
                break
            is_over = not submission.read().is_under_way
        if first:
            break
    else:
        note = "no event with a sequence: give --slow-request with a rollout that tells some"
        raise InconclusiveError(Outcome.NOT_REACHED, "get_rollout_events", note)
    again, judge = _page(ctx, submission, 0)
    judge.equal("the events of the same position", first, again[: len(first)])
    collected = [0]
    for _ in first:
        page, judge = _page(ctx, submission, collected[-1], limit=1)
        judge.that("a page holds no more than limit", len(page) <= 1, f"{len(page)} events")
        collected += page[:1]
    judge.equal("the events, page by page,", first, collected[1:])
    beyond, judge = _page(ctx, submission, first[-1] + 1_000_000)
    judge.equal("the events after the last one", [], beyond)
    submission.clean_up()


def _page(
    ctx: Context, submission: Submission, after: int, limit: int = 1_000
) -> tuple[list[int], Judge]:
    """Return the sequences of a page of events, and the judge of the page."""
    query = {"after": after, "after_sequence": after, "limit": limit}
    response = submission.call("get_rollout_events", query=query)
    refuse_left_out(response, "get_rollout_events")
    ctx.expect.status(response, 200, "get_rollout_events")
    judge = ctx.judge("get_rollout_events", response)
    return _sequences(ctx, "get_rollout_events", response, after), judge


def _sequences(ctx: Context, operation: str, page: Response, after: int) -> list[int]:
    """Return the sequences of the events of a page."""
    sequences = [at(event, "sequence") for event in page.list_at("events")]
    numbers = [number for number in sequences if type(number) is int]
    judge = ctx.judge(operation, page)
    in_order = numbers == sorted(set(numbers)) and all(number > after for number in numbers)
    judge.that(f"sequences that rise, above {after}", in_order, f"sequences {numbers[:20]}")
    return numbers


@scenario(
    "protocol.lines", "run_rollout", "get_rollout_events", clauses="run_rollout#a951#1dc2#fc3d"
)
def protocol_lines(ctx: Context) -> None:
    submission = send_for_lines(ctx)
    collected = [0]
    for line in submission.lines:
        _in_form(ctx, line, "EventPage", "each line before the answer is a page of events")
        collected += _sequences(ctx, "run_rollout", line, collected[-1])
    answer = submission.answer
    _in_form(ctx, answer, "RolloutState", "the last line is the answer")
    submission.end()
    text = answer.exchange.response_body
    demand = f"an answer that a line break ends has at most {_LARGEST_LINE} bytes"
    is_small = len(text) <= _LARGEST_LINE or not text.endswith(b"\n")
    ctx.judge("run_rollout", answer).that(demand, is_small, f"{len(text)} bytes")
    with contextlib.suppress(InconclusiveError):
        # A pool asks for further ones where the answer says that there are some, or says nothing.
        count, last = answer.at("event_count"), collected[-1]
        is_asked = type(count) is not int or count > last
        present, page = _page(ctx, submission, 0)
        present = [number for number in present if number <= last or not is_asked]
        judge = ctx.judge("run_rollout", page.response)
        judge.equal("the events of the lines", present, collected[1:][: len(present)])


def _in_form(ctx: Context, line: Response, schema: str, demand: str) -> None:
    is_valid = line.json is not ABSENT and not ctx.session.document.errors(schema, line.json)
    ctx.judge("run_rollout", line).answered(demand, is_valid)
