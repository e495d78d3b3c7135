"""Starts with a PostgreSQL database: faults are reported in one line, without a password."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest

from synth_pools.backend.artifacts.redaction import MASK
from synth_pools.backend.errors import LocalBackendError, StoreAwayError, StoreError
from synth_pools.backend.storage.database import SchemaVersionError
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from synth_pools.local import LocalBackend
from tests.postgres.sessions import LIMIT
from tests.support.commands import run_command, started
from tests.support.ports import HeldPort
from tests.support.postgres_server import PASSWORD, PostgresServer, execute

SECRETS = (PASSWORD, PASSWORD.replace("%20", " "))


def refusal(data_dir: Path, store: str) -> str:
    """Return the line with which `serve` refuses a store that is in the environment variable."""
    done = run_command(
        *("serve", "--port", 0, "--data-dir", data_dir),
        environment={**os.environ, "SYNTH_POOLS_STORE": store},
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    [line] = done.stderr.splitlines()
    assert not any(secret in line for secret in SECRETS)
    return line


def test_a_server_that_is_away_is_waited_for(own_server: PostgresServer, tmp_path: Path) -> None:
    own_server.stop()
    store = own_server.url()
    with pytest.raises(StoreAwayError, match="see that the server runs"):
        LocalBackend(tmp_path / "a", store=store).start()
    command = ("serve", "--port", 0, "--data-dir", tmp_path / "b")
    environment = {**os.environ, "SYNTH_POOLS_STORE": store}
    with started(*command, environment=environment) as process:
        _check_waiting(process, own_server.port)
        own_server.start()
        assert "The local backend answers at" in _line(process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("table", ["backends", "pools"])
def test_a_session_that_is_lost_during_a_start_is_an_outage(
    store: str, tmp_path: Path, table: str, failures: list[str]
) -> None:
    with LocalBackend(tmp_path, store=store):
        pass
    end = """
CREATE FUNCTION end_session() RETURNS TRIGGER LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
CREATE TRIGGER ended BEFORE INSERT OR UPDATE ON synth_pools.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION end_session()
"""
    execute(store, end.format(table=table))
    with pytest.raises(StoreAwayError, match="connection"):
        LocalBackend(tmp_path, store=store).start()
    execute(store, f"DROP TRIGGER ended ON synth_pools.{table}")
    with LocalBackend(tmp_path, store=store) as backend, backend.client() as client:
        assert client.list_pools()["items"] == []
    failures.clear()


def test_a_start_that_waits_can_be_stopped(server: PostgresServer, tmp_path: Path) -> None:
    with HeldPort() as nobody:
        store = server.url().replace(str(server.port), str(nobody.number))
        environment = {**os.environ, "SYNTH_POOLS_STORE": store}
        command = ("serve", "--port", 0, "--data-dir", tmp_path)
        with started(*command, environment=environment) as process:
            _check_waiting(process, nobody.number)
            process.send_signal(signal.SIGTERM)
            rest = process.communicate(timeout=LIMIT)
    # It says so once.
    assert (process.returncode, rest) == (0, ("", ""))


def _check_waiting(process: subprocess.Popen[str], port: int) -> None:
    line = _line(process.stderr)
    assert "waiting for the database: cannot use the database at" in line
    assert f"postgresql://pools@127.0.0.1:{port}/postgres" in line
    assert "see that the server runs" in line
    assert not any(secret in line for secret in SECRETS)


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def test_what_a_server_refuses_is_said_in_one_line(server: PostgresServer, tmp_path: Path) -> None:
    right = urlsplit(server.url("postgres"))
    assert "does not exist" in refusal(tmp_path / "b", right._replace(path="/nowhere").geturl())
    wrong = right._replace(netloc=right.netloc.replace(PASSWORD, f"{PASSWORD}x"))
    assert "authentication failed" in refusal(tmp_path / "c", wrong.geturl())
    assert "PostgreSQL" in refusal(tmp_path / "d", f"mysql://root:{PASSWORD}@127.0.0.1/x")


def test_no_password_in_any_text(store: str, tmp_path: Path) -> None:
    with LocalBackend(tmp_path, store=store) as backend:
        settings = backend._running().settings
        for text in (repr(settings), str(settings.store), repr(settings.store), repr(backend)):
            assert not any(secret in text for secret in SECRETS)
        assert settings.store is not None
        assert set(settings.store.secrets) == set(SECRETS)
        assert settings.store.masked(f"a {SECRETS[1]} b {SECRETS[0]}") == "a *** b ***"


def test_no_password_in_a_support_bundle(store: str, tmp_path: Path) -> None:
    with LocalBackend(tmp_path, store=store) as backend, backend.client() as client:
        pool_id = client.create_pool({"name": "p", "target": "arbitrary"})["id"]
        text_with_secrets = " and ".join(SECRETS)
        rollout_id = client.create_rollout(pool_id, {"params": {"said": text_with_secrets}})["id"]
        client.wait_rollout(pool_id, rollout_id)
        content = client.get_global_rollout_support_bundle(rollout_id)
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        texts = [bundle.read(name).decode() for name in bundle.namelist()]
    assert any(f"{MASK} and {MASK}" in text for text in texts)
    assert not any(secret in text for text in texts for secret in SECRETS)


def test_a_newer_schema_and_somebody_elses(store: str, tmp_path: Path) -> None:
    with LocalBackend(tmp_path / "a", store=store):
        pass
    execute(store, "UPDATE synth_pools.meta SET value = '999' WHERE key = 'schema_version'")
    with pytest.raises(SchemaVersionError, match="version 999"):
        LocalBackend(tmp_path / "a", store=store).start()
    execute(store, "DROP SCHEMA synth_pools CASCADE; CREATE SCHEMA synth_pools")
    execute(store, "CREATE TABLE synth_pools.theirs (id INT)")
    with pytest.raises(SchemaVersionError, match="not one of this backend"):
        LocalBackend(tmp_path / "a", store=store).start()
    # Nothing of it was touched, since a database may belong to somebody else.
    execute(store, "DROP SCHEMA synth_pools CASCADE; CREATE TABLE theirs (id INT)")
    with LocalBackend(tmp_path / "b", store=store) as backend, backend.client() as client:
        assert client.list_pools() is not None


async def test_a_directory_with_a_database_of_its_own(store: str, tmp_path: Path) -> None:
    await SQLiteDatabase(tmp_path).close()
    with pytest.raises(LocalBackendError, match="holds a SQLite database"):
        LocalBackend(tmp_path, store=store).start()


def test_a_directory_of_another_database(
    server: PostgresServer, store: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with LocalBackend(tmp_path, store=store):
            pass
        (tmp_path / "somebody's").touch()
    with pytest.raises(LocalBackendError, match="belongs to another PostgreSQL database"):
        LocalBackend(tmp_path, store=server.new_database("another")).start()
    with pytest.raises(LocalBackendError, match="belongs to a PostgreSQL database"):
        LocalBackend(tmp_path).start()


def test_without_the_extra(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "backend.storage.postgres" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "greenlet", None)
    with pytest.raises(StoreError, match=r"needs greenlet: pip install 'synth-pools\["):
        LocalBackend(tmp_path, store=store).start()
