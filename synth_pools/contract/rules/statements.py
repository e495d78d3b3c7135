"""Statements of facts by answers, each compared with the first one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from synth_pools.contract.results import Clause, Column, Exchange
from synth_pools.contract.rules.listings import FactAnswer, ResourceKey
from synth_pools.contract.rules.verdict import RuleResult, moment, same_json, same_time, show


@dataclass(slots=True)
class _Statement:
    """Value of a fact, where it was stated first, and whether other operations agreed."""

    value: Any
    operation: str
    exchange: Exchange
    has_support: bool = False


class Statements:
    """First statement of each fact."""

    def __init__(self) -> None:
        self._first: dict[tuple[ResourceKey, str], _Statement] = {}

    def known(self, subject: ResourceKey, name: str) -> tuple[Any, ...]:
        """Return the value of a fact, alone in a tuple, or nothing if it is not known."""
        statement = self._first.get((subject, name))
        return () if statement is None else (statement.value,)

    def forget(self, subject: ResourceKey, *names: str) -> None:
        for name in names:
            self._first.pop((subject, name), None)

    def state(
        self, check: str, answer: FactAnswer, subject: ResourceKey, name: str, value: Any
    ) -> None:
        """State a fact; the answer, or the one that stated it first, departs if it is another."""
        if name == "error" and isinstance(value, dict):
            # Details may be left out.
            for part, text in value.items():
                self.state(check, answer, subject, f"error.{part}", text)
            return
        value = (name.endswith("_at") and moment(value)) or value
        former = self._first.get((subject, name))
        if former is None:
            self._first[subject, name] = _Statement(value, answer.operation.id, answer.slim)
            return
        operation = answer.operation.id
        if same_json(former.value, value) or same_time(former.value, value):
            former.has_support |= operation != former.operation
            answer.agreed.add(check)
            return
        fact = f"{name} of {subject[1].lower()} {subject[2]}"
        cause = f"{check}|{name.partition(' ')[0]}"
        demand = f"{fact}, as {former.operation} states it: {_text(former.value)}"
        answer.judge(check, demand, False, _text(value), cause)
        if not former.has_support and operation != former.operation:
            demand = f"{fact}, as {operation} states it: {_text(value)}"
            clause, got = Clause(former.operation, demand), _text(former.value)
            result = RuleResult(check, Column.BEHAVIOUR, clause, demand, got, cause)
            answer.results.append((former.operation, result, former.exchange))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else show(value)
