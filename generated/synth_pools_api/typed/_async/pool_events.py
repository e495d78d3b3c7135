"""The events of all rollouts of a pool, and what its processes write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...api import pool_events as operations
from ...types import UNSET
from .calls import AsyncCalls, AsyncStream

if TYPE_CHECKING:
    pass
    from ...models.pool_event_page import PoolEventPage
    from ...models.pool_log_page import PoolLogPage
    from ...models.rollout_event import RolloutEvent
    from ...models.stream_pool_events_start import (
        StreamPoolEventsStart,
    )


class AsyncPoolEventsApi:
    """The events of all rollouts of a pool, and what its processes write."""

    __slots__ = ("_calls",)

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def get_pool_logs(
        self,
        pool_id: str,
        *,
        cursor: str | None = None,
        limit: int | None = 1000,
        process: int | None = None,
    ) -> PoolLogPage:
        """Get what the processes of a pool wrote.

        Lines that the processes of `config.process` wrote to their standard output and standard
        error, oldest first, from the last start of the server on. Servers with the feature
        `pool_logs` have it. A pool without processes has no lines; one that has failed or is
        archived keeps its own. The server keeps the last lines of each process only:
        `truncated` says that older ones are missing. To follow, ask again with `next_cursor` as
        `cursor`: at once while `has_more` is true, else after a pause, until the pool is
        `archived` and no process runs.

        Args:
            pool_id: The id of a pool.
            cursor: The `next_cursor` of the page before. Any text: one that this server did not
                issue since its start is the oldest line that is kept.
            limit: The most lines that the page may hold.
            process: Only the process of this place. Any number: one that is no place matches
                nothing.
        """

        return await self._calls.call(
            "get_pool_logs",
            operations.get_pool_logs._get_kwargs,
            _parse_get_pool_logs,
            path={"pool_id": pool_id},
            query={"cursor": (str, cursor), "limit": (int, limit), "process": (int, process)},
        )

    def stream_pool_events(
        self,
        pool_id: str,
        *,
        cursor: str | None = None,
        start: StreamPoolEventsStart | None = "earliest",
        types: str | None = None,
        last_event_id: str | None = None,
    ) -> AsyncStream[RolloutEvent]:
        """Follow the events of all rollouts of a pool.

        A stream of server-sent events: those of all rollouts of the pool that happened, then
        live ones, in the order in which the server stored them. Servers with the feature
        `pool_events` have it. The schema is that of one event, the JSON in the `data` of a
        message: the event as its rollout's own stream has it.

        *Positions.* `id:` is the cursor of the pool, and not the `id` in the data. It rises,
        also as text; treat it as opaque. The first block of the stream comes at once and is an
        `id:` alone, which is no event: where the stream begins. The events of every rollout
        that is created after it came follow. With `types`, such a block also comes after events
        that are left out.

        *Order.* The events of one rollout come in the order of their `sequence`, without gaps,
        none twice. The order between rollouts is the same for every reader, and stays so when
        the server is restarted. An event is stored before anyone sees it.

        *Resume.* `cursor` and `Last-Event-ID` each ask for the events after that one; the
        furthest counts. A text that is no cursor of this pool starts at the beginning, whatever
        `start` says.

        *Silence.* After at most 15 seconds without an event the server sends a comment line (`:
        heartbeat`).

        *End.* The stream goes on while the pool is paused or failed. The server ends it once
        the pool is `archived`, all of its rollouts have ended and their events are sent. Asked
        for again after that, it sends what follows the position, and ends.

        A rollout that is kept no more has no events here either; cursors stay valid. With
        `format=json` the answer is one JSON page (`PoolEventPage`) of the events that are
        there, at most `limit`. A client asks on with `next_cursor` as `cursor`: at once while
        `has_more` is true, else after a pause, until `ended`.

        Args:
            pool_id: The id of a pool.
            cursor: The `id:` of the last block seen of the stream, or the `next_cursor` of a page.
                Any text: one that is no cursor of this pool is the beginning.
            start: Where a reader begins that names no position: `earliest` at the first event,
                `latest` after the last one.
            types: The types of the events that are wanted, separated by commas; all, where it is
                left out. Any text: one that is no type matches nothing.
            last_event_id: The same as `cursor`, as readers of server-sent events send it when they
                reconnect.
        """
        from ...models.rollout_event import RolloutEvent

        return self._calls.stream(
            "stream_pool_events",
            partial(operations.stream_pool_events._get_kwargs, format_=UNSET, limit=UNSET),
            RolloutEvent.from_dict,
            path={"pool_id": pool_id},
            query={"cursor": (str, cursor), "start": (str, start), "types": (str, types)},
            headers={"last_event_id": (str, last_event_id)},
        )

    async def get_pool_event_page(
        self,
        pool_id: str,
        *,
        cursor: str | None = None,
        start: StreamPoolEventsStart | None = "earliest",
        types: str | None = None,
        limit: int | None = 200,
    ) -> PoolEventPage:
        """The JSON answer of `stream_pool_events`, one page of events; see there."""
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
                "limit": (int, limit),
            },
        )


def _parse_get_pool_logs(answer: Any) -> PoolLogPage:
    from ...models.pool_log_page import PoolLogPage

    response_200 = PoolLogPage.from_dict(answer)
    return response_200
