"""The service as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._async.facade.base import AsyncOperations
from synth_pools._client.arguments import request_body
from synth_pools_api import api

if TYPE_CHECKING:
    from synth_pools_api.requests import PlainRequest, QueryRequestDict


class AsyncServiceOperations(AsyncOperations):
    """The operations on the service as a whole."""

    async def get_queue_status(self) -> dict[str, Any]:
        """Get the number of rollouts that wait, that run, and that may run at once.

        Returns:
            The status of the queue.
        """
        return await self._ask("get_queue_status")

    async def get_capabilities(self) -> dict[str, Any]:
        """Get the capabilities of the service: its pool targets, its features, its version.

        Returns:
            The capabilities.
        """
        return await self._ask("get_capabilities")

    async def run_query(self, request: str | QueryRequestDict | PlainRequest) -> dict[str, Any]:
        """Read the service's views of runs, rollouts, usage and events with a statement in SQL.

        Args:
            request: One statement that begins with SELECT, WITH or VALUES; or an object with it
                as ``sql`` and a ``limit`` of its rows.

        Returns:
            ``{"columns": [...], "rows": [[...], ...], "truncated": ...}``; it is truncated where
            there are further rows.

        Raises:
            ConflictError: The statement reads no view, or takes too much (``query_refused``).
        """
        body = request_body({"sql": request} if isinstance(request, str) else request)
        call = api.service.run_query._get_kwargs(body=body)
        return await self._transport.request("run_query", call)
