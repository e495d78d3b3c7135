# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""The operations on pools and their events, under their full and short names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from synth_pools._client._sync.facade.pool_events import PoolEventOperations
from synth_pools._client._sync.facade.pools import PoolOperations

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import LogLines
    from synth_pools_api.requests import PlainRequest, PoolDefinitionDict, PoolPatchDict
    from synth_pools_api.types import Id


class Pools(PoolOperations, PoolEventOperations):
    """The operations on pools and their events, under their full and short names."""

    def create(self, request: PoolDefinitionDict | PlainRequest) -> dict[str, Any]:
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
        return self.create_pool(request)

    def get_or_create(self, request: PoolDefinitionDict | PlainRequest) -> dict[str, Any]:
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
        return self.get_or_create_pool(request)

    def list(
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
        return self.list_pools(state=state, limit=limit, cursor=cursor)

    def get(self, pool_id: Id) -> dict[str, Any]:
        """Get a pool, also an archived one.

        Args:
            pool_id: Id of the pool.

        Returns:
            The pool.

        Raises:
            NotFoundError: There is no such pool.
        """
        return self.get_pool(pool_id)

    def replace(self, pool_id: Id, request: PoolDefinitionDict | PlainRequest) -> dict[str, Any]:
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
        return self.replace_pool(pool_id, request)

    def update(self, pool_id: Id, request: PoolPatchDict | PlainRequest) -> dict[str, Any]:
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
        return self.update_pool(pool_id, request)

    def delete(self, pool_id: Id) -> dict[str, Any]:
        """Archive a pool permanently, and cancel its rollouts. Repeating it changes nothing.

        Args:
            pool_id: Id of the pool.

        Returns:
            The archived pool.

        Raises:
            NotFoundError: There is no such pool.
        """
        return self.delete_pool(pool_id)

    def pause(self, pool_id: Id) -> dict[str, Any]:
        """Pause a pool: running rollouts go on, queued ones wait. It can be repeated.

        Args:
            pool_id: Id of the pool.

        Returns:
            The updated pool.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or was never active.
        """
        return self.pause_pool(pool_id)

    def resume(self, pool_id: Id) -> dict[str, Any]:
        """Admit rollouts to a paused pool again, or try again to start one that failed.

        Args:
            pool_id: Id of the pool.

        Returns:
            The updated pool: ``active``, or ``warming`` until its containers are up.

        Raises:
            NotFoundError: There is no such pool.
            ConflictError: The pool is archived, or still being prepared.
        """
        return self.resume_pool(pool_id)

    def get_urls(self, pool_id: Id) -> dict[str, Any]:
        """Get the URLs of a pool, its rollouts, its containers and its tasks.

        Args:
            pool_id: Id of the pool.

        Returns:
            The URLs by name.

        Raises:
            NotFoundError: There is no such pool.
        """
        return self.get_pool_urls(pool_id)

    def events(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        start: Literal["earliest", "latest"] = "earliest",
        types: Iterable[str] | None = None,
        include: Literal["rollout"] | None = None,
    ) -> EventStream:
        """Stream the events of all rollouts of a pool, live until it is archived.

        The arguments are checked at once; the request is sent when the first event is read.

        Args:
            pool_id: Id of the pool.
            cursor: ``cursor`` of an earlier stream, or ``next_cursor`` of a page, to continue from.
            start: Position without a cursor: at the first event, or after the last one.
            types: Only events of these types, such as ``rollout.completed``; None for all.
            include: ``"rollout"`` adds a rollout and its summary to its last event, as
                ``rollout`` and ``summary``, if the service supports it and they are not large.

        Returns:
            The events, to iterate over; each has its ``rollout_id``.

        Raises:
            NotFoundError: There is no such pool, or the service has no such streams (when
                iterated).
        """
        return self.stream_pool_events(
            pool_id, cursor=cursor, start=start, types=types, include=include
        )

    def event_page(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        start: Literal["earliest", "latest"] = "earliest",
        types: Iterable[str] | None = None,
        include: Literal["rollout"] | None = None,
        limit: int = 200,
    ) -> dict[str, Any]:
        """Get one page of the stored events of a pool's rollouts.

        Use it on networks that delay streams.

        Args:
            pool_id: Id of the pool.
            cursor: ``next_cursor`` of the previous page, or ``cursor`` of a stream.
            start: Position without a cursor: at the first event, or after the last one.
            types: Only events of these types, such as ``rollout.completed``; None for all.
            include: ``"rollout"`` adds a rollout and its summary to its last event, as
                ``rollout`` and ``summary``, if the service supports it and they are not large.
            limit: Most events of the page, 1 to 1000.

        Returns:
            ``{"pool_id", "status", "events", "next_cursor", "has_more", "ended"}``: a
            page with ``ended`` is the last one.

        Raises:
            NotFoundError: There is no such pool, or the service has no such pages.
        """
        return self.get_pool_event_page(
            pool_id, cursor=cursor, start=start, types=types, include=include, limit=limit
        )

    def logs(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 1000,
        process: int | None = None,
    ) -> dict[str, Any]:
        """Get one page of the output of a pool's processes.

        Args:
            pool_id: Id of the pool.
            cursor: ``next_cursor`` of the previous page; None for the oldest stored lines.
            limit: Most lines of the page, 1 to 1000.
            process: Number of a single process; None for all.

        Returns:
            ``{"pool_id", "status", "processes", "lines", "next_cursor", "has_more",
            "truncated"}``.

        Raises:
            NotFoundError: There is no such pool, or the service stores no output.
        """
        return self.get_pool_logs(pool_id, cursor=cursor, limit=limit, process=process)

    def follow_logs(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        process: int | None = None,
        poll_interval: float = 1.0,
    ) -> LogLines:
        """Iterate over the output lines of a pool's processes until it is archived.

        Args:
            pool_id: Id of the pool.
            cursor: ``next_cursor`` of a page; None for the oldest stored lines.
            process: Number of a single process; None for all.
            poll_interval: Seconds between requests while there are no new lines.

        Returns:
            The lines, to iterate over.

        Raises:
            NotFoundError: There is no such pool, or the service stores no output (when iterated).
        """
        return self.iter_pool_logs(
            pool_id, cursor=cursor, process=process, poll_interval=poll_interval
        )
