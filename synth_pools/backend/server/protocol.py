"""uvicorn's HTTP connections with limits, so that no client costs the others anything.

A client that is slow with its headers, or does not read its response, is disconnected. A request
that is no HTTP is answered in the form of every other error.
"""

from __future__ import annotations

import asyncio
import fcntl
import http
import json
import logging
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

import h11
import uvicorn
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from synth_pools.backend.domain import clock
from synth_pools.backend.limits import Limits
from synth_pools.backend.resources.open_files import most_files
from synth_pools.backend.server.plain_cycle import WHOLE_RESPONSE, HeadWithBody, PlainCycle
from synth_pools.backend.server.simple_heads import PlainRequest, read_request

# What clients do wrong is theirs to know, as often as they like to do it; our own failures are not.
_log = logging.getLogger("synth_pools.backend.http")
_log.setLevel(logging.ERROR)

# Files that are open besides connections: the database, containers, the listening socket.
_RESERVED_FILES = 200
_LONGEST_SWEEP = 1.0
# What waits for something is told so long after its client has ended its side that this has left:
# whoever has looks the same until something is sent.
_LEFT_SECONDS = 0.25
_INT = struct.Struct("i")
_NOTHING = (b"", False)

_BAD_REQUEST = ("bad_request", "This is no HTTP request that can be read.")
_TOO_LARGE = ("headers_too_large", "The line and the headers of the request are too large.")
_TOO_MANY = ("too_many_connections", "Too many connections are open; send the request again later.")


