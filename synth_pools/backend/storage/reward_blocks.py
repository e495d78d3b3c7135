"""Pages of rewards in the order of creation, from blocks of successive rollouts."""

from __future__ import annotations

import math

from synth_pools.backend.storage.cursors import Found, ListPosition
from synth_pools.backend.storage.database import Executes
from synth_pools.backend.storage.list_indexes import BLOCK_BITS
from synth_pools.backend.storage.rollout_queries import (
    PROBE,
    RolloutQuery,
    Values,
    page_sql,
    rollouts_of,
    row_sql,
)

_BLOCK = f"seq >> {BLOCK_BITS:d}"
_SIZE = 1 << BLOCK_BITS
# Rollouts to look at first, at least: the first block may have few.
_FEW = 256
# Blocks to search in one statement: enough for a reward alone that one rollout in 1,500 has. Each
# has a number, from the first one.
_MOST_BLOCKS = 80
_NUMBERS = f"json_each('[{','.join(map(str, range(_MOST_BLOCKS)))}]')"
# Most entries of the first blocks to count, where others filter them, and blocks to read next if
# none of them matches.
_MOST_COUNTED = 256
_NEXT_BLOCKS = 32
# Blocks that take as long as a reward so rare takes in its own order.
_MANY_BLOCKS = 24
# The page is likely complete with as many times the rollouts that should have it.
_MARGIN = 1.5
_OLDEST, _NEWEST = (f"(SELECT {end}(seq) FROM rollouts)" for end in ("MIN", "MAX"))  # noqa: S608


