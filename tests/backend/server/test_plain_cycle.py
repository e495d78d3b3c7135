"""Plain requests are answered as all others are, byte for byte, each in its turn."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from synth_pools.backend.server.listener import open_listening_socket
from synth_pools.backend.server.plain_cycle import WHOLE_RESPONSE, PlainCycle
from synth_pools.backend.server.protocol import Receiving
from synth_pools.backend.server.thread import ServerThread
from tests.support.backend_server import KEY, Server, eventually

HOST = b"host: localhost\r\n"
AUTHORIZATION = f"authorization: Bearer {KEY}\r\n".encode()
# A header in bytes that are no ASCII is left to h11, and means nothing to anybody.
NOT_PLAIN = b"x-name: \xfc\r\n"
LIMIT = 60.0
# What differs between two answers to the same request.
VARYING = re.compile(rb"(?im)^(date|x-request-id): .*$|req_[0-9a-f]{32}")

pytestmark = pytest.mark.usefixtures("loop_name")


@pytest.fixture
def plain_cycles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that were answered without h11."""
    paths: list[str] = []
    genuine = PlainCycle.run_asgi

    async def run_asgi(self: PlainCycle, app: ASGIApp) -> None:
        paths.append(self.scope["path"])
        await genuine(self, app)  # type: ignore[arg-type]

    monkeypatch.setattr(PlainCycle, "run_asgi", run_asgi)
    return paths


def request(line: bytes, body: bytes = b"", more: bytes = b"") -> bytes:
    head = line + b" HTTP/1.1\r\n" + HOST + AUTHORIZATION + more
    if body:
        head += b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return head + b"\r\n" + body


LAST = request(b"GET /last", more=b"connection: close\r\n")


def answer(port: int, sent: bytes) -> bytes:
    """All that comes back for a request that comes by itself, and for a last one after it."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as wire:
        wire.sendall(sent)
        received = wire.recv(65536)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            wire.sendall(LAST)
        return received + rest(wire)


def rest(wire: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := wire.recv(65536):
            received += chunk
    return received


def answers_behind(
    port: int, slow: bytes, has_begun: Callable[[], bool], *sent: bytes
) -> list[int]:
    """The statuses of what is answered where these come while the first is being answered."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as wire:
        wire.sendall(slow)
        eventually(has_begun)
        for piece in sent:
            wire.sendall(piece)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", rest(wire))]


def test_the_same_bytes_with_and_without_h11(server: Server, plain_cycles: list[str]) -> None:
    pool_id = server.pool().encode()
    rollout_id = server.run(pool_id.decode())["id"].encode()
    rollouts = b"/v1/pools/" + pool_id + b"/rollouts"
    requests = [
        (b"GET /health", b""),
        (b"GET /v1/pools/%s" % pool_id, b""),
        (b"GET /v1/pools/%2e%2e?x=%ff", b""),
        (b"GET /v1/pools?limit=x", b""),
        (b"GET " + rollouts + b"/" + rollout_id, b""),
        (b"GET " + rollouts + b"/" + rollout_id + b"/events", b""),
        (b"GET " + rollouts + b"/" + rollout_id + b"/artifacts.zip", b""),
        (b"POST /v1/rollouts:validate", b'{"pool_id":"%s"}' % pool_id),
        (b"POST " + rollouts, b"["),
        (b"POST " + rollouts, b""),
        (b"PUT /v1/pools", b"{}"),
        (b"OPTIONS *", b""),
        (b"GET http://other.example/health", b""),
        (b"HEAD /health", b""),
        (b"CONNECT localhost:80", b""),
    ]
    for line, body in requests:
        plain, other = (
            VARYING.sub(b"", answer(server.port, request(line, body, more)))
            for more in (b"", NOT_PLAIN)
        )
        assert plain == other
        assert plain.startswith(b"HTTP/1.1 ")
    # HEAD and CONNECT are not, and nothing that is not plain is.
    assert len([path for path in plain_cycles if path != "/v1/pools"]) >= len(requests) - 4
    assert len(plain_cycles) <= 2 * len(requests)
    before = len(plain_cycles)
    answer(server.port, request(b"GET /health", more=NOT_PLAIN))
    answer(server.port, request(b"HEAD /health"))
    assert len(plain_cycles) == before
    answer(server.port, request(b"GET /health"))
    assert len(plain_cycles) == before + 1


SYNC = b'{"mode":"sync","env":{"delay":0.3,"events":0}}'


@pytest.mark.parametrize("more", [b"", NOT_PLAIN])
def test_requests_that_come_while_another_is_answered_have_their_turn_after_it(
    server: Server, plain_cycles: list[str], more: bytes
) -> None:
    slow = request(b"POST /v1/pools/%s/rollouts" % server.pool().encode(), SYNC)
    unknown = request(b"GET /v1/pools/none", more=more)
    health = request(b"GET /health")
    sent = [unknown, health + unknown, unknown[:20], unknown[20:] + slow, health, LAST]
    statuses = answers_behind(server.port, slow, lambda: bool(plain_cycles), *sent)
    assert statuses == [200, 404, 200, 404, 404, 200, 200, 404]


def test_what_is_no_http_behind_a_plain_request_is_refused_after_it(
    server: Server, plain_cycles: list[str]
) -> None:
    slow = request(b"POST /v1/pools/%s/rollouts" % server.pool().encode(), SYNC)
    sent = b"nonsense\r\n\r\n", request(b"GET /health")
    assert answers_behind(server.port, slow, lambda: bool(plain_cycles), *sent) == [200, 400]


