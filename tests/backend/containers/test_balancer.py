"""Choice of a container for a rollout, seen from the containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backend_server import Server, eventually
from tests.support.containers import (
    Holding,
    holding_containers,
    http,
    odd_container,
    real_container,
)


@pytest.fixture
def two() -> Iterator[list[Holding]]:
    with holding_containers(2) as containers:
        yield containers


def containers_of(server: Server, pool_id: str) -> Any:
    return server.get(f"/v1/pools/{pool_id}/metrics")["containers"]


def running_on(server: Server, pool_id: str) -> dict[str, int]:
    return {
        container["url"]: container["running_rollouts"]
        for container in containers_of(server, pool_id)
    }


def test_eight_at_once_are_four_on_each_of_two(server: Server, two: list[Holding]) -> None:
    first, second = two
    pool_id = server.pool(container_urls=[first.url, second.url], concurrency=8)
    rollouts = [server.rollout(pool_id)["id"] for _ in range(10)]
    first.wait_for(4)
    second.wait_for(4)
    assert running_on(server, pool_id) == {first.url: 4, second.url: 4}
    metrics = server.get(f"/v1/pools/{pool_id}/metrics")
    assert (metrics["active_rollouts"], metrics["queued_rollouts"]) == (8, 2)
    # The container that is done first gets the next rollout.
    first.release(2)
    first.wait_for(6)
    assert running_on(server, pool_id) == {first.url: 4, second.url: 4}
    assert len(second.ran) == 4
    for holding in two:
        holding.release(100)
    for rollout_id in rollouts:
        assert server.until(rollout_id)["status"] == "completed"
    assert sorted(first.ran + second.ran) == sorted(rollouts)
    assert running_on(server, pool_id) == {first.url: 0, second.url: 0}


def test_one_after_the_other_goes_round(server: Server) -> None:
    with real_container() as first, real_container() as second, real_container() as third:
        pool_id = server.pool(container_url=first, container_urls=[second, third])
        ran_on = []
        for _ in range(9):
            rollout = server.run(pool_id)
            started = server.events(rollout["id"])[1]["data"]
            assert started["attempt"] == 1
            assert "previous_error" not in started
            ran_on.append(started["container_url"])
    assert ran_on == [first, second, third] * 3


def test_the_containers_of_a_pool_are_each_there_once(server: Server) -> None:
    urls = [f"http://127.0.0.1:{port}" for port in (1, 2, 3)]
    pool_id = server.pool(container_url=urls[1], container_urls=urls)
    pool = server.get(f"/v1/pools/{pool_id}")
    assert (pool["container_url"], pool["container_urls"]) == (urls[1], urls)
    expected = [urls[1], urls[0], urls[2]]
    assert [container["url"] for container in containers_of(server, pool_id)] == expected
    places = server.get(f"/v1/pools/{pool_id}/urls")
    assert (places["container_url"], places["container_urls"]) == (urls[1], expected)
    path = f"/v1/pools/{pool_id}"
    changed = server.call("PATCH", path, json={"container_url": None})
    assert (changed["container_url"], changed["container_urls"]) == (None, urls)
    assert server.get(f"{path}/urls")["container_url"] == urls[0]
    changed = server.call("PATCH", path, json={"container_urls": None})
    assert changed["container_urls"] == []
    assert containers_of(server, pool_id) == []
    assert "echo" in server.run(pool_id)["result"]
    server.call("PATCH", path, json={"container_urls": urls[:1]})
    assert server.call("PUT", path, json={"name": "n"})["container_urls"] == []


def test_one_that_leaves_gets_nothing_new_and_ends_what_it_has(
    server: Server, two: list[Holding]
) -> None:
    first, second = two
    pool_id = server.pool(container_urls=[first.url, second.url])
    rollouts = [server.rollout(pool_id)["id"] for _ in range(2)]
    first.wait_for(1)
    second.wait_for(1)
    server.call("PATCH", f"/v1/pools/{pool_id}", json={"container_urls": [second.url]})
    later = [server.rollout(pool_id)["id"] for _ in range(3)]
    second.wait_for(4)
    assert running_on(server, pool_id) == {second.url: 4, first.url: 1}
    first.release()
    eventually(lambda: running_on(server, pool_id) == {second.url: 4})
    second.release(4)
    for rollout_id in rollouts + later:
        assert server.until(rollout_id)["status"] == "completed"
    assert len(first.ran) == 1


def test_one_that_comes_back_is_still_known_to_be_busy(server: Server, two: list[Holding]) -> None:
    first, second = two
    pool_id = server.pool(container_urls=[first.url, second.url])
    for _ in range(2):
        server.rollout(pool_id)
    first.wait_for(1)
    path = f"/v1/pools/{pool_id}"
    server.call("PATCH", path, json={"container_urls": [second.url]})
    server.call("PATCH", path, json={"container_urls": [first.url, second.url]})
    assert running_on(server, pool_id) == {first.url: 1, second.url: 1}


def test_pools_that_share_a_container_heed_each_other(server: Server, two: list[Holding]) -> None:
    first, second = two
    other_pool = server.pool(container_url=first.url)
    for _ in range(3):
        server.rollout(other_pool)
    first.wait_for(3)
    pool_id = server.pool(container_urls=[first.url, second.url])
    for _ in range(3):
        server.rollout(pool_id)
    second.wait_for(3)
    assert running_on(server, pool_id) == {first.url: 0, second.url: 3}
    assert running_on(server, other_pool) == {first.url: 3}


def test_a_tasks_own_container_wins(server: Server, two: list[Holding]) -> None:
    first, second = two
    with real_container() as task_container:
        pool_id = server.pool(
            container_urls=[first.url, second.url],
            tasks=[{"task_id": "own", "container_url": task_container}, {"task_id": "t"}],
        )
        rollout = server.run(pool_id, task_id="own", seed=5)
        assert rollout["score"] == 5
        assert server.events(rollout["id"])[1]["data"]["container_url"] == task_container
        assert running_on(server, pool_id) == {first.url: 0, second.url: 0}
        server.rollout(pool_id, task_id="t")
        eventually(lambda: len(first.ran) + len(second.ran) == 1)


def test_cancelling_frees_the_place(server: Server, two: list[Holding]) -> None:
    first, second = two
    pool_id = server.pool(container_urls=[first.url, second.url])
    rollout_id = server.rollout(pool_id)["id"]
    first.wait_for(1)
    server.post(f"/v1/rollouts/{rollout_id}/cancel")
    eventually(lambda: running_on(server, pool_id) == {first.url: 0, second.url: 0})


def test_a_deleted_pool_has_no_containers(server: Server, two: list[Holding]) -> None:
    pool_id = server.pool(container_urls=[container.url for container in two])
    server.rollout(pool_id)
    two[0].wait_for(1)
    server.call("DELETE", f"/v1/pools/{pool_id}")
    eventually(lambda: containers_of(server, pool_id) == [])
    # Health can still be asked for.
    assert server.get(f"/v1/pools/{pool_id}/container/health") == {"status": "ok"}


def test_direct_calls_go_to_the_one_that_has_least_to_do(
    server: Server, two: list[Holding]
) -> None:
    first, second = two
    pool_id = server.pool(container_urls=[first.url, second.url])
    server.rollout(pool_id)
    first.wait_for(1)
    for _ in range(3):
        assert server.get(f"/v1/pools/{pool_id}/container/health") == {"status": "ok"}
    assert second.container.paths() == ["GET /health"] * 3
    second.release()
    body = {"rollout_id": "by hand"}
    assert server.post(f"/v1/pools/{pool_id}/container/rollout", body)["rollout_id"] == "by hand"
    assert second.ran == ["by hand"]


def test_a_direct_rollout_is_work_but_no_rollout_of_the_pool(server: Server) -> None:
    inside: list[Any] = []
    with odd_container(lambda _: http(200, {"on": "other", "reward": 1})) as other_container:

        def look(_: Any) -> bytes:
            inside.append(containers_of(server, pool_id))
            inside.append(server.run(pool_id)["result"])
            return http(200, {"on": "asked"})

        with odd_container(look) as checked:
            pool_id = server.pool(container_urls=[checked.url, other_container.url])
            answer = server.post(f"/v1/pools/{pool_id}/container/rollout", {"x": 1})
    assert answer == {"on": "asked"}
    containers, result = inside
    assert [container["running_rollouts"] for container in containers] == [0, 0]
    assert result == {"on": "other", "reward": 1}
