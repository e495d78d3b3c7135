"""Iteration over the pages of a list, of a rollout's events and of a pool's log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Self

from synth_pools._client.events.pages import end_of_log_page, end_of_page
from synth_pools._client.pagination import next_cursor, page_items
from synth_pools._client.runtime.async_.concurrency import AsyncPrefetch
from synth_pools._client.runtime.async_.io import AsyncCloseable, AsyncFunction
from synth_pools.errors import RequestValidationError


class AsyncItems(AsyncCloseable):
    """Items of a list, page after page; a page is fetched with its first item.

    Iterating raises the errors of listing a page.
    """

    __slots__ = ("_items",)

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
        self._items = _items(fetch, resource, cursor, prefetch)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await self._items.__anext__()

    async def aclose(self) -> None:
        """End the iteration. Can be repeated."""
        await self._items.aclose()


class AsyncEventPages(AsyncCloseable):
    """Pages of a rollout's events until it has ended, each fetched when it is read.

    Pages without events are left out. Iterating raises the errors of fetching a page.
    """

    __slots__ = ("_pages",)

    def __init__(
        self,
        fetch: AsyncFunction[[int], dict[str, Any]],
        sleep: AsyncFunction[[float], None],
        after_sequence: int,
        poll_interval: float,
    ) -> None:
        self._pages = _event_pages(fetch, sleep, after_sequence, poll_interval)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await self._pages.__anext__()

    async def aclose(self) -> None:
        """End the iteration. Can be repeated."""
        await self._pages.aclose()


class AsyncLogLines(AsyncCloseable):
    """Lines that the processes of a pool write, until it is archived and all of them have ended.

    Iterating raises the errors of fetching a page.
    """

    __slots__ = ("_lines",)

    def __init__(
        self,
        fetch: AsyncFunction[[str | None], dict[str, Any]],
        sleep: AsyncFunction[[float], None],
        cursor: str | None,
        poll_interval: float,
    ) -> None:
        self._lines = _log_lines(fetch, sleep, cursor, poll_interval)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await self._lines.__anext__()

    async def aclose(self) -> None:
        """End the iteration. Can be repeated."""
        await self._lines.aclose()


async def _log_lines(
    fetch: AsyncFunction[[str | None], dict[str, Any]],
    sleep: AsyncFunction[[float], None],
    position: str | None,
    poll_interval: float,
) -> AsyncGenerator[dict[str, Any], None]:
    while True:
        end = end_of_log_page(page := await fetch(position))
        for line in page["lines"]:
            yield line
        if end.is_last:
            return
        if not end.has_more:
            await sleep(poll_interval)
        position = end.next_cursor


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
