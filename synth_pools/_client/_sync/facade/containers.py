# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/containers.py

"""The containers behind pools and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools._client._sync.facade.base import Operations
from synth_pools._client.arguments import check_count, request_body
from synth_pools_api.types import Id


class ContainerOperations(Operations):
    """The operations that the service forwards to the container of a pool or of a task.

    They return the container's own answer. Apart from the errors of all operations they raise:
        NotFoundError: There is no such pool or task, or the container does not have this operation.
        ServerError: The container is unreachable, too slow, or answered with an error.
    """

    def get_pool_container_health(self, pool_id: Id) -> dict[str, Any]:
        """Get the health of the container of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            The container's own answer.
        """
        return self._ask("get_pool_container_health", pool_id=pool_id)

    def get_pool_container_info(self, pool_id: Id) -> dict[str, Any]:
        """Get the self-description of the container of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            The container's own answer.
        """
        return self._ask("get_pool_container_info", pool_id=pool_id)

    def get_pool_container_metadata(self, pool_id: Id) -> dict[str, Any]:
        """Get the metadata of the container of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            The container's own answer.
        """
        return self._ask("get_pool_container_metadata", pool_id=pool_id)

    def get_pool_container_task_info(
        self, pool_id: Id, *, seed: int | None = None
    ) -> dict[str, Any]:
        """Get the task description of the container of a pool.

        Args:
            pool_id: Id of the pool.
            seed: Seed whose task to describe.

        Returns:
            The container's own answer.
        """
        query = {}
        if seed is not None:
            query["seed"] = check_count(seed, "seed", least=-(2**63), most=2**63 - 1)
        return self._ask("get_pool_container_task_info", query, pool_id=pool_id)

    def get_pool_container_program(self, pool_id: Id) -> dict[str, Any]:
        """Get the program of the container of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            The container's own answer.
        """
        return self._ask("get_pool_container_program", pool_id=pool_id)

    def get_pool_container_taskset(self, pool_id: Id) -> dict[str, Any]:
        """Get the taskset of the container of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            The container's own answer.
        """
        return self._ask("get_pool_container_taskset", pool_id=pool_id)

    def execute_pool_container_rollout(
        self, pool_id: Id, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run one rollout on the container of a pool, outside of the queue.

        Args:
            pool_id: Id of the pool.
            request: Passed on to the container unchanged; any keys are allowed.

        Returns:
            The container's own answer.

        Raises:
            ConflictError: The pool is archived.
        """
        return self._ask(
            "execute_pool_container_rollout", {"body": request_body(request)}, pool_id=pool_id
        )
