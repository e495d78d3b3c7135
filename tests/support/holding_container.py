"""A container that answers its rollouts when a test tells it to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tests.support.backend_server import eventually
from tests.support.odd_container import OddContainer, Seen, http, odd_container


class Holding:
    """Each call of `release` lets so many rollouts end, the oldest first or not."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(0)
        self.container: OddContainer

    def __call__(self, seen: Seen) -> bytes | None:
        if seen.method == "POST" and seen.path == "/rollouts":
            if not self._free.acquire(timeout=30):
                return None
            rollout_id = seen.json["rollout_id"]
            return http(200, {"rollout_id": rollout_id, "status": "completed", "reward": 1})
        return http(200, {"status": "ok"})

    @property
    def url(self) -> str:
        return self.container.url

    @property
    def ran(self) -> list[str]:
        """The ids of the rollouts that it was sent."""
        return [seen.json["rollout_id"] for seen in self.container.seen if seen.method == "POST"]

    def wait_for(self, number: int) -> None:
        eventually(lambda: len(self.ran) >= number)

    def release(self, number: int = 1) -> None:
        self._free.release(number)


@contextlib.contextmanager
def holding_containers(number: int) -> Iterator[list[Holding]]:
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(number):
            holding = Holding()
            holding.container = stack.enter_context(odd_container(holding))
            # What still waits at the end must not hold up the end.
            stack.callback(holding.release, 1000)
            started.append(holding)
        yield started
