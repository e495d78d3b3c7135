"""Connections to containers: asked again, answered early, flooded, idle, in pieces."""

from __future__ import annotations

import asyncio
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
from synth_pools.backend.domain import json_text
from synth_pools.backend.resources.byte_budget import ByteBudget
from synth_pools.backend.settings import Secret, Settings

OK = b"HTTP/1.1 200 OK\r\n"
ANSWER = OK + b"content-length: 1\r\n\r\nx"
LIMIT = 60.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def calling(
    data_dir: Path,
    most_bytes: int = 8 * 1024 * 1024,
    room: ByteBudget | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ContainerHttp]:
    settings = Settings(data_dir=data_dir, api_key=Secret("k"), max_container_bytes=most_bytes)
    http = ContainerHttp(settings, room or ByteBudget(settings.max_parsing_bytes), tls)
    try:
        async with asyncio.timeout(LIMIT):
            yield http
    finally:
        await http.close()


@asynccontextmanager
async def container(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    async with server:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("is_reset", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_what_may_be_asked_twice_is_sent_again_where_a_kept_connection_ends(
    tmp_path: Path, method: str, is_reset: bool
) -> None:
    request_counts: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        request_counts.append(1)
        writer.write(ANSWER)
        await read_head(reader)
        request_counts.append(2)
        if is_reset:
            writer.transport.abort()

    body = b"" if method == "POST" else None
    async with container(serve) as url, calling(tmp_path) as http:
        assert (await http.exchange(method, url, body, {}))[1] == b"x"
        if method == "GET":
            assert (await http.exchange(method, url, body, {}))[1] == b"x"
        else:
            with pytest.raises(BrokenAnswerError):
                await http.exchange(method, url, body, {})
    assert request_counts == ([1, 2, 1] if method == "GET" else [1, 2])


async def test_a_new_connection_that_ends_is_no_reason_to_ask_again(tmp_path: Path) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_head(reader)

    async with container(serve) as url, calling(tmp_path) as http:
        with pytest.raises(BrokenAnswerError, match="before an answer came"):
            await http.exchange("GET", url, None, {})
    assert connections == 1


async def test_an_answer_that_comes_before_all_is_sent_is_the_last_of_its_connection(
    tmp_path: Path,
) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))
        # The rest of the body is not read.
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await writer.drain()
        if len(heads) < 2:
            await read_head(reader)

    body = b"x" * (64 * 1024 * 1024)
    async with container(serve) as url, calling(tmp_path) as http:
        for _ in range(2):
            assert await http.exchange("POST", url, body, {}) == (413, b"big", None)
    assert len(heads) == 2
    assert b"\r\nContent-Length: 67108864\r\n" in heads[0]


@pytest.mark.parametrize(
    "framing", [b"content-length: 3000000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n", b"\r\n"]
)
@pytest.mark.parametrize("has_tls", [False, True])
async def test_a_large_answer_has_room_and_arrives_whole(
    tmp_path: Path, framing: bytes, has_tls: bool
) -> None:
    body = bytes(range(250)) * 12_000
    pieces = [body[begin : begin + 100_000] for begin in range(0, len(body), 100_000)]
    server_side, trusting = tls_contexts() if has_tls else (None, None)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(OK + framing)
        for piece in pieces:
            is_chunked = b"chunked" in framing
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await writer.drain()
        if b"chunked" in framing:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    room = ByteBudget(4_000_000)
    async with (
        container(serve, server_side) as url,
        calling(tmp_path, room=room, tls=trusting) as http,
    ):
        status, response_body, reserved = await http.exchange("GET", url, None, {})
        assert (status, response_body) == (200, body)
        assert reserved is not None
        assert room.taken == len(body)
        reserved.release()
    assert room.taken == 0


@pytest.mark.parametrize("end", [b"", b"0\r\nnothing\r\n\r\n"])
async def test_the_room_of_an_answer_that_breaks_off_is_given_back(
    tmp_path: Path, end: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        piece = b"x" * (json_text.LARGE + 1)
        head = b"transfer-encoding: chunked\r\n\r\n"
        writer.write(OK + head + b"%x\r\n%b\r\n" % (len(piece), piece) + end)
        await writer.drain()

    room = ByteBudget(4_000_000)
    async with container(serve) as url, calling(tmp_path, room=room) as http:
        with pytest.raises(BrokenAnswerError) as raised:
            await http.exchange("GET", url, None, {})
        # Even if a caller keeps the error, and with it the frames of the reader.
        assert raised.tb is not None
        assert room.taken == 0


async def test_an_answer_of_many_small_pieces_leaves_others_their_turn(tmp_path: Path) -> None:
    number = 20_000
    turns = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        chunks = b"1\r\nx\r\n" * number + b"0\r\n\r\n"
        writer.write(OK + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        await writer.drain()

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with container(serve) as url, calling(tmp_path) as http:
        others = asyncio.create_task(take_turns())
        assert (await http.exchange("GET", url, None, {}))[1] == b"x" * number
        others.cancel()
    # More than there are reads of the socket, by far.
    assert turns > number / 1000


async def test_one_that_never_comes_to_its_answer_is_given_up_in_time(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
            await writer.drain()

    async with container(serve) as url, calling(tmp_path) as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await http.exchange("GET", url, None, {})


async def test_one_that_is_idle_is_closed_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_KEEPALIVE_SECONDS", 0.05)
    remaining: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(ANSWER)
        remaining.put_nowait(await reader.read())

    async with container(serve) as url, calling(tmp_path) as http:
        for _ in range(2):
            await http.exchange("GET", url, None, {})
            assert await remaining.get() == b""


async def test_what_is_under_way_ends_where_the_client_is_closed(tmp_path: Path) -> None:
    is_asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        is_asked.set()
        await reader.read()

    async with container(serve) as url, calling(tmp_path) as http:
        call = asyncio.create_task(http.exchange("POST", url, b"{}", {}))
        await is_asked.wait()
        await http.close()
        with pytest.raises(BrokenAnswerError):
            await call


async def test_one_that_answers_no_handshake_is_given_up(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no TLS at all\r\n")
        await writer.drain()
        await reader.read()

    async with container(serve) as url, calling(tmp_path) as http:
        with pytest.raises(ConnectionFailedError) as raised:
            await http.exchange("GET", url.replace("http:", "https:"), None, {})
    assert not raised.value.nobody_listens


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://a.example", "/", "a.example"),
        ("http://a.example:80/x", "/x", "a.example"),
        ("https://a.example:443/x?y=/?", "/x?y=/?", "a.example"),
        ("https://A.example:80/%2f%zz", "/%2f%zz", "a.example:80"),
        ("http://[::1]:9/", "/", "[::1]:9"),
        ("http://bücher.example/ä b", "/%C3%A4%20b", "xn--bcher-kva.example"),
    ],
)
def test_how_a_url_is_asked_for(url: str, target: str, authority: str) -> None:
    destination = connections.destination_of(url)
    assert (destination.target, destination.authority) == (target, authority)


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server_side, trusting
