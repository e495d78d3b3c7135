"""Responses of an application, and the bytes that a client gets of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from synth_pools.backend.server.listener import open_listening_socket
from synth_pools.backend.server.messages import Receiving
from synth_pools.backend.server.thread import ServerThread
from tests.support.backend_server import eventually

GET = b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n"
LIMIT = 60.0

Messages = list[dict[str, object]]

pytestmark = pytest.mark.usefixtures("loop_name")


class _Raw(Starlette):
    """An application that answers with these messages."""

    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        for message in self._messages:
            await send(message)


class _Taking(Starlette):
    """An application that takes the body of a request, and then waits for the next message."""

    def __init__(self, messages: list[object]) -> None:
        super().__init__()
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        assert isinstance(receive, Receiving)
        while (body := receive.take_whole()) is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        self._messages.append(body)
        self._messages.append((await receive())["type"])


@pytest.fixture
def serve() -> Iterator[Callable[[Starlette], int]]:
    """Serve applications, each on a new port."""
    with contextlib.ExitStack() as stack:

        def serve_one(app: Starlette) -> int:
            listener = open_listening_socket("127.0.0.1", 0)
            port = int(listener.getsockname()[1])
            thread = ServerThread(lambda: app, listener)
            thread.start(LIMIT)
            stack.callback(thread.stop, LIMIT)
            return port

        yield serve_one


def start(status: int = 200, **headers: str) -> dict[str, object]:
    fields = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return {"type": "http.response.start", "status": status, "headers": fields}


def body(data: bytes, *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def answers(port: int, sent: bytes) -> bytes:
    """Return all bytes that are answered after the client has ended its side."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as wire:
        wire.sendall(sent)
        wire.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while chunk := wire.recv(65536):
                received += chunk
    return received


@pytest.mark.parametrize(
    ("messages", "line", "content"),
    [
        (
            [start(), body(b"a", more=True), body(b"", more=True), body(b"bc")],
            b"200 OK",
            b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        ),
        ([start(content_length="3"), body(b"a", more=True), body(b"bc")], b"200 OK", b"abc"),
        ([start(204), body(b"")], b"204 No Content", b""),
        ([start(304), body(b"")], b"304 Not Modified", b""),
        ([start(418, x="\xfc", y=""), body(b"")], b"418 I'm a Teapot", b"0\r\n\r\n"),
    ],
)
def test_a_response_has_the_length_that_its_head_says(
    serve: Callable[[Starlette], int], messages: Messages, line: bytes, content: bytes
) -> None:
    port = serve(_Raw(messages))
    received = answers(port, GET * 3)
    assert received.count(b"HTTP/1.1 " + line + b"\r\n") == 3
    head, _, payload = received.partition(b"\r\n\r\n")
    assert payload.startswith(content)
    assert payload.count(b"HTTP/1.1 ") == 2
    assert received.endswith(b"\r\n\r\n" + content)
    assert (b"\r\ntransfer-encoding: chunked" in head) == content.endswith(b"0\r\n\r\n")


def test_a_response_that_says_so_is_the_last(serve: Callable[[Starlette], int]) -> None:
    port = serve(_Raw([start(content_length="1", connection="close"), body(b"a")]))
    received = answers(port, GET * 2)
    assert received.count(b"HTTP/1.1 200 OK") == received.count(b"connection: close") == 1
    assert received.endswith(b"\r\n\r\na")


def test_a_body_taken_whole_is_not_received_again(serve: Callable[[Starlette], int]) -> None:
    messages: list[object] = []
    port = serve(_Taking(messages))
    with socket.create_connection(("127.0.0.1", port), LIMIT) as wire:
        wire.sendall(b"POST /a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
        eventually(lambda: bool(messages))
    eventually(lambda: len(messages) == 2)
    assert messages == [b"{}", "http.disconnect"]


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
def test_a_response_that_no_client_could_read_ends_its_connection(
    serve: Callable[[Starlette], int], messages: Messages, failures: list[str]
) -> None:
    received = answers(serve(_Raw(messages)), GET * 2)
    # No second answer, and none that says something else than what came.
    assert received.count(b"HTTP/1.1 ") <= 1
    assert b"set-cookie" not in received
    assert b"abcd" not in received
    # Which is the application's fault, and told as such.
    assert failures
    failures.clear()


def test_a_client_of_http_1_0_gets_no_chunks(serve: Callable[[Starlette], int]) -> None:
    old = b"GET /a HTTP/1.0\r\nexpect: 100-continue\r\n\r\n"
    pieces = [start(), body(b"one", more=True), body(b"", more=True), body(b"two")]
    head, _, content = answers(serve(_Raw(pieces)), old).partition(b"\r\n\r\n")
    assert content == b"onetwo"
    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    sized = [start(content_length="3"), body(b"abc")]
    assert answers(serve(_Raw(sized)), old).endswith(b"\r\n\r\nabc")
