# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""``client.tasks``: the tasks of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.base import Namespace
from synth_pools._client._sync.facade.tasks import TaskOperations

if TYPE_CHECKING:
    from synth_pools_api.requests import PlainRequest, TaskDefinitionDict, TaskPatchDict
    from synth_pools_api.types import Id


class TasksNamespace(Namespace):
    """``client.tasks``: the tasks of a pool."""

    def __init__(self, client: TaskOperations) -> None:
        self._client = client

    def list(self, pool_id: Id) -> dict[str, Any]:
        """List all tasks of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such pool.
        """
        return self._client.list_tasks(pool_id)

    def create(self, pool_id: Id, request: TaskDefinitionDict | PlainRequest) -> dict[str, Any]:
        """Add a task to a pool.

        Args:
            pool_id: Id of the pool.
            request: The task's definition. It may choose its own ``task_id``.

        Returns:
            The task.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The chosen id is in use, or the pool is archived.
            ValidationFailedError: The definition is invalid; the message names the fields.
        """
        return self._client.create_task(pool_id, request)

    def update(
        self, pool_id: Id, task_id: Id, request: TaskDefinitionDict | PlainRequest
    ) -> dict[str, Any]:
        """Replace a task's definition: members that ``request`` omits return to their defaults.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            request: The task's new definition.

        Returns:
            The updated task.

        Raises:
            NotFoundError: There is no such pool or task.
            ConflictError: The pool is archived, or ``request`` names another id.
            ValidationFailedError: The definition is invalid; the message names the fields.
        """
        return self._client.update_task(pool_id, task_id, request)

    def patch(
        self, pool_id: Id, task_id: Id, request: TaskPatchDict | PlainRequest
    ) -> dict[str, Any]:
        """Change a part of a task's definition: objects merge, null removes, arrays replace.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            request: The parts to change.

        Returns:
            The updated task.

        Raises:
            NotFoundError: There is no such pool or task.
            ConflictError: The pool is archived, or ``request`` names another id.
            ValidationFailedError: The change is invalid; the message names the fields.
        """
        return self._client.patch_task(pool_id, task_id, request)

    def delete(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
        """Remove a task from its pool.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.

        Returns:
            The task, archived; it cannot be read afterwards.

        Raises:
            NotFoundError: There is no such pool or task.
            ConflictError: The pool is archived.
        """
        return self._client.delete_task(pool_id, task_id)
