# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/rollouts.py

"""``client.rollouts``: the rollouts of one pool, under short names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.fleet.runs import RolloutRunner

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import Items


class RolloutsNamespace(RolloutRunner):
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
