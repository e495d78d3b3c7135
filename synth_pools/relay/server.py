"""Server of a relay, in an event loop that it shares with others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn

from synth_pools.relay.app import ModelRelay
from synth_pools.serving import SleepingServer

_CLOSE_SECONDS = 1
_KEEP_ALIVE_SECONDS = 60


class _Server(SleepingServer):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield


@contextlib.asynccontextmanager
async def relay_server(
    relay: ModelRelay, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve a relay; the value is its address, at a port that is free if it is 0.

    Raises:
        OSError: The address cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=1024) as listener:
        # Connections have it from here: asyncio sets it for sockets that name their protocol alone.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            relay,
            lifespan="off",
            ws="none",
            # An answer that broke off upstream breaks off here, which is no error of ours.
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_CLOSE_SECONDS,
        )
        server = _Server(config)
        serving = asyncio.ensure_future(server.serve([listener]))
        number = listener.getsockname()[1]
        try:
            yield f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"
        finally:
            server.should_exit = True
            relay.close()
            await asyncio.wait({serving})
