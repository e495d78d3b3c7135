"""HTTP with containers: every way an answer can be put, cut up or wrong, and what is used again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from synth_pools.local.checked_network import ConnectionFailedError
from synth_pools.local.container_http import ContainerHttp
from synth_pools.local.http_answers import Answering, BrokenAnswerError
from synth_pools.local.settings import Secret, Settings

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize("piece", [1, 2, 7, 10_000])
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200\ncontent-length:5\n\nhello", b"hello"),
        (OK + b"content-length: 0\r\n\r\n", b""),
        (OK + b"content-length: 2, 2\r\n\r\nab", b"ab"),
        (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (
            OK + b"transfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\nt: x\r\n\r\n",
            b"0123456789",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_an_answer_in_pieces(answer: bytes, body: bytes, piece: int) -> None:
    answering = Answering(10)
    pieces = [answer[start : start + piece] for start in range(0, len(answer), piece)]
    assert [answering.feed(each) for each in pieces] == [False] * (len(pieces) - 1) + [True]
    assert bytes(answering.body) == body
    assert answering.status in (200, 204)
    assert answering.keeps_open


def test_an_answer_that_ends_with_its_connection() -> None:
    answering = Answering(10)
    assert not answering.feed(OK + b"\r\nhel")
    assert not answering.feed(b"lo")
    assert answering.ends_with_connection()
    assert bytes(answering.body) == b"hello"
    for cut_short in (b"", OK, OK + b"content-length: 5\r\n\r\nhell"):
        answering = Answering(10)
        answering.feed(cut_short)
        assert not answering.ends_with_connection()
    answering = Answering(10)
    answering.feed(OK + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n")
    assert not answering.ends_with_connection()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
        OK + b"connection: Close\r\ncontent-length: 1\r\n\r\nx",
        OK + b"content-length: 1\r\n\r\nx" + OK,
        OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ],
)
def test_after_these_the_connection_is_not_used_again(answer: bytes) -> None:
    answering = Answering(10)
    assert answering.feed(answer)
    assert bytes(answering.body) == b"x"
    assert not answering.keeps_open


@pytest.mark.parametrize(
    ("answer", "too_large"),
    [
        (b"\x00\xff nonsense\r\n\r\n", False),
        (b"HTTP/2 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 099 OK\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", False),
        (OK + b"no header\r\n\r\n", False),
        (OK + b"name : value\r\n\r\n", False),
        (OK + b"content-length: x\r\n\r\n", False),
        (OK + b"content-length: -1\r\n\r\n", False),
        (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", False),
        (OK + b"content-length: 1, 2\r\n\r\nx", False),
        (OK + b"transfer-encoding: gzip, chunked\r\n\r\n", False),
        (OK + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", False),
        (OK + b"transfer-encoding: chunked\r\n\r\nx\r\n", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n-1\r\n", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n1\r\nxy\r\n", False),
        (OK + b"content-length: 11\r\n\r\n", True),
        (OK + b"\r\n" + b"x" * 11, True),
        (OK + b"transfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n", True),
        (OK + b"transfer-encoding: chunked\r\n\r\n1;" + b"x" * 20_000, True),
        (OK + b"x: " + b"x" * 200_000, True),
        (OK + b"x: " + b"x" * 200_000 + b"\r\n\r\n", True),
    ],
)
def test_answers_that_are_none(answer: bytes, too_large: bool) -> None:
    with pytest.raises(BrokenAnswerError) as raised:
        Answering(10).feed(answer)
    assert raised.value.too_large is too_large


@asynccontextmanager
async def calling(data_dir: Path) -> AsyncIterator[ContainerHttp]:
    http = ContainerHttp(Settings(data_dir=data_dir, api_key=Secret("k")))
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
    _, found, length = head.partition(b"content-length: ")
    return head + (await reader.readexactly(int(length.split(b"\r\n")[0])) if found else b"")


async def test_a_connection_is_used_again_as_long_as_the_other_side_lets_it(tmp_path: Path) -> None:
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
            assert await http.exchange("POST", f"{url}/a b?c=ü", body, {"x-n": "1"}) == (200, b"x")
            await asyncio.sleep(0.02)  # for the end of the connection to arrive
    assert [len(mine) for mine in requests] == [3, 3]
    first = requests[0][0]
    assert first.startswith(b"POST /a%20b?c=%C3%BC HTTP/1.1\r\nhost: localhost:")
    assert b"\r\nx-n: 1\r\ncontent-length: 1\r\n\r\n0" in first


async def test_one_that_is_given_up_is_closed_and_not_used_again(tmp_path: Path) -> None:
    left = asyncio.Event()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        if connections > 1:
            writer.write(OK + b"content-length: 1\r\n\r\nx")
            await writer.drain()
        with suppress(ConnectionError):
            await reader.read()
        left.set()
        writer.close()

    async with container(serve) as url, calling(tmp_path) as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await http.exchange("GET", url, None, {})
        await asyncio.wait_for(left.wait(), 5)
        assert await http.exchange("GET", url, None, {}) == (200, b"x")
        left.clear()
    await asyncio.wait_for(left.wait(), 5)
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

    async with container(serve, server_side) as url, calling(tmp_path) as http:
        with pytest.raises(ConnectionFailedError, match="certificate verify failed"):
            await http.exchange("GET", url, None, {})
        http._tls = ssl.create_default_context()
        authority.configure_trust(http._tls)
        assert await http.exchange("GET", url, None, {}) == (200, b"x")
        with pytest.raises(ConnectionFailedError, match="not valid for '127.0.0.1'"):
            await http.exchange("GET", url.replace("localhost", "127.0.0.1"), None, {})


@pytest.mark.parametrize("value", ["two\r\nlines", "\x00", "ü"])
async def test_a_header_is_one_line(tmp_path: Path, value: str) -> None:
    async with calling(tmp_path) as http:
        with pytest.raises(ConnectionFailedError, match="x-api-key") as raised:
            await http.exchange("GET", "http://127.0.0.1:1/", None, {"x-api-key": value})
    assert value not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://localhost/", "http://", "http://[::1", "http://x:99999/"])
async def test_what_is_no_url_is_not_called(tmp_path: Path, url: str) -> None:
    async with calling(tmp_path) as http:
        with pytest.raises(ConnectionFailedError):
            await http.exchange("GET", url, None, {})
