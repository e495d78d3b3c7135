"""Pagination of lists: their parameters, the names of a list, and pages of limited size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..storage.cursors import page_document
from ..storage.database import Row
from .messages import Request, Response, json_response, json_text_response

DEFAULT_LIMIT = 100
# How many items are in memory before their sizes are known.
_PORTION = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page:
    """One page to be read: its scope, names, filter, position and size."""

    request: Request
    scope: str
    later_name: str | None
    state: str | None
    before: int | None
    limit: int

    def filled(
        self,
        load: Callable[[int | None, int], list[_T]],
        render: Callable[[_T], str],
        row_of: Callable[[_T], Row],
    ) -> Response:
        """Read items until the page has as many as were asked for, or is large enough.

        Args:
            load: Loads at most so many items before a position.
            render: Gives an item as JSON text.
            row_of: Gives an item's row, whose `seq` is its position.

        Returns:
            The response, with a cursor if more items follow.
        """
        items: list[str] = []
        copies = 1 if self.later_name is None else 2
        size, before = 0, self.before
        most_bytes = self.request.services.settings.max_page_bytes
        while True:
            wanted = min(_PORTION, self.limit - len(items))
            # One more, to know whether anything follows.
            found = load(before, wanted + 1)
            for number, item in enumerate(found[:wanted], 1):
                items.append(render(item))
                size += len(items[-1]) * copies
                before = row_of(item)["seq"]
                if (len(items) == self.limit or size >= most_bytes) and number < len(found):
                    cursor = self.request.services.cursors.issue(self.scope, before)
                    return json_text_response(page_document(items, cursor, self.later_name))
            if len(found) <= wanted:
                return json_text_response(page_document(items, None, self.later_name))


def read_page(
    request: Request, scope: str, resource: str, states: Collection[str]
) -> Page | Response:
    """Read the parameters of a list.

    Args:
        request: The request.
        scope: The list's name, which a cursor must have been issued for.
        resource: What it lists: later clients look for it under this name.
        states: The states that items can have.

    Returns:
        The page; an empty one, to be sent, if no item can be on it: an unknown state, or a cursor
        that was never issued.
    """
    later = later_name(request, resource)
    state = request.parameters.get("state")
    cursor = request.parameters.get("cursor")
    before = None if cursor is None else request.services.cursors.read(scope, cursor)
    if (state is not None and state not in states) or (cursor is not None and before is None):
        return json_text_response(page_document([], None, later))
    limit = min(
        request.parameters.get("limit", DEFAULT_LIMIT), request.services.settings.max_page_items
    )
    return Page(request, scope, later, state, before, limit)


def whole_list(request: Request, resource: str, items: Sequence[dict[str, Any]]) -> Response:
    """Respond with a list that is not split into pages."""
    later = later_name(request, resource)
    again = {} if later is None else {later: items}
    return json_response({"items": items, **again, "next_cursor": None})


def later_name(request: Request, resource: str) -> str | None:
    """Return the name under which a list is to come a second time; None for clients of `items`."""
    for preference in request.parameters.get("Prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return" and value.strip().strip('"') == "minimal":
            return None
    return resource
