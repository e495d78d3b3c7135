"""Time limit for an engine that does not check the clock between two events."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

# Seconds between two looks at the clock, and seconds for an engine to end by itself.
_TURN_SECONDS = 0.5
_LAST_SECONDS = 10.0


def events_in_time(
    stream: Any,
    deadline: float,
    last_seconds: float = _LAST_SECONDS,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Any]:
    """Yield an engine's events; abandon the engine some time after the deadline.

    The engine may generate values for minutes between two events.

    Args:
        stream: The events, with a `stop` that ends them after the next one.
        deadline: The end, on time.monotonic()'s clock.
        last_seconds: Seconds after the deadline for the next event.
        is_stopped: Returns True once the run was stopped, which is a deadline, too.

    Yields:
        Each event.

    Raises:
        Exception: The engine raised it.
    """
    channel: queue.SimpleQueue[Any] = queue.SimpleQueue()
    end_mark = object()

    def pump() -> None:
        try:
            for event in stream:
                channel.put((event, None))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            channel.put((end_mark, error))
        else:
            channel.put((end_mark, None))

    threading.Thread(target=pump, name="contract-engine", daemon=True).start()
    while True:
        now = time.monotonic()
        if is_stopped():
            deadline = min(deadline, now)
        if now >= deadline:
            stream.stop()
        try:
            event, error = channel.get(timeout=_TURN_SECONDS)
        except queue.Empty:
            if now > deadline + last_seconds:
                return
            continue
        if error is not None:
            raise error
        if event is end_mark:
            return
        yield event
