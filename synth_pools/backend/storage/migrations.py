"""Migrations of older databases: lines in the log, and the time that they take."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from synth_pools.backend.domain import clock

_log = logging.getLogger(__name__)

# Longest time for a statement of a migration, and to wait for the migration of another backend.
LONGEST_SECONDS = 24 * 3600.0

_running: list[int] = []


@contextlib.contextmanager
def migrating(former: int, version: int) -> Iterator[None]:
    """Log the beginning and the end of a migration, which the block does.

    Args:
        former: The version of the database; 0 for a new one, whose migration takes no time.
        version: The version after the migration.
    """
    if not former:
        yield
        return
    _log.info(
        "the database goes from version %d to %d: that takes a minute or two for each million "
        "rollouts, and a backend that is ended meanwhile leaves it as it was",
        *(former, version),
    )
    started = clock.monotonic()
    _running.append(version)
    try:
        yield
    finally:
        _running.pop()
    _log.info("the database has version %d after %.1f s", version, clock.monotonic() - started)


def is_migrating() -> bool:
    """Check whether a backend of this process migrates a database."""
    return bool(_running)
