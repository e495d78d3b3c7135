"""Clients that end their side once they have sent their request, and clients that leave."""

from __future__ import annotations

import json
import socket

import pytest

from synth_pools.backend.server import protocol
from tests.support.backend_server import KEY, Server, eventually

HEAD = f"HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n".encode()
LIMIT = 60.0

pytestmark = pytest.mark.usefixtures("loop_name")


def post(path: str, body: object, more: bytes = b"") -> bytes:
    content = json.dumps(body).encode()
    head = (
        HEAD
        + more
        + f"content-type: application/json\r\ncontent-length: {len(content)}\r\n".encode()
    )
    return f"POST {path} ".encode() + head + b"\r\n" + content


def half_closed(server: Server, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), LIMIT)
    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    return connection


def answers(server: Server, sent: bytes) -> list[int]:
    """Return the statuses of all answers until the backend ends the connection too."""
    received = b""
    with half_closed(server, sent) as connection:
        while chunk := connection.recv(65536):
            received += chunk
    parts = received.split(b"HTTP/1.1 ")
    assert parts.pop(0) == b""
    return [int(part[:3]) for part in parts]


def test_the_answer_comes(server: Server) -> None:
    assert answers(server, b"GET /v1/pools " + HEAD + b"\r\n") == [200]


def test_the_answer_to_a_large_request_comes(server: Server) -> None:
    body = {"name": "large", "metadata": {"pad": "x" * 5_000_000}}
    assert answers(server, post("/v1/pools", body)) == [201]


def test_the_answer_to_a_rollout_that_ends_soon_comes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_LEFT_SECONDS", LIMIT)
    path = f"/v1/pools/{server.pool()}/rollouts"
    body = {"mode": "sync", "env": {"delay": 0.3, "events": 0}}
    assert answers(server, post(path, body)) == [200]


def test_a_large_answer_comes_whole(server: Server) -> None:
    pool_id = server.pool(metadata={"pad": "x" * 3_000_000})
    expected = server.http.get(f"/v1/pools/{pool_id}").content
    received = b""
    with half_closed(server, f"GET /v1/pools/{pool_id} ".encode() + HEAD + b"\r\n") as connection:
        while chunk := connection.recv(65536):
            received += chunk
    assert received.partition(b"\r\n\r\n")[2] == expected


def test_each_of_several_requests_is_answered(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_LEFT_SECONDS", LIMIT)
    path = f"/v1/pools/{server.pool()}/rollouts"
    body = {"mode": "sync", "env": {"delay": 0.1, "events": 0}}
    get = b"GET /v1/pools " + HEAD + b"\r\n"
    assert answers(server, post(path, body) + get + get) == [200, 200, 200]
    # The last one has no end, and never will.
    assert answers(server, post(path, body) + get[:-2]) == [200]
    assert answers(server, post(path, body) + post(path, body)[:-2]) == [200]


@pytest.mark.parametrize("sent", [b"", b"GET /v1/po", b"GET /v1/pools " + HEAD])
def test_what_is_not_whole_is_over(server: Server, sent: bytes) -> None:
    assert answers(server, sent or b"\r\n") in ([], [400])


def test_a_reader_of_events_that_ends_its_side_has_left(server: Server) -> None:
    rollout_id = server.rollout(server.pool(), env={"delay": 600, "events": 0})["id"]
    before = len(server.services.streams)
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as reader:
        reader.sendall(f"GET /v1/rollouts/{rollout_id}/events ".encode() + HEAD + b"\r\n")
        received = b""
        while b"rollout.queued" not in received:
            received += reader.recv(65536)
        assert len(server.services.streams) == before + 1
        reader.shutdown(socket.SHUT_WR)
        eventually(lambda: len(server.services.streams) == before)
    server.post(f"/v1/rollouts/{rollout_id}/cancel")


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_who_waits_for_a_rollout_for_long_is_taken_for_gone(
    server: Server, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    # Before the application watches for it, and after.
    monkeypatch.setattr(protocol, "_LEFT_SECONDS", seconds)
    pool_id = server.pool()
    body = {"mode": "sync", "env": {"delay": 600, "events": 0}}
    with half_closed(server, post(f"/v1/pools/{pool_id}/rollouts", body)) as leaving:
        assert leaving.recv(65536) == b""
        eventually(lambda: not server.holds(leaving))
    eventually(lambda: len(server.services.notifier) == 0)
    [rollout] = server.get(f"/v1/pools/{pool_id}/rollouts")["items"]
    assert server.until(rollout["id"], "running", "cancelled", "failed")["status"] == "running"
    server.post(f"/v1/rollouts/{rollout['id']}/cancel")


@pytest.mark.parametrize("more", [b"", b"x-name: \xfc\r\n"], ids=["plain", "no ASCII"])
@pytest.mark.parametrize("is_admitted", [False, True])
def test_who_leaves_is_not_waited_for(server: Server, more: bytes, is_admitted: bool) -> None:
    """Leave before the application watches the client, and while the rollout runs."""
    pool_id = server.pool(concurrency=10)
    body = {"mode": "sync", "env": {"delay": 600, "events": 0}}
    sent = post(f"/v1/pools/{pool_id}/rollouts", body, more)
    for number in range(1, 6):
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as leaving:
            leaving.sendall(sent)
            if is_admitted:
                path = f"/v1/pools/{pool_id}/rollouts"
                eventually(lambda: len(server.get(path)["items"]) == number)  # noqa: B023
    eventually(lambda: not server.services.notifier)
    server.call("DELETE", f"/v1/pools/{pool_id}")


def test_of_several_the_one_that_takes_long_is_the_last(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_LEFT_SECONDS", 0.0)
    pool_id = server.pool()
    body = {"mode": "sync", "env": {"delay": 600, "events": 0}}
    slow = post(f"/v1/pools/{pool_id}/rollouts", body)
    get = b"GET /v1/pools " + HEAD + b"\r\n"
    assert answers(server, get + slow + get) == [200]
    server.call("DELETE", f"/v1/pools/{pool_id}")


@pytest.mark.parametrize("body", [None, {"name": "x", "metadata": {"pad": "x" * 1_000_000}}])
def test_what_is_answered_without_a_wait_takes_as_long_as_it_takes(
    server: Server, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    # The client has left before the application is called.
    monkeypatch.setattr(protocol, "_LEFT_SECONDS", 0.0)
    if body is None:
        assert answers(server, b"GET /v1/pools " + HEAD + b"\r\n") == [200]
    else:
        assert answers(server, post("/v1/pools", body)) == [201]
