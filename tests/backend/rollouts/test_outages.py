"""Containers that are away for a while: what was not sent waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import OddContainer, Seen, http, odd_container
from tests.support.ports import HOST, HeldPort

WAITED = ["rollout.queued", "rollout.started", "rollout.queued"]
ENDED_WELL = ["rollout.started", "reward", "rollout.completed"]


def completed(request: Seen) -> bytes:
    if request.method == "GET":
        return http(404, b"")
    rollout_id = request.json["rollout_id"]
    return http(200, {"rollout_id": rollout_id, "status": "completed", "reward": 1})


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    """One that finds out by its rollouts alone who is away."""
    return start(health_interval_seconds=3600)


@pytest.fixture
def port() -> Iterator[HeldPort]:
    with HeldPort() as holder:
        yield holder


@contextlib.contextmanager
def up(port: HeldPort) -> Iterator[OddContainer]:
    with odd_container(completed, port=port) as container:
        yield container


def url_of(port: HeldPort) -> str:
    return f"http://{HOST}:{port.number}"


def pool_that_ran_one(server: Server, port: HeldPort, **fields: Any) -> str:
    """A pool whose container has answered once, and is gone."""
    with up(port):
        pool_id = server.pool(container_url=url_of(port), **fields)
        assert server.run(pool_id)["status"] == "completed"
    return pool_id


def until_waiting(server: Server, pool_id: str, number: int) -> None:
    """Return once the pool's container is away and a number of rollouts wait."""

    def waits() -> bool:
        metrics = server.get(f"/v1/pools/{pool_id}/metrics")
        counts = (metrics["active_rollouts"], metrics["queued_rollouts"])
        return counts == (0, number) and server.services.balancer.outage(pool_id) is not None

    eventually(waits)


def ran(container: OddContainer) -> list[str]:
    return [
        request.json["rollout_id"] for request in container.requests if request.method == "POST"
    ]


def test_a_container_that_is_away_for_a_while_costs_nothing(server: Server, port: HeldPort) -> None:
    pool_id = pool_that_ran_one(server, port, concurrency=8)
    ids = [server.rollout(pool_id, seed=seed)["id"] for seed in range(60)]
    until_waiting(server, pool_id, 60)
    assert server.get(f"/v1/rollouts/{ids[0]}")["started_at"] is None
    with up(port) as container:
        rollouts = [server.until(rollout_id) for rollout_id in ids]
        assert sorted(ran(container)) == sorted(ids)
    assert {rollout["status"] for rollout in rollouts} == {"completed"}
    refused = 0
    for rollout_id in ids:
        events = server.events(rollout_id)
        types = [event["event"] for event in events]
        starts = [event["data"] for event in events if event["event"] == "rollout.started"]
        assert {start["attempt"] for start in starts} == {1}
        assert all("previous_error" not in start for start in starts)
        if types[: len(WAITED)] == WAITED:
            refused += 1
            assert types == WAITED + ENDED_WELL
            reason = events[2]["data"]["previous_error"]
            assert reason["code"] == "container_unreachable"
            assert events[2]["data"]["status"] == "queued"
        else:
            assert types == ["rollout.queued", *ENDED_WELL]
    # The rollouts that found nobody, and none of the later ones.
    assert refused <= 8


def test_it_waits_for_its_time_limit_and_then_fails(server: Server, port: HeldPort) -> None:
    pool_id = pool_that_ran_one(server, port, concurrency=2)
    limits = {"limits": {"timeout_seconds": 1.5}}
    first = server.run(pool_id, **limits)
    assert (first["status"], first["error"]["code"]) == ("failed", "container_unreachable")
    assert first["error"]["details"]["url"].startswith(url_of(port))
    assert server.types(first["id"]) == [*WAITED, "rollout.failed"]
    # It comes when the container is known to be away, and so is not even tried there.
    second = server.run(pool_id, **limits)
    assert (second["status"], second["error"]["code"]) == ("failed", "container_unreachable")
    assert second["error"]["details"]["cause"]
    assert server.types(second["id"]) == ["rollout.queued", "rollout.failed"]
    # A rollout that waited behind others does not wait a second time.
    last = [server.rollout(pool_id, **limits)["id"] for _ in range(20)]
    assert {server.until(rollout_id)["error"]["code"] for rollout_id in last} == {
        "container_unreachable"
    }


def test_one_that_was_never_there_is_not_waited_for(server: Server, port: HeldPort) -> None:
    rollout = server.run(server.pool(container_url=url_of(port)))
    assert rollout["error"]["code"] == "container_unreachable"
    assert server.types(rollout["id"]) == ["rollout.queued", "rollout.started", "rollout.failed"]


