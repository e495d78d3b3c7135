"""Sums of what the rollouts of a run have used, from its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synth_pools._client.fleet.usage import (
    COLUMNS,
    Usage,
    added,
    checked,
    figures,
    in_words,
    tokens,
    with_rates,
)

USAGE_COLUMNS = COLUMNS


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
