"""`--keep-finished`: what has ended is forgotten in time, and nothing else is."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import click
import pytest

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.local_backend import LocalBackend
from synth_pools.backend.rollouts.admission import idempotency as idempotency_module
from synth_pools.backend.storage import retention as retention_module
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.retention import RetentionClock
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase, _Connection
from synth_pools.cli.options import seconds_of
from tests.support.backend_server import Server, eventually, serve
from tests.support.commands import any_option, refusal_of

DAY = 86_400.0


def is_gone(server: Server, rollout_id: str) -> bool:
    return server.send("GET", f"/v1/rollouts/{rollout_id}").status_code == 404


def age(folder: Path, *rollout_ids: str) -> None:
    """Move the ends of rollouts of a stopped backend two days back."""
    end = clock.timestamp(clock.unix_time() - 2 * DAY)
    with closing(sqlite3.connect(folder / FILE_NAME)) as database, database:
        for rollout_id in rollout_ids:
            database.execute("UPDATE rollouts SET finished_at = ? WHERE id = ?", (end, rollout_id))


@pytest.mark.sqlite
def test_what_has_ended_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool()
        path = f"/v1/pools/{pool_id}/rollouts"
        old = [before.run(pool_id)["id"] for _ in range(3)]
        failed = before.run(pool_id, env={"fail": True})["id"]
        key = {"idempotency-key": uuid.uuid4().hex}
        keyed = before.post(path, {}, 202, headers=key)["id"]
        before.until(keyed)
    age(tmp_path, *old, failed, keyed)
    with serve(tmp_path, keep_finished_seconds=DAY) as server:
        running = server.rollout(pool_id, env={"delay": 60})["id"]
        eventually(lambda: all(is_gone(server, rollout_id) for rollout_id in [*old, failed]))
        new = server.run(pool_id)["id"]
        assert not is_gone(server, new)
        for suffix in ("", "/events", "/artifacts", "/usage", "/summary"):
            server.refused("GET", f"/v1/rollouts/{old[0]}{suffix}", 404, "rollout_not_found")
        # One that a key must still lead to stays, and so does one that has not ended.
        assert server.post(path, {}, 200, headers=key)["id"] == keyed
    age(tmp_path, new)
    with serve(tmp_path, keep_finished_seconds=DAY) as server:
        eventually(lambda: is_gone(server, new))
        listed = [item["id"] for item in server.get(path)["items"]]
        assert listed == [running, keyed]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        # Their events went with them.
        assert database.execute("SELECT COUNT(DISTINCT rollout_seq) FROM events").fetchone() == (2,)


def test_without_it_everything_is_kept(server: Server) -> None:
    assert server.services.settings.keep_finished_seconds is None


@pytest.mark.sqlite
def test_many_are_forgotten_in_portions(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool()
        rollout_id = before.run(pool_id)["id"]
    columns = "pool_id, status, mode, request, created_at, updated_at, finished_at, last_sequence"
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        for number in range(1000):
            database.execute(
                f"INSERT INTO rollouts (id, {columns}) SELECT ?, {columns} FROM rollouts"
                " WHERE id = ?",
                (f"rollout_{number}", rollout_id),
            )
    with serve(tmp_path, keep_finished_seconds=100) as server:
        assert len(server.get("/v1/rollouts?limit=1000")["items"]) == 1000
    with serve(tmp_path, keep_finished_seconds=0.01) as server:
        # All of them long before the second look.
        eventually(lambda: server.get("/v1/rollouts")["items"] == [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2m", 120), ("12h", 43_200), ("30d", 2_592_000), (None, 0)]
)
def test_lengths_of_time(text: str | None, seconds: float) -> None:
    assert (seconds_of(*any_option(), text) or 0) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1y", "1000000d"])
def test_no_lengths_of_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no length of time"):
        seconds_of(*any_option(), text)


def test_nothing_is_older_than_time() -> None:
    before_time = clock.unix_time() - 999_999 * 7 * DAY
    assert clock.timestamp(before_time) == "0001-01-01T00:00:00.000000Z"
    moments = [clock.timestamp(clock.unix_time() + seconds) for seconds in (-3600, 3600)]
    assert moments[0] < clock.now() < moments[1]


async def test_retention_follows_a_clock_that_is_set_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"time": 1_000_000_000.0, "monotonic": 5.0}
    monkeypatch.setattr(clock, "unix_time", lambda: now["time"])
    monkeypatch.setattr(clock, "monotonic", lambda: now["monotonic"])
    monkeypatch.setattr(_Connection, "unix_time", staticmethod(lambda: now["time"]))
    database = SQLiteDatabase(tmp_path)

    async def read(of: RetentionClock, *, seconds: float, ahead: float = 0.0) -> float:
        now["monotonic"] += seconds
        now["time"] += seconds + ahead
        return await database.write(of.read)

    # Before any time is stored, it is set forward, and right again.
    retention, begin = RetentionClock(now["time"]), now["time"]
    assert await read(retention, seconds=60, ahead=40 * DAY) == begin + 3600
    begin = await read(retention, seconds=0, ahead=-40 * DAY)
    assert begin == now["time"]
    assert await read(retention, seconds=60) == begin + 60
    # Set forward by forty days, it follows by an hour a minute.
    assert await read(retention, seconds=60, ahead=40 * DAY) == begin + 60 + 3600
    assert await read(retention, seconds=1) == begin + 60 + 3600 + 60
    # No other backend follows faster.
    assert await read(RetentionClock(now["time"]), seconds=0) == begin + 60 + 3600 + 60
    # Set right, it is right at once.
    assert await read(retention, seconds=1, ahead=-40 * DAY) == now["time"]
    # After a day without a backend it has followed in less than half an hour.
    late, now["time"] = RetentionClock(now["time"]), now["time"] + DAY
    assert await read(late, seconds=1200) < now["time"]
    assert await read(late, seconds=600) == now["time"]
    await database.close()


async def test_retention_counts_no_time_in_which_another_backend_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Follower(SQLiteDatabase):
        leads = False
        rounds = 0

        @property
        def is_leader(self) -> bool:
            self.rounds += 1
            return self.leads

    async def next_rounds() -> None:
        reached = database.rounds + 2
        while database.rounds < reached:  # noqa: ASYNC110 - each takes one turn of the loop
            await asyncio.sleep(0)

    now = {"time": 1_000_000_000.0, "monotonic": 5.0}
    monkeypatch.setattr(clock, "unix_time", lambda: now["time"])
    monkeypatch.setattr(clock, "monotonic", lambda: now["monotonic"])
    monkeypatch.setattr(_Connection, "unix_time", staticmethod(lambda: now["time"]))
    monkeypatch.setattr(idempotency_module, "_PAUSE_SECONDS", 0)
    database = Follower(tmp_path)
    begin = await database.write(RetentionClock(now["time"]).read)
    retention = RetentionClock(now["time"])
    forgetting = asyncio.create_task(idempotency_module.forget_old_keys(database, retention))
    await next_rounds()
    now["monotonic"] += 10 * DAY
    await next_rounds()
    # Now it leads, with a clock that is forty days ahead.
    now["time"] += 50 * DAY
    database.leads = True
    await next_rounds()
    assert await database.write(retention.read) == begin
    forgetting.cancel()
    await asyncio.wait([forgetting])
    await database.close()


def test_a_clock_that_is_set_forward_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "_LONGEST_PAUSE", 0.01)
    time_ns = clock.time_ns
    with serve(tmp_path, keep_finished_seconds=30 * DAY) as server:
        pool_id = server.pool()
        path, key = f"/v1/pools/{pool_id}/rollouts", {"idempotency-key": uuid.uuid4().hex}
        old = server.run(pool_id)["id"]
        keyed = server.post(path, {"mode": "sync"}, headers=key)["id"]
        monkeypatch.setattr(clock, "time_ns", lambda: time_ns() + int(40 * DAY * 1e9))

        def reached() -> str:
            sql = "SELECT value FROM meta WHERE key = 'time of retention'"
            return str(server.read(lambda db: db.execute(sql).fetchone()[0]))

        for _ in range(3):
            former = reached()
            eventually(lambda: reached() != former)  # noqa: B023
        assert not is_gone(server, old)
        assert server.post(path, {"mode": "sync"}, headers=key)["id"] == keyed


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(BadOptionError, match="keep_finished"):
        LocalBackend(keep_finished=seconds)


def test_the_option_of_serve_is_checked_before_anything_starts(tmp_path: Path) -> None:
    line = refusal_of("serve", "--keep-finished", "soon", "--data-dir", tmp_path / "data")
    assert "--keep-finished" in line
    assert not (tmp_path / "data").exists()
