"""The tasks of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import tasks as operations
from .calls import Group

if TYPE_CHECKING:
    from ...models.task import Task
    from ...models.task_definition import TaskDefinition
    from ...models.task_list import TaskList
    from ...models.task_patch import TaskPatch
    from ...types import Id


class TasksApi(Group):
    """The tasks of a pool."""

    def create_task(self, pool_id: Id, *, body: TaskDefinition) -> Task:
        """Create a task.

        Adds a task to the pool. Every field is optional. The server assigns an id if the body
        names none. Unknown fields are kept. Returns 409 `task_exists` if the id is taken.

        Args:
            pool_id: The id of a pool.
            body: A whole task as the caller defines it, to create or replace it. Null is the same
                as not given. Unknown fields are kept. `pool_id`, `status`, `created_at` and
                `updated_at` belong to the server and are ignored.
        """
        from ...models.task import Task
        from ...models.task_definition import TaskDefinition

        return self._calls.call(
            "create_task",
            operations.create_task._get_kwargs,
            Task.from_dict,
            path={"pool_id": pool_id},
            body=(TaskDefinition, body),
        )

    def delete_task(self, pool_id: Id, task_id: Id) -> Task:
        """Delete a task.

        Removes the task and returns it a last time, see *Tasks: states*. A repetition returns
        404 `task_not_found`.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """
        from ...models.task import Task

        return self._calls.call(
            "delete_task",
            operations.delete_task._get_kwargs,
            Task.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def list_tasks(self, pool_id: Id, *, prefer: str | None = None) -> TaskList:
        """List the tasks of a pool.

        Returns all active tasks of the pool, newest first, in one page.

        Args:
            pool_id: The id of a pool.
            prefer: With `return=minimal` among the preferences (RFC 7240) the answer holds the list
                once, as `items`, and has the header `Preference-Applied: return=minimal`. Without
                it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """
        from ...models.task_list import TaskList

        return self._calls.call(
            "list_tasks",
            operations.list_tasks._get_kwargs,
            TaskList.from_dict,
            path={"pool_id": pool_id},
            headers={"prefer": (str, prefer)},
        )

    def patch_task(self, pool_id: Id, task_id: Id, *, body: TaskPatch) -> Task:
        """Change parts of a task.

        Merges the body into the definition (RFC 7396), as `update_pool` does for a pool. Takes
        the same media types.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            body: Parts of a task to be merged into it (RFC 7396), as for `PoolPatch`.
        """
        from ...models.task import Task
        from ...models.task_patch import TaskPatch

        return self._calls.call(
            "patch_task",
            operations.patch_task._get_kwargs,
            Task.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            body=(TaskPatch, body),
        )

    def update_task(self, pool_id: Id, task_id: Id, *, body: TaskDefinition) -> Task:
        """Replace a task.

        Sets the whole definition of an existing task. What the body does not name goes back to
        its default. The task keeps its ids and its `created_at`. Returns 404 `task_not_found`
        if it does not exist.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            body: A whole task as the caller defines it, to create or replace it. Null is the same
                as not given. Unknown fields are kept. `pool_id`, `status`, `created_at` and
                `updated_at` belong to the server and are ignored.
        """
        from ...models.task import Task
        from ...models.task_definition import TaskDefinition

        return self._calls.call(
            "update_task",
            operations.update_task._get_kwargs,
            Task.from_dict,
            path={"pool_id": pool_id, "task_id": task_id},
            body=(TaskDefinition, body),
        )
