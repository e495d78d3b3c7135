"""Pages of rollouts: filters, and an order in which an index is read.

A page is read along an index that has the order of the list, or that of a filter with few matches
is sorted. Nobody knows beforehand which is the shortest way, so all are tried for a while, and the
one that advances best for longer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth_pools.backend.storage.cursors import ListPosition
from synth_pools.backend.storage.database import Executes

# Entries of an index to look at in the first attempt, and the growth of the later ones.
_FIRST_ENTRIES = 3_000
_GROWTH = 8
# A brief search has as many attempts.
_BRIEF_ATTEMPTS = 2
# To read a row takes as long as to read a number of entries of an index.
_ROW = 32
# And so does a search in another index.
_PROBE = 8

# Tables of indexes, with the column of the number of a rollout.
_TABLE = ("rollouts", "seq")
_LABELS = ("rollout_labels", "rollout_seq")

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
# Columns beside those of the order in the index of a filter or of an order.
_POOL = frozenset({"pool_id"})
_COVERED = {
    "run": frozenset({"pool_id", "status", "reward_value", "duration", "cost_usd"}),
    "pool_id": frozenset({"seed", "task_id"}),
    "rewards": frozenset({"reward_value"}),
    **dict.fromkeys(("seed", "error_code", "task_id", "created_at", *_COLUMNS.values()), _POOL),
}

# Step of the schema of both databases: the columns of `_COVERED`, and rewards in the order of
# creation.
INDEXES = """
DROP INDEX rollouts_by_pool;
DROP INDEX rollouts_by_run;
DROP INDEX rollouts_by_creation;
DROP INDEX rollouts_by_reward;
DROP INDEX rollouts_by_duration;
DROP INDEX rollouts_by_cost;
DROP INDEX rollouts_by_task;
DROP INDEX rollouts_by_seed;
DROP INDEX rollouts_by_error_code;
CREATE INDEX rollouts_by_pool ON rollouts (pool_id, seq, seed, task_id);
CREATE INDEX rollouts_by_run ON rollouts (
    run, seq, status, reward_value, duration, input_tokens, output_tokens, cost_usd, pool_id
) WHERE run IS NOT NULL;
CREATE INDEX rollouts_by_creation ON rollouts (created_at, seq, pool_id);
CREATE INDEX rollouts_by_reward ON rollouts (reward_value, seq, pool_id)
    WHERE reward_value IS NOT NULL;
CREATE INDEX rollouts_with_reward ON rollouts (seq, reward_value) WHERE reward_value IS NOT NULL;
CREATE INDEX rollouts_of_pool_with_reward ON rollouts (pool_id, seq, reward_value)
    WHERE reward_value IS NOT NULL;
CREATE INDEX rollouts_by_duration ON rollouts (duration, seq, pool_id) WHERE duration IS NOT NULL;
CREATE INDEX rollouts_by_cost ON rollouts (cost_usd, seq, pool_id) WHERE cost_usd IS NOT NULL;
CREATE INDEX rollouts_by_task ON rollouts (task_id, seq, pool_id) WHERE task_id IS NOT NULL;
CREATE INDEX rollouts_by_seed ON rollouts (seed, seq, pool_id) WHERE seed IS NOT NULL;
CREATE INDEX rollouts_by_error_code ON rollouts (error_code, seq, pool_id)
    WHERE error_code IS NOT NULL
