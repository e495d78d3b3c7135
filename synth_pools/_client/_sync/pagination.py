# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/pagination.py

"""Iteration over the pages of a list, of a rollout's events and of a pool's log."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

from synth_pools._client.events.pages import end_of_log_page, end_of_page
from synth_pools._client.http.sync_.engine import Closeable
from synth_pools._client.pagination import next_cursor, page_items
from synth_pools._client.runtime.sync_.concurrency import Prefetch
from synth_pools._client.runtime.sync_.io import Function
from synth_pools.errors import RequestValidationError


class _Iteration(Closeable):
    __slots__ = ("_results",)

    _results: Generator[dict[str, Any], None]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        return self._results.__next__()

    def close(self) -> None:
        """End the iteration. Can be repeated."""
        self._results.close()


class Items(_Iteration):
    """Items of a list, page after page; a page is fetched when its first item is read.

    Iterating raises the errors of listing a page.
    """

    def __init__(
        self,
        fetch: Function[[str | None], dict[str, Any]],
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


class EventPages(_Iteration):
    """Pages of a rollout's events until it has ended, each fetched when it is read.

    Pages without events are left out. Iterating raises the errors of fetching a page.
    """

    def __init__(
        self,
        fetch: Function[[int], dict[str, Any]],
        sleep: Function[[float], None],
        after_sequence: int,
        poll_interval: float,
    ) -> None:
        self._results = _event_pages(fetch, sleep, after_sequence, poll_interval)


class LogLines(_Iteration):
    """Output of a pool's processes, until the pool is archived and all of them have ended.

    Iterating raises the errors of fetching a page.
    """

    def __init__(
        self,
        fetch: Function[[str | None], dict[str, Any]],
        sleep: Function[[float], None],
        cursor: str | None,
        poll_interval: float,
    ) -> None:
        self._results = _log_lines(fetch, sleep, cursor, poll_interval)


def _log_lines(
    fetch: Function[[str | None], dict[str, Any]],
    sleep: Function[[float], None],
    position: str | None,
    poll_interval: float,
) -> Generator[dict[str, Any], None]:
    while True:
        page = fetch(position)
        position, has_more, is_last = end_of_log_page(page)
        for line in page["lines"]:
            yield line
        if is_last:
            return
        if not has_more:
            sleep(poll_interval)


def _event_pages(
    fetch: Function[[int], dict[str, Any]],
    sleep: Function[[float], None],
    position: int,
    poll_interval: float,
) -> Generator[dict[str, Any], None]:
    while True:
        page = fetch(position)
        position, has_more, is_last = end_of_page(page, position)
        if page["events"]:
            yield page
        if is_last:
            return
        if not has_more:
            sleep(poll_interval)


def _items(
    fetch: Function[[str | None], dict[str, Any]], resource: str, cursor: str | None, prefetch: bool
) -> Generator[dict[str, Any], None]:
    page = fetch(cursor)
    while True:
        cursor = next_cursor(page, cursor)
        ahead = Prefetch(_fetching(fetch, cursor)) if prefetch and cursor is not None else None
        try:
            for item in page_items(page, resource):
                yield item
            if cursor is None:
                return
            page = fetch(cursor) if ahead is None else ahead.result()
        finally:
            if ahead is not None:
                ahead.drop()


def _fetching(
    fetch: Function[[str | None], dict[str, Any]], cursor: str
) -> Function[[], dict[str, Any]]:
    return lambda: fetch(cursor)
