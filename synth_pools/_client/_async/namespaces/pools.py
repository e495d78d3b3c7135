"""``client.tasks`` and ``client.metrics``: tasks and metrics of a pool, under short names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools._client._async.facade.pools import AsyncPoolOperations
from synth_pools._client._async.facade.tasks import AsyncTaskOperations


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
