"""Pages of events and of lines, and where to go on after one: pure."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from synth_pools._client.events.position import is_final, is_pool_over
from synth_pools.errors import DecodeError

# What may still add events to a rollout that has ended.
_PENDING = ("cleanup_pending", "publication_pending", "inference_pending")


class PageEnd(NamedTuple):
    """End of a page, and what follows it.

    Attributes:
        next_sequence: Where the next one begins.
        has_more: Whether it can be had at once.
        is_last: Whether there will be none.
    """

    next_sequence: int
    has_more: bool
    is_last: bool


def end_of_page(page: Any, after_sequence: int) -> PageEnd:
    """Read where a page of events ends.

    Args:
        page: The page, as it came.
        after_sequence: Where it was to begin.

    Raises:
        DecodeError: It is none, or whoever follows it would go round in circles.
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
        next_cursor: Where the next one begins.
        has_more: Whether it can be had at once.
        is_last: Whether there will be none.
    """

    next_cursor: str
    has_more: bool
    is_last: bool


def end_of_log_page(page: Any) -> LogPageEnd:
    """Read where a page of the output of processes ends.

    Args:
        page: The page, as it came.

    Raises:
        DecodeError: It is none.
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
        isinstance(one, dict) and one.get("running") is True for one in processes
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
