"""Limit of a fleet's concurrent calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pools._client.fleet.adaptive_limit import (
    LONGEST_PAUSE_SECONDS,
    LONGEST_REQUESTED_PAUSE_SECONDS,
    AdaptiveLimiter,
)


def acquire_all(limiter: AdaptiveLimiter, now: float) -> list[int]:
    tickets = []
    while limiter.wait(now) == 0.0:
        tickets.append(limiter.acquire())
    return tickets


def test_as_many_as_allowed_and_no_more() -> None:
    limiter = AdaptiveLimiter(8, lambda: 0.5)
    assert len(acquire_all(limiter, 0.0)) == 8
    assert limiter.wait(0.0) is None
    limiter.release()
    assert limiter.wait(0.0) == 0.0


def test_there_is_room_for_what_is_not_taken() -> None:
    limiter = AdaptiveLimiter(8, lambda: 0.5)
    tickets = [limiter.acquire() for _ in range(3)]
    assert limiter.room(0.0) == 5
    limiter.on_overload(tickets.pop(), 0.0, 2.0)
    assert limiter.room(1.0) == 0
    # The trying call waits for earlier calls.
    assert limiter.room(2.0) == 0
    for ticket in tickets:
        limiter.on_success(ticket)
    assert limiter.room(2.0) == 1


def test_many_refusals_make_one_pause_and_one_call_tries() -> None:
    limiter = AdaptiveLimiter(64, lambda: 1.0)
    for ticket in acquire_all(limiter, 0.0):
        limiter.on_overload(ticket, 0.0, None)
    assert limiter.wait(0.0) == 0.5
    assert limiter.wait(0.49) is not None
    (ticket,) = acquire_all(limiter, 0.5)
    assert limiter.on_overload(ticket, 0.5, None) == 1.0
    assert limiter.wait(0.5) == 1.0
    (ticket,) = acquire_all(limiter, 1.5)
    limiter.on_success(ticket)
    # Then the number doubles with each round, up to half of the number before the overload.
    sizes = []
    for _ in range(5):
        tickets = acquire_all(limiter, 2.0)
        sizes.append(len(tickets))
        for ticket in tickets:
            limiter.on_success(ticket)
    assert sizes == [2, 4, 8, 16, 32]
    for ticket in acquire_all(limiter, 2.0):
        limiter.on_success(ticket)
    assert limiter.window < 34


def test_the_services_own_time_is_kept() -> None:
    limiter = AdaptiveLimiter(4, lambda: 0.0)
    first, second, third, _ = acquire_all(limiter, 0.0)
    limiter.on_overload(first, 0.0, 7.0)
    limiter.on_overload(second, 1.0, 9.0)
    limiter.on_overload(third, 1.0, None)
    assert limiter.wait(1.0) == 9.0
    (ticket,) = [limiter.acquire()] if limiter.wait(10.0) is None else [0]
    limiter.on_overload(ticket, 10.0, 1e9)
    assert (limiter.wait(10.0) or 0.0) <= LONGEST_REQUESTED_PAUSE_SECONDS


@pytest.mark.parametrize("requested", [0.0, 0.001, None])
def test_a_pause_of_nearly_nothing_grows_like_one_without_a_time(requested: float | None) -> None:
    limiter, now = AdaptiveLimiter(4, lambda: 0.0), 0.0
    pauses = []
    for _ in range(5):
        pause = limiter.on_overload(limiter.acquire(), now, requested)
        assert pause is not None
        pauses.append(pause)
        now += pause
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_a_pause_that_grows_by_much_is_reported() -> None:
    limiter = AdaptiveLimiter(4, lambda: 0.0)
    first, second, third, fourth = acquire_all(limiter, 0.0)
    assert limiter.on_overload(first, 0.0, 1.0) == 1.0
    assert limiter.on_overload(second, 0.5, 1.0) is None
    assert limiter.on_overload(third, 0.5, 3600.0) == LONGEST_REQUESTED_PAUSE_SECONDS
    assert limiter.on_overload(fourth, 0.5, 3600.0) is None
    assert limiter.wait(0.5) == LONGEST_REQUESTED_PAUSE_SECONDS


def test_old_news_do_not_end_a_pause() -> None:
    limiter = AdaptiveLimiter(4, lambda: 1.0)
    first, second, *_ = acquire_all(limiter, 0.0)
    limiter.on_overload(first, 0.0, None)
    limiter.on_success(second)
    assert limiter.window == 1.0
    assert limiter.wait(0.1) is not None


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from("shl"), st.floats(0, 5), st.floats(0, 1)), max_size=80),
)
def test_it_always_opens_again(limit: int, story: list[tuple[str, float, float]]) -> None:
    now, chance = 0.0, 0.5
    limiter = AdaptiveLimiter(limit, lambda: chance)
    busy: list[int] = []
    for verdict, step, drawn in story:
        now, chance = now + step, drawn
        if limiter.wait(now) == 0.0:
            busy.append(limiter.acquire())
        assert len(busy) <= limit
        if busy and verdict == "s":
            limiter.on_success(busy.pop(0))
        elif busy and verdict == "h":
            limiter.on_overload(busy.pop(0), now, None)
            assert (limiter.wait(now) or 0.0) <= LONGEST_PAUSE_SECONDS
        elif busy:
            limiter.release()
            busy.pop(0)
    for _ in busy:
        limiter.release()
    assert limiter.wait(now + LONGEST_PAUSE_SECONDS) == 0.0
