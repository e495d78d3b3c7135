"""Errors of what lasts: event streams, waits and fleets. Plain data, like all of ours.

The tree::

    APIConnectionError
    └── StreamBrokenError          an event stream that could not be taken up again
        └── StreamTimeoutError     (APITimeoutError)  because nothing came any more
    SynthPoolsError
    ├── WaitTimeoutError           (TimeoutError)  what was waited for did not happen in time
    ├── PoolFailedError            the pool that was waited for will not become active
    ├── JournalError               (ValueError)  a journal that cannot be used
    ├── ContentMismatchError       (DecodeError)  a download that is not what the service names
    └── FleetStoppedError          a fleet ended before its requests did
"""

from __future__ import annotations

from typing import Any

from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    DecodeError,
    SynthPoolsError,
)


class StreamBrokenError(APIConnectionError):
    """An event stream broke before the rollout's last event, and could not be taken up again.

    Attributes:
        cursor: The position that was reached: pass it as ``cursor`` to go on after it. None where
            the service gave its events no ids.
        events: How many events came out of this stream.
    """

    def __init__(self, message: str, *, cursor: str | None, events: int, **request: Any) -> None:
        super().__init__(message, **request)
        self.cursor = cursor
        self.events = events

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "cursor": self.cursor, "events": self.events}


class StreamTimeoutError(StreamBrokenError, APITimeoutError):
    """Not even a heartbeat came within ``stream_idle_timeout``, at the last attempt either."""


class WaitTimeoutError(SynthPoolsError, TimeoutError):
    """What was waited for did not happen within the time limit.

    Attributes:
        last: The pool or rollout as it was seen last; None if it was not seen at all.
    """

    def __init__(self, message: str, *, last: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.last = last

    def _fields(self) -> dict[str, Any]:
        return {"last": self.last}


class PoolFailedError(SynthPoolsError):
    """The pool has failed or is archived: it will not become active.

    Attributes:
        pool: The pool as it was seen last.
    """

    def __init__(self, message: str, *, pool: dict[str, Any]) -> None:
        super().__init__(message)
        self.pool = pool

    def _fields(self) -> dict[str, Any]:
        return {"pool": self.pool}


class JournalError(SynthPoolsError, ValueError):
    """A journal is damaged, in use, no journal at all, or belongs to another run.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path

    def _fields(self) -> dict[str, Any]:
        return {"path": self.path}


class FleetStoppedError(SynthPoolsError):
    """A fleet ended before its requests did, because going on made no sense.

    Attributes:
        index: Which request made it stop, counted from 0.
        reason: The error that made it stop; None for a rollout that did not complete.
    """

    def __init__(self, message: str, *, index: int, reason: Exception | None) -> None:
        super().__init__(message)
        self.index = index
        self.reason = reason

    def _fields(self) -> dict[str, Any]:
        return {"index": self.index, "reason": self.reason}


def broken_stream(
    failure: APIConnectionError | APIStatusError,
    *,
    cursor: str | None,
    events: int,
    attempts: int,
) -> StreamBrokenError:
    """The error for a stream of which `failure` was the end.

    Args:
        failure: How the last attempt ended.
        cursor: The position that was reached.
        events: How many events came out of the stream.
        attempts: How many attempts in a row brought nothing new, the last one included.
    """
    kind = StreamTimeoutError if isinstance(failure, APITimeoutError) else StreamBrokenError
    place = "before the first event" if not events else f"after {events} events"
    if cursor is not None:
        place += f", the last one {cursor!r}"
    if attempts > 1:
        place += f"; {attempts - 1} attempts to go on brought nothing new"
    request = failure.request
    return kind(
        f"{failure} ({place})",
        cursor=cursor,
        events=events,
        method=request.method,
        url=str(request.url),
        path=failure.path,
        cause=getattr(failure, "cause", type(failure).__name__),
        sent=True,
    )


class ContentMismatchError(DecodeError):
    """What was downloaded is not the content that the service names; nothing of it is kept.

    Attributes:
        expected: The SHA-256 that the service names, in hexadecimal; or its length in bytes.
        actual: The same of what came.
    """

    def __init__(self, message: str, *, expected: str, actual: str, excerpt: str = "") -> None:
        super().__init__(message, excerpt=excerpt)
        self.expected = expected
        self.actual = actual

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "expected": self.expected, "actual": self.actual}
