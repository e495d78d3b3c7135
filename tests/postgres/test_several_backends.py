"""Several backends on one database: changes of one are visible to the others, and not undone."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import StoreError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.local import LocalBackend
from tests.postgres.sessions import GROWN
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import execute, fetch

LIMIT = 60.0


@contextlib.contextmanager
def several(number: int, store: str, folder: Path, **chosen: Any) -> Iterator[list[Server]]:
    """Backends on one database, with one folder for the contents of artifacts."""
    shared = folder / "shared"
    shared.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                serve(
                    _made(folder / f"backend-{index}"),
                    store=StoreURL("store", store),
                    artifacts_dir=shared,
                    **chosen,
                )
            )
            for index in range(number)
        ]


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


class Gate:
    """Container whose rollouts end on request; it counts the running ones."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.started: list[str] = []
        self.most = self.running = 0
        self._lock = threading.Lock()

    def answer(self, request: Seen) -> bytes:
        if request.method != "POST" or request.path.endswith("/terminate"):
            return http(404, {"detail": "unknown"})
        with self._lock:
            self.started.append(request.json["rollout_id"])
            self.running += 1
            self.most = max(self.most, self.running)
        self.hold()
        with self._lock:
            self.running -= 1
        return http(200, {"status": "completed", "reward": 1})

    def hold(self) -> None:
        self.opened.wait(LIMIT)


