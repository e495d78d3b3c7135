"""Acceptance of clients: the same in every event loop, and only while files are left for them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from synth_pools.backend.resources.open_files import SHORTAGES

_log = logging.getLogger(__name__)

# Clients accepted in one turn of the event loop, before open connections have theirs.
_MOST_AT_ONCE = 64
# Wait while files are short: another process may release one.
_SHORTAGE_SECONDS = 0.05
_FAILURE_SECONDS = 1.0


class Acceptor:
    """Acceptor of the connections of one listening socket, until `close`.

    The servers of the event loops do not fit: uvloop's does not call `accept` of our socket, which
    limits connections, and asyncio's pauses for a second when files are short.

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
        """Close the listening socket, not the accepted connections; harmless when repeated."""
        if self.listener.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self.listener)
        self.listener.close()

    async def wait_connected(self) -> None:
        """Wait until every accepted client is a connection of the server."""
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _accept(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # the client left while it waited
            except OSError as error:
                self._pause_accepting(error)
                return
            # In a task, since connecting takes a coroutine in every event loop.
            connecting = self._loop.create_task(self._connect(connection))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    def _pause_accepting(self, error: OSError) -> None:
        self._loop.remove_reader(self.listener)
        if error.errno in SHORTAGES:
            _log.debug("clients wait to be accepted: %s", error)
            seconds = _SHORTAGE_SECONDS
        else:
            _log.warning("no client can be accepted: %s", error)
            seconds = _FAILURE_SECONDS
        self._pause = self._loop.call_later(seconds, self._resume_accepting)

    def _resume_accepting(self) -> None:
        self._pause = None
        self._loop.add_reader(self.listener, self._accept)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            # Not every event loop sets this; without it an answer in two pieces waits 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:
            connection.close()
            _log.debug("a client left while it was accepted: %s", error)
        except BaseException:
            connection.close()
            raise
