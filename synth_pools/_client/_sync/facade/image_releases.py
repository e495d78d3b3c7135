# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/image_releases.py

"""Image releases of a pool: the images of its containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.base import Operations, or_unset
from synth_pools._client.arguments import query_text, request_body
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools_api.requests import ImageReleaseDefinitionDict, PlainRequest


class ImageReleaseOperations(Operations):
    """The operations on image releases; they need the feature ``image_releases``.

    Without it the list is empty, and all other operations raise `ServerError` (501).
    """

    def list_image_releases(self, pool_id: Id) -> dict[str, Any]:
        """List all image releases of a pool.

        Args:
            pool_id: Id of the pool.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such pool.
        """
        return self._ask("list_image_releases", pool_id=pool_id)

    def create_image_release(
        self, pool_id: Id, request: ImageReleaseDefinitionDict | PlainRequest
    ) -> dict[str, Any]:
        """Publish an image, or an archive to build one from.

        Args:
            pool_id: Id of the pool.
            request: The release's definition: its ``source_kind``, and the archive or image.

        Returns:
            The release.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or the image cannot be pulled.
            ValidationFailedError: The definition is invalid; the message names the fields.
        """
        return self._ask("create_image_release", {"body": request_body(request)}, pool_id=pool_id)

    def get_image_release(self, pool_id: Id, release_id: Id) -> dict[str, Any]:
        """Get the current state of an image release.

        Args:
            pool_id: Id of the pool.
            release_id: Id of the release.

        Returns:
            The release.

        Raises:
            NotFoundError: There is no such pool or release.
        """
        return self._ask("get_image_release", pool_id=pool_id, release_id=release_id)

    def delete_image_release(self, pool_id: Id, release_id: Id) -> dict[str, Any]:
        """Remove an image release that no task is bound to.

        Args:
            pool_id: Id of the pool.
            release_id: Id of the release.

        Returns:
            The last state of the release.

        Raises:
            NotFoundError: There is no such pool or release.
            ConflictError: A task is bound to it.
        """
        return self._ask("delete_image_release", pool_id=pool_id, release_id=release_id)

    def bind_image_release(
        self, pool_id: Id, release_id: Id, *, expected_release_id: str | None = None
    ) -> dict[str, Any]:
        """Have the rollouts of a pool's only task run on an image release.

        It may take as long as building the image: give the client a ``timeout`` that allows for it.

        Args:
            pool_id: Id of the pool.
            release_id: Id of the release.
            expected_release_id: The release that must be bound at this moment; ``""`` for none.

        Returns:
            The bound release.

        Raises:
            NotFoundError: There is no such pool or release.
            ConflictError: The pool does not have exactly one task, or another release is bound.
        """
        expected = or_unset(query_text(expected_release_id, "expected_release_id"))
        return self._ask(
            "bind_image_release",
            {"expected_release_id": expected},
            pool_id=pool_id,
            release_id=release_id,
        )

    def bind_task_image_release(
        self, pool_id: Id, task_id: Id, release_id: Id, *, expected_release_id: str | None = None
    ) -> dict[str, Any]:
        """Have the rollouts of a task run on an image release.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            release_id: Id of the release.
            expected_release_id: The release that must be bound at this moment; ``""`` for none.

        Returns:
            The bound release.

        Raises:
            NotFoundError: There is no such pool, task or release.
            ConflictError: The expected release is not bound.
        """
        expected = or_unset(query_text(expected_release_id, "expected_release_id"))
        return self._ask(
            "bind_task_image_release",
            {"expected_release_id": expected},
            pool_id=pool_id,
            task_id=task_id,
            release_id=release_id,
        )

    def unbind_image_release(self, pool_id: Id, release_id: Id) -> dict[str, Any]:
        """Have the rollouts of a pool's only task run where they did before it was bound.

        Args:
            pool_id: Id of the pool.
            release_id: Id of the release.

        Returns:
            The release that was bound.

        Raises:
            NotFoundError: There is no such pool or release.
            ConflictError: The pool does not have exactly one task, or the release is not bound.
        """
        return self._ask("unbind_image_release", pool_id=pool_id, release_id=release_id)

    def unbind_task_image_release(self, pool_id: Id, task_id: Id, release_id: Id) -> dict[str, Any]:
        """Have the rollouts of a task run where they did before it was bound.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            release_id: Id of the release.

        Returns:
            The release that was bound.

        Raises:
            NotFoundError: There is no such pool, task or release.
            ConflictError: The release is not bound.
        """
        return self._ask(
            "unbind_task_image_release", pool_id=pool_id, task_id=task_id, release_id=release_id
        )
