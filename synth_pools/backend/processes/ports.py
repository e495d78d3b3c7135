"""Free loopback ports, each for one process at a time."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from pathlib import Path

from synth_pools.backend.domain import clock

HOST = "127.0.0.1"
_TRIES = 100
_AUTOMATIC = Path("/proc/sys/net/ipv4/ip_local_port_range")
# The dynamic ports of RFC 6335, which belong to no service.
_DYNAMIC = range(49152, 65536)


class Ports:
    """Ports in use. A port is free until a process of ours listens there, so it is reserved.

    Where the system allows, no other backend of the machine takes it, and the system itself gives
    it to nobody: another server could answer for a process that has not begun to listen.
    """

    def __init__(self) -> None:
        self._acquired: dict[int, socket.socket | None] = {}

    def acquire(self) -> int:
        """Find a free port, or raise `OSError`; another program may still take the port first."""
        reserved = clock.drawn(_reserved_ports(), _TRIES)
        for choice in (*reserved, *[0] * _TRIES):
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind((HOST, choice))
                port = int(probe.getsockname()[1])
                if port not in self._acquired:
                    self._acquired[port] = _lock(port)
                    return port
        raise OSError("no free port was found")

    def release(self, port: int) -> None:
        """Make a port available again."""
        if (lock := self._acquired.pop(port, None)) is not None:
            lock.close()


def _reserved_ports() -> range:
    """Return the dynamic ports that the system assigns to nobody; empty if there are none."""
    try:
        last = int(_AUTOMATIC.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return range(0)
    return range(max(last + 1, _DYNAMIC.start), _DYNAMIC.stop)


def _lock(port: int) -> socket.socket | None:
    """Lock a port for the other backends of this machine; None where the system has no such lock.

    Raises:
        OSError: Another backend has it.
    """
    if sys.platform != "linux":
        return None
    # A name without a file: it is free again when this process ends, however that comes.
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0synth-pools-port-{port}")
    except OSError as error:
        lock.close()
        if error.errno == errno.EADDRINUSE:
            raise
        # A sandbox may forbid such names.
        return None
    return lock
