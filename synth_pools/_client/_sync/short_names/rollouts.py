# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""``client.rollouts``: the rollouts of one pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from synth_pools._client._sync.namespaces.rollouts import PoolRollouts

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import EventPages, Items
    from synth_pools.types import RolloutFilters
    from synth_pools_api.requests import PlainRequest, RolloutRequestDict
    from synth_pools_api.types import Id


class RolloutsNamespace(PoolRollouts):
    """``client.rollouts``: the rollouts of one pool."""

    def iter(
        self,
        pool_id: Id,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
        **filters: Unpack[RolloutFilters],
    ) -> Items:
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
        return self._client.iter_rollouts(
            pool_id, state=state, limit=limit, cursor=cursor, prefetch=prefetch, **filters
        )

    def wait(
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
        return self._client.wait_rollout(
            pool_id, rollout_id, timeout=timeout, cancel_on_timeout=cancel_on_timeout
        )

    def create(
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
        if idempotency_key is None:
            return self._client.create_rollout(pool_id, request)
        return self._client.create_rollout(pool_id, request, idempotency_key=idempotency_key)

    def get(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Get the current state of a rollout, with its result once it is finished.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The rollout.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return self._client.get_rollout(pool_id, rollout_id)

    def list(
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
        return self._client.list_rollouts(
            pool_id, state=state, limit=limit, cursor=cursor, **filters
        )

    def cancel(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
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
        return self._client.cancel_rollout(pool_id, rollout_id)

    def artifacts(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """List the artifacts of a rollout; empty until it is finished.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such rollout.
        """
        return self._client.get_rollout_artifacts(pool_id, rollout_id)

    def usage(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Get the resources that a rollout used: time, tokens, bytes, cost.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The usage.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return self._client.get_rollout_usage(pool_id, rollout_id)

    def summary(self, pool_id: Id, rollout_id: Id) -> dict[str, Any]:
        """Get the summary of a rollout: status, reward, last event, timing.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The summary.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return self._client.get_rollout_summary(pool_id, rollout_id)

    def events(self, pool_id: Id, rollout_id: Id, *, cursor: str | None = None) -> EventStream:
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
        return self._client.stream_rollout_events(pool_id, rollout_id, cursor=cursor)

    def event_page(
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
        return self._client.get_rollout_event_page(
            pool_id, rollout_id, after_sequence=after_sequence, limit=limit
        )

    def event_pages(
        self,
        pool_id: Id,
        rollout_id: Id,
        *,
        after_sequence: int = 0,
        limit: int = 200,
        poll_interval: float = 1.0,
    ) -> EventPages:
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
        return self._client.iter_rollout_event_pages(
            pool_id,
            rollout_id,
            after_sequence=after_sequence,
            limit=limit,
            poll_interval=poll_interval,
        )
