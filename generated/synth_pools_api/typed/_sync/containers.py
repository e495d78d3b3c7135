"""Direct calls to the container behind a pool or a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import containers as operations
from .calls import Group

if TYPE_CHECKING:
    from ...models.container_health import ContainerHealth
    from ...models.container_info import ContainerInfo
    from ...models.container_metadata import ContainerMetadata
    from ...models.container_program import ContainerProgram
    from ...models.container_rollout_request import ContainerRolloutRequest
    from ...models.container_rollout_result import ContainerRolloutResult
    from ...models.container_task_info import ContainerTaskInfo
    from ...models.container_taskset import ContainerTaskset
    from ...types import Id


class ContainersApi(Group):
    """Direct calls to the container behind a pool or a task."""

    def execute_pool_container_rollout(
        self, pool_id: Id, *, body: ContainerRolloutRequest
    ) -> ContainerRolloutResult:
        """Run a rollout directly on a pool's container.

        Posts the body unchanged to the pool's container, see *Direct calls*. Queues, stores and
        measures nothing: the result exists only in this answer.

        Args:
            pool_id: The id of a pool.
            body: A rollout request in the container's own terms; passed through.
        """
        from ...models.container_rollout_request import ContainerRolloutRequest
        from ...models.container_rollout_result import ContainerRolloutResult

        return self._calls.call(
            "execute_pool_container_rollout",
            operations.execute_pool_container_rollout._get_kwargs,
            ContainerRolloutResult.from_dict,
            path={"pool_id": pool_id},
            body=(ContainerRolloutRequest, body),
        )

    def execute_task_container_rollout(
        self, pool_id: Id, task_id: Id, *, body: ContainerRolloutRequest
    ) -> ContainerRolloutResult:
        """Run a rollout directly on a task's container.

        Posts the body unchanged to the task's container, see *Direct calls*. Queues, stores and
        measures nothing: the result exists only in this answer.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            body: A rollout request in the container's own terms; passed through.
        """
        from ...models.container_rollout_request import ContainerRolloutRequest
        from ...models.container_rollout_result import ContainerRolloutResult

        return self._calls.call(
            "execute_task_container_rollout",
            operations.execute_task_container_rollout._get_kwargs,
            ContainerRolloutResult.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            body=(ContainerRolloutRequest, body),
        )

    def get_pool_container_health(self, pool_id: Id) -> ContainerHealth:
        """Get the health of a pool's container.

        Returns what the pool's container answers to `GET /health`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.container_health import ContainerHealth

        return self._calls.call(
            "get_pool_container_health",
            operations.get_pool_container_health._get_kwargs,
            ContainerHealth.from_dict,
            path={"pool_id": pool_id},
        )

    def get_pool_container_info(self, pool_id: Id) -> ContainerInfo:
        """Get the info of a pool's container.

        Returns what the pool's container answers to `GET /info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.container_info import ContainerInfo

        return self._calls.call(
            "get_pool_container_info",
            operations.get_pool_container_info._get_kwargs,
            ContainerInfo.from_dict,
            path={"pool_id": pool_id},
        )

    def get_pool_container_metadata(self, pool_id: Id) -> ContainerMetadata:
        """Get the metadata of a pool's container.

        Returns what the pool's container answers to `GET /metadata`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.container_metadata import ContainerMetadata

        return self._calls.call(
            "get_pool_container_metadata",
            operations.get_pool_container_metadata._get_kwargs,
            ContainerMetadata.from_dict,
            path={"pool_id": pool_id},
        )

    def get_pool_container_program(self, pool_id: Id) -> ContainerProgram:
        """Get the program of a pool's container.

        Returns what the pool's container answers to `GET /program`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.container_program import ContainerProgram

        return self._calls.call(
            "get_pool_container_program",
            operations.get_pool_container_program._get_kwargs,
            ContainerProgram.from_dict,
            path={"pool_id": pool_id},
        )

    def get_pool_container_task_info(
        self, pool_id: Id, *, seed: int | None = None
    ) -> ContainerTaskInfo:
        """Get the task info of a pool's container.

        Returns what the pool's container answers to `GET /task_info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            seed: The seed whose task the container describes, if it has a task for each seed.
        """
        from ...models.container_task_info import ContainerTaskInfo

        return self._calls.call(
            "get_pool_container_task_info",
            operations.get_pool_container_task_info._get_kwargs,
            ContainerTaskInfo.from_dict,
            path={"pool_id": pool_id},
            query={"seed": (int, seed)},
        )

    def get_pool_container_taskset(self, pool_id: Id) -> ContainerTaskset:
        """Get the taskset of a pool's container.

        Returns what the pool's container answers to `GET /taskset`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.container_taskset import ContainerTaskset

        return self._calls.call(
            "get_pool_container_taskset",
            operations.get_pool_container_taskset._get_kwargs,
            ContainerTaskset.from_dict,
            path={"pool_id": pool_id},
        )

    def get_task_container_health(self, pool_id: Id, task_id: Id) -> ContainerHealth:
        """Get the health of a task's container.

        Returns what the task's container answers to `GET /health`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """
        from ...models.container_health import ContainerHealth

        return self._calls.call(
            "get_task_container_health",
            operations.get_task_container_health._get_kwargs,
            ContainerHealth.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_info(self, pool_id: Id, task_id: Id) -> ContainerInfo:
        """Get the info of a task's container.

        Returns what the task's container answers to `GET /info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """
        from ...models.container_info import ContainerInfo

        return self._calls.call(
            "get_task_container_info",
            operations.get_task_container_info._get_kwargs,
            ContainerInfo.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_metadata(self, pool_id: Id, task_id: Id) -> ContainerMetadata:
        """Get the metadata of a task's container.

        Returns what the task's container answers to `GET /metadata`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """
        from ...models.container_metadata import ContainerMetadata

        return self._calls.call(
            "get_task_container_metadata",
            operations.get_task_container_metadata._get_kwargs,
            ContainerMetadata.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_program(self, pool_id: Id, task_id: Id) -> ContainerProgram:
        """Get the program of a task's container.

        Returns what the task's container answers to `GET /program`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """
        from ...models.container_program import ContainerProgram

        return self._calls.call(
            "get_task_container_program",
            operations.get_task_container_program._get_kwargs,
            ContainerProgram.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_task_info(
        self, pool_id: Id, task_id: Id, *, seed: int | None = None
    ) -> ContainerTaskInfo:
        """Get the task info of a task's container.

        Returns what the task's container answers to `GET /task_info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            seed: The seed whose task the container describes, if it has a task for each seed.
        """
        from ...models.container_task_info import ContainerTaskInfo

        return self._calls.call(
            "get_task_container_task_info",
            operations.get_task_container_task_info._get_kwargs,
            ContainerTaskInfo.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            query={"seed": (int, seed)},
        )

    def get_task_container_taskset(self, pool_id: Id, task_id: Id) -> ContainerTaskset:
        """Get the taskset of a task's container.

        Returns what the task's container answers to `GET /taskset`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """
        from ...models.container_taskset import ContainerTaskset

        return self._calls.call(
            "get_task_container_taskset",
            operations.get_task_container_taskset._get_kwargs,
            ContainerTaskset.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
        )
