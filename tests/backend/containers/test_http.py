"""HTTP with containers: whole, split and invalid answers, and reuse of connections."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from synth_pools.backend.containers import connections
from synth_pools.backend.containers.http import (
    BrokenAnswerError,
    ConnectionFailedError,
    ContainerHttp,
)
from synth_pools.backend.resources.byte_budget import ByteBudget
from synth_pools.backend.settings import Secret, Settings
from tests.support.ports import HOST, HeldPort

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def calling(
    data_dir: Path, tls: ssl.SSLContext | None = None, most_bytes: int = 10
) -> AsyncIterator[ContainerHttp]:
    settings = Settings(data_dir=data_dir, api_key=Secret("k"), max_container_bytes=most_bytes)
    http = ContainerHttp(settings, ByteBudget(settings.max_parsing_bytes), tls)
    try:
        yield http
    finally:
        await http.close()


@asynccontextmanager
async def container(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    _, actual, length = head.lower().partition(b"content-length: ")
    return head + (await reader.readexactly(int(length.split(b"\r\n")[0])) if actual else b"")


async def test_a_connection_is_used_again_as_long_as_the_other_side_lets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_KEEPALIVE_SECONDS", 60.0)
    requests: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: list[bytes] = []
        requests.append(mine)
        while len(mine) < 3:
            mine.append(await read_request(reader))
            writer.write(OK + b"content-length: 1\r\n\r\nx")
        writer.close()

    async with container(serve) as url, calling(tmp_path) as http:
        for number in range(6):
            body = str(number).encode()
            assert await http.exchange("POST", f"{url}/a b?c=ü", body, {"x-n": "1"}) == (
                200,
                b"x",
                None,
            )
            for _ in range(10):
                await asyncio.sleep(0.002)  # for the end of the connection to arrive
    assert [len(mine) for mine in requests] == [3, 3]
    first = requests[0][0]
    assert first.startswith(b"POST /a%20b?c=%C3%BC HTTP/1.1\r\nHost: localhost:")
    assert b"\r\nx-n: 1\r\n" in first
    assert b"\r\nAccept-Encoding: identity\r\n" in first
    assert first.endswith(b"\r\n\r\n0")


async def test_one_that_is_given_up_is_closed_and_not_used_again(tmp_path: Path) -> None:
    is_asked, has_left = asyncio.Event(), asyncio.Event()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        is_asked.set()
        if connections > 1:
            writer.write(OK + b"content-length: 1\r\n\r\nx")
            await writer.drain()
        with suppress(ConnectionError):
            await reader.read()
        has_left.set()
        writer.close()

    async with container(serve) as url, calling(tmp_path) as http:
        call = asyncio.create_task(http.exchange("GET", url, None, {}))
        await asyncio.wait_for(is_asked.wait(), 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(has_left.wait(), 60)
        assert await http.exchange("GET", url, None, {}) == (200, b"x", None)
        has_left.clear()
    await asyncio.wait_for(has_left.wait(), 60)
    assert connections == 2


async def test_one_whose_answer_has_two_lengths_is_not_used_again(tmp_path: Path) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await read_request(reader)
                chunked = b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
                writer.write(OK + b"content-length: 1\r\n" + chunked)
        writer.close()

    async with container(serve) as url, calling(tmp_path) as http:
        for _ in range(2):
            with suppress(BrokenAnswerError):
                assert await http.exchange("GET", url, None, {}) == (200, b"x", None)
    assert connections == 2


ANSWER = OK + b"content-length: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "later"),
    [
        ([ANSWER + b"x"], ANSWER + b"y"),
        ([ANSWER + b"x"], b"\r\n"),
        ([ANSWER + b"x"], b"HTTP/1.1 200"),
        ([ANSWER + b"x" + ANSWER + b"y"], b""),
        ([ANSWER, b"x" + ANSWER + b"y"], b""),
        ([ANSWER, b"x" + ANSWER], b"y"),
    ],
)
@pytest.mark.parametrize("is_noticed", [True, False])
async def test_one_that_got_bytes_nobody_asked_for_is_not_used_again(
    tmp_path: Path, answer: list[bytes], later: bytes, is_noticed: bool
) -> None:
    connections = 0
    is_answered, is_written = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await read_request(reader)
            if connections > 1:
                writer.write(ANSWER + b"z")
            else:
                for piece in answer:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # each piece by itself
                await is_answered.wait()
                # Not through the event loop: it is there before anybody can look.
                os.write(writer.get_extra_info("socket").fileno(), later)
                is_written.set()
            await reader.read()
        writer.close()

    async with container(serve) as url, calling(tmp_path) as http:
        assert await http.exchange("GET", url, None, {}) == (200, b"x", None)
        is_answered.set()
        await is_written.wait()
        if is_noticed:
            for _ in range(5):
                await asyncio.sleep(0)  # the event loop reads the bytes
        async with asyncio.timeout(60):
            assert await http.exchange("GET", url, None, {}) == (200, b"z", None)
    assert connections == 2


async def test_tls_with_the_name_of_the_url(tmp_path: Path) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"content-length: 1\r\n\r\nx")
        await writer.drain()
        writer.close()

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with container(serve, server_side) as url:
        async with calling(tmp_path) as http:
            with pytest.raises(ConnectionFailedError, match="certificate verify failed"):
                await http.exchange("GET", url, None, {})
        async with calling(tmp_path, trusting) as http:
            assert await http.exchange("GET", url, None, {}) == (200, b"x", None)
            with pytest.raises(ConnectionFailedError, match="not valid for '127.0.0.1'"):
                await http.exchange("GET", url.replace("localhost", "127.0.0.1"), None, {})


@asynccontextmanager
async def answering(answer: bytes, piece: int = 1 << 20) -> AsyncIterator[str]:
    """Container that sends these bytes in pieces of a size, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await read_request(reader)
            for start in range(0, len(answer), piece):
                writer.write(answer[start : start + piece])
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()

    async with container(serve) as url:
        yield url


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello"),
        (OK + b"content-length: 0\r\n\r\n", 200, b""),
        (OK + b"\r\nhello", 200, b"hello"),
        (
            OK + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            200,
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 2\r\n\r\nab", 200, b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", 200, b"x"),
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 1\r\n\r\nx", 302, b"x"),
    ],
)
async def test_an_answer_in_pieces(
    tmp_path: Path, answer: bytes, status: int, body: bytes, piece: int
) -> None:
    async with answering(answer, piece) as url, calling(tmp_path) as http:
        assert await http.exchange("GET", url, None, {}) == (status, body, None)


