"""Categories of errors, by the reaction of a patient caller. Pure, no I/O."""

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
_OVERLOADED = re.compile(r"full|capacity|limit|too_many|busy|quota", re.IGNORECASE)


class ErrorCategory(Enum):
    """Category of an error, by the reaction to it."""

    OVERLOADED = "it takes no more for now: all wait"
    UNAVAILABLE = "it cannot be reached: all wait"
    PAUSED = "its pool admits nothing for now: all wait"
    CONNECTION_LOST = "this connection broke: go on on another one"
    SERVER_ERROR = "it fails at this: try a few times"
    PERMANENT = "it will answer the same next time"


_UNAVAILABLE = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})


def classify_error(error: Exception) -> tuple[ErrorCategory, float | None]:
    """Return the category of an error, and the seconds of the pause that the service requested."""
    if isinstance(error, APIStatusError):
        return _category_of_status(error), error.retry_after
    if isinstance(error, APITimeoutError | APIConnectionError):
        return (
            ErrorCategory.UNAVAILABLE
            if error.cause in _UNAVAILABLE
            else ErrorCategory.CONNECTION_LOST
        ), None
    if isinstance(error, ResponseDecodeError):
        return ErrorCategory.SERVER_ERROR, None
    return ErrorCategory.PERMANENT, None


def _category_of_status(error: APIStatusError) -> ErrorCategory:
    if isinstance(error, RateLimitError) or error.status_code == 503:
        return ErrorCategory.OVERLOADED
    if error.status_code in (502, 504):
        return ErrorCategory.UNAVAILABLE
    if isinstance(error, ServerError):
        return ErrorCategory.SERVER_ERROR
    if error.status_code == 408:
        return ErrorCategory.CONNECTION_LOST
    if isinstance(error, ConflictError):
        if _is_overloaded(error):
            return ErrorCategory.OVERLOADED
        if is_paused(error):
            return ErrorCategory.PAUSED
    return ErrorCategory.PERMANENT


def is_paused(error: ConflictError) -> bool:
    """Check for the refusal of a pool that is not active but may become so again."""
    return error.code == "pool_not_active" and not _is_overloaded(error)


def _is_overloaded(error: ConflictError) -> bool:
    envelope = error.body.get("error") if isinstance(error.body, dict) else None
    if isinstance(envelope, dict) and isinstance(envelope.get("retryable"), bool):
        return bool(envelope["retryable"])
    return bool(_OVERLOADED.search(error.code or ""))
