"""SIGINT and SIGTERM as something to wait for."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Note the first signal while entered, and only note it.

    A handler that raised would interrupt whatever runs, half-done starts and stops included. After
    the first signal the handlers are the former ones again: a second ^C ends the process at once.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        # None is a handler that was not installed from Python and cannot be put back from there.
        self._former = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # Ignored by whoever started us (`nohup`, a shell's background job): so it stays.
            if self._former[number] is not signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._reader.close()
        self._writer.close()

    def wait(self, limit: float) -> bool:
        """Return True once a signal has come, after at most `limit` seconds."""
        ready, _, _ = select.select([self._reader], [], [], limit)
        return bool(ready)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._restore()
        with contextlib.suppress(OSError):
            self._writer.send(b"!")

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
