"""First and second signal to a running `serve`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from synth_pools.cli.signals import StopSignals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_is_not_held_back(number: signal.Signals) -> None:
    former = signal.getsignal(number)
    with StopSignals() as signals:
        assert not signals.wait(0)
        os.kill(os.getpid(), number)
        assert signals.wait(60)
        assert signals.wait(0), "it stays noted"
        assert signal.getsignal(number) is former
    assert signal.getsignal(number) is former


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert not signals.wait(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(60)
