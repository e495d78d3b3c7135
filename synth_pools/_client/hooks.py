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
        attempt: 1 for the first one of a call.
        headers: What is sent, without the authorization.
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
        attempt: 1 for the first one of a call.
        seconds: How long it took, until the answer was read; of an event stream, until it began.
        status_code: The status that was answered; None if no complete answer came.
        request_id: What to name when asking the service's operators; None if it gave none.
        headers: Headers of the answer; empty if none came.
        error: What the attempt failed with; None if it did not.
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
