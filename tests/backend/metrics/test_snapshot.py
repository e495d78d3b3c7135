"""`GET /v1/pools/{id}/metrics` and `/v1/queue/status` agree with the database, also under load.

What they say is compared with the database itself, read on a connection of the test's own. Under
load that counts where nothing was committed between a look before and a look after the answer.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.backend.metrics.test_prometheus import scrape
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import Seen, http, odd_container, real_container

STATES = ("queued", "running", "completed", "failed", "cancelled")
FIELDS = {
    "active_rollouts": "running",
    "queued_rollouts": "queued",
    "completed_rollouts": "completed",
    "failed_rollouts": "failed",
    "cancelled_rollouts": "cancelled",
}


@dataclass
class Truth:
    """Contents of the database."""

    db: sqlite3.Connection

    def version(self) -> int:
        """Another one after each commit of somebody else."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def of_pool(self, pool: str) -> dict[str, int]:
        rows = self.db.execute("SELECT status FROM rollouts WHERE pool_id = ?", (pool,)).fetchall()
        return {state: sum(row[0] == state for row in rows) for state in STATES}

    def of_all(self) -> dict[str, int]:
        rows = self.db.execute("SELECT status FROM rollouts").fetchall()
        return {state: sum(row[0] == state for row in rows) for state in STATES}

    def places(self) -> int:
        rows = self.db.execute("SELECT concurrency FROM pools WHERE status = 'active'").fetchall()
        return sum(row[0] for row in rows)


@contextlib.contextmanager
def truth_of(server: Server) -> Iterator[Truth]:
    path = server.services.settings.data_dir / "synth-pools.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield Truth(db)


def require_true(answer: dict[str, Any], stored: dict[str, int]) -> None:
    assert {state: answer[field] for field, state in FIELDS.items()} == stored
    final = stored["completed"] + stored["failed"]
    rate = stored["completed"] / final if final else None
    assert answer["success_rate"] == (None if rate is None else pytest.approx(rate))


def require_all_true(server: Server, truth: Truth, pools: list[str]) -> None:
    for pool in pools:
        require_true(server.get(f"/v1/pools/{pool}/metrics"), truth.of_pool(pool))
    stored = truth.of_all()
    assert server.get("/v1/queue/status") == {
        "queued": stored["queued"],
        "running": stored["running"],
        "capacity": truth.places(),
    }
    assert scrape(server).labelled("rollouts", "state") == stored


