"""Upstreams that speak HTTP in other ways, or badly."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from tests.relay.test_passing import HTTP, chat, completion
from tests.support.recording import RecordingServer, Reply
from tests.support.relays import Running, running_relay


@pytest.fixture(scope="module")
def relay() -> Iterator[Running]:
    with running_relay("http://127.0.0.1:9/v1") as running:
        yield running


class RawServer:
    """Server that sends one answer to each connection, to the byte, and closes it.

    Args:
        answer: The answer.
        size: The bytes that are sent at a time.
        seconds: The time before it is closed.
    """

    def __init__(self, answer: bytes, size: int = 10**9, seconds: float = 0) -> None:
        self._answer, self._size, self._seconds = answer, size, seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes it up.
        socket.create_connection(self._listener.getsockname(), 30).close()
        self._thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                request = b""
                while b"}]" not in request and (piece := connection.recv(65536)):
                    request += piece
                if not request:
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(0, len(self._answer), self._size):
                    connection.sendall(self._answer[at : at + self._size])
                if self._seconds:
                    connection.settimeout(self._seconds)
                    with contextlib.suppress(OSError):
                        connection.recv(1)


BODY = json.dumps(completion()).encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


ODD_ANSWERS = {
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, 200),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY), 200),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\n\r\n" + BODY, 200),
    "extensions and trailers": (
        b"HTTP/1.1 200 OK\r\n%b3;x=y\r\n%b\r\n%X\r\n%b\r\n0\r\nT: x\r\n\r\n"
        % (CHUNKED, BODY[:3], len(BODY) - 3, BODY[3:]),
        200,
    ),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "no size": (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"zz\r\n", 502),
    "negative size": (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n", 502),
    "short": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 502),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", 502),
    "another protocol": (b"SSH-2.0 hello\r\n\r\n", 502),
    "large head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", 502),
    "nothing": (b"", 502),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_an_upstream_may_answer_in_odd_ways(relay: Running, name: str) -> None:
    answer, status = ODD_ANSWERS[name]
    with RawServer(answer) as server:
        running = relay.session_of(server.url)
        url = f"{running.base_url}/chat/completions"
        for _ in range(2):
            result = HTTP.post(url, json=chat())
            assert result.status_code == status, result.text
            if status == 200:
                assert result.content == BODY
    assert len(running.steps.calls) == 2
    assert not running.session.running


def test_the_query_of_an_upstream_is_sent(relay: Running) -> None:
    with RecordingServer(Reply(body=BODY)) as server:
        running = relay.session_of(f"{server.url}/v1/?api-version=3")
        HTTP.post(f"{running.base_url}/chat/completions", json=chat())
        HTTP.get(f"{running.base_url}/models?limit=2")
        targets = [request.target for request in server.requests]
    assert targets == ["/v1/chat/completions?api-version=3", "/v1/models?limit=2&api-version=3"]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_chunks_may_arrive_in_any_pieces(relay: Running, size: int) -> None:
    pieces = [BODY[at : at + 10] for at in range(0, len(BODY), 10)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    answer = b"HTTP/1.1 200 OK\r\n" + CHUNKED + chunks + b"0\r\nT: x\r\n\r\n"
    with RawServer(answer, size) as server:
        running = relay.session_of(server.url)
        result = HTTP.post(f"{running.base_url}/chat/completions", json=chat())
    assert result.content == BODY


@pytest.mark.parametrize("head", [b"\r\n", CHUNKED + b"9\r\n", b"Content-Length: 9\r\n\r\n"])
def test_an_upstream_that_falls_silent_is_given_up(
    relay: Running, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_pools.relay.upstream._SILENCE_SECONDS", 0.2)
    with RawServer(b"HTTP/1.1 200 OK\r\n" + head + b"abc", seconds=60) as server:
        running = relay.session_of(server.url)
        result = HTTP.post(f"{running.base_url}/chat/completions", json=chat())
    assert result.status_code == 502
    assert "TimeoutError" in running.steps.calls[0]["extra"]["error"]["message"]


def test_a_connection_that_the_upstream_has_closed_is_not_used_again(relay: Running) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with RawServer(head + BODY) as server:
        running = relay.session_of(server.url)
        for _ in range(3):
            assert HTTP.post(f"{running.base_url}/chat/completions", json=chat()).content == BODY


def test_connections_of_a_former_upstream_end_in_their_loop(odd: RecordingServer) -> None:
    odd.reply_with(Reply.json(completion()))
    with running_relay(f"{odd.url}/v1") as running:
        url = f"{running.base_url}/chat/completions"
        # It refuses what another thread does to a connection.
        running.do(lambda: running.loop.set_debug(True))
        assert HTTP.post(url, json=chat()).status_code == 200
        first = running.relay.upstream(f"{odd.url}/v1", None)
        for number in range(100):
            running.relay.upstream(f"http://127.0.0.1:9/{number}", None)
        assert running.relay.upstream(f"{odd.url}/v1", None) is not first
        assert HTTP.post(url, json=chat()).status_code == 200
    assert len({request.connection for request in odd.requests}) == 2