# The extension of ASGI by which an application disconnects its client.
ABORT = "synth_pools.abort"


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration together with the limits of its connections."""

    def __init__(self, app: Any, limits: Limits, **options: Any) -> None:
        super().__init__(
            app,
            http=ServerConnection,
            h11_max_incomplete_event_size=limits.max_header_bytes,
            **options,
        )
        self.plain_app = app
        self.limits = limits
        files = most_files()
        self.most_connections = min(
            limits.max_connections, files - min(_RESERVED_FILES, files // 2)
        )


class ServerConnection(H11Protocol):
    """One connection of a client, within its limits of time and size."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _log
        assert isinstance(config, LimitedConfig)  # noqa: S101 - we are made by nothing else
        self._limited = config
        # Since when the head of a request is waited for; None while one is answered.
        self._waiting_since: float | None = self.loop.time()
        # Since when the client has read nothing, and how much there was to read then.
        self._stalled_since: float | None = None
        self._unread = 0
        # Set where the client has ended its side and the answer is still to come.
        self._half_closed: asyncio.TimerHandle | None = None
        self._has_left = False
        # What came while a request was answered that h11 has not seen.
        self._held = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limited.most_connections:
            self._refuse(503, *_TOO_MANY, (b"retry-after", b"1"))

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if isinstance(cycle, PlainCycle) and not cycle.response_complete:
            self._held += data
            self.flow.pause_reading()
            return
        head = read_request(data) if self._is_between() else None
        # HEAD has answers of its own kind, and several requests may come together.
        is_whole = head is not None and head.end + head.body_bytes == len(data)
        if head is None or not is_whole or head.method == b"HEAD":
            super().data_received(data)
            return
        self._unset_keepalive_if_required()
        self._begin_plain(head, data[head.end :])

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and _has_two_lengths(self.headers):
            # A proxy that goes by the other one sees another request in the rest (RFC 9112, 6.3).
            self.headers.append(CLOSE_HEADER)
        if self.cycle is not None and not self.cycle.response_complete:
            self._begin()

    def _is_between(self) -> bool:
        """Tell whether all that came was answered, and the next request begins with what comes."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        conn = self.conn
        is_idle = conn.our_state is h11.IDLE and conn.their_state is h11.IDLE
        return is_idle and conn.trailing_data == _NOTHING and not self.transport.is_closing()

    def _begin_plain(self, head: PlainRequest, body: bytes) -> None:
        """Begin to answer a request that came whole, as uvicorn does with what h11 has read."""
        raw_path, _, query_string = head.target.partition(b"?")
        self.headers = head.fields
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": head.method.decode("ascii"),
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query_string,
            "headers": head.fields,
            "state": self.app_state.copy(),
        }
        self.scope = scope
        self.cycle = PlainCycle(
            scope=scope,
            conn=self.conn,
            transport=HeadWithBody(self.transport, self.loop),  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self.cycle.body += body
        self.cycle.more_body = False
        self.cycle.message_event.set()
        # Without uvicorn's own, which looks for what a proxy says.
        app: Any = self.app if head.is_forwarded else self._limited.plain_app
        task = self.loop.create_task(self.cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._begin()

    def _begin(self) -> None:
        self._waiting_since = None
        cycle = self.cycle
        scope = cast("dict[str, Any]", cycle.scope)
        extensions: dict[str, Any] = {ABORT: self.transport.abort}
        scope["extensions"] = extensions
        if isinstance(cycle, PlainCycle):
            extensions[WHOLE_RESPONSE] = None
        elif cycle.transport is self.transport:
            cycle.transport = HeadWithBody(self.transport, self.loop)  # type: ignore[assignment]
        else:
            return
        cycle.receive = Receiving(self, cycle)  # type: ignore[method-assign]

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that has sent all and waits for its answer."""
        if not self._is_answering():
            return False
        if self._half_closed is None:
            self._half_closed = self.loop.call_later(_LEFT_SECONDS, self._leave)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._half_closed is not None:
            self._half_closed.cancel()
        super().connection_lost(exc)
        self._tell_end()

    def on_response_complete(self) -> None:
        self._waiting_since = self.loop.time()
        # Each of the two has the other: without this only the garbage collector would free them.
        vars(self.cycle).pop("receive", None)
        super().on_response_complete()
        held, self._held = self._held, b""
        if held and not self.transport.is_closing():
            self.data_received(held)
        # Not where the next of several requests that came together is being answered.
        if self._half_closed is not None and not self._is_answering():
            self.cycle.transport.close()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """Close the connection if the client has used up its time."""
        limits = self._limited.limits
        waiting = self._waiting_since
        if waiting is not None and now - waiting > limits.header_timeout_seconds:
            self.transport.close()
        # Also of a connection that is closing: its last bytes would be kept for ever.
        unread = self.transport.get_write_buffer_size() + _unsent(self.transport)
        if not unread:
            self._stalled_since = None
        elif self._stalled_since is None or unread < self._unread:
            self._stalled_since = now
        elif now - self._stalled_since > limits.write_timeout_seconds:
            self.transport.abort()
        self._unread = unread

    def has_left(self) -> bool:
        """Tell whether the client of an answer that has not begun is to be taken for gone."""
        return self._has_left and not self.cycle.response_started

    def _leave(self) -> None:
        self._has_left = True
        self.cycle.message_event.set()
        self._tell_end()

    def _tell_end(self) -> None:
        receiving = None if self.cycle is None else self.cycle.receive
        if isinstance(receiving, Receiving):
            receiving.tell_end()

    def _is_answering(self) -> bool:
        """Tell whether a request that has come whole is being answered, by what has an end."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        # That its reader ends its side is the only sign that it has left, and others wait for its
        # place.
        return not (isinstance(cycle.transport, HeadWithBody) and cycle.transport.is_event_stream)

    def send_400_response(self, msg: str) -> None:
        del msg  # uvicorn's own, in plain text
        error = sys.exc_info()[1]
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(431, *_TOO_LARGE)
        else:
            self._refuse(400, *_BAD_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        # An upgrade is an offer, which a server may ignore; no reason to fill the log.
        pass

    def _refuse(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        """Answer a request that cannot be read, if an answer is still possible, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever answers the request of which this was the body has nobody to answer to.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = clock.new_id("req")
            envelope = {"code": code, "message": message, "request_id": request_id}
            body = json.dumps({"detail": message, "error": envelope}).encode("ascii")
            head = h11.Response(
                status_code=status,
                reason=http.HTTPStatus(status).phrase.encode("ascii"),
                headers=[
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode("ascii")),
                    (b"x-request-id", request_id.encode("ascii")),
                    (b"connection", b"close"),
                    *headers,
                ],
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Receiving:
    """The messages of a request; once it has been read whole, the only news is that of its end."""

    __slots__ = ("_connection", "_cycle", "_is_read", "_on_end", "_receive")

    def __init__(self, connection: ServerConnection, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._receive = cycle.receive
        self._is_read = False
        self._on_end: Callable[[], None] | None = None

    async def __call__(self) -> ASGIReceiveEvent:
        if not self._is_over():
            message = await self._receive()
            if not self._is_over():
                self._is_read = not message.get("more_body", False)
                return message
        self._end()
        return {"type": "http.disconnect"}

    def take_whole(self) -> bytes | None:
        """Return the body of a request that has come whole, once; None where it has not."""
        cycle = self._cycle
        if self._is_read or cycle.more_body or cycle.disconnected or cycle.response_started:
            return None
        self._is_read = True
        cycle.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def watch(self, on_end: Callable[[], None] | None) -> None:
        """Have it called once if the client disconnects, or nothing any more (None).

        Costs nothing, unlike a task that waits for the message which says so.
        """
        self._on_end = on_end
        if on_end is not None:
            self._cycle.flow.resume_reading()
            if self._cycle.disconnected or self._is_over():
                self._connection.loop.call_soon(self.tell_end)

    def tell_end(self) -> None:
        """Tell whoever watches that the client has disconnected, if it has."""
        if self._on_end is not None and (self._cycle.disconnected or self._is_over()):
            on_end, self._on_end = self._on_end, None
            self._end()
            on_end()

    def _is_over(self) -> bool:
        return self._is_read and self._connection.has_left()

    def _end(self) -> None:
        # Whoever is told answers no more.
        self._cycle.disconnected = True
        self._connection.transport.close()


async def sweep(server: uvicorn.Server, limits: Limits) -> None:
    """Sweep all connections, until cancelled."""
    shortest = min(limits.header_timeout_seconds, limits.write_timeout_seconds)
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(_LONGEST_SWEEP, shortest / 4))
        for connection in list(server.server_state.connections):
            if isinstance(connection, ServerConnection):
                connection.sweep(loop.time())


def _has_two_lengths(headers: list[tuple[bytes, bytes]]) -> bool:
    names = {name for name, _ in headers}
    return {b"content-length", b"transfer-encoding"} <= names and CLOSE_HEADER not in headers


def _unsent(transport: asyncio.Transport) -> int:
    """Read how many bytes the system still holds for the client (Linux; 0 elsewhere)."""
    connection = transport.get_extra_info("socket")
    if not sys.platform.startswith("linux") or connection is None or connection.fileno() < 0:
        return 0
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
    except OSError:
        return 0
    return int(_INT.unpack(answer)[0])
