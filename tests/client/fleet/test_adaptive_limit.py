"""One slow-down for a whole fleet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synth_pools._client.fleet.adaptive_limit import (
    LONGEST_NAMED_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Throttle,
)


def enter_all(throttle: Throttle, now: float) -> list[int]:
    tickets = []
    while throttle.wait(now) == 0.0:
        tickets.append(throttle.enter())
    return tickets


def test_as_many_as_allowed_and_no_more() -> None:
    throttle = Throttle(8, lambda: 0.5)
    assert len(enter_all(throttle, 0.0)) == 8
    assert throttle.wait(0.0) is None
    throttle.left()
    assert throttle.wait(0.0) == 0.0


def test_many_refusals_make_one_pause_and_one_call_tries() -> None:
    throttle = Throttle(64, lambda: 1.0)
    for ticket in enter_all(throttle, 0.0):
        throttle.held(ticket, 0.0, None)
    assert throttle.wait(0.0) == 0.5
    assert throttle.wait(0.49) is not None
    (ticket,) = enter_all(throttle, 0.5)
    throttle.held(ticket, 0.5, None)
    assert throttle.wait(0.5) == 1.0
    (ticket,) = enter_all(throttle, 1.5)
    throttle.succeeded(ticket)
    # From then on twice as many with each round, up to half of what was too much.
    sizes = []
    for _ in range(5):
        tickets = enter_all(throttle, 2.0)
        sizes.append(len(tickets))
        for ticket in tickets:
            throttle.succeeded(ticket)
    assert sizes == [2, 4, 8, 16, 32]
    for ticket in enter_all(throttle, 2.0):
        throttle.succeeded(ticket)
    assert throttle.window < 34


def test_the_services_own_time_is_kept() -> None:
    throttle = Throttle(4, lambda: 0.0)
    first, second, third, _ = enter_all(throttle, 0.0)
    throttle.held(first, 0.0, 7.0)
    throttle.held(second, 1.0, 9.0)
    throttle.held(third, 1.0, None)
    assert throttle.wait(1.0) == 9.0
    (ticket,) = [throttle.enter()] if throttle.wait(10.0) is None else [0]
    throttle.held(ticket, 10.0, 1e9)
    assert (throttle.wait(10.0) or 0.0) <= LONGEST_NAMED_PAUSE_SECONDS


def test_old_news_do_not_open_the_gate() -> None:
    throttle = Throttle(4, lambda: 1.0)
    first, second, *_ = enter_all(throttle, 0.0)
    throttle.held(first, 0.0, None)
    throttle.succeeded(second)
    assert throttle.window == 1.0
    assert throttle.wait(0.1) is not None


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from("shl"), st.floats(0, 5), st.floats(0, 1)), max_size=80),
)
def test_it_always_opens_again(limit: int, story: list[tuple[str, float, float]]) -> None:
    now, chance = 0.0, 0.5
    throttle = Throttle(limit, lambda: chance)
    busy: list[int] = []
    for verdict, step, drawn in story:
        now, chance = now + step, drawn
        if throttle.wait(now) == 0.0:
            busy.append(throttle.enter())
        assert len(busy) <= limit
        if busy and verdict == "s":
            throttle.succeeded(busy.pop(0))
        elif busy and verdict == "h":
            throttle.held(busy.pop(0), now, None)
            assert (throttle.wait(now) or 0.0) <= LONGEST_PAUSE_SECONDS
        elif busy:
            throttle.left()
            busy.pop(0)
    for _ in busy:
        throttle.left()
    assert throttle.wait(now + LONGEST_PAUSE_SECONDS) == 0.0
