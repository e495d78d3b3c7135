"""Switched containers: their answers, and slowness that forbids a verdict."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.holding import only_in_time
from synth_pools.contract.http import stub_container
from synth_pools.contract.http.stub_container import HEALTH, TURN_SECONDS, ReceivedRequests
from synth_pools.contract.http.switched_container import SwitchedContainer


@pytest.fixture
def container() -> Iterator[SwitchedContainer]:
    with SwitchedContainer(ReceivedRequests()) as started:
        yield started


def test_it_is_as_well_as_it_is_told_and_counts_checks_alone(container: SwitchedContainer) -> None:
    check = {"x-synth-pools-call": "health-check"}
    assert httpx.get(f"{container.url}/health").json() == HEALTH
    assert container.checks == []
    assert httpx.get(f"{container.url}/health", headers=check).status_code == 200
    container.health = (503, {})
    assert httpx.get(f"{container.url}/health", headers=check).status_code == 503
    assert container.checks == [200, 503]


def test_it_is_away_and_comes_back_at_the_same_address(container: SwitchedContainer) -> None:
    container.go_away()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{container.url}/health")
    container.come_back()
    assert httpx.get(f"{container.url}/health").status_code == 200


def test_nothing_is_judged_by_a_container_that_was_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 10.0 + TURN_SECONDS, 15.0])
    first, second = SwitchedContainer(ReceivedRequests()), SwitchedContainer(ReceivedRequests())
    server = first._server
    assert server is not None
    clock = SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr(stub_container, "time", clock)
    server.service_actions()
    server.service_actions()
    assert first.slowest < 0.001
    only_in_time("get_pool_metrics", [first, second])
    server.service_actions()
    monkeypatch.undo()
    with pytest.raises(InconclusiveError, match="this machine is too busy"):
        only_in_time("get_pool_metrics", [first, second])
    for container in (first, second):
        assert container._server is not None
        container._server.server_close()


def test_a_container_that_does_not_answer_lets_its_caller_give_up(
    container: SwitchedContainer,
) -> None:
    container.health = None
    with _connected(container) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nx-synth-pools-call: health-check\r\n\r\n")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(30)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert container.checks == [None]
    # It still answers all other requests.
    assert httpx.get(f"{container.url}/info").json() == stub_container.INFO


def test_who_is_connected_hears_of_its_going_away(container: SwitchedContainer) -> None:
    with _connected(container) as connection, _connected(container) as closed:
        connection.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        answer = b""
        while not answer.endswith(json.dumps(HEALTH).encode()):
            answer += connection.recv(65536)
        closed.close()
        container.go_away()
        assert connection.recv(1) == b""
    # Switching twice changes nothing.
    container.go_away()
    container.come_back()
    container.come_back()
    assert httpx.get(f"{container.url}/health").status_code == 200


def test_no_other_takes_its_place_while_it_is_away(container: SwitchedContainer) -> None:
    container.go_away()
    port = int(container.url.rsplit(":", 1)[1])
    with socket.socket() as rival, pytest.raises(OSError, match="in use"):
        rival.bind(("127.0.0.1", port))
    container.come_back()
    container.go_away()


def test_it_counts_the_rollouts_that_were_sent_to_it_alone() -> None:
    received = ReceivedRequests()
    with SwitchedContainer(received) as first, SwitchedContainer(received) as second:
        for url in (f"{first.url}/rollouts", f"{first.url}/rollout", f"{second.url}/rollouts"):
            httpx.post(url, json={"rollout_id": "r"})
        httpx.post(f"{first.url}/rollouts/r/terminate", json={"rollout_id": "r"})
        httpx.post(f"{first.url}/rollouts", json={"rollout_id": "s"})
        assert (first.sent_for("r"), second.sent_for("r")) == (2, 1)
        assert (first.sent_for("s"), second.sent_for("s")) == (1, 0)


@contextlib.contextmanager
def _connected(container: SwitchedContainer) -> Iterator[socket.socket]:
    port = int(container.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        yield connection
