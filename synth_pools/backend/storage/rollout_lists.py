"""Pages of rollouts: filters, and an order in which an index is read.

A page is read along the index of its order, or of a filter that has this order. Where too few
rollouts match, those of the narrowest filter are sorted instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth_pools.backend.storage.cursors import ListPosition
from synth_pools.backend.storage.database import Executes

# Rollouts that a brief search looks at.
_BRIEFLY = 2_000
# Sorting more costs more than reading along the order.
_MOST_SORTED = 5_000

_COLUMNS = {"reward": "reward_value", "duration": "duration", "cost": "cost_usd"}
_TEXTS = frozenset({"run", "error_code", "task_id", "status", "pool_id", "created_at"})
# The filters of equal values, the likely narrowest first.
_EQUAL = ("run", "label", "seed", "error_code", "task_id", "state", "pool_id")
_RANGES = (
    ("min_reward", "reward_value", ">="),
    ("max_reward", "reward_value", "<="),
    ("created_after", "created_at", ">="),
    ("created_before", "created_at", "<"),
)
FILTERS = (*_EQUAL, *(name for name, _, _ in _RANGES))


class _Condition(NamedTuple):
    """Condition on a column, for an index to find."""

    column: str
    sign: str
    value: Any

    @property
    def sql(self) -> str:
        if self.column == "label":
            return "label = ?"
        return f"{self.column} {self.sign} ?"

    @property
    def unindexed(self) -> str:
        """The same condition, for rows that another index has found."""
        if self.column == "label":
            return (
                "EXISTS (SELECT 1 FROM rollout_labels AS labelled WHERE labelled.label = ?"
                " AND labelled.rollout_seq = rollouts.seq)"
            )
        return f"{_unindexed(self.column)} {self.sign} ?"


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
        return _COLUMNS.get(self.sort, "created_at" if is_timed else None)

    def conditions(self) -> list[_Condition]:
        """Return the conditions of the filters, those of equal values first."""
        columns = {"state": "status"}
        return [
            *(
                _Condition(columns.get(name, name), "=", self.filters[name])
                for name in _EQUAL
                if name in self.filters
            ),
            *(
                _Condition(column, sign, self.filters[name])
                for name, column, sign in _RANGES
                if name in self.filters
            ),
        ]


def find_briefly(
    db: Executes, query: RolloutQuery, after: ListPosition | None, limit: int
) -> list[ListPosition] | None:
    """Return the next positions of a list; None if that takes a longer search."""
    driver, rest = _walk_of(query)
    if not rest:
        return _read(db, query, driver, [], after, None, limit)
    # A filter that matches many finds a page among few.
    for count in sorted({min(_BRIEFLY, 4 * limit), _BRIEFLY}):
        end = _read(db, query, driver, [], after, None, 1, offset=count - 1)
        rows = _read(db, query, driver, rest, after, end[0] if end else None, limit)
        if not end or len(rows) == limit:
            return rows
    return None


def find(
    db: Executes, query: RolloutQuery, after: ListPosition | None, limit: int
) -> list[ListPosition]:
    """Return the next positions of a list, at most `limit`."""
    driver, rest = _walk_of(query)
    for group in _groups(query):
        source, condition = _source_of(group)
        counted = db.execute(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM {source} WHERE {condition} LIMIT ?) AS matched",  # noqa: S608
            (*(item.value for item in group), _MOST_SORTED + 1),
        ).fetchone()[0]
        if counted <= _MOST_SORTED:
            others = [item for item in (*driver, *rest) if item not in group]
            return _read(db, query, group, others, after, None, limit, is_sorted=True)
    return _read(db, query, driver, rest, after, None, limit)


def _walk_of(query: RolloutQuery) -> tuple[list[_Condition], list[_Condition]]:
    """Return the conditions of the index that is read in the order of the list, and the rest."""
    conditions, column = query.conditions(), query.value_column
    if column is not None:
        driver = [item for item in conditions if item.column == column]
    elif conditions and conditions[0].sign == "=":
        driver = conditions[:1]
        if [item.column for item in conditions[:2]] == ["status", "pool_id"]:
            driver = conditions[:2]
    else:
        driver = []
    return driver, [item for item in conditions if item not in driver]


def _groups(query: RolloutQuery) -> list[list[_Condition]]:
    """Return the conditions that an index finds each."""
    conditions = query.conditions()
    ranges = [
        [item for item in conditions if item.column == column]
        for column in ("reward_value", "created_at")
    ]
    return [[item] for item in conditions if item.sign == "="] + [
        group for group in ranges if group
    ]


def _read(
    db: Executes,
    query: RolloutQuery,
    driver: Sequence[_Condition],
    rest: Sequence[_Condition],
    after: ListPosition | None,
    end: ListPosition | None,
    limit: int,
    *,
    offset: int = 0,
    is_sorted: bool = False,
) -> list[ListPosition]:
    """Read the rollouts of some conditions in the order of the list.

    Args:
        db: A snapshot.
        query: The list.
        driver: The conditions of the index that is read.
        rest: The other conditions.
        after: The position before the first one; None for the beginning.
        end: The last position; None for no limit.
        limit: The most positions to return.
        offset: The number of positions to leave out.
        is_sorted: True if the index has another order.
    """
    column = query.value_column
    source, condition = _source_of(driver)
    seq = "rollout_seq" if source != "rollouts" else "seq"
    keys = [seq] if column is None else [column, seq]
    if is_sorted:
        keys = [_unindexed(key) for key in keys]
    conditions = [condition, *(item.unindexed for item in rest)]
    values = [item.value for item in (*driver, *rest)]
    if column is not None:
        conditions.append(f"{column} IS NOT NULL")
    signs = (">", "<=") if query.is_ascending else ("<", ">=")
    for position, sign in zip((after, end), signs, strict=True):
        if position is not None:
            marks = ", ".join("?" for _ in keys)
            conditions.append(f"({', '.join(keys)}) {sign} ({marks})")
            values += [position.seq] if column is None else [position.value, position.seq]
    direction = "ASC" if query.is_ascending else "DESC"
    order = ", ".join(f"{key} {direction}" for key in keys)
    rows = db.execute(
        f"SELECT {seq}, {column or 'NULL'} FROM {source} WHERE {' AND '.join(conditions)}"  # noqa: S608
        f" ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [ListPosition(*row) for row in rows]


def _source_of(conditions: Sequence[_Condition]) -> tuple[str, str]:
    """Return the table of some conditions, and their SQL."""
    sql = " AND ".join(item.sql for item in conditions) or "1 = 1"
    if any(item.column == "label" for item in conditions):
        return "rollout_labels JOIN rollouts ON rollouts.seq = rollout_seq", sql
    return "rollouts", sql


def _unindexed(column: str) -> str:
    return f"{column} || ''" if column in _TEXTS else f"{column} + 0"
