"""Health checks of containers in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from synth_pools.backend.containers.client import ContainerClient
from synth_pools.backend.containers.members import Container
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.errors import SHORTAGE, ApiError
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.domain.validation import is_answer

_log = logging.getLogger(__name__)

# Checks that run at the same time, whatever the number of containers.
_MOST_CONCURRENT = 32
# Factor of the interval for an unreachable container that no rollout waits for.
_UNUSED_FACTOR = 12
# Seconds between two attempts to connect to an address where nobody listens.
_FIRST_SEEK_SECONDS = 0.1
_LONGEST_SEEK_SECONDS = 1.0
# A longer answer is more than a health check needs.
_LONGEST_ANSWER = 64 * 1024


@dataclass(eq=False)
class HealthChecks:
    """Checks of containers, one task for each; a limited number run at the same time.

    Args:
        containers: The client for calls to containers.
        interval_seconds: The time between two checks of one container.
        timeout_seconds: The time limit of one check.
        leads: Returns True if this backend checks healthy containers for all backends.
    """

    containers: ContainerClient
    interval_seconds: float
    timeout_seconds: float
    leads: Callable[[], bool] = lambda: True
    _places: asyncio.Semaphore = field(
        default_factory=partial(asyncio.Semaphore, _MOST_CONCURRENT), init=False
    )
    _tasks: dict[Container, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _seeking: dict[Container, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _on_recovered: dict[Container, Callable[[], None]] = field(default_factory=dict, init=False)

    def watch(self, container: Container, on_recovered: Callable[[], None]) -> None:
        """Check a container now and periodically from then on.

        Args:
            container: The container.
            on_recovered: Called when it recovers, and when it listens again.
        """
        self._on_recovered[container] = on_recovered
        self._tasks[container] = asyncio.create_task(self._watch(container))

    def forget(self, container: Container) -> None:
        """Stop checking a container."""
        self._on_recovered.pop(container, None)
        for tasks in (self._tasks, self._seeking):
            task = tasks.pop(container, None)
            if task is not None:
                task.cancel()

    def found_listening(self, container: Container) -> None:
        """Note a successful connection to a container."""
        if container.find_listening():
            self._report_recovery(container)

    def found_nobody(self, container: Container, reason: str) -> bool:
        """Note that nobody listens at a container's address, and watch for its return.

        Args:
            container: The container; if it has no checks, the caller must watch for its return.
            reason: The error of the attempt to connect.

        Returns:
            True if it listened before, so that rollouts wait for it.
        """
        is_awaited = container.find_nobody(reason)
        if is_awaited and container in self._on_recovered and container not in self._seeking:
            self._seeking[container] = asyncio.create_task(self._seek(container))
        return is_awaited

    async def _seek(self, container: Container) -> None:
        """Try to connect repeatedly, one call at a time, until somebody listens."""
        pause = _FIRST_SEEK_SECONDS
        try:
            while container.away_since is not None:
                await asyncio.sleep(clock.jitter(pause))
                pause = min(2 * pause, _LONGEST_SEEK_SECONDS)
                async with self._places:
                    await self.fault(container)
        finally:
            if self._seeking.get(container) is asyncio.current_task():
                del self._seeking[container]

    async def close(self) -> None:
        """Stop all checks."""
        tasks = [*self._tasks.values(), *self._seeking.values()]
        self._tasks.clear()
        self._on_recovered.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, container: Container) -> None:
        while True:
            if container.health.is_checked and self._is_due(container):
                async with self._places:
                    try:
                        await self._check(container)
                    except Exception:  # noqa: BLE001 - a bug here must not leave it unwatched
                        url = container.without_query(container.url)
                        _log.exception("checking the container at %s crashed", url)
            await self._pause(container)

    def _is_due(self, container: Container) -> bool:
        return container.is_process or not container.is_well or self.leads()

    async def _pause(self, container: Container) -> None:
        # Spread over time, so that the checks do not always compete.
        interval = clock.jitter(self.interval_seconds)
        container.check_requested.clear()
        await asyncio.sleep(interval)
        is_requested = clock.monotonic() - container.last_requested_at < _UNUSED_FACTOR * interval
        if container.health.state == "unhealthy" and not is_requested:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((_UNUSED_FACTOR - 1) * interval):
                    await container.check_requested.wait()

    async def _check(self, container: Container) -> None:
        fault = await self.fault(container)
        if not container.health.is_checked:
            # Its process was stopped meanwhile.
            return
        if fault is None:
            if container.succeed():
                self._report_recovery(container)
        elif fault:
            container.fail(fault)

    def _report_recovery(self, container: Container) -> None:
        if (on_recovered := self._on_recovered.get(container)) is not None:
            on_recovered()

    async def fault(self, container: Container) -> str | None:
        """Check a container once.

        Returns:
            The fault in words; None if it is healthy, and an empty text if its health is unknown.
        """
        try:
            target = self.containers.at(container.url, container.key_env)
            status, raw = await target.check(self.timeout_seconds)
        except ApiError as error:
            return error.message
        except TargetError as error:
            if error.nobody_listens:
                self.found_nobody(container, error.message)
            elif error.code == "container_bad_response":
                self.found_listening(container)
            if error.details.get("cause") == SHORTAGE:
                return ""
            if container.is_busy and error.code == "container_timeout":
                # Many containers cannot work and answer a check at the same time.
                return ""
            return error.message
        self.found_listening(container)
        if status >= 500:
            return f"It answered {status} to /health."
        if len(raw) <= _LONGEST_ANSWER:
            with contextlib.suppress(json_text.BrokenJsonError):
                document = json_text.loads(raw)
                if isinstance(document, dict) and not is_answer("get_health", document):
                    return "It answered to /health that it is not healthy."
        return None
