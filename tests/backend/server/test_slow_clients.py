"""Slow and silent clients are dropped, without harm to others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from synth_pools.backend.server.protocol import ServerConnection
from synth_pools.backend.storage import events as stored_events
from synth_pools.backend.storage.database import Transaction
from tests.support.backend_server import KEY, Server, eventually

AUTHORIZED = f"host: localhost\r\nauthorization: Bearer {KEY}\r\n".encode()
POST = b"POST /v1/pools HTTP/1.1\r\n" + AUTHORIZED + b"content-type: application/json\r\n"
LIMIT = 60.0

pytestmark = pytest.mark.usefixtures("loop_name")


@contextlib.contextmanager
def wire(server: Server, *, small: bool = False) -> Iterator[socket.socket]:
    with socket.socket() as connection:
        if small:
            # Little room on our side: unread bytes stay with the server.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(LIMIT)
        connection.connect(("127.0.0.1", server.port))
        yield connection


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def read_answer(connection: socket.socket) -> bytes:
    """Read up to the end of a document, or of the connection."""
    received = b""
    while not received.endswith(b"}") and (piece := connection.recv(65536)):
        received += piece
    return received


def wait_until_closed(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


def dribble(connection: socket.socket, text: bytes) -> float:
    """Send it byte by byte, quickly enough for every limit on silence; seconds until closed."""
    started_at = time.monotonic()
    connection.settimeout(0.05)
    for byte in text:
        try:
            connection.sendall(bytes([byte]))
            if connection.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - started_at


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\n", POST + b"a: b"])
def test_headers_that_do_not_come(start: Callable[..., Server], sent: bytes) -> None:
    backend = start(header_timeout_seconds=0.5)
    # The backend may have accepted it before this side goes on.
    connecting_at = time.monotonic()
    with wire(backend) as silent:
        silent.sendall(sent)
        wait_until_closed(silent)
        assert 0.3 < time.monotonic() - connecting_at < 30
    backend.get("/v1/pools")


def test_headers_that_dribble(start: Callable[..., Server]) -> None:
    backend = start(header_timeout_seconds=0.5)
    with wire(backend) as slow:
        assert dribble(slow, b"GET /v1/pools HTTP/1.1\r\n" + b"a: b\r\n" * 100) < 25


def test_a_second_request_that_dribbles(start: Callable[..., Server]) -> None:
    backend = start(header_timeout_seconds=0.5)
    with wire(backend) as slow:
        slow.sendall(b"GET /v1/pools HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert dribble(slow, b"GET /v1/pools HTTP/1.1\r\n" + b"a: b\r\n" * 100) < 25


@pytest.mark.parametrize("body", [b"", b" "])
def test_a_connection_between_two_requests(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    sweep, sweeps = ServerConnection.sweep, list[tuple[float, bool]]()
    ahead = 0.0

    def look_later(connection: ServerConnection, now: float) -> None:
        later, is_idle = ahead, connection in connection._limited.idle
        sweep(connection, now + later)
        sweeps.append((later, is_idle))

    monkeypatch.setattr(ServerConnection, "sweep", look_later)
    backend = start(header_timeout_seconds=LIMIT, idle_timeout_seconds=10 * LIMIT)
    backend.http.close()
    head = b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
    with wire(backend) as connection:
        for seconds in (2 * LIMIT, 20 * LIMIT):
            ahead = 0.0
            connection.sendall(head % len(body))
            assert read_answer(connection).startswith(b"HTTP/1.1 404 ")
            # The end of the request comes after its answer.
            connection.sendall(body)
            sweeps.clear()
            eventually(lambda: (0.0, True) in sweeps)
            ahead = seconds
            eventually(lambda: any(later for later, _ in sweeps))
        wait_until_closed(connection)


def test_a_body_that_dribbles(start: Callable[..., Server]) -> None:
    backend = start(body_timeout_seconds=0.5)
    with wire(backend) as slow:
        slow.sendall(POST + b"content-length: 1000\r\n\r\n")
        assert dribble(slow, b" " * 1000) < 25
    backend.get("/v1/pools")


def test_a_body_that_dribbles_behind_its_answer(start: Callable[..., Server]) -> None:
    backend = start(header_timeout_seconds=0.5)
    with wire(backend) as slow:
        # Answered at once: nothing of it has to be read for that.
        slow.sendall(b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n")
        assert slow.recv(65536).startswith(b"HTTP/1.1 404 ")
        assert dribble(slow, b" " * 1000) < 25


def test_a_request_that_takes_long_to_answer_is_no_slow_client(
    start: Callable[..., Server],
) -> None:
    backend = start(header_timeout_seconds=2, body_timeout_seconds=2, write_timeout_seconds=2)
    rollout = backend.run(backend.pool(), env={"delay": 4})
    assert rollout["status"] == "completed"
    slow = backend.rollout(backend.pool(), env={"delay": 4})["id"]
    # Nor is a stream without events for a while.
    assert backend.types(slow)[-1] == "rollout.completed"


def tell_much(server: Server, rollout_id: str, events: int) -> None:
    """Give a rollout events of 10 kB each, as one that reports a lot."""
    text = '{"pad":"' + "x" * 10_000 + '"}'

    def append(tx: Transaction) -> None:
        row = tx.execute("SELECT seq FROM rollouts WHERE id = ?", (rollout_id,)).fetchone()
        for _ in range(events):
            at = "2026-01-01T00:00:00.000000Z"
            stored_events.append(tx, row["seq"], stored_events.AGENT, at, [text])

    store = server.services.database
    loop: Any = store._loop
    asyncio.run_coroutine_threadsafe(store.write(append), loop).result(LIMIT)


def test_readers_that_do_not_read_are_dropped_and_the_others_see_everything(
    start: Callable[..., Server],
) -> None:
    backend = start(write_timeout_seconds=4.0, validate_responses=False)
    pool_id = backend.pool()
    rollout_id = backend.rollout(pool_id, env={"delay": 600, "events": 0})["id"]
    backend.until(rollout_id, "running")
    tell_much(backend, rollout_id, 500)
    request = f"GET /v1/rollouts/{rollout_id}/events HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n"
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(wire(backend, small=True)).sendall(request)
        eventually(lambda: len(backend.services.streams) == 20)
        started_at = time.monotonic()
        backend.post(f"/v1/rollouts/{rollout_id}/cancel")
        events = backend.events(rollout_id)
        assert [event["sequence"] for event in events] == list(range(1, 504))
        assert time.monotonic() - started_at < 60, "one after the other they would take as long"
        eventually(lambda: len(backend.services.streams) == 0)


@pytest.mark.system
def test_a_reader_that_is_merely_slow_is_served_to_the_end(start: Callable[..., Server]) -> None:
    limit = 10.0
    backend = start(write_timeout_seconds=limit, validate_responses=False)
    rollout_id = backend.rollout(backend.pool(), env={"delay": 600, "events": 0})["id"]
    backend.until(rollout_id, "running")
    tell_much(backend, rollout_id, 400)
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    started_at = time.monotonic()
    received = b""
    with wire(backend, small=True) as slow:
        slow.sendall(
            f"GET /v1/rollouts/{rollout_id}/events HTTP/1.1\r\n".encode()
            + AUTHORIZED
            + b"connection: close\r\n\r\n"
        )
        while chunk := slow.recv(65536):
            received += chunk
            # Far beyond the limit in all, never silent for as long as that.
            time.sleep(0.03 if time.monotonic() - started_at < limit + 2 else 0)
    assert received.count(b"\nevent: ") == 403
    assert received.endswith(b"0\r\n\r\n")


def test_an_answer_that_is_not_read(start: Callable[..., Server]) -> None:
    backend = start(write_timeout_seconds=0.5, validate_responses=False)
    backend.pool(pad="x" * 8_000_000)
    with wire(backend, small=True) as deaf:
        deaf.sendall(b"GET /v1/pools HTTP/1.1\r\n" + AUTHORIZED + b"connection: close\r\n\r\n")
        # The answer has begun.
        assert deaf.recv(1, socket.MSG_PEEK)
        eventually(lambda: not backend.holds(deaf))
        received = 0
        with contextlib.suppress(ConnectionError):
            while chunk := deaf.recv(65536):
                received += len(chunk)
        assert received < 8_000_000
    backend.get("/v1/queue/status")


def test_an_answer_that_is_not_read_after_others_that_were(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, ports = ServerConnection.sweep, set[int]()

    def note(connection: ServerConnection, now: float) -> None:
        sweep(connection, now)
        if connection._is_settled and connection.client is not None:
            ports.add(connection.client[1])

    monkeypatch.setattr(ServerConnection, "sweep", note)
    backend = start(write_timeout_seconds=0.5, validate_responses=False)
    pool_id = backend.pool(pad="x" * 8_000_000)
    with wire(backend, small=True) as deaf:
        for _ in range(2):
            deaf.sendall(b"GET /health HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
            received = b""
            while b'"ok"' not in received:
                received += deaf.recv(65536)
            eventually(lambda: deaf.getsockname()[1] in ports)
            ports.clear()
        deaf.sendall(f"GET /v1/pools/{pool_id} HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n")
        eventually(lambda: not backend.holds(deaf))


def test_many_silent_connections_keep_nobody_out(start: Callable[..., Server]) -> None:
    backend = start(header_timeout_seconds=LIMIT)
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(wire(backend)) for _ in range(300)]
        for connection in silent:
            connection.sendall(b"POST /v1/poo")
        for _ in range(20):
            httpx.get(f"{backend.url}/health", timeout=LIMIT / 2).raise_for_status()
        # They were all there all the time.
        for connection in silent:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)


def test_connections_that_show_no_key_make_room_for_others(start: Callable[..., Server]) -> None:
    backend = start(max_connections=10, header_timeout_seconds=LIMIT)
    with contextlib.ExitStack() as opened:
        earlier = opened.enter_context(wire(backend))

        def is_answered() -> bool:
            earlier.sendall(b"GET /v1/queue/status HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
            return read_answer(earlier).startswith(b"HTTP/1.1 200 ")

        assert is_answered()
        waiting = [
            b"",
            b"GET /v1/poo",
            b"GET /v1/pools HTTP/1.1\r\nhost: localhost\r\n\r\n",
            b"POST /ui/session HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n",
        ]
        for sent in waiting * 8:
            opened.enter_context(wire(backend)).sendall(sent)
        for _ in range(20):
            answer = httpx.get(
                f"{backend.url}/v1/queue/status", headers={"authorization": f"Bearer {KEY}"}
            )
            assert answer.status_code == 200
        assert is_answered()


def test_one_answer_is_all_without_a_key_while_no_place_is_free(
    start: Callable[..., Server],
) -> None:
    backend = start(max_connections=2, header_timeout_seconds=LIMIT)
    backend.http.close()
    line = b"GET /v1/queue/status HTTP/1.1\r\n"
    with wire(backend) as keyed:
        keyed.sendall(line + AUTHORIZED + b"\r\n")
        assert keyed.recv(65536).startswith(b"HTTP/1.1 200 ")
        with wire(backend) as full:
            full.sendall((line + b"host: localhost\r\n\r\n") * 20)
            assert read_all(full).count(b"HTTP/1.1 401 ") == 1
        with wire(backend):
            keyed.sendall((line + AUTHORIZED + b"\r\n") * 20)
            keyed.shutdown(socket.SHUT_WR)
            assert read_all(keyed).count(b"HTTP/1.1 200 ") == 20


def test_connections_are_limited_and_come_back(start: Callable[..., Server]) -> None:
    backend = start(max_connections=10, header_timeout_seconds=8.0)
    backend.http.close()
    with contextlib.ExitStack() as opened:

        def is_answered() -> bool:
            connection = opened.enter_context(wire(backend))
            connection.sendall(b"GET /v1/queue/status HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
            if connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                return True
            connection.close()
            return False

        # Up to the limit, connections are answered.
        for _ in range(10):
            eventually(is_answered)
        # They have been idle for too short a time to make room.
        with wire(backend) as late:
            answer = b""
            while piece := late.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer
            assert b"too_many_connections" in answer
        eventually(lambda: httpx.get(f"{backend.url}/health").status_code == 200)
