"""Server of a container: its address, and its end by signals."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from synth_pools.container.app import container_app
from synth_pools.container.episodes import Definition, Episodes

_DEFAULT_PORT = 9000
_CLOSE_SECONDS = 3
_KEEP_ALIVE_SECONDS = 60


class _Server(uvicorn.Server):
    """Server that drains the container at the first signal, and ends at the second."""

    def __init__(self, definition: Definition, runs: Episodes, drain_seconds: float) -> None:
        config = uvicorn.Config(
            container_app(definition, runs),
            lifespan="off",
            ws="none",
            log_level="error",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_CLOSE_SECONDS,
        )
        super().__init__(config)
        self._runs = runs
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
        self._draining = asyncio.ensure_future(self._runs.drain(self._drain_seconds))
        self._draining.add_done_callback(lambda _: self.close())

    def close(self) -> None:
        """End as soon as open requests have been answered."""
        self.should_exit = True


async def _serve(
    definition: Definition,
    listener: socket.socket,
    drain_seconds: float,
    on_start: Callable[[_Server], None],
) -> None:
    runs = Episodes(definition)
    async with runs.open():
        server = _Server(definition, runs, drain_seconds)
        on_start(server)
        await server.serve([listener])


def serve_until_signal(
    definition: Definition, host: str | None, port: int | None, drain_seconds: float
) -> None:
    """Serve a container in this thread; the arguments are those of `Container.serve`."""
    with _listen(host, port) as listener:
        address = _address_of(listener)
        asyncio.run(
            _serve(
                definition,
                listener,
                drain_seconds,
                lambda _: print(f"{definition.name}: {address}", flush=True),  # noqa: T201
            )
        )


@contextlib.contextmanager
def served_in_thread(definition: Definition, host: str, port: int) -> Iterator[str]:
    """Serve a container in another thread; the arguments are those of `Container.running`."""
    with _listen(host, port, is_pools=False) as listener:
        started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, _Server]]
        started = concurrent.futures.Future()

        def run() -> None:
            try:
                asyncio.run(
                    _serve(
                        definition,
                        listener,
                        0.0,
                        lambda server: started.set_result((asyncio.get_running_loop(), server)),
                    )
                )
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=run, name=f"container {definition.name}", daemon=True)
        thread.start()
        loop, server = started.result()
        try:
            yield _address_of(listener)
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(server.close)
            thread.join()


def _listen(host: str | None, port: int | None, *, is_pools: bool = True) -> socket.socket:
    """Listen where a pool says in `SOCKET`, `HOST` and `PORT`, else at an address."""
    variables = os.environ if is_pools else {}
    if path := variables.get("SOCKET"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        return listener
    host = host or variables.get("HOST") or "127.0.0.1"
    number = variables.get("PORT") or (_DEFAULT_PORT if port is None else port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(number)), family=family, backlog=1024)
    except ValueError:
        raise ValueError(f"PORT is {number!r}, and no number.") from None
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}, port {number} of {host}") from None


def _address_of(listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return str(listener.getsockname())
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
