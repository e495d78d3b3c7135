"""Define, read, change and archive pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...api import pools as operations
from .calls import AsyncCalls

if TYPE_CHECKING:
    pass
    from ...models.pool import Pool
    from ...models.pool_definition import PoolDefinition
    from ...models.pool_list import PoolList
    from ...models.pool_patch import PoolPatch
    from ...models.pool_urls import PoolUrls


class AsyncPoolsApi:
    """Define, read, change and archive pools."""

    __slots__ = ("_calls",)

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def create_pool(self, *, body: PoolDefinition) -> Pool:
        """Create a pool.

        Only `name` is needed. A pool without `container_url` runs the built-in echo target
        where the server has one. Tasks that are named in `tasks` are created with the pool, all
        or none. Unknown fields are kept and answered as they were sent.

        Args:
            body: A whole pool as the caller defines it, to create or replace it. Null is the same
                as not given. Unknown fields are kept; `status`, `state`, `created_at`, `updated_at`
                and `archived_at` belong to the server and are ignored.
        """
        from ...models.pool_definition import PoolDefinition

        return await self._calls.call(
            "create_pool",
            operations.create_pool._get_kwargs,
            _parse_create_pool,
            body=(PoolDefinition, body),
        )

    async def delete_pool(self, pool_id: str) -> Pool:
        """Archive a pool.

        Archives the pool, which is final: its rollouts that have not ended are cancelled, no
        rollout is admitted any more, its data stays readable and its id taken. Repeating it
        answers the same pool again.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "delete_pool",
            operations.delete_pool._get_kwargs,
            _parse_delete_pool,
            path={"pool_id": pool_id},
        )

    async def get_pool(self, pool_id: str) -> Pool:
        """Get a pool.

        The pool with its tasks, in whatever state it is; an archived pool too.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool",
            operations.get_pool._get_kwargs,
            _parse_get_pool,
            path={"pool_id": pool_id},
        )

    async def get_pool_urls(self, pool_id: str) -> PoolUrls:
        """Get the URLs of a pool.

        The absolute addresses at which rollouts of this pool and its tasks are made, and of the
        containers behind them. Those of the server begin with the scheme and the `Host` of this
        very request: they lead where it led.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "get_pool_urls",
            operations.get_pool_urls._get_kwargs,
            _parse_get_pool_urls,
            path={"pool_id": pool_id},
        )

    async def list_pools(
        self,
        *,
        state: str | None = None,
        limit: int | None = 100,
        cursor: str | None = None,
        prefer: str | None = None,
    ) -> PoolList:
        """List pools.

        The caller's pools, newest first. Archived pools are left out unless `state` is
        `archived`.

        Args:
            state: Only items in this state. Any text: one that is no state answers an empty page.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before. Any text: one that this server did not
                issue answers an empty last page.
            prefer: With `return=minimal` (RFC 7240) a list comes once, under `items`; any other
                text changes nothing.
        """

        return await self._calls.call(
            "list_pools",
            operations.list_pools._get_kwargs,
            _parse_list_pools,
            query={"state": (str, state), "limit": (int, limit), "cursor": (str, cursor)},
            headers={"prefer": (str, prefer)},
        )

    async def pause_pool(self, pool_id: str) -> Pool:
        """Pause a pool.

        The pool admits nothing until it is resumed: new rollouts are 409 `pool_not_active`.
        Those that run go on, those that are queued wait. Containers that the pool started are
        ended once nothing runs on them. A pool that is paused already is answered as it is.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "pause_pool",
            operations.pause_pool._get_kwargs,
            _parse_pause_pool,
            path={"pool_id": pool_id},
        )

    async def replace_pool(self, pool_id: str, *, body: PoolDefinition) -> Pool:
        """Replace a pool.

        Sets the whole definition. What the body does not name goes back to its default, `tasks`
        included: a task that is not named any more is archived, one that is named again keeps
        its `created_at`. The pool's id and `created_at` stay.

        Args:
            pool_id: The id of a pool.
            body: A whole pool as the caller defines it, to create or replace it. Null is the same
                as not given. Unknown fields are kept; `status`, `state`, `created_at`, `updated_at`
                and `archived_at` belong to the server and are ignored.
        """
        from ...models.pool_definition import PoolDefinition

        return await self._calls.call(
            "replace_pool",
            operations.replace_pool._get_kwargs,
            _parse_replace_pool,
            path={"pool_id": pool_id},
            body=(PoolDefinition, body),
        )

    async def resume_pool(self, pool_id: str) -> Pool:
        """Resume a pool.

        The pool admits and starts rollouts again, at once or, where it starts its containers
        itself, once one of them is healthy: until then it is `warming`. A pool that is `failed`
        is tried again. One that is `active` or `warming` is answered as it is.

        Args:
            pool_id: The id of a pool.
        """

        return await self._calls.call(
            "resume_pool",
            operations.resume_pool._get_kwargs,
            _parse_resume_pool,
            path={"pool_id": pool_id},
        )

    async def update_pool(self, pool_id: str, *, body: PoolPatch) -> Pool:
        """Change parts of a pool.

        Merges the body into the definition (RFC 7396): objects merge, null removes a field or
        sets it back to its default, arrays are replaced. What the body does not name stays.
        Rollouts that start later use the new values. The body may also be sent as
        `application/merge-patch+json`.

        Args:
            pool_id: The id of a pool.
            body: Parts of a pool to be merged into it (RFC 7396): objects merge, null removes a
                field or sets it back to its default, arrays are replaced.
        """
        from ...models.pool_patch import PoolPatch

        return await self._calls.call(
            "update_pool",
            operations.update_pool._get_kwargs,
            _parse_update_pool,
            path={"pool_id": pool_id},
            body=(PoolPatch, body),
        )


def _parse_create_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_201 = Pool.from_dict(answer)
    return response_201


def _parse_delete_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_200 = Pool.from_dict(answer)
    return response_200


def _parse_get_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_200 = Pool.from_dict(answer)
    return response_200


def _parse_get_pool_urls(answer: Any) -> PoolUrls:
    from ...models.pool_urls import PoolUrls

    response_200 = PoolUrls.from_dict(answer)
    return response_200


def _parse_list_pools(answer: Any) -> PoolList:
    from ...models.pool_list import PoolList

    response_200 = PoolList.from_dict(answer)
    return response_200


def _parse_pause_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_200 = Pool.from_dict(answer)
    return response_200


def _parse_replace_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_200 = Pool.from_dict(answer)
    return response_200


def _parse_resume_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_200 = Pool.from_dict(answer)
    return response_200


def _parse_update_pool(answer: Any) -> Pool:
    from ...models.pool import Pool

    response_200 = Pool.from_dict(answer)
    return response_200
