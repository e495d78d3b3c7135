# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/pool_events.py

"""Events of all rollouts of a pool, and the output of its processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from synth_pools._client._sync.facade.base import Operations, or_unset
from synth_pools._client.arguments import check_count, check_seconds, path_segment, query_text
from synth_pools._client.http.request_builder import Call
from synth_pools.errors import RequestValidationError
from synth_pools_api import api
from synth_pools_api.operations import OperationId
from synth_pools_api.types import UNSET, Id

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import LogLines

_STARTS = ("earliest", "latest")


class PoolEventOperations(Operations):
    """The operations on the events and the output of a pool."""

    def stream_pool_events(
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
        return self._open_events(*self._pool_events_call(pool_id, cursor, start, types, include))

    def get_pool_event_page(
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
        operation, call = self._pool_events_call(pool_id, cursor, start, types, include)
        limit = check_count(limit, "limit", least=1, most=1000)
        call["params"] = {**call.get("params", {}), "format": "json", "limit": limit}
        return self._transport.request(operation, call)

    def get_pool_logs(
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
        pool_id = path_segment(pool_id, "pool_id")
        if process is not None:
            process = check_count(process, "process", least=0, most=2**31 - 1)
        return self._transport.request(
            "get_pool_logs",
            api.pool_events.get_pool_logs._get_kwargs(
                pool_id,
                cursor=or_unset(query_text(cursor, "cursor")),
                limit=check_count(limit, "limit", least=1, most=1000),
                process=or_unset(process),
            ),
        )

    def iter_pool_logs(
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
        from synth_pools._client._sync.pagination import LogLines  # saves 1 ms

        pool_id = path_segment(pool_id, "pool_id")
        query_text(cursor, "cursor")
        if process is not None:
            check_count(process, "process", least=0, most=2**31 - 1)
        return LogLines(
            lambda position: self.get_pool_logs(pool_id, cursor=position, process=process),
            self._transport.sleep,
            cursor,
            check_seconds(poll_interval, "poll_interval"),
        )

    def _pool_events_call(
        self,
        pool_id: Id,
        cursor: str | None,
        start: str,
        types: Iterable[str] | None,
        include: Literal["rollout"] | None,
    ) -> tuple[OperationId, Call]:
        if start not in _STARTS:
            raise RequestValidationError(
                f"start must be 'earliest' or 'latest', not {start!r:.100}"
            )
        if include not in (None, "rollout"):
            raise RequestValidationError(f"include must be 'rollout' or None, not {include!r:.100}")
        return "stream_pool_events", api.pool_events.stream_pool_events._get_kwargs(
            path_segment(pool_id, "pool_id"),
            cursor=or_unset(query_text(cursor, "cursor")),
            start="latest" if start == "latest" else UNSET,
            types=or_unset(_joined(types)),
            include=or_unset(include),
            format_=UNSET,
            limit=UNSET,
        )


def _joined(types: Iterable[str] | None) -> str | None:
    if types is None:
        return None
    if isinstance(types, str):
        raise RequestValidationError(f"types must be several texts: [{types!r:.100}]")
    try:
        names = list(types)
    except TypeError:
        kind = type(types).__name__
        raise RequestValidationError(f"types must be several texts, not {kind}") from None
    for name in names:
        text = query_text(name, "types")
        if not text or "," in text:
            raise RequestValidationError(f"types must be names of types, not {name!r:.100}")
    return ",".join(names)
