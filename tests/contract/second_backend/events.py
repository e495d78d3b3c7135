"""The events of a rollout: the log, positions in it, pages, and streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.contract.second_backend.rules import Rules

# Less than the 15 seconds of the document: the comment takes a moment to arrive.
_BREATH = 10.0
_TERMINAL = ("rollout.completed", "rollout.failed", "rollout.cancelled")


class EventLog:
    """Events of one rollout, in order; readers wait for more."""

    def __init__(self, rollout_id: str, pool_id: str, keeps: Rules) -> None:
        self.items: list[dict[str, Any]] = []
        self._ids = {"rollout_id": rollout_id, "pool_id": pool_id}
        self._keeps = keeps
        self._more = asyncio.Event()

    @property
    def ended(self) -> bool:
        return bool(self.items) and self.items[-1]["event"] in _TERMINAL

    def add(self, kind: str, timestamp: str | None, data: dict[str, Any]) -> None:
        place = len(self.items) + 1
        number = place if self._keeps("events.ids_rise") else 10_000 - place
        text = f"evt_{number:010}" if self._keeps("events.ids_rise_as_text") else f"evt_{number}"
        self.items.append(
            {
                "id": text,
                "event": kind,
                **self._ids,
                "sequence": place if self._keeps("events.no_gaps") else place * 2 - 1,
                "timestamp": timestamp,
                "data": data,
            }
        )
        more, self._more = self._more, asyncio.Event()
        more.set()

    def position(self, ids: list[str | None], after: int | None) -> int:
        """Return the furthest of the requested positions; 0 is the beginning."""
        places = {item["id"]: index for index, item in enumerate(self.items, 1)}
        positions = [places.get(event_id, 0) for event_id in ids if event_id is not None]
        positions += [after] if after is not None else []
        if not positions:
            return 0
        return max(positions) if self._keeps("events.furthest") else min(positions)

    def page(self, after: int, limit: int) -> dict[str, Any]:
        """Return the events after a position, without `status` and `rollout_id`."""
        events = self.items[after : after + limit]
        last = after + len(events)
        ahead = last < len(self.items) if self._keeps("pages.has_more") else False
        return {
            "events": events,
            "next_sequence": last if self._keeps("pages.next_sequence") else last + 1,
            "has_more": ahead,
        }

    async def stream(self, after: int) -> AsyncIterator[bytes]:
        """Yield server-sent events, until the terminal one."""
        at = after
        while True:
            more = self._more
            if self._keeps("events.live") or self.ended:
                for item in self.items[at:]:
                    if item["event"] != "agent" or self._keeps("events.all_seen"):
                        yield _message(item)
                at = max(at, len(self.items))
            if self.ended and self._keeps("events.stream_ends"):
                return
            try:
                await asyncio.wait_for(more.wait(), _BREATH)
            except TimeoutError:
                if self._keeps("events.heartbeat"):
                    yield b": heartbeat\n\n"


def _message(item: dict[str, Any]) -> bytes:
    data = json.dumps(item, separators=(",", ":"))
    return f"id: {item['id']}\nevent: {item['event']}\ndata: {data}\n\n".encode()
