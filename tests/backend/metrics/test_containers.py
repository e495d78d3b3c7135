"""The containers of pools at `/metrics`: their health, their load, and no secret in their names."""

from __future__ import annotations

import os
import platform
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.backend.metrics.test_prometheus import Scrape, scrape
from tests.support import process_pools
from tests.support.backend_server import Server, eventually
from tests.support.containers import Seen, http, odd_container

PACE = {"health_interval_seconds": 0.05}


def metrics_of(server: Server, pool: str) -> dict[str, Any]:
    actual = server.get(f"/v1/pools/{pool}/metrics")["containers"]
    return {container["url"]: container for container in actual}


def test_health_and_load_of_each_container(start: Callable[..., Server]) -> None:
    backend = start(**PACE)
    go_on = threading.Event()

    def answer(request: Seen) -> bytes:
        if request.method == "POST":
            go_on.wait(60)
        return http(200, {"status": "completed"})

    ill = http(500, b"")
    with odd_container(answer) as busy, odd_container(answer, lambda _: ill) as broken:
        pool = backend.pool(container_urls=[f"{busy.url}/a?token=s3cret", broken.url])
        names = {"busy": f"{busy.url}/a", "broken": broken.url}

        def is_out() -> Scrape | None:
            metrics = scrape(backend)
            up = metrics.get("container_up", pool=pool, container=names["broken"])
            return metrics if up == 0 else None

        eventually(is_out)
        ids = [backend.rollout(pool)["id"] for _ in range(3)]
        for id_ in ids:
            backend.until(id_, "running")
        metrics = eventually(
            lambda: (
                metrics
                if (metrics := scrape(backend)).labelled("rollouts", "state")["running"]
                else None
            )
        )
        assert "s3cret" not in metrics.text
        assert metrics.labelled("containers", "health") == {"healthy": 1, "unhealthy": 1}
        assert metrics.labelled("container_up", "container") == {
            names["busy"]: 1,
            names["broken"]: 0,
        }
        running = metrics.labelled("container_running_rollouts", "container")
        assert running == {names["busy"]: 3, names["broken"]: 0}
        by_pool = metrics_of(backend, pool).values()
        assert [container["running_rollouts"] for container in by_pool] == [3, 0]
        go_on.set()
        for id_ in ids:
            backend.until(id_, "completed")
        eventually(
            lambda: (
                scrape(backend).labelled("container_running_rollouts", "container")
                == {names["busy"]: 0, names["broken"]: 0}
            )
        )
    backend.call("DELETE", f"/v1/pools/{pool}")
    eventually(lambda: scrape(backend).labelled("containers", "health") == {})


def test_a_process_that_died_is_counted_as_started_again(start: Callable[..., Server]) -> None:
    backend = start(allow_processes=True)
    pool = process_pools.start_pool(backend, capacity=2)
    first, second = process_pools.healthy(backend, pool, 2)
    assert scrape(backend).labelled("container_restarts_total", "pool") == {pool: 0}
    os.kill(first["pid"], signal.SIGKILL)
    eventually(lambda: scrape(backend).labelled("container_restarts_total", "pool") == {pool: 1})
    process_pools.healthy(backend, pool, 2)
    metrics = scrape(backend)
    place = {"launcher": "local", "node": platform.node(), "image_digest": ""}
    assert metrics.get("container_info", pool=pool, container=second["url"], **place) == 1
    assert metrics.labelled("containers", "health") == {"healthy": 2}
    assert metrics.labelled("pools", "status") == {"active": 1}
    assert metrics.get("container_up", pool=pool, container=second["url"]) == 1


def test_there_are_no_more_containers_than_a_bound(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_pools.backend.metrics.prometheus._MOST_CONTAINERS", 5)
    backend = start()
    backend.pool(container_urls=[f"http://127.0.0.1:1/{number}" for number in range(50)])
    metrics = scrape(backend)
    assert len(metrics.labelled("container_up", "container")) == 5
    assert sum(metrics.labelled("containers", "health").values()) == 50
    # Nobody knows where they run.
    assert metrics.labelled("container_info", "container") == {}
