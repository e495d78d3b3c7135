"""Result of a rule, and functions that rules share."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from synth_pools.contract.document import Operation
from synth_pools.contract.openapi.schemas import read_json
from synth_pools.contract.results import Clause, Column, Exchange, shorten

# One for all: a call of json.dumps with options makes an encoder each time.
_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(slots=True, eq=False)
class Doubt:
    """Doubt about a result until the end of the run.

    Attributes:
        until: The time of the answer: a change that began before it may be the reason.
        rests_on_read: Whether it compares with a read, which may have been late.
        is_founded: Whether such a change came.
    """

    until: float
    rests_on_read: bool
    is_founded: bool = False


@dataclass(frozen=True, slots=True)
class RuleResult:
    """Result of one rule for one exchange.

    Attributes:
        check: The id of the check.
        column: The column of the report's table.
        clause: The clause of the document.
        expected: The demand in words.
        got: The observation in words; None if the demand held.
        cause: The key of the defect; results of one defect share it.
        over: See `Departure`.
        doubt: What may yet explain it; None for nothing.
    """

    check: str
    column: Column
    clause: Clause
    expected: str
    got: str | None
    cause: str = ""
    over: str = ""
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """Part of an operation's answers that rules judge; all of them if `schema` is empty."""

    operation: Operation
    schema: str = ""

    def judge(
        self, check: str, demand: str, expected: Any, actual: Any, column: Column = Column.BEHAVIOUR
    ) -> RuleResult:
        schema = f", {self.schema}" if self.schema else ""
        clause = Clause(f"{self.operation.route}{schema}", demand)
        if same_json(expected, actual):
            # Nobody reads more of it, and showing values takes longer than comparing them.
            return RuleResult(check, column, clause, demand, None)
        return RuleResult(
            check,
            column,
            clause,
            f"{demand}: {show(expected)}",
            show(actual),
            f"{check}|{self.schema or self.operation.id}",
        )

    def judge_fields(self, check: str, demand: str, expected: Any, actual: Any) -> RuleResult:
        """Judge a comparison of fields, in the column of schemas."""
        return self.judge(check, demand, expected, actual, Column.SCHEMA)


class NotJsonError(ValueError):
    """The body is not JSON."""


def media_type(exchange: Exchange) -> str:
    """Return the media type of the response, in lower case and without parameters."""
    return (exchange.header("content-type") or "").split(";", 1)[0].strip().lower()


def response_json(exchange: Exchange) -> Any:
    """Parse the response's body; NaN and Infinity are not JSON.

    Returns:
        The value, which must not be changed; None if it is nested too deeply to be read, which is
        no departure.

    Raises:
        NotJsonError: It is not JSON.
    """
    try:
        return read_json(exchange.response_body)
    except RecursionError:
        return None
    except (ValueError, UnicodeDecodeError) as error:
        raise NotJsonError(str(error)) from None


def request_json(exchange: Exchange) -> Any:
    """Parse the request's body; None if it is absent or not JSON."""
    if not isinstance(exchange.request_body, bytes) or not exchange.request_body:
        return None
    try:
        return json.loads(exchange.request_body)
    except (ValueError, RecursionError):
        return None


def same_json(first: Any, second: Any) -> bool:
    """Compare as JSON: 1 and 1.0 are equal, true and 1 are not."""
    if isinstance(first, str) or first is None:
        return bool(first == second)
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return False
        # A generator would take longer than the comparison of most values.
        for key, value in first.items():  # noqa: SIM110
            if not same_json(value, second[key]):
                return False
        return True
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same_json, first, second))
    return bool(first == second)


def is_finite_number(value: Any) -> TypeGuard[int | float]:
    """Return True for a finite number, and not for true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def moment(value: Any) -> datetime | None:
    """Parse a time stamp; None if it is invalid or has no zone."""
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return parsed if parsed.tzinfo else None


def same_time(first: Any, second: Any) -> bool:
    """Compare two times, of which one may be shown in whole seconds."""
    if not isinstance(first, datetime) or not isinstance(second, datetime):
        return False
    has_fractions = first.microsecond and second.microsecond
    return not has_fractions and first.replace(microsecond=0) == second.replace(microsecond=0)


def excerpt(exchange: Exchange, limit: int = 240) -> str:
    """Show a response in one line."""
    if exchange.status is None:
        return exchange.trouble or "no answer"
    text = exchange.response_body[: limit * 4].decode("utf-8", "replace")
    line = " ".join(text.split())
    return f"{exchange.status} {shorten(line, limit)}".rstrip()


def show(value: Any, limit: int = 120) -> str:
    """Show a JSON value in one line."""
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value))
    return shorten(text, limit)
