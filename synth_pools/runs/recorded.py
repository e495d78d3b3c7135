"""Runs on disk: journals, and the results of `run --out`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pools._client.fleet.journal import (
    AdmissionRecord,
    BadLineError,
    OutcomeRecord,
    Run,
    digest,
)
from synth_pools._client.fleet.journal_reader import JournalReader
from synth_pools.runs.rows import iter_objects, read_rows, unusable

if TYPE_CHECKING:
    from synth_pools import RolloutOutcome

_MARK = "synth_pools_journal"
# Hashes a request as a journal does.
request_digest = digest


@dataclass(frozen=True)
class RecordedResult:
    """Result of a request.

    Attributes:
        row: Row of `run --out`; its status is ``running`` until the request has ended.
        rollout: The ended rollout; None if there is none, or only the row was stored.
        is_final: False for a request that its run takes up again, as one that a budget stopped.
    """

    row: dict[str, Any]
    rollout: dict[str, Any] | None = None
    is_final: bool = True

    @property
    def has_ended(self) -> bool:
        return self.is_final and bool(self.row["status"] != "running")


@dataclass(frozen=True)
class RecordedRun:
    """Results of a run in the order of its requests; a file of results has no ids.

    Attributes:
        results: The results of the requests that were started.
        requests: Number of its requests, as far as it is known.
        pool_id: The pool; None if each request names a pool or none.
        run_id: Random part of its idempotency keys.
    """

    results: list[RecordedResult]
    requests: int
    pool_id: str | None = None
    run_id: str | None = None


def read_run(path: Path) -> RecordedRun:
    """Read a journal or a file of results.

    Raises:
        RunFileError: It cannot be read, or is neither.
    """
    for _, first in iter_objects(path):
        if _MARK in first:
            reader = _reader(path)
            results, run = list(_results(path, reader)), reader.run
            return RecordedRun(results, reader.requests, run.pool_id, run.run_id)
        break
    rows = sorted(read_rows(path), key=lambda row: int(row["index"]))
    if not rows:
        raise unusable(path, f"{path}: there are no results in it")
    for row in rows:
        row["group"] = row["group"] if isinstance(row.get("group"), int) else row["index"]
    return RecordedRun([RecordedResult(row) for row in rows], len(rows))


def highest_request(path: Path) -> int:
    """Return the highest request that a journal names; -1 without any, or if it is damaged.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return JournalReader(path).highest()
    except BadLineError:
        # The run itself says what is wrong with it.
        return -1


def name_in_journal(path: Path, request_of: Callable[[str, int], Mapping[str, Any]]) -> str | None:
    """Return the name that the requests of a journal have in their metadata; None without one.

    Args:
        path: The file; the run itself says what is wrong with it.
        request_of: Makes a request of a run, from its name and the number of the request.
    """
    with contextlib.suppress(BadLineError, OSError, IndexError):
        reader = JournalReader(path)
        name = reader.run.fields.get("run")
        if isinstance(name, str):
            for index, sha in reader.digests():
                return name if digest(request_of(name, index)) == sha else None
    return None


def iter_journal(path: Path) -> Iterator[RecordedResult]:
    """Yield the results in a journal, in the order of its requests.

    Only the places of its records are in memory.

    Raises:
        RunFileError: It cannot be read, or is no journal.
    """
    return _results(path, _reader(path))


def _results(path: Path, reader: JournalReader) -> Iterator[RecordedResult]:
    groups: dict[Any, int] = {}
    for index in reader.indices():
        with _reported(path, str(path)):
            try:
                record = reader.record(index)
            except BadLineError:
                # The run may have moved it meanwhile.
                reader.highest()
                record = reader.record(index)
        if record is not None:
            # Equal requests have equal digests.
            group = groups.setdefault(record.sha or index, len(groups))
            yield _result(record, group, reader.run)


def _reader(path: Path) -> JournalReader:
    """Open a journal, and read where its records are."""
    with _reported(path, f"{path}: line 1"):
        reader = JournalReader(path)
    with _reported(path, str(path)):
        reader.highest()
    if reader.damaged is not None:
        number, problem = reader.damaged
        raise unusable(path, f"{path}: line {number}: {problem}")
    return reader


@contextlib.contextmanager
def _reported(path: Path, place: str) -> Iterator[None]:
    try:
        yield
    except BadLineError as error:
        raise unusable(path, f"{place}: {error}") from None
    except OSError as error:
        raise unusable(path, f"{error.filename or path}: {error.strerror}") from None


def _result(record: AdmissionRecord | OutcomeRecord, group: int, run: Run) -> RecordedResult:
    # Imported here: it loads the HTTP library, which help does not need.
    from synth_pools import RolloutOutcome
    from synth_pools._client.fleet.replays import replayed_outcome

    if isinstance(record, AdmissionRecord):
        row = result_row(RolloutOutcome(record.index, None, None, None, group=group), run.pool_id)
        row.update(status="running", rollout_id=record.rollout_id, request_digest=record.sha)
        return RecordedResult(row)
    # The rollout contains its request, with the fields that the run added; beside it the journal
    # has only a digest.
    request = (record.rollout or {"request": record.request}).get("request")
    if isinstance(request, dict):
        added = run.fields.items()
        request = {name: value for name, value in request.items() if (name, value) not in added}
    outcome = replace(replayed_outcome(record, request, group, None), replayed=False)
    row = {**result_row(outcome, run.pool_id), "request_digest": record.sha}
    if record.error is not None and row["failure"] == "SynthPoolsError":
        # An error of other code than the client's, of which there is a text alone.
        row.update(failure=record.error.get("type"), message=record.error.get("text"))
    return RecordedResult(row, record.rollout, record.final)


def result_row(outcome: RolloutOutcome, pool_id: str | None) -> dict[str, Any]:
    """Return the row of an outcome, with the pool, the request and its digest."""
    request = outcome.request
    return {
        **outcome.to_dict(),
        "pool_id": pool_id,
        "request_digest": request_digest(request),
        "request": request,
    }
