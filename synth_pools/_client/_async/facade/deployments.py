"""Deployments of projects to the tasks of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._async.facade.base import AsyncOperations
from synth_pools._client.arguments import query_text, request_body
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools_api.requests import DeploymentChangeDict, PlainRequest


class AsyncDeploymentOperations(AsyncOperations):
    """The operations on deployments; they need the feature ``deployments``.

    Without it all of them raise `ServerError` (501).
    """

    async def get_deployment(self, pool_id: Id, task_id: Id, *, project_id: str) -> dict[str, Any]:
        """Get the deployment of a project to a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            project_id: Id of the project.

        Returns:
            The deployment, in the service's terms.

        Raises:
            NotFoundError: There is no such pool or deployment.
        """
        query = {"project_id": query_text(project_id, "project_id")}
        return await self._ask("get_deployment", query, pool_id=pool_id, task_id=task_id)

    async def mutate_deployment(
        self, pool_id: Id, task_id: Id, request: DeploymentChangeDict | PlainRequest
    ) -> dict[str, Any]:
        """Create, update or delete the deployment of a project to a task.

        It is repeated where its answer is lost: one ``idempotency_key`` starts one operation.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            request: The ``project_id``, the ``operation`` and its ``idempotency_key``; what to
                deploy is the ``payload``, in the service's terms.

        Returns:
            The operation, in the service's terms.

        Raises:
            NotFoundError: There is no such pool or task.
            ConflictError: The deployment does not have the ``expected_revision``.
            ValidationFailedError: The request is invalid; the message names the fields.
        """
        arguments = {"body": request_body(request)}
        return await self._ask("mutate_deployment", arguments, pool_id=pool_id, task_id=task_id)

    async def get_deployment_operation(
        self, pool_id: Id, operation_id: Id, *, project_id: str
    ) -> dict[str, Any]:
        """Get the current state of an operation on a deployment.

        Args:
            pool_id: Id of the pool.
            operation_id: Id of the operation.
            project_id: Id of the project.

        Returns:
            The operation, in the service's terms.

        Raises:
            NotFoundError: There is no such pool or operation.
        """
        query = {"project_id": query_text(project_id, "project_id")}
        return await self._ask(
            "get_deployment_operation", query, pool_id=pool_id, operation_id=operation_id
        )

    async def find_deployment_operation(
        self, pool_id: Id, task_id: Id, *, project_id: str, idempotency_key: str
    ) -> dict[str, Any]:
        """Find the operation on a deployment that an idempotency key started.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            project_id: Id of the project.
            idempotency_key: The key of the request to `mutate_deployment`.

        Returns:
            The operation, in the service's terms.

        Raises:
            NotFoundError: There is no such pool or operation.
        """
        query = {
            "project_id": query_text(project_id, "project_id"),
            "idempotency_key": query_text(idempotency_key, "idempotency_key"),
        }
        return await self._ask("find_deployment_operation", query, pool_id=pool_id, task_id=task_id)
