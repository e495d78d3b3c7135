# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/pool_states.py

"""States of pools: pause, resume, wait."""

from __future__ import annotations

from typing import Any

from synth_pools._client._sync.facade.base import Operations
from synth_pools._client.arguments import check_limit, path_segment
from synth_pools_api import api


class PoolStateOperations(Operations):
    """The operations on the states of pools, under their full and their short names."""

    def pause_pool(self, pool_id: str) -> dict[str, Any]:
        """Pause a pool: running rollouts go on, queued ones wait. It can be repeated.

        Args:
            pool_id: Id of the pool.

        Returns:
            The pool as it is now.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or never was active.
        """
        pool_id = path_segment(pool_id, "pool_id")
        return self._transport.request("pause_pool", api.pools.pause_pool._get_kwargs(pool_id))

    def pause(self, pool_id: str) -> dict[str, Any]:
        """Pause a pool: running rollouts go on, queued ones wait. It can be repeated.

        Args:
            pool_id: Id of the pool.

        Returns:
            The pool as it is now.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or never was active.
        """
        return self.pause_pool(pool_id)

    def resume_pool(self, pool_id: str) -> dict[str, Any]:
        """Admit rollouts to a paused pool again, or try again to start one that failed.

        Args:
            pool_id: Id of the pool.

        Returns:
            The pool as it is now: ``active``, or ``warming`` until its containers are up.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or still being prepared.
        """
        pool_id = path_segment(pool_id, "pool_id")
        return self._transport.request("resume_pool", api.pools.resume_pool._get_kwargs(pool_id))

    def resume(self, pool_id: str) -> dict[str, Any]:
        """Admit rollouts to a paused pool again, or try again to start one that failed.

        Args:
            pool_id: Id of the pool.

        Returns:
            The pool as it is now: ``active``, or ``warming`` until its containers are up.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or still being prepared.
        """
        return self.resume_pool(pool_id)

    def wait_pool_active(self, pool_id: str, *, timeout: float | None = 600.0) -> dict[str, Any]:
        """Wait until a pool is active.

        Args:
            pool_id: Id of the pool.
            timeout: Seconds; None for no limit.

        Returns:
            The pool.

        Raises:
            PoolFailedError: It has failed or is archived.
            WaitTimeoutError: It is not active in time; ``last`` is how it was seen last.
            NotFoundError: There is no such pool.
        """
        from synth_pools._client._sync.waiters import Waiter  # saves 2 ms

        check_limit(timeout, "timeout")
        pool_id = path_segment(pool_id, "pool_id")
        wait = Waiter(self._transport, timeout)
        return wait.until_active(api.pools.get_pool._get_kwargs(pool_id), pool_id)
