"""Containers are looked after in the background: out, back, and busy is not dead."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.containers.health_checks import HealthChecks
from synth_pools.backend.containers.members import Container, Health
from tests.support.backend_server import Server, eventually, serve
from tests.support.container_process import container_processes
from tests.support.containers import OddContainer, Seen, http, odd_container, real_container
from tests.support.ports import HOST, HeldPort

PACE = {"health_interval_seconds": 0.05, "health_timeout_seconds": 0.5}


class Checked:
    """Answer of a container to the checks of the backend; None is nothing, ever."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.answer = answer

    def __call__(self, request: Seen) -> bytes | None:
        assert (request.method, request.path) == ("GET", "/health")
        return self.answer


@pytest.fixture
def silences(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URL of a container for each check that it was too busy to answer."""
    actual: list[str] = []
    look = HealthChecks.fault

    async def watched(self: HealthChecks, container: Container) -> str | None:
        fault = await look(self, container)
        actual.extend([container.url] if fault == "" else [])
        return fault

    monkeypatch.setattr(HealthChecks, "fault", watched)
    return actual


WELL = http(200, {"status": "ok"})


def containers_of(server: Server, pool_id: str) -> dict[str, Any]:
    metrics = server.get(f"/v1/pools/{pool_id}/metrics")
    return {container["url"]: container for container in metrics["containers"]}


def until_health(server: Server, pool_id: str, url: str, health: str) -> Any:
    def look() -> Any:
        members = containers_of(server, pool_id)[url]
        return members if members["health"] == health else None

    return eventually(look)


def rollouts_of(container: OddContainer) -> int:
    return container.paths().count("POST /rollouts")


def completed(_: Seen) -> bytes:
    return http(200, {"status": "completed"})


@pytest.mark.parametrize(
    ("ill", "words"),
    [
        (http(500, b"oops"), "It answered 500 to /health."),
        (http(503, {"healthy": True}), "It answered 503 to /health."),
        (http(200, {"healthy": False}), "not healthy"),
        (b"", "broke off"),
        (None, "gave no answer within 0.5 seconds"),
    ],
)
def test_one_that_is_ill_is_out_until_it_is_well(
    start: Callable[..., Server], ill: bytes | None, words: str
) -> None:
    backend = start(**PACE)
    check = Checked(ill)
    with odd_container(completed, check) as first, odd_container(completed) as second:
        pool_id = backend.pool(container_urls=[first.url, second.url])
        actual = until_health(backend, pool_id, first.url, "unhealthy")
        assert words in actual["last_error"]
        assert len(first.checks) >= 3
        assert containers_of(backend, pool_id)[second.url]["health"] == "healthy"
        before = rollouts_of(first)
        for _ in range(4):
            assert backend.run(pool_id)["status"] == "completed"
        assert rollouts_of(first) == before
        check.answer = WELL
        until_health(backend, pool_id, first.url, "healthy")
        for _ in range(4):
            backend.run(pool_id)
        assert rollouts_of(first) >= before + 2


@pytest.mark.parametrize(
    "answer",
    [
        http(404, {"detail": "no such route"}),
        http(401, b""),
        http(200, b"ok"),
        http(200, b"[" * 50_000),
        http(200, {"healthy": None, "status": "failed"}),
        http(302, b"", location="http://127.0.0.1:1/"),
    ],
)
def test_any_other_answer_is_a_sign_of_life(start: Callable[..., Server], answer: bytes) -> None:
    backend = start(**PACE)
    with odd_container(completed, Checked(answer)) as container:
        pool_id = backend.pool(container_url=container.url)
        eventually(lambda: len(container.checks) > 5)
        members = containers_of(backend, pool_id)[container.url]
        assert (members["health"], members["last_error"]) == ("healthy", None)


def test_a_container_is_looked_at_as_soon_as_it_is_there(start: Callable[..., Server]) -> None:
    # There is no regular check meanwhile.
    server = start(health_interval_seconds=3600)
    with odd_container(completed) as first, odd_container(completed) as second:
        pool_id = server.pool(container_url=first.url)
        eventually(lambda: first.checks)
        server.call("PATCH", f"/v1/pools/{pool_id}", json={"container_urls": [second.url]})
        eventually(lambda: second.checks)
        # Once for all pools.
        server.pool(container_urls=[first.url, second.url])
        time.sleep(0.2)
        assert (len(first.checks), len(second.checks)) == (1, 1)


def test_nobody_looks_any_more_at_one_that_has_left(start: Callable[..., Server]) -> None:
    backend = start(**PACE)
    with odd_container(completed) as container:
        pools = [backend.pool(container_url=container.url) for _ in range(3)]
        backend.call("PATCH", f"/v1/pools/{pools[0]}", json={"container_url": None})
        backend.call("DELETE", f"/v1/pools/{pools[1]}")
        before = len(container.checks)
        eventually(lambda: len(container.checks) > before + 1)
        backend.call("PUT", f"/v1/pools/{pools[2]}", json={"name": "n"})

        def is_left_alone() -> bool:
            before = len(container.checks)
            time.sleep(0.3)
            return len(container.checks) == before

        eventually(is_left_alone)


def test_after_a_restart_they_are_looked_at_again(tmp_path: Path) -> None:
    with odd_container(completed, Checked(http(500, b""))) as ill, odd_container(completed) as well:
        with serve(tmp_path) as before:
            pool_id = before.pool(container_urls=[ill.url, well.url])
        with serve(tmp_path, **PACE) as after:
            until_health(after, pool_id, ill.url, "unhealthy")
            assert containers_of(after, pool_id)[well.url]["health"] == "healthy"


def test_one_that_is_silent_because_it_works_is_busy(start: Callable[..., Server]) -> None:
    backend = start(**PACE)
    go = threading.Event()

    def work(_: Seen) -> bytes:
        check.answer = None
        go.wait(60)
        return http(200, {"status": "completed"})

    check = Checked(WELL)
    with odd_container(work, check) as container:
        pool_id = backend.pool(container_url=container.url)
        rollout_id = backend.rollout(pool_id)["id"]
        eventually(lambda: container.requests)
        before = len(container.checks)
        # Five checks without an answer.
        eventually(lambda: len(container.checks) > before + 5)
        members = containers_of(backend, pool_id)[container.url]
        assert (members["health"], members["running_rollouts"]) == ("healthy", 1)
        go.set()
        assert backend.until(rollout_id)["status"] == "completed"
        # From now on it has no excuse.
        until_health(backend, pool_id, container.url, "unhealthy")


def test_one_that_answers_that_it_is_ill_is_not_busy(start: Callable[..., Server]) -> None:
    backend = start(**PACE)
    check = Checked(WELL)
    with odd_container(lambda _: None, check) as container:
        pool_id = backend.pool(container_url=container.url)
        check.answer = http(500, b"")
        backend.rollout(pool_id)
        until_health(backend, pool_id, container.url, "unhealthy")


@pytest.mark.system
def test_a_real_container_that_is_held_up_and_then_killed(
    start: Callable[..., Server], tmp_path: Path, silences: list[str]
) -> None:
    backend = start(**PACE)
    go = tmp_path / "go"
    with container_processes(tmp_path, "forgetting") as (container,):
        pool_id = backend.pool(container_url=container.url)
        done = backend.rollout(pool_id, seed=3, params={"until": str(go)})["id"]
        eventually(lambda: container.ran)
        with container.held_up():
            silences.clear()
            eventually(lambda: silences.count(container.url) > 5)
            members = containers_of(backend, pool_id)[container.url]
            assert (members["health"], members["running_rollouts"]) == ("healthy", 1)
        go.touch()
        assert backend.until(done)["score"] == 3
        # Within its time limit it is busy, afterwards it is not.
        limits = {"timeout_seconds": 3}
        late = backend.rollout(pool_id, params={"seconds": 60}, limits=limits)["id"]
        eventually(lambda: len(container.ran) == 2)
        with container.held_up():
            assert backend.until(late)["error"]["code"] == "container_timeout"
            until_health(backend, pool_id, container.url, "unhealthy")
        until_health(backend, pool_id, container.url, "healthy")
        container.kill()
        members = until_health(backend, pool_id, container.url, "unhealthy")
        assert "No container answered" in members["last_error"]


@pytest.mark.system
def test_a_real_container_that_its_rollout_blocks(
    start: Callable[..., Server], tmp_path: Path, silences: list[str]
) -> None:
    backend = start(**PACE)
    ends = [tmp_path / "first", tmp_path / "second"]
    first, second = ({"blocks_until": str(end)} for end in ends)
    with real_container() as url, contextlib.ExitStack() as at_last:
        for end in ends:
            at_last.callback(end.touch)
        pool_id = backend.pool(container_url=url)
        rollout_id = backend.rollout(pool_id, seed=2, params=first)["id"]
        eventually(lambda: silences.count(url) > 5)
        assert containers_of(backend, pool_id)[url]["health"] == "healthy"
        ends[0].touch()
        assert backend.until(rollout_id)["score"] == 2
        # Where its time is over, it has no excuse; when it answers again, it is back.
        limits = {"timeout_seconds": 2}
        late = backend.rollout(pool_id, params=second, limits=limits)["id"]
        assert backend.until(late)["error"]["code"] == "container_timeout"
        until_health(backend, pool_id, url, "unhealthy")
        ends[1].touch()
        until_health(backend, pool_id, url, "healthy")


def test_where_none_is_healthy_the_least_loaded_is_tried(start: Callable[..., Server]) -> None:
    backend = start(**PACE)
    ill = Checked(http(500, b""))
    with odd_container(completed, ill) as first, odd_container(completed, ill) as second:
        pool_id = backend.pool(container_urls=[first.url, second.url])
        for container in (first, second):
            until_health(backend, pool_id, container.url, "unhealthy")
        assert [backend.run(pool_id)["status"] for _ in range(4)] == ["completed"] * 4
        assert (rollouts_of(first), rollouts_of(second)) == (2, 2)


def test_a_rollout_that_finds_nobody_there_is_a_failed_check(start: Callable[..., Server]) -> None:
    # There is the first look, and then no other for an hour.
    backend = start(health_interval_seconds=3600)
    with HeldPort() as port, odd_container(completed) as there:
        nobody = f"http://{HOST}:{port.number}"
        pool_id = backend.pool(container_urls=[nobody, there.url])
        eventually(lambda: containers_of(backend, pool_id)[nobody]["last_error"])
        failed = [backend.run(pool_id) for _ in range(8)]
        codes = [rollout["error"]["code"] for rollout in failed if rollout["status"] == "failed"]
        assert codes == ["container_unreachable"] * 2
        assert containers_of(backend, pool_id)[nobody]["health"] == "unhealthy"


def test_three_failures_and_two_successes() -> None:
    health = Health()
    healths = []
    for step in "ffsff fff fsffff s f ss".replace(" ", ""):
        changed = health.succeed() if step == "s" else health.fail(step)
        healths.append(f"{step}{health.state[0]}{'!' if changed else ''}")
    assert " ".join(healths) == ("fh fh sh fh fh fu! fu fu fu su fu fu fu fu su fu su sh!")


@pytest.mark.parametrize("state", ["starting", "stopped"])
def test_no_check_changes_what_a_process_is_said_to_be(state: Any) -> None:
    health = Health(state)
    assert not health.is_checked
    for _ in range(5):
        assert not health.succeed()
    for _ in range(5):
        assert not health.fail("x")
    assert health.state == state
    assert health.set("healthy")
    assert not health.set("healthy")
    assert (health.failures, health.is_checked) == (0, True)