class _Raw(Starlette):
    """An application that answers with these messages."""

    def __init__(self, messages: list[dict[str, object]]) -> None:
        super().__init__()
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        for message in self._messages:
            if message["type"] == WHOLE_RESPONSE not in scope["extensions"]:
                await send({**message, "type": "http.response.start"})
                await send({"type": "http.response.body", "body": message["body"]})
            else:
                await send(message)


def start(status: int = 200, **headers: str) -> dict[str, object]:
    fields = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return {"type": "http.response.start", "status": status, "headers": fields}


def body(data: bytes, *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def whole(data: bytes, status: int = 200, **headers: str) -> dict[str, object]:
    return {**start(status, **headers), "type": WHOLE_RESPONSE, "body": data}


@pytest.fixture
def answering() -> Iterator[Callable[[list[dict[str, object]]], int]]:
    """The port of a server whose application answers with messages."""
    with contextlib.ExitStack() as stack:

        def begin(messages: list[dict[str, object]]) -> int:
            listener = open_listening_socket("127.0.0.1", 0)
            port = int(listener.getsockname()[1])
            thread = ServerThread(lambda: _Raw(messages), listener)
            thread.start(LIMIT)
            stack.callback(thread.stop, LIMIT)
            return port

        yield begin


@pytest.mark.parametrize(
    "messages",
    [
        [start(), body(b"a", more=True), body(b"", more=True), body(b"bc")],
        [start(content_length="3"), body(b"a", more=True), body(b"bc")],
        [start(204), body(b"")],
        [start(304), body(b"")],
        [start(content_length="1", connection="close"), body(b"a")],
        [start(418, x="\xfc", y=""), body(b"")],
    ],
)
def test_responses_of_every_kind_are_those_of_h11(
    answering: Callable[[list[dict[str, object]]], int],
    messages: list[dict[str, object]],
    plain_cycles: list[str],
) -> None:
    port = answering(messages)
    plain = VARYING.sub(b"", answer(port, request(b"GET /a")))
    assert plain_cycles == ["/a"]
    assert VARYING.sub(b"", answer(port, request(b"GET /a", more=NOT_PLAIN))) == plain
    assert plain_cycles == ["/a"]


class _Taking(Starlette):
    """An application that takes the body of a request, and then waits for what comes next."""

    def __init__(self, told: list[object]) -> None:
        super().__init__()
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        assert isinstance(receive, Receiving)
        while (taken := receive.take_whole()) is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        self._told.append(taken)
        self._told.append((await receive())["type"])


@pytest.mark.parametrize("more", [b"", NOT_PLAIN])
def test_what_was_taken_whole_is_not_told_again(more: bytes) -> None:
    told: list[object] = []
    listener = open_listening_socket("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    thread = ServerThread(lambda: _Taking(told), listener)
    thread.start(LIMIT)
    try:
        with socket.create_connection(("127.0.0.1", port), LIMIT) as wire:
            wire.sendall(request(b"POST /a", b"{}", more))
            eventually(lambda: bool(told))
        eventually(lambda: len(told) == 2)
    finally:
        thread.stop(LIMIT)
    assert told == [b"{}", "http.disconnect"]


@pytest.mark.parametrize(
    ("message", "messages"),
    [
        (whole(b"abc", content_length="3"), [start(content_length="3"), body(b"abc")]),
        (whole(b"abc"), [start(), body(b"abc")]),
        (whole(b"", 204), [start(204), body(b"")]),
        (
            whole(b"a", content_length="1", connection="close"),
            [start(content_length="1", connection="close"), body(b"a")],
        ),
    ],
)
def test_a_response_in_one_message_is_the_same(
    answering: Callable[[list[dict[str, object]]], int],
    message: dict[str, object],
    messages: list[dict[str, object]],
) -> None:
    one, several = (
        VARYING.sub(b"", answer(answering(sent), request(b"GET /a")))
        for sent in ([message], messages)
    )
    assert one == several
    assert one.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "message",
    [
        whole(b"abcd", content_length="3"),
        whole(b"ab", content_length="3"),
        whole(b"", x="a\r\nset-cookie: b"),
    ],
)
def test_a_broken_response_in_one_message_is_a_failure(
    answering: Callable[[list[dict[str, object]]], int],
    message: dict[str, object],
    failures: list[str],
) -> None:
    received = answer(answering([message]), request(b"GET /a"))
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in received
    assert failures
    failures.clear()


@pytest.mark.parametrize(
    "messages",
    [
        [start(content_length="3"), body(b"abcd")],
        [start(content_length="3"), body(b"ab")],
        [start(x="a\r\nset-cookie: b"), body(b"")],
        [start(x="a\x00"), body(b"")],
        [start(x="a\nb: c"), body(b"")],
        [start(), start()],
        [body(b"a")],
        [start(204, content_length="0"), body(b"a")],
    ],
)
@pytest.mark.parametrize("more", [b"", NOT_PLAIN])
def test_a_response_that_no_client_could_read_ends_its_connection(
    answering: Callable[[list[dict[str, object]]], int],
    messages: list[dict[str, object]],
    more: bytes,
    failures: list[str],
) -> None:
    received = answer(answering(messages), request(b"GET /a", more=more))
    # No second answer, and none that says something else than what came.
    assert received.count(b"HTTP/1.1 ") <= 1
    assert b"set-cookie" not in received
    assert b"abcd" not in received
    # Which is the application's fault, and told as such.
    assert failures
    failures.clear()
