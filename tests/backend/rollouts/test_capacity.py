"""Full means no: each limit, what it answers, and that what was refused left nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.limits import Limits
from synth_pools.backend.rollouts.completion_rates import CompletionRate
from synth_pools.backend.storage.rollout_changes import NewRollout, insert_rollouts
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from tests.support.backend_server import KEY, Server, eventually, serve
from tests.support.containers import holding_containers, http, odd_container

SLOW = {"env": {"delay": 600, "events": 0}}
JSON = {"content-type": "application/json"}

_ROOT = Path(__file__).resolve().parents[3]


def full(server: Server, path: str, code: str) -> dict[str, Any]:
    """The refusal of one rollout more, every part of which is checked."""
    answer = server.send("POST", path, json={})
    assert answer.status_code == 429, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["retryable"] is True
    seconds = int(answer.headers["retry-after"])
    assert error["retry_after_ms"] == seconds * 1000
    assert seconds >= 1
    return error


def test_the_queue_of_a_pool_is_limited_and_has_room_again(start: Callable[..., Server]) -> None:
    backend = start(max_queued_per_pool=2)
    pool_id, other_pool = backend.pool(concurrency=1), backend.pool(concurrency=1)
    path = f"/v1/pools/{pool_id}/rollouts"
    running = backend.rollout(pool_id, **SLOW)["id"]
    backend.until(running, "running")
    waiting = [backend.rollout(pool_id)["id"] for _ in range(2)]
    assert full(backend, path, "pool_queue_full")["details"] == {"limit": 2}
    backend.refused("POST", "/v1/rollouts", 429, "pool_queue_full", json={"pool_id": pool_id})
    # Others are not held up, and nothing was made.
    assert backend.run(other_pool)["status"] == "completed"
    assert len(backend.get(path)["items"]) == 3
    # A repetition makes nothing, and is no reason to say no.
    backend.post(f"/v1/rollouts/{waiting[0]}/cancel")
    stored = backend.post(path, {}, 202, headers={"idempotency-key": "k"})
    again = backend.post(path, {}, 202, headers={"idempotency-key": "k"})
    assert again["id"] == stored["id"]
    full(backend, path, "pool_queue_full")
    backend.post(f"/v1/rollouts/{running}/cancel")
    for rollout_id in (waiting[1], stored["id"]):
        assert backend.until(rollout_id)["status"] == "completed"


def test_a_free_place_is_no_place_in_the_queue(start: Callable[..., Server]) -> None:
    backend = start(max_queued_per_pool=1)
    pool_id = backend.pool(concurrency=3)
    for _ in range(4):
        backend.rollout(pool_id, **SLOW)
    full(backend, f"/v1/pools/{pool_id}/rollouts", "pool_queue_full")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_more_run_as_soon_as_a_pool_may_run_more(server: Server, method: str) -> None:
    with holding_containers(1) as (container,):
        fields = {"name": "p", "container_url": container.url}
        pool_id = server.pool(**fields, concurrency=1)
        ids = [server.rollout(pool_id)["id"] for _ in range(3)]
        container.wait_for(1)
        server.call(method, f"/v1/pools/{pool_id}", json={**fields, "concurrency": 3})
        container.wait_for(3)
        container.release(3)
        assert {server.until(rollout_id)["status"] for rollout_id in ids} == {"completed"}


def test_the_queue_of_all_is_limited(start: Callable[..., Server]) -> None:
    backend = start(max_queued=3)
    pools = [backend.pool(concurrency=1) for _ in range(2)]
    for pool_id in pools:
        backend.until(backend.rollout(pool_id, **SLOW)["id"], "running")
    for number in range(3):
        backend.rollout(pools[number % 2])
    for path in (f"/v1/pools/{pools[0]}/rollouts", f"/v1/pools/{pools[1]}/rollouts"):
        assert full(backend, path, "queue_full")["details"] == {"limit": 3}


def test_a_free_place_is_no_place_in_the_queue_of_all_either(start: Callable[..., Server]) -> None:
    backend = start(max_queued=1)
    busy = backend.pool(concurrency=1)
    backend.until(backend.rollout(busy, **SLOW)["id"], "running")
    backend.rollout(busy)
    path = f"/v1/pools/{busy}/rollouts"
    full(backend, path, "queue_full")
    free = backend.pool(concurrency=3)
    # However it is asked for, and whether it is started at once or queued for a moment.
    created = [backend.rollout(free, **SLOW), backend.post("/v1/rollouts", SLOW, 202)]
    batch = backend.post("/v1/rollouts/batch", {"pool_id": free, "requests": [SLOW, SLOW]})
    assert [item["status"] for item in batch["items"]] == [202, 429]
    for rollout in (*created, batch["items"][0]["rollout"]):
        assert rollout["pool_id"] == free
        backend.until(rollout["id"], "running")
    for full_path in (path, f"/v1/pools/{free}/rollouts", "/v1/rollouts"):
        full(backend, full_path, "queue_full")


def test_no_two_are_given_the_last_place(start: Callable[..., Server]) -> None:
    backend = start(max_queued_per_pool=5)
    pool_id = backend.pool(concurrency=1)
    backend.until(backend.rollout(pool_id, **SLOW)["id"], "running")

    async def many() -> list[int]:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=backend.url, headers=headers, timeout=60) as client:
            path = f"/v1/pools/{pool_id}/rollouts"
            answers = await asyncio.gather(*(client.post(path, json={}) for _ in range(40)))
        return [answer.status_code for answer in answers]

    statuses = asyncio.run(many())
    assert sorted(statuses) == [202] * 5 + [429] * 35
    assert backend.get("/v1/queue/status")["queued"] == 5


def test_when_to_ask_again_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("synth_pools.backend.domain.clock.monotonic", lambda: clock[0])
    rate = CompletionRate()
    assert rate.seconds_each() == 10
    for _ in range(50):
        rate.count()
        clock[0] += 3.0
    assert rate.seconds_each() == 3
    clock[0] += 150
    assert rate.seconds_each() == 6
    clock[0] += 700
    assert rate.seconds_each() == 10


def test_retry_after_follows_the_rate_of_the_pool(start: Callable[..., Server]) -> None:
    backend = start(max_queued_per_pool=1)
    pool_id = backend.pool(concurrency=1)
    path = f"/v1/pools/{pool_id}/rollouts"
    backend.until(backend.rollout(pool_id, **SLOW)["id"], "running")
    backend.rollout(pool_id)
    # None has ended yet.
    assert full(backend, path, "pool_queue_full")["retry_after_ms"] == 10_000
    other_pool = backend.pool()
    for _ in range(20):
        backend.run(other_pool)
    assert full(backend, path, "pool_queue_full")["retry_after_ms"] <= 3000


def test_a_full_queue_at_the_defaults_leaves_room_for_other_pools(
    start: Callable[..., Server],
) -> None:
    defaults, scale = Limits(), 2_000
    backend = start(
        max_queued=defaults.max_queued // scale,
        max_queued_per_pool=defaults.max_queued_per_pool // scale,
    )
    crowded, other_pool = backend.pool(concurrency=1), backend.pool(concurrency=1)
    for pool_id in (crowded, other_pool):
        backend.until(backend.rollout(pool_id, **SLOW)["id"], "running")
    for _ in range(defaults.max_queued_per_pool // scale):
        backend.rollout(crowded)
    full(backend, f"/v1/pools/{crowded}/rollouts", "pool_queue_full")
    # No place is free in the other pool either, but one in its queue.
    assert backend.rollout(other_pool)["status"] == "queued"


@pytest.mark.system
@pytest.mark.sqlite
def test_ten_thousand_in_one_pool_do_not_hold_up_one_in_another(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        crowded, other_pool = before.pool(concurrency=4), before.pool(concurrency=1)

    async def crowd() -> None:
        store = SQLiteDatabase(tmp_path)

        def insert(tx: Any) -> None:
            for _ in range(10_000):
                insert_rollouts([NewRollout(tx, crowded, None, {"env": {"events": 0}})])

        await store.write(insert)
        await store.close()

    asyncio.run(crowd())
    with serve(tmp_path) as backend:
        assert backend.run(other_pool)["status"] == "completed"
        remaining = backend.get(f"/v1/pools/{crowded}/metrics")["queued_rollouts"]
        # It was there, and is far from done: the one did not wait for it.
        assert remaining > 5000, remaining
        backend.call("DELETE", f"/v1/pools/{crowded}")


@contextmanager
def reading(server: Server, rollout_id: str) -> Iterator[httpx.Response]:
    with server.http.stream("GET", f"/v1/rollouts/{rollout_id}/events") as response:
        yield response


def test_open_streams_are_limited_and_places_come_back(start: Callable[..., Server]) -> None:
    backend = start(max_streams=3, max_streams_per_rollout=2)
    pool_id = backend.pool(concurrency=3)
    rollouts = [backend.rollout(pool_id, **SLOW)["id"] for _ in range(3)]
    with ExitStack() as readers:
        for rollout_id in (rollouts[0], rollouts[0], rollouts[1]):
            assert readers.enter_context(reading(backend, rollout_id)).status_code == 200
        eventually(lambda: len(backend.services.streams) == 3)
        for rollout_id in (rollouts[0], rollouts[2]):
            path = f"/v1/rollouts/{rollout_id}/events"
            refused = backend.refused("GET", path, 429, "too_many_streams")
            assert refused["error"]["retry_after_ms"] == 5000
        with reading(backend, rollouts[0]) as response:
            assert response.headers["retry-after"] == "5"
        # All else goes on.
        backend.get("/v1/pools")
    eventually(lambda: len(backend.services.streams) == 0)
    for rollout_id in rollouts:
        backend.post(f"/v1/rollouts/{rollout_id}/cancel")
        assert backend.types(rollout_id)[-1] == "rollout.cancelled"


def test_smaller_bodies_and_flatter_ones(start: Callable[..., Server]) -> None:
    backend = start(max_body_bytes=1000, max_depth=3)
    fits = backend.http.post("/v1/pools", content=b'{"name":"n","a":[[1]]}', headers=JSON)
    assert fits.status_code == 201
    deep = {"content": b'{"name":"n","a":[[[1]]]}', "headers": JSON}
    refused = backend.refused("POST", "/v1/pools", 400, "bad_request", **deep)
    assert "3 levels" in refused["detail"]
    large = {"content": json.dumps({"name": "n", "a": "x" * 1000}), "headers": JSON}
    refused = backend.refused("POST", "/v1/pools", 413, "payload_too_large", **large)
    assert "1000 bytes" in refused["detail"]


def test_headers_that_are_too_large(start: Callable[..., Server]) -> None:
    backend = start(max_header_bytes=2000)
    backend.get("/v1/pools", headers={"a": "x" * 1000})
    with httpx.Client(base_url=backend.url) as client:
        for size in (2000, 100_000):
            answer = client.get("/v1/pools", headers={"a": "x" * size})
            assert (answer.status_code, answer.headers["connection"]) == (431, "close")
            assert answer.json()["error"]["code"] == "headers_too_large"


def test_pages_end_early_and_lose_nothing(start: Callable[..., Server]) -> None:
    backend = start(max_page_items=5, max_page_bytes=4000)
    pool_id = backend.pool()
    ids = [backend.run(pool_id, env={"pad": "x" * (40 if n % 2 else 900)})["id"] for n in range(12)]
    order: list[str] = []
    query: dict[str, Any] = {"limit": 1000}
    while True:
        page = backend.get(f"/v1/pools/{pool_id}/rollouts", params=query)
        assert 1 <= len(page["items"]) < 5
        order += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert order == ids[::-1]
    backend = start(max_page_items=5)
    pools = [backend.pool() for _ in range(6)]
    page = backend.get("/v1/pools", params={"limit": 6})
    assert [item["id"] for item in page["items"]] == pools[:0:-1]


def test_an_answer_that_is_too_large_fails_the_rollout(start: Callable[..., Server]) -> None:
    backend = start(max_container_bytes=1000)
    with odd_container(lambda _: http(200, {"reward": 1.0, "pad": "x" * 2000})) as container:
        rollout = backend.run(backend.pool(container_url=container.url))
    assert (rollout["status"], rollout["error"]["code"]) == ("failed", "container_bad_response")
    assert "1000 bytes" in rollout["error"]["message"]


def test_an_event_tells_no_more_than_it_may(start: Callable[..., Server]) -> None:
    backend = start(max_event_bytes=500)
    answer = {"status": "failed", "error": {"message": "it broke", "trace": "x" * 5000}}
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = backend.run(backend.pool(container_url=container.url))
    assert rollout["error"]["message"] == "it broke"
    assert rollout["error"]["details"]["truncated"] is True
    assert rollout["error"]["details"]["size_bytes"] > 5000
    assert rollout["result"] == answer
    assert all(len(json.dumps(event["data"])) < 600 for event in backend.events(rollout["id"]))


def test_a_creation_waits_no_longer_than_it_may(start: Callable[..., Server]) -> None:
    backend = start(sync_wait_seconds=0.3)
    rollout = backend.rollout(backend.pool(), 202, mode="sync", **SLOW)
    assert rollout["status"] in ("queued", "running")


@pytest.mark.parametrize(
    "limits",
    [{"max_queued": 0}, {"max_depth": 501}, {"max_page_items": 1001}, {"sync_wait_seconds": -1.0}],
)
def test_a_limit_that_cannot_be_one(limits: dict[str, Any]) -> None:
    with pytest.raises(BadOptionError, match=next(iter(limits))):
        Limits(**limits)


def test_every_limit_is_written_down_with_its_option_and_its_default() -> None:
    described = (_ROOT / "docs/local-backend.md").read_text(encoding="utf-8")
    table = described.partition("## Limits")[2].partition("\n## ")[0]
    for limit in fields(Limits):
        option = "--" + limit.name.removesuffix("_seconds").replace("_", "-")
        [line] = [line for line in table.splitlines() if line.endswith(f"| `{option}` |")]
        described_default = line.split("|")[2].strip()
        number, _, unit = described_default.partition(" ")
        factor = {"": 1, "MiB": 2**20, "KiB": 2**10, "s": 1, "h": 3600}[unit]
        assert int(number.replace(",", "")) * factor == limit.default, line
