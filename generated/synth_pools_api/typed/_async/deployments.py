"""What a project has deployed to the tasks of a pool, where the server knows projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import deployments as operations
from .calls import AsyncGroup

if TYPE_CHECKING:
    from ...models.deployment_change import DeploymentChange
    from ...models.json_object import JsonObject
    from ...types import Id


class AsyncDeploymentsApi(AsyncGroup):
    """What a project has deployed to the tasks of a pool, where the server knows projects."""

    async def find_deployment_operation(
        self, pool_id: Id, task_id: Id, *, project_id: str, idempotency_key: str
    ) -> JsonObject:
        """Find the operation of an idempotency key.

        The operation on the deployment that the key started, for a client that got no answer to
        `mutate_deployment`.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            project_id: The id of the project that the deployment is one of.
            idempotency_key: The `idempotency_key` that the operation was started with.
        """
        from ...models.json_object import JsonObject

        return await self._calls.call(
            "find_deployment_operation",
            operations.find_deployment_operation._get_kwargs,
            JsonObject.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            query={"project_id": (str, project_id), "idempotency_key": (str, idempotency_key)},
        )

    async def get_deployment(self, pool_id: Id, task_id: Id, *, project_id: str) -> JsonObject:
        """Get the deployment of a task.

        The deployment of the project to the task, in the server's terms.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            project_id: The id of the project that the deployment is one of.
        """
        from ...models.json_object import JsonObject

        return await self._calls.call(
            "get_deployment",
            operations.get_deployment._get_kwargs,
            JsonObject.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            query={"project_id": (str, project_id)},
        )

    async def get_deployment_operation(
        self, pool_id: Id, operation_id: Id, *, project_id: str
    ) -> JsonObject:
        """Get an operation on a deployment.

        The operation as it is now, in the server's terms.

        Args:
            pool_id: The id of a pool.
            operation_id: The id of an operation on a deployment of the pool.
            project_id: The id of the project that the deployment is one of.
        """
        from ...models.json_object import JsonObject

        return await self._calls.call(
            "get_deployment_operation",
            operations.get_deployment_operation._get_kwargs,
            JsonObject.from_dict,
            path={"pool_id": pool_id, "operation_id": operation_id},
            query={"project_id": (str, project_id)},
        )

    async def mutate_deployment(
        self, pool_id: Id, task_id: Id, *, body: DeploymentChange
    ) -> JsonObject:
        """Create, update or delete a deployment.

        Starts an operation on the deployment, or returns that which had the same
        `idempotency_key`. Returns 409 if `expected_revision` is given and is not the revision
        of the deployment.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            body: An operation on the deployment of a project to a task. Unknown fields are kept.
        """
        from ...models.deployment_change import DeploymentChange
        from ...models.json_object import JsonObject

        return await self._calls.call(
            "mutate_deployment",
            operations.mutate_deployment._get_kwargs,
            JsonObject.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            body=(DeploymentChange, body),
        )
