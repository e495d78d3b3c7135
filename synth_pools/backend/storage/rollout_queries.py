"""Filters and orders of lists of rollouts, and their conditions in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth_pools.backend.domain import json_text
from synth_pools.backend.storage.cursors import Found, ListPosition
from synth_pools.backend.storage.rollout_documents import (
    DOCUMENT_COLUMNS,
    LARGE_COLUMNS,
    rollout_document,
)
from synth_pools.backend.storage.rollouts import size_sql
from synth_pools.backend.storage.statements import Row

# A search in an index takes as long as to read a number of its entries.
PROBE = 8
# Tables of indexes, with the column of the number of a rollout.
TABLE = ("rollouts", "seq")
LABELS = ("rollout_labels", "rollout_seq")

ORDERS = {"reward": "reward_value", "duration": "duration", "cost": "cost_usd"}
_TEXTS = frozenset({"run", "error_code", "task_id", "status", "pool_id", "created_at"})
# Filters with their columns: those of equal values first, the likely narrowest before the others.
FILTERS = {
    "run": ("run", "="),
    "label": ("label", "="),
    "seed": ("seed", "="),
    "error_code": ("error_code", "="),
    "task_id": ("task_id", "="),
    "state": ("status", "="),
    "pool_id": ("pool_id", "="),
    "min_reward": ("reward_value", ">="),
    "max_reward": ("reward_value", "<="),
    "created_after": ("created_at", ">="),
    "created_before": ("created_at", "<"),
}


# Most rollouts of a usual page, whose documents are read where they are found; and the most bytes
# of a rollout for that, since no room is reserved for them.
USUAL_PAGE = 128
_MOST_BYTES = json_text.LARGE // USUAL_PAGE


class Values(list[Any]):
    """Parameters of a statement, numbered."""

    def mark(self, value: Any) -> str:
        """Add a parameter, and return its placeholder."""
        self.append(value)
        return f"?{len(self)}"


class ColumnCondition(NamedTuple):
    """Condition on a column, for an index to find."""

    column: str
    sign: str
    value: Any

    def probed(self, values: Values, listed: str) -> str:
        """Return the SQL of the condition, for entries of an index that lacks the column.

        Args:
            values: The parameters.
            listed: The column of the number of the rollout.
        """
        if self.sign != "=":
            return self.covered(values)
        table, seq = LABELS if self.column == "label" else TABLE
        mark = values.mark(self.value)
        # A range, since a number alone leads to the row instead of the index.
        return (
            f"EXISTS (SELECT 1 FROM {table} AS probe WHERE probe.{self.column} = {mark}"  # noqa: S608
            f" AND probe.{seq} BETWEEN {listed} AND {listed})"
        )

    def covered(self, values: Values) -> str:
        """Return the SQL of the condition, for entries of an index that has the column."""
        return f"{_unindexed(self.column)} {self.sign} {values.mark(self.value)}"


@dataclass(frozen=True, slots=True)
class RolloutQuery:
    """Filters of a list of rollouts, by the parameters of the API, and its order."""

    filters: dict[str, Any]
    sort: str = "created"
    is_ascending: bool = False

    @property
    def value_column(self) -> str | None:
        """The column of the value by which the list is sorted first; None for the creation alone.

        Times of creation follow the clock, which may be set back; so they are sorted by only where
        they are filtered.
        """
        is_timed = not self.filters.keys().isdisjoint({"created_after", "created_before"})
        return ORDERS.get(self.sort, "created_at" if is_timed else None)

    @property
    def sign(self) -> str:
        """The sign that compares a later value with an earlier one."""
        return ">" if self.is_ascending else "<"

    @property
    def order(self) -> str:
        """The word for the order, in SQL."""
        return "ASC" if self.is_ascending else "DESC"

    def conditions(self) -> list[ColumnCondition]:
        """Return the conditions of the filters, those of equal values first."""
        return [
            ColumnCondition(column, sign, self.filters[name])
            for name, (column, sign) in FILTERS.items()
            if name in self.filters
        ]


def _unindexed(column: str) -> str:
    return f"{column} || ''" if column in _TEXTS else f"{column} + 0"


def row_sql(limit: int) -> str:
    """Return the SQL for what is read of the row of each rollout on a page.

    Args:
        limit: The most rollouts of the page.
    """
    columns = [f"{size_sql()} AS size"]
    if limit <= USUAL_PAGE:
        for name in DOCUMENT_COLUMNS:
            column = f"rollouts.{name}"
            if name in LARGE_COLUMNS:
                column = f"CASE WHEN {size_sql()} <= {_MOST_BYTES:d} THEN {column} END"
            columns.append(f"{column} AS {name}")
    return ", ".join(columns)


def page_sql(page: str, query: RolloutQuery, limit: int) -> str:
    """Return the SQL of the rows of a page, in any order.

    Args:
        page: The SQL of `seq` of each, with a limit.
        query: The list.
        limit: The most rollouts of the page.
    """
    # PostgreSQL gets this condition in a form of its own, by its pattern.
    return f"{rows_sql(query, limit)} WHERE seq IN (SELECT seq FROM ({page}) AS page)"  # noqa: S608


def rows_sql(query: RolloutQuery, limit: int) -> str:
    """Return the SQL of the rows of a page, without a condition."""
    value = query.value_column or "NULL"
    return f"SELECT seq, {value} AS value, {row_sql(limit)} FROM rollouts"  # noqa: S608


def rollouts_of(rows: Iterable[Row], query: RolloutQuery, limit: int) -> list[Found]:
    """Return the rollouts of rows with the columns of `page_sql`, in the order of the list."""
    items = []
    for row in rows:
        is_whole = limit <= USUAL_PAGE and None not in [row[name] for name in LARGE_COLUMNS]
        document = rollout_document(row) if is_whole else None
        items.append(Found(ListPosition(row["seq"], row["value"]), row["size"], document))
    # Numbers alone where there are no values, which cannot be compared.
    items.sort(
        key=lambda item: (item.position.value or 0, item.position.seq),
        reverse=not query.is_ascending,
    )
    return items
