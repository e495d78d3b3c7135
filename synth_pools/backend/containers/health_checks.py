"""Health checks of containers in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ..domain import clock, json_text
from ..domain.errors import ApiError
from ..domain.target import TargetError
from .client import ContainerClient
from .members import Container

_log = logging.getLogger(__name__)

# How many are looked at at the same time, of however many there are.
_MOST_CONCURRENT = 32
# A container that is gone and that nobody asks for is looked for this many times more rarely.
_UNUSED_FACTOR = 12
# An answer that is longer says more than whether the container is well.
_LONGEST_ANSWER = 64 * 1024


class HealthChecks:
    """One task for each container; a limited number of them check at the same time.

    Args:
        containers: The client to call them with.
        interval_seconds: The time between two checks of one container.
        timeout_seconds: The time that one check may take.
    """

    def __init__(
        self, containers: ContainerClient, interval_seconds: float, timeout_seconds: float
    ) -> None:
        self._containers = containers
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._places = asyncio.Semaphore(_MOST_CONCURRENT)
        self._tasks: dict[Container, asyncio.Task[None]] = {}

    def watch(self, container: Container, on_recovered: Callable[[], None]) -> None:
        """Check a container now and periodically from then on.

        Args:
            container: The container.
            on_recovered: Called when it is well again.
        """
        self._tasks[container] = asyncio.create_task(self._watch(container, on_recovered))

    def forget(self, container: Container) -> None:
        """Stop checking a container."""
        task = self._tasks.pop(container, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop all checks."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, container: Container, on_recovered: Callable[[], None]) -> None:
        while True:
            if container.health.is_checked:
                async with self._places:
                    try:
                        await self._check(container, on_recovered)
                    except Exception:  # noqa: BLE001 - a bug here must not leave it unwatched
                        where = container.without_query(container.url)
                        _log.exception("checking the container at %s crashed", where)
            await self._pause(container)

    async def _pause(self, container: Container) -> None:
        # Not all in step: they would be in each other's way for ever.
        interval = clock.jitter(self._interval)
        container.check_requested.clear()
        await asyncio.sleep(interval)
        is_requested = clock.monotonic() - container.last_requested_at < _UNUSED_FACTOR * interval
        if container.health.state == "unhealthy" and not is_requested:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((_UNUSED_FACTOR - 1) * interval):
                    await container.check_requested.wait()

    async def _check(self, container: Container, on_recovered: Callable[[], None]) -> None:
        fault = await self.fault(container)
        if not container.health.is_checked:
            # Its process was stopped meanwhile.
            return
        if fault is None:
            if container.succeed():
                on_recovered()
        elif fault:
            container.fail(fault)

    async def fault(self, container: Container) -> str | None:
        """Check a container once.

        Returns:
            The fault in words; None if it is well, and no words if that cannot be told now.
        """
        try:
            target = self._containers.at(container.url, container.key_env)
            status, raw = await target.check(self._timeout)
        except ApiError as error:
            return error.message
        except TargetError as error:
            if container.is_busy and error.code == "container_timeout":
                # Many cannot do both at once: work, and say that they are there.
                return ""
            return error.message
        if status >= 500:
            return f"It answered {status} to /health."
        if len(raw) <= _LONGEST_ANSWER:
            with contextlib.suppress(json_text.BrokenJsonError):
                document = json_text.loads(raw)
                if isinstance(document, dict) and document.get("healthy") is False:
                    return "It answered to /health that it is not healthy."
        return None
