"""A service that has one rollout with events, and serves them badly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.support.fault_server import Seen
from tests.support.faults import Fault, answer, chunked, events

KINDS = ("rollout.queued", "rollout.started", "agent", "agent", "reward", "rollout.completed")


class EventService:
    """Service of events, for a `FaultServer`'s `choose`.

    Args:
        ids: Place of the id of an event: "stream", "envelope", or none.
        resumes: First event of a resumed stream: the one "after" the last, "at" it, or the "start".
        faults: Fault of each request for events in turn; None serves them.
    """

    def __init__(
        self,
        *,
        ids: str = "stream",
        resumes: str = "after",
        faults: Sequence[Fault | None] = (),
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self.ids = ids
        self.resumes = resumes
        self.faults = list(faults)
        self.kinds = list(kinds)
        self.asked: list[Seen] = []
        self.summaries = 0
        self.status = "running"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events, as a client should receive them."""
        return [self._event(number) for number in range(len(self.kinds))]

    def __call__(self, request: Seen) -> Fault:
        if not request.path.endswith("/events"):
            self.summaries += request.path.endswith("/summary")
            last = self.events[-1] if self.status == "completed" else None
            return answer({"status": self.status, "last_event": last})
        self.asked.append(request)
        fault = self.faults.pop(0) if self.faults else None
        return events([self.stream(request)]) if fault is None else fault

    def part(self, length: int, end: str) -> Fault:
        """The first bytes of the whole stream, and how it ends then."""
        return chunked([self.encoded(0)[:length]], kind="text/event-stream", end=end)

    def stream(self, request: Seen) -> bytes:
        cursor = request.query.get("cursor")
        start = 0
        if cursor is not None and self.resumes != "start":
            assert request.headers.get("last-event-id", cursor) == cursor
            start = int(cursor.removeprefix("e")) + (self.resumes == "after") - 1
        return self.encoded(start)

    def encoded(self, start: int) -> bytes:
        text = ""
        for number in range(start, len(self.kinds)):
            if self.ids == "stream":
                text += f"id: e{number + 1}\n"
            text += f"data: {json.dumps(self._event(number))}\n\n"
        return text.encode()

    def _event(self, number: int) -> dict[str, Any]:
        event: dict[str, Any] = {"event": self.kinds[number], "text": "ü\u2028" * (number % 2)}
        if self.ids == "envelope":
            event["id"] = f"e{number + 1}"
        return event
