"""Backends that die, or are silent for longer than their lease, beside others on one database."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from synth_pools.backend.storage.postgres import membership as membership_module
from synth_pools.backend.storage.postgres.membership import LEASE_SECONDS
from tests.postgres.test_several_backends import several
from tests.support.backend_server import eventually
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import execute, fetch
from tests.support.process_pools import family, gone, process
from tests.system.crash.processes import KEY, Serve

LIMIT = 60.0
# Promised time from a death to the takeover, and what a busy machine may add: test_leases.py has
# the exact times, by a clock of its own.
TAKEN_OVER_WITHIN = 6.0
BUSY_SECONDS = 20.0


class Client:
    """A client of a backend in another process."""

    def __init__(self, serve: Serve) -> None:
        self.http = httpx.Client(
            base_url=serve.url, headers={"authorization": f"Bearer {KEY}"}, timeout=LIMIT
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        response = self.http.request(method, path, json=body)
        assert response.is_success, (method, path, response.status_code, response.text)
        return response.json()

    def until(self, rollout_id: str, *states: str) -> Any:
        def look() -> Any:
            rollout = self.call("GET", f"/v1/rollouts/{rollout_id}")
            return rollout if rollout["status"] in states else None

        return eventually(look)


@contextlib.contextmanager
def processes(
    number: int, store: str, folder: Path, *options: str
) -> Iterator[list[tuple[Serve, Client]]]:
    """`synth-pools serve` several times on one database, each in a separate process."""
    shared = folder / "shared"
    shared.mkdir()
    serves = [
        Serve(
            folder / f"data-{index}",
            folder / f"backend-{index}.log",
            *("--artifacts-dir", str(shared), *options),
            store=store,
        )
        for index in range(number)
    ]
    with contextlib.ExitStack() as stack:
        for server in serves:
            stack.callback(server.end)
            server.start()
        yield [(server, Client(server)) for server in serves]


class HoldsTheFirst:
    """Container that answers the first request when released, and others at once."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.sent: dict[str, int] = {}

    def answer(self, request: Seen) -> bytes:
        if request.method != "POST" or request.path.endswith("/terminate"):
            return http(404, {"detail": "unknown"})
        rollout_id = request.json["rollout_id"]
        number = self.sent[rollout_id] = self.sent.get(rollout_id, 0) + 1
        if number == 1:
            self.opened.wait(LIMIT)
        return http(200, {"status": "completed", "reward": number})


def owner_of(store: str, rollout_id: str) -> int | None:
    sql = f"SELECT owner FROM synth_pools.rollouts WHERE id = '{rollout_id}'"
    [(owner,)] = fetch(store, sql)
    return owner  # type: ignore[no-any-return]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_what_a_killed_one_ran_is_taken_over(store: str, tmp_path: Path) -> None:
    holder = HoldsTheFirst()
    with (
        odd_container(holder.answer) as container,
        processes(2, store, tmp_path) as [(first, first_client), (_, second_client)],
    ):
        pool = {"pool_id": "p", "name": "p", "container_url": container.url, "concurrency": 2}
        first_client.call("POST", "/v1/pools", pool)
        request = {"limits": {"max_attempts": 2}}
        ids = [
            first_client.call("POST", "/v1/pools/p/rollouts", request)["rollout_id"]
            for _ in range(4)
        ]
        for rollout_id in ids[:2]:
            second_client.until(rollout_id, "running")
        # These rollouts wait, and get a place that the dead backend had.
        former = owner_of(store, ids[0])
        [(killed,)] = fetch(store, "SELECT clock_timestamp()")
        first.kill()
        for number, rollout_id in enumerate(ids):
            if number >= 2:
                eventually(partial(holder.sent.get, rollout_id))
                holder.opened.set()
            final = second_client.until(rollout_id, "completed", "failed")
            assert final["status"] == "completed", final
            assert owner_of(store, rollout_id) != former
        started = second_client.call("GET", f"/v1/rollouts/{ids[0]}/events?format=json")["events"]
        again = [event for event in started if event["event"] == "rollout.started"]
        assert [event["data"]["attempt"] for event in again] == [1, 2]
        passed = moment(again[1]["timestamp"]) - killed
        assert LEASE_SECONDS + membership_module._RENEWAL_SECONDS < TAKEN_OVER_WITHIN
        assert passed.total_seconds() <= TAKEN_OVER_WITHIN + BUSY_SECONDS
        assert len(fetch(store, "SELECT number FROM synth_pools.backends")) == 1

        # Its place is free again, at once.
        first.start()
        assert first_client.call("GET", f"/v1/rollouts/{ids[0]}")["score"] == 2


def test_shares_lose_no_place_and_stay_fair_where_one_is_killed(store: str, tmp_path: Path) -> None:
    holder = HoldsTheFirst()
    with (
        odd_container(holder.answer) as container,
        processes(2, store, tmp_path) as [(first, first_client), (_, second_client)],
    ):
        pool = {"pool_id": "p", "name": "p", "container_url": container.url, "concurrency": 2}
        first_client.call("POST", "/v1/pools", pool)

        def admit(client: Client, run: str, number: int) -> list[str]:
            request = {"run": run, "limits": {"max_attempts": 2}}
            return [
                str(client.call("POST", "/v1/pools/p/rollouts", request)["rollout_id"])
                for _ in range(number)
            ]

        many = [*admit(first_client, "many", 15), *admit(second_client, "many", 15)]
        for rollout_id in many[:2]:
            second_client.until(rollout_id, "running")
        few = admit(second_client, "few", 3)
        first.kill()
        holder.opened.set()
        for rollout_id in (*many, *few):
            second_client.until(rollout_id, "completed")
        page = second_client.call("GET", "/v1/pools/p/events?format=json&limit=1000")
    started = [event for event in page["events"] if event["event"] == "rollout.started"]
    order = list(dict.fromkeys(event["rollout_id"] for event in started))
    assert sorted(order) == sorted([*many, *few])
    # Starts at the same moment are stored in any order.
    for share in (many, few):
        ids_of_share = [rollout_id for rollout_id in order if rollout_id in share]
        assert all(abs(share.index(name) - place) <= 2 for place, name in enumerate(ids_of_share))
    # At most two rollouts of `many` start before each, beside the running and claimed ones.
    assert order.index(few[-1]) <= 12


