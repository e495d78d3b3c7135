"""How long things are kept: keys of repetitions for a day, rollouts for ever or as asked."""

from __future__ import annotations

import asyncio
import time

from . import rollout_rows
from .clock import ago
from .store import StorageError, Store, Transaction

# How long an Idempotency-Key counts.
KEY_SECONDS = 24 * 3600.0

# So many at once hold up nobody's admission for long.
_CHUNK = 200
_LONGEST_PAUSE = 60.0


async def forget_finished(store: Store, keep_seconds: float) -> None:
    """Delete, again and again, what ended longer ago than this."""

    def work(tx: Transaction) -> int:
        keys_since = time.time() - KEY_SECONDS
        return rollout_rows.forget_finished(tx, ago(keep_seconds), keys_since, _CHUNK)

    pause = min(_LONGEST_PAUSE, keep_seconds / 10)
    while True:
        try:
            forgotten = await store.write(work)
        except StorageError:
            forgotten = 0  # it is in the log, and there is a next time
        if forgotten < _CHUNK:
            await asyncio.sleep(pause)
