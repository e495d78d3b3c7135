"""Table of a fleet's outcomes or of their groups, as text, HTML and a data frame."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from html import escape
from typing import Any, Literal, get_args

from synth_pools._client.fleet.outcomes import FleetProgress, RewardMean
from synth_pools._client.fleet.usage import COLUMNS, UsageSums

GroupedBy = Literal["task", "group", "seed"]

_COLUMNS = (
    *("index", "group", "task_id", "seed", "status", "reward", "seconds"),
    *COLUMNS,
    "failure",
)
_WORDS = frozenset({"task_id", "status", "failure"})
_HTML_ROWS = 10


def grouped(rows: list[dict[str, Any]], by: GroupedBy) -> list[dict[str, Any]]:
    """Return a row for each task, group or seed of outcomes, in the order of the first of each.

    Raises:
        ValueError: Outcomes cannot be grouped by this.
    """
    if by not in get_args(GroupedBy):
        raise ValueError(f"by={by!r}: outcomes are grouped by {', '.join(get_args(GroupedBy))}")
    column = "task_id" if by == "task" else by
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        # A seed may be any JSON.
        groups.setdefault(repr(row[column]), []).append(row)
    reported = dict.fromkeys(UsageSums(rows).columns)
    return [
        {column: group[0][column], **_counts(group), **reported, **UsageSums(group).columns}
        for group in groups.values()
    ]


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    rewards, seconds = RewardMean(), RewardMean()
    for row in rows:
        rewards.add(row["reward"])
        seconds.add(row["seconds"])
    failed = sum(row["failure"] is not None for row in rows)
    return {
        "results": len(rows),
        "completed": len(rows) - failed,
        "failed": failed,
        "rewards": rewards.count,
        "mean_reward": rewards.mean,
        "standard_error": rewards.standard_error,
        "mean_seconds": seconds.mean,
    }


def data_frame(rows: list[dict[str, Any]]) -> Any:
    """Return rows as a data frame of pandas.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        if error.name != "pandas":
            raise
        text = "to_pandas() needs pandas, which is not installed: pip install pandas"
        raise ImportError(text, name="pandas") from error
    return pandas.DataFrame(rows)


def html(rows: list[dict[str, Any]], progress: FleetProgress) -> str:
    """Return the counts and the last few rows as HTML."""
    last = rows[-_HTML_ROWS:]
    columns = _used_columns(last)
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in summary(progress))
    if not rows:
        return paragraphs
    more = f"<p>the last {len(last)} of {len(rows)}:</p>" if len(rows) > len(last) else ""
    cells = ([_cell(row[name]) for name in columns] for row in last)
    return f"{paragraphs}{more}{html_table(columns, cells)}"


def html_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table as HTML, from texts."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table(rows: list[dict[str, Any]], progress: FleetProgress) -> str:
    """Return rows of outcomes or of groups as a table of text, with the counts below it."""
    columns = _used_columns(rows)
    cells = [columns, *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if name in _WORDS else text.rjust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*(lines if rows else []), *summary(progress)])


def _used_columns(rows: list[dict[str, Any]]) -> list[str]:
    """Return the columns with a value, without a group that is always equal to the index."""
    names = _COLUMNS if any("index" in row for row in rows) else tuple(rows[0] if rows else ())
    columns = [name for name in names if any(row[name] is not None for row in rows)]
    if all(row.get("group") == row.get("index") for row in rows):
        columns = [name for name in columns if name != "group"]
    return columns


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
