"""`Idempotency-Key`: one rollout for one key, whatever happens in between."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.domain import clock
from synth_pools.backend.rollouts.admission.idempotency import forget_old_keys
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.retention import RetentionClock
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from tests.support.backend_server import KEY, Server, eventually, serve


def create(server: Server, path: str, body: Any, key: str) -> httpx.Response:
    return server.send("POST", path, json=body, headers={"idempotency-key": key})


def test_the_same_key_and_body_make_one_rollout(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    for path, body in (
        (f"/v1/pools/{pool_id}/rollouts", {"seed": 1, "metadata": {"a": 1, "b": [1, None]}}),
        ("/v1/rollouts", {"seed": 1, "metadata": {"a": 1, "b": [1, None]}, "pool_id": pool_id}),
    ):
        first = create(server, path, body, key)
        final = server.until(first.json()["id"])
        # Equal as JSON, though written otherwise.
        respelt = {name: body[name] for name in reversed(body)} | {
            "metadata": {"b": [1.0, None], "a": 1.0},
            "seed": 1.0,
        }
        second = create(server, path, respelt, key)
        assert (first.status_code, second.status_code) == (202, 200)
        assert second.json() == final
        changed = {**body, "seed": 2}
        conflict = create(server, path, changed, key)
        assert conflict.status_code == 409
        assert conflict.json()["error"]["code"] == "idempotency_conflict"
        assert conflict.json()["error"]["rollout_id"] == final["id"]
    assert len(server.get(f"/v1/pools/{pool_id}/rollouts")["items"]) == 2


def test_a_key_holds_for_a_large_body_too(server: Server) -> None:
    path, key = f"/v1/pools/{server.pool()}/rollouts", uuid.uuid4().hex
    body = {"metadata": {"text": "x" * 100_000}}
    first = create(server, path, body, key)
    assert create(server, path, body, key).json()["id"] == first.json()["id"]
    body["metadata"]["text"] += "!"
    assert create(server, path, body, key).status_code == 409


def test_true_is_not_one(server: Server) -> None:
    path, key = f"/v1/pools/{server.pool()}/rollouts", uuid.uuid4().hex
    assert create(server, path, {"metadata": {"a": 1}}, key).status_code == 202
    assert create(server, path, {"metadata": {"a": True}}, key).status_code == 409


def test_a_key_belongs_to_its_operation_and_pool(server: Server) -> None:
    first, second, key = server.pool(), server.pool(), uuid.uuid4().hex
    ids = {
        create(server, f"/v1/pools/{first}/rollouts", {}, key).json()["id"],
        create(server, f"/v1/pools/{second}/rollouts", {"seed": 1}, key).json()["id"],
        create(server, "/v1/rollouts", {"pool_id": first}, key).json()["id"],
    }
    assert len(ids) == 3


def test_sync_repeats_wait_and_answer_200(server: Server) -> None:
    path, key = f"/v1/pools/{server.pool()}/rollouts", uuid.uuid4().hex
    body = {"mode": "sync", "env": {"delay": 0.3}}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: create(server, path, body, key), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["status"] == "completed"


def test_a_repetition_says_200_once_the_rollout_has_ended(tmp_path: Path) -> None:
    body, key = {"mode": "sync", "env": {"delay": 30}}, uuid.uuid4().hex
    with serve(tmp_path, sync_wait_seconds=0.1) as backend:
        path = f"/v1/pools/{backend.pool()}/rollouts"
        for states in (("queued", "running"), ("running",)):
            waited = create(backend, path, body, key)
            assert waited.status_code == 202
            assert waited.json()["status"] in states
            # A busy machine may start it later than that.
            backend.until(waited.json()["id"], "running")
        backend.post(f"/v1/rollouts/{waited.json()['id']}/cancel", {})
        second = create(backend, path, body, key)
        assert (second.status_code, second.json()["status"]) == (200, "cancelled")
    with serve(tmp_path) as backend:
        third = create(backend, path, body, key)
        assert (third.status_code, third.json()) == (200, second.json())


def test_a_repeat_after_a_restart_waits_where_the_first_was_not_answered(tmp_path: Path) -> None:
    body, key = {"mode": "sync", "env": {"delay": 30}}, uuid.uuid4().hex
    with ThreadPoolExecutor(1) as threads:
        with serve(tmp_path) as backend:
            path = f"/v1/pools/{backend.pool()}/rollouts"
            # On a connection of its own, which is still open when the backend ends.
            headers = {"idempotency-key": key, "authorization": f"Bearer {KEY}"}
            first = threads.submit(
                httpx.post, f"{backend.url}{path}", json=body, headers=headers, trust_env=False
            )
            created = eventually(lambda: backend.get("/v1/rollouts?state=running")["items"])[0]
        assert first.result(60).status_code == 503
    with serve(tmp_path) as backend:
        again = create(backend, path, body, key)
        assert (again.status_code, again.json()["id"]) == (200, created["id"])
        assert again.json()["error"]["code"] == "backend_restarted"


def test_of_many_at_once_one_is_admitted(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    path = f"/v1/pools/{pool_id}/rollouts"
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: create(server, path, {}, key), range(36)))
    statuses = {"completed": 200, "queued": 202, "running": 202}
    assert all(answer.status_code == statuses[answer.json()["status"]] for answer in answers)
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(server.get(path)["items"]) == 1


def test_a_refused_request_reserves_no_key(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    path = f"/v1/pools/{pool_id}/rollouts"
    assert create(server, path, {"task_id": "later"}, key).status_code == 404
    server.post(f"/v1/pools/{pool_id}/tasks", {"task_id": "later"}, 201)
    assert create(server, path, {"task_id": "later"}, key).status_code == 202


def test_a_former_rollout_is_found_in_an_archived_pool_too(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    path = f"/v1/pools/{pool_id}/rollouts"
    first = create(server, path, {}, key)
    server.call("DELETE", f"/v1/pools/{pool_id}")
    assert create(server, path, {}, key).json()["id"] == first.json()["id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä"])
def test_a_key_must_be_visible_ascii(server: Server, key: str) -> None:
    path = f"/v1/pools/{server.pool()}/rollouts"
    answer = server.http.post(path, json={}, headers=[(b"idempotency-key", key.encode("latin-1"))])
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


@pytest.mark.sqlite
def test_a_key_lasts_for_a_day_over_restarts(tmp_path: Path) -> None:
    key = uuid.uuid4().hex
    with serve(tmp_path) as backend:
        path = f"/v1/pools/{backend.pool()}/rollouts"
        first = create(backend, path, {}, key).json()["id"]
    for seconds, is_kept in ((86_390, True), (20, False)):
        age_keys(tmp_path / FILE_NAME, seconds)
        with serve(tmp_path) as backend:
            assert (create(backend, path, {}, key).json()["id"] == first) == is_kept


@pytest.mark.sqlite
def test_an_old_key_counts_no_more_before_it_is_removed(tmp_path: Path) -> None:
    body, other_body, key = {"mode": "sync"}, {"mode": "sync", "seed": 2}, uuid.uuid4().hex
    with serve(tmp_path) as backend:
        path = f"/v1/pools/{backend.pool()}/rollouts"
        first = create(backend, path, body, key).json()["id"]
        age_keys(tmp_path / FILE_NAME, 86_410)
        second = create(backend, path, other_body, key)
        assert (second.status_code, second.json()["id"] == first) == (200, False)
        assert create(backend, path, other_body, key).json() == second.json()
        assert create(backend, path, body, key).status_code == 409


async def test_old_keys_are_removed_some_at_a_time(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path)
    old, young = clock.unix_time() - 86_410, clock.unix_time()

    def fill(tx: Transaction) -> None:
        tx.executemany(
            "INSERT INTO idempotency (scope, key, body_sha256, rollout_id, created)"
            " VALUES ('s', ?, '', 'r', ?)",
            [(str(number), young if number < 3 else old) for number in range(1003)],
        )

    def remaining() -> list[str]:
        with database.reading() as db:
            return [row[0] for row in db.execute("SELECT key FROM idempotency ORDER BY key")]

    await database.write(fill)
    clearing = asyncio.create_task(forget_old_keys(database, RetentionClock(database.unix_time())))
    async with asyncio.timeout(60):
        while len(remaining()) > 3:  # noqa: ASYNC110 - only the file tells
            await asyncio.sleep(0.01)
    clearing.cancel()
    assert remaining() == ["0", "1", "2"]
    await database.close()


def age_keys(file: Path, seconds: int) -> None:
    with closing(sqlite3.connect(file, timeout=10)) as database, database:
        database.execute("UPDATE idempotency SET created = created - ?", (seconds,))