class OneByOne(Gate):
    """Gate that lets a number of rollouts end."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Semaphore(0)

    def hold(self) -> None:
        self.free.acquire(timeout=LIMIT)


def test_either_backend_has_what_the_other_made(store: str, tmp_path: Path) -> None:
    with several(2, store, tmp_path) as (first, second):
        pool_id = first.pool()
        rollout = second.run(pool_id, env={"reward": 0.5})
        assert first.get(f"/v1/rollouts/{rollout['id']}") == rollout
        assert first.events(rollout["id"]) == second.events(rollout["id"])
        listed = [server.get("/v1/rollouts")["items"] for server in (first, second)]
        assert listed[0] == listed[1]
        page = first.get(f"/v1/pools/{pool_id}/events?format=json")
        assert page["events"] == second.get(f"/v1/pools/{pool_id}/events?format=json")["events"]


def test_the_end_of_a_rollout_is_told_where_it_is_waited_for(store: str, tmp_path: Path) -> None:
    gate = Gate()
    with (
        odd_container(gate.answer) as container,
        several(2, store, tmp_path) as (first, second),
        ThreadPoolExecutor(2) as threads,
    ):
        pool_id = first.pool(container_url=container.url, concurrency=1)
        running = first.rollout(pool_id)["id"]
        first.until(running, "running")
        # It waits in the common queue, and the first free backend runs it.
        waiting = threads.submit(second.run, pool_id)
        eventually(lambda: first.get("/v1/queue/status")["queued"] == 1)
        followed = threads.submit(second.events, running)
        gate.opened.set()
        assert waiting.result(LIMIT)["status"] == "completed"
        assert [event["event"] for event in followed.result(LIMIT)] == [
            "rollout.queued",
            "rollout.started",
            "reward",
            "rollout.completed",
        ]


def test_order_and_concurrency_are_those_of_the_pool(store: str, tmp_path: Path) -> None:
    gate = OneByOne()
    with odd_container(gate.answer) as container, several(3, store, tmp_path) as backends:
        pool_id = backends[0].pool(container_url=container.url, concurrency=3)
        ids = [backends[number % 3].rollout(pool_id)["id"] for number in range(30)]
        eventually(lambda: gate.running == 3)
        metrics = backends[1].get(f"/v1/pools/{pool_id}/metrics")
        assert (metrics["active_rollouts"], metrics["queued_rollouts"]) == (3, 27)
        assert set(gate.started) == set(ids[:3])
        # A place that gets free goes to the next rollout of the queue, of any backend.
        for number in range(4, 16):
            gate.free.release()
            eventually(lambda number=number: len(gate.started) == number)  # type: ignore[misc]
        assert gate.started[3:] == ids[3:15]
        gate.free.release(len(ids))
        for rollout_id in ids:
            assert backends[2].until(rollout_id)["status"] == "completed"
        assert gate.most <= 3
        # Each once.
        assert sorted(gate.started) == sorted(ids)


def test_a_place_is_filled_once_in_a_grown_database(store: str, tmp_path: Path) -> None:
    gate = Gate()
    with odd_container(gate.answer) as container, several(3, store, tmp_path) as backends:
        execute(store, GROWN)
        pool_id = backends[0].pool(container_url=container.url, concurrency=3)
        ids = [backends[number % 3].rollout(pool_id)["id"] for number in range(9)]
        taken_places = (
            "SELECT (SELECT COUNT(*) FROM synth_pools.rollouts WHERE status = 'running'),"
            " (SELECT COUNT(*) FROM synth_pools.queue WHERE owner IS NOT NULL)"
        )
        eventually(lambda: fetch(store, taken_places) == [(3, 0)])
        backends[0].post(f"/v1/rollouts/{ids[0]}/cancel")
        waiting = f"SELECT 1 FROM synth_pools.queue WHERE pool_id = '{pool_id}' AND owner IS NULL"
        eventually(lambda: len(fetch(store, waiting)) < 6)
        assert sum(fetch(store, taken_places)[0]) == 3
        gate.opened.set()
        for rollout_id in ids[1:]:
            assert backends[1].until(rollout_id)["status"] == "completed"


def test_the_container_with_the_fewest_rollouts_of_all_backends_gets_one(
    store: str, tmp_path: Path
) -> None:
    gates = [Gate(), Gate(), Gate()]
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(odd_container(gate.answer)).url for gate in gates]
        backends = stack.enter_context(several(3, store, tmp_path))
        pool_id = backends[0].pool(container_urls=urls, concurrency=3)
        # Each starts where it is admitted.
        for number, server in enumerate(backends):
            server.rollout(pool_id)
            eventually(lambda: sum(gate.running for gate in gates) > number)  # noqa: B023
        assert [gate.running for gate in gates] == [1, 1, 1]
        # These wait until there are places, and any backend claims them.
        for server in backends:
            server.rollout(pool_id)
        backends[0].call("PATCH", f"/v1/pools/{pool_id}", json={"concurrency": 6})
        eventually(lambda: sum(gate.running for gate in gates) == 6)
        assert [gate.running for gate in gates] == [2, 2, 2]
        for gate in gates:
            gate.opened.set()


def test_cancel_and_pause_where_another_backend_runs_it(store: str, tmp_path: Path) -> None:
    gate = Gate()
    with odd_container(gate.answer) as container, several(2, store, tmp_path) as (first, second):
        pool_id = first.pool(container_url=container.url, concurrency=1)
        running = first.rollout(pool_id)["id"]
        first.until(running, "running")
        waiting = first.rollout(pool_id)["id"]
        second.post(f"/v1/pools/{pool_id}/pause")
        assert second.post(f"/v1/rollouts/{running}/cancel")["status"] == "cancelled"
        # The owner has given it up, and asked its container to end it.
        eventually(lambda: f"POST /rollouts/{running}/terminate" in container.paths())
        assert first.get(f"/v1/rollouts/{waiting}")["status"] == "queued"
        first.refused("POST", f"/v1/pools/{pool_id}/rollouts", 409, "pool_not_active", json={})
        gate.opened.set()
        first.post(f"/v1/pools/{pool_id}/resume")
        assert second.until(waiting)["status"] == "completed"
        assert gate.started == [running, waiting]


def test_a_changed_and_a_deleted_pool(store: str, tmp_path: Path) -> None:
    with (
        odd_container(lambda _: http(200, {"status": "completed", "reward": 7})) as container,
        several(2, store, tmp_path) as (first, second),
    ):
        pool_id = first.pool()
        assert second.run(pool_id)["status"] == "completed"
        first.call("PATCH", f"/v1/pools/{pool_id}", json={"container_url": container.url})
        eventually(
            lambda: (
                [
                    container["url"]
                    for container in second.get(f"/v1/pools/{pool_id}/metrics")["containers"]
                ]
                == [container.url]
            )
        )
        assert second.run(pool_id)["score"] == 7
        first.call("DELETE", f"/v1/pools/{pool_id}")
        second.refused("POST", f"/v1/pools/{pool_id}/rollouts", 409, "pool_archived", json={})


def test_one_key_at_two_backends_is_one_rollout(store: str, tmp_path: Path) -> None:
    with several(2, store, tmp_path) as backends, ThreadPoolExecutor(16) as threads:
        pool_id = backends[0].pool()
        for number in range(5):
            headers = {"idempotency-key": f"key-{number}"}
            creations = [
                threads.submit(
                    backends[index % 2].post,
                    f"/v1/pools/{pool_id}/rollouts",
                    {"mode": "sync"},
                    headers=headers,
                )
                for index in range(16)
            ]
            answers = [creation.result(LIMIT) for creation in creations]
            assert all(answer == answers[0] for answer in answers)
        assert len(backends[1].get("/v1/rollouts")["items"]) == 5


def test_one_that_stops_leaves_its_rollouts_to_the_others(store: str, tmp_path: Path) -> None:
    gate = Gate()

    def answer(request: Seen) -> bytes:
        if (
            request.method == "GET"
            and request.path.startswith("/rollouts/")
            and gate.opened.is_set()
        ):
            return http(200, {"status": "completed", "reward": 2})
        return http(200, {"status": "running"})

    with odd_container(answer) as container, several(2, store, tmp_path) as (first, second):
        pool_id = first.pool(
            container_url=container.url, config={"submission_mode": "async"}, concurrency=2
        )
        with serve(
            _made(tmp_path / "third"),
            store=StoreURL("store", store),
            artifacts_dir=tmp_path / "shared",
        ) as third:
            ids = [third.rollout(pool_id)["id"] for _ in range(4)]
            third.until(ids[0], "running")
        gate.opened.set()
        for rollout_id in ids:
            assert first.until(rollout_id)["score"] == 2
            assert second.types(rollout_id)[-1] == "rollout.completed"
        assert fetch(store, "SELECT COUNT(*) FROM synth_pools.queue") == [(0,)]


def test_a_lease_that_was_taken_is_refused(store: str, tmp_path: Path, failures: list[str]) -> None:
    gate = Gate()
    with odd_container(gate.answer) as container, several(2, store, tmp_path) as (first, second):
        pool_id = first.pool(container_url=container.url)
        rollout_id = first.rollout(pool_id)["id"]
        first.until(rollout_id, "running")
        [(number,)] = fetch(
            store, f"SELECT owner FROM synth_pools.rollouts WHERE id = '{rollout_id}'"
        )
        # As after a silence of more than its lease.
        execute(store, f"DELETE FROM synth_pools.backends WHERE number = {number}")
        # It writes nothing under its old number, gives up its rollouts, and joins again.
        eventually(lambda: first.send("POST", "/v1/pools", json={"name": "p"}).status_code == 201)
        assert first.run(first.pool())["status"] == "completed"
        gate.opened.set()
        final = second.until(rollout_id)
        assert final["error"]["code"] == "backend_restarted"
        assert first.types(rollout_id) == ["rollout.queued", "rollout.started", "rollout.failed"]
        numbers = [row[0] for row in fetch(store, "SELECT number FROM synth_pools.backends")]
        assert len(numbers) == 2
        assert number not in numbers
    assert any("took this one for dead" in line for line in failures)
    failures.clear()


def test_contents_in_another_folder_are_refused(store: str, tmp_path: Path) -> None:
    with LocalBackend(tmp_path / "a", store=store):
        with pytest.raises(StoreError, match="--artifacts-dir") as refused:
            LocalBackend(tmp_path / "b", store=store).start()
        assert len(str(refused.value).splitlines()) == 1
    with LocalBackend(tmp_path / "b", store=store) as alone, alone.client() as client:
        assert client.list_pools() is not None


def test_timestamps_are_those_of_the_server(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_ns = clock.time_ns
    monkeypatch.setattr(clock, "time_ns", lambda: time_ns() + 40 * 86_400 * 10**9)
    form = "'YYYY-MM-DD\"T\"HH24:MI:SS'"
    [(later,)] = fetch(
        store, f"SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 hour', {form})"
    )
    with several(1, store, tmp_path) as (server,):
        pool_id = server.pool()
        rollout = server.run(pool_id)
        pool = server.get(f"/v1/pools/{pool_id}")
        events = server.events(rollout["id"])
    moments = [rollout[f"{name}_at"] for name in ("created", "started", "finished", "updated")]
    moments += [pool["created_at"], *(event["timestamp"] for event in events)]
    assert max(moments) < later


def test_what_keeps_the_queue_from_being_quick_is_measured(store: str, tmp_path: Path) -> None:
    gate = Gate()
    with odd_container(gate.answer) as container, several(2, store, tmp_path) as (first, second):
        pool_id = first.pool(container_url=container.url, concurrency=1)
        for _ in range(3):
            first.rollout(pool_id)
        scraped = metrics(second)
        assert scraped["synth_pools_store_backends"] == 2
        # This backend knows the server's clock as well as its answers were quick.
        eventually(lambda: metrics(second)["synth_pools_oldest_queued_seconds"] > 0)
        assert scraped["synth_pools_store_refused_rollouts_total"] == 0
        # A long read, such as a dump.
        with ThreadPoolExecutor(1) as threads:
            looking = threads.submit(fetch, store, "SELECT 1 FROM pg_sleep(600)")
            eventually(lambda: metrics(second)["synth_pools_store_oldest_snapshot_seconds"] > 1)
            execute(store, CANCEL_SLEEPING)
            with pytest.raises(asyncpg.QueryCanceledError):
                looking.result(LIMIT)
        gate.opened.set()


CANCEL_SLEEPING = (
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'"
    " AND datname = current_database()"
)


def metrics(server: Server) -> dict[str, float]:
    lines = server.http.get("/metrics").text.splitlines()
    series = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in series}


def test_a_pool_that_was_made_this_very_moment_elsewhere(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        odd_container(lambda _: http(200, {"status": "completed", "reward": 7})) as container,
        several(2, store, tmp_path) as (first, second),
    ):
        database = second.services.database
        assert isinstance(database, PostgresDatabase)
        # Without a notice, as in the moment before it arrives.
        monkeypatch.setattr(database._peer, "receive", lambda _: None)
        for _ in range(5):
            assert second.run(first.pool(container_url=container.url))["score"] == 7
        pool_id = first.pool()
        assert second.run(pool_id)["status"] == "completed"
        first.call("PATCH", f"/v1/pools/{pool_id}", json={"container_url": container.url})
        assert second.run(pool_id)["score"] == 7


def test_contents_of_artifacts_are_shared(store: str, tmp_path: Path) -> None:
    def answer(_: Seen) -> bytes:
        artifact = {"path": "a.txt", "content": "x" * 10_000}
        return http(200, {"status": "completed", "artifacts": [artifact]})

    folder = tmp_path / "shared" / "artifacts" / "ab"
    with odd_container(answer) as container:
        with several(1, store, tmp_path) as (first,):
            pool_id = first.pool(container_url=container.url)
            done = first.run(pool_id)["id"]
        # A content of a backend that died long ago, and one that a backend is about to name.
        folder.mkdir()
        nobodys = folder / f"ab{'0' * 62}"
        old, new = (folder / f"draft-{digit * 32}" for digit in "01")
        for path in (nobodys, old, new):
            path.write_text("x")
        os.utime(old, (0, 0))
        with several(2, store, tmp_path) as (first, second):
            for rollout_id in (done, first.run(pool_id)["id"]):
                [item] = second.get(f"/v1/rollouts/{rollout_id}/artifacts")["items"]
                content = second.http.get(f"/v1/rollouts/{rollout_id}/artifacts/{item['path']}")
                assert content.text == "x" * 10_000
        assert (nobodys.exists(), old.exists(), new.exists()) == (False, False, True)
        assert (tmp_path / "shared" / "artifacts.lost" / "ab" / nobodys.name).read_text() == "x"


def test_a_copied_data_directory_takes_no_place_of_the_one_in_use(
    store: str, tmp_path: Path
) -> None:
    chosen: dict[str, Any] = {
        "store": StoreURL("store", store),
        "artifacts_dir": _made(tmp_path / "shared"),
    }
    gate, tokens = Gate(), "SELECT number, token FROM synth_pools.backends ORDER BY number"
    with odd_container(gate.answer) as container, serve(_made(tmp_path / "a"), **chosen) as first:
        pool_id = first.pool(container_url=container.url)
        rollout_id = first.rollout(pool_id)["id"]
        first.until(rollout_id, "running")
        [member] = fetch(store, tokens)
        for name in ("copy", "copy of it"):
            copied = shutil.copytree(tmp_path / "a", tmp_path / name)
            away = {**chosen, "store": StoreURL("store", f"{store}_that_is_not_there")}
            with pytest.raises(StoreError, match="does not exist"), serve(copied, **away):
                pass
            # Even after a start that failed.
            with serve(copied, **chosen) as second:
                former, latter = fetch(store, tokens)
                # It has a name of its own, and the other one goes on with what it runs.
                assert former == member
                assert latter[1] != member[1]
                assert second.run(second.pool())["status"] == "completed"
                assert second.state(rollout_id) == "running"
            with serve(copied, **chosen):
                # Its name is its own at the next start, too.
                assert fetch(store, tokens)[1][1] == latter[1]
        gate.opened.set()
        assert first.until(rollout_id)["status"] == "completed"
    assert len(gate.started) == 1
