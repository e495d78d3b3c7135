# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/tasks.py

"""Tasks of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.base import Operations
from synth_pools._client.arguments import definition_body
from synth_pools_api.operations import OPERATIONS
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools_api.requests import PlainRequest, TaskDefinitionDict, TaskPatchDict


def _definition(request: TaskDefinitionDict | TaskPatchDict | PlainRequest) -> Any:
    return definition_body(request, OPERATIONS["create_task"].body_keys)


class TaskOperations(Operations):
    """The operations on a pool's tasks."""

    def list_tasks(self, pool_id: Id) -> dict[str, Any]:
        """List all tasks of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such pool.
        """
        return self._ask("list_tasks", pool_id=pool_id)

    def create_task(
        self, pool_id: Id, request: TaskDefinitionDict | PlainRequest
    ) -> dict[str, Any]:
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
        return self._ask("create_task", {"body": _definition(request)}, pool_id=pool_id)

    def update_task(
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
        return self._ask(
            "update_task", {"body": _definition(request)}, pool_id=pool_id, task_id=task_id
        )

    def patch_task(
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
        return self._ask(
            "patch_task", {"body": _definition(request)}, pool_id=pool_id, task_id=task_id
        )

    def delete_task(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
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
        return self._ask("delete_task", pool_id=pool_id, task_id=task_id)
