"""Relay as an ASGI application: finds the session of a call, passes it on, reads its answer."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from synth_pools.relay.additions import names_to_cut, with_arguments, without
from synth_pools.relay.dialects import DIALECTS, Dialect
from synth_pools.relay.sessions import ModelCall, RelaySession
from synth_pools.relay.streams import LARGEST_READ, PassingStream
from synth_pools.relay.upstream import Upstream, UpstreamAnswer, UpstreamError

_LARGEST_BODY = LARGEST_READ
# Clients would try a 429 again.
_ENDED_STATUS = 400
_MOST_UPSTREAMS = 100
# Calls of models in formats that are not recorded.
_UNCOUNTED = ("messages", "batches")
# The usage follows the last piece of an answer, after which many clients go away.
_USAGE_SECONDS = 1.0

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]

_PATH = re.compile(rb"/r/([^/]+)(/.*)", re.DOTALL)
_KEY_HEADERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_OF_THE_CONNECTION = frozenset(
    b"connection content-length expect host keep-alive proxy-authorization proxy-connection te"
    b" trailer transfer-encoding upgrade".split()
)
_COMPRESSED = (b"gzip", b"deflate")


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class ModelRelay:
    """ASGI application with the sessions of all rollouts.

    Args:
        find: Returns the session of a token that none of the open ones has; None to refuse it.
    """

    def __init__(self, find: Callable[[str], RelaySession | None] = lambda _: None) -> None:
        self._find = find
        self._sessions: dict[str, RelaySession] = {}
        self._upstreams: dict[tuple[str, str | None], Upstream] = {}
        # Connections are closed in their event loop, which may be that of another thread.
        self._retired: list[Upstream] = []
        self._lock = threading.Lock()

    def upstream(self, url: str, key: str | None) -> Upstream:
        """Return the upstream at an address, whose connections and refusals all sessions share.

        Threads other than that of the event loop may call this, too.

        Raises:
            ValueError: The address is none of HTTP.
        """
        with self._lock:
            if (url, key) not in self._upstreams:
                upstream = Upstream(url, key)
                if len(self._upstreams) >= _MOST_UPSTREAMS:
                    self._retired.append(self._upstreams.pop(next(iter(self._upstreams))))
                self._upstreams[url, key] = upstream
            return self._upstreams[url, key]

    def open(self, session: RelaySession) -> None:
        """Take the calls of a session."""
        self._sessions[session.token] = session

    def end(self, session: RelaySession) -> set[asyncio.Task[Any]]:
        """Refuse the calls of a session from now on, and stop the running ones, its value."""
        self._sessions.pop(session.token, None)
        return session.close()

    def close(self) -> None:
        """End all sessions, and the connections to their upstreams."""
        for session in list(self._sessions.values()):
            self.end(session)
        for upstream in (*self._upstreams.values(), *self._retired):
            upstream.close()

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        while self._retired:
            self._retired.pop().close()
        client = _Client(send)
        try:
            session, target = self._route(scope)
            body = await _body_of(receive)
            exchange = _Exchange(session, scope, target, body, client)
            await _unless_disconnected(exchange, receive)
        except (UpstreamError, _RefusedError) as error:
            # After that its end is missing for the client, too: the server closes the connection.
            if not client.has_begun:
                await client.refuse(error)

    def _route(self, scope: Mapping[str, Any]) -> tuple[RelaySession, bytes]:
        """Return the session of a request, and its path below the address of the upstream."""
        path = scope.get("raw_path") or scope["path"].encode()
        match = _PATH.fullmatch(path)
        tokens = [match[1]] if match else [_without_scheme(key) for _, key in _keys_of(scope)]
        path = match[2] if match else path
        for token in tokens:
            text = token.decode("latin-1")
            session = self._sessions.get(text) or self._find(text)
            if session is not None:
                break
        else:
            raise _RefusedError(401, "invalid_api_key", "This address or API key is unknown here.")
        if any(part in (b".", b"..") for part in re.split(rb"[/\\]", unquote_to_bytes(path))):
            raise _RefusedError(404, "not_found", "The path leads elsewhere.")
        if not path.startswith(b"/v1/"):
            raise _RefusedError(404, "not_found", "The paths of models begin with /v1/.")
        query = scope.get("query_string")
        return session, path[3:] + (b"?" + query if query else b"")


class _Client:
    """Client of a call, and what it is sent."""

    def __init__(self, send: _Send) -> None:
        self._send = send
        self.has_begun = False

    async def begin(self, status: int, headers: _Headers) -> None:
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def add(self, piece: bytes) -> None:
        if piece:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self, piece: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": piece})

    async def send(self, status: int, headers: _Headers, content: bytes) -> None:
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(content))])
        await self.end(content)

    async def refuse(self, error: UpstreamError | _RefusedError) -> None:
        if isinstance(error, UpstreamError):
            error = _RefusedError(502, "upstream_error", f"The server of the model: {error}")
        problem = {"message": str(error), "type": "relay_error", "param": None, "code": error.code}
        headers = [(b"content-type", b"application/json")]
        if error.status < 500:
            headers.append((b"x-should-retry", b"false"))
        await self.send(error.status, headers, json.dumps({"error": problem}).encode())


class _Exchange:
    """Request, on its way to the upstream and back."""

    def __init__(
        self,
        session: RelaySession,
        scope: Mapping[str, Any],
        target: bytes,
        body: bytes,
        client: _Client,
    ) -> None:
        self._session, self._target, self._raw, self._client = session, target, body, client
        self._upstream = session.upstream
        self._method = scope["method"].encode()
        # Servers take slashes that are double or escaped for others.
        parts = unquote_to_bytes(target.partition(b"?")[0]).split(b"/")
        kind = b"/".join(filter(None, parts)).decode("latin-1")
        self._kind = kind if self._method == b"POST" and kind in DIALECTS else None
        self._body = _json_object(body) if self._kind else {}
        is_unrecorded = self._method == b"POST" and kind in _UNCOUNTED
        self._is_uncounted = is_unrecorded or bool(self._body.get("background"))
        self._headers = self._headers_of(scope)
        for _, value in _keys_of(scope):
            session.mask.add(value.rpartition(b" ")[2].decode("latin-1"))
        self.stream: PassingStream | None = None

    async def _ask(self, body: bytes) -> UpstreamAnswer:
        return await self._upstream.send(self._method, self._target, self._headers, body)

    def _headers_of(self, scope: Mapping[str, Any]) -> _Headers:
        hidden = {*_OF_THE_CONNECTION, *([b"accept-encoding"] if self._kind else ())}
        key = self._upstream.key
        keys = _keys_of(scope)
        # A name may stand behind it.
        token = self._session.token.partition(".")[0].encode()
        is_ours = any(_without_scheme(value).startswith(token) for _, value in keys)
        if key is not None or is_ours:
            hidden.update(_KEY_HEADERS)
        headers = [pair for pair in scope["headers"] if pair[0].lower() not in hidden]
        if self._kind:
            headers.append((b"accept-encoding", b"identity"))
        if key is not None:
            values = {b"authorization": b"Bearer " + key.encode()}
            names = dict.fromkeys(name for name, _ in keys) or values
            headers += [(name, values.get(name, key.encode())) for name in names]
        return headers

    async def run(self) -> None:
        """Pass the request on, and its answer back."""
        if self._is_uncounted and set(self._session.limits) != {None}:
            sentence = "No answer to such a call tells its usage: the limits cannot count it."
            raise _RefusedError(_ENDED_STATUS, "uncounted_call", sentence)
        if not self._kind:
            with await self._ask(self._raw) as answer:
                await self._pass_on(answer)
            return
        if self._session.limit is not None:
            code = f"episode_ended_{self._session.limit}"
            sentence = self._session.refuse(self._kind, self._body)
            raise _RefusedError(_ENDED_STATUS, code, sentence)
        call = self._session.begin(self._kind, self._body)
        try:
            await self._play(call, DIALECTS[self._kind])
        except asyncio.CancelledError:
            call.fail("the client went away")
            call.is_abandoned = True
            raise
        except (UpstreamError, _RefusedError) as error:
            call.fail(str(error))
            raise
        finally:
            call.end()

    async def _play(self, call: ModelCall, dialect: Dialect) -> None:
        additions, body = self._upstream.additions, self._body
        added = additions.choose(call.kind, body)
        dropped: set[str] = set()
        while True:
            answer = await self._ask(with_arguments(self._raw, body, added))
            encoding = answer.header(b"content-encoding")
            with answer:
                if encoding not in (b"", b"identity", *_COMPRESSED):
                    call.fail(f"answers in {encoding!r} are not recorded", answer.status)
                    call.end()
                    await self._pass_on(answer)
                    return
                kind = answer.header(b"content-type")
                is_stream = b"event-stream" in kind or (body.get("stream") and b"json" not in kind)
                if answer.status < 300 and is_stream:
                    await self._pass_stream(call, dialect, answer, names_to_cut(added))
                    return
                call.note_first_byte()
                content = bytearray()
                pieces = answer.pieces()
                async for piece in pieces:
                    content += piece
                    if len(content) > _LARGEST_BODY:
                        call.fail("the answer is too large to be recorded", answer.status)
                        call.end()
                        await self._pass_on(answer, pieces, bytes(content))
                        return
            plain = _inflated(_inflater(answer), bytes(content))
            text = plain.decode("utf-8", "replace")
            if not additions.learn(call.kind, body, added, answer.status, text):
                break
            former, added = set(added), additions.choose(call.kind, body)
            dropped = former - set(added)
        if answer.status >= 300:
            if dropped and not added:
                additions.forget(call.kind, body)
            call.fail(text, answer.status)
        else:
            call.read_answer = lambda: dialect.read(_json_object(plain))
        call.end()
        cut = _cut(plain, names_to_cut(added))
        is_cut = cut is not plain
        headers = _headers_back(answer, is_decoded=is_cut)
        await self._client.send(answer.status, headers, cut if is_cut else bytes(content))

    async def _pass_on(
        self, answer: UpstreamAnswer, pieces: AsyncIterator[bytes] | None = None, start: bytes = b""
    ) -> None:
        """Pass an answer on as it arrives."""
        await self._client.begin(answer.status, _headers_back(answer, has_length=True))
        await self._client.add(start)
        async for piece in pieces or answer.pieces():
            await self._client.add(piece)
        await self._client.end()

    async def _pass_stream(
        self, call: ModelCall, dialect: Dialect, answer: UpstreamAnswer, names: set[str]
    ) -> None:
        stream = self.stream = PassingStream(names)
        call.read_answer = lambda: dialect.read(dialect.fold(stream.events))
        inflate = _inflater(answer)
        headers = _headers_back(answer, is_decoded=inflate is not None)
        await self._client.begin(answer.status, headers)
        async for piece in answer.pieces():
            call.note_first_byte()
            part = stream.feed(_inflated(inflate, piece))
            # The client may be gone as soon as it has the last event.
            if stream.is_ended:
                call.end()
            await self._client.add(part)
        call.end(None if stream.is_ended else "the stream ends before its answer")
        await self._client.end(stream.rest if names else b"")


async def _body_of(receive: _Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise UpstreamError("the client went away")
        body += message.get("body", b"")
        if len(body) > _LARGEST_BODY:
            sentence = f"The body has more than {_LARGEST_BODY} bytes."
            raise _RefusedError(413, "request_too_large", sentence)
        if not message.get("more_body"):
            return bytes(body)


async def _unless_disconnected(exchange: _Exchange, receive: _Receive) -> None:
    """Pass a request on until its end, or until the client goes away."""
    working = asyncio.ensure_future(exchange.run())
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        is_gone = not working.done()
        if is_gone and exchange.stream is not None and exchange.stream.is_answered:
            await asyncio.wait({working}, timeout=_USAGE_SECONDS)
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait({working})
    if working.cancelled():
        if is_gone:
            return
        raise _RefusedError(_ENDED_STATUS, "episode_ended", "The episode has ended.")
    working.result()


def _keys_of(scope: Mapping[str, Any]) -> _Headers:
    return [(name, value) for name, value in scope["headers"] if name in _KEY_HEADERS]


def _without_scheme(value: bytes) -> bytes:
    scheme, _, key = value.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else value


def _json_object(text: bytes) -> dict[str, Any]:
    """Return an object; empty for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _cut(content: bytes, names: set[str]) -> bytes:
    """Return an answer without some members; the same object where it has none of them."""
    if not any(name.encode() in content for name in names):
        return content
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    cut = without(text, names)
    return content if cut == text else cut.encode()


def _inflater(answer: UpstreamAnswer) -> Any:
    """Return a decompressor of an answer; None where it is not compressed."""
    is_compressed = answer.header(b"content-encoding") in _COMPRESSED
    return zlib.decompressobj(zlib.MAX_WBITS | 32) if is_compressed else None


def _inflated(inflate: Any, piece: bytes) -> bytes:
    try:
        plain: bytes = inflate.decompress(piece, _LARGEST_BODY) if inflate else piece
    except zlib.error as error:
        raise UpstreamError(f"its answer cannot be unpacked: {error}") from None
    return plain


def _headers_back(
    answer: UpstreamAnswer, *, is_decoded: bool = False, has_length: bool = False
) -> _Headers:
    hidden = _OF_THE_CONNECTION - ({b"content-length"} if has_length else set())
    if is_decoded:
        hidden = hidden | {b"content-encoding"}
    # Uvicorn writes them in lower case, or as they are.
    return [(name, value) for name, value in answer.headers if name.lower() not in hidden]
