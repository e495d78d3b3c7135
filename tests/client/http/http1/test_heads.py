"""Heads of answers: the engines over sockets read them as h11 does, and refuse no others.

`STRICTER` lists the exceptions: where two readers differ, answers get mixed up.
"""

from __future__ import annotations

import asyncio
import io
import random
import re
from types import SimpleNamespace
from typing import Any

import h11
import pytest

from synth_pools._client.http.http1.async_connection import AsyncConnection
from synth_pools._client.http.http1.connection import Connection
from synth_pools._client.http.http1.heads import AnswerHead
from synth_pools._client.http.messages import ExchangeError

# Status, headers, length of the body, and whether the body is chunked.
Read = tuple[int, list[tuple[bytes, bytes]], int | None, bool]

STATUS_LINES = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.0 404 Not Found",
    b"HTTP/1.1 599 \xff\xfe",
    b"HTTP/1.1 103 Early Hints",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/2.0 200 OK",
    b"HTTP/1.2 200 OK",
    b"HTTP/1.1  200 OK",
    b"http/1.1 200 OK",
    b"HTTP/1.1 20 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 099 OK",
    b"HTTP/1.1 200\tOK",
    b"ICY 200 OK",
    b"",
    b" HTTP/1.1 200 OK",
    b"HTTP/1.1 200 O\rK",
    b"HTTP/1.1 200 O\0K",
)
HEADERS = (
    b"Content-Type: application/json",
    b"content-length: 12",
    b"Content-Length: 12",
    b"Content-Length: 13",
    b"Content-Length: 12, 12",
    b"Content-Length: 12,13",
    b"Content-Length: +12",
    b"Content-Length: -1",
    b"Content-Length: 0x1",
    b"Content-Length: 1_0",
    b"Content-Length: \xb2",
    b"Content-Length:",
    b"Content-Length: 12 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: chunked, chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"X-A:b",
    b"X-A:\tb \t",
    b"X-A: ",
    b"X-A:",
    b"X-A : b",
    b": b",
    b"X-A",
    b" folded",
    b"\tfolded",
    b"X A: b",
    b"X-A: b\0c",
    b"X-A: b\rc",
    b"X-A: \x0bb\x0c",
    b"X-A: \x01\x7f",
    b"X-A: \xe9\xff\xa0",
    b"X\xe9: b",
    b"X-A: b:c",
    b"(x): y",
    b"!#$%&'*+.^_`|~: token",
    b"X-A: \x85b\xa0",
)
ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n")
PIECES = (
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"1",
    b"a",
    b"\xff",
    b",",
    b";",
    b"HTTP/1.1 200 OK\r\n",
)

# Reasons to refuse an answer that h11 accepts.
STRICTER = re.compile(
    "no header is like this: b['\"][ \\\\]"  # a folded line
    "|no status line is like this: b['\"]HTTP/(?!1\\.[01] )"
    "|the answer has both a length and chunks"
    "|the answer has no length that can be read"
)


def random_head(dice: random.Random) -> bytes:
    """Return a head of mostly valid lines; every other one has a few wrong bytes."""
    lines = [STATUS_LINES[min(int(dice.expovariate(0.25)), len(STATUS_LINES) - 1)]]
    lines += dice.choices(HEADERS, k=dice.randrange(5))
    end = dice.choice(ENDS) if dice.random() < 0.2 else b"\r\n"
    head = b"".join(line + (end if dice.random() < 0.5 else b"\r\n") for line in lines) + b"\r\n"
    for _ in range(dice.randrange(3) if dice.random() < 0.5 else 0):
        at = dice.randrange(len(head))
        head = head[:at] + dice.choice(PIECES) + head[at + dice.randrange(2) :]
    if dice.random() < 0.1:
        head = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + head
    return head


def comparable(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Omit the headers that h11 normalises: the length and the coding."""
    normalised = (b"content-length", b"transfer-encoding")
    return [(name, value) for name, value in headers if name not in normalised]


def refuse(_: object) -> Any:
    raise AssertionError("these connections are not opened")


def read_here(head: bytes) -> Read | str:
    """Read a head with the sync client; return the reason of a refusal."""
    connection = Connection(refuse)
    parts: Any = connection
    parts._receiver = SimpleNamespace(limit=None)
    parts._reader = io.BytesIO(head)
    try:
        return as_read(connection.read_head(1.0))
    except ExchangeError as error:
        return str(error.details[0])


async def read_in_pieces(head: bytes, dice: random.Random) -> Read | str:
    """Read a head with the async client, which gets it in pieces."""
    connection = AsyncConnection(refuse)
    connection._buffer = memoryview(bytearray(65_536))
    reading = asyncio.ensure_future(connection.read_head(60.0))
    at = 0
    while at < len(head) and not reading.done():
        piece = head[at : at + 1 + int(dice.expovariate(0.05))]
        at += len(piece)
        connection.get_buffer(-1)[: len(piece)] = piece
        connection.buffer_updated(len(piece))
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)
    connection.eof_received()
    try:
        return as_read(await reading)
    except ExchangeError as error:
        return str(error.details[0])
    finally:
        connection.close()


def as_read(head: AnswerHead) -> Read:
    headers = [(name.lower(), value) for name, value in head.headers.raw]
    return head.status, comparable(headers), head.length, head.is_chunked


def read_by_h11(head: bytes) -> Read | str:
    """Read a head with h11; return the reason of a refusal, or "incomplete"."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100_000)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(head)
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                response_headers = dict(event.headers)
                length_header = response_headers.get(b"content-length")
                length = None if length_header is None else int(length_header)
                is_chunked = b"transfer-encoding" in response_headers
                if event.status_code in (204, 304):
                    length, is_chunked = 0, False
                return event.status_code, comparable(list(event.headers)), length, is_chunked
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                return "incomplete"
    except h11.RemoteProtocolError as error:
        return str(error)


def difference(head: bytes) -> str | None:
    """Describe how the two readers differ over a head; None where they agree."""
    here, there = read_here(head), read_by_h11(head)
    if isinstance(here, str):
        if isinstance(there, str) or STRICTER.match(here):
            return None
        return f"{head!r}: refused here ({here}), and accepted by h11: {there}"
    if isinstance(there, str):
        return f"{head!r}: accepted here ({here}), and refused by h11: {there}"
    return None if here == there else f"{head!r}: {here} here, {there} by h11"


@pytest.mark.parametrize("seed", range(4))
def test_heads_are_read_as_h11_reads_them(seed: int) -> None:
    dice = random.Random(seed)
    heads = [random_head(dice) for _ in range(3000)]
    assert [text for text in map(difference, heads) if text] == []
    # A good part of the heads is valid, and a good part is not.
    accepted = sum(not isinstance(read_here(head), str) for head in heads)
    assert 0.1 < accepted / len(heads) < 0.9


async def test_heads_are_read_alike_in_pieces() -> None:
    dice = random.Random(5)
    for _ in range(3000):
        head = random_head(dice)
        here, in_pieces = read_here(head), await read_in_pieces(head, dice)
        # With several faults the reason depends on the pieces.
        assert here == in_pieces or (isinstance(here, str) and isinstance(in_pieces, str)), head


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(4))
def test_many_heads(part: int) -> None:
    """Compare many more heads, of other seeds."""
    dice = random.Random(1000 + part)
    for _ in range(50_000):
        assert difference(random_head(dice)) is None
