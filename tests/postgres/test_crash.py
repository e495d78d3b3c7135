"""Crashes of a backend, and a restored copy of its database."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path

from synth_pools.backend.settings import StoreURL
from tests.support.backend_server import serve
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import PostgresServer, find_programs
from tests.system.crash.run import crash_run


def test_nothing_is_lost_and_nothing_runs_twice(store: str, tmp_path: Path) -> None:
    report = crash_run(tmp_path, kills=3, seed=1, store=store)
    assert report.verdict.wrong == []
    assert report.verdict.rollouts > 10
    assert report.verdict.statuses["completed"] > 0
    assert report.artifacts > 0


def test_nothing_is_lost_where_backends_and_their_database_are_killed(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    store = own_server.new_database("crash")
    report = crash_run(tmp_path, kills=6, seed=4, store=store, backends=3, server=own_server)
    assert report.verdict.wrong == []
    assert report.verdict.rollouts > 10
    assert report.verdict.statuses["completed"] > 0
    assert report.artifacts > 0
    assert report.kills["started"] > 0


def test_a_dump_and_the_data_directory_are_a_backup(server: PostgresServer, tmp_path: Path) -> None:
    def answer(request: Seen) -> bytes:
        artifact = {"path": "a.txt", "content": "x" * 10_000}
        return http(200, {"status": "completed", "artifacts": [artifact]})

    store = server.new_database(f"kept_{uuid.uuid4().hex[:12]}")
    stored = tmp_path / "kept"
    stored.mkdir()
    with (
        serve(stored, store=StoreURL("store", store)) as running,
        odd_container(answer) as container,
    ):
        pool_id = running.pool(container_url=container.url)
        done = running.run(pool_id)["id"]
        events = running.events(done)
        # While it runs: the dump first, since the files that it names are on disk by then.
        script = tmp_path / "dump.sql"
        run("pg_dump", "--schema=synth_pools", f"--file={script}", store)
        shutil.copytree(stored, tmp_path / "copy", ignore=shutil.ignore_patterns("lock"))

    restored = server.new_database(f"restored_{uuid.uuid4().hex[:12]}")
    run("psql", "--set=ON_ERROR_STOP=1", "--quiet", f"--file={script}", restored)
    with serve(tmp_path / "copy", store=StoreURL("store", restored)) as again:
        assert again.events(done) == events
        [item] = again.get(f"/v1/rollouts/{done}/artifacts")["items"]
        content = again.http.get(f"/v1/rollouts/{done}/artifacts/{item['path']}")
        assert content.text == "x" * 10_000
        # It goes on: numbers, places and counts have their former values.
        again.call("PATCH", f"/v1/pools/{pool_id}", json={"container_url": None})
        assert again.run(pool_id)["status"] == "completed"


def run(program: str, *arguments: str) -> None:
    done = subprocess.run([find_programs() / program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
