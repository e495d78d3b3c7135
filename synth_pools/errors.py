"""Exceptions of this package.

The tree::

    SynthPoolsError
    ├── ConfigurationError         (ValueError)  a setting is missing or invalid
    ├── RequestValidationError     (ValueError)  an argument refused before sending
    ├── ClientClosedError          (RuntimeError)  a client used after it was closed
    ├── APIConnectionError         (httpx.TransportError)  no complete answer came back
    │   ├── APITimeoutError        (httpx.TimeoutException)
    │   └── StreamBrokenError      an event stream that could not be resumed
    │       └── StreamTimeoutError (APITimeoutError)  an event stream that fell silent
    ├── APIStatusError             (httpx.HTTPStatusError)  the service answered with an error
    │   ├── BadRequestError 400, AuthenticationError 401, PermissionDeniedError 403,
    │   ├── NotFoundError 404, ConflictError 409, ValidationFailedError 422,
    │   └── RateLimitError 429, ServerError 5xx
    ├── DecodeError                (ValueError)  an answer that cannot be read
    │   ├── ResponseDecodeError    (json.JSONDecodeError)  a body that is not JSON
    │   ├── StreamDecodeError      (json.JSONDecodeError)  an event that is not JSON, or too large
    │   └── ContentMismatchError   a download that differs from the announced content
    ├── WaitTimeoutError           (TimeoutError)  a wait that reached its time limit
    ├── PoolFailedError            a pool that will not become active
    ├── RolloutFailedError         a rollout of a fleet that ended and did not complete
    ├── NotRepeatedError           a rollout of a fleet that may have been started, unknown to it
    ├── JournalError               (ValueError)  a journal that cannot be used
    │   └── RunFileError           a journal or file of results that cannot be read
    ├── ComparisonError            (ValueError)  runs that cannot be compared
    └── FleetStoppedError          a fleet that ended before its requests did

They are plain data: each can be pickled and copied, and holds no connection, no client and no API
key. With their base classes from httpx they fit code that was written for httpx alone: an
`APIConnectionError` is also the exception of httpx that its ``cause`` names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, ClassVar, Self

import httpx


class SynthPoolsError(Exception):
    """Root of all exceptions that this package raises on purpose."""

    _copied_as: ClassVar[type[SynthPoolsError] | None] = None

    def _fields(self) -> dict[str, Any]:
        """Return the keyword arguments that recreate the error, together with its text."""
        return {}

    def __reduce__(self) -> tuple[Callable[..., SynthPoolsError], tuple[Any, ...], dict[str, Any]]:
        notes = getattr(self, "__notes__", None)
        state = {"__notes__": list(notes)} if notes else {}
        return _restore, (self._copied_as or type(self), self.args, self._fields()), state


def _restore(
    kind: type[SynthPoolsError], args: tuple[Any, ...], fields: dict[str, Any]
) -> SynthPoolsError:
    return kind(*args, **fields)


class ConfigurationError(SynthPoolsError, ValueError):
    """A setting of a client is missing or invalid: API key, base URL, time limit, HTTP client."""


class RequestValidationError(SynthPoolsError, ValueError):
    """An argument was refused before anything was sent; the message names it."""


class ClientClosedError(SynthPoolsError, RuntimeError):
    """The client was closed, by ``close()``/``aclose()`` or by leaving its ``with`` block."""


class APIConnectionError(SynthPoolsError, httpx.TransportError):
    """A request without a complete answer: the connection failed or broke.

    With the ``cause`` ``ConnectError`` it is also an `httpx.ConnectError`, and so on.

    Attributes:
        method: Verb of the request.
        path: Path of the request, without the query.
        cause: Name of the HTTP library's exception, such as ``ConnectError``, or
            ``DeadlineExceeded``.
        sent: True if a part of the request may have reached the service.
        request: The request, without its authorization.
    """

    def __new__(cls, *args: Any, cause: str = "", **fields: Any) -> Self:
        del fields
        public: Any = cls
        kind: type[Self] = _also_of_httpx(public, cause)
        return super().__new__(kind, *args)

    def __init__(
        self, message: str, *, method: str, url: str, path: str, cause: str, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.cause = cause
        self.sent = sent
        self._url = url
        self.request = httpx.Request(method, url)

    def _fields(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self._url,
            "path": self.path,
            "cause": self.cause,
            "sent": self.sent,
        }


@functools.cache
def _also_of_httpx(kind: Any, cause: str) -> Any:
    """Return a class of the same name that is also the exception of httpx named ``cause``."""
    base: Any = getattr(httpx, cause, object)
    is_error = isinstance(base, type) and issubclass(base, httpx.RequestError)
    if not is_error or issubclass(kind, base):
        return kind
    # Copies and pickles are made of `kind`: only that class can be imported by its name.
    names = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_copied_as": kind}
    return type(kind.__name__, (kind, base), names)


class APITimeoutError(APIConnectionError, httpx.TimeoutException):
    """Connecting, sending or waiting for an answer took longer than the time limit or deadline."""


class StreamBrokenError(APIConnectionError):
    """An event stream broke before the rollout's last event, and could not be resumed.

    Attributes:
        cursor: Position after the last event: pass it as ``cursor`` to go on after it. None if the
            events have no ids.
        events: Number of events of this stream.
    """

    def __init__(self, message: str, *, cursor: str | None, events: int, **request: Any) -> None:
        super().__init__(message, **request)
        self.cursor = cursor
        self.events = events

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "cursor": self.cursor, "events": self.events}


class StreamTimeoutError(StreamBrokenError, APITimeoutError):
    """An event stream without even a heartbeat for ``stream_idle_timeout``, at each attempt."""


class APIStatusError(SynthPoolsError, httpx.HTTPStatusError):
    """The service answered with an error status.

    Attributes:
        status_code: HTTP status.
        code: Error code of the service, such as ``pool_not_found``; None without one.
        message: Error message of the service, on one line.
        request_id: Id of the request for the service's operators; None without one.
        body: The whole answer: parsed JSON, else text, None if it was empty.
        retry_after: Seconds to wait before another attempt; None if the service did not say.
        method: Verb of the request.
        path: Path of the request, without the query.
        request: The request, without its authorization and its body.
        response: The answer.
    """

    def __init__(
        self,
        text: str,
        *,
        message: str,
        code: str | None,
        request_id: str | None,
        body: Any,
        retry_after: float | None,
        path: str,
        response: httpx.Response,
    ) -> None:
        super().__init__(text, request=response.request, response=response)
        self.message = message
        self.code = code
        self.request_id = request_id
        self.body = body
        self.retry_after = retry_after
        self.path = path
        self.method = response.request.method
        self.status_code = response.status_code

    def _fields(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "code": self.code,
            "request_id": self.request_id,
            "body": self.body,
            "retry_after": self.retry_after,
            "path": self.path,
            "response": self.response,
        }


class BadRequestError(APIStatusError):
    """400: the request could not be read."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or expired."""


