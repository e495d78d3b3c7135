"""Pool in memory that counts, and refuses on request."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.fault_server import Seen
from tests.support.faults import Fault, answer, events

ENDED = b'event: rollout.completed\ndata: {"event": "rollout.completed"}\n\n'


class FleetService:
    """Service of rollouts, for a `FaultServer`'s `choose`.

    Args:
        seconds: Duration of a rollout.

    Attributes:
        keys: Rollout of each idempotency key.
        creations: Number of creations with each key.
        refuse: Return the fault of a creation, or None to admit it.
        status: Return the final status of a rollout, from its request and its key.
        most_running: Most simultaneous rollouts.
        features: The features in the capabilities.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.keys: dict[str, str] = {}
        self.creations: Counter[str] = Counter()
        self.seeds: Counter[Any] = Counter()
        self.refuse: Callable[[Seen], Fault | None] = lambda _: None
        self.status: Callable[[Any, str], str] = lambda *_: "completed"
        self.most_running = 0
        self.cancelled: list[str] = []
        self.features: dict[str, Any] = {"idempotency_keys": True}
        self._running = 0
        self._lock = threading.Lock()
        self._ended: dict[str, dict[str, Any]] = {}
        self._requests: dict[str, Any] = {}

    def __call__(self, recorded: Seen) -> Fault:
        if recorded.path.endswith("/rollouts"):
            return self._create(recorded)
        if recorded.path == "/v1/capabilities":
            return answer({"targets": [], "features": self.features, "version": "1"})
        if "/rollouts/" not in recorded.path:
            # An older service, whose pools have no events.
            return answer({"detail": "Not Found"}, 404)
        rollout_id, _, kind = recorded.path.partition("/rollouts/")[2].partition("/")
        if kind == "events":
            return events([b": here\n\n", ENDED], pause=self.seconds)
        if kind == "cancel":
            self.cancelled.append(rollout_id)
            return answer({"id": rollout_id, "status": "cancelled"})
        with self._lock:
            if rollout_id not in self._ended:
                self._running -= 1
                request, key = self._requests[rollout_id]
                status = self.status(request, key)
                self._ended[rollout_id] = {"id": rollout_id, "status": status, "request": request}
        return answer(self._ended[rollout_id] if not kind else {"reward": 1.0})

    def _create(self, request: Seen) -> Fault:
        fault = self.refuse(request)
        if fault is not None:
            return fault
        rollout_id = self.admit(request.headers["idempotency-key"], json.loads(request.body))
        return answer({"id": rollout_id, "status": "queued"}, 202)

    def admit(self, key: str, request: Any) -> str:
        """Admit a rollout, or return that of an earlier request with the same key."""
        with self._lock:
            self.creations[key] += 1
            if key not in self.keys:
                self.keys[key] = f"rollout_{len(self.keys)}"
                self._requests[self.keys[key]] = (request, key)
                self.seeds[request.get("seed")] += 1
                self._running += 1
                self.most_running = max(self.most_running, self._running)
        return self.keys[key]


def until(condition: Callable[[], bool], limit: float = 60.0) -> bool:
    """Wait for a condition; return whether it became true in time."""
    give_up = time.monotonic() + limit
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.01)
    return condition()
