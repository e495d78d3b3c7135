"""The time limit of an engine: events and errors pass, and the engine ends in any case."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from synth_pools.contract.fuzzing.time_limit import events_in_time


class Engine:
    """Engine that yields numbers and then computes for ever."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.stopped = threading.Event()
        self.left = threading.Event()
        self._count = count
        self._error = error

    def __iter__(self) -> Iterator[int]:
        yield from range(self._count)
        if self._error is not None:
            raise self._error
        self.left.wait(60)

    def stop(self) -> None:
        self.stopped.set()


def test_an_engine_that_tells_nothing_any_more_is_left() -> None:
    engine = Engine(3)
    assert list(events_in_time(engine, time.monotonic(), 2.0)) == [0, 1, 2]
    assert engine.stopped.is_set()
    engine.left.set()


def test_it_ends_when_the_run_is_stopped() -> None:
    engine = Engine(3)
    events = events_in_time(engine, float("inf"), 2.0, lambda: True)
    assert list(events) == [0, 1, 2]
    assert engine.stopped.is_set()
    engine.left.set()


def test_it_is_not_stopped_before_its_time() -> None:
    engine = Engine(3)
    engine.left.set()
    assert list(events_in_time(engine, float("inf"))) == [0, 1, 2]
    assert not engine.stopped.is_set()


def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="of the engine's"):
        list(events_in_time(Engine(1, ValueError("of the engine's")), float("inf")))
