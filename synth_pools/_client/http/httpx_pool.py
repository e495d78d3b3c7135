"""Clients and exceptions of httpx and httpx2, and repairs of httpcore's pool of connections.

What is of one of the two libraries is known by its name: httpx2 is not imported here, it comes with
a client of the caller's.

The repairs know what httpcore keeps to itself. Another kind of transport is left alone.
"""

from __future__ import annotations

from typing import Any

from synth_pools._client.http.messages import ExchangeError
from synth_pools.errors import ConfigurationError

LIBRARIES = ("httpx", "httpx2")
_DEEPEST_CHAIN = 10


def check_client(http: object, name: str) -> None:
    """Check that a caller-supplied HTTP client is of one of the libraries.

    Args:
        http: The client.
        name: What its class, or one that this is derived from, is called there.

    Raises:
        ConfigurationError: It is not.
    """
    if name not in _names(type(http)):
        expected = " or an ".join(f"{library}.{name}" for library in LIBRARIES)
        raise ConfigurationError(f"http_client must be an {expected}, not {type(http).__name__}")


def failure_of(error: Exception) -> ExchangeError | None:
    """Return what an exception of one of the libraries means, by its name; None if it is none.

    Args:
        error: The exception; its class may be derived from one of the library's.
    """
    names = _names(type(error))
    return ExchangeError(names[0], *_details(error)) if "RequestError" in names else None


def _names(kind: type) -> list[str]:
    """Return the names of a class and its bases, as far as they are of one of the libraries."""
    bases = kind.__mro__
    return [base.__name__ for base in bases if base.__module__.partition(".")[0] in LIBRARIES]


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
            last = last_connection(connection)
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
    last = last_connection(getattr(_request_of(stream), "connection", None))
    state = getattr(last, "_h11_state", None)
    if state is not None and state.trailing_data[0]:
        last._keepalive_expiry = -1.0


def _request_of(stream: object) -> Any:
    return getattr(getattr(stream, "_httpcore_stream", None), "_pool_request", None)


def last_connection(connection: Any) -> Any:
    """Follow a connection through those of proxies to the one that speaks."""
    while getattr(connection, "_connection", None) is not None:
        connection = connection._connection
    return connection
