"""Pagination of lists: parameters, names of a list, and pages of limited size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from synth_pools.backend.api.disconnects import turn_unless_disconnected
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import (
    PIECE_BYTES,
    JSONResponse,
    Response,
    json_response,
    json_text_response,
)
from synth_pools.backend.domain import json_text
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage.cursors import Found, ListPosition, page_document
from synth_pools.backend.storage.database import Snapshot

_T = TypeVar("_T")

DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Page to be read: its scope, names, filter, position and size."""

    request: Request
    scope: str
    later_name: str | None
    state: str | None
    after: ListPosition | None
    limit: int

    @property
    def wanted(self) -> int:
        """The number of items to find: one more shows whether another page follows."""
        return self.limit + 1

    async def filled(
        self, items: Sequence[Found], load: Callable[[Snapshot, Sequence[int]], list[str]]
    ) -> Response:
        """Read items until the page has as many as requested, or is large enough.

        Args:
            items: The items.
            load: Returns those at these positions as JSON texts; for items without theirs.

        Returns:
            The response, with a cursor if more items follow.

        Raises:
            ApiError: 503 if there is no room for a large page.
        """
        services = self.request.services
        copies = 1 if self.later_name is None else 2
        count = size = 0
        for item in items[: self.limit]:
            if count and size + item.size * copies > services.settings.max_page_bytes:
                break
            count += 1
            size += item.size * copies
        cursor = None
        if len(items) > count:
            cursor = services.cursors.issue(self.scope, items[count - 1].position)
        texts = [item.document for item in items[:count] if item.document is not None]
        if len(texts) == count and size <= json_text.LARGE:
            reserved = None if size <= PIECE_BYTES else await services.room_to_send(size)
            body = page_document(texts, cursor, self.later_name).encode("ascii")
            return JSONResponse(200, body, reserved=reserved)
        seqs = [item.position.seq for item in items[:count]]
        return await read_sized(
            self.request, size, lambda db: page_document(load(db, seqs), cursor, self.later_name)
        )


async def read_sized(request: Request, size: int, load: Callable[[Snapshot], str]) -> Response:
    """Respond with a text from the database; a large one is read in a thread, with reserved room.

    Args:
        request: The request.
        size: The approximate size of the response in bytes.
        load: Reads it as JSON text.

    Raises:
        ApiError: 503 if there is no room.
    """
    body, reserved = await read_with_room(request, size, lambda db: load(db).encode("ascii"))
    return JSONResponse(200, body, reserved=reserved)


async def read_with_room(
    request: Request, size: int, load: Callable[[Snapshot], _T]
) -> tuple[_T, Reservation | None]:
    """Read part of a response from the database; a large one is read in a thread.

    Args:
        request: The request.
        size: Its approximate size in bytes.
        load: Reads it.

    Returns:
        The value, and the room reserved for it if it is large.

    Raises:
        ApiError: 503 if there is no room.
    """
    services = request.services
    if size <= PIECE_BYTES:
        return await services.database.read(load), None
    reserved = await services.room_to_send(size)
    async with turn_unless_disconnected(request.receive, services.turn(services.reading_turns)):
        if size <= json_text.LARGE:
            return await services.database.read(load), reserved
        return await services.database.read_apart(load), reserved


def read_page(
    request: Request, scope: str, resource: str, states: Collection[str]
) -> Page | Response:
    """Read the parameters of a list.

    Args:
        request: The request.
        scope: The list's name; only cursors issued for it are valid.
        resource: The name under which older clients look for the items.
        states: The states that items can have.

    Returns:
        The page; an empty response if no item can be on it, since the state is unknown or the
        cursor was never issued.
    """
    second_name = later_name(request, resource)
    state = request.parameters.get("state")
    cursor = request.parameters.get("cursor")
    after = None if cursor is None else request.services.cursors.read(scope, cursor)
    if (state is not None and state not in states) or (cursor is not None and after is None):
        return json_text_response(page_document([], None, second_name))
    limit = min(
        request.parameters.get("limit", DEFAULT_LIMIT), request.services.settings.max_page_items
    )
    return Page(request, scope, second_name, state, after, limit)


def whole_list(request: Request, resource: str, items: Sequence[dict[str, Any]]) -> Response:
    """Respond with a list that is not split into pages."""
    return json_response(list_document(request, resource, items))


def list_document(
    request: Request, resource: str, items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Build a list that is not split into pages."""
    second_name = later_name(request, resource)
    second_list = {} if second_name is None else {second_name: items}
    return {"items": items, **second_list, "next_cursor": None}


def later_name(request: Request, resource: str) -> str | None:
    """Return the second name of the items in a list; None if the client reads only `items`."""
    return None if _prefers_minimal(request) else resource


def preference_headers(request: Request) -> dict[str, str]:
    """Return the headers of a response that depends on `Prefer`."""
    applied = {"preference-applied": "return=minimal"} if _prefers_minimal(request) else {}
    return {"vary": "Prefer", **applied}


def _prefers_minimal(request: Request) -> bool:
    for preference in request.parameters.get("Prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return" and value.strip().strip('"') == "minimal":
            return True
    return False
