"""The images that a pool's containers are made from, where the server builds or pulls
them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import image_releases as operations
from .calls import AsyncGroup

if TYPE_CHECKING:
    from ...models.image_release import ImageRelease
    from ...models.image_release_binding import ImageReleaseBinding
    from ...models.image_release_definition import ImageReleaseDefinition
    from ...models.image_release_list import ImageReleaseList
    from ...types import Id


class AsyncImageReleasesApi(AsyncGroup):
    """The images that a pool's containers are made from, where the server builds or pulls
    them."""

    async def bind_image_release(
        self, pool_id: Id, release_id: Id, *, expected_release_id: str | None = None
    ) -> ImageReleaseBinding:
        """Bind an image release to the task of a pool.

        Has the rollouts of the pool's only task run on the image. May take as long as building
        the image. Returns 409 `single_task_required` unless the pool has exactly one task, and
        409 `release_mismatch` if `expected_release_id` is given and is not the release that is
        bound now.

        Args:
            pool_id: The id of a pool.
            release_id: The id of an image release of the pool.
            expected_release_id: The release that must be bound now. An empty text: none may be
                bound.
        """
        from ...models.image_release_binding import ImageReleaseBinding

        return await self._calls.call(
            "bind_image_release",
            operations.bind_image_release._get_kwargs,
            ImageReleaseBinding.from_dict,
            path={"pool_id": pool_id, "release_id": release_id},
            query={"expected_release_id": (str, expected_release_id)},
        )

    async def bind_task_image_release(
        self, pool_id: Id, task_id: Id, release_id: Id, *, expected_release_id: str | None = None
    ) -> ImageReleaseBinding:
        """Bind an image release to a task.

        As `bind_image_release`, for the task in the path, whatever other tasks the pool has.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            release_id: The id of an image release of the pool.
            expected_release_id: The release that must be bound now. An empty text: none may be
                bound.
        """
        from ...models.image_release_binding import ImageReleaseBinding

        return await self._calls.call(
            "bind_task_image_release",
            operations.bind_task_image_release._get_kwargs,
            ImageReleaseBinding.from_dict,
            path={"pool_id": pool_id, "task_id": task_id, "release_id": release_id},
            query={"expected_release_id": (str, expected_release_id)},
        )

    async def create_image_release(
        self, pool_id: Id, *, body: ImageReleaseDefinition
    ) -> ImageRelease:
        """Create an image release.

        Publishes an image, or what one is built from. *Image releases* has what a server
        without them answers. Returns 409 `image_unavailable`, and stores nothing, if a server
        that pulls the image cannot.

        Args:
            pool_id: The id of a pool.
            body: An image, or what one is built from. Unknown fields are kept.
        """
        from ...models.image_release import ImageRelease
        from ...models.image_release_definition import ImageReleaseDefinition

        return await self._calls.call(
            "create_image_release",
            operations.create_image_release._get_kwargs,
            ImageRelease.from_dict,
            path={"pool_id": pool_id},
            body=(ImageReleaseDefinition, body),
        )

    async def delete_image_release(self, pool_id: Id, release_id: Id) -> ImageRelease:
        """Delete an image release.

        Removes the image release. Returns 409 `release_bound` if it is bound to a task.

        Args:
            pool_id: The id of a pool.
            release_id: The id of an image release of the pool.
        """
        from ...models.image_release import ImageRelease

        return await self._calls.call(
            "delete_image_release",
            operations.delete_image_release._get_kwargs,
            ImageRelease.from_dict,
            path={"pool_id": pool_id, "release_id": release_id},
        )

    async def get_image_release(self, pool_id: Id, release_id: Id) -> ImageRelease:
        """Get an image release.

        The image release as it is now.

        Args:
            pool_id: The id of a pool.
            release_id: The id of an image release of the pool.
        """
        from ...models.image_release import ImageRelease

        return await self._calls.call(
            "get_image_release",
            operations.get_image_release._get_kwargs,
            ImageRelease.from_dict,
            path={"pool_id": pool_id, "release_id": release_id},
        )

    async def list_image_releases(
        self, pool_id: Id, *, prefer: str | None = None
    ) -> ImageReleaseList:
        """List the image releases of a pool.

        Returns all image releases of the pool, newest first. A server without the feature
        `image_releases` returns none.

        Args:
            pool_id: The id of a pool.
            prefer: With `return=minimal` among the preferences (RFC 7240) the answer holds the list
                once, as `items`, and has the header `Preference-Applied: return=minimal`. Without
                it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """
        from ...models.image_release_list import ImageReleaseList

        return await self._calls.call(
            "list_image_releases",
            operations.list_image_releases._get_kwargs,
            ImageReleaseList.from_dict,
            path={"pool_id": pool_id},
            headers={"prefer": (str, prefer)},
        )

    async def unbind_image_release(self, pool_id: Id, release_id: Id) -> ImageReleaseBinding:
        """Unbind an image release from the task of a pool.

        Has the rollouts of the pool's only task run where they did before it was bound. Returns
        409 `single_task_required` unless the pool has exactly one task, and 409
        `release_mismatch` if the task is not bound to the release.

        Args:
            pool_id: The id of a pool.
            release_id: The id of an image release of the pool.
        """
        from ...models.image_release_binding import ImageReleaseBinding

        return await self._calls.call(
            "unbind_image_release",
            operations.unbind_image_release._get_kwargs,
            ImageReleaseBinding.from_dict,
            path={"pool_id": pool_id, "release_id": release_id},
        )

    async def unbind_task_image_release(
        self, pool_id: Id, task_id: Id, release_id: Id
    ) -> ImageReleaseBinding:
        """Unbind an image release from a task.

        As `unbind_image_release`, for the task in the path, whatever other tasks the pool has.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            release_id: The id of an image release of the pool.
        """
        from ...models.image_release_binding import ImageReleaseBinding

        return await self._calls.call(
            "unbind_task_image_release",
            operations.unbind_task_image_release._get_kwargs,
            ImageReleaseBinding.from_dict,
            path={"pool_id": pool_id, "task_id": task_id, "release_id": release_id},
        )
