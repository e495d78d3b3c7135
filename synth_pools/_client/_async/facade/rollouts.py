"""Rollouts of one pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from synth_pools._client._async.facade.base import (
    STREAM,
    AsyncOperations,
    or_unset,
    page,
    page_of_events,
)
from synth_pools._client.arguments import (
    check_flag,
    check_idempotency_key,
    check_limit,
    check_seconds,
    path_segment,
    query_text,
    request_body,
    validate_pool_rollout_request,
)
from synth_pools._client.filters import checked_filters
from synth_pools._client.http.request_builder import Call
from synth_pools_api import api
from synth_pools_api.operations import OperationId
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools._client._async.event_stream import AsyncEventStream
    from synth_pools._client._async.pagination import AsyncEventPages, AsyncItems
    from synth_pools._client._async.waiters import RolloutPath
    from synth_pools.types import RolloutFilters
    from synth_pools_api.requests import PlainRequest, RolloutRequestDict


class AsyncRolloutOperations(AsyncOperations):
    """The operations on the rollouts of one pool."""

    async def create_rollout(
        self,
        pool_id: Id,
        request: RolloutRequestDict | PlainRequest,
        *,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Start a rollout on a pool.

        Args:
            pool_id: Id of the pool.
            request: What to run, in the `CANONICAL_ROLLOUT_REQUEST_KEYS`. With
                ``"mode": "sync"`` the call waits until the rollout is finished.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollout of the first one.

        Returns:
            The rollout.

        Raises:
            RequestValidationError: ``request`` has other keys; nothing was sent.
            NotFoundError: There is no such pool or task.
            ConflictError: The pool is not active, or the key belongs to another request.
            ValidationFailedError: The request is invalid; the message names the fields.
        """
        validate_pool_rollout_request(request, context="create_rollout")
        pool_id = path_segment(pool_id, "pool_id")
        return await self._transport.request(
            "create_rollout", self._creation(pool_id, request, idempotency_key)
        )

    async def get_rollout(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Get the current state of a rollout, with its result once it is finished.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The rollout.

        Raises:
            NotFoundError: There is no such rollout.
        """
        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "get_rollout", api.rollouts.get_rollout._get_kwargs(pool_id, rollout_id)
        )

    async def list_rollouts(
        self,
        pool_id: Id,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        **filters: Unpack[RolloutFilters],
    ) -> dict[str, Any]:
        """Get one page of a pool's rollouts, newest first unless sorted otherwise.

        Args:
            pool_id: Id of the pool.
            state: Only rollouts in this state.
            limit: Most rollouts of the page, 1 to 1000.
            cursor: ``next_cursor`` of the previous page.
            **filters: Further filters and the order: the keys of `types.RolloutFilters`.

        Returns:
            ``{"items": [...], "next_cursor": ...}``; the cursor is null on the last page.

        Raises:
            NotFoundError: There is no such pool.
        """
        pool_id = path_segment(pool_id, "pool_id")
        return await self._transport.request(
            "list_rollouts",
            api.rollouts.list_rollouts._get_kwargs(
                pool_id, **page(state, limit, cursor), **checked_filters(filters)
            ),
        )

    def iter_rollouts(
        self,
        pool_id: Id,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
        **filters: Unpack[RolloutFilters],
    ) -> AsyncItems:
        """Iterate over a pool's rollouts, newest first unless sorted otherwise.

        Pages are fetched as needed.

        Args:
            pool_id: Id of the pool.
            state: Only rollouts in this state.
            limit: Most rollouts of a page, 1 to 1000.
            cursor: Begin after the page that ended with this ``next_cursor``.
            prefetch: Request the next page while the current items are used. The sync client
                requests it once they are used up.
            **filters: Further filters and the order: the keys of `types.RolloutFilters`.

        Returns:
            The rollouts, to iterate over.

        Raises:
            NotFoundError: There is no such pool (when iterated).
        """
        pool_id = path_segment(pool_id, "pool_id")
        page(state, limit, cursor)
        checked_filters(filters)
        lists = self._minimal()
        return self._items(
            lambda cursor: lists.list_rollouts(
                pool_id, state=state, limit=limit, cursor=cursor, **filters
            ),
            "rollouts",
            cursor,
            prefetch,
        )

    async def wait_rollout(
        self,
        pool_id: Id,
        rollout_id: Id,
        *,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
    ) -> dict[str, Any]:
        """Wait until a rollout has ended: completed, failed or cancelled.

        It follows the rollout's events, and survives some minutes without the service.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            timeout: Seconds; None for no limit.
            cancel_on_timeout: Cancel the rollout when the time is over; else it goes on.

        Returns:
            The rollout.

        Raises:
            WaitTimeoutError: It has not ended in time; ``last`` is its last known state.
            NotFoundError: There is no such rollout.
        """
        from synth_pools._client._async.waiters import wait_for_rollout  # saves 2 ms

        check_limit(timeout, "timeout")
        check_flag(cancel_on_timeout, "cancel_on_timeout")
        path = self._path(pool_id, rollout_id)
        return await wait_for_rollout(
            self._transport, path, timeout=timeout, cancel_on_timeout=cancel_on_timeout
        )

    async def cancel_rollout(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Cancel a rollout that waits or runs. Repeating it changes nothing.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The rollout, cancelled.

        Raises:
            NotFoundError: There is no such rollout.
            ConflictError: The rollout has completed or failed.
        """
        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "cancel_rollout",
            api.rollouts.cancel_rollout._get_kwargs(pool_id, rollout_id, body=request_body({})),
        )

    async def get_rollout_artifacts(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """List the artifacts of a rollout; empty until it is finished.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._ask("get_rollout_artifacts", pool_id=pool_id, rollout_id=rollout_id)

    async def get_rollout_usage(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Get the resources that a rollout used: time, tokens, bytes, cost.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The usage.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._ask("get_rollout_usage", pool_id=pool_id, rollout_id=rollout_id)

    async def get_rollout_summary(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Get the summary of a rollout: status, reward, last event, timing.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The summary.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._transport.request(*self._summary_call(pool_id, rollout_id))

    def stream_rollout_events(
        self, pool_id: Id, rollout_id: Id, *, cursor: str | None = None
    ) -> AsyncEventStream:
        """Stream the events of a rollout from the first one, live until it is finished.

        The arguments are checked at once; the request is sent when the first event is read.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            cursor: ``id`` of the last event before the stream; None for all events.

        Returns:
            The events, to iterate over.

        Raises:
            NotFoundError: There is no such rollout (when iterated).
        """
        return self._open_events(*self._events_call(pool_id, rollout_id, cursor))

    async def get_rollout_event_page(
        self, pool_id: Id, rollout_id: Id, *, after_sequence: int = 0, limit: int = 200
    ) -> dict[str, Any]:
        """Get one page of the stored events of a rollout.

        Use it on networks that delay streams.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            after_sequence: ``sequence`` of the last event before the page; 0 for all events.
            limit: Most events of the page, 1 to 1000.

        Returns:
            ``{"rollout_id", "status", "events", "next_sequence", "has_more"}``: ``next_sequence``
            is the ``after_sequence`` of the next page.

        Raises:
            NotFoundError: There is no such rollout.
            ResponseDecodeError: The service has no pages, and answers with a stream.
        """
        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "stream_rollout_events",
            api.rollouts.stream_rollout_events._get_kwargs(
                pool_id, rollout_id, **page_of_events(after_sequence, limit)
            ),
        )

    def iter_rollout_event_pages(
        self,
        pool_id: Id,
        rollout_id: Id,
        *,
        after_sequence: int = 0,
        limit: int = 200,
        poll_interval: float = 1.0,
    ) -> AsyncEventPages:
        """Iterate over the events of a rollout page by page, live until it is finished.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            after_sequence: ``sequence`` of the last event before the page; 0 for all events.
            limit: Most events of a page, 1 to 1000.
            poll_interval: Seconds between requests while there are no new events.

        Returns:
            The pages, to iterate over; each has at least one event.

        Raises:
            NotFoundError: There is no such rollout (when iterated).
            ResponseDecodeError: The service has no pages (when iterated).
        """
        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        page_of_events(after_sequence, limit)
        return self._event_pages(
            lambda position: self.get_rollout_event_page(
                pool_id, rollout_id, after_sequence=position, limit=limit
            ),
            after_sequence,
            check_seconds(poll_interval, "poll_interval"),
        )

    def _creation(
        self, pool_id: str, request: RolloutRequestDict | PlainRequest, idempotency_key: str | None
    ) -> Call:
        return api.rollouts.create_rollout._get_kwargs(
            pool_id,
            body=request_body(request),
            idempotency_key=or_unset(check_idempotency_key(idempotency_key)),
        )

    def _summary_call(self, pool_id: Id, rollout_id: Id) -> tuple[OperationId, Call]:
        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        build = api.rollouts.get_rollout_summary._get_kwargs
        return "get_rollout_summary", build(pool_id, rollout_id)

    def _path(self, pool_id: Id, rollout_id: Id) -> RolloutPath:
        from synth_pools._client._async.waiters import RolloutPath  # saves 2 ms

        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        url = api.rollouts.get_rollout._get_kwargs(pool_id, rollout_id)["url"]
        return RolloutPath(url, is_global=False)

    def _events_call(
        self, pool_id: Id, rollout_id: Id, cursor: str | None
    ) -> tuple[OperationId, Call]:
        pool_id = path_segment(pool_id, "pool_id")
        rollout_id = path_segment(rollout_id, "rollout_id")
        return "stream_rollout_events", api.rollouts.stream_rollout_events._get_kwargs(
            pool_id, rollout_id, cursor=or_unset(query_text(cursor, "cursor")), **STREAM
        )
