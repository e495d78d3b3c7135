"""The events of all rollouts of a pool, and what its processes write."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...api import pool_events as operations
from ...types import UNSET
from .calls import Calls, Stream

if TYPE_CHECKING:
    pass
    from ...models.pool_event import PoolEvent
    from ...models.pool_event_page import PoolEventPage
    from ...models.pool_log_page import PoolLogPage
    from ...models.stream_pool_events_include import (
        StreamPoolEventsInclude,
    )
    from ...models.stream_pool_events_start import (
        StreamPoolEventsStart,
    )


class PoolEventsApi:
    """The events of all rollouts of a pool, and what its processes write."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get_pool_logs(
        self,
        pool_id: str,
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

        A pool without processes has no lines. A pool that is `failed` or `archived` keeps its
        lines. The server keeps only the last lines of each process: `truncated` says whether
        lines after the position are no longer kept. For the next page a client sends
        `next_cursor` as `cursor`: at once while `has_more` is true, else after a pause, until
        the pool is `archived` and no process runs.

        Args:
            pool_id: The id of a pool.
            cursor: The `next_cursor` of the page before. Any text is valid: one that this server
                has not issued since its start begins at the oldest line that is kept.
            limit: The most lines that the page may hold.
            process: Returns only the process of this place, and its lines. Any number is valid: one
                that is no place matches nothing.
        """

        return self._calls.call(
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
        include: StreamPoolEventsInclude | None = None,
        last_event_id: str | None = None,
    ) -> Stream[PoolEvent]:
        """Follow the events of all rollouts of a pool.

        Returns a stream of server-sent events: first those that all rollouts of the pool have
        had, then live ones, in the order in which the server stored them. Servers with the
        feature `pool_events` offer it. The schema describes the JSON of one `data:` line: the
        same event as in the stream of its rollout.

        *Positions.* `id:` is a cursor of the pool, not the `id` in the data. It rises, also as
        text. Treat it as opaque. A block is the lines of the stream up to an empty line. The
        first block comes at once and is an `id:` alone: no event, but the position at which the
        stream begins. The events of every rollout that is created after this block came follow
        it. With `types`, such a block also follows events that are left out.

        *Order.* The events of one rollout come in the order of their `sequence`, without gaps,
        none twice. Events of different rollouts come in the same order to every reader, also
        after a restart of the server. The server stores an event before anyone sees it.

        *Resume.* `cursor` and `Last-Event-ID` each ask for the events after a position. If both
        are given, the further one counts. A text that is no cursor of this pool is the position
        before the first event, whatever `start` says.

        *Silence.* After at most 15 seconds without an event the server sends a comment line (`:
        heartbeat`).

        *End.* The stream goes on while the pool is `paused` or `failed`. The server ends it
        once the pool is `archived`, all of its rollouts have ended and their events are sent. A
        stream that is asked for after that holds what follows its position, and ends.

        A forgotten rollout has no events here either. Cursors stay valid.

        *Ended rollouts.* With `include=rollout` the last event of each rollout also holds what
        `get_rollout` and `get_rollout_summary` return, as `rollout` and `summary`: a client
        that follows many rollouts need not ask for each. The server may leave out both where
        they are large. Servers with the feature `event_rollouts` offer it; others take no
        notice of `include`.

        *Pages.* With `format=json` the answer is one JSON page (`PoolEventPage`) of the events
        that are there, at most `limit`. For the next page a client sends `next_cursor` as
        `cursor`: at once while `has_more` is true, else after a pause, until `ended` is true.

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

    def get_pool_event_page(
        self,
        pool_id: str,
        *,
        cursor: str | None = None,
        start: StreamPoolEventsStart | None = "earliest",
        types: str | None = None,
        include: StreamPoolEventsInclude | None = None,
        limit: int | None = 200,
    ) -> PoolEventPage:
        """The JSON answer of `stream_pool_events`, one page of events; see there."""
        from ...models.pool_event_page import PoolEventPage

        return self._calls.call(
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


def _parse_get_pool_logs(answer: Any) -> PoolLogPage:
    from ...models.pool_log_page import PoolLogPage

    response_200 = PoolLogPage.from_dict(answer)
    return response_200
