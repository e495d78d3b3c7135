"""Containers are looked after in the background: out, back, and busy is not dead."""

from __future__ import annotations

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

    def __call__(self, seen: Seen) -> bytes | None:
        assert (seen.method, seen.path) == ("GET", "/health")
        return self.answer


@pytest.fixture
def silences(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URL of a container for each check that it was too busy to answer."""
    found: list[str] = []
    look = HealthChecks.fault

    async def watched(self: HealthChecks, container: Container) -> str | None:
        fault = await look(self, container)
        found.extend([container.url] if fault == "" else [])
        return fault

    monkeypatch.setattr(HealthChecks, "fault", watched)
    return found


WELL = http(200, {"status": "ok"})


def containers_of(server: Server, pool_id: str) -> dict[str, Any]:
    metrics = server.get(f"/v1/pools/{pool_id}/metrics")
    return {each["url"]: each for each in metrics["containers"]}


def until_health(server: Server, pool_id: str, url: str, health: str) -> Any:
    def look() -> Any:
        found = containers_of(server, pool_id)[url]
        return found if found["health"] == health else None

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
    own = start(**PACE)
    check = Checked(ill)
    with odd_container(completed, check) as first, odd_container(completed) as second:
        pool_id = own.pool(container_urls=[first.url, second.url])
        found = until_health(own, pool_id, first.url, "unhealthy")
        assert words in found["last_error"]
        assert len(first.checks) >= 3
        assert containers_of(own, pool_id)[second.url]["health"] == "healthy"
        before = rollouts_of(first)
        for _ in range(4):
            assert own.run(pool_id)["status"] == "completed"
        assert rollouts_of(first) == before
        check.answer = WELL
        until_health(own, pool_id, first.url, "healthy")
        for _ in range(4):
            own.run(pool_id)
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
    own = start(**PACE)
    with odd_container(completed, Checked(answer)) as container:
        pool_id = own.pool(container_url=container.url)
        eventually(lambda: len(container.checks) > 5)
        found = containers_of(own, pool_id)[container.url]
        assert (found["health"], found["last_error"]) == ("healthy", None)


def test_a_container_is_looked_at_as_soon_as_it_is_there(server: Server) -> None:
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
    own = start(**PACE)
    with odd_container(completed) as container:
        pools = [own.pool(container_url=container.url) for _ in range(3)]
        own.call("PATCH", f"/v1/pools/{pools[0]}", json={"container_url": None})
        own.call("DELETE", f"/v1/pools/{pools[1]}")
        before = len(container.checks)
        eventually(lambda: len(container.checks) > before + 1)
        own.call("PUT", f"/v1/pools/{pools[2]}", json={"name": "n"})

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
    own = start(**PACE)
    go = threading.Event()

    def work(_: Seen) -> bytes:
        check.answer = None
        go.wait(20)
        return http(200, {"status": "completed"})

    check = Checked(WELL)
    with odd_container(work, check) as container:
        pool_id = own.pool(container_url=container.url)
        rollout_id = own.rollout(pool_id)["id"]
        eventually(lambda: container.seen)
        before = len(container.checks)
        # Five checks without an answer.
        eventually(lambda: len(container.checks) > before + 5)
        found = containers_of(own, pool_id)[container.url]
        assert (found["health"], found["running_rollouts"]) == ("healthy", 1)
        go.set()
        assert own.until(rollout_id)["status"] == "completed"
        # From now on it has no excuse.
        until_health(own, pool_id, container.url, "unhealthy")


def test_one_that_answers_that_it_is_ill_is_not_busy(start: Callable[..., Server]) -> None:
    own = start(**PACE)
    check = Checked(WELL)
    with odd_container(lambda _: None, check) as container:
        pool_id = own.pool(container_url=container.url)
        check.answer = http(500, b"")
        own.rollout(pool_id)
        until_health(own, pool_id, container.url, "unhealthy")


def test_a_real_container_that_is_held_up_and_then_killed(
    start: Callable[..., Server], tmp_path: Path, silences: list[str]
) -> None:
    own = start(**PACE)
    go = tmp_path / "go"
    with container_processes(tmp_path, "forgetting") as (container,):
        pool_id = own.pool(container_url=container.url)
        done = own.rollout(pool_id, seed=3, params={"until": str(go)})["id"]
        eventually(lambda: container.ran)
        with container.held_up():
            silences.clear()
            eventually(lambda: silences.count(container.url) > 5)
            found = containers_of(own, pool_id)[container.url]
            assert (found["health"], found["running_rollouts"]) == ("healthy", 1)
        go.touch()
        assert own.until(done)["score"] == 3
        # Within its time limit it is busy, afterwards it is not.
        limits = {"timeout_seconds": 3}
        late = own.rollout(pool_id, params={"seconds": 60}, limits=limits)["id"]
        eventually(lambda: len(container.ran) == 2)
        with container.held_up():
            assert own.until(late)["error"]["code"] == "container_timeout"
            until_health(own, pool_id, container.url, "unhealthy")
        until_health(own, pool_id, container.url, "healthy")
        container.kill()
        found = until_health(own, pool_id, container.url, "unhealthy")
        assert "No container answered" in found["last_error"]


def test_a_real_container_that_its_rollout_blocks(start: Callable[..., Server]) -> None:
    own = start(health_interval_seconds=0.05, health_timeout_seconds=0.1)
    with real_container() as url:
        pool_id = own.pool(container_url=url)
        rollout_id = own.rollout(pool_id, seed=2, params={"blocks": 1.5})["id"]
        seen = set()
        while own.state(rollout_id) in ("queued", "running"):
            seen.add(containers_of(own, pool_id)[url]["health"])
        assert own.until(rollout_id)["score"] == 2
        assert seen == {"healthy"}
        # Where its time is over, it has no excuse; when it answers again, it is back.
        limits = {"timeout_seconds": 0.3}
        late = own.rollout(pool_id, params={"blocks": 3}, limits=limits)["id"]
        assert own.until(late)["error"]["code"] == "container_timeout"
        until_health(own, pool_id, url, "unhealthy")
        until_health(own, pool_id, url, "healthy")


def test_where_none_is_healthy_the_least_loaded_is_tried(start: Callable[..., Server]) -> None:
    own = start(**PACE)
    ill = Checked(http(500, b""))
    with odd_container(completed, ill) as first, odd_container(completed, ill) as second:
        pool_id = own.pool(container_urls=[first.url, second.url])
        for container in (first, second):
            until_health(own, pool_id, container.url, "unhealthy")
        assert [own.run(pool_id)["status"] for _ in range(4)] == ["completed"] * 4
        assert (rollouts_of(first), rollouts_of(second)) == (2, 2)


def test_a_rollout_that_finds_nobody_there_is_a_failed_check(
    start: Callable[..., Server],
) -> None:
    # There is the first look, and then no other for an hour.
    own = start(health_interval_seconds=3600)
    with HeldPort() as port, odd_container(completed) as there:
        nobody = f"http://{HOST}:{port.number}"
        pool_id = own.pool(container_urls=[nobody, there.url])
        eventually(lambda: containers_of(own, pool_id)[nobody]["last_error"])
        failed = [own.run(pool_id) for _ in range(8)]
        codes = [rollout["error"]["code"] for rollout in failed if rollout["status"] == "failed"]
        assert codes == ["container_unreachable"] * 2
        assert containers_of(own, pool_id)[nobody]["health"] == "unhealthy"


def test_three_failures_and_two_successes() -> None:
    health = Health()
    seen = []
    for step in "ffsff fff fsffff s f ss".replace(" ", ""):
        changed = health.succeed() if step == "s" else health.fail(step)
        seen.append(f"{step}{health.state[0]}{'!' if changed else ''}")
    assert " ".join(seen) == ("fh fh sh fh fh fu! fu fu fu su fu fu fu fu su fu su sh!")


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
