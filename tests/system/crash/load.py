"""Client side of a crash run: its requests, their answers, the events that it saw."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from synth_pools import (
    APIConnectionError,
    APITimeoutError,
    ConflictError,
    ContainerPoolsClient,
    NotFoundError,
    ServerError,
    StreamBrokenError,
    StreamTimeoutError,
)

_WRITERS = 6
_READERS = 8
_LIMIT_SECONDS = 90.0
_OF_LONG = 0.03
_LONG_SECONDS = 8.0
# Errors of a backend that is killed, missing or starting.
_AWAY = (APIConnectionError, APITimeoutError, ServerError, StreamBrokenError, StreamTimeoutError)

T = TypeVar("T")


@dataclass
class Asked:
    """Rollout in the records of its client."""

    pool_id: str
    key: str
    request: dict[str, Any]
    rollout_id: str
    cancelled: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def most_attempts(self) -> int:
        return int(self.request.get("limits", {}).get("max_attempts", 1))


class Load:
    """Threads that create, repeat, cancel and follow rollouts, while backends are killed.

    Args:
        clients: A client of each backend; a call uses any of them.
        pool_ids: The pools.
        seed: Seed of the requests, not of their times.
        long_in: The pools with some rollouts that last longer than the lease of a backend.
    """

    def __init__(
        self,
        clients: Sequence[ContainerPoolsClient],
        pool_ids: list[str],
        seed: int,
        long_in: Collection[str] = (),
    ) -> None:
        self._clients = clients
        self.asked: list[Asked] = []
        self.repeats = 0
        self.tries_that_met_nobody = 0
        # Because the containers of the pool were about to start.
        self.refused = 0
        self._pool_ids = pool_ids
        self._seed = seed
        self._long_in = long_in
        self._to_follow: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(_WRITERS + _READERS)
        self._writers = [self._threads.submit(self._write, number) for number in range(_WRITERS)]
        self._readers = [self._threads.submit(self._read) for _ in range(_READERS)]

    @property
    def client(self) -> ContainerPoolsClient:
        """The client of any backend."""
        return random.choice(self._clients)

    def check(self) -> None:
        """Raise the error of a thread in the main thread."""
        for future in (*self._writers, *self._readers):
            if future.done():
                future.result()

    def finish(self, seconds: float) -> None:
        """Ask for nothing more, and follow all there is to its end."""
        self._stop.set()
        for future in self._writers:
            future.result(seconds)
        for _ in self._readers:
            self._to_follow.put(None)
        for future in self._readers:
            future.result(seconds)

    def close(self) -> None:
        self._stop.set()
        for _ in self._readers:
            self._to_follow.put(None)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def in_the_end(self, call: Callable[[], T]) -> T:
        deadline = time.monotonic() + _LIMIT_SECONDS
        while True:
            try:
                return call()
            except _AWAY:
                self.tries_that_met_nobody += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _write(self, number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        mine: list[Asked] = []
        while not self._stop.is_set():
            try:
                mine.append(self._create(chance))
            except ConflictError as error:
                if error.code != "pool_not_active":
                    raise
                # Its containers are about to start; there are other pools.
                self.refused += 1
            if mine and chance.random() < 0.1:
                self._repeat(chance.choice(mine))
            if mine and chance.random() < 0.05:
                self._cancel(chance.choice(mine[-5:]))
            self._stop.wait(chance.uniform(0, 0.2))

    def _create(self, chance: random.Random) -> Asked:
        request: dict[str, Any] = {
            "seed": chance.randrange(1_000_000),
            "params": {"seconds": chance.choice([0, 0.05, 0.3, 1.0])},
        }
        if chance.random() < 0.25:
            request["limits"] = {"max_attempts": 3}
        pool_id, key = chance.choice(self._pool_ids), uuid.uuid4().hex
        if pool_id in self._long_in and chance.random() < _OF_LONG:
            request["params"]["seconds"] = _LONG_SECONDS
        requested = Asked(pool_id, key, request, self._send(pool_id, request, key))
        with self._lock:
            self.asked.append(requested)
        self._to_follow.put(requested)
        return requested

    def _send(self, pool_id: str, request: dict[str, Any], key: str) -> str:
        answer = self.in_the_end(
            lambda: self.client.create_rollout(pool_id, request, idempotency_key=key)
        )
        return str(answer["rollout_id"])

    def _repeat(self, request: Asked) -> None:
        again = self._send(request.pool_id, request.request, request.key)
        assert again == request.rollout_id, f"one key made {request.rollout_id} and {again}"
        self.repeats += 1

    def _cancel(self, request: Asked) -> None:
        try:
            answer = self.in_the_end(
                lambda: self.client.cancel_rollout(request.pool_id, request.rollout_id)
            )
        except ConflictError:
            return  # it has ended otherwise
        assert answer["status"] == "cancelled"
        request.cancelled = True

    def _read(self) -> None:
        while (requested := self._to_follow.get()) is not None:
            # A lost rollout is also missing at the end, where it is reported.
            with contextlib.suppress(NotFoundError):
                self.in_the_end(partial(self._follow, requested))

    def _follow(self, request: Asked) -> None:
        """Go on after the last event that was seen, to the end."""
        cursor = request.events[-1]["id"] if request.events else None
        with self.client.stream_rollout_events(
            request.pool_id, request.rollout_id, cursor=cursor
        ) as stream:
            for event in stream:
                request.events.append(event)
