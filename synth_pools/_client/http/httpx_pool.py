"""Exceptions of httpx, and repairs of the connection pool of httpcore, which it sends through.

The repairs know what httpcore keeps to itself. Another kind of transport is left alone.
"""

from __future__ import annotations

from typing import Any

from synth_pools._client.http.messages import ExchangeError

_DEEPEST_CHAIN = 10


def failure_of(error: Exception) -> ExchangeError | None:
    """Return what an exception of httpx means, by its name; None if it is none."""
    kind = type(error)
    if not any(base.__name__ == "RequestError" for base in kind.__mro__):
        return None
    return ExchangeError(kind.__name__, *_details(error))


def _details(error: BaseException) -> list[str]:
    """Collect the library's message, and the operating system's where that tells more."""
    outer = str(error).strip()
    deepest: BaseException = error
    for _ in range(_DEEPEST_CHAIN):
        below = deepest.__cause__ or deepest.__context__
        if isinstance(deepest, BaseExceptionGroup):
            below = deepest.exceptions[0]
        if below is None:
            break
        deepest = below
    inner = str(deepest).strip() if isinstance(deepest, OSError) else ""
    return [outer, inner]


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
