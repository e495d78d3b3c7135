# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/connections.py

"""Connections of a client, opened at the first call, separate for each event loop."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from synth_pools._client.http.environment import context_for, proxy_for, uses_httpx
from synth_pools._client.http.messages import PoolLimits
from synth_pools._client.http.response_reader import EVENT_STREAM, LARGEST_ANSWER, is_endless
from synth_pools._client.http.sync_.engine import Engine, HTTPClient, IncomingResponse
from synth_pools._client.runtime import register_for_forks
from synth_pools._client.runtime.sync_.interrupts import Alarm
from synth_pools._client.runtime.sync_.io import (
    Close,
    Finalizer,
    close_in,
    close_with_loop,
    event_loop,
    is_closed_loop,
)
from synth_pools.errors import ClientClosedError

if TYPE_CHECKING:
    from synth_pools._client.http.sync_.httpx_engine import HttpxEngine

# Servers close a connection that is idle for 5 seconds, and lose a request that arrives just then.
_IDLE_SECONDS = 4.0
# More than a fleet needs, and well below the usual limit of 1024 open files.
_CALLS = PoolLimits(256, 256, _IDLE_SECONDS)
# The default limit of a client of httpx.
_DEFAULT_CONNECTIONS = 100
# A stream holds its connection as long as a rollout lasts, and a caller may open a thousand.
_STREAMS = PoolLimits(None, 64, _IDLE_SECONDS)


class Connections:
    """Engines of a client, or a caller's HTTP client, for it and all of its views.

    Event streams have connections of their own. A stream holds its connection as long as a rollout
    lasts, and many open streams would leave no connection of a common pool for calls.

    Attributes:
        keeps_limits: True if every wait for a socket respects the time limit of its thread.
        is_multiplexed: Whether requests may share a connection.
        alarm: Wakes all tasks that wait.
    """

    def __init__(self, base_url: str, supplied: HTTPClient | None) -> None:
        self._base_url = base_url
        self.alarm = Alarm()
        self._supplied: HttpxEngine | None = None
        self.keeps_limits, self.is_multiplexed = True, False
        if supplied is not None:
            # Imported on first use: it takes 4 ms, and the socket engine does not need it.
            from synth_pools._client.http.sync_.httpx_engine import HttpxEngine

            self._supplied = HttpxEngine(supplied, self.alarm)
            self.keeps_limits = self._supplied.keeps_limits
            self.is_multiplexed = self._supplied.is_multiplexed
        self._closed = False
        self._sets: dict[Any, _EngineSet] = {}
        self._current: _EngineSet | None = None
        self._lock = threading.Lock()
        register_for_forks(self)

    @property
    def are_closed(self) -> bool:
        return self._closed

    @property
    def most_calls(self) -> int:
        """Connections for calls; the default of httpx if a caller's client has no limit."""
        if self._supplied is None:
            return _CALLS.connections or _DEFAULT_CONNECTIONS
        pool = getattr(getattr(self._supplied.http, "_transport", None), "_pool", None)
        limit = getattr(pool, "_max_connections", None)
        return limit if isinstance(limit, int) and limit else _DEFAULT_CONNECTIONS

    def check_open(self) -> None:
        """Raise `ClientClosedError` if the client is closed."""
        if self._closed:
            raise ClientClosedError("the client is closed: make a new one")

    def check_concurrency(self) -> None:
        """Raise `ConfigurationError` if a caller's HTTP client cannot send for several workers."""
        if self._supplied is not None:
            # Loaded with the engine.
            from synth_pools._client.http.httpx_clients import check_threads

            check_threads(self._supplied.http)

    def ready(self) -> Engine | None:
        """Return the engine for calls if it is open; else None."""
        current = self._current
        if current is None or current.event_loop is not event_loop() or current.is_closed:
            return None
        return current.for_calls

    def engine(self, *, streams: bool = False) -> Engine:
        """Return the engine for calls, or the one for event streams."""
        loop = event_loop()
        if self._supplied is not None:
            self.check_open()
            return self._supplied
        current = self._current
        if current is None or current.event_loop is not loop or current.is_closed:
            current = self._open_set()
        if streams:
            return current.for_streams()
        return current.for_calls

    def close(self) -> None:
        """Close the engines, but not a caller's HTTP client. Can be repeated."""
        with self._lock:
            self._closed = True
            sets = list(self._sets.values())
            self._drop_sets()
        self.alarm.ring()
        for engine_set in sets:
            close_in(engine_set.event_loop, engine_set.close)

    def drop_after_fork(self) -> Any:
        """Give up all connections without closing them, and return them."""
        self._lock = threading.Lock()
        alarm = self.alarm
        self.alarm = Alarm()
        if self._supplied is not None:
            self._supplied.alarm = self.alarm
        for engine_set in self._sets.values():
            engine_set.finalizer.detach()
        return alarm, self._drop_sets()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until the connections are closed."""
        self.alarm.sleep(seconds)

    def _drop_sets(self) -> Any:
        dropped, self._sets, self._current = (self._sets, self._current), {}, None
        return dropped

    def _open_set(self) -> _EngineSet:
        """Return the engines of the running event loop; open them if it has none."""
        loop = event_loop()
        # Several threads may make their first call at once, and there must be one pool.
        with self._lock:
            self.check_open()
            current = self._sets.get(loop)
            if current is None or current.is_closed:
                for closed_loop in [key for key in self._sets if is_closed_loop(key)]:
                    self._sets.pop(closed_loop).finalizer.detach()
                if current is not None:
                    current.finalizer.detach()
                current = _EngineSet(loop, self._base_url, self.alarm)
                # This awaits nothing that takes time, so the lock is released soon.
                current.finalizer = close_with_loop(self, _closing(current.engines))
                self._sets[loop] = current
            self._current = current
        return current


class _EngineSet:
    """Engines of one event loop, or of the whole process without event loops."""

    finalizer: Finalizer

    def __init__(self, event_loop: Any, base_url: str, alarm: Alarm) -> None:
        self.event_loop = event_loop
        self._alarm = alarm
        self._base_url = base_url
        self._lock = threading.Lock()
        self.engines: list[Engine] = []
        self.for_calls = self._open(_CALLS)
        self._for_streams: Engine | None = None

    @property
    def is_closed(self) -> bool:
        return self.for_calls.is_closed

    def for_streams(self) -> Engine:
        if self._for_streams is None:
            with self._lock:
                if self._for_streams is None:
                    self._for_streams = self._open(_STREAMS)
        return self._for_streams

    def _open(self, limits: PoolLimits) -> Engine:
        engine = _open_engine(self._base_url, limits, self._alarm)
        self.engines.append(engine)
        return engine

    def close(self) -> None:
        self.finalizer.close()


def _open_engine(base_url: str, limits: PoolLimits, alarm: Alarm) -> Engine:
    """Open an engine over sockets, or over httpx if the environment names it or a proxy.

    Raises:
        ConfigurationError: A variable of the environment cannot be used.
    """
    context = context_for(base_url)
    proxy = proxy_for(base_url)
    if not uses_httpx() and proxy is None:
        # Imported on first use: it takes 3 ms, and httpx does not need it.
        from synth_pools._client.http.sync_.socket_engine import SocketEngine

        return SocketEngine(base_url, context, limits, alarm)
    # Imported on first use: it takes 4 ms, and the socket engine does not need it.
    from synth_pools._client.http.sync_.httpx_engine import HttpxEngine, plain_client

    return HttpxEngine(plain_client(context, limits, proxy), alarm, is_own=True)


def _closing(engines: list[Engine]) -> Close:
    # Not a method: the finalizer would keep its connections alive.
    def close() -> None:
        for engine in engines:
            # Closing an engine that another thread is using may fail.
            with contextlib.suppress(RuntimeError, OSError):
                engine.close()

    return close


def read_whole(response: IncomingResponse) -> None:
    """Read a response to its end and close it; one that is too large is cut and marked.

    The limit is on the decoded size: a compressed body may be a thousand times smaller. An event
    stream is not read, since it may have no end.

    Raises:
        ExchangeError: The connection failed, or the body cannot be decoded.
    """
    if is_endless(response):
        response.problem = EVENT_STREAM
        response.close()
    else:
        response.read(LARGEST_ANSWER)
        response.check_body(len(response.content))