@pytest.mark.parametrize(
    ("answer", "too_large"),
    [
        (b"", False),
        (OK, False),
        (OK + b"content-length: 5\r\n\r\nhell", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", False),
        (b"\x00\xff nonsense\r\n\r\n", False),
        (OK + b"no header\r\n\r\n", False),
        (OK + b"content-length: x\r\n\r\n", False),
        (OK + b"content-length: -1\r\n\r\n", False),
        (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", False),
        (OK + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", False),
        (OK + b"transfer-encoding: chunked\r\n\r\nx\r\n", False),
        (OK + b"x: " + b"x" * 200_000 + b"\r\n\r\n", False),
        (b"HTTP/1.1 101 x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", False),
        (OK + b"content-length: 11\r\n\r\n" + b"x" * 11, True),
        (OK + b"\r\n" + b"x" * 11, True),
        (OK + b"transfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n", True),
    ],
)
async def test_answers_that_are_none(tmp_path: Path, answer: bytes, too_large: bool) -> None:
    async with answering(answer) as url, calling(tmp_path) as http:
        with pytest.raises(BrokenAnswerError) as raised:
            await http.exchange("POST", url, b"{}", {})
    assert raised.value.too_large is too_large
    assert str(raised.value)


async def test_a_large_body_arrives(tmp_path: Path) -> None:
    body = bytes(range(256)) * 8192
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await read_request(reader))
        writer.write(OK + b"content-length: 1\r\n\r\nx")

    async with container(serve) as url, calling(tmp_path) as http:
        assert await http.exchange("POST", url, body, {}) == (200, b"x", None)
    assert received[0].partition(b"\r\n\r\n")[2] == body


async def test_nobody_there(tmp_path: Path) -> None:
    async with calling(tmp_path) as http:
        with HeldPort() as port, pytest.raises(ConnectionFailedError, match="onnect"):
            await http.exchange("GET", f"http://{HOST}:{port.number}", None, {})


@pytest.mark.parametrize("value", ["two\r\nlines", "\x00", "ü"])
async def test_a_header_is_one_line(tmp_path: Path, value: str) -> None:
    async with calling(tmp_path) as http:
        with pytest.raises(ConnectionFailedError, match="x-api-key") as raised:
            await http.exchange("GET", "http://127.0.0.1:1/", None, {"x-api-key": value})
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["ftp://localhost/", "http://", "http://[::1", "http://x:99999/", "http://9.9.9.9.9/"]
)
async def test_what_is_no_url_is_not_called(tmp_path: Path, url: str) -> None:
    async with calling(tmp_path) as http:
        with pytest.raises(ConnectionFailedError):
            await http.exchange("GET", url, None, {})
