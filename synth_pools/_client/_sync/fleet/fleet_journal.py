# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/fleet_journal.py

"""Journal of a running fleet: its lines are written, and read again, beside what the fleet does."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from synth_pools._client.fleet.journal import JournalIndex, OutcomeRecord, Record, Run
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.runtime.fork_safety import forget_in_children
from synth_pools._client.runtime.sync_.io import GroupCommit, in_thread
from synth_pools.errors import JournalError


class FleetJournal:
    """Open journal of a fleet.

    Args:
        file: The file; it is closed with the journal.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._commits = GroupCommit[Record](file.append)

    @classmethod
    def open(cls, path: Path, pool_id: str | None, base_url: str, in_flight: int) -> Self:
        """Open the journal at a path, as `JournalFile` does."""
        file = in_thread(JournalFile, path, pool_id, base_url, in_flight=in_flight)
        forget_in_children(file)
        return cls(file)

    @property
    def run(self) -> Run:
        """Run that it belongs to."""
        return self._file.run

    @property
    def entries(self) -> JournalIndex:
        """Index of its requests."""
        return self._file.entries

    @property
    def reach(self) -> int:
        """Number of requests of which any may have been sent before it was opened."""
        return self._file.reach

    def append(self, record: Record) -> None:
        """Write a record, and return when it is on the disk; raises `JournalError`."""
        self._commits.commit(record)

    def ending(self, index: int) -> OutcomeRecord | None:
        """Return a request's outcome; None if it has none. Raises `JournalError`."""
        if not self._file.has_ended(index):
            return None
        if self._file.is_near(index):
            return self._file.ending(index)
        return in_thread(self._file.ending, index)

    def mismatch(self, problem: str) -> JournalError:
        """Return the error of a journal that belongs to another run."""
        return self._file.mismatch(problem)

    def close(self) -> None:
        """Close it once what is being written is on the disk. Can be repeated."""
        self._file.close()
