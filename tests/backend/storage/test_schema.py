"""Databases of other versions: older ones are brought forward, newer ones are left alone."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from synth_pools.backend import local_backend
from synth_pools.backend.server import thread as server_thread
from synth_pools.backend.storage import migrations
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import SchemaVersionError
from synth_pools.backend.storage.sqlite import schema
from synth_pools.backend.storage.sqlite.schema import VERSION
from synth_pools.local import LocalBackend
from tests.support.backend_server import serve
from tests.support.commands import refusal_of
from tests.support.containers import Seen, http, odd_container

pytestmark = pytest.mark.sqlite

# Rollouts of version 1, as its SQL file names them.
COMPLETED = "rollout_03076bd8151b45cfa6826a7bee4aeee6"
KEYED = "rollout_d8c9c7a55c514b4abfd0fe549caff61d"
ELSEWHERE = "rollout_05ffa97fbcaf421db0f869ac7803657c"
LOST = ("rollout_6f13adb8116f42a6b58a32da15aee90e", "rollout_f00304b27b024254885a28bddb2d84eb")
QUEUED = "rollout_710ab7301ca0430ea4896efddf68a621"
IDS = {COMPLETED, KEYED, ELSEWHERE, *LOST, QUEUED}


def make_version_1(data_dir: Path, container_url: str = "http://127.0.0.1:1") -> Path:
    script = Path(__file__).with_name("version_1.sql").read_text()
    file = data_dir / FILE_NAME
    with closing(sqlite3.connect(file)) as database:
        database.executescript(script.replace('http://127.0.0.1:1"', f'{container_url}"'))
    return file


def test_a_database_of_version_1_goes_on(tmp_path: Path) -> None:
    def answer(request: Seen) -> bytes:
        if request.method == "GET":
            result = {"rollout_id": ELSEWHERE, "status": "completed", "summary": {"reward": 4}}
            return http(200, result)
        return http(500, {})

    with odd_container(answer) as container:
        file = make_version_1(tmp_path, container.url)
        with closing(sqlite3.connect(file)) as database, database:
            assert database.execute("PRAGMA user_version").fetchone() == (1,)
            before = database.execute("SELECT id, request FROM rollouts ORDER BY seq").fetchall()
            database.execute("UPDATE idempotency SET created = ?", (time.time(),))
        with serve(tmp_path) as server:
            # A running rollout is resumed if its container is known, though version 1 kept no
            # address.
            resumed = server.until(ELSEWHERE)
            assert (resumed["status"], resumed["score"]) == ("completed", 4)
            assert container.paths() == [f"GET /rollouts/{ELSEWHERE}"]
            for rollout_id in LOST:
                rollout = server.until(rollout_id)
                assert rollout["error"]["code"] == "backend_restarted"
                assert [event["id"] for event in server.events(rollout_id)] == [
                    "evt_0000000001",
                    "evt_0000000002",
                    "evt_0000000003",
                ]
            assert server.until(QUEUED)["status"] == "completed"
            done = server.get(f"/v1/rollouts/{COMPLETED}")
            assert done["request"]["messages"][0]["content"] == "h\u00e9; \U0001f600 it's"
            assert len(server.events(COMPLETED)) == 5
            key = {"idempotency-key": "a-key"}
            path = "/v1/pools/old/rollouts"
            assert server.post(path, {"seed": 9}, 200, headers=key)["id"] == KEYED
            assert server.run("old", task_id="t")["id"] not in IDS
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
        columns = "seed, reward_value, error_code, cost_usd, duration, run, labels, priority"
        rows = {row[0]: row[1:] for row in database.execute(f"SELECT id, {columns} FROM rollouts")}
        assert rows[COMPLETED] == (7, 1.0, None, None, 0.005876, None, "{}", 0)
        assert rows[ELSEWHERE][1:4] == (4.0, None, None)
        assert {rows[lost][2] for lost in LOST} == {"backend_restarted"}
        assert rows[KEYED][0] == 9
        after = database.execute("SELECT id, request FROM rollouts ORDER BY seq").fetchall()
        assert after[: len(before)] == before


def test_a_start_takes_as_long_as_its_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_version_1(tmp_path)
    looks, migrate, seconds = threading.Semaphore(0), schema._migrate, [0]

    def is_migrating() -> bool:
        # Longer than a start may take passes between two looks at a migration.
        running = migrations.is_migrating()
        seconds[0] += 1000 if running else 0
        looks.release()
        return running

    def migrate_slowly(connection: sqlite3.Connection) -> None:
        for _ in range(3):
            assert looks.acquire(timeout=60)
        migrate(connection)

    monkeypatch.setattr(schema, "_migrate", migrate_slowly)
    monkeypatch.setattr(local_backend, "is_migrating", is_migrating)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds[0])
    monkeypatch.setattr(server_thread, "clock", clock)
    with (
        caplog.at_level(logging.INFO),
        LocalBackend(tmp_path) as backend,
        backend.client() as client,
    ):
        assert client.rollouts.get("old", COMPLETED)["status"] == "completed"
    lines = [record.message for record in caplog.records if "version" in record.message]
    assert lines[0].startswith(f"the database goes from version 1 to {VERSION}: ")
    assert lines[1].startswith(f"the database has version {VERSION} after ")


def test_a_migrated_file_and_a_new_one_have_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, halfway = make_version_1(tmp_path), tmp_path / "halfway"
    with (
        closing(sqlite3.connect(halfway, isolation_level=None)) as database,
        monkeypatch.context() as older,
    ):
        older.setattr(schema, "_STEPS", schema._STEPS[:10])
        older.setattr(schema, "VERSION", 10)
        schema.prepare(database)
        # As the backends of that version made them.
        names = ("pool", "run", "creation", "task", "seed", "error_code")
        for name in (*names, "reward", "duration", "cost"):
            database.execute(f"CREATE INDEX rollouts_by_{name} ON rollouts (seq)")
    shapes = []
    for file in (old, halfway, tmp_path / "new"):
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            schema.prepare(database)
            schema.prepare(database)
            rows = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
            shapes.append([(name, " ".join((sql or "").split())) for name, sql in rows])
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_version_1(tmp_path)
    steps = (*schema._STEPS, "CREATE TABLE one (a); CREATE TABLE one (a)")
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        before = list(database.iterdump())
        with monkeypatch.context() as patched:
            patched.setattr(schema, "_STEPS", steps)
            with pytest.raises(sqlite3.OperationalError, match="exists"):
                schema.prepare(database)
        assert list(database.iterdump()) == before
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        schema.prepare(database)


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        before.pool()
    file = tmp_path / FILE_NAME
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")
    content = file.read_bytes()
    with pytest.raises(SchemaVersionError, match="version 99"), serve(tmp_path):
        pass
    line = refusal_of("serve", "--port=0", f"--data-dir={tmp_path}")
    assert line.startswith("synth-pools: error: the database has version 99")
    assert file.read_bytes() == content


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute("CREATE TABLE recipes (name)")
    with pytest.raises(SchemaVersionError, match="not one of this backend"), serve(tmp_path):
        pass


def test_the_next_place_of_an_event_is_the_one_after_the_last(tmp_path: Path) -> None:
    with serve(tmp_path) as backend:
        backend.run(backend.pool())
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        [last] = database.execute("SELECT MAX(place) FROM events").fetchone()
        schema.count_places(database)
        places = [database.execute("SELECT next_event_place()").fetchone()[0] for _ in range(2)]
    assert places == [last + 1, last + 2]
