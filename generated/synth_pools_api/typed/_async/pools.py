"""Define, read, change and archive pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import pools as operations
from .calls import AsyncGroup

if TYPE_CHECKING:
    from ...models.pool import Pool
    from ...models.pool_definition import PoolDefinition
    from ...models.pool_list import PoolList
    from ...models.pool_patch import PoolPatch
    from ...models.pool_urls import PoolUrls
    from ...types import Id


class AsyncPoolsApi(AsyncGroup):
    """Define, read, change and archive pools."""

    async def create_pool(self, *, body: PoolDefinition) -> Pool:
        """Create a pool.

        Creates a pool with the tasks of `tasks`: all of it, or nothing. Every field is
        optional. Unknown fields are kept and answered as they were sent. Returns 409
        `pool_exists` if the id is taken.

        Args:
            body: A whole pool as the caller defines it, to create or replace it. Null is the same
                as not given. Unknown fields are kept. `status`, `state`, `created_at`, `updated_at`
                and `archived_at` belong to the server and are ignored. Some fields have two
                spellings (`target` and `backend`, `config` and `pool_config`, `metadata` and
                `pool_metadata`): the server accepts both, and answers both.
        """
        from ...models.pool import Pool
        from ...models.pool_definition import PoolDefinition

        return await self._calls.call(
            "create_pool",
            operations.create_pool._get_kwargs,
            Pool.from_dict,
            body=(PoolDefinition, body),
        )

    async def delete_pool(self, pool_id: Id) -> Pool:
        """Archive a pool.

        Archives the pool, for ever. Cancels its rollouts that have not ended. From then on the
        creation of a rollout in it returns 409 `pool_archived`. The pool and its rollouts stay
        readable. Its id stays taken: a creation with it returns 409 `pool_exists`, and the
        message says that the pool is archived. A repetition answers the same pool with 200, so
        that a client can retry it.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.pool import Pool

        return await self._calls.call(
            "delete_pool",
            operations.delete_pool._get_kwargs,
            Pool.from_dict,
            path={"pool_id": pool_id},
        )

    async def get_pool(self, pool_id: Id) -> Pool:
        """Get a pool.

        Returns the pool with its tasks, in any state, `archived` included. Returns 404
        `pool_not_found` if it does not exist.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.pool import Pool

        return await self._calls.call(
            "get_pool", operations.get_pool._get_kwargs, Pool.from_dict, path={"pool_id": pool_id}
        )

    async def get_pool_urls(self, pool_id: Id) -> PoolUrls:
        """Get the URLs of a pool.

        Returns the absolute addresses at which rollouts of the pool and of its tasks are made,
        and those of the containers behind them. The server's own addresses begin with the
        scheme and the `Host` of the request that asks for them, so that they lead to where it
        led. If a proxy sends `X-Forwarded-Proto`, its scheme counts, and if it sends
        `X-Forwarded-Prefix`, their path begins with this prefix.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.pool_urls import PoolUrls

        return await self._calls.call(
            "get_pool_urls",
            operations.get_pool_urls._get_kwargs,
            PoolUrls.from_dict,
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

        Returns the caller's pools, newest first. Leaves archived pools out unless `state` is
        `archived`.

        Args:
            state: Returns only items in exactly this state. Any text is valid, also an empty one: a
                state that no item has returns an empty page.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before, an opaque string. `limit` may be another
                one than there; all other parameters of the query have to be the same. Any text is
                valid, also an empty one: what this server did not issue for this list returns an
                empty last page.
            prefer: With `return=minimal` among the preferences (RFC 7240) the answer holds the list
                once, as `items`, and has the header `Preference-Applied: return=minimal`. Without
                it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """
        from ...models.pool_list import PoolList

        return await self._calls.call(
            "list_pools",
            operations.list_pools._get_kwargs,
            PoolList.from_dict,
            query={"state": (str, state), "limit": (int, limit), "cursor": (str, cursor)},
            headers={"prefer": (str, prefer)},
        )

    async def pause_pool(self, pool_id: Id) -> Pool:
        """Pause a pool.

        Stops the pool from admitting rollouts until it is resumed. Running rollouts go on.
        Queued rollouts wait. Until then the creation of a rollout returns 409
        `pool_not_active`. The server ends the containers that it started for the pool once no
        rollout of it runs any more. Answers a pool that is paused already unchanged.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.pool import Pool

        return await self._calls.call(
            "pause_pool",
            operations.pause_pool._get_kwargs,
            Pool.from_dict,
            path={"pool_id": pool_id},
        )

    async def replace_pool(self, pool_id: Id, *, body: PoolDefinition) -> Pool:
        """Replace a pool.

        Sets the whole definition. What the body does not name goes back to its default, `tasks`
        included. Archives each task that `tasks` no longer names. A task that is named again
        keeps its `created_at`. The pool keeps its id and its `created_at`.

        Args:
            pool_id: The id of a pool.
            body: A whole pool as the caller defines it, to create or replace it. Null is the same
                as not given. Unknown fields are kept. `status`, `state`, `created_at`, `updated_at`
                and `archived_at` belong to the server and are ignored. Some fields have two
                spellings (`target` and `backend`, `config` and `pool_config`, `metadata` and
                `pool_metadata`): the server accepts both, and answers both.
        """
        from ...models.pool import Pool
        from ...models.pool_definition import PoolDefinition

        return await self._calls.call(
            "replace_pool",
            operations.replace_pool._get_kwargs,
            Pool.from_dict,
            path={"pool_id": pool_id},
            body=(PoolDefinition, body),
        )

    async def resume_pool(self, pool_id: Id) -> Pool:
        """Resume a pool.

        Has the pool admit and start rollouts again. Where the server starts its containers, the
        pool is `warming` until one of them is healthy; else it is `active` at once. A `failed`
        pool is tried again. Answers an `active` or `warming` pool unchanged.

        Args:
            pool_id: The id of a pool.
        """
        from ...models.pool import Pool

        return await self._calls.call(
            "resume_pool",
            operations.resume_pool._get_kwargs,
            Pool.from_dict,
            path={"pool_id": pool_id},
        )

    async def update_pool(self, pool_id: Id, *, body: PoolPatch) -> Pool:
        """Change parts of a pool.

        Merges the body into the definition (RFC 7396): objects merge, null removes a field or
        sets it back to its default, arrays are replaced. What the body does not name stays.
        Requests that arrive at once are merged one after the other. Rollouts that start later
        use the new values. The body may also be sent as `application/merge-patch+json`.

        Args:
            pool_id: The id of a pool.
            body: Parts of a pool to be merged into it (RFC 7396): objects merge, null removes a
                field or sets it back to its default, arrays are replaced.
        """
        from ...models.pool import Pool
        from ...models.pool_patch import PoolPatch

        return await self._calls.call(
            "update_pool",
            operations.update_pool._get_kwargs,
            Pool.from_dict,
            path={"pool_id": pool_id},
            body=(PoolPatch, body),
        )
