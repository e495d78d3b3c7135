"""``client.rollouts``: the rollouts of one pool, under short names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pools._client._async.fleet.runs import AsyncRolloutRunner

if TYPE_CHECKING:
    from synth_pools._client._async.event_stream import AsyncEventStream
    from synth_pools._client._async.pagination import AsyncItems


class AsyncRolloutsNamespace(AsyncRolloutRunner):
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
