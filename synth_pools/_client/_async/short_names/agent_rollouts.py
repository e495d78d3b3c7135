# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""``client.agent_rollouts``: rollouts without naming their pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from synth_pools._client._async.namespaces.rollouts import AsyncGlobalRollouts

if TYPE_CHECKING:
    from synth_pools._client._async.event_stream import AsyncEventStream
    from synth_pools._client._async.pagination import AsyncEventPages, AsyncItems
    from synth_pools.types import RolloutFilters
    from synth_pools_api.requests import PlainRequest, RolloutBatchRequestDict, RolloutRequestDict
    from synth_pools_api.types import Id


class AsyncAgentRolloutsNamespace(AsyncGlobalRollouts):
    """``client.agent_rollouts``: rollouts without naming their pool."""

    def iter(
        self,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
        **filters: Unpack[RolloutFilters],
    ) -> AsyncItems:
        """Iterate over the rollouts of all pools, newest first unless sorted otherwise.

        Pages are fetched as needed.

        Args:
            state: Only rollouts in this state.
            limit: Most rollouts of a page, 1 to 1000.
            cursor: Begin after the page that ended with this ``next_cursor``.
            prefetch: Request the next page while the current items are used. The sync client
                requests it once they are used up.
            **filters: Further filters and the order: the keys of `types.RolloutFilters`.

        Returns:
            The rollouts, to iterate over.
        """
        return self._client.iter_global_rollouts(
            state=state, limit=limit, cursor=cursor, prefetch=prefetch, **filters
        )

    async def create(
        self, request: RolloutRequestDict | PlainRequest, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start a rollout; without a ``pool_id`` in the request the service chooses the pool.

        Args:
            request: What to run, in the `CANONICAL_ROLLOUT_REQUEST_KEYS`. With
                ``"mode": "sync"`` the call waits until the rollout is finished.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollout of the first one.

        Returns:
            The rollout.

        Raises:
            RequestValidationError: ``request`` has other keys; nothing was sent.
            NotFoundError: There is no such pool or task.
            ConflictError: No active pool can take it, or the key belongs to another request.
            ValidationFailedError: The request is invalid; the message names the fields.
        """
        if idempotency_key is None:
            return await self._client.create_global_rollout(request)
        return await self._client.create_global_rollout(request, idempotency_key=idempotency_key)

    async def validate(self, request: RolloutRequestDict | PlainRequest) -> dict[str, Any]:
        """Check a request as `create_global_rollout` would; nothing is created.

        Args:
            request: Any mapping; the service checks all of it, including its keys.

        Returns:
            ``{"valid": ..., "errors": [...], "pool_id": ...}``: each error with ``loc``, ``msg``
            and ``type``; ``pool_id`` is the pool that would run the rollout, or None.
        """
        return await self._client.validate_rollout(request)

    async def create_batch(
        self, request: RolloutBatchRequestDict | PlainRequest, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start many rollouts in order, independently: a refused rollout does not stop the others.

        The call never waits until the rollouts end, whatever their ``mode``.

        Args:
            request: ``{"rollouts": [...], "pool_id": ...}``: up to 1000 requests as
                `create_global_rollout` takes them, with a pool for requests that name none.
                ``requests`` is an alias of ``rollouts``; its rollouts come last.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollouts of the first one, and retries only refused ones.

        Returns:
            ``{"items": [...], "admitted": ..., "refused": ...}``: for each request, in order, its
            ``index``, the ``status`` of its own creation, and its ``rollout`` or, if that is
            None, its ``error``.

        Raises:
            RequestValidationError: ``request`` is not of this shape; nothing was sent.
            ConflictError: The key belongs to another batch.
        """
        if idempotency_key is None:
            return await self._client.create_rollout_batch(request)
        return await self._client.create_rollout_batch(request, idempotency_key=idempotency_key)

    async def replay(self, rollout_id: Id, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Start a rollout with the request, task and pool of an earlier one in any state.

        Args:
            rollout_id: The earlier rollout.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollout of the first one.

        Returns:
            The new rollout, which names the earlier one in ``replay_of``; finished if the request
            has ``"mode": "sync"``.

        Raises:
            NotFoundError: There is no such rollout, or its task was removed.
            ConflictError: The pool is not active.
        """
        if idempotency_key is None:
            return await self._client.replay_rollout(rollout_id)
        return await self._client.replay_rollout(rollout_id, idempotency_key=idempotency_key)

    async def get(self, rollout_id: Id) -> dict[str, Any]:
        """Get the current state of a rollout, with its result once it is finished.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The rollout.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._client.get_global_rollout(rollout_id)

    async def list(
        self,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        **filters: Unpack[RolloutFilters],
    ) -> dict[str, Any]:
        """Get one page of the rollouts of all pools, newest first unless sorted otherwise.

        Args:
            state: Only rollouts in this state.
            limit: Most rollouts of the page, 1 to 1000.
            cursor: ``next_cursor`` of the previous page.
            **filters: Further filters and the order: the keys of `types.RolloutFilters`.

        Returns:
            ``{"items": [...], "next_cursor": ...}``; the cursor is null on the last page.
        """
        return await self._client.list_global_rollouts(
            state=state, limit=limit, cursor=cursor, **filters
        )

    async def cancel(self, rollout_id: Id) -> dict[str, Any]:
        """Cancel a rollout that waits or runs. Repeating it changes nothing.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The rollout, cancelled.

        Raises:
            NotFoundError: There is no such rollout.
            ConflictError: The rollout has completed or failed.
        """
        return await self._client.cancel_global_rollout(rollout_id)

    async def artifacts(self, rollout_id: Id) -> dict[str, Any]:
        """List the artifacts of a rollout; empty until it is finished.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._client.get_global_rollout_artifacts(rollout_id)

    async def artifact(self, rollout_id: Id, path: str) -> bytes:
        """Get the content of an artifact, checked against its SHA-256.

        Like all downloads it resumes after a broken connection, with up to ``max_retries`` further
        requests. To write it to a file, or to follow its progress, use
        ``agent_rollouts.download_artifact``.

        Args:
            rollout_id: Id of the rollout.
            path: The artifact's ``path``, or its ``artifact_id``.

        Returns:
            The content.

        Raises:
            NotFoundError: There is no such rollout or artifact, or its content was deleted
                (``code`` is ``artifact_expired``).
            ContentMismatchError: The download differs from the stored content.
        """
        return await self._client.get_global_rollout_artifact(rollout_id, path)

    async def artifacts_zip(self, rollout_id: Id) -> bytes:
        """Get a ZIP archive of all artifacts of a rollout, each under its ``path``.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._client.get_global_rollout_artifacts_zip(rollout_id)

    async def support_bundle(self, rollout_id: Id) -> bytes:
        """Get a ZIP archive of all data that the service has about a rollout, without secrets.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._client.get_global_rollout_support_bundle(rollout_id)

    async def trajectory(self, rollout_id: Id, *, step: int | str | None = None) -> dict[str, Any]:
        """Get what happened in a rollout, step by step, in ATIF.

        Args:
            rollout_id: Id of the rollout.
            step: The number of a step, or the first and last, as ``"3..5"``, ``"3.."`` or
                ``"..5"``; None for all.

        Returns:
            The trajectory.

        Raises:
            NotFoundError: There is no such rollout, or it has no trajectory.
            ValidationFailedError: ``step`` is something else.
        """
        return await self._client.get_global_rollout_trajectory(rollout_id, step=step)

    async def usage(self, rollout_id: Id) -> dict[str, Any]:
        """Get the resources that a rollout used: time, tokens, bytes, cost.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The usage.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._client.get_global_rollout_usage(rollout_id)

    async def summary(self, rollout_id: Id) -> dict[str, Any]:
        """Get the summary of a rollout: status, reward, last event, timing.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The summary.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._client.get_global_rollout_summary(rollout_id)

    def events(self, rollout_id: Id, *, cursor: str | None = None) -> AsyncEventStream:
        """Stream the events of a rollout from the first one, live until it is finished.

        The arguments are checked at once; the request is sent when the first event is read.

        Args:
            rollout_id: Id of the rollout.
            cursor: ``id`` of the last event before the stream; None for all events.

        Returns:
            The events, to iterate over.

        Raises:
            NotFoundError: There is no such rollout (when iterated).
        """
        return self._client.stream_global_rollout_events(rollout_id, cursor=cursor)

    async def event_page(
        self, rollout_id: Id, *, after_sequence: int = 0, limit: int = 200
    ) -> dict[str, Any]:
        """Get one page of the stored events of a rollout.

        Use it on networks that delay streams.

        Args:
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
        return await self._client.get_global_rollout_event_page(
            rollout_id, after_sequence=after_sequence, limit=limit
        )

    def event_pages(
        self,
        rollout_id: Id,
        *,
        after_sequence: int = 0,
        limit: int = 200,
        poll_interval: float = 1.0,
    ) -> AsyncEventPages:
        """Iterate over the events of a rollout page by page, live until it is finished.

        Args:
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
        return self._client.iter_global_rollout_event_pages(
            rollout_id, after_sequence=after_sequence, limit=limit, poll_interval=poll_interval
        )
