"""Several backends on one database tell one story: of times, containers and usage."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.storage.postgres.database import PostgresDatabase
from tests.postgres.test_several_backends import Gate, several
from tests.support.backend_server import eventually
from tests.support.containers import http, odd_container


def test_times_are_in_the_order_of_what_happened_whichever_backend_wrote_it(
    store: str, tmp_path: Path
) -> None:
    with several(2, store, tmp_path) as (first, second):
        for ahead, server in ((-0.4, first), (0.4, second)):
            database = server.services.database
            assert isinstance(database, PostgresDatabase)
            # As after answers of the server that took long on one way.
            database._membership._ahead += ahead
        pool_id = first.pool(concurrency=1)
        running = first.rollout(pool_id, env={"delay": 600})
        waiting = [server.rollout(pool_id, env={"delay": 0}) for server in (second, first) * 3]
        second.post(f"/v1/rollouts/{running['id']}/cancel", {})
        items: list[dict[str, Any]] = []

        def have_ended() -> bool:
            items[:] = first.get(f"/v1/pools/{pool_id}/rollouts")["items"]
            return all(item["finished_at"] for item in items)

        eventually(have_ended)
    assert len(items) == 1 + len(waiting)
    created = [item["created_at"] for item in items]
    assert created == sorted(created, reverse=True)
    # One runs at a time.
    times = sorted((item["started_at"], item["finished_at"]) for item in items)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))


def test_containers_of_a_pool_are_those_of_all_backends(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    with odd_container(gate.answer) as container, several(2, store, tmp_path) as (first, second):
        database = second.services.database
        assert isinstance(database, PostgresDatabase)
        # Without a notice, as in the moment before it arrives.
        monkeypatch.setattr(database._peer, "receive", lambda _: None)
        pool_id = first.pool(container_url=container.url)
        rollout = first.rollout(pool_id)
        eventually(lambda: first.get(f"/v1/rollouts/{rollout['id']}")["status"] == "running")
        for server in (first, second):
            [described] = server.get(f"/v1/pools/{pool_id}/metrics")["containers"]
            assert (described["url"], described["running_rollouts"]) == (container.url, 1)
        gate.opened.set()


def test_usage_of_a_pool_is_that_of_all_backends(store: str, tmp_path: Path) -> None:
    usage = {"input_tokens": 10**15, "output_tokens": 2, "cost_usd": 0.25}
    answer = http(200, {"reward": 1, "usage": usage})
    with (
        odd_container(lambda request: answer if request.method == "POST" else http(404, {})) as at,
        several(2, store, tmp_path) as (first, second),
    ):
        pool_id = first.pool(container_url=at.url, tasks=[{"id": "a"}])
        first.run(pool_id, task_id="a")
        second.run(pool_id)
        metrics = second.get(f"/v1/pools/{pool_id}/metrics")
        summary = second.get(f"/v1/rollouts/{second.run(pool_id)['id']}/summary")
    assert summary["usage"] == usage
    sums = {"rollouts": 2, "input_tokens": 2 * 10**15, "output_tokens": 4, "cost_usd": 0.5}
    assert metrics["usage"] == sums
    assert {task["task_id"] for task in metrics["task_usage"]} == {"a", None}
