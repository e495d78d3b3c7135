"""Arguments of the hooks `on_request` and `on_response`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from synth_pools.errors import SynthPoolsError


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """Attempt that is about to be sent.

    Attributes:
        operation: The operation's id, such as ``get_pool``.
        method: Verb.
        path: Path of the URL, without the query.
        attempt: Number of the attempt; 1 for the first.
        headers: Headers of the request, without the authorization.
    """

    operation: str
    method: str
    path: str
    attempt: int
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """End of an attempt.

    Attributes:
        operation: The operation's id, such as ``get_pool``.
        method: Verb.
        path: Path of the URL, without the query.
        attempt: Number of the attempt; 1 for the first.
        seconds: Duration until the answer was read, or until an event stream began.
        status_code: Status of the answer; None without a complete answer.
        request_id: Id of the request for the service's operators; None without one.
        headers: Headers of the answer; empty without an answer.
        error: Error of a failed attempt; None for a successful one.
    """

    operation: str
    method: str
    path: str
    attempt: int
    seconds: float
    status_code: int | None
    request_id: str | None
    headers: Mapping[str, str] = field(repr=False)
    error: SynthPoolsError | None


OnRequest = Callable[[RequestInfo], object]
OnResponse = Callable[[ResponseInfo], object]