class Watcher:
    """Asks all the time, and compares where that is fair."""

    def __init__(self, server: Server, pools: list[str]) -> None:
        self._server = server
        self._pools = pools
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None
        self.busy_pools = self.busy_queues = 0
        self.most_running = dict.fromkeys(pools, 0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            with truth_of(self._server) as truth:
                ended_before = dict.fromkeys(self._pools, 0)
                while not self._ended.is_set():
                    for pool in self._pools:
                        ended_before[pool] = self._look_at(truth, pool, ended_before[pool])
                    self._look_at_queue(truth)
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            self.error = error

    def _look_at(self, truth: Truth, pool: str, ended_before: int) -> int:
        version, stored = truth.version(), truth.of_pool(pool)
        answer = self._server.get(f"/v1/pools/{pool}/metrics")
        later = truth.of_pool(pool)
        if truth.version() == version:
            require_true(answer, stored)
            self.busy_pools += stored["running"] + stored["queued"] > 0
        # Valid at any time: ended rollouts stay ended, and none is counted before it is stored.
        for field, state in FIELDS.items():
            if state in ("completed", "failed", "cancelled"):
                assert stored[state] <= answer[field] <= later[state]
        in_all = sum(answer[field] for field in FIELDS)
        assert sum(stored.values()) <= in_all <= sum(later.values())
        assert answer["active_rollouts"] <= answer["concurrency"]
        self.most_running[pool] = max(self.most_running[pool], answer["active_rollouts"])
        final = in_all - answer["active_rollouts"] - answer["queued_rollouts"]
        assert final >= ended_before
        return int(final)

    def _look_at_queue(self, truth: Truth) -> None:
        version, stored, places = truth.version(), truth.of_all(), truth.places()
        answer = self._server.get("/v1/queue/status")
        if truth.version() == version:
            assert (answer["queued"], answer["running"]) == (stored["queued"], stored["running"])
            assert answer["capacity"] == places
            self.busy_queues += stored["running"] + stored["queued"] > 0


@pytest.mark.sqlite
def test_they_are_true_under_load(start: Callable[..., Server]) -> None:
    backend = start()
    chance = random.Random(5)

    def sometimes(call: Seen) -> bytes:
        if call.method != "POST":
            return http(404, {})
        if call.json.get("seed", 0) % 5 == 0:
            return http(200, {"status": "failed", "error": "of the test"})
        return http(200, {"status": "completed", "reward": 1})

    with real_container() as real, odd_container(sometimes) as odd:
        pools = [
            backend.pool(concurrency=2),
            backend.pool(concurrency=3, container_url=real),
            backend.pool(concurrency=4, container_url=odd.url),
        ]
        orders = [
            (pools[number % 3], {"seed": number, "env": {"delay": chance.uniform(0.01, 0.1)}})
            for number in range(180)
        ]
        ids: list[str] = []

        def order(item: tuple[str, dict[str, Any]]) -> None:
            pool, request = item
            rollout = backend.rollout(pool, **request)["id"]
            ids.append(rollout)
            if request["seed"] % 7 == 0:
                # Some are too late, and have ended.
                cancelled = backend.send("POST", f"/v1/rollouts/{rollout}/cancel")
                assert cancelled.status_code in (200, 409)

        with Watcher(backend, pools) as watcher:
            with ThreadPoolExecutor(6) as threads:
                list(threads.map(order, orders))
            for rollout in ids:
                backend.until(rollout)

            def is_seen() -> bool:
                """The load must be seen to be a test: more comes until it is."""
                if watcher.error or (
                    watcher.busy_pools > 0
                    and watcher.busy_queues > 3
                    and all(watcher.most_running[pool] > 0 for pool in pools)
                ):
                    return True
                ids.extend(backend.rollout(pool, env={"delay": 0.2})["id"] for pool in pools)
                for rollout in ids[-len(pools) :]:
                    backend.until(rollout)
                return False

            eventually(is_seen)
        with truth_of(backend) as truth:
            require_all_true(backend, truth, pools)
            stored = truth.of_all()
            assert sum(stored.values()) == len(ids) >= 180
            assert all(stored[state] > 0 for state in ("completed", "failed", "cancelled"))


@pytest.mark.sqlite
def test_they_are_true_in_every_state(start: Callable[..., Server]) -> None:
    backend = start()
    first, second = backend.pool(concurrency=2), backend.pool(concurrency=1)
    with truth_of(backend) as truth:
        require_all_true(backend, truth, [first, second])
        for pool, places in ((first, 2), (second, 1)):
            backend.run(pool)
            backend.run(pool, env={"fail": True})
            running = [backend.rollout(pool, env={"delay": 600})["id"] for _ in range(places)]
            for rollout in running:
                backend.until(rollout, "running")
            waiting = [backend.rollout(pool)["id"] for _ in range(3)]
            backend.post(f"/v1/rollouts/{waiting[0]}/cancel")
            final = {"completed": 1, "failed": 1, "cancelled": 1}
            assert truth.of_pool(pool) == {"queued": 2, "running": places, **final}
            require_all_true(backend, truth, [first, second])
        # A place more is filled, and counted.
        backend.call("PATCH", f"/v1/pools/{second}", json={"concurrency": 3})
        eventually(lambda: backend.get("/v1/queue/status")["queued"] == 2)
        eventually(lambda: truth.of_pool(second)["completed"] == 3)
        require_all_true(backend, truth, [first, second])
        assert backend.get("/v1/queue/status")["capacity"] == 5
        # An archived pool has no places, and keeps its numbers.
        backend.call("DELETE", f"/v1/pools/{first}")
        assert backend.get("/v1/queue/status") == {"queued": 0, "running": 1, "capacity": 3}
        assert truth.of_pool(first)["cancelled"] == 5
        require_all_true(backend, truth, [first, second])


@pytest.mark.sqlite
def test_they_are_true_after_a_restart_and_after_what_was_forgotten(tmp_path: Path) -> None:
    data_dir = tmp_path / "kept"
    data_dir.mkdir()
    with serve(data_dir) as before:
        pool = before.pool(concurrency=1)
        for _ in range(3):
            before.run(pool)
        lost = before.rollout(pool, env={"delay": 600})["id"]
        before.until(lost, "running")
        before.rollout(pool, env={"delay": 600})
        before.rollout(pool)
    with serve(data_dir) as after, truth_of(after) as truth:
        eventually(lambda: truth.of_pool(pool)["running"] == 1 and truth.of_pool(pool)["failed"])
        assert truth.of_pool(pool) == {
            "queued": 1,
            "running": 1,
            "completed": 3,
            "failed": 1,
            "cancelled": 0,
        }
        require_all_true(after, truth, [pool])
    with serve(data_dir, keep_finished_seconds=0.001) as forgetful, truth_of(forgetful) as truth:
        # Running rollouts are lost, waiting ones have their turn, and all are deleted later.
        eventually(lambda: not any(truth.of_pool(pool).values()))
        require_all_true(forgetful, truth, [pool])
