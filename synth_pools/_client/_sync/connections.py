# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/connections.py

"""Connections of a client, opened at the first call and kept apart by event loop."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from synth_pools._client.http.messages import PoolLimits
from synth_pools._client.http.response_reader import EVENT_STREAM, LARGEST_ANSWER, is_endless
from synth_pools._client.http.sync_.engine import (
    Engine,
    HTTPClient,
    IncomingResponse,
    lean_engine,
)
from synth_pools._client.runtime.fork_safety import forget_in_children
from synth_pools._client.runtime.sync_.interrupts import Alarm
from synth_pools._client.runtime.sync_.io import (
    Close,
    Finalizer,
    close_in,
    close_with_owner,
    is_gone,
    owner,
)
from synth_pools.errors import ClientClosedError

if TYPE_CHECKING:
    from synth_pools._client._sync.httpx_engine import HttpxEngine

# Servers close what is idle for 5 seconds, and a request that meets that is lost.
_IDLE_SECONDS = 4.0
# More than a fleet needs, and few enough for the usual limit of 1024 open files.
_CALLS = PoolLimits(256, 256, _IDLE_SECONDS)
# What httpx gives a client that was made without limits.
_MOST_OF_A_CALLER = 100
# A stream holds its connection for as long as a rollout lasts: whoever opens a thousand wants them.
_STREAMS = PoolLimits(None, 64, _IDLE_SECONDS)


class Connections:
    """Engines of our own, or a caller's HTTP client, for a client and all of its views.

    Event streams have connections of their own. A stream keeps its connection for as long as a
    rollout lasts, and a pool that serves both is empty for calls once enough streams are open.

    Attributes:
        keep_limits: Whether all that waits for their sockets keeps to the time limit of its thread.
        alarm: Wakes all that wait.
    """

    def __init__(self, base_url: str, supplied: HTTPClient | None) -> None:
        self._base_url = base_url
        self.alarm = Alarm()
        self._supplied: HttpxEngine | None = None
        self.keep_limits = True
        if supplied is not None:
            # 4 ms, which the engines of our own do without.
            from synth_pools._client._sync.httpx_engine import HttpxEngine
            from synth_pools._client.http.sync_.supplied_client import limit_sockets

            self._supplied = HttpxEngine(supplied, self.alarm)
            self.keep_limits = limit_sockets(supplied)
        self._closed = False
        self._sets: dict[Any, _Set] = {}
        self._current: _Set | None = None
        self._lock = threading.Lock()
        forget_in_children(self)

    @property
    def are_closed(self) -> bool:
        return self._closed

    @property
    def most_calls(self) -> int:
        """Connections for calls; for a caller-supplied HTTP client as far as it says so."""
        if self._supplied is None:
            return _CALLS.connections or _MOST_OF_A_CALLER
        pool = getattr(getattr(self._supplied.http, "_transport", None), "_pool", None)
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) and most else _MOST_OF_A_CALLER

    def check_open(self) -> None:
        """Raise `ClientClosedError` if they are closed."""
        if self._closed:
            raise ClientClosedError("the client is closed: make a new one")

    def ready(self) -> Engine | None:
        """Return the engine for calls if there is one already."""
        current = self._current
        if current is None or current.owner is not owner() or current.is_closed:
            return None
        return current.for_calls

    def engine(self, *, streams: bool = False) -> Engine:
        """Return the engine for calls, or the one for event streams."""
        if self._supplied is not None:
            self.check_open()
            return self._supplied
        current = self._current
        if current is None or current.owner is not owner() or current.is_closed:
            current = self._find()
        if streams:
            return current.for_streams()
        return current.for_calls

    def close(self) -> None:
        """Close all that are ours. Can be repeated."""
        with self._lock:
            self._closed = True
            sets = list(self._sets.values())
            self._forget()
        self.alarm.ring()
        for each in sets:
            close_in(each.owner, each.close)

    def forget(self) -> Any:
        """Give up all connections without closing them, and return them."""
        self._lock = threading.Lock()
        left = self.alarm
        self.alarm = Alarm()
        if self._supplied is not None:
            self._supplied.alarm = self.alarm
        for each in self._sets.values():
            each.finalizer.forget()
        return left, self._forget()

    def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds, or until they are closed."""
        self.alarm.sleep(seconds)

    def _forget(self) -> Any:
        left, self._sets, self._current = (self._sets, self._current), {}, None
        return left

    def _find(self) -> _Set:
        here = owner()
        # Many threads may make the first call at once; there must be one pool all the same.
        with self._lock:
            self.check_open()
            found = self._sets.get(here)
            if found is None or found.is_closed:
                for gone in [each for each in self._sets if is_gone(each)]:
                    self._sets.pop(gone).finalizer.forget()
                if found is not None:
                    found.finalizer.forget()
                found = _Set(here, self._base_url, self.alarm)
                # Nothing is waited for here, so the lock is not held up.
                found.finalizer = close_with_owner(self, _closing(found.made))
                self._sets[here] = found
            self._current = found
        return found


class _Set:
    """The engines that belong to one event loop (or to the process, for blocking ones)."""

    finalizer: Finalizer

    def __init__(self, owner: Any, base_url: str, alarm: Alarm) -> None:
        self.owner = owner
        self._alarm = alarm
        self._base_url = base_url
        self._lock = threading.Lock()
        self.made: list[Engine] = []
        self.for_calls = self._make(_CALLS)
        self._for_streams: Engine | None = None

    @property
    def is_closed(self) -> bool:
        return self.for_calls.is_closed

    def for_streams(self) -> Engine:
        if self._for_streams is None:
            with self._lock:
                if self._for_streams is None:
                    self._for_streams = self._make(_STREAMS)
        return self._for_streams

    def _make(self, limits: PoolLimits) -> Engine:
        engine = lean_engine(self._base_url, limits, self._alarm)
        if engine is None:
            # 4 ms, which the other engines do without.
            from synth_pools._client._sync.httpx_engine import DirectHttpxEngine
            from synth_pools._client.http.sync_.httpx_client import http_client

            http = http_client(self._base_url, limits, self._alarm)
            engine = DirectHttpxEngine(http, self._alarm, self._base_url)
        self.made.append(engine)
        return engine

    def close(self) -> None:
        self.finalizer.close()


def _closing(engines: list[Engine]) -> Close:
    # No method, so that a guard that is held by what it closes does not hold that in turn.
    def close() -> None:
        for engine in engines:
            # What another thread is in the middle of may not be closed in good order.
            with contextlib.suppress(RuntimeError, OSError):
                engine.close()

    return close


def read_whole(response: IncomingResponse) -> None:
    """Read a response to its end and close it; one that is too large is cut, and marked.

    What counts is the size of what comes out of a content encoding: a thousandth of it may come in.
    Of a stream of events nothing is read: it may have no end.
    """
    if is_endless(response):
        response.problem = EVENT_STREAM
        response.close()
    else:
        response.read(LARGEST_ANSWER)
