"""Pages of rollouts: filters, and an order in which an index is read.

A page is read along an index that has the order of the list, that of a filter with few matches is
sorted, or the rewards of a range are read from blocks of successive rollouts. Nobody knows
beforehand which is the shortest way, so all are tried for a while, and the one that advances best
for longer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from synth_pools.backend.storage.cursors import Found, ListPosition
from synth_pools.backend.storage.database import Executes
from synth_pools.backend.storage.reward_blocks import RewardBlocks
from synth_pools.backend.storage.rollout_queries import (
    LABELS,
    ORDERS,
    PROBE,
    TABLE,
    USUAL_PAGE,
    ColumnCondition,
    RolloutQuery,
    Values,
    page_sql,
    rollouts_of,
    rows_sql,
)

# Entries of an index to look at in the first attempt, and the growth of the later ones.
_FIRST_ENTRIES = 3_000
_GROWTH = 8
# A brief search has as many attempts.
_BRIEF_ATTEMPTS = 2
# To read a row takes as long as to read a number of entries of an index, to sort an entry also.
_ROW = 32
_SORTING = 2

# Columns beside those of the order in the index of a filter or of an order.
_POOL = frozenset({"pool_id"})
_COVERED = {
    "run": frozenset({"pool_id", "status", "reward_value", "duration", "cost_usd"}),
    "pool_id": frozenset({"seed", "task_id"}),
    **dict.fromkeys(("seed", "error_code", "task_id", "created_at"), _POOL),
    **dict.fromkeys(ORDERS.values(), _POOL | {"run"}),
}


def find_briefly(
    db: Executes, query: RolloutQuery, after: ListPosition | None, limit: int
) -> list[Found] | None:
    """Return the next rollouts of a list; None if that takes a longer search."""
    return _search(db, query, after, limit, range(_BRIEF_ATTEMPTS))


def find(db: Executes, query: RolloutQuery, after: ListPosition | None, limit: int) -> list[Found]:
    """Return the next rollouts of a list, at most `limit`."""
    return _search(db, query, after, limit, itertools.count(_BRIEF_ATTEMPTS)) or []


def _search(
    db: Executes,
    query: RolloutQuery,
    after: ListPosition | None,
    limit: int,
    attempts: Iterable[int],
) -> list[Found] | None:
    ways: list[_Way | RewardBlocks] = [
        RewardBlocks(db, query, after, limit)
        if index.is_in_blocks
        else _Way(db, query, index, after, limit)
        for index in _indexes_of(query)
    ]
    if len(ways) == 1 and isinstance(ways[0], _Way) and not ways[0].rest:
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
        is_in_blocks: True for the index of rewards in blocks.
    """

    conditions: Sequence[ColumnCondition]
    column: str | None
    is_in_blocks: bool = False


def _indexes_of(query: RolloutQuery) -> list[_Index]:
    """Return the indexes in which a page can be searched for, in the order of the first attempt."""
    conditions, column = query.conditions(), query.value_column
    equal = [[item] for item in conditions if item.sign == "="]
    pools = [group for group in equal if group[0].column == "pool_id"]
    if [item.column for [item] in equal[-2:]] == ["status", "pool_id"]:
        equal[-2:], pools = [[equal[-1][0], equal[-2][0]]], []
    indexes = [_Index(group, None) for group in equal if group not in pools]
    ranges = {
        name: [item for item in conditions if item.column == name]
        for name in ("reward_value", "created_at")
    }
    if column is not None:
        group = [item for item in conditions if item.column == column]
        indexes.append(_Index(group, column))
    elif ranges["reward_value"]:
        indexes.append(_Index(ranges["reward_value"], None, is_in_blocks=True))
    indexes += [_Index(group, name) for name, group in ranges.items() if group and name != column]
    # A pool has many rollouts, mostly.
    return [*indexes, *(_Index(group, None) for group in pools)] or [_Index([], None)]