class PermissionDeniedError(APIStatusError):
    """403: the API key may not do this."""


class NotFoundError(APIStatusError):
    """404: there is no such pool, task or rollout, or it belongs to someone else."""


class ConflictError(APIStatusError):
    """409: the id is in use, or the state of the pool, task or rollout does not allow this."""


class ValidationFailedError(APIStatusError):
    """422: fields of the request are invalid; the message names them."""


class RateLimitError(APIStatusError):
    """429: too many requests; see ``retry_after``."""


class ServerError(APIStatusError):
    """5xx: the service, or something in front of it, failed."""


class DecodeError(SynthPoolsError, ValueError):
    """An answer that cannot be read.

    Attributes:
        excerpt: First part of the answer, as text.
    """

    def __init__(self, message: str, *, excerpt: str = "") -> None:
        ValueError.__init__(self, message)
        self.excerpt = excerpt

    def _fields(self) -> dict[str, Any]:
        return {"excerpt": self.excerpt}


class _JSONError(DecodeError, json.JSONDecodeError):
    """A `json.JSONDecodeError` with the excerpt as its document."""

    def __init__(self, message: str, *, excerpt: str = "") -> None:
        super().__init__(message, excerpt=excerpt)
        self.msg, self.doc = message, excerpt
        self.pos, self.lineno, self.colno = 0, 1, 1