def test_another_container_takes_what_one_that_is_away_was_to_get(
    server: Server, port: HeldPort
) -> None:
    with odd_container(completed) as other_container:
        pool_id = server.pool(container_urls=[url_of(port), other_container.url])
        with up(port):
            assert {server.run(pool_id)["status"] for _ in range(2)} == {"completed"}
        rollouts = [server.run(pool_id) for _ in range(4)]
    assert {rollout["status"] for rollout in rollouts} == {"completed"}
    starts = [event for event in server.events(rollouts[0]["id"]) if "attempt" in event["data"]]
    assert {event["data"]["attempt"] for event in starts} == {1}


def test_a_pool_that_is_paused_meanwhile_keeps_its_queue_in_order(
    server: Server, port: HeldPort
) -> None:
    pool_id = pool_that_ran_one(server, port, concurrency=3)
    limits = {"limits": {"timeout_seconds": 4}}
    ids = [server.rollout(pool_id, **limits)["id"] for _ in range(6)]
    until_waiting(server, pool_id, 6)
    server.post(f"/v1/pools/{pool_id}/pause")
    server.call("PATCH", f"/v1/pools/{pool_id}", json={"concurrency": 1})
    assert server.post(f"/v1/rollouts/{ids[2]}/cancel")["status"] == "cancelled"
    other_pool = server.pool()
    # Longer than the time limit: those of a pool that is paused wait for it.
    assert server.run(other_pool, env={"delay": 4.5})["status"] == "completed"
    assert [server.state(rollout_id) for rollout_id in ids] == ["queued"] * 2 + ["cancelled"] + [
        "queued"
    ] * 3
    with up(port) as container:
        eventually(lambda: server.services.balancer.outage(pool_id) is None)
        server.post(f"/v1/pools/{pool_id}/resume")
        final = [server.until(rollout_id)["status"] for rollout_id in ids]
        assert ran(container) == ids[:2] + ids[3:]
    assert final.count("completed") == 5


def test_a_rollout_that_waits_for_its_container_can_be_cancelled(
    server: Server, port: HeldPort
) -> None:
    pool_id = pool_that_ran_one(server, port, concurrency=1)
    first, second = (server.rollout(pool_id)["id"] for _ in range(2))
    until_waiting(server, pool_id, 2)
    assert server.post(f"/v1/rollouts/{first}/cancel")["status"] == "cancelled"
    assert server.types(first) == [*WAITED, "rollout.cancelled"]
    with up(port):
        assert server.until(second)["status"] == "completed"


def test_a_task_with_a_container_of_its_own_does_not_wait_for_the_pools(
    server: Server, port: HeldPort
) -> None:
    with odd_container(completed) as task_container:
        task = {"task_id": "t", "container_url": task_container.url}
        pool_id = pool_that_ran_one(server, port, concurrency=2, tasks=[task])
        waits = server.rollout(pool_id)["id"]
        until_waiting(server, pool_id, 1)
        assert server.run(pool_id, task_id="t")["status"] == "completed"
        assert server.state(waits) == "queued"


def test_a_further_attempt_that_finds_nobody_does_not_count(server: Server, port: HeldPort) -> None:
    answers: list[Callable[[Seen], bytes]] = [lambda _: http(500, b""), completed]
    pool_id = pool_that_ran_one(server, port, concurrency=1)
    with odd_container(lambda request: answers.pop(0)(request), port=port):
        rollout_id = server.rollout(pool_id, limits={"max_attempts": 2})["id"]
        eventually(lambda: len(answers) == 1)
    until_waiting(server, pool_id, 1)
    with odd_container(lambda request: answers.pop(0)(request), port=port):
        rollout = server.until(rollout_id)
    assert rollout["status"] == "completed"
    starts = [event["data"] for event in server.events(rollout_id) if "attempt" in event["data"]]
    assert [start["attempt"] for start in starts] == [1, 2, 2]
    assert starts[-1]["previous_error"]["code"] == "container_http_error"


def test_a_stop_does_not_wait_for_what_waits(tmp_path: Path, port: HeldPort) -> None:
    with serve(tmp_path, grace=600.0) as before:
        pool_id = pool_that_ran_one(before, port, concurrency=2)
        ids = [before.rollout(pool_id)["id"] for _ in range(4)]
        until_waiting(before, pool_id, 4)
    with up(port), serve(tmp_path) as after:
        assert {after.until(rollout_id)["status"] for rollout_id in ids} == {"completed"}
