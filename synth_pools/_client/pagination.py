"""Items and next cursor of a page of a list, in each form that services send. Pure, no I/O."""

from __future__ import annotations

from typing import Any

from synth_pools.errors import DecodeError


def page_items(page: Any, resource: str) -> list[Any]:
    """Return the items of a page: under ``items``, else the name of the resource, else ``data``.

    Raises:
        DecodeError: It holds no list.
    """
    if isinstance(page, list):
        return page
    names = ("items", resource, "data") if isinstance(page, dict) else ()
    for name in names:
        if isinstance(page.get(name), list):
            items: list[Any] = page[name]
            return items
    if page == {}:
        return []
    raise DecodeError(
        f"a page of {resource} holds no list of them; it begins with {str(page)[:100]!r}",
        excerpt=str(page)[:200],
    )


def next_cursor(page: Any, previous: str | None) -> str | None:
    """Return the cursor of the next page; None after the last one.

    Some services repeat the cursor of the request after the last page.
    """
    if not isinstance(page, dict):
        return None
    cursor = page["next_cursor"] if "next_cursor" in page else page.get("cursor")
    if isinstance(cursor, int) and not isinstance(cursor, bool):
        cursor = str(cursor)
    if not isinstance(cursor, str) or not cursor or cursor == previous:
        return None
    return cursor
