"""The judging proxy: it changes nothing, and judges all exchanges."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import Exchange
from synth_pools.contract.traffic.judge import TrafficJudge
from synth_pools.contract.traffic.proxy import JudgingProxy
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import KEY
from tests.support.fault_server import FaultServer
from tests.support.faults import Fault, raw, wrong_length
from tests.support.ports import HeldPort


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as running:
        yield running


def test_a_client_works_through_it_and_everything_is_judged(backend: LocalBackend) -> None:
    judge = TrafficJudge(backend.url)
    exchanges: list[Exchange] = []

    def both(exchange: Exchange) -> None:
        exchanges.append(exchange)
        judge.judge(exchange)

    with (
        JudgingProxy(backend.url, both) as proxy,
        ContainerPoolsClient(base_url=proxy.url, api_key=KEY) as client,
    ):
        pool = client.create_pool({"name": "through", "target": "arbitrary", "tasks": []})
        rollout = client.create_rollout(pool["id"], {"env": {"events": 3}})
        events = list(client.rollouts.events(pool["id"], rollout["id"]))
        zipped = client.agent_rollouts.artifacts_zip(rollout["id"])
        client.delete_pool(pool["id"])
    assert events[-1]["event"] == "rollout.completed"
    assert zipped.startswith(b"PK")
    report = judge.report()
    departed = [f"{group.first.check}: {group.first.got}" for group in report.groups]
    assert (departed, report.exit_code) == ([], 0)
    assert {"create_pool", "stream_rollout_events", "delete_pool"} <= set(report.operations)
    assert any(outcome.check == "events.sequence" for outcome in report.outcomes)
    assert KEY not in repr(exchanges)


def test_a_stream_passes_as_it_comes_and_may_be_left(backend: LocalBackend) -> None:
    exchanges: list[Exchange] = []
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        JudgingProxy(backend.url, exchanges.append) as proxy,
        httpx.Client(base_url=f"{proxy.url}/v1", headers=headers) as http,
    ):
        http.post("/pools", json={"name": "live", "pool_id": "live"}).raise_for_status()
        rollout = http.post("/pools/live/rollouts", json={"env": {"delay": 600}}).json()
        path = f"/rollouts/{rollout['id']}/events"
        with http.stream("GET", path) as stream:
            # The rollout still runs: its events are not held back until the end.
            assert b"rollout.queued" in next(stream.iter_raw())
        http.post(f"/rollouts/{rollout['id']}/cancel", json={}).raise_for_status()
        with http.stream("GET", path) as stream:
            assert b"rollout.cancelled" in b"".join(stream.iter_raw())
    streams = [exchange for exchange in exchanges if exchange.url.endswith("/events")]
    assert all(stream.status == 200 for stream in streams)


def test_a_wrong_answer_is_seen() -> None:
    answer = b'{"queued": -1, "running": 0, "capacity": 0}'

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 43\r\n\r\n"
            )
            connection.sendall(head + answer)

    judge = TrafficJudge("x")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with JudgingProxy(url, judge.judge) as proxy:
            assert httpx.get(f"{proxy.url}/v1/queue/status").content == answer
    report = judge.report()
    assert "schema.body" in {group.first.check for group in report.groups}
    assert report.exit_code == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "fault", [wrong_length(5), raw(CHUNKED + b'c\r\n{"ok": true}\r\n5\r\nab', go_on=False)]
)
def test_an_answer_that_breaks_off_ends_there_and_is_told(fault: Fault) -> None:
    exchanges: list[Exchange] = []
    with (
        FaultServer(fault) as server,
        JudgingProxy(server.url, exchanges.append) as proxy,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.get(f"{proxy.url}/v1/pools", timeout=60)
    (exchange,) = exchanges
    assert exchange.response_body.startswith(b'{"ok": true}')
    assert (exchange.trouble or "").startswith("IncompleteRead")


def test_nobody_behind_it_is_502_and_no_departure() -> None:
    judge = TrafficJudge("x")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with JudgingProxy(f"http://127.0.0.1:{nobody.getsockname()[1]}", judge.judge) as proxy:
            response = httpx.get(f"{proxy.url}/v1/pools")
    assert response.status_code == 502
    assert judge.report().departures == ()


@pytest.mark.timeout(120)
def test_the_command_ends_with_a_verdict(backend: LocalBackend, tmp_path: Path) -> None:
    file, har = tmp_path / "r.json", tmp_path / "t.har"
    command = [sys.executable, "-m", "synth_pools", "contract-proxy", backend.url]
    process = subprocess.Popen(
        [*command, "--json", str(file), "--har", str(har)],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].rstrip(",")
        headers = {"authorization": f"Bearer {KEY}"}
        assert httpx.get(f"{url}/v1/capabilities", headers=headers).status_code == 200
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("conforms: 1 of 1 operations")
    assert json.loads(file.read_text())["requests"] == 1
    assert len(json.loads(har.read_text())["log"]["entries"]) == 1


def test_no_cookie_is_kept_and_each_passes() -> None:
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(65536))
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nset-cookie: session=S3CRET\r\ncontent-length: 2\r\n\r\n{}"
            )

    exchanges: list[Exchange] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with JudgingProxy(url, exchanges.append) as proxy:
            response = httpx.get(f"{proxy.url}/health", headers={"cookie": "session=S3CRET"})
    assert response.headers["set-cookie"] == "session=S3CRET"
    assert b"session=S3CRET" in received[0]
    assert "S3CRET" not in repr(exchanges)


def test_what_has_passed_is_judged_before_it_ends() -> None:
    judged = threading.Event()

    def judge(_: Exchange) -> None:
        time.sleep(0.2)
        judged.set()

    # Nobody listens there.
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with JudgingProxy(f"http://127.0.0.1:{reserved.getsockname()[1]}", judge) as proxy:
            assert httpx.get(f"{proxy.url}/health").status_code == 502
        assert judged.is_set()


def _backend(listener: socket.socket, answers: list[bytes], received: list[bytes]) -> None:
    """Take a connection for each answer, read the first bytes of a request, and answer."""
    for answer in answers:
        connection, _ = listener.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            head, _, body = head.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            while length and len(body) < int(length[1]):
                body += connection.recv(65536)
            received.append(head + b"\r\n\r\n" + body)
            # The client may have disconnected.
            with contextlib.suppress(OSError):
                connection.sendall(answer)


@contextlib.contextmanager
def _proxied(
    *answers: bytes, base: str = ""
) -> Iterator[tuple[JudgingProxy, list[Exchange], list[bytes], int]]:
    """Start a proxy before a backend with these answers, one for each connection."""
    exchanges: list[Exchange] = []
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = (listener, list(answers), received)
        threading.Thread(target=_backend, args=arguments, daemon=True).start()
        port = listener.getsockname()[1]
        with JudgingProxy(f"http://127.0.0.1:{port}{base}", exchanges.append) as proxy:
            yield proxy, exchanges, received, port


@contextlib.contextmanager
def _connected(proxy: JudgingProxy) -> Iterator[socket.socket]:
    port = int(proxy.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        yield connection


def _read(connection: socket.socket, end: bytes) -> bytes:
    """Read until these bytes arrive, or, if empty, until the connection ends."""
    got = b""
    while not (end and got.endswith(end)):
        piece = connection.recv(65536)
        if not piece:
            break
        got += piece
    return got


_OK = b"HTTP/1.1 200 Fine\r\ncontent-type: a/b\r\nKeep-Alive: 1\r\ncontent-length: 2\r\n\r\n{}"


def test_a_request_passes_but_for_what_is_of_its_connection() -> None:
    request = (
        b"PATCH /v1/x?a=%20 HTTP/1.1\r\nHost: proxy\r\nX-Name: B\r\nConnection: keep-alive\r\n"
        b"TE: trailers\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer s3cret\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    proxied = _proxied(_OK, _OK, base="/base/")
    with proxied as (proxy, exchanges, received, port), _connected(proxy) as connection:
        connection.sendall(request)
        answer = _read(connection, b"{}")
        # The same connection serves the next request.
        connection.sendall(b"GET /v1/y HTTP/1.1\r\n\r\n")
        assert _read(connection, b"{}") == answer
    assert answer == b"HTTP/1.1 200 Fine\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\n{}"
    host = f"host: 127.0.0.1:{port}\r\n".encode()
    assert received == [
        b"PATCH /base/v1/x?a=%20 HTTP/1.1\r\n" + host + b"x-name: B\r\n"
        b"authorization: Bearer s3cret\r\ncontent-length: 3\r\n\r\nabc",
        b"GET /base/v1/y HTTP/1.1\r\n" + host + b"\r\n",
    ]
    first, second = exchanges
    assert (first.method, first.request_body, first.status, first.response_body) == (
        "PATCH",
        b"abc",
        200,
        b"{}",
    )
    assert first.url == f"http://127.0.0.1:{port}/base/v1/x?a=%20"
    assert dict(first.request_headers) == {
        "host": "proxy",
        "x-name": "B",
        "accept-encoding": "gzip",
        "authorization": MASKED,
    }
    assert first.response_headers == (
        ("content-type", "a/b"),
        ("keep-alive", "1"),
        ("content-length", "2"),
    )
    assert (first.trouble, second.request_body) == (None, None)
    assert 0 <= first.elapsed < 30


def test_a_request_in_chunks_is_read_to_its_end() -> None:
    chunks = b"3;name=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-trailer: 1\r\nx-more: 2\r\n\r\n"
    head = b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
    with _proxied(_OK, _OK) as (proxy, exchanges, received, _), _connected(proxy) as connection:
        connection.sendall(head + chunks)
        _read(connection, b"{}")
        connection.sendall(b"GET /v1/y HTTP/1.1\r\n\r\n")
        _read(connection, b"{}")
    assert received[0].endswith(b"content-length: 13\r\n\r\nabc0123456789")
    assert b"transfer-encoding" not in received[0]
    assert [(exchange.method, exchange.request_body) for exchange in exchanges] == [
        ("POST", b"abc0123456789"),
        ("GET", None),
    ]


def test_an_answer_of_no_known_length_passes_in_chunks() -> None:
    unframed = b"HTTP/1.1 200 OK\r\n\r\nhello"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with _proxied(unframed, chunked) as (proxy, exchanges, _, _), _connected(proxy) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answer = _read(connection, b"\r\n0\r\n\r\n")
            assert answer == (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            )
    assert [exchange.response_body for exchange in exchanges] == [b"hello", b"hello"]


def test_an_answer_without_a_body_is_whole() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
    none = b"HTTP/1.1 204 Nothing\r\n\r\n"
    with _proxied(head, none) as (proxy, exchanges, _, _), _connected(proxy) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        assert _read(connection, b"\r\n\r\n") == head
        connection.sendall(b"DELETE / HTTP/1.1\r\n\r\n")
        assert _read(connection, b"\r\n\r\n") == none
    assert [(item.method, item.response_body, item.trouble) for item in exchanges] == [
        ("HEAD", b"", None),
        ("DELETE", b"", None),
    ]


def test_an_answer_that_breaks_off_ends_the_connection() -> None:
    cut = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nab"
    with _proxied(cut) as (proxy, exchanges, _, _), _connected(proxy) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = _read(connection, b"")
    # The last chunk is missing, so that the reader knows of the loss.
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert b"\r\n0\r\n" not in answer
    (exchange,) = exchanges
    assert exchange.status == 200
    assert exchange.response_body.startswith(b"hello")
    assert "IncompleteRead" in str(exchange.trouble)


def test_nobody_behind_it_ends_the_connection() -> None:
    exchanges: list[Exchange] = []
    with (
        HeldPort() as nobody,
        JudgingProxy(f"http://127.0.0.1:{nobody.number}", exchanges.append) as proxy,
        _connected(proxy) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        head, _, body = _read(connection, b"").partition(b"\r\n\r\n")
    assert head.startswith(
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain; charset=utf-8\r\n"
    )
    assert head.endswith(f"content-length: {len(body)}".encode())
    assert body.startswith(b"the backend behind the proxy gave no answer: ")
    (exchange,) = exchanges
    assert (exchange.status, exchange.response_headers, exchange.response_body) == (None, (), b"")
    assert str(exchange.trouble).startswith("ConnectionRefusedError: ")


def test_who_leaves_before_the_end_says_nothing_of_the_backend(
    capfd: pytest.CaptureFixture[str],
) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 20_000_000
    with _proxied(endless) as (proxy, exchanges, _, _), _connected(proxy) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The received part is judged when the proxy ends.
    assert [exchange.trouble for exchange in exchanges] == ["left before its end"]
    assert capfd.readouterr() == ("", "")


def test_a_port_may_be_chosen() -> None:
    with HeldPort() as reserved, JudgingProxy("http://x", print, port=reserved.number) as proxy:
        assert proxy.url == f"http://127.0.0.1:{reserved.number}"
        with pytest.raises(OSError, match="in use"):
            JudgingProxy("http://x", print, port=reserved.number)
