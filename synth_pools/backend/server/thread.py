"""uvicorn in a separate thread and event loop, started and stopped within limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from starlette.applications import Starlette

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import BadOptionError, StartTimeoutError, StopTimeoutError
from synth_pools.backend.limits import Limits
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.server.acceptor import Acceptor
from synth_pools.backend.server.graceful_shutdown import GracefulShutdown
from synth_pools.backend.server.protocol import LimitedConfig, ServerConnection, sweep
from synth_pools.serving import SleepingServer

# Names the event loop to run in; empty selects the fastest.
_LOOP = "SYNTH_POOLS_LOOP"

_THIS_MACHINE = ("127.0.0.1", "::1")

# Longest time until a start notices that it is delayed.
_PAUSE_SECONDS = 0.5
# Time that a stop leaves to requests other than event streams.
_GRACE_SECONDS = 1.0
# uvicorn waits after us, and only for clients that do not read.
_UVICORN_GRACE_SECONDS = 1


class ServerThread:
    """Single run of an application on a listening socket; it cannot be started twice.

    The application's `state.wind_down`, if it has one, is awaited before anything is closed, for at
    most `grace` seconds. Its `state.background`, if it has one, runs the work of the server too.

    Args:
        make_app: Makes the application, in the thread.
        listener: The listening socket; closed when the thread ends.
        limits: The limits of connections.
        grace: Seconds that running work has to end once `stop` is called.
        proxies: Addresses and networks, besides this machine, whose X-Forwarded-Proto is believed.
    """

    def __init__(
        self,
        make_app: Callable[[], Starlette],
        listener: socket.socket,
        limits: Limits | None = None,
        *,
        grace: float = 0.0,
        proxies: Sequence[str] = (),
    ) -> None:
        self._make_app = make_app
        self._listener = listener
        self._limits = limits or Limits()
        self._grace = grace
        self._proxies = proxies
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[None] | None = None
        self._stop_requested = False
        self._thread = threading.Thread(target=self._run, name="synth-pools-backend", daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended the thread; None if it was stopped."""
        return self._failure

    def start(self, limit: float, is_delayed: Callable[[], bool] = lambda: False) -> float:
        """Start the thread and return once requests are accepted.

        Args:
            limit: Seconds that this may take.
            is_delayed: Tells that they do not count, because there is more to do first.

        Returns:
            The time by which it had to start, by the monotonic clock.

        Raises:
            StartTimeoutError: It took longer.
            BaseException: The exception that kept the application from starting.
        """
        self._thread.start()
        deadline = clock.monotonic() + limit
        while not (in_time := self._ready.wait(min(limit, _PAUSE_SECONDS))):
            if is_delayed():
                deadline = clock.monotonic() + limit
            elif clock.monotonic() >= deadline:
                break
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        if not in_time:
            with contextlib.suppress(StopTimeoutError):
                self.stop(0)
            raise StartTimeoutError(f"the backend did not start within {limit:g} seconds")
        return deadline

    def stop(self, limit: float) -> None:
        """Let the application finish its work, then end it.

        A KeyboardInterrupt meanwhile ends it at once, kills its processes and is raised again.

        Args:
            limit: Seconds that this may take, in addition to the grace.

        Raises:
            StopTimeoutError: It took longer.
        """
        if self._thread.ident is None:
            return
        limit += self._grace
        self._stop_requested = True
        if self._server is not None:
            self._server.should_exit = True
        # Not `join`: if ^C interrupts it, Python takes the thread for ended.
        try:
            self._ended.wait(limit)
        except KeyboardInterrupt:
            # Once for the running work, and once for its cleanup, which waits too.
            for _ in range(2):
                self._cancel()
                self._ended.wait(_GRACE_SECONDS)
            raise
        if not self._ended.is_set():
            self._cancel()
            self._ended.wait(_GRACE_SECONDS)
        if not self._ended.is_set():
            raise StopTimeoutError(
                f"the backend did not stop within {limit + _GRACE_SECONDS:g} seconds"
            )
        self._thread.join(_GRACE_SECONDS)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._serve())
        except asyncio.CancelledError:
            pass  # `stop` ran out of patience, and says so itself
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that started us
            self._failure = error
        finally:
            self._listener.close()
            self._ready.set()
            self._ended.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main_task = asyncio.current_task()
        app = self._make_app()
        # Not uvicorn's lifespan: that one turns an exception of the application into a log entry.
        async with app.router.lifespan_context(app):
            wind_down = getattr(app.state, "wind_down", None)
            self._server = _Server(
                GracefulShutdown(app),
                self._limits,
                on_started=self._ready.set,
                before_stop=None if wind_down is None else partial(wind_down, self._grace),
                proxies=self._proxies,
                background=getattr(app.state, "background", None) or BackgroundTasks(),
            )
            self._server.should_exit = self._stop_requested
            await self._server.serve(sockets=[self._listener])

    def _cancel(self) -> None:
        if self._loop is not None and self._main_task is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main_task.cancel)


class _Server(SleepingServer):
    def __init__(
        self,
        app: GracefulShutdown,
        limits: Limits,
        *,
        on_started: Callable[[], None],
        before_stop: Callable[[], Awaitable[None]] | None,
        proxies: Sequence[str],
        background: BackgroundTasks,
    ) -> None:
        super().__init__(
            LimitedConfig(
                app,
                limits,
                # An event loop runs already.
                loop="none",
                ws="none",
                lifespan="off",
                access_log=False,
                # Logging belongs to the program that embeds the backend.
                log_config=None,
                log_level=None,
                timeout_graceful_shutdown=_UVICORN_GRACE_SECONDS,
                forwarded_allow_ips=_trusted(proxies),
            )
        )
        self._draining = app
        self._limits = limits
        self._on_started = on_started
        self._before_stop = before_stop
        self._background = background
        self._sweeping: asyncio.Task[None] | None = None
        self.acceptor: Acceptor | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            # A cancelled server accepts no further clients.
            if self.acceptor is not None:
                self.acceptor.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn leaves it to the event loop to accept clients.
        await super().startup([])
        [listener] = sockets or []
        self.acceptor = Acceptor(
            listener, partial(ServerConnection, self.config, self.server_state, self.lifespan.state)
        )
        work = partial(sweep, self, self._limits)
        self._sweeping = self._background.keep("limits of connections", work)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._before_stop is not None:
            # Still listening: a late client is told that the backend is stopping.
            await self._before_stop()
        if self.acceptor is not None:
            self.acceptor.close()
            await self.acceptor.wait_connected()
        await self._draining.drain(_GRACE_SECONDS)
        await super().shutdown(sockets)
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def _trusted(proxies: Sequence[str]) -> list[str] | str | None:
    """Return the proxies as uvicorn takes them; None is its variable, or this machine."""
    if not proxies:
        return None
    return "*" if "*" in proxies else [*_THIS_MACHINE, *proxies]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a factory of event loops.

    Raises:
        BadOptionError: `SYNTH_POOLS_LOOP` names no event loop, or one that is not installed.
    """
    name = os.environ.get(_LOOP, "").strip().lower()
    if name not in ("", "asyncio", "uvloop"):
        raise BadOptionError(f"{_LOOP} must be asyncio or uvloop, or not set")
    if name != "asyncio":
        try:
            # Imported here: only the extra `uvloop` brings it.
            import uvloop
        except ImportError:
            if name:
                raise BadOptionError(
                    f"{_LOOP} is uvloop, which is not installed: pip install 'synth-pools[uvloop]'"
                ) from None
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop
