"""Server of a relay, in an event loop that it shares with others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from synth_pools.relay.app import ModelRelay
from synth_pools.serving import SleepingServer, address_of, listen_at, quiet_config

_CLOSE_SECONDS = 1


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
    with listen_at(host, port) as listener:
        config = quiet_config(
            relay,
            # An answer that broke off upstream breaks off here, which is no error of ours.
            log_level="critical",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_CLOSE_SECONDS,
        )
        server = _Server(config)
        serving = asyncio.ensure_future(server.serve([listener]))
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            relay.close()
            await asyncio.wait({serving})
