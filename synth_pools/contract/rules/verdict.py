"""What one look at one exchange says: held, or a complaint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from synth_pools.contract.results import Clause, Column, Exchange


@dataclass(frozen=True, slots=True)
class RuleResult:
    """`got` is None where the demand held. Judgements with one `cause` come from one defect."""

    check: str
    column: Column
    clause: Clause
    expected: str
    got: str | None
    cause: str = ""

    @property
    def held(self) -> bool:
        return self.got is None


class NotJsonError(ValueError):
    """A body that claims to be JSON and is not."""


def media_type(exchange: Exchange) -> str:
    return (exchange.header("content-type") or "").split(";", 1)[0].strip().lower()


def json_body(exchange: Exchange) -> Any:
    """The response's body; NaN and Infinity are no JSON, whatever Python thinks of them."""
    try:
        return json.loads(exchange.response_body, parse_constant=_refuse)
    except RecursionError:
        # Too deep for this reader is no fault of the sender's.
        return None
    except (ValueError, UnicodeDecodeError) as error:
        raise NotJsonError(str(error)) from None


def sent_json(exchange: Exchange) -> Any:
    """The request's body, or None where it is none or no JSON."""
    if not exchange.request_body:
        return None
    try:
        return json.loads(exchange.request_body)
    except (ValueError, RecursionError):
        return None


def same_json(one: Any, other: Any) -> bool:
    """Compare as JSON: 1 and 1.0 are equal, true and 1 are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def excerpt(exchange: Exchange, limit: int = 240) -> str:
    """A response in one line, for reports."""
    if exchange.status is None:
        return exchange.trouble or "no answer"
    text = exchange.response_body[: limit * 4].decode("utf-8", "replace")
    line = " ".join(text.split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return f"{exchange.status} {line}".rstrip()


def show(value: Any, limit: int = 120) -> str:
    """A JSON value in one line, for reports."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
