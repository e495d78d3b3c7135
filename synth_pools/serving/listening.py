"""Sockets and settings of servers for programs of this machine."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

_KEEP_ALIVE_SECONDS = 60


def listen_at(host: str, port: int) -> socket.socket:
    """Listen at a host's port, or at a free one if it is 0.

    Raises:
        OSError: It cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=1024)
    # Else an answer's body waits for the reader to acknowledge its head. Connections have it from
    # here: asyncio sets it for sockets that name their protocol alone.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket, or its path."""
    if listener.family == socket.AF_UNIX:
        return str(listener.getsockname())
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def quiet_config(app: Any, **options: Any) -> uvicorn.Config:
    """Return the settings of a server that writes no line for each request."""
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        **options,
    )