def test_containers_of_a_killed_one_end_and_another_starts_them_anew(
    store: str, tmp_path: Path
) -> None:
    with processes(2, store, tmp_path, "--allow-processes") as [
        (first, first_client),
        (_, second_client),
    ]:
        pool = {"pool_id": "p", "name": "p", "capacity": 2, "config": {"process": process("stray")}}
        first_client.call("POST", "/v1/pools", pool)

        def up(client: Client, without: frozenset[int] = frozenset()) -> list[int] | None:
            containers = client.call("GET", "/v1/pools/p/metrics")["containers"]
            pids = [
                container["pid"] for container in containers if container["health"] == "healthy"
            ]
            return pids if len(pids) == 2 and without.isdisjoint(pids) else None

        former = eventually(partial(up, first_client))
        remaining = [process for pid in former for process in family(pid)]
        assert len(remaining) == 4
        first.kill()
        assert gone(remaining)
        eventually(partial(up, second_client, frozenset(former)))
        rollout = second_client.call("POST", "/v1/pools/p/rollouts", {"seed": 4})["rollout_id"]
        assert second_client.until(rollout, "completed", "failed")["score"] == 4.0


def test_who_was_silent_for_too_long_writes_nothing(store: str, tmp_path: Path) -> None:
    holder = HoldsTheFirst()
    with (
        odd_container(holder.answer) as container,
        processes(2, store, tmp_path) as [(first, first_client), (_, second_client)],
    ):
        first_client.call(
            "POST", "/v1/pools", {"pool_id": "p", "name": "p", "container_url": container.url}
        )
        request = {"limits": {"max_attempts": 2}}
        rollout_id = first_client.call("POST", "/v1/pools/p/rollouts", request)["rollout_id"]
        second_client.until(rollout_id, "running")
        former = owner_of(store, rollout_id)
        first_process = first.pid
        os.kill(first_process, signal.SIGSTOP)
        try:
            eventually(lambda: owner_of(store, rollout_id) != former)
            final = second_client.until(rollout_id, "completed")
            events = second_client.call("GET", f"/v1/rollouts/{rollout_id}/events?format=json")
            # The answer to the first attempt has arrived when it wakes up.
            holder.opened.set()
        finally:
            os.kill(first_process, signal.SIGCONT)
        log = tmp_path / "backend-0.log"
        eventually(lambda: "took this one for dead" in log.read_text())
        eventually(lambda: len(fetch(store, "SELECT number FROM synth_pools.backends")) == 2)
        assert final["score"] == 2
        for client in (first_client, second_client):
            assert client.call("GET", f"/v1/rollouts/{rollout_id}") == final
            assert client.call("GET", f"/v1/rollouts/{rollout_id}/events?format=json") == events
        # It goes on, under a new number.
        done = first_client.call("POST", "/v1/pools/p/rollouts", {"mode": "sync", **request})
        assert (done["status"], holder.sent[rollout_id]) == ("completed", 2)
        assert owner_of(store, done["rollout_id"]) != former
        assert "Traceback" not in log.read_text()


def test_one_that_stops_in_a_transaction_holds_up_nobody(store: str, tmp_path: Path) -> None:
    with several(1, store, tmp_path) as (server,):
        pool_id = server.pool()
        has_gone = threading.Event()

        def hold() -> None:
            import asyncio  # A separate connection, like that of a stopped backend.

            import asyncpg

            async def run() -> None:
                raw = await asyncpg.connect(store)
                await raw.execute("SET idle_in_transaction_session_timeout = '3s'")
                [number] = await raw.fetchrow("SELECT number FROM synth_pools.backends")
                await raw.execute(f"BEGIN; SELECT synth_pools.enter({number})")
                await asyncio.to_thread(has_gone.wait, LIMIT)
                raw.terminate()

            asyncio.run(run())

        with ThreadPoolExecutor(2) as threads:
            holder = threads.submit(hold)
            sql = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            eventually(lambda: fetch(store, sql))
            assert server.run(pool_id)["status"] == "completed"
            has_gone.set()
            holder.result(LIMIT)


def test_a_listener_that_is_cut_off_misses_nothing(store: str, tmp_path: Path) -> None:
    holder = HoldsTheFirst()
    with (
        odd_container(holder.answer) as container,
        several(2, store, tmp_path) as (first, second),
        ThreadPoolExecutor(4) as threads,
    ):
        pool_id = first.pool(container_url=container.url, concurrency=1)
        running = first.rollout(pool_id)["id"]
        first.until(running, "running")
        followed = threads.submit(second.events, running)
        waiting = threads.submit(second.run, pool_id)
        eventually(lambda: first.get("/v1/queue/status")["queued"] == 1)
        listeners = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%renewed_at%' AND pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
        execute(store, listeners)
        holder.opened.set()
        assert [event["event"] for event in followed.result(LIMIT)][-1] == "rollout.completed"
        assert waiting.result(LIMIT)["status"] == "completed"
        assert len(fetch(store, "SELECT number FROM synth_pools.backends")) == 2
