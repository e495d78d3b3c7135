"""Health of containers that several backends use: one of them checks for all."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path

from synth_pools.backend.settings import StoreURL
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import fetch

SELDOM = 3600.0
OFTEN = 0.05


class Wellness:
    """Answers to health checks: healthy, until switched."""

    def __init__(self) -> None:
        self.status = 200

    def check(self, _: Seen) -> bytes:
        return http(self.status, {})

    def answer(self, _: Seen) -> bytes:
        return http(200, {"status": "completed", "reward": 1})


def backend(store: str, folder: Path, name: str, interval: float) -> AbstractContextManager[Server]:
    (folder / name).mkdir(exist_ok=True)
    return serve(
        folder / name,
        store=StoreURL("store", store),
        artifacts_dir=folder,
        health_interval_seconds=interval,
    )


def health(server: Server, pool_id: str) -> list[str]:
    metrics = server.get(f"/v1/pools/{pool_id}/metrics")
    return [container["health"] for container in metrics["containers"]]


def test_what_the_oldest_one_finds_all_have(store: str, tmp_path: Path) -> None:
    container = Wellness()
    with (
        odd_container(container.answer, container.check) as running,
        backend(store, tmp_path, "oldest", OFTEN) as oldest,
        # It checks once, and then never again.
        backend(store, tmp_path, "other", SELDOM) as server,
    ):
        pool_id = server.pool(container_urls=[running.url])
        assert server.run(pool_id)["status"] == "completed"
        assert health(server, pool_id) == ["healthy"]
        for status, state in ((500, "unhealthy"), (200, "healthy")) * 2:
            container.status = status
            eventually(lambda state=state: health(server, pool_id) == [state])  # type: ignore[misc]
            assert health(oldest, pool_id) == [state]
        # A backend that starts later reads it from the database.
        container.status = 500
        eventually(lambda: health(server, pool_id) == ["unhealthy"])
        with backend(store, tmp_path, "late", SELDOM) as late:
            eventually(lambda: health(late, pool_id) == ["unhealthy"])
            metrics = late.get(f"/v1/pools/{pool_id}/metrics")
            assert metrics["containers"][0]["last_error"] == "It answered 500 to /health."
            # The only container still gets rollouts.
            assert late.run(pool_id)["status"] == "completed"


def test_the_next_one_checks_when_the_oldest_has_ended(store: str, tmp_path: Path) -> None:
    container = Wellness()
    with (
        odd_container(container.answer, container.check) as running,
        contextlib.ExitStack() as oldest,
    ):
        first = oldest.enter_context(backend(store, tmp_path, "oldest", OFTEN))
        with backend(store, tmp_path, "next", OFTEN) as following:
            pool_id = first.pool(container_url=running.url)
            eventually(lambda: health(following, pool_id) == ["healthy"])
            container.status = 500
            eventually(lambda: health(following, pool_id) == ["unhealthy"])
            oldest.close()
            for status, state in ((200, "healthy"), (500, "unhealthy")):
                container.status = status
                eventually(lambda state=state: health(following, pool_id) == [state])  # type: ignore[misc]
            # It publishes its findings.
            key = "SELECT value FROM synth_pools.meta WHERE key = 'ejected containers'"
            eventually(lambda: any(running.url in value for (value,) in fetch(store, key)))
            container.status = 200
            eventually(lambda: fetch(store, key) == [("[]",)])


def test_a_container_that_only_the_oldest_does_not_reach(store: str, tmp_path: Path) -> None:
    """The container is reported as ejected; a backend that needs it checks itself, and uses it."""
    container = Wellness()
    with (
        odd_container(container.answer, container.check) as running,
        backend(store, tmp_path, "other", SELDOM) as oldest,
    ):
        pool_id = oldest.pool(container_url=running.url)
        eventually(lambda: len(running.checks) == 1)
        with backend(store, tmp_path, "next", OFTEN) as following:
            # It checks until it knows that another one does.
            eventually(lambda: len(running.checks) >= 2)
            # In place of the oldest backend.
            oldest.services.balancer.eject((running.url, None), "It cannot be reached from here.")
            eventually(lambda: health(following, pool_id) == ["unhealthy"])
            assert following.run(pool_id)["status"] == "completed"
            eventually(lambda: health(following, pool_id) == ["healthy"])
            assert health(oldest, pool_id) == ["unhealthy"]
