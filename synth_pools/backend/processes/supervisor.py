"""Supervision of the processes of all pools."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.domain.definitions import starts_containers
from synth_pools.backend.domain.errors import ApiError, conflict
from synth_pools.backend.domain.releases import place_of
from synth_pools.backend.processes.engine import UNAVAILABLE
from synth_pools.backend.processes.image_launcher import ImageLauncher
from synth_pools.backend.processes.image_spec import ContainerSpec, ImageSpec, spec_of
from synth_pools.backend.processes.launcher import IMAGE, AnyLauncher, LaunchError, ProcessFailure
from synth_pools.backend.processes.local_launcher import LocalLauncher
from synth_pools.backend.processes.orphans import OrphanWatch
from synth_pools.backend.processes.output import OutputLogs
from synth_pools.backend.processes.permissions import REFUSALS, permission_refusal, start_refusal
from synth_pools.backend.processes.pool import PoolProcesses
from synth_pools.backend.processes.ports import Ports
from synth_pools.backend.processes.ray_cluster.cluster import RayCluster
from synth_pools.backend.processes.ray_cluster.ray_launcher import RayLauncher
from synth_pools.backend.processes.registry import ProcessRegistry
from synth_pools.backend.processes.replica import ReplicaContext
from synth_pools.backend.processes.spec import RAY, ProcessSpec
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.rollouts.recovery import end_lost
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage import pools
from synth_pools.backend.storage.database import Database, Row, Transaction
from synth_pools.backend.storage.pools import Pool

_KILL_SECONDS = 1.0

Specs: TypeAlias = dict[str, tuple[Mapping[str, Any], ContainerSpec | None]]


class Processes:
    """Processes of all pools, adapted to each change of a pool.

    `follow` is called after the commit of every change of a pool, in the event loop. It moves
    pools from `warming` to `active` or `failed`, and holds the queues of pools that are not active.
    Call `end_leftovers`, then `begin`, before any other method.

    Attributes:
        logs: The output of the processes.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        balancer: Balancer,
        scheduler: Scheduler,
        background: BackgroundTasks,
    ) -> None:
        self._database = database
        self._balancer = balancer
        self._scheduler = scheduler
        self._settings = settings
        self._registry = ProcessRegistry(database)
        self._watch = OrphanWatch()
        self._local = LocalLauncher(self._registry, self._watch, settings.process_envs)
        self._images = ImageLauncher(
            settings.mount_folders, settings.data_dir / "sockets", self._registry, self._watch
        )
        self._cluster = None if settings.ray is None else RayCluster(settings.ray)
        self._on_ray: dict[type, RayLauncher] = {}
        if self._cluster is not None:
            self._on_ray = {
                kind: RayLauncher(noun, self._cluster, self._registry, settings.mount_folders)
                for kind, noun in ((ProcessSpec, "process"), (ImageSpec, "container"))
            }
        self.logs = OutputLogs()
        self._context = ReplicaContext(
            settings, balancer, self._launcher_of, Ports(), self.logs, background
        )
        # Processes by pool and place.
        self._pools: dict[str, dict[str, PoolProcesses]] = {}
        self._background = background
        self._closing = False

    async def end_leftovers(self) -> None:
        """End the processes and containers of a former run of this backend.

        Raises:
            ClusterError: The Ray cluster cannot be used.
        """
        if self._cluster is not None:
            await self._cluster.open()
        await self._registry.open()
        await self._images.end_leftovers()
        if self._on_ray:
            # Either launcher ends the leftovers of both: it finds actors by their names.
            await self._on_ray[ProcessSpec].end_leftovers()

    def refusal(self, definition: Mapping[str, Any]) -> ApiError | None:
        """Return an error if the containers of a definition, or a patch, cannot be started."""
        return start_refusal(definition, self._settings)

    async def pin_image(self, reference: str, launcher: str | None) -> tuple[str, str]:
        """Return a reference of an image that keeps naming it, and its digest; pull it if missing.

        Raises:
            ApiError: The engine does not work, or the image cannot be pulled.
        """
        try:
            return await self._images.pin(reference, None if launcher == RAY else launcher)
        except LaunchError as error:
            if error.failure.code == UNAVAILABLE:
                raise conflict(UNAVAILABLE, error.failure.message) from None
            raise conflict(IMAGE, error.failure.message) from None

    async def begin(self) -> None:
        """Start the processes of all pools, and hold the queues that wait for them."""

        def work(tx: Transaction) -> None:
            for pool in pools.unarchived_pools(tx):
                if pool.owner in (None, tx.owner):
                    self.take_over(tx, pool)
                else:
                    tx.after_commit(partial(self.follow, pool))

        await self._database.write(work)

    def take_over(self, tx: Transaction, pool: Pool) -> Sequence[Row]:
        """Take over a pool whose containers ended together with their backend.

        Args:
            tx: A transaction; containers are started after its commit.
            pool: The pool.

        Returns:
            The rollouts that were lost with the containers.
        """
        status, error = self._status_at_start(pool)
        moved = pool
        if status != pool.status:
            moved = pools.move_pool(tx, pool, status, error)
        lost = end_lost(tx, moved)
        tx.after_commit(partial(self.follow, moved))
        return lost

    def give_up(self) -> None:
        """End all processes: other backends have taken the pools over."""
        for processes in self._all():
            processes.end_now()

    def _status_at_start(self, pool: Pool) -> tuple[str, dict[str, Any] | None]:
        """Return the pool's state after the end of its processes with the former run."""
        status = pool.status
        definitions = [pool.definition, *pool.task_definitions.values()]
        if not any(map(starts_containers, definitions)):
            return status, None
        refusals = (permission_refusal(item, self._settings) for item in definitions)
        refusal = next(filter(None, refusals), None)
        if status in ("active", "warming"):
            if refusal is None:
                return "warming", None
            return "failed", {"code": refusal.code, "message": refusal.message, "details": {}}
        if refusal is None and pool.error is not None and pool.error["code"] in REFUSALS:
            return "warming", None
        return status, None

    def follow(self, pool: Pool) -> None:
        """Adapt the pool's processes and its queue to its present state."""
        status = pool.status
        self._scheduler.hold(pool.id, status not in ("active", "archived"))
        if self._closing:
            return
        # Another backend may start its containers.
        is_ours = pool.owner in (None, self._database.owner)
        starts_tasks = is_ours and not pool.is_archived
        self._balancer.set_tasks(pool.id, pool.task_definitions if starts_tasks else {})
        specs = specs_of(pool)
        for place, former in list(self._pools.get(pool.id, {}).items()):
            if not is_ours:
                former.end_now()
            elif place not in specs:
                former.scale(None, 0)
        if not is_ours:
            return
        for place, (definition, spec) in specs.items():
            if spec is not None and permission_refusal(definition, self._settings) is not None:
                spec = None
            self._follow_at(place, pool, spec)

    def _follow_at(self, place: str, pool: Pool, spec: ContainerSpec | None) -> None:
        status = pool.status
        processes = self._pools.get(pool.id, {}).get(place) or self._new(pool.id, place)
        if status in ("warming", "active"):
            processes.scale(spec, int(pool.view["capacity"]))
        elif status == "paused":
            processes.end_when_drained(partial(self._scheduler.drained, pool.id))
        elif status == "failed":
            processes.end_current()
        else:
            processes.end_now()
        if status == "warming" and place == pool.id and (spec is None or processes.is_up):
            self._activate(pool.id, spec)
        if not processes.is_gone:
            self._pools.setdefault(pool.id, {})[place] = processes

    async def close(self) -> None:
        """End all processes; if cancelled, kill them."""
        self._closing = True
        for processes in self._all():
            processes.end_now()
        ending = {task for processes in self._all() for task in processes.ending}
        try:
            if ending:
                await asyncio.wait(ending)
            for launcher in self._on_ray.values():
                await launcher.close()
        except asyncio.CancelledError:
            for task in ending:
                task.cancel()
            if ending:
                await asyncio.wait(ending, timeout=_KILL_SECONDS)
            raise
        finally:
            await self._watch.close()
            if self._cluster is not None:
                await self._cluster.close()

    def _launcher_of(self, spec: ContainerSpec) -> AnyLauncher:
        if spec.launcher == RAY:
            return self._on_ray[type(spec)]
        return self._images if isinstance(spec, ImageSpec) else self._local

    def _new(self, pool_id: str, place: str) -> PoolProcesses:
        return PoolProcesses(
            place,
            self._context,
            partial(self._activate, pool_id) if place == pool_id else lambda _: None,
            partial(self._fail, pool_id),
            partial(self._forget, pool_id, place),
            lambda: self._pools.get(pool_id, {}).values(),
        )

    def _all(self) -> list[PoolProcesses]:
        return [processes for places in self._pools.values() for processes in places.values()]

    def _forget(self, pool_id: str, place: str) -> None:
        places = self._pools.get(pool_id, {})
        places.pop(place, None)
        if not places:
            self._pools.pop(pool_id, None)

    def _activate(self, pool_id: str, spec: ContainerSpec | None) -> None:
        self._move(pool_id, spec, ("warming",), "active", None)

    def _fail(self, pool_id: str, spec: ContainerSpec, failure: ProcessFailure) -> None:
        self._move(pool_id, spec, ("warming", "active"), "failed", failure)

    def _move(
        self,
        pool_id: str,
        spec: ContainerSpec | None,
        former: tuple[str, ...],
        status: str,
        failure: ProcessFailure | None,
    ) -> None:
        def work(tx: Transaction) -> None:
            pool = pools.find_pool(tx, pool_id)
            # The pool may have a new spec by now.
            specs = [current for _, current in specs_of(pool).values()]
            if pool.status in former and spec in specs:
                error = None if failure is None else failure.pool_error
                moved = pools.move_pool(tx, pool, status, error)
                tx.after_commit(lambda: self.follow(moved))

        self._background.start(self._database.write_until_stored(work))


def specs_of(pool: Pool) -> Specs:
    """Return the definitions and specs of a pool and of its tasks, by their places."""
    specs: Specs = {pool.id: (pool.view, spec_of(pool.view))}
    for task_id, definition in pool.task_definitions.items():
        specs[place_of(pool.id, task_id)] = definition, spec_of(definition)
    return specs
