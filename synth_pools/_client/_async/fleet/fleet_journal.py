"""Journal of a running fleet, written and read while the fleet works."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from synth_pools._client.fleet.journal import OutcomeRecord, Record
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.runtime import register_for_forks
from synth_pools._client.runtime.async_.io import AsyncGroupCommit, in_thread


class AsyncFleetJournal:
    """Open journal of a fleet.

    Attributes:
        file: The file. Its blocking methods are called here, in a thread.
    """

    def __init__(self, file: JournalFile) -> None:
        self.file = file
        self._commits = AsyncGroupCommit[Record](file.append)

    @classmethod
    async def open(cls, path: Path, pool_id: str | None, base_url: str, in_flight: int) -> Self:
        """Open the journal at a path, as `JournalFile` does."""
        file = await in_thread(JournalFile, path, pool_id, base_url, in_flight=in_flight)
        register_for_forks(file)
        return cls(file)

    async def append(self, record: Record) -> None:
        """Write a record, and return once it is on the disk; raises `JournalError`."""
        await self._commits.commit(record)

    async def ending(self, index: int) -> OutcomeRecord | None:
        """Return a request's outcome; None if it has none. Raises `JournalError`."""
        if self.file.is_near(index):
            return self.file.ending(index)
        return await in_thread(self.file.ending, index)
