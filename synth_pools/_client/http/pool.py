"""Repairs of the connection pool of httpcore, which httpx sends through.

Everything here knows what httpcore keeps to itself. Another kind of transport is left alone.
"""

from __future__ import annotations

from typing import Any


def pool_of(transport: object) -> Any:
    """Return the pool that a transport of httpx sends through; None if it has none."""
    pool = getattr(transport, "_pool", None)
    return pool if hasattr(pool, "_assign_requests_to_connections") else None


def renew(pool: Any) -> list[Any]:
    """Drop the connections that are lost, and return those to close.

    Who is cancelled between getting a connection and using it leaves one that nobody has, and that
    is not idle either. The pool would keep it for ever.
    """
    with pool._optional_thread_lock:
        used = {id(request.connection) for request in pool._requests}
        lost = [connection for connection in pool._connections if id(connection) not in used]
        for connection in lost:
            if connection.is_idle() or connection.is_closed():
                continue
            last = _last(connection)
            if hasattr(last, "_connect_failed"):
                last._connect_failed = True
            elif hasattr(last, "_expire_at"):
                last._expire_at = 0.0
        closing: list[Any] = pool._assign_requests_to_connections()
    return closing


def wake_waiting(pool: Any) -> None:
    """Wake the threads that wait for a connection of a pool that is closed; they fail."""
    with pool._optional_thread_lock:
        for request in pool._requests:
            request._connection_acquired.set()


def give_back(pool: Any, stream: object) -> bool:
    """Give the connection of a body back if closing the body did not, and tell whether it was so.

    Closing that is cancelled leaves it in use for ever.
    """
    request = _request_of(stream)
    with pool._optional_thread_lock:
        if request is None or request not in pool._requests:
            return False
        pool._requests.remove(request)
    return True


def expire_surplus(stream: object) -> None:
    """Let a connection not be used again if more came over it than the answer that was read.

    What is left would be taken for the answer to the next request.
    """
    last = _last(getattr(_request_of(stream), "connection", None))
    state = getattr(last, "_h11_state", None)
    if state is not None and state.trailing_data[0]:
        last._keepalive_expiry = -1.0


def _request_of(stream: object) -> Any:
    return getattr(getattr(stream, "_httpcore_stream", None), "_pool_request", None)


def _last(connection: Any) -> Any:
    """Follow a connection through those of proxies to the one that speaks."""
    while getattr(connection, "_connection", None) is not None:
        connection = connection._connection
    return connection
