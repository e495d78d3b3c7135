"""Intervals of health checks, and their results."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.containers.health_checks import HealthChecks

URL = "http://127.0.0.1:1"
OTHER = "http://127.0.0.1:2"
PROCESS = {"config": {"process": {"argv": ["x"]}}}
INTERVAL = 0.02


class Looked:
    """In place of the network: every look at a container, and what it finds."""

    def __init__(self) -> None:
        self.status = 200
        self.looks: list[str] = []
        self.now = 0
        self.most = 0
        self.crashes = 0

    def at(self, url: str, key_env: str | None) -> Looked:
        assert key_env is None
        self.looks.append(url)
        if self.crashes:
            self.crashes -= 1
            raise ZeroDivisionError
        return self

    async def check(self, limit_seconds: float) -> tuple[int, bytes]:
        assert limit_seconds == 1.0
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return self.status, b""


@contextlib.asynccontextmanager
async def a_fleet(*, leads: bool = True) -> AsyncIterator[tuple[Balancer, Looked, list[None]]]:
    looked, changes = Looked(), list[None]()
    checks = HealthChecks(looked, INTERVAL, 1.0, lambda: leads)  # type: ignore[arg-type]
    try:
        yield Balancer(checks, lambda: changes.append(None)), looked, changes
    finally:
        await checks.close()


async def eventually(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            if look():
                return
            await asyncio.sleep(0.001)


def test_one_that_is_out_and_wanted_by_nobody_is_looked_at_rarely() -> None:
    async def main() -> None:
        async with a_fleet() as (balancer, looked, changes):
            balancer.set_pool("p", {"container_url": URL})
            looked.status = 500
            member = balancer.member("p", URL)
            await eventually(lambda: member.health == "unhealthy")
            # As if the last one to want it had been here long ago.
            member.container.last_requested_at -= 1000
            await asyncio.sleep(2 * INTERVAL)
            before = len(looked.looks)
            await asyncio.sleep(6 * INTERVAL)
            assert len(looked.looks) <= before + 1
            looked.status = 200
            balancer.acquire_now("p").move(None)
            changes.clear()
            await eventually(lambda: member.health == "healthy")
            assert changes

    asyncio.run(main())


def test_only_so_many_are_looked_at_at_once() -> None:
    async def main() -> None:
        async with a_fleet() as (balancer, looked, _):
            urls = [f"http://127.0.0.1:{port}" for port in range(1, 200)]
            balancer.set_pool("p", {"container_urls": urls})
            await eventually(lambda: len(set(looked.looks)) == len(urls))
            assert looked.most == 32

    asyncio.run(main())


def test_what_another_backend_checks_is_looked_at_once_and_while_it_is_out() -> None:
    async def main() -> None:
        async with a_fleet(leads=False) as (balancer, looked, changes):
            balancer.set_pool("p", {"container_url": URL})
            balancer.add_process("q", OTHER)
            balancer.set_process("q", OTHER, "healthy")
            # A process is of this backend alone.
            await eventually(lambda: looked.looks.count(OTHER) == 10)
            assert looked.looks.count(URL) == 1
            member = balancer.member("p", URL)
            balancer.eject((URL, None), "It answered 500 to /health.")
            assert (member.health, member.last_error) == (
                "unhealthy",
                "It answered 500 to /health.",
            )
            changes.clear()
            await eventually(lambda: member.health == "healthy")
            assert changes
            assert looked.looks.count(URL) == 3
            # A finding of this backend is not undone by an earlier one of another backend.
            assert balancer.ejected() == {}
            changes.clear()
            balancer.take_back((URL, None))
            balancer.eject(("http://127.0.0.1:3", None), "unknown here")
            balancer.take_back(("http://127.0.0.1:3", None))
            assert not changes
            balancer.eject((URL, None), "again")
            assert balancer.ejected() == {(URL, None): "again"}
            balancer.take_back((URL, None))
            assert changes
            assert member.health == "healthy"

    asyncio.run(main())


def test_a_look_that_crashes_is_not_the_last(failures: list[str]) -> None:
    async def main() -> None:
        async with a_fleet() as (balancer, looked, _):
            looked.crashes = 1
            balancer.set_pool("p", {"container_url": URL})
            await eventually(lambda: len(looked.looks) > 2)
            assert balancer.member("p", URL).health == "healthy"

    asyncio.run(main())
    assert "ZeroDivisionError" in failures.pop()


def test_a_rollout_waits_for_a_process() -> None:
    async def main() -> None:
        async with a_fleet() as (balancer, looked, changes):
            balancer.set_pool("p", PROCESS)
            assert not balancer.can_start("p")
            waiting = asyncio.ensure_future(balancer.acquire("p"))
            balancer.add_process("p", URL)
            await asyncio.sleep(3 * INTERVAL)
            assert not waiting.done()
            # One that starts is somebody else's to look at.
            assert looked.looks == []
            changes.clear()
            balancer.set_process("p", URL, "healthy")
            assert changes
            with await asyncio.wait_for(waiting, 60) as place:
                assert place.url == URL
                balancer.set_process("p", URL, "stopped", "It ended with exit status 1.")
                assert not balancer.can_start("p")
                (member,) = balancer.members("p")
                assert (member.health, member.running) == ("stopped", 1)
                assert member.last_error == "It ended with exit status 1."
            # Another address takes it then.
            waiting = asyncio.ensure_future(balancer.acquire("p"))
            balancer.set_pool("p", {**PROCESS, "container_url": OTHER})
            with await asyncio.wait_for(waiting, 60) as place:
                assert place.url == OTHER

    asyncio.run(main())


def test_a_process_that_is_healthy_is_looked_at_and_not_used_when_it_is_not() -> None:
    async def main() -> None:
        async with a_fleet() as (balancer, looked, changes):
            balancer.set_pool("p", PROCESS)
            balancer.add_process("p", URL)
            balancer.set_process("p", URL, "healthy")
            await eventually(lambda: looked.looks)
            looked.status = 503
            await eventually(lambda: not balancer.can_start("p"))
            assert balancer.member("p", URL).health == "unhealthy"
            looked.status = 200
            changes.clear()
            await eventually(lambda: balancer.can_start("p"))
            assert changes

    asyncio.run(main())


def test_a_process_is_drained_before_it_ends() -> None:
    async def main() -> None:
        async with a_fleet() as (balancer, _, _):
            balancer.set_pool("p", PROCESS)
            balancer.add_process("p", URL)
            balancer.set_process("p", URL, "healthy")
            first, second = balancer.acquire_now("p"), balancer.acquire_now("p", direct=True)
            balancer.remove_process("p", URL)
            assert [(member.running, member.direct) for member in balancer.members("p")] == [(1, 1)]
            drained = asyncio.ensure_future(balancer.drained("p", URL))
            first.__exit__(None, None, None)
            await asyncio.sleep(0)
            assert not drained.done()
            second.__exit__(None, None, None)
            await asyncio.wait_for(drained, 60)
            assert balancer.members("p") == []
            await asyncio.wait_for(balancer.drained("p", URL), 60)
            balancer.remove_process("p", URL)
            with pytest.raises(KeyError):
                balancer.member("p", URL)

    asyncio.run(main())
