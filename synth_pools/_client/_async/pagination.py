"""Iteration over the pages of a list, of a rollout's events and of a pool's log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Self

from synth_pools._client.events.pages import end_of_log_page, end_of_page
from synth_pools._client.http.async_.engine import AsyncCloseable
from synth_pools._client.pagination import next_cursor, page_items
from synth_pools._client.runtime.async_.concurrency import AsyncPrefetch
from synth_pools._client.runtime.async_.io import AsyncFunction
from synth_pools.errors import RequestValidationError


class _Iteration(AsyncCloseable):
    __slots__ = ("_results",)

    _results: AsyncGenerator[dict[str, Any], None]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await self._results.__anext__()

    async def aclose(self) -> None:
        """End the iteration. Can be repeated."""
        await self._results.aclose()


class AsyncItems(_Iteration):
    """Items of a list, page after page; a page is fetched when its first item is read.

    Iterating raises the errors of listing a page.
    """

    def __init__(
        self,
        fetch: AsyncFunction[[str | None], dict[str, Any]],
        resource: str,
        cursor: str | None,
        *,
        prefetch: bool,
    ) -> None:
        if not isinstance(prefetch, bool):
            raise RequestValidationError(
                f"prefetch must be True or False, not {type(prefetch).__name__}"
            )
        self._results = _items(fetch, resource, cursor, prefetch)


class AsyncEventPages(_Iteration):
    """Pages of a rollout's events until it has ended, each fetched when it is read.

    Pages without events are left out. Iterating raises the errors of fetching a page.
    """

    def __init__(
        self,
        fetch: AsyncFunction[[int], dict[str, Any]],
        sleep: AsyncFunction[[float], None],
        after_sequence: int,
        poll_interval: float,
    ) -> None:
        self._results = _event_pages(fetch, sleep, after_sequence, poll_interval)


class AsyncLogLines(_Iteration):
    """Output of a pool's processes, until the pool is archived and all of them have ended.

    Iterating raises the errors of fetching a page.
    """

    def __init__(
        self,
        fetch: AsyncFunction[[str | None], dict[str, Any]],
        sleep: AsyncFunction[[float], None],
        cursor: str | None,
        poll_interval: float,
    ) -> None:
        self._results = _log_lines(fetch, sleep, cursor, poll_interval)


async def _log_lines(
    fetch: AsyncFunction[[str | None], dict[str, Any]],
    sleep: AsyncFunction[[float], None],
    position: str | None,
    poll_interval: float,
) -> AsyncGenerator[dict[str, Any], None]:
    while True:
        page = await fetch(position)
        position, has_more, is_last = end_of_log_page(page)
        for line in page["lines"]:
            yield line
        if is_last:
            return
        if not has_more:
            await sleep(poll_interval)


async def _event_pages(
    fetch: AsyncFunction[[int], dict[str, Any]],
    sleep: AsyncFunction[[float], None],
    position: int,
    poll_interval: float,
) -> AsyncGenerator[dict[str, Any], None]:
    while True:
        page = await fetch(position)
        position, has_more, is_last = end_of_page(page, position)
        if page["events"]:
            yield page
        if is_last:
            return
        if not has_more:
            await sleep(poll_interval)


async def _items(
    fetch: AsyncFunction[[str | None], dict[str, Any]],
    resource: str,
    cursor: str | None,
    prefetch: bool,
) -> AsyncGenerator[dict[str, Any], None]:
    page = await fetch(cursor)
    while True:
        cursor = next_cursor(page, cursor)
        ahead = AsyncPrefetch(_fetching(fetch, cursor)) if prefetch and cursor is not None else None
        try:
            for item in page_items(page, resource):
                yield item
            if cursor is None:
                return
            page = await (fetch(cursor) if ahead is None else ahead.result())
        finally:
            if ahead is not None:
                ahead.drop()


def _fetching(
    fetch: AsyncFunction[[str | None], dict[str, Any]], cursor: str
) -> AsyncFunction[[], dict[str, Any]]:
    return lambda: fetch(cursor)
