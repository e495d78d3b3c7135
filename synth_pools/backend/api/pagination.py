"""Pagination of lists: their three parameters, and pages of limited size."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from ..storage.cursors import page_document
from ..storage.database import Row
from .messages import Request, Response, json_text_response

DEFAULT_LIMIT = 100
# How many items are in memory before their sizes are known.
_PORTION = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page:
    """One page to be read: its scope, filter, position and size."""

    request: Request
    scope: str
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
        size, before = 0, self.before
        most_bytes = self.request.services.settings.max_page_bytes
        while True:
            wanted = min(_PORTION, self.limit - len(items))
            # One more, to know whether anything follows.
            found = load(before, wanted + 1)
            for number, item in enumerate(found[:wanted], 1):
                items.append(render(item))
                size += len(items[-1])
                before = row_of(item)["seq"]
                if (len(items) == self.limit or size >= most_bytes) and number < len(found):
                    cursor = self.request.services.cursors.issue(self.scope, before)
                    return json_text_response(page_document(items, cursor))
            if len(found) <= wanted:
                return json_text_response(page_document(items, None))


def read_page(request: Request, scope: str, states: Collection[str]) -> Page | None:
    """Read the parameters of a list.

    Args:
        request: The request.
        scope: The list's name, which a cursor must have been issued for.
        states: The states that items can have.

    Returns:
        The page; None if no item can be on it: an unknown state, or a cursor that was never issued.
    """
    state = request.parameters.get("state")
    if state is not None and state not in states:
        return None
    cursor = request.parameters.get("cursor")
    before = None
    if cursor is not None:
        before = request.services.cursors.read(scope, cursor)
        if before is None:
            return None
    limit = min(
        request.parameters.get("limit", DEFAULT_LIMIT), request.services.settings.max_page_items
    )
    return Page(request, scope, state, before, limit)
