"""Pools, addresses, processes and places in any order: the counts stay correct."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from synth_pools.backend.containers.balancer import Balancer, Lease
from synth_pools.backend.containers.members import Container, Member

POOLS = st.sampled_from(["a", "b"])
URLS = [f"http://127.0.0.1:{port}" for port in range(1, 5)]
PROCESSES = [f"http://127.0.0.1:{port}" for port in range(11, 14)]
KEYS = st.sampled_from([None, "CONTAINER_API_KEY"])


class NoChecks:
    """In place of the background: who would be looked at."""

    def __init__(self) -> None:
        self.watched: Counter[Container] = Counter()

    def watch(self, container: Container, on_recovered: Callable[[], None]) -> None:
        assert callable(on_recovered)
        self.watched[container] += 1

    def forget(self, container: Container) -> None:
        self.watched[container] -= 1
        if not self.watched[container]:
            del self.watched[container]

    def found_listening(self, container: Container) -> None:
        assert not container.find_listening()


class FleetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.checks = NoChecks()
        self.told = 0
        self.balancer = Balancer(self.checks, self._tell)  # type: ignore[arg-type]
        self.named: dict[str, list[str]] = {}
        self.keys: dict[str, str | None] = {}
        self.processes: dict[str, list[str]] = {}
        self.expects: dict[str, bool] = {}
        # Pool, where it is, and whether it is a rollout of the pool.
        self.places: list[tuple[str, Lease, bool]] = []

    def _tell(self) -> None:
        self.told += 1

    def teardown(self) -> None:
        for _, place, _ in self.places:
            place.__exit__(None, None, None)
        for pool_id in ("a", "b"):
            if pool_id in self.named:
                self.balancer.forget_pool(pool_id)
            for url in list(self.processes.get(pool_id, ())):
                self.balancer.remove_process(pool_id, url)
        # All members and pools are dropped.
        assert list(self.balancer.all_members()) == []
        assert not self.balancer._pools
        assert not self.balancer._containers
        assert not self.balancer._retired
        assert not self.checks.watched
        self.loop.close()

    @rule(
        pool_id=POOLS,
        urls=st.lists(st.sampled_from(URLS), unique=True, max_size=4),
        first=st.none() | st.sampled_from(URLS),
        key=KEYS,
        process=st.booleans(),
    )
    def define(
        self, pool_id: str, urls: list[str], first: str | None, key: str | None, process: bool
    ) -> None:
        config: dict[str, Any] = {"container_key_env": key}
        if process:
            config["process"] = {"argv": ["x"]}
        self.balancer.set_pool(
            pool_id, {"container_url": first, "container_urls": urls, "config": config}
        )
        self.named[pool_id] = list(dict.fromkeys(([first] if first else []) + urls))
        self.keys[pool_id] = key
        self.expects[pool_id] = process

    @rule(pool_id=POOLS)
    def archive(self, pool_id: str) -> None:
        if pool_id in self.named:
            self.balancer.forget_pool(pool_id)
            del self.named[pool_id]
            self.expects.pop(pool_id)

    @rule(pool_id=POOLS, url=st.sampled_from(PROCESSES))
    def add_process(self, pool_id: str, url: str) -> None:
        if pool_id in self.named and not any(url in process for process in self.processes.values()):
            member = self.balancer.add_process(pool_id, url)
            assert member.health == "starting"
            assert not member.takes_rollouts
            self.processes.setdefault(pool_id, []).append(url)

    @rule(pool_id=POOLS, url=st.sampled_from(PROCESSES))
    def remove_process(self, pool_id: str, url: str) -> None:
        self.balancer.remove_process(pool_id, url)
        if url in self.processes.get(pool_id, ()):
            self.processes[pool_id].remove(url)

    @rule(
        pool_id=POOLS,
        url=st.sampled_from(PROCESSES),
        state=st.sampled_from(["healthy", "starting", "stopped"]),
    )
    def set_process(self, pool_id: str, url: str, state: Any) -> None:
        if url in self.processes.get(pool_id, ()):
            before = self.told
            self.balancer.set_process(pool_id, url, state)
            assert self.balancer.member(pool_id, url).health == state
            if state == "healthy" and self.told == before:
                assert self.balancer.can_start(pool_id)

    @rule(url=st.sampled_from(URLS + PROCESSES), times=st.integers(1, 4), well=st.booleans())
    def check(self, url: str, times: int, well: bool) -> None:
        for container in list(self.checks.watched):
            if container.url == url and container.health.is_checked:
                for _ in range(times):
                    if well:
                        container.succeed()
                    else:
                        container.fail("ill")

    @rule(
        pool_id=POOLS,
        tried=st.sets(st.sampled_from(URLS)),
        retry=st.booleans(),
        direct=st.booleans(),
    )
    def place(self, pool_id: str, tried: set[str], retry: bool, direct: bool) -> None:
        members = {member.url: member for member in self._current(pool_id)}
        before = {url: member.container.load for url, member in members.items()}
        could = self.balancer.can_start(pool_id)
        place = self.balancer.acquire_now(pool_id, tried, is_retry=retry, direct=direct)
        self.places.append((pool_id, place, not direct))
        if not members:
            assert place.url is None
            return
        takes = {url: member for url, member in members.items() if member.takes_rollouts}
        assert could == bool(takes)
        if not takes:
            assert place.url is None
            return
        assert place.url is not None
        chosen = members[place.url]
        healthy = {url for url, member in takes.items() if member.health == "healthy"}
        if healthy:
            assert chosen.url in healthy
            assert not (chosen.url in tried and healthy - tried)
            rivals = healthy - tried or healthy
        else:
            assert not chosen.is_process
            rivals = set(takes) - tried or set(takes)
        if not retry:
            assert before[chosen.url] == min(before[url] for url in rivals)

    @precondition(lambda self: self.places)
    @rule(number=st.integers(0, 100))
    def leave(self, number: int) -> None:
        _, place, _ = self.places.pop(number % len(self.places))
        place.__exit__(None, None, None)

    @precondition(lambda self: self.places)
    @rule(number=st.integers(0, 100), url=st.none() | st.sampled_from([*URLS, "http://[::1]:9"]))
    def move(self, number: int, url: str | None) -> None:
        _, place, _ = self.places[number % len(self.places)]
        place.move(url)
        assert place.url == url

    @rule(pool_id=POOLS, url=st.sampled_from(URLS + PROCESSES))
    def drain(self, pool_id: str, url: str) -> None:
        async def is_drained() -> bool:
            task = asyncio.ensure_future(self.balancer.drained(pool_id, url))
            await asyncio.sleep(0)
            done = task.done()
            task.cancel()
            return done

        busy = any(
            member.retired and member.url == url and not member.is_idle
            for member in self.balancer.members(pool_id)
        )
        assert self.loop.run_until_complete(is_drained()) == (not busy)

    @invariant()
    def members_are_those_of_the_definition(self) -> None:
        for pool_id in ("a", "b"):
            addresses = [member.url for member in self._current(pool_id) if not member.is_process]
            assert addresses == self.named.get(pool_id, [])
            processes = [member.url for member in self._current(pool_id) if member.is_process]
            assert sorted(processes) == sorted(self.processes.get(pool_id, ()))
            for member in self._current(pool_id):
                if not member.is_process:
                    assert member.container.key_env == self.keys[pool_id]

    @invariant()
    def what_runs_is_counted_once(self) -> None:
        members = list(self.balancer.all_members())
        assert len(members) == len(set(members))
        holding = [(place._member, is_rollout) for _, place, is_rollout in self.places]
        for member in members:
            assert member.running == holding.count((member, True))
            assert member.direct == holding.count((member, False))
            assert not (member.retired and member.is_idle)
        for holder, _ in holding:
            assert holder is None or holder in members
        loads: Counter[Container] = Counter()
        for member in members:
            loads[member.container] += member.running + member.direct
        for container, load in loads.items():
            assert container.load == load

    @invariant()
    def each_container_is_watched_once(self) -> None:
        containers = Counter(member.container for member in self.balancer.all_members())
        assert self.checks.watched == Counter(dict.fromkeys(containers, 1))
        assert {container: container.members for container in containers} == containers
        shared = {
            member.container for member in self.balancer.all_members() if not member.is_process
        }
        assert set(self.balancer._containers.values()) >= shared

    @invariant()
    def a_pool_waits_only_for_its_processes(self) -> None:
        for pool_id in ("a", "b"):
            members = self._current(pool_id)
            if any(not member.is_process for member in members):
                assert self.balancer.can_start(pool_id)
            elif not members:
                assert self.balancer.can_start(pool_id) == (not self.expects.get(pool_id, False))

    def _current(self, pool_id: str) -> list[Member]:
        return [member for member in self.balancer.members(pool_id) if not member.retired]


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(max_examples=80, stateful_step_count=40)
