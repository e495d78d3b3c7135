"""The nested spellings: ``client.rollouts.get(...)`` for ``client.get_rollout(...)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pools._client._async.artifact_files import AsyncArtifactFiles
from synth_pools._client._async.facade.agent_rollouts import AsyncAgentRolloutOperations
from synth_pools._client._async.facade.pools import AsyncPoolOperations
from synth_pools._client._async.facade.tasks import AsyncTaskOperations
from synth_pools._client._async.fleet.runs import AsyncRunning
from synth_pools._client.checks import check_flag, check_limit

if TYPE_CHECKING:
    from synth_pools._client._async.event_stream import AsyncEventStream
    from synth_pools._client._async.pagination import AsyncItems


class AsyncRolloutsNamespace(AsyncRunning):
    """``client.rollouts``: the rollouts of one pool."""

    def iter(
        self,
        pool_id: str,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> AsyncItems:
        """Short for `iter_rollouts`."""
        return self._client.iter_rollouts(
            pool_id, state=state, limit=limit, cursor=cursor, prefetch=prefetch
        )

    async def wait(
        self,
        pool_id: str,
        rollout_id: str,
        *,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
    ) -> dict[str, Any]:
        """Short for `wait_rollout`."""
        return await self._client.wait_rollout(
            pool_id, rollout_id, timeout=timeout, cancel_on_timeout=cancel_on_timeout
        )

    async def create(
        self, pool_id: str, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_rollout`."""
        return await self._client.create_rollout(pool_id, request, idempotency_key=idempotency_key)

    async def get(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout`."""
        return await self._client.get_rollout(pool_id, rollout_id)

    async def list(
        self,
        pool_id: str,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Short for `list_rollouts`."""
        return await self._client.list_rollouts(pool_id, state=state, limit=limit, cursor=cursor)

    async def cancel(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `cancel_rollout`."""
        return await self._client.cancel_rollout(pool_id, rollout_id)

    async def artifacts(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout_artifacts`."""
        return await self._client.get_rollout_artifacts(pool_id, rollout_id)

    async def usage(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout_usage`."""
        return await self._client.get_rollout_usage(pool_id, rollout_id)

    async def summary(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout_summary`."""
        return await self._client.get_rollout_summary(pool_id, rollout_id)

    def events(
        self, pool_id: str, rollout_id: str, *, cursor: str | None = None
    ) -> AsyncEventStream:
        """Short for `stream_rollout_events`."""
        return self._client.stream_rollout_events(pool_id, rollout_id, cursor=cursor)


class AsyncAgentRolloutsNamespace(AsyncArtifactFiles):
    """``client.agent_rollouts``: rollouts without naming their pool."""

    def __init__(self, client: AsyncAgentRolloutOperations) -> None:
        self._client = client

    def iter(
        self,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> AsyncItems:
        """Short for `iter_global_rollouts`."""
        return self._client.iter_global_rollouts(
            state=state, limit=limit, cursor=cursor, prefetch=prefetch
        )

    async def wait(
        self,
        rollout_id: str,
        *,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
    ) -> dict[str, Any]:
        """Wait until a rollout has ended, like `wait_rollout`.

        Args:
            rollout_id: The rollout.
            timeout: Seconds; None for no limit.
            cancel_on_timeout: Cancel the rollout when the time is over; else it is left as it is.

        Returns:
            The rollout.

        Raises:
            WaitTimeoutError: It has not ended in time; ``last`` is how it was seen last.
            NotFoundError: There is no such rollout.
        """
        from synth_pools._client._async.waiters import wait_for_rollout

        check_limit(timeout, "timeout")
        check_flag(cancel_on_timeout, "cancel_on_timeout")
        return await wait_for_rollout(
            self._client._transport,
            self._client._global_path(rollout_id),
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
        )

    async def create(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_global_rollout`."""
        return await self._client.create_global_rollout(request, idempotency_key=idempotency_key)

    async def validate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `validate_rollout`."""
        return await self._client.validate_rollout(request)

    async def create_batch(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_rollout_batch`."""
        return await self._client.create_rollout_batch(request, idempotency_key=idempotency_key)

    async def replay(
        self, rollout_id: str, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `replay_rollout`."""
        return await self._client.replay_rollout(rollout_id, idempotency_key=idempotency_key)

    async def get(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout`."""
        return await self._client.get_global_rollout(rollout_id)

    async def list(
        self, *, state: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Short for `list_global_rollouts`."""
        return await self._client.list_global_rollouts(state=state, limit=limit, cursor=cursor)

    async def cancel(self, rollout_id: str) -> dict[str, Any]:
        """Short for `cancel_global_rollout`."""
        return await self._client.cancel_global_rollout(rollout_id)

    async def artifacts(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_artifacts`."""
        return await self._client.get_global_rollout_artifacts(rollout_id)

    async def usage(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_usage`."""
        return await self._client.get_global_rollout_usage(rollout_id)

    async def summary(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_summary`."""
        return await self._client.get_global_rollout_summary(rollout_id)

    def events(self, rollout_id: str, *, cursor: str | None = None) -> AsyncEventStream:
        """Short for `stream_global_rollout_events`."""
        return self._client.stream_global_rollout_events(rollout_id, cursor=cursor)


class AsyncTasksNamespace:
    """``client.tasks``: the tasks of a pool."""

    def __init__(self, client: AsyncTaskOperations) -> None:
        self._client = client

    async def list(self, pool_id: str) -> dict[str, Any]:
        """Short for `list_tasks`."""
        return await self._client.list_tasks(pool_id)

    async def create(self, pool_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `create_task`."""
        return await self._client.create_task(pool_id, request)

    async def update(
        self, pool_id: str, task_id: str, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Short for `update_task`."""
        return await self._client.update_task(pool_id, task_id, request)

    async def patch(self, pool_id: str, task_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `patch_task`."""
        return await self._client.patch_task(pool_id, task_id, request)

    async def delete(self, pool_id: str, task_id: str) -> dict[str, Any]:
        """Short for `delete_task`."""
        return await self._client.delete_task(pool_id, task_id)


class AsyncMetricsNamespace:
    """``client.metrics``: how busy pools are."""

    def __init__(self, client: AsyncPoolOperations) -> None:
        self._client = client

    async def get(self, pool_id: str) -> dict[str, Any]:
        """Short for `get_pool_metrics`."""
        return await self._client.get_pool_metrics(pool_id)
