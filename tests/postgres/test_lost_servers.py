"""A server whose disk is full, and one whose standby takes its place."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.backend.settings import StoreURL
from tests.postgres.sessions import LIMIT
from tests.support.backend_server import eventually, serve
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import PostgresServer, execute, fetch, running_server

_SMALL_DISK = 32 * 1024 * 1024


def test_a_standby_takes_the_place_of_its_server(
    own_server: PostgresServer, tmp_path: Path, failures: list[str]
) -> None:
    gate = threading.Event()

    def answer(request: Seen) -> bytes:
        if request.method == "GET":
            # The backend asks for the events of a rollout that takes longer than a moment.
            return http(404, {})
        if request.json["seed"] == 1:
            gate.wait(LIMIT)
        return http(200, {"status": "completed", "reward": request.json["seed"]})

    own_server.new_database("pools")
    with running_server(primary=own_server) as standby:
        # Committed data is on both servers.
        execute(own_server.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'")
        execute(own_server.url(), "SELECT pg_reload_conf()")
        synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: fetch(own_server.url(), synchronous))
        # The standby comes first; the backend uses the writable one.
        both = f"{standby.url().rpartition('/')[0]},127.0.0.1:{own_server.port}/pools"
        with (
            serve(tmp_path, store=StoreURL("store", both)) as server,
            odd_container(answer) as container,
        ):
            pool_id = server.pool(container_url=container.url)
            running = server.rollout(pool_id, seed=1)["id"]
            server.until(running, "running")
            final = [server.run(pool_id, seed=seed) for seed in range(2, 12)]
            own_server.stop(signal.SIGQUIT)
            response = server.send("POST", f"/v1/pools/{pool_id}/rollouts", json={"seed": 2})
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
            execute(standby.url(), "SELECT pg_promote()")
            gate.set()
            assert server.until(running)["score"] == 1
            stored = server.get("/v1/rollouts")["items"]
            assert sorted(stored, key=lambda rollout: rollout["id"]) == sorted(
                [*final, server.get(f"/v1/rollouts/{running}")], key=lambda rollout: rollout["id"]
            )
            assert server.run(pool_id, seed=3)["score"] == 3
            assert server.types(running)[-1] == "rollout.completed"
    assert failures
    assert all(line.startswith("the database cannot be used: ") for line in failures)
    failures.clear()


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of a few MiB that the user of the server can access."""
    folder = Path(tempfile.mkdtemp(prefix="synth-pools-disk-"))
    folder.chmod(0o755)
    size = f"size={_SMALL_DISK},mode=0755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def test_a_full_disk_refuses_what_it_has_no_room_for_and_loses_nothing(
    own_server: PostgresServer, tmp_path: Path, failures: list[str]
) -> None:
    with small_disk() as disk:
        place = disk / "place"
        place.mkdir()
        own_server.give(place)
        # The write-ahead log is elsewhere, as administrators set it up.
        execute(own_server.url(), f"CREATE TABLESPACE small LOCATION '{place}'")
        url = own_server.new_database("pools", "small")
        with serve(tmp_path, store=StoreURL("store", url)) as server:
            pool_id = server.pool(concurrency=4)
            path = f"/v1/pools/{pool_id}/rollouts"
            admitted = [server.run(pool_id)["id"]]
            ballast = disk / "ballast"
            _fill(ballast)
            body = {"env": {"reward": 0.5}, "params": {"pad": "x" * 3000}}
            refused = 0
            while not refused:
                response = server.send("POST", path, json=body)
                if response.status_code == 202:
                    admitted.append(response.json()["id"])
                    assert len(admitted) < 20_000
                    continue
                assert response.status_code == 503, response.text
                assert response.json()["error"]["code"] == "storage_unavailable"
                assert int(response.headers["retry-after"]) > 0
                refused += 1
            # Stored data can be read.
            assert server.get(f"/v1/rollouts/{admitted[0]}")["status"] == "completed"
            assert fetch(url, "SELECT COUNT(*) FROM synth_pools.rollouts") == [(len(admitted),)]
            ballast.unlink()
            for rollout_id in admitted:
                assert server.until(rollout_id)["status"] == "completed"
            assert server.run(pool_id)["status"] == "completed"
            assert fetch(url, "SELECT COUNT(*) FROM synth_pools.rollouts") == [(len(admitted) + 1,)]
    assert failures
    assert all("No space left on device" in line for line in failures)
    failures.clear()


def _fill(ballast: Path) -> None:
    """Fill the disk."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
