"""A TCP proxy through which no connection lives long, and which can be away altogether."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.faults import set_reset
from tests.support.ports import HOST, HeldPort

# A connection that is idle is cut too.
_LONGEST_LIFE_SECONDS = 6.0


class CuttingProxy:
    """Proxy that cuts every connection after a random number of bytes, half of them with RST.

    Args:
        target: URL of the service.
        mean_bytes: Mean number of bytes, in both directions, before a cut.
        seed: Seed of the cuts.

    Attributes:
        connections: Number of connections.
        cuts: Number of connections that were cut while both ends used them.
        refused: Refuse connections, as if the proxy did not run.
    """

    def __init__(self, target: str, *, mean_bytes: int, seed: int = 0) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._mean = mean_bytes
        self._dice = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._port = HeldPort()
        self._open: set[asyncio.Task[Any]] = set()
        self.connections = 0
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port.number}"

    def away(self) -> None:
        """Cut everything, and refuse connections."""
        self._do(self._stop)

    def back(self) -> None:
        self._do(self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._do(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        self._port.release()

    def _do(self, action: Callable[[], Awaitable[None]]) -> None:
        async def act() -> None:
            await action()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(timeout=20)

    async def _listen(self) -> None:
        listener = self._port.listener()
        self._server = await asyncio.start_server(self._serve, sock=listener, backlog=512)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            self.cuts += 1
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        remaining = int(self._dice.expovariate(1 / self._mean))
        life = self._dice.uniform(0.5, _LONGEST_LIFE_SECONDS)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> bool:
            """Pass bytes on; return whether the connection was cut, else its source has ended."""
            nonlocal remaining
            while data := await source.read(65536):
                sink.write(data[:remaining])
                await sink.drain()
                remaining -= len(data)
                if remaining <= 0:
                    return True
            return False

        pumps = {
            asyncio.ensure_future(pump(reader, there_writer)),
            asyncio.ensure_future(pump(there_reader, writer)),
        }
        try:
            done, _ = await asyncio.wait(pumps, timeout=life, return_when=asyncio.FIRST_COMPLETED)
            if not done or any(task.exception() is None and task.result() for task in done):
                self.cuts += 1
                connection = writer.get_extra_info("socket")
                if self._dice.random() < 0.5 and connection is not None:
                    set_reset(connection)
                else:
                    with contextlib.suppress(OSError):
                        writer.write_eof()
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.wait(pumps)
            there_writer.transport.abort()
