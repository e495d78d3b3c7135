"""Retry decisions."""

from __future__ import annotations

import itertools
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pools._client.http import retry
from synth_pools._client.http.retry import (
    AttemptOutcome,
    backoff,
    decide,
    is_repeatable,
    parse_retry_after,
)

NOT_SENT = AttemptOutcome(sent=False)
BROKEN = AttemptOutcome(sent=True)


def status(code: int, retry_after: float | None = None) -> AttemptOutcome:
    return AttemptOutcome(code, retry_after=retry_after)


# (outcome of the attempt, sent again if repeatable, sent again if not)
TABLE: list[tuple[AttemptOutcome, bool, bool]] = [
    (NOT_SENT, True, True),
    (BROKEN, True, False),
    (status(408), True, False),
    (status(429), True, True),
    (status(429, 3.0), True, True),
    (status(429, 60.0), True, True),
    (status(429, 60.1), False, False),
    (status(500), True, False),
    (status(502), True, False),
    (status(502, 1.0), True, False),
    (status(503), True, False),
    (status(503, 0.0), True, True),
    (status(503, 1.0), True, True),
    (status(503, 3600.0), False, False),
    (status(504), True, False),
    *[
        (status(code, after), False, False)
        for code in (200, 301, 400, 401, 403, 404, 405, 409, 413, 415, 422, 501, 505, 520)
        for after in (None, 1.0)
    ],
]


@pytest.mark.parametrize(("outcome", "if_repeatable", "if_not"), TABLE)
def test_requests_that_are_sent_again(
    outcome: AttemptOutcome, if_repeatable: bool, if_not: bool
) -> None:
    for repeatable, expected in ((True, if_repeatable), (False, if_not)):
        wait = decide(outcome, repeatable=repeatable, attempt=1, max_retries=2, random=lambda: 0.5)
        assert (wait is not None) == expected


@pytest.mark.parametrize(
    ("kind", "key", "chosen", "expected"),
    [
        ("always", False, False, True),
        ("never", True, True, False),
        ("with-key", True, False, True),
        ("with-key", False, True, False),
        ("with-id", False, True, True),
        ("with-id", True, False, False),
        ("a class of a later document", True, True, False),
    ],
)
def test_repeatable_requests(kind: str, key: bool, chosen: bool, expected: bool) -> None:
    assert is_repeatable(kind, has_key=key, has_id=chosen) is expected


@pytest.mark.parametrize("max_retries", [0, 1, 2, 7])
def test_no_more_than_max_retries_follow_the_first(max_retries: int) -> None:
    waits = itertools.takewhile(
        lambda wait: wait is not None,
        (
            decide(NOT_SENT, repeatable=True, attempt=n, max_retries=max_retries, random=lambda: 1)
            for n in itertools.count(1)
        ),
    )
    assert len(list(waits)) == max_retries


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (10**9, 8)]
)
def test_the_ceiling_doubles_up_to_eight_seconds(attempt: int, ceiling: float) -> None:
    assert backoff(attempt, lambda: 1.0) == ceiling
    assert backoff(attempt, lambda: 0.25) == ceiling / 4
    assert backoff(attempt, lambda: 0.0) == 0.0


def test_retry_after_is_obeyed() -> None:
    for seconds in (0.25, 1.0, 59.9, 60.0):
        wait = decide(
            status(429, seconds), repeatable=True, attempt=1, max_retries=1, random=lambda: 1.0
        )
        assert wait == seconds


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.09])
def test_a_retry_after_of_nearly_zero_means_the_backoff(seconds: float) -> None:
    def wait(random: float) -> float | None:
        refusal = status(503, seconds)
        return decide(refusal, repeatable=True, attempt=2, max_retries=2, random=lambda: random)

    assert wait(0.9) == 0.9
    assert wait(0.0) == seconds


@pytest.mark.parametrize(("remaining", "expected"), [(5.0, None), (5.1, 5.0), (0.0, None)])
def test_a_wait_beyond_the_remaining_time_is_not_started(
    remaining: float, expected: float | None
) -> None:
    wait = decide(
        status(429, 5.0),
        repeatable=True,
        attempt=1,
        max_retries=2,
        random=lambda: 1.0,
        remaining=remaining,
    )
    assert wait == expected


outcomes = st.one_of(
    st.builds(AttemptOutcome, st.none(), st.booleans(), st.none()),
    st.builds(
        AttemptOutcome,
        st.integers(100, 599),
        st.just(True),
        st.none() | st.floats(0, 1e6, allow_nan=False),
    ),
)


@given(
    outcome=outcomes,
    repeatable=st.booleans(),
    attempt=st.integers(1, 10_000),
    max_retries=st.integers(0, 10_000),
    number=st.floats(0, 1, exclude_max=True),
    remaining=st.none() | st.floats(0, 1e4),
)
def test_limits_hold_for_any_outcome(
    outcome: AttemptOutcome,
    repeatable: bool,
    attempt: int,
    max_retries: int,
    number: float,
    remaining: float | None,
) -> None:
    wait = decide(
        outcome,
        repeatable=repeatable,
        attempt=attempt,
        max_retries=max_retries,
        random=lambda: number,
        remaining=remaining,
    )
    if wait is None:
        return
    assert attempt <= max_retries
    assert outcome.status is None or outcome.status in retry.RETRIED_STATUSES
    assert repeatable or outcome.changed_nothing
    assert 0 <= wait <= retry.LONGEST_RETRY_AFTER
    if not outcome.retry_after:
        assert wait <= retry.LONGEST_BACKOFF
    elif outcome.retry_after < retry.SHORTEST_RETRY_AFTER:
        assert outcome.retry_after <= wait <= retry.LONGEST_BACKOFF
    else:
        assert wait == outcome.retry_after
    assert remaining is None or wait < remaining


@given(outcomes, st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_other_requests_are_sent_again_less_often(
    outcome: AttemptOutcome, attempt: int, number: float
) -> None:
    def wait(repeatable: bool) -> float | None:
        return decide(
            outcome, repeatable=repeatable, attempt=attempt, max_retries=50, random=lambda: number
        )

    if wait(False) is not None:
        assert wait(True) == wait(False)


def test_a_date_to_wait_for_is_counted_by_the_clock_of_the_service() -> None:
    at = 1_445_412_480.0
    before, after = formatdate(at - 90, usegmt=True), formatdate(at + 5, usegmt=True)
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", before) == 90.0
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 -0000", before) == 90.0
    assert parse_retry_after("Wed, 21 Oct 2015 09:28:00 +0200", before) == 90.0
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", after) == 0.0
    assert parse_retry_after("Wed, 99 Oct 2015 07:28:00 GMT", before) is None
    assert parse_retry_after(None, before) is None
    assert parse_retry_after("7", before) == 7.0


@pytest.mark.parametrize("date", [None, "", "yesterday", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_a_date_without_that_of_the_answer_is_counted_from_now(date: str | None) -> None:
    started = time.time()
    seconds = parse_retry_after(formatdate(started + 1000, usegmt=True), date)
    assert seconds is not None
    # A date has no fractions of a second.
    assert started + 999 <= seconds + time.time()
    assert seconds <= 1000
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", date) == 0.0


@given(st.text(max_size=40), st.none() | st.text(max_size=40))
def test_any_text_is_a_time_or_is_not(text: str, date: str | None) -> None:
    seconds = parse_retry_after(text, date)
    assert seconds is None or seconds >= 0
