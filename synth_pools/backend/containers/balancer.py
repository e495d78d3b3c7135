"""Balancing of rollouts between the containers of a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from synth_pools.backend.containers.health_checks import HealthChecks
from synth_pools.backend.containers.members import (
    Address,
    Container,
    HealthState,
    LeaseInterruptedError,
    Member,
    Outage,
    choose,
)
from synth_pools.backend.domain.definitions import (
    StartRate,
    container_key_env,
    container_urls,
    start_rate,
    starts_containers,
)
from synth_pools.backend.domain.releases import place_of


@dataclass(slots=True, eq=False)
class _PoolSet:
    """Containers of one pool."""

    # Replaced whenever the waiting rollouts are interrupted.
    interruption: object = field(default_factory=object)
    members: dict[str, Member] = field(default_factory=dict)
    key_env: str | None = None
    start_rate: StartRate | None = None
    # True if its definition asks for processes, even before one is spawned.
    starts_containers: bool = False
    is_archived: bool = False


class Lease:
    """Claim of one rollout on a container, released at the end of the block.

    `url` is None if the pool has no container: the built-in echo target runs the rollout. `place`
    is the pool, or that of a task with containers of its own.
    """

    __slots__ = ("_balancer", "_direct", "_member", "place", "url")

    def __init__(
        self, balancer: Balancer, pool_id: str, member: Member | None, *, direct: bool = False
    ) -> None:
        self._balancer = balancer
        self.place = pool_id
        self._direct = direct
        self.url: str | None = None
        self._member: Member | None = None
        self._occupy(member)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def move(self, url: str | None) -> None:
        """Move the claim to the task's own container, or to that of an earlier attempt."""
        if url != self.url:
            self.release()
            self._occupy(None if url is None else self._balancer.find(self.place, url))
            self.url = url

    def candidates(self) -> list[Member]:
        """Return the members of the pool, one of which was chosen."""
        return self._balancer.current_members(self.place)

    def report_listening(self) -> None:
        """Note a successful connection to the container."""
        if self._member is not None:
            self._balancer.found_listening(self._member)

    def report_unreachable(self, reason: str, *, nobody_listens: bool) -> bool:
        """Count a failed connection as a failed check.

        Args:
            reason: The error of the attempt to connect.
            nobody_listens: True if waiting may help.

        Returns:
            True if the container listened before; then the rollout waits for it.
        """
        if self._member is None:
            return False
        self._member.container.fail(reason)
        return nobody_listens and self._balancer.found_nobody(self._member, reason)

    def release(self) -> None:
        """Release the claim; do nothing if it was released before."""
        member, self._member = self._member, None
        if member is not None:
            member.release(direct=self._direct)
            if member.retired and member.is_idle:
                self._balancer.release_retired(member)

    def _occupy(self, member: Member | None) -> None:
        self._member = member
        if member is not None:
            self.url = member.url
            member.occupy(direct=self._direct)


