"""Table of a fleet's outcomes, as text."""

from __future__ import annotations

from typing import Any

from synth_pools._client.fleet.outcomes import FleetProgress

_COLUMNS = ("index", "group", "task_id", "seed", "status", "reward", "seconds", "failure")
_NUMBERS = frozenset({"index", "group", "seed", "reward", "seconds"})


def table(rows: list[dict[str, Any]], progress: FleetProgress) -> str:
    """Return rows of outcomes as a table of text, with the counts below it.

    Empty columns are left out, and so is the group if it is always equal to the index.
    """
    columns = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    if all(row["group"] == row["index"] for row in rows):
        columns = [name for name in columns if name != "group"]
    cells = [columns, *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            text.rjust(width) if name in _NUMBERS else text.ljust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*(lines if rows else []), *summary(progress)])


def summary(progress: FleetProgress) -> list[str]:
    """Return the counts on one line, and the failures by code on another if there are any."""
    lines = [str(progress)]
    if progress.failures:
        counts = sorted(progress.failures.items(), key=lambda pair: (-pair[1], pair[0]))
        lines.append("failures: " + ", ".join(f"{number} {code}" for code, number in counts))
    return lines


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
