"""Journal of a running fleet, written and read while the fleet works."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from synth_pools._client._async.fleet.retrying_caller import AsyncRetryingCaller
from synth_pools._client._async.fleet.scope import AsyncRolloutScope
from synth_pools._client.fleet.journal import OutcomeRecord, Record, WidthRecord
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.fleet.journal_reader import has_begun
from synth_pools._client.fleet.options import FleetOptions
from synth_pools._client.runtime import register_for_forks
from synth_pools._client.runtime.async_.io import AsyncGroupCommit, in_thread

_LOG = logging.getLogger("synth_pools")


class AsyncFleetJournal:
    """Open journal of a fleet.

    Args:
        file: The file.
        requests: Number of the run's requests, to be recorded; 0 if it is unknown.

    Attributes:
        file: The file. Its blocking methods are called here, in a thread.
    """

    def __init__(self, file: JournalFile, requests: int = 0) -> None:
        self.file = file
        # Recorded before the next record, since a journal of another run stays as it is.
        self._requests = requests
        self._commits = AsyncGroupCommit[Record](file.append)

    async def append(self, record: Record) -> None:
        """Write a record, and return once it is on the disk; raises `JournalError`."""
        if self._requests:
            await self._write_requests()
        await self._commits.commit(record)

    async def note_requests(self, least: int) -> None:
        """Record that the run has `least` requests, or more; raises `JournalError`."""
        self._requests = max(least, self._requests or self.file.entries.requests)
        await self._write_requests()

    async def _write_requests(self) -> None:
        requests, self._requests = self._requests, 0
        entries = self.file.entries
        if requests != entries.requests:
            await self._commits.commit(WidthRecord(entries.in_flight, requests))

    async def ending(self, index: int) -> OutcomeRecord | None:
        """Return a request's outcome; None if it has none. Raises `JournalError`."""
        if self.file.is_near(index):
            return self.file.ending(index)
        return await in_thread(self.file.ending, index)


async def open_journal(
    options: FleetOptions, scope: AsyncRolloutScope, caller: AsyncRetryingCaller, count: int | None
) -> AsyncFleetJournal | None:
    """Open the journal of a fleet, if it has one, and set the fields of all its requests.

    A repetition has to have the fields that were sent, so a journal goes on with the ones it
    began with. They are no part of a request's digest.

    Args:
        options: Arguments of the fleet.
        scope: Where its rollouts are.
        caller: Asks the service what it offers.
        count: Number of its requests; None if it is unknown.

    Raises:
        JournalError: It cannot be used, or belongs to another run.
        SynthPoolsError: The service does not say whether it takes the fields.
    """
    path, journal = options.journal_path, None
    fields: Mapping[str, Any] = options.fields
    if fields and not (path is not None and has_begun(path)):
        fields = fields if await caller.call(scope.has_runs) else {}
    if path is not None:
        file = await in_thread(
            JournalFile,
            path,
            scope.pool_id,
            scope.transport.config.base_url,
            in_flight=options.max_in_flight,
            fields=fields,
        )
        register_for_forks(file)
        journal, fields = AsyncFleetJournal(file, count or 0), file.run.fields
    if missing := [name for name in options.fields if name not in fields]:
        _LOG.warning(
            "run_many: the rollouts have no %s: the service does not offer runs, or the journal "
            "began without",
            " and no ".join(missing),
        )
    scope.fields = fields
    return journal
