"""Starts of pools whose rate is limited, counted over all backends of a database."""

from __future__ import annotations

from synth_pools.backend.domain.definitions import StartRate
from synth_pools.backend.storage.database import Transaction

# Two clocks of backends, or one that is corrected, may differ by this much within a transaction.
_MARGIN_SECONDS = 0.002
# Clocks of two backends never differ by more than this.
_AHEAD_SECONDS = 1.0

_READ = (
    "SELECT started, number FROM pool_starts WHERE pool_id = ? AND started > ? AND started < ?"
    " ORDER BY started DESC"
)
_SET_BACK = "UPDATE pool_starts SET started = ? WHERE pool_id = ? AND started > ?"
_FORGET = "DELETE FROM pool_starts WHERE pool_id = ? AND (started < ? OR started > ?)"
_STORE = "INSERT INTO pool_starts (pool_id, started, number) VALUES (?, ?, ?)"


class StartRates:
    """Remaining starts of pools, in one transaction.

    A start is counted no earlier, and is checked no later, than the time that is stored with it.

    Args:
        tx: The transaction.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._remaining: dict[str, tuple[int, float]] = {}
        self._started: dict[str, tuple[StartRate, int]] = {}

    def remaining(self, pool_id: str, rate: StartRate) -> tuple[int, float]:
        """Return the number of remaining starts of a pool, and the seconds until it has more."""
        if pool_id not in self._remaining:
            now, period = self._tx.unix_time(), rate.seconds + _MARGIN_SECONDS
            remaining, seconds = rate.number, rate.seconds
            # Rows far ahead are from before the clock was set back; their starts are past by now.
            self._tx.execute(_SET_BACK, (now, pool_id, now + _AHEAD_SECONDS))
            for started, number in self._tx.execute(_READ, (pool_id, now - period, now + period)):
                remaining, seconds = remaining - number, started + period - now
                if remaining <= 0:
                    break
            self._remaining[pool_id] = (max(remaining, 0), seconds)
        return self._remaining[pool_id]

    def take(self, pool_id: str, rate: StartRate | None) -> float:
        """Take one start of a pool; return the seconds to wait if none remains."""
        if rate is None:
            return 0.0
        remaining, seconds = self.remaining(pool_id, rate)
        if not remaining:
            return seconds
        self._remaining[pool_id] = (remaining - 1, seconds)
        self._started[pool_id] = (rate, self._started.get(pool_id, (rate, 0))[1] + 1)
        return 0.0

    def store(self) -> None:
        """Store the starts, after the rollouts."""
        for pool_id, (rate, number) in self._started.items():
            now, period = self._tx.unix_time(), rate.seconds + 1
            self._tx.execute(_FORGET, (pool_id, now - period, now + period))
            self._tx.execute(_STORE, (pool_id, now, number))
