# Derived by `make generate`. Change the file that it comes from:
# codegen/siblings.py

"""Operations that repeat others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from synth_pools._client._async.facade.base import (
    STREAM,
    AsyncOperations,
    or_unset,
    page,
    page_of_events,
)
from synth_pools._client.arguments import (
    check_count,
    check_seconds,
    path_segment,
    query_text,
    request_body,
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


class AsyncGlobalRolloutOperations(AsyncOperations):
    """The operations on single rollouts, and their lists, without naming their pool."""

    async def get_global_rollout(self, rollout_id: Id) -> dict[str, Any]:
        """Get the current state of a rollout, with its result once it is finished.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The rollout.

        Raises:
            NotFoundError: There is no such rollout.
        """
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "get_global_rollout", api.agent_rollouts.get_global_rollout._get_kwargs(rollout_id)
        )

    async def list_global_rollouts(
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
        return await self._transport.request(
            "list_global_rollouts",
            api.agent_rollouts.list_global_rollouts._get_kwargs(
                **page(state, limit, cursor), **checked_filters(filters)
            ),
        )

    def iter_global_rollouts(
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
        page(state, limit, cursor)
        checked_filters(filters)
        lists = self._minimal()
        return self._items(
            lambda cursor: lists.list_global_rollouts(
                state=state, limit=limit, cursor=cursor, **filters
            ),
            "rollouts",
            cursor,
            prefetch,
        )

    async def cancel_global_rollout(self, rollout_id: Id) -> dict[str, Any]:
        """Cancel a rollout that waits or runs. Repeating it changes nothing.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The rollout, cancelled.

        Raises:
            NotFoundError: There is no such rollout.
            ConflictError: The rollout has completed or failed.
        """
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "cancel_global_rollout",
            api.agent_rollouts.cancel_global_rollout._get_kwargs(rollout_id, body=request_body({})),
        )

    async def get_global_rollout_artifacts(self, rollout_id: Id) -> dict[str, Any]:
        """List the artifacts of a rollout; empty until it is finished.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            ``{"items": [...], "next_cursor": null}``

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._ask("get_global_rollout_artifacts", rollout_id=rollout_id)

    async def get_global_rollout_usage(self, rollout_id: Id) -> dict[str, Any]:
        """Get the resources that a rollout used: time, tokens, bytes, cost.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The usage.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._ask("get_global_rollout_usage", rollout_id=rollout_id)

    async def get_global_rollout_summary(self, rollout_id: Id) -> dict[str, Any]:
        """Get the summary of a rollout: status, reward, last event, timing.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The summary.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._transport.request(*self._global_summary_call(rollout_id))

    def stream_global_rollout_events(
        self, rollout_id: Id, *, cursor: str | None = None
    ) -> AsyncEventStream:
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
        return self._open_events(*self._global_events_call(rollout_id, cursor))

    async def get_global_rollout_event_page(
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
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "stream_global_rollout_events",
            api.agent_rollouts.stream_global_rollout_events._get_kwargs(
                rollout_id, **page_of_events(after_sequence, limit)
            ),
        )

    def iter_global_rollout_event_pages(
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
        rollout_id = path_segment(rollout_id, "rollout_id")
        page_of_events(after_sequence, limit)
        return self._event_pages(
            lambda position: self.get_global_rollout_event_page(
                rollout_id, after_sequence=position, limit=limit
            ),
            after_sequence,
            check_seconds(poll_interval, "poll_interval"),
        )

    def _global_summary_call(self, rollout_id: Id) -> tuple[OperationId, Call]:
        rollout_id = path_segment(rollout_id, "rollout_id")
        build = api.agent_rollouts.get_global_rollout_summary._get_kwargs
        return "get_global_rollout_summary", build(rollout_id)

    def _global_path(self, rollout_id: Id) -> RolloutPath:
        from synth_pools._client._async.waiters import RolloutPath  # saves 2 ms

        rollout_id = path_segment(rollout_id, "rollout_id")
        url = api.agent_rollouts.get_global_rollout._get_kwargs(rollout_id)["url"]
        return RolloutPath(url, is_global=True)

    def _global_events_call(self, rollout_id: Id, cursor: str | None) -> tuple[OperationId, Call]:
        rollout_id = path_segment(rollout_id, "rollout_id")
        return (
            "stream_global_rollout_events",
            api.agent_rollouts.stream_global_rollout_events._get_kwargs(
                rollout_id, cursor=or_unset(query_text(cursor, "cursor")), **STREAM
            ),
        )


class AsyncTaskContainerOperations(AsyncOperations):
    """The operations of `AsyncContainerOperations`, on the container of a task."""

    async def get_task_container_health(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
        """Get the health of the container of a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.

        Returns:
            The container's own answer.
        """
        return await self._ask("get_task_container_health", pool_id=pool_id, task_id=task_id)

    async def get_task_container_info(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
        """Get the self-description of the container of a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.

        Returns:
            The container's own answer.
        """
        return await self._ask("get_task_container_info", pool_id=pool_id, task_id=task_id)

    async def get_task_container_metadata(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
        """Get the metadata of the container of a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.

        Returns:
            The container's own answer.
        """
        return await self._ask("get_task_container_metadata", pool_id=pool_id, task_id=task_id)

    async def get_task_container_task_info(
        self, pool_id: Id, task_id: Id, *, seed: int | None = None
    ) -> dict[str, Any]:
        """Get the task description of the container of a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            seed: Seed whose task to describe.

        Returns:
            The container's own answer.
        """
        query = {}
        if seed is not None:
            query["seed"] = check_count(seed, "seed", least=-(2**63), most=2**63 - 1)
        return await self._ask(
            "get_task_container_task_info", query, pool_id=pool_id, task_id=task_id
        )

    async def get_task_container_program(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
        """Get the program of the container of a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.

        Returns:
            The container's own answer.
        """
        return await self._ask("get_task_container_program", pool_id=pool_id, task_id=task_id)

    async def get_task_container_taskset(self, pool_id: Id, task_id: Id) -> dict[str, Any]:
        """Get the taskset of the container of a task.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.

        Returns:
            The container's own answer.
        """
        return await self._ask("get_task_container_taskset", pool_id=pool_id, task_id=task_id)

    async def execute_task_container_rollout(
        self, pool_id: Id, task_id: Id, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run one rollout on the container of a task, outside of the queue.

        Args:
            pool_id: Id of the pool.
            task_id: Id of the task.
            request: Passed on to the container unchanged; any keys are allowed.

        Returns:
            The container's own answer.

        Raises:
            ConflictError: The pool is archived.
        """
        return await self._ask(
            "execute_task_container_rollout",
            {"body": request_body(request)},
            pool_id=pool_id,
            task_id=task_id,
        )
