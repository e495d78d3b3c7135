"""Categories of errors, by the reaction of a fleet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth_pools import APIConnectionError, APITimeoutError, DecodeError, RequestValidationError
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.http.error_mapping import status_error

REQUEST: dict[str, Any] = {"method": "GET", "url": "http://x/v1/y", "path": "/v1/y"}


def error_of(status: int, code: str = "", **envelope: Any) -> Exception:
    body = {"error": {"code": code, "message": "no", **envelope}}
    headers = [(b"Retry-After", b"3")]
    content = json.dumps(body).encode()
    return status_error(status_code=status, headers=headers, content=content, **REQUEST)


@pytest.mark.parametrize(
    ("status", "code", "envelope", "category"),
    [
        (429, "", {}, ErrorCategory.OVERLOADED),
        (503, "", {}, ErrorCategory.OVERLOADED),
        (502, "", {}, ErrorCategory.UNAVAILABLE),
        (504, "", {}, ErrorCategory.UNAVAILABLE),
        (500, "", {}, ErrorCategory.SERVER_ERROR),
        (501, "", {}, ErrorCategory.SERVER_ERROR),
        (505, "", {}, ErrorCategory.SERVER_ERROR),
        (408, "", {}, ErrorCategory.CONNECTION_LOST),
        (404, "rate_limit", {}, ErrorCategory.PERMANENT),
        (409, "queue_full", {}, ErrorCategory.OVERLOADED),
        (409, "at_Capacity", {}, ErrorCategory.OVERLOADED),
        # `retryable` of the service takes precedence over its code.
        (409, "queue_full", {"retryable": False}, ErrorCategory.PERMANENT),
        (409, "taken", {"retryable": True}, ErrorCategory.OVERLOADED),
        (409, "taken", {"retryable": "yes"}, ErrorCategory.PERMANENT),
        (409, "taken", {}, ErrorCategory.PERMANENT),
        (409, "pool_not_active", {}, ErrorCategory.PAUSED),
        (409, "pool_not_active", {"retryable": True}, ErrorCategory.OVERLOADED),
    ],
)
def test_a_status_and_a_code(
    status: int, code: str, envelope: dict[str, Any], category: ErrorCategory
) -> None:
    assert classify_error(error_of(status, code, **envelope)) == (category, 3.0)


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (APIConnectionError("x", cause="ConnectError", **REQUEST), ErrorCategory.UNAVAILABLE),
        (APITimeoutError("x", cause="ConnectTimeout", **REQUEST), ErrorCategory.UNAVAILABLE),
        (APITimeoutError("x", cause="PoolTimeout", **REQUEST), ErrorCategory.UNAVAILABLE),
        (APIConnectionError("x", cause="ReadError", **REQUEST), ErrorCategory.CONNECTION_LOST),
        (APITimeoutError("x", cause="ReadTimeout", **REQUEST), ErrorCategory.CONNECTION_LOST),
        (DecodeError("x", excerpt=""), ErrorCategory.PERMANENT),
        (RequestValidationError("x"), ErrorCategory.PERMANENT),
    ],
)
def test_what_is_no_answer(error: Exception, category: ErrorCategory) -> None:
    assert classify_error(error) == (category, None)
