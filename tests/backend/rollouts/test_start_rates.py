"""Rates of the starts of pools: over batches, replays, further attempts, changes and restarts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synth_pools.backend.domain.clock import seconds_between
from synth_pools.backend.domain.definitions import StartRate
from synth_pools.backend.rollouts.pool_queue import PoolQueue
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from synth_pools.backend.storage.start_rates import StartRates
from tests.support.backend_server import Server, serve
from tests.support.containers import Seen, http, odd_container


def paced(server: Server, rate: float | None, **fields: Any) -> str:
    return server.pool(config={"max_starts_per_second": rate}, concurrency=20, **fields)


def set_rate(server: Server, pool_id: str, rate: float | None) -> None:
    body = {"config": {"max_starts_per_second": rate}}
    server.call("PATCH", f"/v1/pools/{pool_id}", json=body)


def batch(server: Server, pool_id: str, number: int, **request: Any) -> list[str]:
    body = {"pool_id": pool_id, "rollouts": number * [request]}
    answer = server.post("/v1/rollouts/batch", body)
    return [item["rollout"]["id"] for item in answer["items"]]


def starts_of(server: Server, rollout_ids: Sequence[str]) -> list[str]:
    """Wait for the ends of rollouts; return the times of all their starts, in order."""
    return sorted(
        event["timestamp"]
        for rollout_id in rollout_ids
        for event in server.events(rollout_id)
        if event["event"] == "rollout.started"
    )


def assert_paced(starts: Sequence[str], number: int, seconds: float = 1.0) -> None:
    for earlier, later in zip(starts, starts[number:], strict=False):
        assert seconds_between(earlier, later) >= seconds


def test_all_kinds_of_starts_count(tmp_path: Path) -> None:
    broken = threading.Event()

    def answer(request: Seen) -> bytes:
        if request.json.get("seed") == 7 and not broken.is_set():
            broken.set()
            return http(500, {})
        return http(200, {"rollout_id": request.json["rollout_id"], "reward": 1})

    with odd_container(answer) as container, serve(tmp_path) as server:
        pool_id = paced(server, 3.9, container_url=container.url)
        ids = batch(server, pool_id, 2)
        ids += batch(server, pool_id, 2, seed=7, limits={"max_attempts": 2})
        ids += [server.post(f"/v1/rollouts/{ids[0]}/replay", status=202)["id"]]
        starts = starts_of(server, ids)
    assert len(starts) == len(ids) + 1
    assert_paced(starts, 3)


def test_a_restart_goes_on_at_the_same_rate(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        pool_id = paced(server, 2)
        ids = batch(server, pool_id, 5)
        server.until(ids[1])
    with serve(tmp_path) as server:
        assert_paced(starts_of(server, ids), 2)


def test_a_change_counts_at_once(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        pool_id = paced(server, 0.0001)
        first, second = batch(server, pool_id, 2)
        server.until(first)
        assert server.state(second) == "queued"
        # Another one does not pass it by.
        third = server.rollout(pool_id)["id"]
        assert server.state(third) == "queued"
        set_rate(server, pool_id, 1)
        starts = starts_of(server, [second, third])
        assert_paced(starts, 1)
        set_rate(server, pool_id, 1e-4)
        last = server.rollout(pool_id)["id"]
        assert server.state(last) == "queued"
        set_rate(server, pool_id, None)
        server.until(last, "completed")


def test_other_rates_are_refused(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        for rate in (0, -1, 1001, "5", True):
            body = {"name": "x", "config": {"max_starts_per_second": rate}}
            server.refused("POST", "/v1/pools", 422, "validation_failed", json=body)


def test_a_queue_is_due_when_the_oldest_of_its_starts_is_a_period_old() -> None:
    queue = PoolQueue(1)
    rate = StartRate(2, 1.0)
    for _ in range(3):
        assert len(queue.starts) < 2 or queue.due_at(rate) == queue.starts[-2] + 1.0
        queue.count_start(rate)
    queue.delay(50.0)
    assert queue.due_at(rate) == queue.not_before


async def test_a_clock_that_is_set_back_lengthens_no_wait(tmp_path: Path) -> None:
    database, now = SQLiteDatabase(tmp_path), 1_000.0
    rate = StartRate(1, 100.0)

    def start(tx: Transaction) -> float:
        rates = StartRates(tx)
        seconds = rates.take("pool", rate)
        rates.store()
        return seconds

    try:
        database._writer.unix_time = lambda: now
        assert await database.write(start) == 0.0
        now = 950.0
        assert 100.0 <= await database.write(start) < 101.0
        now = 1_049.0
        assert 0.0 < await database.write(start) < 2.0
        now = 1_051.0
        assert await database.write(start) == 0.0
    finally:
        await database.close()
