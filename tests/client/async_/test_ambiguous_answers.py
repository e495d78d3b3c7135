"""Answers that two readers would read differently, and answers out of turn."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from synth_pools import APIConnectionError, AsyncContainerPoolsClient
from tests.support import faults
from tests.support.contents import names
from tests.support.fault_server import FaultServer
from tests.support.surface import P, R

BODY = b'{"ok": true}'
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


LENGTH = b"Content-Length: 12"
CODING = b"Transfer-Encoding: chunked"
WHOLE = b"c\r\n" + BODY + b"\r\n0\r\n\r\n"

# Different readers would disagree on where each of these answers ends.
AMBIGUOUS = {
    "a length and chunks": head(LENGTH, CODING) + WHOLE,
    "chunks and a length": head(CODING, LENGTH) + WHOLE,
    "two lengths": head(LENGTH, b"Content-Length: 2") + BODY,
    "two lengths in one": head(b"Content-Length: 12, 2") + BODY,
    "a length with a sign": head(b"Content-Length: +12") + BODY,
    "a length that is none": head(b"Content-Length: 1_2") + BODY,
    "a length below zero": head(b"Content-Length: -12") + BODY,
    "another transfer encoding": head(b"Transfer-Encoding: gzip, chunked") + WHOLE,
    "a folded line": head(LENGTH, b"X-A: b", b" c: d") + BODY,
    "a folded length": head(b"X-A: b", b" Content-Length: 12", LENGTH) + BODY,
    "a space before the colon": head(b"Content-Length : 12", LENGTH) + BODY,
    "a line without a colon": head(b"nonsense", LENGTH) + BODY,
    "half a line end": head(b"X-A: b\rContent-Length: 2", LENGTH) + BODY,
    "a NUL": head(b"X-A: b\0c", LENGTH) + BODY,
    "a status of letters": head(LENGTH, status=b"HTTP/1.1 2_0 OK") + BODY,
    "a status of two digits": head(LENGTH, status=b"HTTP/1.1 99 OK") + BODY,
    "another version": head(LENGTH, status=b"HTTP/3.0 200 OK") + BODY,
    "no version": head(LENGTH, status=b"ICY 200 OK") + BODY,
    "an empty line first": b"\r\n" + head(LENGTH) + BODY,
    "a chunk with a sign": CHUNKS + b"+c\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk with a prefix": CHUNKS + b"0xc\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk of spaces": CHUNKS + b" c\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKS + b"2\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk that is empty": CHUNKS + b"\r\n0\r\n\r\n",
    "a chunk of many digits": CHUNKS + b"0" * 40 + b"c\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a trailer without a colon": CHUNKS + b"c\r\n" + BODY + b"\r\n0\r\nnonsense\r\n\r\n",
    "another protocol": head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Go"),
}
# Answers that a library accepts in spite of that, by the robustness principle.
TAKEN = {"httpx": {"a folded line", "a folded length", "another version"}}


@pytest.mark.keeps_connections
@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_an_ambiguous_answer_is_an_error_that_ends_its_connection(
    server: FaultServer, client: AsyncContainerPoolsClient, library: str, name: str
) -> None:
    view = client.with_options(max_retries=0)
    assert await view.get_pool(P) == {"ok": True}
    server.play([faults.raw(AMBIGUOUS[name]), faults.answer({"own": 1})])
    if name in TAKEN.get(library, ()):
        assert await view.get_pool(P) == {"ok": True}
    else:
        with pytest.raises(APIConnectionError) as caught:
            await view.get_pool(P)
        assert caught.value.cause == "RemoteProtocolError"
        assert caught.value.sent
    assert await view.get_pool(P) == {"own": 1}
    assert server.connections == (1 if name in TAKEN.get(library, ()) else 2)


@pytest.mark.keeps_connections
@pytest.mark.parametrize(
    "body",
    [
        b"c;name=value\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"00C\r\n" + BODY + b"\r\n000\r\nX-Checksum: 1\r\nX-Other: 2\r\n\r\n",
        b"1\r\n{\r\nb\r\n" + BODY[1:] + b"\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 100])
async def test_chunks_of_every_kind(
    server: FaultServer, client: AsyncContainerPoolsClient, body: bytes, step: int
) -> None:
    server.play(faults.dribble(0.0, step=step, data=CHUNKS + body))
    for _ in range(2):
        assert await client.get_pool(P) == {"ok": True}
    assert server.connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.raw(head() + BODY, go_on=False))
    for _ in range(2):
        assert await client.get_pool(P) == {"ok": True}
    assert server.connections == 2


async def test_an_answer_without_a_length_that_ends_with_its_head_is_cut(
    server: FaultServer, client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    server.play([faults.raw(head(), go_on=False), faults.answer({"own": 1})])
    assert await client.get_pool(P) == {"own": 1}
    assert server.connections == 2
    once = client.with_options(max_retries=0)
    server.play(faults.raw(head(), go_on=False))
    with pytest.raises(APIConnectionError, match="ended with its head") as caught:
        await once.create_pool({})
    assert caught.value.sent
    with pytest.raises(APIConnectionError, match="ended with its head"):
        await once.agent_rollouts.download_artifact(R, "a", tmp_path)
    assert not names(tmp_path)
    empty = [head(b"Content-Length: 0"), CHUNKS + b"0\r\n\r\n"]
    for answer in (*empty, head(status=b"HTTP/1.1 204 No Content")):
        server.play(faults.raw(answer))
        assert await once.delete_pool(P) == {}


async def test_an_answer_that_says_that_the_connection_ends(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    for lines, status in (
        ([LENGTH, b"Connection: close"], b"HTTP/1.1 200 OK"),
        ([LENGTH], b"HTTP/1.0 200 OK"),
    ):
        server.play(faults.raw(head(*lines, status=status) + BODY))
        before = server.connections
        for _ in range(2):
            assert await client.get_pool(P) == {"ok": True}
        assert server.connections >= before + 1


@pytest.mark.keeps_connections
async def test_a_second_answer_on_an_idle_connection_is_nobodys(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    stolen = faults.message(b'{"stolen": true}', 200, faults.JSON)
    is_read, is_sent = threading.Event(), threading.Event()
    server.play([faults.twice(faults.OK, is_read, stolen, is_sent), faults.answer({"own": 1})])
    assert await client.get_pool(P) == {"ok": True}
    is_read.set()
    assert is_sent.wait(60)
    assert await client.get_pool(P) == {"own": 1}
    assert server.connections == 2