class _Part(NamedTuple):
    """Part of an index.

    Attributes:
        conditions: The conditions of its first columns: either all of equal values, or of a range.
        seq: The number before that of the first rollout, where the order is that of creation.
    """

    conditions: Sequence[ColumnCondition]
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
        first = _Part(index.conditions, None if index.column else _beyond(query))
        self._parts = self._parts_after(first, after) if after and self._is_ordered else [first]
        name = index.conditions[0].column if index.conditions else str(index.column)
        self._covered = _COVERED.get(name, frozenset()) | {index.column, None}
        missing = [item for item in self.rest if item.column not in self._covered]
        # An entry of another index tells equal values, the row all others.
        has_row = query.value_column not in self._covered or any(
            item.sign != "=" for item in missing
        )
        self._weight = _ROW if has_row else 1 + PROBE * len(missing)
        if not self._is_ordered:
            self._weight *= _SORTING
        self._table, self._seq = LABELS if name == "label" else TABLE
        self._join = " JOIN rollouts ON rollouts.seq = rollout_seq" if name == "label" else ""
        self._has_row = has_row
        self._entry_count = 0
        self.rows: list[Found] = []

    @property
    def remaining(self) -> float:
        """The likely number of entries of an index that it takes to read on; 0 at first."""
        if not self._is_ordered:
            # There are more than that, and to sort them takes time, too.
            return 4 * self._weight * self._entry_count
        missing = self._limit - len(self.rows)
        return self._weight * missing * self._entry_count / (len(self.rows) + 1)

    def read_all(self) -> list[Found]:
        """Return a page of all entries, in their order, with their rows."""
        # Few different limits, since each makes a statement of its own; but a high one makes
        # PostgreSQL sort a small table.
        count = USUAL_PAGE if self._limit <= USUAL_PAGE else max(self._limit, _FIRST_ENTRIES)
        if len(self._parts) > 1:
            return self._read(count)
        values = Values()
        if self._table == "rollouts":
            # The rows themselves, without another search for each by its number.
            where = self._where(self._parts[0], values)
            limit = values.mark(self._limit)
            sql = f"{rows_sql(self._query, self._limit)} {where} LIMIT {limit} /* of {count:d} */"
        else:
            part = self._part(self._parts[0], values, "NULL AS value") + f" LIMIT {count:d}"
            page = f"SELECT seq FROM ({part}) AS part LIMIT {values.mark(self._limit)}"  # noqa: S608
            sql = page_sql(page, self._query, self._limit)
        return rollouts_of(self._db.execute(sql, values), self._query, self._limit)

    def advance(self, entry_count: int) -> bool:
        """Look at further entries; return True if the page is complete.

        Args:
            entry_count: The number of entries of an index that may be read in the same time.
        """
        count = max(1, entry_count // self._weight)
        self._entry_count += count
        if not self._is_ordered:
            if not self._has_entries(count):
                self.rows = self._read(count)
                return True
            return False
        self.rows += self._read(count)
        last = None if len(self.rows) == self._limit else self._entry(count)
        if last is None:
            return True
        self._parts = self._parts_after(self._parts[-1], last)
        return False

    def _parts_after(self, part: _Part, position: ListPosition) -> list[_Part]:
        if part.seq is not None:
            return [part._replace(seq=position.seq)]
        column, sign = str(self._index.column), self._query.sign
        return [
            _Part([ColumnCondition(column, "=", position.value)], position.seq),
            _Part([*self._index.conditions, ColumnCondition(column, sign, position.value)], None),
        ]

    def _read(self, count: int) -> list[Found]:
        """Return the matching ones among the first entries.

        Args:
            count: The number of entries.
        """
        values = Values()
        listed = f"{self._table}.{self._seq}"
        matches = [
            item.covered(values) if item.column in self._covered else item.probed(values, listed)
            for item in self.rest
        ]
        column, order = self._query.value_column, self._query.order
        if column is not None and not self._is_ordered:
            matches += [f"{column} IS NOT NULL"]
        if self._after is not None:
            keys: list[tuple[str, Any]] = [("seq", self._after.seq)]
            if column is not None:
                keys.insert(0, (column, self._after.value))
            marks = ", ".join(values.mark(value) for _, value in keys)
            matches += [f"({', '.join(key for key, _ in keys)}) {self._query.sign} ({marks})"]
        selected = f"{column or 'NULL'} AS value, {' AND '.join(matches) or '1 = 1'} AS is_match"
        join = self._join if self._has_row else ""
        entries = self._entries(values, selected, count, join)
        first = "" if column is None else f"value {order}, "
        ordered = "" if self._is_ordered else f" ORDER BY {first}seq {order}"
        limit = values.mark(self._limit - len(self.rows))
        page = f"SELECT seq, value FROM {entries} WHERE is_match{ordered} LIMIT {limit}"  # noqa: S608
        rows = self._db.execute(page_sql(page, self._query, self._limit), values)
        return rollouts_of(rows, self._query, self._limit)

    def _has_entries(self, count: int) -> bool:
        """Return True if there are as many entries, in whichever order."""
        values = Values()
        entries = self._part(self._parts[0], values, "1 AS entry", is_ordered=False)
        sql = f"SELECT COUNT(*) FROM ({entries} LIMIT {count:d}) AS entries"  # noqa: S608
        return bool(self._db.execute(sql, values).fetchone()[0] == count)

    def _entry(self, number: int) -> ListPosition | None:
        """Return the entry at a place, counted from 1; None if there are fewer."""
        values = Values()
        entries = self._entries(values, f"{self._index.column or 'NULL'} AS value", number)
        sql = f"SELECT seq, value FROM {entries} LIMIT 1 OFFSET {number - 1:d}"  # noqa: S608
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else ListPosition(row[0], row[1])

    def _entries(self, values: Values, selected: str, count: int, join: str = "") -> str:
        """Return the SQL of the first entries of the parts, in their order."""
        # A part without a limit of its own may be read by several processes of the server.
        parts = " UNION ALL ".join(
            f"SELECT * FROM ({self._part(part, values, selected, join)} LIMIT {count:d})"  # noqa: S608
            f" AS part_{number}"
            for number, part in enumerate(self._parts)
        )
        return f"({parts} LIMIT {count:d}) AS entries"

    def _part(
        self, part: _Part, values: Values, selected: str, join: str = "", *, is_ordered: bool = True
    ) -> str:
        where = self._where(part, values, is_ordered=is_ordered)
        return f"SELECT {self._seq} AS seq, {selected} FROM {self._table}{join} {where}"  # noqa: S608

    def _where(self, part: _Part, values: Values, *, is_ordered: bool = True) -> str:
        """Return the SQL of the conditions and the order of a part."""
        conditions = [
            f"{item.column} {item.sign} {values.mark(item.value)}" for item in part.conditions
        ]
        if part.seq is not None:
            # PostgreSQL gets these conditions in a form of its own, by this pattern.
            conditions.append(f"{self._seq} {self._query.sign} {values.mark(part.seq)}")
        keys = list(dict.fromkeys(item.column for item in part.conditions))
        if self._index.column and not keys:
            keys = [self._index.column]
        conditions += [f"{key} IS NOT NULL" for key in keys[:1]]
        order = ", ".join(f"{key} {self._query.order}" for key in [*keys, self._seq])
        return f"WHERE {' AND '.join(conditions)}{f' ORDER BY {order}' if is_ordered else ''}"


def _beyond(query: RolloutQuery) -> int:
    """Return the number before that of the first rollout."""
    return 0 if query.is_ascending else 2**63 - 1
