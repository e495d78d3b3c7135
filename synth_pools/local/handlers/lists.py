"""The three parameters that every list of pools or rollouts takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..calls import Call

DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Page:
    call: Call
    scope: str
    state: str | None
    before: int | None
    limit: int

    def next_cursor(self, positions: Sequence[int]) -> str | None:
        """The cursor behind this page, given the positions of one item more than it may hold."""
        if len(positions) <= self.limit:
            return None
        return self.call.backend.cursors.issue(self.scope, positions[self.limit - 1])


def read_page(call: Call, scope: str, states: Collection[str]) -> Page | None:
    """None where no item can be on the page: an unknown state, or a cursor of nobody's making."""
    state = call.parameters.get("state")
    if state is not None and state not in states:
        return None
    cursor = call.parameters.get("cursor")
    before = None
    if cursor is not None:
        before = call.backend.cursors.read(scope, cursor)
        if before is None:
            return None
    limit = min(call.parameters.get("limit", DEFAULT_LIMIT), call.backend.settings.max_page_items)
    return Page(call, scope, state, before, limit)