"""


class _Values(list[Any]):
    """Parameters of a statement, numbered."""

    def mark(self, value: Any) -> str:
        """Add a parameter, and return its placeholder."""
        self.append(value)
        return f"?{len(self)}"


class _Condition(NamedTuple):
    """Condition on a column, for an index to find."""

    column: str
    sign: str
    value: Any

    def probed(self, values: _Values, listed: str) -> str:
        """Return the SQL of the condition, for entries of an index that has not the column.

        Args:
            values: The parameters.
            listed: The column of the number of the rollout.
        """
        mark = values.mark(self.value)
        if self.sign != "=":
            return f"{_unindexed(self.column)} {self.sign} {mark}"
        table, seq = _LABELS if self.column == "label" else _TABLE
        # A range, since a number alone leads to the row instead of the index.
        return (
            f"EXISTS (SELECT 1 FROM {table} AS probe WHERE probe.{self.column} = {mark}"  # noqa: S608
            f" AND probe.{seq} BETWEEN {listed} AND {listed})"
        )

    def covered(self, values: _Values) -> str:
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
    return _search(db, query, after, limit, range(_BRIEF_ATTEMPTS))


def find(
    db: Executes, query: RolloutQuery, after: ListPosition | None, limit: int
) -> list[ListPosition]:
    """Return the next positions of a list, at most `limit`."""
    return _search(db, query, after, limit, itertools.count(_BRIEF_ATTEMPTS)) or []


def _search(
    db: Executes,
    query: RolloutQuery,
    after: ListPosition | None,
    limit: int,
    attempts: Iterable[int],
) -> list[ListPosition] | None:
    ways = [_Way(db, query, way, after, limit) for way in _ways_of(query)]
    if len(ways) == 1 and not ways[0].rest:
        return ways[0].read_all()
    for attempt in attempts:
        for way in sorted(ways, key=lambda way: way.remaining):
            if way.advance(_FIRST_ENTRIES * _GROWTH**attempt):
                return way.rows
    return None


class _Index(NamedTuple):
    """Index with the conditions for which it is read.

    Attributes:
        conditions: The conditions of its first columns.
        column: The column of its values; None for the order of creation alone.
        has_reward: True for the index of rewards in the order of creation.
    """

    conditions: Sequence[_Condition]
    column: str | None
    has_reward: bool = False


def _ways_of(query: RolloutQuery) -> list[_Index]:
    """Return the indexes in which a page can be searched for."""
    conditions, column = query.conditions(), query.value_column
    equal = [[item] for item in conditions if item.sign == "="]
    if [item.column for [item] in equal[-2:]] == ["status", "pool_id"]:
        equal[-2:] = [[equal[-1][0], equal[-2][0]]]
    ways = [_Index(group, None) for group in equal]
    for ranged in ("reward_value", "created_at"):
        group = [item for item in conditions if item.column == ranged]
        if group and ranged != column:
            ways.append(_Index(group, ranged))
    if column is not None:
        ways.append(_Index([item for item in conditions if item.column == column], column))
    elif any(item.column == "reward_value" for item in conditions):
        pool = [item for item in conditions if item.column == "pool_id"]
        ways.append(_Index(pool, None, has_reward=True))
    return ways or [_Index([], None)]


class _Part(NamedTuple):
    """Part of an index.

    Attributes:
        conditions: The conditions of its first columns: either all of equal values, or of a range.
        seq: The number before that of the first rollout, where the order is that of creation.
    """

    conditions: Sequence[_Condition]
    seq: int | None


class _Way:
    """Way to a page: an index, and the matching rollouts among its entries so far.

    Args:
        db: A snapshot.
        query: The list.
        index: The index.
        after: The position in the list before the first one; None for the beginning.
        limit: The most positions to find.
    """

    def __init__(
        self,
        db: Executes,
        query: RolloutQuery,
        index: _Index,
        after: ListPosition | None,
        limit: int,
    ) -> None:
        self._db, self._query, self._index, self._limit = db, query, index, limit
        self.rest = [item for item in query.conditions() if item not in index.conditions]
        self._is_ordered = index.column == query.value_column
        self._after = None if self._is_ordered else after
        self._sign, self._order = (">", "ASC") if query.is_ascending else ("<", "DESC")
        first = _Part(index.conditions, None if index.column else _beyond(query))
        self._parts = self._parts_after(first, after) if after and self._is_ordered else [first]
        name = index.conditions[0].column if index.conditions else str(index.column)
        covered = _COVERED.get("rewards" if index.has_reward else name, frozenset())
        self._covered = covered | {index.column, None}
        missing = [item for item in self.rest if item.column not in self._covered]
        # An entry of another index tells equal values, the row all others.
        has_row = query.value_column not in self._covered or any(
            item.sign != "=" for item in missing
        )
        self._weight = _ROW if has_row else 1 + _PROBE * len(missing)
        if not self._is_ordered:
            self._weight *= 2
        self._table, self._seq = _LABELS if name == "label" else _TABLE
        is_joined = has_row and name == "label"
        self._join = " JOIN rollouts ON rollouts.seq = rollout_seq" if is_joined else ""
        self._entry_count = 0
        self.rows: list[ListPosition] = []

    @property
    def remaining(self) -> float:
        """The likely number of entries of an index that it takes to read on."""
        if not self._is_ordered:
            # There are more than that, and to sort them takes time, too.
            return 4 * self._weight * self._entry_count
        missing = self._limit - len(self.rows)
        return self._weight * (1 + missing * self._entry_count / (len(self.rows) + 1))

    def read_all(self) -> list[ListPosition]:
        """Return the positions of a page of all entries, in their order."""
        for part in self._parts:
            if len(self.rows) < self._limit:
                self.rows += self._read(part, max(self._limit, _FIRST_ENTRIES))
        return self.rows

    def advance(self, entry_count: int) -> bool:
        """Look at further entries; return True if the page is complete.

        Args:
            entry_count: The number of entries of an index that may be read in the same time.
        """
        count = max(1, entry_count // self._weight)
        while self._parts:
            part = self._parts[0]
            if self._is_ordered:
                self.rows += self._read(part, count)
                if len(self.rows) == self._limit:
                    break
            last = self._entry(part, count)
            if last is not None:
                self._entry_count += count
                if self._is_ordered:
                    self._parts[:1] = self._parts_after(part, last)
                return False
            if not self._is_ordered:
                self.rows = self._read(part, count)
            del self._parts[0]
        return True

    def _parts_after(self, part: _Part, position: ListPosition) -> list[_Part]:
        if part.seq is not None:
            return [part._replace(seq=position.seq)]
        column = str(self._index.column)
        return [
            _Part([_Condition(column, "=", position.value)], position.seq),
            _Part([*part.conditions, _Condition(column, self._sign, position.value)], None),
        ]

    def _read(self, part: _Part, count: int) -> list[ListPosition]:
        """Return the matching ones among the first entries of a part."""
        values = _Values()
        listed = f"{self._table}.{self._seq}"
        matches = [
            item.covered(values) if item.column in self._covered else item.probed(values, listed)
            for item in self.rest
        ]
        column = self._query.value_column
        if not self._is_ordered:
            matches += [f"{column or self._seq} IS NOT NULL"]
        if self._after is not None:
            keys: list[tuple[str, Any]] = [("seq", self._after.seq)]
            if column is not None:
                keys.insert(0, (column, self._after.value))
            marks = ", ".join(values.mark(value) for _, value in keys)
            matches += [f"({', '.join(key for key, _ in keys)}) {self._sign} ({marks})"]
        value = f"{column or 'NULL'} AS value, {' AND '.join(matches) or '1 = 1'} AS is_match"
        entries = self._entries(part, values, value, self._join)
        order = "" if self._is_ordered else f" ORDER BY value {self._order}, seq {self._order}"
        rows = self._db.execute(
            f"SELECT seq, value FROM ({entries} LIMIT {count:d}) AS entries WHERE is_match{order}"  # noqa: S608
            f" LIMIT {values.mark(self._limit - len(self.rows))}",
            values,
        )
        return [ListPosition(*row) for row in rows]

    def _entry(self, part: _Part, number: int) -> ListPosition | None:
        """Return the entry of a part at a place, counted from 1; None if it ends before."""
        values = _Values()
        entries = self._entries(part, values, self._index.column or "NULL")
        row = self._db.execute(f"{entries} LIMIT 1 OFFSET {number - 1:d}", values).fetchone()
        return None if row is None else ListPosition(row[0], row[1])

    def _entries(self, part: _Part, values: _Values, selected: str, join: str = "") -> str:
        """Return the SQL of the entries of a part, in their order."""
        conditions = [
            f"{item.column} {item.sign} {values.mark(item.value)}" for item in part.conditions
        ]
        if part.seq is not None:
            # PostgreSQL gets these conditions in a form of its own, by this pattern.
            conditions.append(f"{self._seq} {self._sign} {values.mark(part.seq)}")
        keys = list(dict.fromkeys(item.column for item in part.conditions))
        if self._index.column and not keys:
            keys = [self._index.column]
        present = {*keys[:1], *(["reward_value"] if self._index.has_reward else [])}
        conditions += [f"{key} IS NOT NULL" for key in sorted(present)]
        order = ", ".join(f"{key} {self._order}" for key in [*keys, self._seq])
        return (
            f"SELECT {self._seq} AS seq, {selected} FROM {self._table}{join}"  # noqa: S608
            f" WHERE {' AND '.join(conditions)} ORDER BY {order}"
        )


def _beyond(query: RolloutQuery) -> int:
    """Return the number before that of the first rollout."""
    return 0 if query.is_ascending else 2**63 - 1


def _unindexed(column: str) -> str:
    return f"{column} || ''" if column in _TEXTS else f"{column} + 0"
