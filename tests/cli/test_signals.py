"""First and second signal to a running `serve`."""

from __future__ import annotations

import os
import signal
import threading
import time
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


def test_one_that_another_thread_gets_ends_the_wait() -> None:
    ready, go = threading.Event(), threading.Event()

    def send() -> None:
        ready.set()
        go.wait(60)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    assert ready.wait(60)
    with StopSignals() as signals:
        # The only other thread that takes it is the sender, while this one waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            go.set()
            assert signals.wait(100)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            sender.join(60)


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert not signals.wait(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(60)
