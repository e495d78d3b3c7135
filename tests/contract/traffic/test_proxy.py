"""The judging proxy: it changes nothing, and judges what passes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.contract.results import Exchange
from synth_pools.contract.traffic.judge import TrafficJudge
from synth_pools.contract.traffic.proxy import JudgingProxy
from synth_pools.local import LocalBackend
from tests.contract.selftest.watched import KEY
from tests.support.fault_server import FaultServer
from tests.support.faults import Fault, raw, wrong_length


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as running:
        yield running


def test_a_client_works_through_it_and_everything_is_judged(backend: LocalBackend) -> None:
    judge = TrafficJudge(backend.url)
    seen: list[Exchange] = []

    def both(exchange: Exchange) -> None:
        seen.append(exchange)
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
    told = [f"{group.first.check}: {group.first.got}" for group in report.groups]
    assert (told, report.exit_code) == ([], 0)
    assert {"create_pool", "stream_rollout_events", "delete_pool"} <= set(report.operations)
    assert any(one.check == "events.sequence" for one in report.outcomes)
    assert KEY not in repr(seen)


def test_a_stream_passes_as_it_comes_and_may_be_left(backend: LocalBackend) -> None:
    seen: list[Exchange] = []
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        JudgingProxy(backend.url, seen.append) as proxy,
        httpx.Client(base_url=f"{proxy.url}/v1", headers=headers) as http,
    ):
        http.post("/pools", json={"name": "live", "pool_id": "live"}).raise_for_status()
        made = http.post("/pools/live/rollouts", json={"env": {"delay": 600}}).json()
        path = f"/rollouts/{made['id']}/events"
        with http.stream("GET", path) as stream:
            # The rollout still runs: what comes now was not kept until the end.
            assert b"rollout.queued" in next(stream.iter_raw())
        http.post(f"/rollouts/{made['id']}/cancel", json={}).raise_for_status()
        with http.stream("GET", path) as stream:
            assert b"rollout.cancelled" in b"".join(stream.iter_raw())
    streams = [one for one in seen if one.url.endswith("/events")]
    assert all(one.status == 200 for one in streams)


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
    "fault",
    [wrong_length(5), raw(CHUNKED + b'c\r\n{"ok": true}\r\n5\r\nab', go_on=False)],
)
def test_an_answer_that_breaks_off_ends_there_and_is_told(fault: Fault) -> None:
    seen: list[Exchange] = []
    with (
        FaultServer(fault) as server,
        JudgingProxy(server.url, seen.append) as proxy,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.get(f"{proxy.url}/v1/pools", timeout=20)
    (one,) = seen
    assert one.response_body.startswith(b'{"ok": true}')
    assert (one.trouble or "").startswith("IncompleteRead")


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

    seen: list[Exchange] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with JudgingProxy(url, seen.append) as proxy:
            response = httpx.get(f"{proxy.url}/health", headers={"cookie": "session=S3CRET"})
    assert response.headers["set-cookie"] == "session=S3CRET"
    assert b"session=S3CRET" in received[0]
    assert "S3CRET" not in repr(seen)


def test_what_has_passed_is_judged_before_it_ends() -> None:
    judged = threading.Event()

    def judge(_: Exchange) -> None:
        time.sleep(0.2)
        judged.set()

    # Nobody listens there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with JudgingProxy(f"http://127.0.0.1:{taken.getsockname()[1]}", judge) as proxy:
            assert httpx.get(f"{proxy.url}/health").status_code == 502
        assert judged.is_set()
