"""uvicorn's HTTP connections with limits, so that no client slows the others down.

A client that is slow with its headers, or does not read its response, is disconnected. Bytes that
are not an HTTP request get an error in the usual form.
"""

from __future__ import annotations

import asyncio
import fcntl
import http
import json
import logging
import math
import re
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import ApiError, bad_request
from synth_pools.backend.limits import Limits
from synth_pools.backend.resources.open_files import most_files
from synth_pools.backend.server.messages import Receiving, UnchunkedSending

# Only our own failures are logged; mistakes of clients appear only in their responses.
_log = logging.getLogger("synth_pools.backend.http")
_log.setLevel(logging.ERROR)

# Files that are open besides connections: the database, containers, the listening socket.
_RESERVED_FILES = 200
_LONGEST_SWEEP = 1.0
# Clients of most libraries do not use a connection again that was idle for longer than this.
_REUSED_SECONDS = 5.0
# A client that has closed its side may be waiting or gone; after this time it counts as gone for a
# request that waits for a rollout, or for its turn.
_LEFT_SECONDS = 0.25
# Bytes parsed at a time; further requests are held as bytes, not as parsed requests.
_PIECE_BYTES = 16 * 1024
# httptools cannot parse a longer one.
_LONGEST_URL = 65_535
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?= )")
_INT = struct.Struct("i")
# Headers that tell where a body ends.
_LENGTHS = (b"content-length", b"transfer-encoding")

_BAD_REQUEST = bad_request("This is no HTTP request that can be read.")
_TOO_LARGE = ApiError(
    431, "headers_too_large", "The line and the headers of the request are too large."
)
_TOO_MANY = ApiError(
    503,
    "too_many_connections",
    "Too many connections are open; send the request again later.",
    headers={"retry-after": "1"},
)

