"""Slowness: a late answer is no departure where all answers are slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.harness.waits import becomes_true
from synth_pools.contract.options import ApiKey
from synth_pools.contract.results import Clause, Exchange, Outcome
from synth_pools.contract.session import Session
from synth_pools.local import LocalBackend
from tests.contract.harness.sessions import session

KEY = "slowness-key-0123456789"
# Longer than any machine takes for one answer.
_LONG = 10_000.0


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as running:
        yield running


@pytest.fixture
def run(backend: LocalBackend) -> Session:
    return session(url=backend.url, key=ApiKey(KEY))


def _context(run: Session) -> Context:
    return Context(run, Check("a.b", Clause("Pages", "x"), ("get_pool",)))


def _slow_line(run: Session) -> None:
    run.http.round_trip = _LONG


def _slow_container(run: Session) -> None:
    run.received.note_turn(_LONG)


def test_a_wait_that_is_long_beside_an_answer_shows_something(run: Session) -> None:
    assert run.is_proof(_LONG)
    assert not run.is_proof(0.0)


@pytest.mark.parametrize("slow", [_slow_line, _slow_container])
def test_it_shows_nothing_where_the_line_or_a_container_of_the_kit_is_slow(
    run: Session, slow: object
) -> None:
    slow(run)  # type: ignore[operator]
    assert not run.is_proof(_LONG)


def test_a_late_answer_departs_only_where_others_are_not(run: Session) -> None:
    late = Exchange("GET", run.base_url, elapsed=_LONG, operation="get_pool", late=True)
    ctx = _context(run)
    ctx.expect.in_time(late)
    _slow_line(run)
    with pytest.raises(InconclusiveError, match="requests take long here") as raised:
        ctx.expect.in_time(late)
    assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "get_pool")


def test_a_change_that_does_not_come_is_no_departure_where_everything_is_slow(
    run: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = _context(run)
    assert becomes_true(ctx, "get_pool", lambda: True)
    monkeypatch.setattr(Session, "is_proof", lambda *_: True)
    assert not becomes_true(ctx, "get_pool", lambda: False, 0.01)
    monkeypatch.setattr(Session, "is_proof", lambda *_: False)
    with pytest.raises(InconclusiveError, match="did not come within"):
        becomes_true(ctx, "get_pool", lambda: False, 0.01)


def test_it_counts_what_comes_while_the_server_is_asked(
    run: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    come: list[bool] = []

    def is_proof(*_: object) -> bool:
        come.append(True)
        return True

    monkeypatch.setattr(Session, "is_proof", is_proof)
    assert becomes_true(_context(run), "get_pool", lambda: bool(come), 0.01)
