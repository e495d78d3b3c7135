"""Supervision of the processes of all pools."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.domain.definitions import starts_containers
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.processes.image_launcher import ImageLauncher
from synth_pools.backend.processes.image_spec import ContainerSpec, ImageSpec, spec_of
from synth_pools.backend.processes.launcher import AnyLauncher, ProcessFailure
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
        self._pools: dict[str, PoolProcesses] = {}
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
        for processes in list(self._pools.values()):
            processes.end_now()

    def _status_at_start(self, pool: Pool) -> tuple[str, dict[str, Any] | None]:
        """Return the pool's state after the end of its processes with the former run."""
        status = pool.status
        if not starts_containers(pool.definition):
            return status, None
        refusal = permission_refusal(pool.definition, self._settings)
        if status in ("active", "warming"):
            if refusal is None:
                return "warming", None
            return "failed", {"code": refusal.code, "message": refusal.message, "details": {}}
        if status == "failed" and refusal is None and pool.error_code in REFUSALS:
            return "warming", None
        return status, None

    def follow(self, pool: Pool) -> None:
        """Adapt the pool's processes and its queue to its present state."""
        status = pool.status
        self._scheduler.hold(pool.id, status not in ("active", "archived"))
        if self._closing:
            return
        if pool.owner not in (None, self._database.owner):
            # Another backend starts its containers.
            if (former := self._pools.get(pool.id)) is not None:
                former.end_now()
            return
        spec = spec_of(pool.view)
        if spec is not None and permission_refusal(pool.view, self._settings) is not None:
            spec = None
        processes = self._pools.get(pool.id)
        if processes is None:
            processes = self._new(pool.id)
        if status in ("warming", "active"):
            processes.scale(spec, int(pool.view["capacity"]))
        elif status == "paused":
            processes.end_when_drained(partial(self._scheduler.drained, pool.id))
        elif status == "failed":
            processes.end_current()
        else:
            processes.end_now()
        if status == "warming" and (spec is None or processes.is_up):
            self._activate(pool.id, spec)
        if not processes.is_gone:
            self._pools[pool.id] = processes

    async def close(self) -> None:
        """End all processes; if cancelled, kill them."""
        self._closing = True
        for processes in self._pools.values():
            processes.end_now()
        ending = {task for processes in self._pools.values() for task in processes.ending}
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

    def _new(self, pool_id: str) -> PoolProcesses:
        return PoolProcesses(
            pool_id,
            self._context,
            partial(self._activate, pool_id),
            partial(self._fail, pool_id),
            partial(self._pools.pop, pool_id, None),
        )

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
            if pool.status in former and spec_of(pool.view) == spec:
                error = None if failure is None else failure.pool_error
                moved = pools.move_pool(tx, pool, status, error)
                tx.after_commit(lambda: self.follow(moved))

        self._background.start(self._database.write_until_stored(work))