class RewardBlocks:
    """Way to a page: the rewards of a range in each block, and the matching rollouts so far.

    Args:
        db: A snapshot.
        query: The list; it has a range of rewards.
        after: The position in the list before the first one; None for the beginning.
        limit: The most positions to find.
    """

    def __init__(
        self, db: Executes, query: RolloutQuery, after: ListPosition | None, limit: int
    ) -> None:
        self._db, self._query, self._limit = db, query, limit
        self._after = after
        conditions = query.conditions()
        self._ranges = [item for item in conditions if item.column == "reward_value"]
        self._covered = [item for item in conditions if item.column == "pool_id"]
        self._probed = [item for item in conditions if item not in self._ranges + self._covered]
        self._step = 1 if query.is_ascending else -1
        # The next block, and the number of those from it to the last one; None before it is found.
        self._next = 0
        self._left: int | None = None
        # The number of rollouts that were looked at, and what a block costs.
        self._rollout_count = 0
        self._cost = 0.0
        self.rows: list[Found] = []

    @property
    def remaining(self) -> float:
        """The likely number of entries of an index that it takes to read on; 0 at first."""
        return self._cost * self._needed

    @property
    def _needed(self) -> int:
        """The likely number of blocks that complete the page."""
        if not self.rows:
            return min(self._left or 0, _NEXT_BLOCKS * math.ceil(self._rollout_count / _SIZE))
        rollouts = self._rollout_count / len(self.rows) * (self._limit - len(self.rows))
        return min(self._left or 0, math.ceil(_MARGIN * rollouts / _SIZE))

    def advance(self, entry_count: int) -> bool:
        """Read further blocks; return True if the page is complete.

        Args:
            entry_count: The number of entries of an index that may be read in the same time.
        """
        if not self._cost:
            if self._covered or self._probed:
                self._begin()
            else:
                self._begin_alone()
            if self._is_complete:
                return True
            if self._left is None or not self.rows or self._needed > _MANY_BLOCKS:
                # So rare a reward may have few entries in its own order: that is tried first.
                return False
        if self._left is None:
            self._find_end()
        while not self._is_complete:
            count = min(self._needed, int(entry_count / self._cost), _MOST_BLOCKS)
            if count < 1:
                return False
            entry_count -= int(count * self._cost)
            values = Values()
            self._read(values, f"CAST({values.mark(self._next)} AS BIGINT)", count)
            self._pass(count)
        return True

    @property
    def _is_complete(self) -> bool:
        return self._left == 0 or len(self.rows) == self._limit

    def _begin_alone(self) -> None:
        """Search the first blocks; no rollout in the range is looked at in vain."""
        values = Values()
        self._read(values, f"({self._start(values)} >> {BLOCK_BITS:d})", _MOST_BLOCKS)
        self._cost = PROBE

    def _find_end(self) -> None:
        """Find the end of the list, of which the first blocks were searched."""
        row = self._db.execute(f"SELECT {_OLDEST} AS oldest, {_NEWEST} AS newest").fetchone()
        self._count(row["oldest"], row["newest"], _MOST_BLOCKS)

    def _begin(self) -> None:
        """Read the first blocks, count their entries, and find the end of the list."""
        values = Values()
        start = self._start(values)
        second = f"({start} {'+' if self._query.is_ascending else '-'} {_FEW:d}) >> {BLOCK_BITS:d}"
        blocks = f"IN ({start} >> {BLOCK_BITS:d}, {second})"
        # In this order SQLite keeps the numbers alone of what it joins.
        rows = self._db.execute(
            f"SELECT entry_count, oldest, newest, seq, NULL AS value, {row_sql(self._limit)}"  # noqa: S608
            f" FROM (SELECT COUNT(*) AS entry_count, {_OLDEST} AS oldest,"
            f" {_NEWEST} AS newest FROM (SELECT seq FROM rollouts WHERE {_BLOCK} {blocks}"
            f" AND {self._range(values)} LIMIT {_MOST_COUNTED:d}) AS entries) AS facts"
            f" LEFT JOIN ({self._matching(values, blocks)}) AS page ON 1 = 1"
            " LEFT JOIN rollouts ON rollouts.seq = page.value",
            values,
        ).fetchall()
        entry_count, oldest, newest = rows[0][:3]
        self.rows = rollouts_of([row for row in rows if row["seq"]], self._query, self._limit)
        count = 1
        if newest is not None:
            first = self._first(oldest, newest)
            count += abs(((first + self._step * _FEW) >> BLOCK_BITS) - (first >> BLOCK_BITS))
        self._count(oldest, newest, count)
        if entry_count == _MOST_COUNTED:
            entry_count = count * _SIZE
        self._cost = PROBE + entry_count / count * (1 + PROBE * len(self._probed))

    def _start(self, values: Values) -> str:
        """Return the SQL of the number before the first rollout, or of its own."""
        if self._after is not None:
            return f"CAST({values.mark(self._after.seq)} AS BIGINT)"
        return _OLDEST if self._query.is_ascending else _NEWEST

    def _first(self, oldest: int, newest: int) -> int:
        if self._after is not None:
            return self._after.seq
        return oldest if self._query.is_ascending else newest

    def _count(self, oldest: int | None, newest: int | None, count: int) -> None:
        """Count the blocks of the list, of which the first ones were read."""
        self._left = 0
        if oldest is None or newest is None:
            return
        first = self._first(oldest, newest)
        last = newest if self._query.is_ascending else oldest
        self._next = first >> BLOCK_BITS
        self._left = max(0, self._step * ((last >> BLOCK_BITS) - self._next) + 1)
        self._pass(count)
        # Those of the first block before the page do not count.
        self._rollout_count -= first % _SIZE if self._query.is_ascending else -first % _SIZE

    def _pass(self, count: int) -> None:
        self._next += self._step * count
        self._left = max(0, (self._left or 0) - count)
        self._rollout_count += count * _SIZE

    def _read(self, values: Values, first: str, count: int) -> None:
        """Read the matching rollouts of some blocks, one after the other.

        Args:
            values: The parameters, with those of the first block.
            first: The SQL of the first block.
            count: The most blocks.
        """
        # As JSON, since no other table of SQLite can depend on the row before it. PostgreSQL gets
        # this in a form of its own. Blocks beyond a complete page are not searched.
        sign = "+" if self._query.is_ascending else "-"
        entries = self._matching(values, f"= {first} {sign} block.value")
        page = (
            f"SELECT entry.value AS seq FROM {_NUMBERS} AS block CROSS JOIN"  # noqa: S608
            f" json_each((SELECT json_group_array(value) FROM ({entries}))) AS entry"
            f" WHERE block.value < {values.mark(count)}"
            f" LIMIT {values.mark(self._limit - len(self.rows))}"
        )
        sql = page_sql(page, self._query, self._limit)
        self.rows += rollouts_of(self._db.execute(sql, values), self._query, self._limit)

    def _matching(self, values: Values, blocks: str) -> str:
        """Return the SQL of the matching rollouts of a condition for blocks."""
        conditions = [item.covered(values) for item in self._covered]
        conditions += [item.probed(values, "rollouts.seq") for item in self._probed]
        if self._after is not None:
            conditions.append(f"seq + 0 {self._query.sign} {values.mark(self._after.seq)}")
        where = " AND ".join([self._range(values), *conditions])
        limit = values.mark(self._limit - len(self.rows))
        # Expressions, since the index of the numbers alone leads to all rollouts.
        return (
            f"SELECT seq AS value FROM rollouts WHERE {_BLOCK} {blocks} AND {where}"  # noqa: S608
            f" ORDER BY seq + 0 {self._query.order} LIMIT {limit}"
        )

    def _range(self, values: Values) -> str:
        ranges = [f"reward_value {item.sign} {values.mark(item.value)}" for item in self._ranges]
        return " AND ".join([*ranges, "reward_value IS NOT NULL"])
