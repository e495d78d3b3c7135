"""uvicorn's server without its clock, for all that is served here."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
import threading
import time
from collections.abc import Generator
from email.utils import formatdate

import uvicorn
from uvicorn.server import ServerState


class SleepingServer(uvicorn.Server):
    """Server that sleeps until it has to exit, where uvicorn's looks ten times a second.

    `should_exit` may be set in any thread, and in a handler of signals.
    """

    _loop: asyncio.AbstractEventLoop | None = None
    _should_exit = False

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _DatedState(config)
        self._exiting = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._loop is not None:
            # The loop may be closed: the server has ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._exiting.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._exiting.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        is_main = threading.current_thread() is threading.main_thread()
        with _waking_signals() if is_main else contextlib.nullcontext(), super().capture_signals():
            yield


class _DatedState(ServerState):
    """State whose headers have the date at which they are read."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._config = config
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        headers = self._config.encoded_headers
        if self._config.date_header:
            headers = [(b"date", _date(int(time.time()))), *headers]
        return headers

    @default_headers.setter
    def default_headers(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, value: list[tuple[bytes, bytes]]
    ) -> None:
        pass  # that of uvicorn is a second old


@functools.lru_cache(1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


@contextlib.contextmanager
def _waking_signals() -> Generator[None, None, None]:
    """Have signals wake the event loop, since Python's handlers run in the main thread alone.

    The system may hand a signal to another thread, or just before the loop falls asleep.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if former != -1:
            # An event loop such as uvloop does it itself.
            signal.set_wakeup_fd(former)
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(reader, reader.recv, 4096)
        try:
            yield
        finally:
            signal.set_wakeup_fd(former)
            loop.remove_reader(reader)
