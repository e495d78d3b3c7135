"""Usage of rollouts: what containers report, and its sums. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Usage = dict[str, float]
# Nearly all values are a `dict`, and that check takes a tenth of the time of one for a `Mapping`; a
# fleet checks each member of a million requests and outcomes.
MAPPINGS = (dict, Mapping)
# Figures that are summed, tokens first.
_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens")
FIGURES = (*_TOKENS, "cost_usd", "estimated_cost_usd")
# Figures of a row.
COLUMNS = ("input_tokens", "output_tokens", "cost_usd", "estimated_cost_usd")
_ALIASES = {
    "llm_input_tokens": "input_tokens",
    "prompt_tokens": "input_tokens",
    "llm_output_tokens": "output_tokens",
    "completion_tokens": "output_tokens",
    "cached_tokens": "cached_input_tokens",
    "total_cost_usd": "cost_usd",
}
# Sums of figures stay far from what a number can be.
MOST = 10**15
_LARGEST = 1e140


def usage_of_rollout(rollout: Any) -> Usage:
    """Return what the container of an ended rollout reports; of tokens and dollars only amounts.

    Services without ``usage`` in their summaries have it in the result.
    """
    summary = entry(rollout, "summary")
    has_usage = isinstance(summary, Mapping) and "usage" in summary
    return checked(entry(summary if has_usage else entry(rollout, "result"), "usage"))


def checked(usage: Any) -> Usage:
    """Return the numbers of an object; tokens and costs that are no amounts are left out."""
    numbers: Usage = {}
    for key, value in usage.items() if isinstance(usage, Mapping) else ():
        name = str(_ALIASES.get(key, key))
        if name in numbers or not is_finite(value):
            continue
        if name in FIGURES and not 0 <= value <= MOST:
            continue
        if name in _TOKENS:
            if value != int(value):
                continue
            value = int(value)
        numbers[name] = value
    return numbers


def added(first: Mapping[str, float], second: Mapping[str, float]) -> Usage:
    """Return the sums of the figures of two usages; numbers that are no figures stay."""
    sums: Usage = {**first, **second}
    for name in FIGURES:
        if name in first and name in second:
            sums[name] = first[name] + second[name]
    return sums


def figures(usage: Mapping[str, float]) -> Usage:
    """Return the figures of a usage."""
    return {name: usage[name] for name in FIGURES if name in usage}


class UsageSums:
    """Sums of tokens and dollars.

    Args:
        rows: The first rows.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._usage: Usage = {}
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row of `RolloutOutcome.to_dict`."""
        self._usage = added(self._usage, figures(checked(row)))

    @property
    def spent(self) -> tuple[float, float]:
        """Dollars and tokens."""
        return self._usage.get("cost_usd", 0), tokens(self._usage)

    @property
    def columns(self) -> dict[str, float]:
        """Sums of the columns that any row has."""
        return {name: self._usage[name] for name in COLUMNS if name in self._usage}

    def document(self, completed: int) -> dict[str, Any]:
        """Return the sums, and the tokens and dollars for each completed rollout."""
        return with_rates(self._usage, completed)

    def text(self, completed: int) -> str:
        """Write the sums on one line; empty without any."""
        sums = [name for name in self._usage if completed and name != "estimated_cost_usd"]
        words = in_words({name: self._usage[name] / completed for name in sums})
        rate = f"; {' and '.join(words)} for each completed rollout" if words else ""
        return f"usage  {' and '.join(in_words(self._usage))}{rate}\n" if self._usage else ""


def tokens(usage: Mapping[str, float]) -> float:
    """Return the tokens that models read and wrote."""
    return usage.get("input_tokens", 0) + usage.get("output_tokens", 0)


def with_rates(usage: Usage, completed: int) -> dict[str, Any]:
    """Add the tokens and dollars of all rollouts for each completed one, as `per_completed`."""
    rates: Usage = {}
    if completed and ("input_tokens" in usage or "output_tokens" in usage):
        rates["tokens"] = tokens(usage) / completed
    if completed and "cost_usd" in usage:
        rates["cost_usd"] = usage["cost_usd"] / completed
    return {**usage, "per_completed": rates}


def in_words(usage: Mapping[str, float]) -> list[str]:
    """Write tokens and dollars as short texts."""
    words = []
    if "input_tokens" in usage or "output_tokens" in usage:
        words.append(f"{tokens(usage):,.0f} tokens")
    if "cost_usd" in usage:
        estimated = usage.get("estimated_cost_usd", 0)
        part = "" if not estimated else " estimated"
        if 0 < estimated < usage["cost_usd"]:
            part = f", ${estimated:.4g} of it estimated"
        words.append(f"${usage['cost_usd']:.4g}{part}")
    return words


def is_finite(value: Any) -> bool:
    """Return True for a number that is neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def summable(value: float) -> float:
    """Return a finite number as it is up to 1e140: sums, also of squares, are then finite."""
    return max(-_LARGEST, min(float(value), _LARGEST))


def entry(value: Any, name: str) -> Any:
    """Return an entry of an object; None where there is no object or no entry."""
    return value.get(name) if isinstance(value, MAPPINGS) else None
