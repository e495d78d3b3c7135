"""Several requests on one connection, each answered in its turn."""

from __future__ import annotations

import contextlib
import re
import socket

import pytest

from tests.support.backend_server import KEY, Server, eventually

HOST = b"host: localhost\r\n"
AUTHORIZATION = f"authorization: Bearer {KEY}\r\n".encode()
# Header values may have bytes beyond ASCII.
NO_ASCII = b"x-name: \xfc\r\n"
LIMIT = 60.0
SYNC = b'{"mode":"sync","env":{"delay":0.3,"events":0}}'
# Parts that differ between two answers to the same request.
VARYING = re.compile(rb"(?im)^(date|x-request-id): .*$|req_[0-9a-f]{32}")

pytestmark = pytest.mark.usefixtures("loop_name")


def request(line: bytes, body: bytes = b"", more: bytes = b"") -> bytes:
    head = line + b" HTTP/1.1\r\n" + HOST + AUTHORIZATION + more
    if body:
        head += b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return head + b"\r\n" + body


LAST = request(b"GET /last", more=b"connection: close\r\n")
HEALTH = request(b"GET /health")
UNKNOWN = request(b"GET /v1/pools/none")


def answer(port: int, sent: bytes) -> bytes:
    """Return the answers to a single request, and to a last one after it."""
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


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)]


def answers_behind(server: Server, *sent: bytes) -> list[int]:
    """Return the statuses of all answers where these come while a rollout is waited for."""
    pool_id = server.pool()
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as wire:
        wire.sendall(slow_request(pool_id))
        eventually(lambda: bool(server.get(f"/v1/pools/{pool_id}/rollouts")["items"]))
        for piece in sent:
            wire.sendall(piece)
        return statuses(rest(wire))


def slow_request(pool_id: str) -> bytes:
    return request(b"POST /v1/pools/%s/rollouts" % pool_id.encode(), SYNC)


def test_a_header_in_no_ascii_changes_nothing(server: Server) -> None:
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
        plain, unusual = (
            VARYING.sub(b"", answer(server.port, request(line, body, more)))
            for more in (b"", NO_ASCII)
        )
        assert plain == unusual
        assert len(statuses(plain)) == 2


@pytest.mark.parametrize("more", [b"", NO_ASCII])
def test_requests_that_come_while_another_is_answered_have_their_turn_after_it(
    server: Server, more: bytes
) -> None:
    slow = slow_request(server.pool())
    unknown = request(b"GET /v1/pools/none", more=more)
    sent = [unknown, HEALTH + unknown, unknown[:20], unknown[20:] + slow, HEALTH, LAST]
    assert answers_behind(server, *sent) == [200, 404, 200, 404, 404, 200, 200, 404]


def test_what_is_no_http_behind_a_request_is_refused_after_it(server: Server) -> None:
    assert answers_behind(server, b"nonsense\r\n\r\n", HEALTH) == [200, 400]
    assert answers_behind(server, HEALTH + b"nonsense\r\n\r\n" + HEALTH) == [200, 200, 400]
    slow = slow_request(server.pool())
    assert statuses(answer(server.port, slow + b"nonsense\r\n\r\n")) == [200, 400]


@pytest.mark.parametrize(
    "first",
    [
        request(b"GET /health", more=b"connection: upgrade\r\nupgrade: h2c\r\n"),
        request(b"CONNECT localhost:80"),
        request(b"PROBE /health"),
        request(b"HEAD /health"),
        request(b"POST /nowhere", b"{}"),
    ],
)
def test_a_request_of_a_rare_kind_is_followed_by_others(server: Server, first: bytes) -> None:
    received = answer(server.port, first + UNKNOWN)
    assert statuses(received)[1:] == [404, 404]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_behind_the_offer_of_an_upgrade_belongs_to_its_request(
    server: Server, is_chunked: bool
) -> None:
    body = b'{"name":"upgraded"}'
    length, sent = b"content-length: %d\r\n" % len(body), body
    if is_chunked:
        length, sent = b"transfer-encoding: chunked\r\n", b"13\r\n%b\r\n0\r\n\r\n" % body
    offer = b"connection: upgrade\r\nupgrade: h2c\r\ncontent-type: application/json\r\n"
    head = request(b"POST /v1/pools", more=offer + length)
    for pieces in ([head + sent + UNKNOWN], [head, sent, UNKNOWN], [head + sent[:7], sent[7:]]):
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as wire:
            for piece in pieces:
                wire.sendall(piece)
            wire.sendall(LAST)
            received = rest(wire)
        assert statuses(received) == [201, *[404] * (2 if pieces[-1].endswith(UNKNOWN) else 1)]
        assert b'"name":"upgraded"' in received


def test_many_requests_together_are_each_answered(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as wire:
        wire.sendall(HEALTH * 2_000 + LAST)
        assert statuses(rest(wire)) == [200] * 2_000 + [404]


def test_a_client_that_leaves_before_its_turn_is_not_waited_for(server: Server) -> None:
    pool_id = server.pool()
    body = b'{"mode":"sync","env":{"delay":600,"events":0}}'
    slow = request(b"POST /v1/pools/%s/rollouts" % pool_id.encode(), body)
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as leaving:
        leaving.sendall(slow + UNKNOWN)
        eventually(lambda: bool(server.services.notifier))
    eventually(lambda: not server.services.notifier)
    server.call("DELETE", f"/v1/pools/{pool_id}")


def test_trailers_are_limited_and_are_no_headers(server: Server) -> None:
    head = request(b"POST /v1/pools", more=b"transfer-encoding: chunked\r\n")
    start = head + b"2\r\n{}\r\n0\r\n"
    # Content that would be right is not, because no header says its type.
    received = answer(server.port, start + b"content-type: application/json\r\n\r\n")
    assert statuses(received)[0] in (415, 422)
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as wire:
        wire.sendall(start)
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                wire.sendall(b"x: " + b"x" * 10_000 + b"\r\n")
        assert statuses(rest(wire)) in ([], [431])


@pytest.mark.parametrize("piece", [b"x", b"x: y\r\n", b"\r\nx: y"])
def test_a_head_that_never_ends_is_refused(server: Server, piece: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as wire:
        wire.sendall(HEALTH[:-2] + b"x: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(300):
                wire.sendall(piece * 100)
                wire.sendall(piece * 1_000)
        assert statuses(rest(wire)) in ([], [431])
