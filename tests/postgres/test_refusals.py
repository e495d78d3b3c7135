"""Errors that a statement has not caused: they are waited out, and nothing is lost by them."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from synth_pools.backend.rollouts.recovery import resume_unknown
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.database import StorageError
from synth_pools.backend.storage.postgres import sessions as sessions_module
from synth_pools.backend.storage.postgres.connection import StatementError
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.backend.storage.postgres.readers import Readers
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from tests.postgres.members import make_tables
from tests.postgres.sessions import LIMIT, Onlooker
from tests.postgres.test_outages import keys, put
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import execute, fetch

REFUSE = """
CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refused BEFORE INSERT ON synth_pools.meta FOR EACH ROW
    WHEN (NEW.key = 'refused') EXECUTE FUNCTION refuse()
"""


class Role(NamedTuple):
    """Role that owns nothing yet, and its address of the database."""

    name: str
    url: str


@pytest.fixture
def role(store: str) -> Iterator[Role]:
    name, database = f"r_{uuid.uuid4().hex[:12]}", store.rpartition("/")[2]
    execute(store, f"CREATE ROLE {name} LOGIN PASSWORD 'word'")
    execute(store, f"GRANT CREATE ON DATABASE {database} TO {name}")
    yield Role(name, f"postgresql://{name}:word@{store.partition('@')[2]}")
    execute(store, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


class Gate:
    """Container whose rollouts end on request."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def answer(self, request: Seen) -> bytes:
        if request.method != "POST" or request.path.endswith("/terminate"):
            return http(404, {"detail": "unknown"})
        self.opened.wait(LIMIT)
        return http(200, {"status": "completed", "reward": 1})


def health(server: Server) -> int:
    return server.send("GET", "/health").status_code


def test_a_role_that_may_not_log_in_for_a_while(
    store: str, role: Role, tmp_path: Path, failures: list[str]
) -> None:
    gate = Gate()
    with (
        odd_container(gate.answer) as container,
        serve(tmp_path, store=StoreURL("store", role.url)) as server,
    ):
        pool_id = server.pool(container_url=container.url, concurrency=2)
        ids = [server.rollout(pool_id)["id"] for _ in range(6)]
        server.until(ids[1], "running")
        assert health(server) == 200
        execute(store, f"ALTER ROLE {role.name} NOLOGIN")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
        execute(store, f"{end} '{role.name}'")
        gate.opened.set()
        # The ends of rollouts are refused, and so are requests.
        eventually(lambda: failures)
        for method, body in (("POST", {}), ("GET", None)):
            refused = server.send(method, f"/v1/pools/{pool_id}/rollouts", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503,
                "storage_unavailable",
            )
        assert health(server) == 503
        execute(store, f"ALTER ROLE {role.name} LOGIN")
        for rollout_id in ids:
            assert server.until(rollout_id)["status"] == "completed"
        assert server.run(pool_id)["status"] == "completed"
        eventually(lambda: health(server) == 200)
    assert all("the database cannot be used" in line for line in failures)
    failures.clear()


@pytest.mark.parametrize(
    "code", ["0A000", "28000", "40001", "40P01", "42501", "42P01", "55P03", "53400", "P0001"]
)
async def test_whatever_the_server_refuses_is_stored_later(
    database: PostgresDatabase, onlooker: Onlooker, failures: list[str], code: str
) -> None:
    await onlooker.run(REFUSE.format(code=code))
    patient = asyncio.create_task(database.write_until_stored(put("refused")))
    # Writes that share its transaction are stored.
    others = [database.write(put(key)) for key in "ab"]
    refused, *stored = await asyncio.gather(
        database.write(put("refused")), *others, return_exceptions=True
    )
    assert isinstance(refused, StorageError)
    assert "not now" in str(refused)
    assert stored == ([None, None] if code != "0A000" else stored)
    assert not patient.done()
    await onlooker.run("DROP TRIGGER refused ON synth_pools.meta")
    async with asyncio.timeout(LIMIT):
        await patient
    assert "refused" in await keys(database)
    failures.clear()


