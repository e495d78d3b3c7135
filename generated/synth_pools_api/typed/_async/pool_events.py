"""The events of all rollouts of a pool, and what its processes write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...api import pool_events as operations
from ...types import UNSET
from .calls import AsyncGroup, AsyncStream

if TYPE_CHECKING:
    from ...models.pool_event import PoolEvent
    from ...models.pool_event_page import PoolEventPage
    from ...models.pool_log_page import PoolLogPage
    from ...models.stream_pool_events_include import StreamPoolEventsInclude
    from ...models.stream_pool_events_start import StreamPoolEventsStart
    from ...types import Id


class AsyncPoolEventsApi(AsyncGroup):
    """The events of all rollouts of a pool, and what its processes write."""

    async def get_pool_logs(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        limit: int | None = 1000,
        process: int | None = None,
    ) -> PoolLogPage:
        """Get what the processes of a pool wrote.

        Returns lines that the processes of the pool wrote to their standard output and standard
        error, oldest first, since the last start of the server. A process is here one of
        `config.process`, or a container of `config.image`; the output of the image's pull
        counts as its container's. Servers with the feature `pool_logs` offer it.

        Args:
            pool_id: The id of a pool.
            cursor: The `next_cursor` of the page before. Any text is valid: one that this server
                has not issued since its start begins at the oldest line that is kept.
            limit: The most lines that the page may hold.
            process: Returns only the process of this place, and its lines. Any number is valid: one
                that is no place matches nothing.
        """
        from ...models.pool_log_page import PoolLogPage

        return await self._calls.call(
            "get_pool_logs",
            operations.get_pool_logs._get_kwargs,
            PoolLogPage.from_dict,
            path={"pool_id": pool_id},
            query={"cursor": (str, cursor), "limit": (int, limit), "process": (int, process)},
        )

    def stream_pool_events(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        start: StreamPoolEventsStart | None = "earliest",
        types: str | None = None,
        include: StreamPoolEventsInclude | None = None,
        last_event_id: str | None = None,
    ) -> AsyncStream[PoolEvent]:
        """Follow the events of all rollouts of a pool.

        Returns a stream of server-sent events: first those that all rollouts of the pool have
        had, then live ones, in the order in which the server stored them. Servers with the
        feature `pool_events` offer it. The schema describes the JSON of one `data:` line: the
        same event as in the stream of its rollout.

        Args:
            pool_id: The id of a pool.
            cursor: The last `id:` that was seen in the stream, or the `next_cursor` of a page. Any
                text is valid: one that is no cursor of this pool is the position before the first
                event.
            start: Where a reader begins that sends neither `cursor` nor `Last-Event-ID`.
                `earliest`: at the first event. `latest`: after the last event that is there.
            types: The types of events to return, separated by commas. Left out: all types. Any text
                is valid: one that is no type matches nothing.
            include: What events hold in addition. `rollout`: the last event of each rollout holds
                the rollout and its summary. Left out: nothing.
            last_event_id: The same as `cursor`. Readers of server-sent events send it when they
                reconnect.
        """
        from ...models.pool_event import PoolEvent

        return self._calls.stream(
            "stream_pool_events",
            partial(operations.stream_pool_events._get_kwargs, format_=UNSET, limit=UNSET),
            PoolEvent.from_dict,
            path={"pool_id": pool_id},
            query={
                "cursor": (str, cursor),
                "start": (str, start),
                "types": (str, types),
                "include": (str, include),
            },
            headers={"last_event_id": (str, last_event_id)},
        )

    async def get_pool_event_page(
        self,
        pool_id: Id,
        *,
        cursor: str | None = None,
        start: StreamPoolEventsStart | None = "earliest",
        types: str | None = None,
        include: StreamPoolEventsInclude | None = None,
        limit: int | None = 200,
    ) -> PoolEventPage:
        """Get one page of the events of `stream_pool_events`, whose parameters it has."""
        from ...models.pool_event_page import PoolEventPage

        return await self._calls.call(
            "stream_pool_events",
            partial(operations.stream_pool_events._get_kwargs, format_="json"),
            PoolEventPage.from_dict,
            path={"pool_id": pool_id},
            query={
                "cursor": (str, cursor),
                "start": (str, start),
                "types": (str, types),
                "include": (str, include),
                "limit": (int, limit),
            },
        )
