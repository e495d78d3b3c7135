"""Server of a container: its address, and its end by signals."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from synth_pools.container.app import container_app
from synth_pools.container.episodes import Definition, Episodes
from synth_pools.serving import SleepingServer, address_of, listen_at, quiet_config

T = TypeVar("T")

_DEFAULT_PORT = 9000
_CLOSE_SECONDS = 3


class _Server(SleepingServer):
    """Server that drains the container at the first signal, and ends at the second."""

    def __init__(self, definition: Definition, episodes: Episodes, drain_seconds: float) -> None:
        config = quiet_config(
            container_app(definition, episodes),
            log_level="error",
            proxy_headers=False,
            timeout_graceful_shutdown=_CLOSE_SECONDS,
        )
        super().__init__(config)
        self._episodes = episodes
        self._drain_seconds = drain_seconds
        self._serving = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Act on a signal, between any two instructions of the main thread."""
        del sig, frame
        self._serving.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        if self._draining is not None:
            self.should_exit = self.force_exit = True
            return
        self._draining = asyncio.ensure_future(self._episodes.drain(self._drain_seconds))
        self._draining.add_done_callback(lambda _: self.close())

    def close(self) -> None:
        """End as soon as open requests have been answered; may be called in any thread."""
        self.should_exit = True


async def serve_container(
    definition: Definition,
    listener: socket.socket,
    on_start: Callable[[_Server], None],
    drain_seconds: float = 0.0,
) -> None:
    """Serve a container until its server is closed, or a signal came in the main thread.

    Args:
        definition: The container.
        listener: The socket, from `listen`.
        on_start: Called with the server when the container has been set up.
        drain_seconds: The time that running rollouts have after the signal.

    Raises:
        SetupError: The container cannot start.
    """
    episodes = Episodes(definition)
    async with episodes.open():
        server = _Server(definition, episodes, drain_seconds)
        on_start(server)
        await server.serve([listener])


@contextlib.contextmanager
def served_in_thread(definition: Definition, host: str, port: int) -> Iterator[str]:
    """Serve a container in another thread; the value is its address."""
    started: concurrent.futures.Future[_Server] = concurrent.futures.Future()
    with listen(host, port, {}) as listener:
        ending = in_container_thread(serve_container(definition, listener, started.set_result))
        # Its end, if it comes first, is an error.
        ending.add_done_callback(lambda _: started.cancel())
        try:
            server = started.result()
        except concurrent.futures.CancelledError:
            ending.result()
            raise
        try:
            yield address_of(listener)
        finally:
            server.close()
            ending.result()


def in_container_thread(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Run a coroutine in an event loop and a thread of its own."""
    end: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            end.set_result(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised for the thread that waits
            end.set_exception(error)

    threading.Thread(target=run, name="container", daemon=True).start()
    return end


def listen(
    host: str | None, port: int | None, variables: Mapping[str, str] = os.environ
) -> socket.socket:
    """Listen where a pool says in `SOCKET`, or in `HOST` and `PORT`, else at an address.

    Raises:
        OSError: The address cannot be listened at, or `PORT` is no port.
    """
    if path := variables.get("SOCKET"):
        Path(path).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        # The backend may be another user.
        Path(path).chmod(0o666)
        listener.listen()
        return listener
    host = host or variables.get("HOST") or "127.0.0.1"
    number = variables.get("PORT") or (_DEFAULT_PORT if port is None else port)
    try:
        return listen_at(host, int(number))
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"Nothing can listen at port {number} of {host}: {reason}") from None
