"""Typed access: argument checks and parsing of answers.

Pure, no I/O. Arguments of the generated methods are checked by the same rules as those of the
methods that take plain JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from synth_pools._client.arguments import (
    check_idempotency_key,
    path_segment,
    query_int,
    query_text,
    request_body,
)
from synth_pools.errors import DecodeError, RequestValidationError

T = TypeVar("T")

# A type, and the value that must have it.
Argument = tuple[type, Any]

_EXCERPT = 200


def check_arguments(
    path: Mapping[str, Any], query: Mapping[str, Argument], headers: Mapping[str, Argument]
) -> dict[str, Any]:
    """Check all arguments, and return them by name; None stays None.

    Raises:
        RequestValidationError: An argument cannot be sent; the message names it.
    """
    checked: dict[str, Any] = {name: path_segment(value, name) for name, value in path.items()}
    checked |= {name: _query(name, *argument) for name, argument in query.items()}
    checked |= {name: _header(name, *argument) for name, argument in headers.items()}
    return checked


def check_body(body: Argument) -> Any:
    """Check a model, and convert it for a generated request builder; None stays None.

    Raises:
        RequestValidationError: It is not the model that the operation takes, or one of its parts
            is not a model; the message names the problem.
    """
    kind, value = body
    if value is None or kind is object:
        return request_body(value) if isinstance(value, Mapping) else value
    if not isinstance(value, kind):
        can_make = isinstance(value, Mapping) and hasattr(kind, "from_dict")
        hint = f"; {kind.__name__}.from_dict makes one" if can_make else ""
        raise RequestValidationError(
            f"body must be a {kind.__name__}, not {type(value).__name__}{hint}"
        )
    if kind is bytes:
        return value
    try:
        return request_body(value.to_dict())  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError) as error:
        problem = str(error)
    raise RequestValidationError(
        f"body: a part of this {kind.__name__} is not of the type that it names: {problem}"
    )


def parse(
    parser: Callable[[Any], T], answer: Any, *, subject: str, redact: Callable[[str], str]
) -> T:
    """Parse an answer into its model.

    Raises:
        DecodeError: ``answer`` does not fit openapi.yaml. The method of the same name on the client
            itself still returns the plain JSON.
    """
    try:
        return parser(answer)
    except KeyError as error:
        problem = f"{error} is missing"
    except (AttributeError, TypeError, ValueError) as error:
        problem = str(error)
    raise DecodeError(
        f"{subject} does not fit its model: {redact(problem)}",
        excerpt=redact(json.dumps(answer, ensure_ascii=False))[:_EXCERPT],
    )


def _query(name: str, kind: type, value: Any) -> Any:
    if kind is str:
        return query_text(value, name)
    if kind is int:
        return query_int(value, name)
    if value is not None and not isinstance(value, (int, float) if kind is float else kind):
        raise RequestValidationError(
            f"{name} must be a {kind.__name__}, not {type(value).__name__}"
        )
    return value


def _header(name: str, kind: type, value: Any) -> Any:
    if name == "idempotency_key":
        return check_idempotency_key(value)
    checked = _query(name, kind, value)
    if isinstance(checked, str) and not _fits_a_header(checked):
        raise RequestValidationError(
            f"{name} must be printable ASCII, not empty, and not begin or end with a blank"
        )
    return checked


def _fits_a_header(text: str) -> bool:
    return (
        bool(text) and text.strip() == text and all(" " <= character <= "~" for character in text)
    )