async def test_what_takes_too_long_is_not_done_twice(
    store: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    """Another table lock than one of ours, such as that of a dump."""
    calls: list[str] = []

    def read(db: Any) -> None:
        calls.append("read")
        db.execute("SELECT * FROM public.gate").fetchall()

    await onlooker.run("CREATE TABLE gate (id INT)")
    # Only the locked table takes too long, and not the start.
    await make_tables(store)
    monkeypatch.setattr(sessions_module, "_STATEMENT_SECONDS", 2.0)
    database = await PostgresDatabase.open(StoreURL("store", store))
    await onlooker.run("BEGIN; LOCK TABLE gate")
    for use in (database.write, database.read):
        with pytest.raises(StorageError, match="did not answer in time"):
            await use(read)
    await onlooker.run("COMMIT")
    assert calls == ["read", "read"]
    await database.close()
    failures.clear()


async def test_a_check_finds_out_whether_it_is_over(
    database: PostgresDatabase, onlooker: Onlooker, failures: list[str]
) -> None:
    await onlooker.run("ALTER TABLE synth_pools.backends RENAME TO away")
    with pytest.raises(StorageError, match="away|does not exist"):
        await database.write(put("refused"))
    with pytest.raises(StorageError, match="does not exist"):
        await database.check()
    await onlooker.run("ALTER TABLE synth_pools.away RENAME TO backends")
    # Without another request that writes.
    await database.check()
    failures.clear()


@pytest.mark.parametrize("code", ["23505", "22P02", "42601"])
async def test_our_own_mistakes_are_not_waited_out(
    database: PostgresDatabase, onlooker: Onlooker, code: str
) -> None:
    await onlooker.run(REFUSE.format(code=code))
    async with asyncio.timeout(LIMIT):
        with pytest.raises(StatementError, match="not now"):
            await database.write_until_stored(put("refused"))


def test_a_column_that_is_added_beside_a_running_backend(store: str, tmp_path: Path) -> None:
    def use(server: Server, pool_id: str) -> None:
        key = {"idempotency-key": uuid.uuid4().hex}
        path = f"/v1/pools/{pool_id}"
        create = partial(server.post, f"{path}/rollouts", {"mode": "sync"}, 200, headers=key)
        rollout_id = create()["id"]
        assert create()["id"] == rollout_id
        server.run(pool_id, task_id="t")
        for suffix in ("", "/events", "/artifacts", "/usage", "/summary"):
            assert server.send("GET", f"/v1/rollouts/{rollout_id}{suffix}").status_code == 200
        for listed in ("", "/rollouts", "/tasks", "/metrics"):
            server.get(path + listed)
        server.get(f"{path}/events?format=json&include=rollout")
        server.call("PATCH", path, json={"name": "changed"})

    with serve(tmp_path, store=StoreURL("store", store)) as server:
        pool_id = server.pool(tasks=[{"task_id": "t"}])
        use(server, pool_id)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'synth_pools'"
        for (table,) in fetch(store, tables):
            execute(store, f"ALTER TABLE synth_pools.{table} ADD COLUMN later TEXT")
        use(server, pool_id)


async def test_statements_are_prepared_again_where_their_plans_are_invalid(
    database: PostgresDatabase, onlooker: Onlooker
) -> None:
    def value(tx: Any) -> Any:
        return tx.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0]

    uses = (database.write, database.read, database.read_once)
    before = [await use(value) for use in uses]
    await onlooker.run("ALTER TABLE synth_pools.meta ALTER COLUMN value TYPE VARCHAR")
    assert [await use(value) for use in uses] == before


@pytest.mark.parametrize(
    "name",
    [
        "lock_timeout",
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
    ],
)
async def test_limits_of_a_role_are_not_those_of_a_session(
    store: str, role: Role, onlooker: Onlooker, name: str
) -> None:
    if not await onlooker.rows(f"SELECT 1 FROM pg_settings WHERE name = '{name}'"):
        pytest.skip(f"this server has no {name}")
    execute(store, f"ALTER ROLE {role.name} SET {name} = '9s'")
    raw = await StoreSessions(StoreURL("store", role.url)).open()
    assert await raw.fetchval(f"SHOW {name}") == "0"
    await end_session(raw)


