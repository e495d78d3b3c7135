"""Accepting of clients: the same in every event loop, and only while there are files for them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from synth_pools.backend.resources.open_files import SHORTAGES

_log = logging.getLogger(__name__)

# So many, and then those that are connected have their turn.
_MOST_AT_ONCE = 64
# How long to wait where files are short: none has to be closed by us for there to be one again.
_SHORTAGE_SECONDS = 0.05
_FAILURE_SECONDS = 1.0


class Acceptor:
    """Acceptance of the connections of one listening socket, from its making until `close`.

    An event loop's own server does not fit: uvloop's accepts without asking the socket, beyond
    every limit of ours, and asyncio's stands still for a second where files are short.

    Args:
        listener: The listening socket.
        make_protocol: Makes the protocol of a connection.
    """

    def __init__(
        self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self.listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Close the listening socket; what was accepted stays. Harmless when that was done."""
        if self.listener.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.listener)
        self.listener.close()

    async def wait_connected(self) -> None:
        """Wait until all that were accepted are connections of the server."""
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _accept(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # this one has left while it waited
            except OSError as error:
                self._stand_still(error)
                return
            # Not in this call: that takes a coroutine, in every event loop.
            connecting = self._loop.create_task(self._connect(connection))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    def _stand_still(self, error: OSError) -> None:
        self._loop.remove_reader(self.listener)
        if error.errno in SHORTAGES:
            _log.debug("clients wait to be accepted: %s", error)
            seconds = _SHORTAGE_SECONDS
        else:
            _log.warning("no client can be accepted: %s", error)
            seconds = _FAILURE_SECONDS
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self.listener, self._accept)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            # By ourselves: not every event loop does, and an answer in two pieces waits 40 ms then.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:
            connection.close()
            _log.debug("a client left while it was accepted: %s", error)
        except BaseException:
            connection.close()
            raise
