# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/pools.py

"""``client.tasks`` and ``client.metrics``: tasks and metrics of a pool, under short names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools._client._sync.facade.pools import PoolOperations
from synth_pools._client._sync.facade.tasks import TaskOperations


class TasksNamespace:
    """``client.tasks``: the tasks of a pool."""

    def __init__(self, client: TaskOperations) -> None:
        self._client = client

    def list(self, pool_id: str) -> dict[str, Any]:
        """Short for `list_tasks`."""
        return self._client.list_tasks(pool_id)

    def create(self, pool_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `create_task`."""
        return self._client.create_task(pool_id, request)

    def update(self, pool_id: str, task_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `update_task`."""
        return self._client.update_task(pool_id, task_id, request)

    def patch(self, pool_id: str, task_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `patch_task`."""
        return self._client.patch_task(pool_id, task_id, request)

    def delete(self, pool_id: str, task_id: str) -> dict[str, Any]:
        """Short for `delete_task`."""
        return self._client.delete_task(pool_id, task_id)


class MetricsNamespace:
    """``client.metrics``: how busy pools are."""

    def __init__(self, client: PoolOperations) -> None:
        self._client = client

    def get(self, pool_id: str) -> dict[str, Any]:
        """Short for `get_pool_metrics`."""
        return self._client.get_pool_metrics(pool_id)