async def test_reads_wait_for_a_connection_where_a_role_may_have_no_more(
    store: str, role: Role
) -> None:
    execute(store, f"ALTER ROLE {role.name} CONNECTION LIMIT 1")
    readers = Readers(StoreSessions(StoreURL("store", role.url)))

    def read(db: Any) -> Any:
        return db.execute("SELECT pg_sleep(0.01), pg_backend_pid()").fetchone()[1]

    pids = await asyncio.gather(*(readers.read(read, in_snapshot=True) for _ in range(24)))
    assert len(set(pids)) == 1
    await readers.close()
    # Without a connection to wait for, it is an error at once.
    execute(store, f"ALTER ROLE {role.name} CONNECTION LIMIT 0")
    with pytest.raises(StatementError, match="too many connections"):
        await Readers(StoreSessions(StoreURL("store", role.url))).read(read, in_snapshot=True)


def test_large_writes_need_no_temporary_file(store: str, role: Role, tmp_path: Path) -> None:
    """The limit of a role for such files may be small."""
    result = {"status": "completed", "text": "x" * 5_000_000}
    execute(store, f"ALTER ROLE {role.name} SET temp_file_limit = '64kB'")
    with (
        odd_container(lambda _: http(200, result)) as container,
        serve(tmp_path, store=StoreURL("store", role.url)) as server,
    ):
        pool_id = server.pool(container_url=container.url)
        request = {"pool_id": pool_id, "params": {"text": "x" * 60_000}}
        created = server.post("/v1/rollouts/batch", {"requests": [request] * 100})["items"]
        assert {item["status"] for item in created} == {202}
        ids = [item["rollout"]["id"] for item in created]
        assert {server.until(rollout_id)["status"] for rollout_id in ids[:5]} == {"completed"}


async def test_a_schema_that_an_administrator_has_made(
    store: str, role: Role, onlooker: Onlooker
) -> None:
    database = store.rpartition("/")[2]
    await onlooker.run(
        f"REVOKE CREATE ON DATABASE {database} FROM {role.name};"
        f"CREATE SCHEMA synth_pools AUTHORIZATION {role.name}"
    )
    opened = await PostgresDatabase.open(StoreURL("store", role.url))
    await opened.write(put("stored"))
    assert "stored" in await keys(opened)
    await opened.close()


def test_what_nobody_works_on_goes_on(store: str, tmp_path: Path, failures: list[str]) -> None:
    """Rollouts whose row has the number of a backend that does not know them."""
    with serve(tmp_path, store=StoreURL("store", store)) as server:
        pool_id = server.pool(concurrency=3)
        database, scheduler = server.services.database, server.services.scheduler
        columns = (
            "pool_id, mode, request, created_at, updated_at, attempt, attempt_started_at,"
            " last_sequence"
        )
        existing = server.run(pool_id)["id"]
        ids = [f"rollout_{number}" for number in range(2)]
        for rollout_id, status in zip(ids, ("running", "queued"), strict=True):
            execute(
                store,
                f"INSERT INTO synth_pools.rollouts (id, status, owner, {columns}) SELECT"
                f" '{rollout_id}', '{status}', {database.owner}, {columns}"
                f" FROM synth_pools.rollouts WHERE id = '{existing}'",
            )
        sweep = database.write(partial(resume_unknown, scheduler))
        asyncio.run_coroutine_threadsafe(sweep, database._loop).result(LIMIT)
        assert [server.until(rollout_id)["status"] for rollout_id in ids] == ["failed", "completed"]
        # They have given their places back.
        assert server.get(f"/v1/pools/{pool_id}/metrics")["active_rollouts"] == 0
    assert failures == ["2 rollouts were running, and nobody worked on them"]
    failures.clear()
