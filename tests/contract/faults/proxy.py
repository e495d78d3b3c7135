"""Reverse proxy on loopback that puts one fault between a client and a running backend."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.contract.faults.fault import Fault, Passing, addressed, blocks_of
from tests.contract.faults.wire import (
    HEAD_LIMIT,
    Request,
    Response,
    Upstream,
    read_request,
    without,
)

_START_SECONDS = 60.0


@dataclass(slots=True)
class FaultProxy:
    """Proxy as a context manager; without a fault it passes everything on unchanged.

    Attributes:
        backend_url: The backend behind it.
        fault: The fault.
        key: The right API key.
        latency: Seconds that every request takes on its way.
        jitter: Seconds that it may take more, at random.
    """

    backend_url: str
    fault: Fault | None
    key: str = field(default="", repr=False)
    latency: float = 0.0
    jitter: float = 0.0
    url: str = ""
    _memory: dict[Any, Any] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _stop: asyncio.Event | None = None
    _trouble: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or self._trouble is not None:
            raise RuntimeError(f"the proxy did not start: {self._trouble}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._trouble = error
            self._ready.set()
            raise

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # Named like this the socket gets TCP_NODELAY; otherwise every answer waits 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._connection(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(accept, sock=listener, limit=HEAD_LIMIT)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.backend_url)
        upstream = Upstream(parts.hostname or "127.0.0.1", parts.port or 80)
        try:
            while (request := await read_request(reader)) is not None:
                await asyncio.sleep(self.latency + random.random() * self.jitter)
                response, pieces = await self._exchange(request, upstream)
                if pieces is None:
                    writer.write(response.encode())
                    await writer.drain()
                else:
                    await self._pass_stream(request, response, pieces, reader, writer)
                    return
        finally:
            upstream.close()

    async def _exchange(
        self, request: Request, upstream: Upstream
    ) -> tuple[Response, AsyncIterator[bytes] | None]:
        fault, passing = self.fault, self._passing(request)
        if fault is None or passing.operation not in fault.on:
            return await upstream.ask(request)
        if fault.before is not None:
            substitute = await fault.before(request, passing)
            if substitute is not None:
                return substitute, None
        response, pieces = await upstream.ask(request)
        if pieces is None:
            return await fault.after(request, response, passing), None
        blocks = blocks_of(pieces)
        if fault.stream is not None:
            return response, fault.stream(request, blocks, passing)
        return await fault.after(request, response, passing), blocks

    def _passing(self, request: Request) -> Passing:
        operation, ids = addressed(request)
        return Passing(operation, ids, self._memory, self.key, self._ask)

    async def _ask(self, request: Request) -> Response:
        """Send a request of a fault's own to the backend, past the fault."""
        parts = urlsplit(self.backend_url)
        upstream = Upstream(parts.hostname or "127.0.0.1", parts.port or 80)
        try:
            response, pieces = await upstream.ask(request)
            if pieces is not None:
                response.body = b"".join([piece async for piece in pieces])
            return response
        finally:
            upstream.close()

    async def _pass_stream(
        self,
        request: Request,
        response: Response,
        pieces: AsyncIterator[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        headers = without(response.headers, "transfer-encoding", "content-length", "connection")
        headers += [("transfer-encoding", "chunked"), ("connection", "close")]
        writer.write(response.head(headers))

        async def pump() -> None:
            async for piece in pieces:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()

        # A client that disconnects has to end the stream of the backend as well.
        pumping = asyncio.ensure_future(pump())
        leaving = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (pumping, leaving):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await pumping
