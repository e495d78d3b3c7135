"""Ends of pages of events and of output lines. Pure, no I/O."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from synth_pools._client.events.position import is_final, is_pool_over
from synth_pools.errors import DecodeError

# Work that may still add events to an ended rollout.
_PENDING = ("cleanup_pending", "publication_pending", "inference_pending")


class PageEnd(NamedTuple):
    """End of a page, and what follows it.

    Attributes:
        next_sequence: Position of the next page.
        has_more: True if the next page is available now.
        is_last: True if there is no next page.
    """

    next_sequence: int
    has_more: bool
    is_last: bool


def end_of_page(page: Any, after_sequence: int) -> PageEnd:
    """Read the end of a page of events.

    Args:
        page: The page.
        after_sequence: Position that the page was requested for.

    Raises:
        DecodeError: It is not a page, or does not advance the position.
    """
    problem = _problem(page, after_sequence)
    if problem is not None:
        excerpt = json.dumps(page, ensure_ascii=False)[:200]
        raise DecodeError(f"a page of events {problem}", excerpt=excerpt)
    pending = any(page.get(name) is True for name in _PENDING)
    is_last = not page["has_more"] and not pending and is_final(page)
    return PageEnd(page["next_sequence"], page["has_more"], is_last)


class LogPageEnd(NamedTuple):
    """End of a page of the output of processes, and what follows it.

    Attributes:
        next_cursor: Position of the next page.
        has_more: True if the next page is available now.
        is_last: True if there is no next page.
    """

    next_cursor: str
    has_more: bool
    is_last: bool


def end_of_log_page(page: Any) -> LogPageEnd:
    """Read the end of a page of the output of processes.

    Args:
        page: The page.

    Raises:
        DecodeError: It is not a page.
    """
    problem = None
    if not isinstance(page, dict) or not isinstance(page.get("lines"), list):
        problem = "holds no list of them"
    elif not isinstance(page.get("next_cursor"), str):
        problem = "does not say in next_cursor where the next one begins"
    elif not isinstance(page.get("has_more"), bool):
        problem = "does not say in has_more whether more are there"
    if problem is not None:
        excerpt = json.dumps(page, ensure_ascii=False)[:200]
        raise DecodeError(f"a page of lines {problem}", excerpt=excerpt)
    processes = page.get("processes")
    runs = isinstance(processes, list) and any(
        isinstance(process, dict) and process.get("running") is True for process in processes
    )
    is_last = is_pool_over(page) and not runs and not page["has_more"]
    return LogPageEnd(page["next_cursor"], page["has_more"], is_last)


def _problem(page: Any, after_sequence: int) -> str | None:
    if not isinstance(page, dict) or not isinstance(page.get("events"), list):
        return "holds no list of them"
    following, has_more = page.get("next_sequence"), page.get("has_more")
    if not isinstance(following, int) or isinstance(following, bool):
        return "does not say in next_sequence where the next one begins"
    if not isinstance(has_more, bool):
        return "does not say in has_more whether more are there"
    if following < after_sequence:
        return f"ends at {following}, before it began at {after_sequence}"
    if following == after_sequence and (has_more or page["events"]):
        return f"ends at {following}, where it began"
    return None