class Balancer:
    """Containers of all pools, and the choice between them; for the event loop only.

    Addresses come from the definitions of pools (`set_pool`, after the commit that changed one).
    Processes are reported by the code that starts them:

    - `add_process(pool_id, url)` as soon as one is spawned; it is `starting` and gets no rollouts.
    - `set_process(pool_id, url, "healthy")` when it answers: it gets rollouts, and is checked in
      the background from then on, so that it may become `unhealthy` and `healthy` again by itself.
      `"stopped"` or `"starting"` when it has died: no rollouts until it is set healthy again.
    - `remove_process(pool_id, url)` when it must end: it gets no new rollouts, and its rollouts go
      on; `await drained(pool_id, url)` returns when they have ended.

    `member(pool_id, url)` returns the member, to set `pid` and `restarts`. If a pool has only
    processes, and none is healthy, its rollouts wait (`can_start` is False).

    Args:
        checks: The background checks.
        on_change: Called whenever waiting rollouts may find a container.
    """

    def __init__(self, checks: HealthChecks, on_change: Callable[[], None]) -> None:
        self._checks = checks
        self._on_change = on_change
        # True once the waits of all pools were interrupted.
        self.is_stopping = False
        self._pools: dict[str, _PoolSet] = {}
        self._containers: dict[Address, Container] = {}
        # Members that have left their pool and still run rollouts.
        self._retired: dict[str, list[Member]] = {}
        # Places of tasks with containers of their own, by pool and task.
        self._places: dict[str, dict[str, str]] = {}
        self._changed = asyncio.Event()

    def set_pool(self, pool_id: str, definition: Mapping[str, Any]) -> None:
        """Apply the definition of a new or changed pool; its processes stay."""
        pool = self._pools.setdefault(pool_id, _PoolSet())
        key_env = container_key_env(definition)
        if key_env != pool.key_env:
            pool.key_env = key_env
            for member in pool.members.values():
                if member.is_process:
                    member.container.key_env = key_env
        pool.start_rate = start_rate(definition)
        pool.starts_containers = starts_containers(definition)
        pool.is_archived = False
        former = pool.members
        pool.members = {}
        for url in container_urls(definition):
            current = former.get(url)
            if current is None or current.is_process or current.container.key_env != key_env:
                current = self._returned(pool_id, url, key_env) or self._new(pool_id, url, key_env)
            pool.members[url] = current
        pool.members.update((url, member) for url, member in former.items() if member.is_process)
        for url, current in former.items():
            if pool.members.get(url) is not current:
                self._retire(current)
        self._notify_change()

    def forget_pool(self, pool_id: str) -> None:
        """Drop an archived pool; its processes stay until they are removed."""
        self.set_pool(pool_id, {})
        self._pools[pool_id].is_archived = True
        self._forget_if_empty(pool_id)

    def set_tasks(self, pool_id: str, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Set the tasks of a pool that have containers of their own, with their definitions.

        The place of a task is like a pool: all methods that take the id of a pool take it, too.
        """
        places = {task_id: place_of(pool_id, task_id) for task_id in definitions}
        for task_id, place in self._places.pop(pool_id, {}).items():
            if task_id not in places:
                self.forget_pool(place)
        for task_id, place in places.items():
            self.set_pool(place, definitions[task_id])
        if places:
            self._places[pool_id] = places

    def places(self, pool_id: str) -> Mapping[str, str]:
        """Return the places of the tasks of a pool that have containers of their own."""
        return self._places.get(pool_id, {})

    def members(self, pool_id: str) -> list[Member]:
        """List the pool's members, including former ones that still run rollouts."""
        return self.current_members(pool_id) + self._retired.get(pool_id, [])

    def current_members(self, pool_id: str) -> list[Member]:
        """List the pool's members that may get rollouts."""
        pool = self._pools.get(pool_id)
        return [] if pool is None else list(pool.members.values())

    def member(self, pool_id: str, url: str) -> Member:
        """Return the member at this address; `KeyError` if the pool has none there."""
        return self._pools[pool_id].members[url]

    def all_members(self) -> Iterator[Member]:
        """Iterate over the members of all pools."""
        for pool_id in {*self._pools, *self._retired}:
            yield from self.members(pool_id)

    def ejected(self) -> dict[Address, str]:
        """Return the addresses of ejected containers, with reasons, except processes."""
        return {
            address: container.health.last_error or ""
            for address, container in self._containers.items()
            if container.health.state == "unhealthy"
        }

    def eject(self, address: Address, reason: str) -> None:
        """Eject a container that another backend has ejected."""
        if address in self._containers:
            self._containers[address].eject(reason)

    def take_back(self, address: Address) -> None:
        """Restore a container that another backend has restored."""
        if address in self._containers and self._containers[address].take_back():
            self._notify_change()

    def add_process(self, pool_id: str, url: str) -> Member:
        """Add a spawned process; it gets rollouts once it is set healthy."""
        pool = self._pools.setdefault(pool_id, _PoolSet())
        container = Container(url, pool.key_env, is_process=True)
        member = Member(pool_id, container)
        former = pool.members.get(url)
        pool.members[url] = member
        if former is not None:
            self._retire(former)
        container.members = 1
        self._checks.watch(container, self._notify_change)
        return member

    def set_process(
        self, pool_id: str, url: str, state: HealthState, last_error: str | None = None
    ) -> None:
        """Set the state of a process."""
        member = self.member(pool_id, url)
        if last_error is not None:
            member.container.health.last_error = last_error
        if state == "healthy":
            self._checks.found_listening(member.container)
        if member.container.health.set(state):
            self._notify_change()

    async def fault(self, pool_id: str, url: str) -> str | None:
        """Check a container now; return the fault in words, None if it is healthy."""
        return await self._checks.fault(self.member(pool_id, url).container)

    def remove_process(self, pool_id: str, url: str) -> None:
        """Remove a process; do nothing if it was removed before."""
        pool = self._pools.get(pool_id)
        member = None if pool is None else pool.members.get(url)
        if pool is not None and member is not None and member.is_process:
            del pool.members[url]
            self._retire(member)
            self._forget_if_empty(pool_id)
            self._notify_change()

    async def drained(self, pool_id: str, url: str) -> None:
        """Return when no rollout runs on a removed process any more."""
        for member in list(self._retired.get(pool_id, ())):
            if member.url == url and not member.is_idle:
                member.idle = member.idle or asyncio.Event()
                await member.idle.wait()

    def can_start(self, pool_id: str) -> bool:
        """Return True if another rollout would find a container, or the echo target."""
        pool = self._pools.get(pool_id)
        if pool is None:
            return True
        if not pool.members:
            return not pool.starts_containers
        return any(member.takes_rollouts for member in pool.members.values())

    def start_rate(self, pool_id: str) -> StartRate | None:
        """Return the rate at which rollouts of the pool may start; None if it has no limit."""
        pool = self._pools.get(pool_id)
        return None if pool is None else pool.start_rate

    def outage(self, pool_id: str) -> Outage | None:
        """Return the outage of a pool if none of its addresses listens, else None."""
        pool = self._pools.get(pool_id)
        members = () if pool is None else pool.members.values()
        latest: Outage | None = None
        for member in members:
            since = member.container.away_since
            if member.is_open:
                return None
            if since is not None and (latest is None or since > latest.since):
                latest = Outage(since, member.url, member.last_error or "")
        return latest

    def interrupt(self, pool_id: str | None) -> None:
        """Interrupt all waits in `acquire` for a container of a pool; of all (None) at the end."""
        places = self._pools if pool_id is None else (pool_id, *self.places(pool_id).values())
        for pool in filter(None, map(self._pools.get, places)):
            pool.interruption = object()
        self.is_stopping |= pool_id is None
        self._notify_change()

    def found_listening(self, member: Member) -> None:
        """Note a successful connection to the container."""
        self._checks.found_listening(member.container)

    def found_nobody(self, member: Member, reason: str) -> bool:
        """Note that nobody listens; return True if it listened before, so that rollouts wait."""
        return self._checks.found_nobody(member.container, reason)

    async def acquire(
        self,
        pool_id: str,
        tried: Collection[str] = (),
        *,
        is_retry: bool = False,
        patience: Callable[[], Awaitable[float | None]] | None = None,
    ) -> Lease:
        """Lease a container for a rollout of this pool, as soon as one is free.

        Args:
            pool_id: The pool.
            tried: Addresses to avoid if another one is as healthy.
            is_retry: True if an earlier attempt failed.
            patience: Returns the longest wait from now in seconds; None without limit.

        Raises:
            LeaseInterruptedError: `interrupt` was called meanwhile.
            TimeoutError: No container was free in time.
        """
        pool = self._pools.get(pool_id)
        interruption = None if pool is None else pool.interruption
        while not self._is_open(pool_id):
            changed = self._changed
            async with asyncio.timeout(None if patience is None else await patience()):
                await changed.wait()
            pool = self._pools.get(pool_id)
            if pool is not None and pool.interruption is not interruption:
                raise LeaseInterruptedError
        return self.acquire_now(pool_id, tried, is_retry=is_retry)

    def acquire_if_open(self, pool_id: str) -> Lease | None:
        """Lease a container at once; None if a rollout would have to wait for one."""
        return self.acquire_now(pool_id) if self._is_open(pool_id) else None

    def acquire_now(
        self,
        pool_id: str,
        tried: Collection[str] = (),
        *,
        is_retry: bool = False,
        direct: bool = False,
    ) -> Lease:
        """Lease a container at once; `direct` is True for a call outside of rollouts."""
        pool = self._pools.get(pool_id)
        if pool is None:
            return Lease(self, pool_id, None, direct=direct)
        members = pool.members.values()
        for member in members:
            member.container.request_check()
        choice = choose(members, tried, is_retry=is_retry)
        return Lease(self, pool_id, choice, direct=direct)

    def has_other(self, pool_id: str, tried: Collection[str]) -> bool:
        """Return True if there is a healthy container that was not tried yet."""
        pool = self._pools.get(pool_id)
        return pool is not None and any(
            member.health == "healthy" and member.is_open and url not in tried
            for url, member in pool.members.items()
        )

    def find(self, pool_id: str, url: str) -> Member | None:
        """Return the pool's container at this address, even if it has left the pool."""
        pool = self._pools.get(pool_id)
        member = None if pool is None else pool.members.get(url)
        if member is None:
            member = next((old for old in self._retired.get(pool_id, ()) if old.url == url), None)
        return member

    def release_retired(self, member: Member) -> None:
        """Drop a member that has left the pool and no longer runs anything."""
        if member in self._retired.get(member.pool_id, ()):
            self._forget_retired(member)
            self._drop(member.container)

    def _is_open(self, pool_id: str) -> bool:
        pool = self._pools.get(pool_id)
        if pool is None or not pool.members:
            return self.can_start(pool_id)
        return any(member.is_open for member in pool.members.values())

    def _forget_if_empty(self, pool_id: str) -> None:
        pool = self._pools[pool_id]
        if pool.is_archived and not pool.members:
            del self._pools[pool_id]

    def _new(self, pool_id: str, url: str, key_env: str | None) -> Member:
        container = self._containers.get((url, key_env))
        if container is None:
            container = self._containers[url, key_env] = Container(url, key_env)
            self._checks.watch(container, self._notify_change)
        container.members += 1
        return Member(pool_id, container)

    def _returned(self, pool_id: str, url: str, key_env: str | None) -> Member | None:
        """Restore a retired member that still runs rollouts and that the definition names again."""
        for member in self._retired.get(pool_id, ()):
            if (member.url, member.container.key_env) == (url, key_env) and not member.is_process:
                self._forget_retired(member)
                member.retired = False
                return member
        return None

    def _forget_retired(self, member: Member) -> None:
        retired = self._retired[member.pool_id]
        retired.remove(member)
        if not retired:
            del self._retired[member.pool_id]

    def _retire(self, member: Member) -> None:
        member.retired = True
        if member.is_idle:
            self._drop(member.container)
        else:
            self._retired.setdefault(member.pool_id, []).append(member)

    def _drop(self, container: Container) -> None:
        container.members -= 1
        if not container.members:
            self._checks.forget(container)
            place = (container.url, container.key_env)
            if self._containers.get(place) is container:
                del self._containers[place]

    def _notify_change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._on_change()
