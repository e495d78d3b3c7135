"""Counts of waiting and running rollouts, in memory beside the writer.

The writing connection counts each new rollout, which takes less time than a trigger, and its
triggers each change of a row. A transaction sees its own changes. So an admission costs the same
however many rollouts wait. The counts of a transaction are taken back unless it commits.
"""

from __future__ import annotations

import sqlite3

from synth_pools.backend.storage.sql_functions import ALL_POOLS

_FILL = """
SELECT pool_id, status, COUNT(*) FROM main.rollouts
    WHERE status IN ('queued', 'running') GROUP BY pool_id, status
"""
_COUNT = """
CREATE TEMP TRIGGER queue_counts_{name} AFTER {event} ON main.rollouts
WHEN {row}.status IN ('queued', 'running'){condition}
BEGIN
    SELECT count_unfinished({row}.pool_id, {row}.status, {step});
END
"""
_CHANGED = " AND OLD.status IS NOT NEW.status"
_TRIGGERS = (
    ("delete", "DELETE", "OLD", "", -1),
    ("enter", "UPDATE OF status", "NEW", _CHANGED, 1),
    ("leave", "UPDATE OF status", "OLD", _CHANGED, -1),
)


class QueueCounts:
    """Counts of one writing connection, which is used by one thread at a time.

    Args:
        connection: The connection whose changes are counted from now on.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        # Counts of the current transaction.
        self._steps: list[tuple[str, str, int]] = []
        for pool_id, status, number in connection.execute(_FILL):
            self._add(pool_id, status, number)
        connection.create_function("count_unfinished", 3, self.count)
        self.show_to(connection)
        for name, event, row, condition, step in _TRIGGERS:
            connection.execute(
                _COUNT.format(name=name, event=event, row=row, condition=condition, step=step)
            )

    def show_to(self, connection: sqlite3.Connection) -> None:
        """Provide the counts to a connection; a reading one gets those of the last commit."""
        connection.create_function("number_unfinished", 2, self._number)

    def mark(self) -> int:
        """Return a mark, to take back the later counts of the current transaction."""
        return len(self._steps)

    def keep(self) -> None:
        """Keep the counts of a committed transaction."""
        self._steps.clear()

    def take_back(self, mark: int = 0) -> None:
        """Take back the counts since a mark, or of the entire transaction."""
        while len(self._steps) > mark:
            pool_id, status, step = self._steps.pop()
            self._add(pool_id, status, -step)

    def count(self, pool_id: str, status: str, step: int) -> None:
        """Count a rollout that enters a state that is not final, or leaves it."""
        self._steps.append((pool_id, status, step))
        self._add(pool_id, status, step)

    def _number(self, pool_id: str, status: str) -> int:
        return self._numbers.get((pool_id, status), 0)

    def _add(self, pool_id: str, status: str, step: int) -> None:
        numbers = self._numbers
        for place in ((pool_id, status), (ALL_POOLS, status)):
            number = numbers.get(place, 0) + step
            if number:
                numbers[place] = number
            else:
                # Dropped, since a pool may never have rollouts again.
                del numbers[place]
