# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""``client.metrics``: the load of pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._async.facade.base import AsyncNamespace
from synth_pools._client._async.facade.pools import AsyncPoolOperations

if TYPE_CHECKING:
    from synth_pools_api.types import Id


class AsyncMetricsNamespace(AsyncNamespace):
    """``client.metrics``: the load of pools."""

    def __init__(self, client: AsyncPoolOperations) -> None:
        self._client = client

    async def get(self, pool_id: Id) -> dict[str, Any]:
        """Get the number of a pool's rollouts in each state, its success rate and its capacity.

        Args:
            pool_id: Id of the pool.

        Returns:
            The metrics.

        Raises:
            NotFoundError: There is no such pool.
        """
        return await self._client.get_pool_metrics(pool_id)
