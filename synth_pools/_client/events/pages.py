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
        position: Position of the next page: a sequence, or the cursor of lines.
        has_more: True if the next page is available now.
        is_last: True if there is no next page.
    """

    position: Any
    has_more: bool
    is_last: bool


def end_of_page(page: Any, after_sequence: int) -> PageEnd:
    """Read the end of a page of events.

    Args:
        page: The page.
        after_sequence: Position from which the page was requested.

    Raises:
        DecodeError: It is not a page, or does not advance the position.
    """
    position, has_more = _check(page, "events", "next_sequence", int)
    if position < after_sequence:
        raise _error(page, "events", f"ends at {position}, before it began at {after_sequence}")
    if position == after_sequence and (has_more or page["events"]):
        raise _error(page, "events", f"ends at {position}, where it began")
    pending = any(page.get(name) is True for name in _PENDING)
    return PageEnd(position, has_more, not has_more and not pending and is_final(page))


def end_of_log_page(page: Any) -> PageEnd:
    """Read the end of a page of the output of processes.

    Raises:
        DecodeError: It is not a page.
    """
    position, has_more = _check(page, "lines", "next_cursor", str)
    processes = page.get("processes")
    is_running = isinstance(processes, list) and any(
        isinstance(process, dict) and process.get("running") is True for process in processes
    )
    return PageEnd(position, has_more, is_pool_over(page) and not is_running and not has_more)


def _check(page: Any, items: str, name: str, kind: type) -> tuple[Any, bool]:
    """Return the position of the next page, and whether it is available now."""
    if not isinstance(page, dict) or not isinstance(page.get(items), list):
        raise _error(page, items, "holds no list of them")
    position, has_more = page.get(name), page.get("has_more")
    if not isinstance(position, kind) or isinstance(position, bool):
        raise _error(page, items, f"does not say in {name} where the next one begins")
    if not isinstance(has_more, bool):
        raise _error(page, items, "does not say in has_more whether more are there")
    return position, has_more


def _error(page: Any, items: str, problem: str) -> DecodeError:
    excerpt = json.dumps(page, ensure_ascii=False)[:200]
    return DecodeError(f"a page of {items} {problem}", excerpt=excerpt)