class ResponseDecodeError(_JSONError):
    """A successful answer whose body cannot be read.

    Attributes:
        excerpt: First part of the body.
        status_code: HTTP status.
        method: Verb of the request.
        path: Path of the request, without the query.
        request_id: Id of the request for the service's operators; None without one.
    """

    def __init__(
        self,
        message: str,
        *,
        excerpt: str = "",
        status_code: int,
        method: str,
        path: str,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, excerpt=excerpt)
        self.status_code = status_code
        self.method = method
        self.path = path
        self.request_id = request_id

    def _fields(self) -> dict[str, Any]:
        return {
            "excerpt": self.excerpt,
            "status_code": self.status_code,
            "method": self.method,
            "path": self.path,
            "request_id": self.request_id,
        }


class StreamDecodeError(_JSONError):
    """An event of a stream is not JSON, or larger than the limit."""


class ContentMismatchError(DecodeError):
    """A download differs from the content that the service announced, and was discarded.

    Attributes:
        expected: Announced SHA-256, in hexadecimal, or length in bytes.
        actual: SHA-256 or length of the download.
    """

    def __init__(self, message: str, *, expected: str, actual: str, excerpt: str = "") -> None:
        super().__init__(message, excerpt=excerpt)
        self.expected = expected
        self.actual = actual

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "expected": self.expected, "actual": self.actual}


class WaitTimeoutError(SynthPoolsError, TimeoutError):
    """A wait reached its time limit.

    Attributes:
        last: Last known state of the pool or rollout; None if it was never read.
    """

    def __init__(self, message: str, *, last: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.last = last

    def _fields(self) -> dict[str, Any]:
        return {"last": self.last}


class PoolFailedError(SynthPoolsError):
    """The pool has failed or is archived: it will not become active.

    Attributes:
        pool: Last known state of the pool.
    """

    def __init__(self, message: str, *, pool: dict[str, Any]) -> None:
        super().__init__(message)
        self.pool = pool

    def _fields(self) -> dict[str, Any]:
        return {"pool": self.pool}


class RolloutFailedError(SynthPoolsError):
    """A rollout has failed or was cancelled. A fleet reports it with the outcome, and goes on.

    Attributes:
        code: Error code of the service, such as ``container_failed``; None without one.
        message: Error message of the service.
        status: Final status of the rollout.
        rollout_id: Id of the rollout.
    """

    def __init__(
        self, text: str, *, code: str | None, message: str, status: str, rollout_id: str
    ) -> None:
        super().__init__(text)
        self.code = code
        self.message = message
        self.status = status
        self.rollout_id = rollout_id

    def _fields(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": self.message,
            "status": self.status,
            "rollout_id": self.rollout_id,
        }


class NotRepeatedError(SynthPoolsError):
    """A fleet does not know whether it has started a rollout, and did not risk a second one.

    The answer to its request was lost, perhaps in an earlier run, and the service keeps no
    idempotency keys. A fleet reports it with the outcome, and goes on.
    """


class JournalError(SynthPoolsError, ValueError):
    """A journal is damaged, in use, or not a journal, or belongs to another run.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path

    def _fields(self) -> dict[str, Any]:
        return {"path": self.path}


class RunFileError(JournalError):
    """A journal or a file of results cannot be read, or is neither."""


class ComparisonError(SynthPoolsError, ValueError):
    """Runs cannot be compared; the message says what to do."""


class FleetStoppedError(SynthPoolsError):
    """A fleet ended before its requests did, because it could not go on.

    Attributes:
        index: Index of the request that stopped it, counted from 0.
        reason: Error of that request; None if no request caused the stop.
    """

    def __init__(self, message: str, *, index: int, reason: Exception | None) -> None:
        super().__init__(message)
        self.index = index
        self.reason = reason

    def _fields(self) -> dict[str, Any]:
        return {"index": self.index, "reason": self.reason}


class BudgetReachedError(FleetStoppedError):
    """A fleet reached its budget, and left requests that it had not ended."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationFailedError,
    429: RateLimitError,
}


def error_class(status_code: int) -> type[APIStatusError]:
    """Return the class for an HTTP status."""
    if 500 <= status_code <= 599:
        return ServerError
    return _BY_STATUS.get(status_code, APIStatusError)
