"""Runs: the configuration of the first rollout, and the deletion of all of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from synth_pools.backend.api.handlers import rollouts as handlers
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.storage import retention, rollouts, runs
from synth_pools.backend.storage.artifacts import all_names
from synth_pools.backend.storage.database import Snapshot, Transaction
from synth_pools.backend.storage.rollouts import find_rollouts
from tests.backend.artifacts.test_extraction import sha256
from tests.support.backend_server import Server
from tests.support.containers import Seen, http, odd_container

_PARTS = ("events", "rollout_labels", "artifacts")


def named(text: str = "") -> str:
    return f"run/é {text} {uuid.uuid4().hex}"


def path_of(name: str) -> str:
    return f"/v1/runs/{quote(name, safe='')}"


def listed(server: Server, **query: Any) -> list[str]:
    return [item["id"] for item in server.get("/v1/rollouts", params=query)["items"]]


def rows_of(server: Server, seqs: list[int]) -> int:
    """Count the rows of rollouts and of what belongs to them."""
    places = (("rollouts", "seq"), *((table, "rollout_seq") for table in _PARTS))
    sql = "SELECT COUNT(*) FROM {} WHERE {} IN (SELECT value FROM json_each(?))"

    def count(db: Snapshot) -> int:
        numbers = [
            db.execute(sql.format(*place), (json.dumps(seqs),)).fetchone() for place in places
        ]
        return sum(int(number) for [number] in numbers)

    return server.read(count)


def test_a_run_has_the_configuration_of_its_first_rollout(server: Server) -> None:
    pool_id, task_id = server.pool(tasks=[{"task_id": "t"}]), "t"
    own_fields = {"seed": 1, "labels": {"a": "b"}, "priority": 1, "task_id": task_id}
    own_fields |= {"instance_id": "i", "trace_correlation_id": "c", "env": None}
    common = {"policy": {"model": "é\0", "config": {"n": 1}}, "limits": {"timeout_seconds": 60}}
    first, equal = named("first"), named("equal")
    server.run(pool_id, run=first, **own_fields, **common)
    server.run(pool_id, run=first, env={"a": 1})
    expected = {**common, "pool_id": pool_id}
    run = server.get(path_of(first))
    assert run["configuration"] == expected
    text = json_text.canonical(expected)
    assert run["configuration_digest"] == hashlib.sha256(text.encode()).hexdigest()
    # Equal as JSON: other order, other spelling of numbers, the pool in the body.
    respelt = {"limits": {"timeout_seconds": 60.0}, "pool_id": pool_id}
    respelt["policy"] = {"config": {"n": 1.0}, "model": "é\0"}
    server.post("/v1/rollouts", {**respelt, "run": equal, "mode": "sync"}, 200)
    assert server.get(path_of(equal))["configuration_digest"] == run["configuration_digest"]
    # Lists have the digest alone.
    items = {item["name"]: item for item in server.get("/v1/runs")["items"]}
    assert "configuration" not in items[first]
    assert items[first] | {"configuration": expected} == run


def test_the_name_of_a_run_is_no_part_of_its_configuration(server: Server) -> None:
    pool_id, names = server.pool(), [named(str(number)) for number in range(3)]
    for name in names[:2]:
        # As the command line sends it.
        server.run(pool_id, run=name, metadata={"run": name, "a": None})
    server.run(pool_id, run=names[2], metadata={"run": names[2]})
    read = [server.get(path_of(name)) for name in names]
    expected = {"metadata": {"a": None}, "pool_id": pool_id}
    assert [run["configuration"] for run in read] == [expected, expected, {"pool_id": pool_id}]
    assert read[0]["configuration_digest"] == read[1]["configuration_digest"]
    # Other texts stay.
    foreign = named("foreign")
    server.run(pool_id, run=foreign, metadata={"run": names[0]})
    assert server.get(path_of(foreign))["configuration"]["metadata"] == {"run": names[0]}


def test_runs_are_found_by_the_labels_of_their_first_rollouts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_PORTION", 2)
    pool_id, value = server.pool(), f"a=,é\0{uuid.uuid4().hex}"
    names = [named(str(number)) for number in range(7)]
    for number, name in enumerate(names):
        labels = {"model": value, "other": name[:9]} if number % 3 == 0 else {"other": value}
        server.run(pool_id, run=name, labels=labels)
    # Labels of a later rollout of it make no difference.
    server.run(pool_id, run=names[1], labels={"model": value})
    assert server.get(path_of(names[0]))["labels"] == {"model": value, "other": names[0][:9]}
    query = {"label": f"model={value}", "limit": 2}
    page = server.get("/v1/runs", params=query)
    assert [run["name"] for run in page["items"]] == [names[6], names[3]]
    assert page["items"][0]["labels"]["model"] == value
    query["cursor"] = page["next_cursor"]
    page = server.get("/v1/runs", params=query)
    assert [run["name"] for run in page["items"]] == [names[0]]
    assert page["next_cursor"] is None
    # A cursor is of its own list.
    assert server.get("/v1/runs", params={"cursor": query["cursor"]})["items"] == []
    assert server.get("/v1/runs", params={"label": f"model={value}0"})["items"] == []
    server.refused("GET", "/v1/runs", 422, "validation_failed", params={"label": "model"})


def test_figures_of_any_size_have_sums(start: Callable[..., Server]) -> None:
    server, name = start(), named("large")
    rewards = [1.7e308, 1.7e308, -1.7e308, 10**308]

    def answer(request: Seen) -> bytes:
        reward = rewards[json.loads(request.body)["seed"]]
        return http(200, {"status": "completed", "reward": reward, "usage": {"cost_usd": 1.7e308}})

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url)
        for seed, reward in enumerate(rewards):
            rollout = server.rollout(pool_id, 200, seed=seed, run=name, mode="sync")
            assert rollout["score"] == reward
    run = server.get(path_of(name))
    assert run["rewards"] == len(rewards)
    assert (run["mean_reward"] > 0, run["cost_usd"] > 0) == (True, True)
    assert name in [item["name"] for item in server.get("/v1/runs")["items"]]
    assert server.get(f"/v1/pools/{pool_id}/metrics")["usage"]["cost_usd"] > 0


def test_the_first_of_a_batch_begins_each_of_its_runs(server: Server) -> None:
    pool_id, names = server.pool(), [named(str(number)) for number in range(3)]
    requests = [
        {"run": names[number % 3], "params": {"number": number}, "mode": "async"}
        for number in range(6)
    ]
    batch = server.post("/v1/rollouts/batch", {"pool_id": pool_id, "rollouts": requests})
    assert batch["admitted"] == 6
    for number, name in enumerate(names):
        expected = {"params": {"number": number}, "pool_id": pool_id}
        assert server.get(path_of(name))["configuration"] == expected
    observed = [item["name"] for item in server.get("/v1/runs", params={"limit": 3})["items"]]
    assert observed == names[::-1]


def test_a_large_configuration_is_read_whole_and_in_no_list(server: Server) -> None:
    pool_id, name = server.pool(), named()
    params = {"text": "x" * 900_000}
    server.run(pool_id, run=name, params=params)
    assert server.get(path_of(name))["configuration"] == {"params": params, "pool_id": pool_id}
    assert len(server.send("GET", "/v1/runs").content) < 500_000


def test_a_deleted_run_leaves_nothing(server: Server) -> None:
    large = uuid.uuid4().hex.encode() * 1000
    artifact = {"path": "a", "content": large.decode()}
    body = {"status": "completed", "summary": {"reward": 1}, "artifact": [artifact]}
    with odd_container(lambda _: http(200, body)) as container:
        pool_id = server.pool(container_url=container.url)
        remaining, deleted = named("remaining"), named("deleted")
        labels = {"of": deleted[:255]}
        labelled = [server.run(pool_id, run=deleted, labels=labels) for _ in range(3)]
        other_rollout = server.run(pool_id, run=remaining)
        failing = server.run(server.pool(container_url="http://127.0.0.1:1"), run=deleted)
    assert server.read(all_names) >= {sha256(large)}
    assert failing["status"] == "failed"
    ids = [rollout["id"] for rollout in (*labelled, failing)]
    seqs = server.read(lambda db: [row["seq"] for row in find_rollouts(db, ids).values()])
    # Each has three events or more, and three of them a label and a content.
    assert rows_of(server, seqs) > 4 + 4 * 3 + 3 + 3
    last = server.get(path_of(deleted))
    del last["configuration"]
    assert server.call("DELETE", path_of(deleted)) == last
    for method in ("GET", "DELETE"):
        server.refused(method, path_of(deleted), 404, "not_found")
    assert rows_of(server, seqs) == 0
    for rollout_id in ids:
        for suffix in ("", "/events", "/artifacts", "/usage", "/summary", "/trajectory"):
            place = f"/v1/rollouts/{rollout_id}{suffix}"
            server.refused("GET", place, 404, "rollout_not_found")
    place = f"/v1/rollouts/{ids[0]}/replay"
    server.refused("POST", place, 404, "rollout_not_found")
    assert listed(server, run=deleted) == listed(server, label=f"of={deleted[:255]}") == []
    assert server.get(f"/v1/pools/{pool_id}/metrics")["completed_rollouts"] == 1
    assert listed(server, run=remaining) == [other_rollout["id"]]
    assert server.get(path_of(remaining))["rollouts"]["completed"] == 1
    # The content that the other run has, too, is still there.
    content = server.send("GET", f"/v1/rollouts/{other_rollout['id']}/artifacts/a")
    assert content.content == large
    server.call("DELETE", path_of(remaining))
    assert sha256(large) not in server.read(all_names)
    # The name begins another run.
    server.run(server.pool(), run=deleted)
    assert server.get(path_of(deleted))["rollouts"]["completed"] == 1


def test_a_run_that_is_not_over_is_not_deleted(server: Server) -> None:
    pool_id, name = server.pool(concurrency=1), named()
    finished = server.run(pool_id, run=name)
    running, queued = (
        server.rollout(pool_id, run=name, env={"delay": 600})["id"] for _ in range(2)
    )
    server.until(running, "running")
    for rollout_id in (running, queued):
        error = server.refused("DELETE", path_of(name), 409, "run_active")["error"]
        assert not error.get("retryable")
        assert listed(server, run=name) == [queued, running, finished["id"]]
        server.post(f"/v1/rollouts/{rollout_id}/cancel")
    assert server.call("DELETE", path_of(name))["rollouts"]["cancelled"] == 2
    assert listed(server, run=name) == []


def test_keys_of_deleted_rollouts_create_nothing(server: Server) -> None:
    pool_id, names = server.pool(), [named("kept"), named("deleted")]
    path, headers = f"/v1/pools/{pool_id}/rollouts", {"idempotency-key": uuid.uuid4().hex}
    body = {"run": names[1], "mode": "sync"}
    rollout = server.post(path, body, 200, headers=headers)
    place = f"/v1/rollouts/{rollout['id']}/replay"
    batch = {
        "pool_id": pool_id,
        "rollouts": [{"run": name, "mode": "async"} for name in names[::-1]],
    }
    items = server.post("/v1/rollouts/batch", batch, headers=headers)["items"]
    for item in items:
        server.until(item["rollout"]["id"])
    server.call("DELETE", path_of(names[1]))
    for repeated in (path, place):
        sent = body if repeated == path else None
        server.refused("POST", repeated, 404, "rollout_not_found", json=sent, headers=headers)
    # Each item of a batch answers for itself.
    results = server.post("/v1/rollouts/batch", batch, headers=headers)["items"]
    assert [item["status"] for item in results] == [404, 200]
    assert results[0]["error"]["code"] == "rollout_not_found"
    assert results[1]["rollout"]["id"] == items[1]["rollout"]["id"]
    changed = {**batch, "rollouts": batch["rollouts"][:1]}
    server.refused(
        "POST", "/v1/rollouts/batch", 409, "idempotency_conflict", json=changed, headers=headers
    )
    assert listed(server, run=names[1]) == []


def test_many_are_deleted_in_portions_and_by_two_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST_FORGOTTEN", 2)
    pool_id, name = server.pool(), named()
    for _ in range(7):
        server.run(pool_id, run=name)
    with ThreadPoolExecutor(2) as threads:
        statuses = list(
            threads.map(lambda _: server.send("DELETE", path_of(name)).status_code, range(2))
        )
    assert 200 in statuses
    assert set(statuses) <= {200, 404}
    assert listed(server, run=name) == []


def test_a_rollout_admitted_meanwhile_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_read, may_delete, delete = threading.Event(), threading.Event(), retention.forget_run

    async def delete_later(*arguments: Any) -> None:
        has_read.set()
        await asyncio.to_thread(may_delete.wait, 60)
        await delete(*arguments)

    monkeypatch.setattr(handlers.__name__ + ".forget_run", delete_later)
    pool_id, name = server.pool(), named()
    first = server.run(pool_id, run=name)
    with ThreadPoolExecutor(1) as threads:
        deletion = threads.submit(server.call, "DELETE", path_of(name))
        assert has_read.wait(60)
        later = server.run(pool_id, run=name)
        may_delete.set()
        assert deletion.result(60)["rollouts"]["completed"] == 1
    server.get(f"/v1/rollouts/{first['id']}", 404)
    assert listed(server, run=name) == [later["id"]]
    assert server.get(path_of(name))["created_at"] == first["created_at"]


def test_one_that_is_deleted_while_its_container_works_ends_without_a_failure(
    server: Server,
) -> None:
    is_asked, may_answer, name = threading.Event(), threading.Event(), named()

    def answer(request: Seen) -> bytes:
        if "/events" not in request.path:
            is_asked.set()
            assert may_answer.wait(60)
            return http(200, {"status": "completed", "summary": {"reward": 1}, "event_count": 1})
        event = {"sequence": 1, "event": "agent", "data": {}}
        return http(200, {"events": [event], "has_more": False})

    def delete(tx: Transaction) -> None:
        # Another backend has cancelled it, and this one has not heard of that yet.
        end = (clock.now(), json_text.escaped(name))
        tx.execute("UPDATE rollouts SET status = 'cancelled', finished_at = ? WHERE run = ?", end)
        rollouts.delete_of_run(tx, json_text.escaped(name), 2**62, 10)

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url, concurrency=1)
        rollout = server.rollout(pool_id, run=name)
        assert is_asked.wait(60)
        database = server.services.database
        asyncio.run_coroutine_threadsafe(database.write(delete), database._loop).result(60)
        may_answer.set()
        # Its place is free again.
        server.until(server.rollout(pool_id)["id"])
    server.get(f"/v1/rollouts/{rollout['id']}", 404)
