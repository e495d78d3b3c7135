"""Turns exceptions of the HTTP library into ours.

Ours are raised in the place of the originals and do not refer to them: see `frames`.
"""

from __future__ import annotations

import httpx

from synth_pools.errors import APIConnectionError, APITimeoutError

_DEEPEST_CHAIN = 10

# What is raised while there is no connection yet that anything could have been sent over.
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

_TIMEOUT_WORDS = {
    "ConnectTimeout": "no connection to {origin} within {limit:g} s",
    "WriteTimeout": "{origin} did not take the request within {limit:g} s",
    "ReadTimeout": "{origin} sent nothing for {limit:g} s",
    "PoolTimeout": "all connections of this client stayed in use for {limit:g} s",
}


def connection_error(
    error: httpx.RequestError,
    *,
    method: str,
    url: str,
    path: str,
    limit: float,
    problem: str = "no answer from {origin}",
) -> APIConnectionError:
    """The error to raise in the place of ``error``, once its ``except`` block is left.

    Args:
        error: What the HTTP library raised.
        method: Verb of the request.
        url: Whole URL of the request.
        path: Its path, for the text.
        limit: Time limit that was in force, in seconds.
        problem: What was going on, for the text.
    """
    cause = type(error).__name__
    origin = _origin(url)
    sent = not isinstance(error, _BEFORE_SENDING)
    if isinstance(error, httpx.TimeoutException):
        words = _TIMEOUT_WORDS.get(cause, "{origin} took longer than {limit:g} s")
        text = f"{method} {path} -> {words.format(origin=origin, limit=limit)} ({cause})"
        return APITimeoutError(text, method=method, url=url, path=path, cause=cause, sent=sent)
    text = f"{method} {path} -> {problem.format(origin=origin)}: {cause}"
    for detail in _details(error):
        text += f": {detail}"
    return APIConnectionError(text, method=method, url=url, path=path, cause=cause, sent=sent)


def deadline_error(
    *, method: str, url: str, path: str, deadline: float, attempt: int
) -> APITimeoutError:
    """The error for a call that was not done when its time was over.

    Args:
        method: Verb of the request.
        url: Whole URL of the request.
        path: Its path, for the text.
        deadline: Seconds that the call had.
        attempt: Number of attempts that were made.
    """
    text = (
        f"{method} {path} -> not answered by {_origin(url)} within the deadline of {deadline:g} s"
    )
    if attempt > 1:
        text += f", in {attempt} attempts"
    return APITimeoutError(text, method=method, url=url, path=path, cause="DeadlineExceeded")


def _origin(url: str) -> str:
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode('ascii')}"


def _details(error: BaseException) -> list[str]:
    """What the library says, and what the operating system said to it where that tells more."""
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
    return [text for text in dict.fromkeys((outer, inner)) if text]
