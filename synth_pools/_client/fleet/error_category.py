"""What an error says about the service, for callers who can wait: pure, no I/O."""

from __future__ import annotations

import re
from enum import Enum

from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConflictError,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
)

# A 409 may also mean that the queue or the pool is full for now.
_FULL = re.compile(r"full|capacity|limit|too_many|busy|quota", re.IGNORECASE)


class Trouble(Enum):
    """What to do about it."""

    FULL = "it takes no more for now: all wait"
    AWAY = "it cannot be reached: all wait"
    BROKEN = "this connection broke: go on on another one"
    FAILING = "it fails at this: try a few times"
    FINAL = "it will answer the same next time"


_AWAY = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})


def trouble_of(error: Exception) -> tuple[Trouble, float | None]:
    """What kind of trouble ``error`` is, and how long the service asked to wait, if it did."""
    if isinstance(error, APIStatusError):
        return _trouble_of_status(error), error.retry_after
    if isinstance(error, APITimeoutError | APIConnectionError):
        return (Trouble.AWAY if error.cause in _AWAY else Trouble.BROKEN), None
    if isinstance(error, ResponseDecodeError):
        return Trouble.FAILING, None
    return Trouble.FINAL, None


def _trouble_of_status(error: APIStatusError) -> Trouble:
    if isinstance(error, RateLimitError) or error.status_code == 503:
        return Trouble.FULL
    if error.status_code in (502, 504):
        return Trouble.AWAY
    if isinstance(error, ServerError):
        return Trouble.FAILING
    if error.status_code == 408:
        return Trouble.BROKEN
    if isinstance(error, ConflictError) and _is_full(error):
        return Trouble.FULL
    return Trouble.FINAL


def _is_full(error: ConflictError) -> bool:
    envelope = error.body.get("error") if isinstance(error.body, dict) else None
    if isinstance(envelope, dict) and isinstance(envelope.get("retryable"), bool):
        return bool(envelope["retryable"])
    return bool(_FULL.search(error.code or ""))
