"""Server of raw sockets with the faults of networks and broken services.

It runs in a thread of its own, and takes its script from any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.faults import Fault, answer, forever, set_reset
from tests.support.ports import HOST, HeldPort


@dataclass(frozen=True)
class Seen:
    """One request, as it stood on the wire; `at` is the monotonic time at which it was complete."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


Script = Fault | Sequence[Fault] | Callable[[Seen], Fault]


class FaultServer:
    """Server on a port of the loopback interface, until the end of its `with` block.

    Args:
        script: The fault of all requests, or a list of faults in turn, of which the last one stays,
            or, with `choose`, a function of the request.
        context: The TLS context; None for no TLS.
        closes: Whether each answer says that it ends its connection, and does.

    Attributes:
        requests: The requests that the script answers, in order.
        questions: The requests for its features, if it answers them aside.
        connections: The number of connections.
        client_left: Set when a client leaves during its answer.
    """

    def __init__(
        self,
        script: Fault | Sequence[Fault] | None = None,
        *,
        choose: Callable[[Seen], Fault] | None = None,
        context: ssl.SSLContext | None = None,
        closes: bool = False,
    ) -> None:
        self.requests: list[Seen] = []
        self.questions: list[Seen] = []
        self.connections = 0
        self.client_left = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: dict[int, _Connection] = {}
        self._listener: socket.socket | None = None
        self._beginning: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._port = HeldPort()
        self._context = context
        self._closes = closes
        self.play(script, choose=choose)

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://{HOST}:{self._port.number}"

    def play(
        self,
        script: Fault | Sequence[Fault] | None = None,
        *,
        choose: Callable[[Seen], Fault] | None = None,
        keeps_keys: bool | None = None,
    ) -> None:
        """Replace the script, and forget what came before.

        With `keeps_keys` it says aside of the script whether it offers idempotency keys.
        """
        self._keeps_keys = keeps_keys
        self.questions.clear()
        faults = [answer()] if script is None else [script] if callable(script) else [*script]
        self._faults = faults
        self._choose = choose
        self.requests.clear()
        self.client_left.clear()

    def next_fault(self, request: Seen) -> Fault:
        if request.headers.get("x-synth-pools-call") == "health-check":
            # A backend of another test goes on calling a container that had this port.
            return answer({}, 404)
        if self._keeps_keys is not None and request.path == "/v1/capabilities":
            self.questions.append(request)
            return answer({"features": {"idempotency_keys": self._keeps_keys}})
        self.requests.append(request)
        if self._choose is not None:
            return self._choose(request)
        return self._faults.pop(0) if len(self._faults) > 1 else self._faults[0]

    def wait_for(self, count: int, *, limit: float = 60.0) -> None:
        """Until that many requests came."""
        give_up = time.monotonic() + limit
        while len(self.requests) < count:
            assert time.monotonic() < give_up, f"{len(self.requests)} of {count} requests came"
            time.sleep(0.005)

    def wait_until(self, condition: Callable[[], bool], *, limit: float = 60.0) -> None:
        """Until something is so."""
        give_up = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < give_up, "it did not come to pass"
            time.sleep(0.005)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def kick(self) -> None:
        """Reset every connection that is open now."""
        self._do(self._reset_all)

    def refuse(self) -> None:
        """Refuse new connections, and reset the open ones."""
        self._do(self._stop_listening)

    def accept(self) -> None:
        """Listen again, on the same port."""
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
        self._do(self._stop_listening)
        self._do(self._end_tasks)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)
        self._loop.close()
        self._port.release()

    def _do(self, action: Callable[[], Any]) -> None:
        async def act() -> None:
            await action()

        done: Future[None] = asyncio.run_coroutine_threadsafe(act(), self._loop)
        done.result(timeout=60)

    async def _listen(self) -> None:
        listener = self._listener = self._port.listener()
        listener.listen(2048)
        listener.setblocking(False)
        self._generation += 1
        asyncio.get_running_loop().add_reader(listener, self._accept, listener, self._generation)

    def _accept(self, listener: socket.socket, generation: int) -> None:
        # The server of asyncio forgets what it has accepted and not yet begun when it is closed:
        # such a connection would be neither served nor reset.
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(reader, writer, generation)

        async def begin(accepted: socket.socket) -> None:
            protocol = asyncio.StreamReaderProtocol(_Reader(), serve)
            loop = asyncio.get_running_loop()
            # A client that leaves during the handshake is no failure.
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self._context)

        with contextlib.suppress(OSError):
            task = self._loop.create_task(begin(listener.accept()[0]))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _stop_listening(self) -> None:
        self._generation += 1
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._reset_all()

    async def _reset_all(self) -> None:
        for connection in list(self._open.values()):
            connection.reset()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=5) if tasks else None

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, generation: int
    ) -> None:
        assert isinstance(reader, _Reader)
        self.connections += 1
        connection = _Connection(self.connections, reader, writer, closes=self._closes)
        if generation != self._generation:
            # It was accepted, and not yet served, when all were reset.
            connection.reset()
            return
        self._open[connection.number] = connection
        try:
            while (observed := await connection.read()) is not None:
                if not await self._act(connection, self.next_fault(observed)):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            del self._open[connection.number]
            writer.close()

    async def _act(self, connection: _Connection, fault: Fault) -> bool:
        """Return whether the connection stays open. A client that leaves ends the fault."""
        acting = asyncio.ensure_future(fault(connection))
        leaving = asyncio.ensure_future(connection.ended.wait())
        try:
            await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not acting.done():
                self.client_left.set()
                return False
            if isinstance(acting.exception(), OSError):
                self.client_left.set()
                return False
            return acting.result() and not connection.is_ending
        finally:
            acting.cancel()
            leaving.cancel()


class _Reader(asyncio.StreamReader):
    """Tells when the client has gone, which the one of the library tells only who reads."""

    def __init__(self) -> None:
        super().__init__(limit=2**20)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)  # type: ignore[arg-type]
        self.ended.set()


class _Connection:
    def __init__(
        self, number: int, reader: _Reader, writer: asyncio.StreamWriter, *, closes: bool
    ) -> None:
        self.number = number
        # True after an answer that ends the connection.
        self.is_ending = False
        self._closes = closes
        self.ended = reader.ended
        self._reader = reader
        self._writer = writer

    async def read(self) -> Seen | None:
        head = await self._reader.readuntil(b"\r\n\r\n") if not self._reader.at_eof() else b""
        if not head:
            return None
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await self._read_body(headers)
        return Seen(method, target, headers, body, self.number, time.monotonic())

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((await self._reader.readline()).split(b";")[0], 16):
                body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return body
        return await self._reader.readexactly(int(headers.get("content-length", "0")))

    async def send(self, data: bytes) -> None:
        if data:
            if self._closes and data.startswith(b"HTTP/1.1 ") and data[9:10] != b"1":
                self.is_ending = b"\r\n" in data
                data = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            self._writer.write(data)
            await self._writer.drain()

    async def nothing(self, seconds: float | None = None) -> None:
        await (forever() if seconds is None else asyncio.sleep(seconds))

    def reset(self) -> None:
        connection = self._writer.get_extra_info("socket")
        # The transport's own view of it has no way to set this.
        if connection is not None:
            set_reset(connection)
        self._writer.transport.abort()
