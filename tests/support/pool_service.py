"""Pools in memory whose rollouts end on request, and the streams of their events."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.fault_server import Seen
from tests.support.faults import Fault, Wire, answer, events, when

P = "pool_1"
_FINAL = ("completed", "failed", "cancelled")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class PoolService:
    """Service of rollouts and of their pools' events, for a `FaultServer`'s `choose`.

    Attributes:
        status: Status of each rollout.
        pool_of: Pool of each rollout.
        looks: Number of requests for each rollout.
        followed: Number of requests for the events of each rollout alone.
        streams: Requests for the events of a pool.
        live: Number of such streams that are open.
        admit: Called with a new rollout; returns a fault in place of the answer, or None.
        refuse: Called with the pool of a creation; returns a fault in place of admitting, or None.
        serve: Returns the fault of a request for the events of a pool, or None to serve them.
        idle: Called again and again while a stream of a pool has nothing to send.
        forgets: Begin streams with the next event, whatever their cursor.
        beats: Send a heartbeat whenever a stream has nothing else to send.
        summaries: Number of requests for the summary of each rollout.
        told: Called with an ended rollout; returns further fields of its last event.
    """

    def __init__(self) -> None:
        self.status: dict[str, str] = {}
        self.pool_of: dict[str, str] = {}
        self.looks: Counter[str] = Counter()
        self.followed: Counter[str] = Counter()
        self.streams: list[Seen] = []
        self.live = 0
        self.admit: Callable[[str], Fault | None] = lambda _: None
        self.refuse: Callable[[str], Fault | None] = lambda _: None
        self.serve: Callable[[Seen], Fault | None] = lambda _: None
        self.idle: Callable[[], None] = lambda: None
        self.forgets = False
        self.beats = False
        self.summaries: Counter[str] = Counter()
        self.told: Callable[[str], dict[str, Any]] = lambda _: {}
        self._keys: dict[str, str] = {}
        self._log: dict[str, list[bytes]] = {}
        self._cut: tuple[int, str] = (0, "")
        self._lock = threading.Lock()

    @property
    def running(self) -> list[str]:
        """The rollouts that have not ended, the oldest first."""
        return [statu for statu, status in self.status.items() if status not in _FINAL]

    def finish(self, rollout_id: str, status: str = "completed") -> None:
        """End a rollout."""
        self.status[rollout_id] = status
        event = {"event": f"rollout.{status}", "rollout_id": rollout_id, **self.told(rollout_id)}
        self.tell(self.pool_of[rollout_id], event)

    def tell(self, pool_id: str, event: dict[str, Any], count: int = 1) -> None:
        """Add an event to those of a pool, several times."""
        with self._lock:
            log = self._log.setdefault(pool_id, [])
            for number in range(len(log) + 1, len(log) + 1 + count):
                block = f"id: c{number:08}\nevent: {event['event']}\ndata: {json.dumps(event)}\n\n"
                log.append(block.encode())

    def cut(self, how: str) -> None:
        """End the streams that are open: by "end", "cut" or "reset"."""
        self._cut = (self._cut[0] + 1, how)

    def __call__(self, request: Seen) -> Fault:
        before, result, rest = request.path.partition("/rollouts")
        if not result and before.endswith("/events"):
            self.streams.append(request)
            return self.serve(request) or self._stream(request)
        if request.path == "/v1/capabilities":
            return answer({"features": {"idempotency_keys": True}})
        if not result:
            is_paused = self.refuse(request.path.split("/")[3]) is not None
            return answer({"status": "paused" if is_paused else "active"})
        if not rest:
            return self._create(request)
        rollout_id, _, kind = rest[1:].partition("/")
        if kind == "events":
            self.followed[rollout_id] += 1
            finished = b'event: rollout.completed\ndata: {"event": "rollout.completed"}\n\n'
            return when(lambda: self.status[rollout_id] in _FINAL, events([finished]))
        if kind == "cancel" and self.status[rollout_id] not in _FINAL:
            self.finish(rollout_id, "cancelled")
        if not kind:
            self.looks[rollout_id] += 1
        if kind == "summary":
            self.summaries[rollout_id] += 1
            return answer({"reward": 1.0})
        return answer(self.rollout(rollout_id))

    def rollout(self, rollout_id: str) -> dict[str, Any]:
        """Return a rollout as it is answered."""
        pool_id, status = self.pool_of[rollout_id], self.status[rollout_id]
        return {"rollout_id": rollout_id, "pool_id": pool_id, "status": status}

    def _create(self, request: Seen) -> Fault:
        pool_id = (
            request.path.split("/")[3] if "/pools/" in request.path else request.json["pool_id"]
        )
        refusal = self.refuse(pool_id)
        if refusal is not None:
            return refusal
        key = request.headers["idempotency-key"]
        with self._lock:
            is_new = key not in self._keys
            rollout_id = self._keys.setdefault(key, f"rollout_{len(self._keys)}")
            if is_new:
                self.pool_of[rollout_id], self.status[rollout_id] = pool_id, "queued"
        # Like a service that stores its answers: the state of the rollout is that of its creation.
        created = {**self.rollout(rollout_id), "status": "queued"}
        return (self.admit(rollout_id) if is_new else None) or answer(created, 202)

    def _stream(self, request: Seen) -> Fault:
        pool_id = request.path.split("/")[3]
        log = self._log.setdefault(pool_id, [])
        cursor = None if self.forgets else request.query.get("cursor")

        async def act(wire: Wire) -> bool:
            cuts = self._cut[0]
            position = len(log) if cursor is None else int(cursor[1:])
            self.live += 1
            try:
                await wire.send(_HEAD + _chunk(f"id: c{position:08}\n\n".encode()))
                while self._cut[0] == cuts:
                    blocks = b"".join(log[position : position + 1000])
                    position = min(len(log), position + 1000)
                    if blocks:
                        await wire.send(_chunk(blocks))
                    else:
                        self.idle()
                        await wire.send(_chunk(b": here\n\n") if self.beats else b"")
                        await wire.nothing(0.002)
                if self._cut[1] == "end":
                    await wire.send(b"0\r\n\r\n")
                elif self._cut[1] == "reset":
                    wire.reset()
                return False
            finally:
                self.live -= 1

        return act


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
