"""Switched containers: what they answered, and when they were too slow to be judged by."""

from __future__ import annotations

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
    with SwitchedContainer(ReceivedRequests()) as one:
        yield one


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
    one, other = SwitchedContainer(ReceivedRequests()), SwitchedContainer(ReceivedRequests())
    server = one._server
    assert server is not None
    clock = SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr(stub_container, "time", clock)
    server.service_actions()
    server.service_actions()
    assert one.slowest < 0.001
    only_in_time("get_pool_metrics", [one, other])
    server.service_actions()
    monkeypatch.undo()
    with pytest.raises(InconclusiveError, match="this machine is too busy"):
        only_in_time("get_pool_metrics", [one, other])
    for container in (one, other):
        assert container._server is not None
        container._server.server_close()
