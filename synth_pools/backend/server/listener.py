"""The listening socket of the backend and its URL."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Any

from synth_pools.backend.errors import AddressError, BadOptionError
from synth_pools.backend.resources.open_files import client_files, most_files

_BACKLOG = 2048
# Bytes that the system holds for a client that does not read: enough for speed, few enough for many
# connections and for recognising a slow reader.
_SEND_BUFFER = 256 * 1024


class ListeningSocket(socket.socket):
    """A socket that accepts connections only while enough other files may be opened.

    The system connects further clients, and keeps them in its queue until others have left.
    """

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            OSError: EMFILE if there is no room for one more.
        """
        # A new file has the lowest free number.
        lowest_free = os.dup(self.fileno())
        os.close(lowest_free)
        if lowest_free >= client_files(most_files()):
            raise OSError(errno.EMFILE, "enough connections of clients are open")
        return super().accept()


def open_listening_socket(host: str, port: int) -> socket.socket:
    """Bind and listen at once, so that no other process can take the port before the first answer.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 picks a free one.

    Returns:
        The socket.

    Raises:
        BadOptionError: The host is blank, or the port out of range.
        AddressError: The address cannot be resolved or listened on.
    """
    check_port(port)
    family, address = _resolve(host, port)
    # The protocol is named because asyncio switches Nagle's algorithm off only on sockets that
    # say they are TCP; without it every answer waits some 40 ms for an acknowledgement.
    listener = ListeningSocket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # A restart must not wait for the last connections of the previous process to expire.
            # On other systems the same option would let two processes share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit this size.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressError(_explain(error, host, port)) from error
    return listener


def check_port(port: int) -> None:
    """Raise `BadOptionError` for a port out of range."""
    if not 0 <= port <= 65535:
        raise BadOptionError(f"port must be from 0 (which picks a free one) to 65535, not {port}")


def is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(_bound_host(listener)).is_loopback


def base_url(listener: socket.socket) -> str:
    """Build the URL under which a client on this machine reaches the socket."""
    address = ipaddress.ip_address(_bound_host(listener))
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{listener.getsockname()[1]}"


def _bound_host(listener: socket.socket) -> str:
    return str(listener.getsockname()[0]).partition("%")[0]


def _resolve(host: str, port: int) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    if not host.strip():
        raise BadOptionError("host must not be blank: give 127.0.0.1 to listen on this machine")
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise AddressError(
            f"cannot resolve the host {host!r}: give an address of this machine, such as 127.0.0.1"
        ) from error
    # IPv4 first: `localhost` often names both, and the URL that people expect is 127.0.0.1.
    entries.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, address = entries[0]
    return family, address  # type: ignore[return-value]  # bytes only without IPv6 support


def _explain(error: OSError, host: str, port: int) -> str:
    place = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is taken by another process: choose another port, or 0 for a free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"not permitted to listen on {place}: choose a port above 1023, or 0 for a free one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host!r} is not an address of this machine: give one that is, such as 127.0.0.1"
    return f"cannot listen on {place}: {error.strerror or error}"
