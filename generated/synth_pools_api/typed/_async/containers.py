"""Direct calls to the container behind a pool or a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...api import containers as operations
from .calls import AsyncCalls

if TYPE_CHECKING:
    pass
    from ...models.container_health import ContainerHealth
    from ...models.container_info import ContainerInfo
    from ...models.container_metadata import ContainerMetadata
    from ...models.container_program import ContainerProgram
    from ...models.container_rollout_request import ContainerRolloutRequest
    from ...models.container_rollout_result import ContainerRolloutResult
    from ...models.container_task_info import ContainerTaskInfo
    from ...models.container_taskset import ContainerTaskset


class AsyncContainersApi:
    """Direct calls to the container behind a pool or a task."""

    __slots__ = ("_calls",)

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def execute_pool_container_rollout(
        self, pool_id: str, *, body: ContainerRolloutRequest
    ) -> ContainerRolloutResult:
        """Run a rollout directly on a pool's container.

        Posts the body unchanged to the pool's container (its `container_url`, else the echo
        target) and answers its JSON object unchanged. Nothing is queued, stored or measured:
        the result exists in this answer alone. 502 and 504 as for `get_pool_container_health`.

        Args:
            pool_id: The id of a pool.
            body: A rollout request in the container's own terms; passed through.
        """
        from ...models.container_rollout_request import ContainerRolloutRequest

        return await self._calls.call(
            "execute_pool_container_rollout",
            operations.execute_pool_container_rollout._get_kwargs,
            _parse_execute_pool_container_rollout,
            path={"pool_id": pool_id},
            body=(ContainerRolloutRequest, body),
        )

    async def execute_task_container_rollout(
        self, pool_id: str, task_id: str, *, body: ContainerRolloutRequest
    ) -> ContainerRolloutResult:
        """Run a rollout directly on a task's container.

        Posts the body unchanged to the task's container (its own `container_url`, else the
        pool's, else the echo target) and answers its JSON object unchanged. Nothing is queued,
        stored or measured: the result exists in this answer alone. 502 and 504 as for
        `get_task_container_health`.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            body: A rollout request in the container's own terms; passed through.
        """
        from ...models.container_rollout_request import ContainerRolloutRequest

        return await self._calls.call(
            "execute_task_container_rollout",
            operations.execute_task_container_rollout._get_kwargs,
            _parse_execute_task_container_rollout,
            path={"pool_id": pool_id, "task_id": task_id},
            body=(ContainerRolloutRequest, body),
        )

    async def get_pool_container_health(self, pool_id: str) -> ContainerHealth:
        """Get the health of a pool's container.

        Asks the pool's container (its `container_url`, else the echo target) for `GET /health`
        and answers its JSON object unchanged. 404 where the container does not have it, 502
        where it cannot be reached or answers anything else, 504 where it takes too long.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_container_health",
            operations.get_pool_container_health._get_kwargs,
            _parse_get_pool_container_health,
            path={"pool_id": pool_id},
        )

    async def get_pool_container_info(self, pool_id: str) -> ContainerInfo:
        """Get the info of a pool's container.

        Asks the pool's container (its `container_url`, else the echo target) for `GET /info`
        and answers its JSON object unchanged. 404 where the container does not have it, 502
        where it cannot be reached or answers anything else, 504 where it takes too long.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_container_info",
            operations.get_pool_container_info._get_kwargs,
            _parse_get_pool_container_info,
            path={"pool_id": pool_id},
        )

    async def get_pool_container_metadata(self, pool_id: str) -> ContainerMetadata:
        """Get the metadata of a pool's container.

        Asks the pool's container (its `container_url`, else the echo target) for `GET
        /metadata` and answers its JSON object unchanged. 404 where the container does not have
        it, 502 where it cannot be reached or answers anything else, 504 where it takes too
        long.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_container_metadata",
            operations.get_pool_container_metadata._get_kwargs,
            _parse_get_pool_container_metadata,
            path={"pool_id": pool_id},
        )

    async def get_pool_container_program(self, pool_id: str) -> ContainerProgram:
        """Get the program of a pool's container.

        Asks the pool's container for `GET /program` and answers its JSON object unchanged. 404
        where the container does not have it, as many do not, 502 where it cannot be reached or
        answers anything else, 504 where it takes too long.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_container_program",
            operations.get_pool_container_program._get_kwargs,
            _parse_get_pool_container_program,
            path={"pool_id": pool_id},
        )

    async def get_pool_container_task_info(self, pool_id: str) -> ContainerTaskInfo:
        """Get the task info of a pool's container.

        Asks the pool's container for `GET /task_info` and answers its JSON object unchanged.
        404 where the container does not have it, as many do not, 502 where it cannot be reached
        or answers anything else, 504 where it takes too long.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_container_task_info",
            operations.get_pool_container_task_info._get_kwargs,
            _parse_get_pool_container_task_info,
            path={"pool_id": pool_id},
        )

    async def get_pool_container_taskset(self, pool_id: str) -> ContainerTaskset:
        """Get the taskset of a pool's container.

        Asks the pool's container for `GET /taskset` and answers its JSON object unchanged. 404
        where the container does not have it, as many do not, 502 where it cannot be reached or
        answers anything else, 504 where it takes too long.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_container_taskset",
            operations.get_pool_container_taskset._get_kwargs,
            _parse_get_pool_container_taskset,
            path={"pool_id": pool_id},
        )

    async def get_task_container_health(self, pool_id: str, task_id: str) -> ContainerHealth:
        """Get the health of a task's container.

        Asks the task's container (its own `container_url`, else the pool's, else the echo
        target) for `GET /health` and answers its JSON object unchanged. 404 where the container
        does not have it, 502 where it cannot be reached or answers anything else, 504 where it
        takes too long.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return await self._calls.call(
            "get_task_container_health",
            operations.get_task_container_health._get_kwargs,
            _parse_get_task_container_health,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    async def get_task_container_info(self, pool_id: str, task_id: str) -> ContainerInfo:
        """Get the info of a task's container.

        Asks the task's container (its own `container_url`, else the pool's, else the echo
        target) for `GET /info` and answers its JSON object unchanged. 404 where the container
        does not have it, 502 where it cannot be reached or answers anything else, 504 where it
        takes too long.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return await self._calls.call(
            "get_task_container_info",
            operations.get_task_container_info._get_kwargs,
            _parse_get_task_container_info,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    async def get_task_container_metadata(self, pool_id: str, task_id: str) -> ContainerMetadata:
        """Get the metadata of a task's container.

        Asks the task's container (its own `container_url`, else the pool's, else the echo
        target) for `GET /metadata` and answers its JSON object unchanged. 404 where the
        container does not have it, 502 where it cannot be reached or answers anything else, 504
        where it takes too long.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return await self._calls.call(
            "get_task_container_metadata",
            operations.get_task_container_metadata._get_kwargs,
            _parse_get_task_container_metadata,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    async def get_task_container_program(self, pool_id: str, task_id: str) -> ContainerProgram:
        """Get the program of a task's container.

        Asks the task's container (its own `container_url`, else the pool's container) for `GET
        /program` and answers its JSON object unchanged. 404 where the container does not have
        it, as many do not, 502 where it cannot be reached or answers anything else, 504 where
        it takes too long.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return await self._calls.call(
            "get_task_container_program",
            operations.get_task_container_program._get_kwargs,
            _parse_get_task_container_program,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    async def get_task_container_task_info(self, pool_id: str, task_id: str) -> ContainerTaskInfo:
        """Get the task info of a task's container.

        Asks the task's container (its own `container_url`, else the pool's container) for `GET
        /task_info` and answers its JSON object unchanged. 404 where the container does not have
        it, as many do not, 502 where it cannot be reached or answers anything else, 504 where
        it takes too long.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return await self._calls.call(
            "get_task_container_task_info",
            operations.get_task_container_task_info._get_kwargs,
            _parse_get_task_container_task_info,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    async def get_task_container_taskset(self, pool_id: str, task_id: str) -> ContainerTaskset:
        """Get the taskset of a task's container.

        Asks the task's container (its own `container_url`, else the pool's container) for `GET
        /taskset` and answers its JSON object unchanged. 404 where the container does not have
        it, as many do not, 502 where it cannot be reached or answers anything else, 504 where
        it takes too long.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return await self._calls.call(
            "get_task_container_taskset",
            operations.get_task_container_taskset._get_kwargs,
            _parse_get_task_container_taskset,
            path={"pool_id": pool_id, "task_id": task_id},
        )


def _parse_execute_pool_container_rollout(answer: Any) -> ContainerRolloutResult:
    from ...models.container_rollout_result import ContainerRolloutResult

    response_200 = ContainerRolloutResult.from_dict(answer)
    return response_200


def _parse_execute_task_container_rollout(answer: Any) -> ContainerRolloutResult:
    from ...models.container_rollout_result import ContainerRolloutResult

    response_200 = ContainerRolloutResult.from_dict(answer)
    return response_200


def _parse_get_pool_container_health(answer: Any) -> ContainerHealth:
    from ...models.container_health import ContainerHealth

    response_200 = ContainerHealth.from_dict(answer)
    return response_200


def _parse_get_pool_container_info(answer: Any) -> ContainerInfo:
    from ...models.container_info import ContainerInfo

    response_200 = ContainerInfo.from_dict(answer)
    return response_200


def _parse_get_pool_container_metadata(answer: Any) -> ContainerMetadata:
    from ...models.container_metadata import ContainerMetadata

    response_200 = ContainerMetadata.from_dict(answer)
    return response_200


def _parse_get_pool_container_program(answer: Any) -> ContainerProgram:
    from ...models.container_program import ContainerProgram

    response_200 = ContainerProgram.from_dict(answer)
    return response_200


def _parse_get_pool_container_task_info(answer: Any) -> ContainerTaskInfo:
    from ...models.container_task_info import ContainerTaskInfo

    response_200 = ContainerTaskInfo.from_dict(answer)
    return response_200


def _parse_get_pool_container_taskset(answer: Any) -> ContainerTaskset:
    from ...models.container_taskset import ContainerTaskset

    response_200 = ContainerTaskset.from_dict(answer)
    return response_200


def _parse_get_task_container_health(answer: Any) -> ContainerHealth:
    from ...models.container_health import ContainerHealth

    response_200 = ContainerHealth.from_dict(answer)
    return response_200


def _parse_get_task_container_info(answer: Any) -> ContainerInfo:
    from ...models.container_info import ContainerInfo

    response_200 = ContainerInfo.from_dict(answer)
    return response_200


def _parse_get_task_container_metadata(answer: Any) -> ContainerMetadata:
    from ...models.container_metadata import ContainerMetadata

    response_200 = ContainerMetadata.from_dict(answer)
    return response_200


def _parse_get_task_container_program(answer: Any) -> ContainerProgram:
    from ...models.container_program import ContainerProgram

    response_200 = ContainerProgram.from_dict(answer)
    return response_200


def _parse_get_task_container_task_info(answer: Any) -> ContainerTaskInfo:
    from ...models.container_task_info import ContainerTaskInfo

    response_200 = ContainerTaskInfo.from_dict(answer)
    return response_200


def _parse_get_task_container_taskset(answer: Any) -> ContainerTaskset:
    from ...models.container_taskset import ContainerTaskset

    response_200 = ContainerTaskset.from_dict(answer)
    return response_200
