# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces.py

"""The nested spellings: ``client.rollouts.get(...)`` for ``client.get_rollout(...)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.artifact_files import ArtifactFiles
from synth_pools._client._sync.facade.agent_rollouts import AgentRolloutOperations
from synth_pools._client._sync.facade.pools import PoolOperations
from synth_pools._client._sync.facade.tasks import TaskOperations
from synth_pools._client._sync.fleet.runs import Running
from synth_pools._client.checks import check_flag, check_limit

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import Items


class RolloutsNamespace(Running):
    """``client.rollouts``: the rollouts of one pool."""

    def iter(
        self,
        pool_id: str,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> Items:
        """Short for `iter_rollouts`."""
        return self._client.iter_rollouts(
            pool_id, state=state, limit=limit, cursor=cursor, prefetch=prefetch
        )

    def wait(
        self,
        pool_id: str,
        rollout_id: str,
        *,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
    ) -> dict[str, Any]:
        """Short for `wait_rollout`."""
        return self._client.wait_rollout(
            pool_id, rollout_id, timeout=timeout, cancel_on_timeout=cancel_on_timeout
        )

    def create(
        self, pool_id: str, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_rollout`."""
        return self._client.create_rollout(pool_id, request, idempotency_key=idempotency_key)

    def get(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout`."""
        return self._client.get_rollout(pool_id, rollout_id)

    def list(
        self,
        pool_id: str,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Short for `list_rollouts`."""
        return self._client.list_rollouts(pool_id, state=state, limit=limit, cursor=cursor)

    def cancel(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `cancel_rollout`."""
        return self._client.cancel_rollout(pool_id, rollout_id)

    def artifacts(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout_artifacts`."""
        return self._client.get_rollout_artifacts(pool_id, rollout_id)

    def usage(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout_usage`."""
        return self._client.get_rollout_usage(pool_id, rollout_id)

    def summary(self, pool_id: str, rollout_id: str) -> dict[str, Any]:
        """Short for `get_rollout_summary`."""
        return self._client.get_rollout_summary(pool_id, rollout_id)

    def events(self, pool_id: str, rollout_id: str, *, cursor: str | None = None) -> EventStream:
        """Short for `stream_rollout_events`."""
        return self._client.stream_rollout_events(pool_id, rollout_id, cursor=cursor)


class AgentRolloutsNamespace(ArtifactFiles):
    """``client.agent_rollouts``: rollouts without naming their pool."""

    def __init__(self, client: AgentRolloutOperations) -> None:
        self._client = client

    def iter(
        self,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> Items:
        """Short for `iter_global_rollouts`."""
        return self._client.iter_global_rollouts(
            state=state, limit=limit, cursor=cursor, prefetch=prefetch
        )

    def wait(
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
        from synth_pools._client._sync.waiters import wait_for_rollout

        check_limit(timeout, "timeout")
        check_flag(cancel_on_timeout, "cancel_on_timeout")
        return wait_for_rollout(
            self._client._transport,
            self._client._global_path(rollout_id),
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
        )

    def create(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_global_rollout`."""
        return self._client.create_global_rollout(request, idempotency_key=idempotency_key)

    def validate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `validate_rollout`."""
        return self._client.validate_rollout(request)

    def create_batch(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_rollout_batch`."""
        return self._client.create_rollout_batch(request, idempotency_key=idempotency_key)

    def replay(self, rollout_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Short for `replay_rollout`."""
        return self._client.replay_rollout(rollout_id, idempotency_key=idempotency_key)

    def get(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout`."""
        return self._client.get_global_rollout(rollout_id)

    def list(
        self, *, state: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Short for `list_global_rollouts`."""
        return self._client.list_global_rollouts(state=state, limit=limit, cursor=cursor)

    def cancel(self, rollout_id: str) -> dict[str, Any]:
        """Short for `cancel_global_rollout`."""
        return self._client.cancel_global_rollout(rollout_id)

    def artifacts(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_artifacts`."""
        return self._client.get_global_rollout_artifacts(rollout_id)

    def usage(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_usage`."""
        return self._client.get_global_rollout_usage(rollout_id)

    def summary(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_summary`."""
        return self._client.get_global_rollout_summary(rollout_id)

    def events(self, rollout_id: str, *, cursor: str | None = None) -> EventStream:
        """Short for `stream_global_rollout_events`."""
        return self._client.stream_global_rollout_events(rollout_id, cursor=cursor)


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
