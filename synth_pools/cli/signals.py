"""SIGINT and SIGTERM as events to wait for."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# The system may hand a signal to any thread, and that wakes no other one. Python acts on it in the
# main thread, once that runs: no wait there may be longer.
_LONGEST_WAIT_SECONDS = 0.5


def short_waits(limit: float) -> Iterator[float]:
    """Yield the seconds of waits that follow each other, until `limit` seconds have passed."""
    deadline = time.monotonic() + limit
    remaining = limit
    while remaining > _LONGEST_WAIT_SECONDS:
        yield _LONGEST_WAIT_SECONDS
        remaining = deadline - time.monotonic()
    yield max(0.0, remaining)


def raise_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Act on a signal as on ^C: what is open is ended on the way out."""
    raise KeyboardInterrupt


class StopSignals:
    """Record the first signal, and raise nothing.

    A handler that raised would interrupt a start or a stop half-way. After the first signal the
    former handlers are restored: a second ^C ends the process at once.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        # None means a handler that Python did not install and cannot restore.
        self._former = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # A signal that `nohup` or a shell's background job ignores stays ignored.
            if self._former[number] is not signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._reader.close()
        self._writer.close()

    def wait(self, limit: float) -> bool:
        """Wait for a signal, for at most `limit` seconds; return whether there was one."""
        for wait in short_waits(limit):
            ready, _, _ = select.select([self._reader], [], [], wait)
            if ready:
                return True
        return False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._restore()
        with contextlib.suppress(OSError):
            self._writer.send(b"!")

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
