"""Pools: create, read, replace, change, archive, pause, resume, wait."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from synth_pools._client._async.facade.base import AsyncOperations, page
from synth_pools._client.arguments import check_limit, chosen_pool_id, definition_body, path_segment
from synth_pools.errors import ConflictError, NotFoundError
from synth_pools_api import api
from synth_pools_api.operations import OPERATIONS
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools._client._async.pagination import AsyncItems
    from synth_pools_api.requests import PlainRequest, PoolDefinitionDict, PoolPatchDict


def _definition(request: PoolDefinitionDict | PoolPatchDict | PlainRequest) -> Any:
    keys = OPERATIONS["create_pool"].body_keys
    return definition_body(request, keys, tasks=OPERATIONS["create_task"].body_keys)


class AsyncPoolOperations(AsyncOperations):
    """The operations on pools."""

    async def create_pool(self, request: PoolDefinitionDict | PlainRequest) -> dict[str, Any]:
        """Create a pool.

        Args:
            request: The pool's definition, at least ``{"name": "my-pool"}``. It may choose its own
                ``pool_id``.

        Returns:
            The pool.

        Raises:
            ConflictError: The chosen id is in use.
            ValidationFailedError: The definition is invalid; the message names the fields.
        """
        return await self._transport.request(
            "create_pool", api.pools.create_pool._get_kwargs(body=_definition(request))
        )

    async def get_or_create_pool(
        self, request: PoolDefinitionDict | PlainRequest
    ) -> dict[str, Any]:
        """Get the pool with the ``pool_id`` of ``request``; create it if it does not exist.

        An existing pool keeps its definition: compare it, or use `replace_pool`.

        Args:
            request: The pool's definition, with its ``pool_id``.

        Returns:
            The pool.

        Raises:
            RequestValidationError: ``request`` has no ``pool_id``.
            ConflictError: The pool with this id is archived; the id cannot be used again.
            ValidationFailedError: The definition is invalid; the message names the fields.
        """
        pool_id = chosen_pool_id(request)
        try:
            return await self.create_pool(request)
        except ConflictError:
            # Without a pool of this id the conflict has another cause.
            with suppress(NotFoundError):
                pool = await self.get_pool(pool_id)
                if pool.get("status", pool.get("state")) != "archived":
                    return pool
            raise

    async def list_pools(
        self, *, state: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Get one page of the pools, newest first.

        Args:
            state: Only pools in this state. Archived pools are listed only for ``"archived"``.
            limit: Most pools of the page, 1 to 1000.
            cursor: ``next_cursor`` of the previous page.

        Returns:
            ``{"items": [...], "next_cursor": ...}``; the cursor is null on the last page.
        """
        return await self._transport.request(
            "list_pools", api.pools.list_pools._get_kwargs(**page(state, limit, cursor))
        )

    def iter_pools(
        self,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> AsyncItems:
        """Iterate over all pools, newest first, fetching pages as needed.

        Args:
            state: Only pools in this state.
            limit: Most pools of a page, 1 to 1000.
            cursor: Begin after the page that ended with this ``next_cursor``.
            prefetch: Request the next page while the current items are used. The sync client
                requests it once they are used up.

        Returns:
            The pools, to iterate over.
        """
        page(state, limit, cursor)
        lists = self._minimal()
        return self._items(
            lambda cursor: lists.list_pools(state=state, limit=limit, cursor=cursor),
            "pools",
            cursor,
            prefetch,
        )

    async def get_pool(self, pool_id: Id) -> dict[str, Any]:
        """Get a pool, also an archived one.

        Args:
            pool_id: Id of the pool.

        Returns:
            The pool.

        Raises:
            NotFoundError: There is no such pool.
        """
        pool_id = path_segment(pool_id, "pool_id")
        return await self._transport.request("get_pool", api.pools.get_pool._get_kwargs(pool_id))

    async def replace_pool(
        self, pool_id: Id, request: PoolDefinitionDict | PlainRequest
    ) -> dict[str, Any]:
        """Replace a pool's definition: members that ``request`` omits return to their defaults.

        Args:
            pool_id: Id of the pool.
            request: The pool's new definition.

        Returns:
            The updated pool.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or ``request`` names another id.
            ValidationFailedError: The definition is invalid; the message names the fields.
        """
        return await self._ask("replace_pool", {"body": _definition(request)}, pool_id=pool_id)

    async def update_pool(
        self, pool_id: Id, request: PoolPatchDict | PlainRequest
    ) -> dict[str, Any]:
        """Change a part of a pool's definition: objects merge, null removes, arrays replace.

        Args:
            pool_id: Id of the pool.
            request: The parts to change.

        Returns:
            The updated pool.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or ``request`` names another id.
            ValidationFailedError: The change is invalid; the message names the fields.
        """
        return await self._ask("update_pool", {"body": _definition(request)}, pool_id=pool_id)

    async def delete_pool(self, pool_id: Id) -> dict[str, Any]:
        """Archive a pool permanently, and cancel its rollouts. Repeating it changes nothing.

        Args:
            pool_id: Id of the pool.

        Returns:
            The archived pool.

        Raises:
            NotFoundError: There is no such pool.
        """
        return await self._ask("delete_pool", pool_id=pool_id)

    async def get_pool_urls(self, pool_id: Id) -> dict[str, Any]:
        """Get the URLs of a pool, its rollouts, its containers and its tasks.

        Args:
            pool_id: Id of the pool.

        Returns:
            The URLs by name.

        Raises:
            NotFoundError: There is no such pool.
        """
        return await self._ask("get_pool_urls", pool_id=pool_id)

    async def get_pool_metrics(self, pool_id: Id) -> dict[str, Any]:
        """Get the number of a pool's rollouts in each state, its success rate and its capacity.

        Args:
            pool_id: Id of the pool.

        Returns:
            The metrics.

        Raises:
            NotFoundError: There is no such pool.
        """
        return await self._ask("get_pool_metrics", pool_id=pool_id)

    async def pause_pool(self, pool_id: Id) -> dict[str, Any]:
        """Pause a pool: running rollouts go on, queued ones wait. It can be repeated.

        Args:
            pool_id: Id of the pool.

        Returns:
            The updated pool.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or was never active.
        """
        return await self._ask("pause_pool", pool_id=pool_id)

    async def resume_pool(self, pool_id: Id) -> dict[str, Any]:
        """Admit rollouts to a paused pool again, or try again to start one that failed.

        Args:
            pool_id: Id of the pool.

        Returns:
            The updated pool: ``active``, or ``warming`` until its containers are up.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or still being prepared.
        """
        return await self._ask("resume_pool", pool_id=pool_id)

    async def wait_pool_active(
        self, pool_id: Id, *, timeout: float | None = 600.0
    ) -> dict[str, Any]:
        """Wait until a pool is active.

        Args:
            pool_id: Id of the pool.
            timeout: Seconds; None for no limit.

        Returns:
            The pool.

        Raises:
            PoolFailedError: It has failed or is archived.
            WaitTimeoutError: It is not active in time; ``last`` is its last known state.
            NotFoundError: There is no such pool.
        """
        from synth_pools._client._async.waiters import AsyncWaiter  # saves 2 ms

        check_limit(timeout, "timeout")
        pool_id = path_segment(pool_id, "pool_id")
        wait = AsyncWaiter(self._transport, timeout)
        return await wait.until_active(api.pools.get_pool._get_kwargs(pool_id), pool_id)
