"""How busy a pool is and how well its rollouts go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import metrics as operations
from .calls import Group

if TYPE_CHECKING:
    from ...models.pool_metrics import PoolMetrics
    from ...types import Id


class MetricsApi(Group):
    """How busy a pool is and how well its rollouts go."""

    def get_pool_metrics(self, pool_id: Id) -> PoolMetrics:
        """Get the metrics of a pool.

        Returns the counts of this pool's rollouts at this moment. `success_rate` is
        `completed_rollouts / (completed_rollouts + failed_rollouts)`; null while both are 0.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.pool_metrics import PoolMetrics

        return self._calls.call(
            "get_pool_metrics",
            operations.get_pool_metrics._get_kwargs,
            PoolMetrics.from_dict,
            path={"pool_id": pool_id},
        )