# The extension of ASGI by which an application disconnects its client.
ABORT = "synth_pools.abort"
# The extension of ASGI by which an application reports that the client has a valid key.
KEY_SHOWN = "synth_pools.key_shown"
# The extension of ASGI that is set once the response is an event stream.
EVENT_STREAM = "synth_pools.event_stream"


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration together with the limits of its connections."""

    def __init__(self, app: Any, limits: Limits, **options: Any) -> None:
        # Connections whose answer came before their request's end are left to the sweep.
        idle_seconds = math.ceil(limits.idle_timeout_seconds)
        super().__init__(app, http=ServerConnection, timeout_keep_alive=idle_seconds, **options)
        self.limits = limits
        # Connections that have shown no key yet, in the order of their arrival.
        self.without_key: dict[ServerConnection, None] = {}
        # Connections between two requests, and since when, the longest first.
        self.idle: dict[ServerConnection, float] = {}
        files = most_files()
        self.most_connections = min(
            limits.max_connections, files - min(_RESERVED_FILES, files // 2)
        )


class ServerConnection(HttpToolsProtocol):
    """Connection of a client, within limits of time and size."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._start_parser()
        self.logger = _log
        self.url = b""
        assert isinstance(config, LimitedConfig)  # noqa: S101 - made by `LimitedConfig` alone
        self._limited = config
        self._longest_url = min(config.limits.max_header_bytes, _LONGEST_URL)
        # The request being answered; uvicorn's `cycle` is the last one that was parsed.
        self._current: RequestResponseCycle | None = None
        # Bytes that arrived while a complete request was answered, not parsed yet.
        self._pending = b""
        # Error for the data after the parsed requests if it cannot be parsed.
        self._refusal: ApiError | None = None
        # Set between the end of one request and the headers of the next.
        self._is_between = True
        # The method of the next request, if httptools does not know it.
        self._unknown_method = ""
        # Headers with the length of a body that httptools skips, since an upgrade is offered.
        self._skipped_length: list[bytes] = []
        # Bytes since the last piece of a body or end of a request.
        self._head_bytes = 0
        self._has_progressed = False
        # When the wait for a request began; None while one is answered.
        self._waiting_since: float | None = self.loop.time()
        # When the client last read, and how many bytes were left to read then.
        self._stalled_since: float | None = None
        self._unread = 0
        # Set if the client has read all, until something is sent.
        self._is_settled = False
        # Set if the client has closed its side before the end of its answer.
        self._half_closed: asyncio.TimerHandle | None = None
        self.has_left = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        is_full = len(self.connections) > self._limited.most_connections
        if is_full and not (self._close_oldest_without_key() or self._close_longest_idle()):
            self._refuse(_TOO_MANY)
        else:
            self._limited.without_key[self] = None

    def _close_longest_idle(self) -> bool:
        """Make room for a client; False if no other is likely to be gone."""
        longest, since = next(iter(self._limited.idle.items()), (None, 0.0))
        if longest is None or self.loop.time() - since < _REUSED_SECONDS:
            return False
        longest.give_way()
        return True

    def _close_oldest_without_key(self) -> bool:
        """Make room for a client; False if all others have shown a key or are being answered."""
        without_key = self._limited.without_key
        oldest = next((peer for peer in without_key if not peer.is_busy()), None)
        if oldest is None:
            return False
        oldest.give_way()
        return True

    def give_way(self) -> None:
        """Close the connection, which nobody seems to need."""
        self._note_key()
        self._limited.idle.pop(self, None)
        if self.transport.get_write_buffer_size():
            # The client does not read its answer, so a close would wait for it.
            self.transport.abort()
        else:
            self.transport.close()

    def _note_key(self) -> None:
        self._limited.without_key.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._limited.idle.pop(self, None) is not None:
            self._waiting_since = self.loop.time()
        for start in range(0, len(data), _PIECE_BYTES):
            if self._pending or self.is_busy():
                self._pending += data[start:]
                self.flow.pause_reading()
                return
            if self._refusal is not None or self.transport.is_closing():
                return
            self._parse(data[start : start + _PIECE_BYTES])

    def is_busy(self) -> bool:
        """Return True if a complete request is being answered."""
        current = self._current
        return current is not None and not current.response_complete and not current.more_body

    def _start_parser(self, callbacks: object = None) -> None:
        self.parser = httptools.HttpRequestParser(callbacks or self)
        # A body with both a length and chunks is read by its chunks, and ends the connection.
        self.parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_data_after_close=True
        )

    def _parse(self, piece: bytes) -> None:
        self._has_progressed = False
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            # A server may ignore the offer of an upgrade: the next bytes are HTTP/1.1 again.
            if self._skipped_length:
                self._resume_before_body()
            self.data_received(piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            method = _METHOD.match(piece)
            is_first = self._is_between and not (self._has_progressed or self._head_bytes)
            if isinstance(error, httptools.HttpParserInvalidMethodError) and is_first and method:
                # httptools accepts only methods of a list; in HTTP any word may be a method.
                self._unknown_method = method[0].decode("ascii")
                self._start_parser()
                self._parse(b"POST" + piece[method.end() :])
                return
            is_long = len(self.url) > self._longest_url
            self._refusal = _TOO_LARGE if is_long else _BAD_REQUEST
        self._head_bytes = 0 if self._has_progressed else self._head_bytes + len(piece)
        if self._head_bytes > self._limited.limits.max_header_bytes:
            self._refusal = _TOO_LARGE
        if self._refusal is not None and not self.is_busy():
            self._refuse(self._refusal)

    def _resume_before_body(self) -> None:
        """Make the parser expect the body that it has skipped."""
        head = b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(self._skipped_length)
        self._skipped_length = []
        callbacks = _Callbacks(self)
        self._start_parser(callbacks)
        self.parser.feed_data(head)
        callbacks.are_heard = True

    def on_headers_complete(self) -> None:
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        encodings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("a request has one host")
        if len(self.url) > self._longest_url:
            raise ValueError("the URL is too long")
        if encodings and [value.lower() for value in encodings] != [b"chunked"]:
            raise ValueError("a body is sent as it is, or in chunks")
        if not self.url.startswith(b"/"):
            # An asterisk, a whole URL or the address of a tunnel is an unknown path here.
            self.url = b"/" + self.url
        super().on_headers_complete()
        cycle, self._is_between = self.cycle, False
        scope: Any = cycle.scope
        scope["extensions"] = {ABORT: self.transport.abort, KEY_SHOWN: self._note_key}
        if self._unknown_method:
            scope["method"], self._unknown_method = self._unknown_method, ""
        is_old = scope["http_version"] == "1.0"
        if is_old or (encodings and b"content-length" in names):
            # A proxy that goes by the length takes the rest for another request (RFC 9112, 6.3).
            # uvicorn says it to HTTP/1.0 by itself in its later releases alone.
            cycle.default_headers = [*cycle.default_headers, CLOSE_HEADER]
        if self.parser.should_upgrade():
            lengths = [(name, value) for name, value in self.headers if name in _LENGTHS]
            if lengths not in ([], [(b"content-length", b"0")]):
                self._skipped_length = [b"%b: %b\r\n" % line for line in lengths]
        # Trailers are not headers.
        self.headers = []
        cycle.receive = Receiving(self, cycle)  # type: ignore[assignment]
        if is_old:
            cycle.waiting_for_100_continue = False
            cycle.send = UnchunkedSending(cycle)  # type: ignore[method-assign, assignment]
        if self._current is None or self._current.response_complete:
            self._current = cycle
            self._waiting_since = None

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._skipped_length:
            return
        self._has_progressed = self._is_between = True
        if self._waiting_since is not None:
            # Answered before its end had come.
            self._limited.idle[self] = self.loop.time()
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that has sent all and waits for its answer."""
        if not self._is_awaited():
            return False
        if self._half_closed is None:
            self._half_closed = self.loop.call_later(_LEFT_SECONDS, self._leave)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._half_closed is not None:
            self._half_closed.cancel()
        self._limited.without_key.pop(self, None)
        self._limited.idle.pop(self, None)
        super().connection_lost(exc)
        self._disconnect()

    def on_response_complete(self) -> None:
        is_full = len(self.connections) >= self._limited.most_connections
        if is_full and self in self._limited.without_key:
            # Others wait for a place: without a key one answer is all.
            self.transport.close()
        # Break the reference cycle, which only the garbage collector would free.
        for name in ("receive", "send"):
            vars(self._current).pop(name, None)
        if self.pipeline:
            self._current = self.pipeline[-1][0]
        else:
            self._waiting_since = now = self.loop.time()
            if self._is_between and not self._pending:
                self._limited.idle[self] = now
        self._is_settled = False
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._pending and not self.is_busy():
            pending, self._pending = self._pending, b""
            self.data_received(pending)
        if self._refusal is not None and not self.is_busy():
            self._refuse(self._refusal)
        # Further requests of the client may still be answered.
        if self._half_closed is not None and not self._is_awaited():
            self.transport.close()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """Close the connection if the client has used up its time."""
        limits = self._limited.limits
        waiting = self._waiting_since
        if waiting is not None:
            idle_since = self._limited.idle.get(self)
            is_late = now - waiting > limits.header_timeout_seconds
            is_unused = idle_since is not None and now - idle_since > limits.idle_timeout_seconds
            if is_unused or (is_late and idle_since is None):
                self.transport.close()
            elif self._is_settled:
                return
        # Also while the connection is closing: otherwise its last bytes are held for ever.
        unread = self.transport.get_write_buffer_size() + _unsent(self.transport)
        if not unread:
            self._stalled_since = None
            self._is_settled = waiting is not None
        elif self._stalled_since is None or unread < self._unread:
            self._stalled_since = now
        elif now - self._stalled_since > limits.write_timeout_seconds:
            self.transport.abort()
        self._unread = unread

    def _leave(self) -> None:
        self.has_left = True
        if self._current is not None:
            self._current.message_event.set()
            self._tell_end(self._current)

    def _disconnect(self) -> None:
        """Tell the current request that its client is gone."""
        current = self._current
        if current is not None and not current.response_complete:
            current.disconnected = True
            current.message_event.set()
            self._tell_end(current)

    def _tell_end(self, cycle: RequestResponseCycle) -> None:
        if isinstance(cycle.receive, Receiving):
            cycle.receive.tell_end()

    def _is_awaited(self) -> bool:
        """Return True if a complete request is being answered by a response with an end."""
        # A reader of an event stream that ends its side has left; there is no other sign of it.
        current = self._current
        return (
            current is not None
            and self.is_busy()
            and EVENT_STREAM not in cast("dict[str, Any]", current.scope)["extensions"]
        )

    def _refuse(self, error: ApiError) -> None:
        """Answer a request that cannot be read, if an answer is still possible, and close."""
        if self.transport.is_closing():
            return
        self._is_settled = False
        current = self._current
        has_answer = current is not None and current.response_started and not self._is_between
        # The client cannot read the answer to a request with an unreadable body.
        self._disconnect()
        if not has_answer:
            request_id = clock.new_id("req")
            body = json.dumps(error.document(request_id))
            headers = {
                "content-type": "application/json",
                "content-length": str(len(body)),
                "x-request-id": request_id,
                "connection": "close",
                **error.headers,
            }
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            phrase = http.HTTPStatus(error.status).phrase
            answer = f"HTTP/1.1 {error.status} {phrase}\r\n{head}\r\n{body}"
            self.transport.write(answer.encode("ascii"))
        self.transport.close()


async def sweep(server: uvicorn.Server, limits: Limits) -> None:
    """Sweep all connections, until cancelled."""
    shortest = min(limits.header_timeout_seconds, limits.write_timeout_seconds)
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(_LONGEST_SWEEP, shortest / 4))
        for connection in list(server.server_state.connections):
            if isinstance(connection, ServerConnection):
                connection.sweep(loop.time())


class _Callbacks:
    """Callbacks of a parser that are passed on to a connection once they are to be heard."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.are_heard = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        callback = getattr(self._connection, name)

        def pass_on(*arguments: object) -> None:
            if self.are_heard:
                callback(*arguments)

        return pass_on


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
