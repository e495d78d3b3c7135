"""Runs on disk: journals, and the results of `run --out`."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pools.runs.rows import iter_objects, read_rows, unusable

if TYPE_CHECKING:
    from synth_pools import RolloutOutcome

_MARK = "synth_pools_journal"


@dataclass(frozen=True)
class RecordedResult:
    """Result of a request.

    Attributes:
        row: Row of `run --out`; its status is ``running`` until the request has ended.
        rollout: The ended rollout; None if there is none, or only the row was stored.
    """

    row: dict[str, Any]
    rollout: dict[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        return bool(self.row["status"] != "running")


@dataclass(frozen=True)
class RecordedRun:
    """Results of a run in the order of its requests; a file of results has no ids."""

    results: list[RecordedResult]
    pool_id: str | None = None
    run_id: str | None = None


def read_run(path: Path) -> RecordedRun:
    """Read a journal or a file of results.

    Raises:
        RunFileError: It cannot be read, or is neither.
    """
    for _, first in iter_objects(path):
        if _MARK in first:
            return read_journal(path)
        break
    rows = sorted(read_rows(path), key=lambda row: int(row["index"]))
    if not rows:
        raise unusable(path, f"{path}: there are no results in it")
    for row in rows:
        row["group"] = row["group"] if isinstance(row.get("group"), int) else row["index"]
    return RecordedRun([RecordedResult(row) for row in rows])


def read_journal(path: Path) -> RecordedRun:
    """Read a journal with its segments.

    Raises:
        RunFileError: It cannot be read, or is no journal.
    """
    run, latest = _read_file(path)
    results = list(_results(path, run, latest))
    return RecordedRun(results, run.get("pool_id"), run.get("run_id"))


def highest_request(path: Path) -> int:
    """Return the highest request that a journal names; -1 without any, or if it is damaged.

    Raises:
        OSError: It cannot be read.
    """
    # Imported here: it loads the HTTP library, which help does not need.
    from synth_pools._client.fleet.journal import BadLineError
    from synth_pools._client.fleet.journal_reader import JournalReader

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
    # As above.
    from synth_pools._client.fleet.journal import BadLineError, digest
    from synth_pools._client.fleet.journal_reader import JournalReader

    with contextlib.suppress(BadLineError, OSError, IndexError):
        reader = JournalReader(path)
        name = reader.run.fields.get("run")
        if isinstance(name, str):
            for index, sha in reader.digests():
                return name if digest(request_of(name, index)) == sha else None
    return None


def iter_journal(path: Path) -> Iterator[RecordedResult]:
    """Yield the results in a journal, in the order of its requests.

    Only one line of each segment is in memory.

    Raises:
        RunFileError: It cannot be read, or is no journal.
    """
    return _results(path, *_read_file(path))


def _results(
    path: Path, run: Mapping[str, Any], latest: Mapping[int, dict[str, Any]]
) -> Iterator[RecordedResult]:
    groups: dict[Any, int] = {}
    number = run.get("segments", 0)
    segments = [_segment(path, segment) for segment in range(1, number + 1)]
    for index, record in heapq.merge(*segments, sorted(latest.items()), key=itemgetter(0)):
        # Equal requests have equal digests.
        group = groups.setdefault(record.get("sha", index), len(groups))
        yield _result(index, group, record, run)


def _read_file(path: Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """Read the first line of a journal, and the last line of each request."""
    run: dict[str, Any] | None = None
    latest: dict[int, dict[str, Any]] = {}
    batches: dict[Any, dict[str, Any]] = {}
    for place, record in iter_objects(path, check=_checker()):
        if run is None and _MARK in record and isinstance(record.get("segments", 0), int):
            run = record
        elif run is not None and record.get("is") == "batch":
            batches[record.get("key")] = record
        elif run is not None and record.get("is") == "answer":
            latest.update(_admissions(batches.pop(record.get("key"), {}), record))
        elif run is None or (not _is_step(record) and record.get("is") != "width"):
            raise unusable(path, f"{place} is no line of a journal")
        elif record["is"] != "width":
            latest[record["i"]] = record
    if run is None:
        raise unusable(path, f"{path}: it is no journal")
    return run, latest


def _checker() -> Callable[[bytes], str | None]:
    """Return a function that checks the lines of a journal one after the other."""
    # Imported here, since help does not need it.
    from synth_pools._client.fleet.journal import BadLineError, has_checksum

    are_checked = False

    def check(line: bytes) -> str | None:
        nonlocal are_checked
        try:
            is_missing = not has_checksum(line)
        except BadLineError as error:
            return str(error)
        if is_missing and are_checked:
            return "it has no checksum"
        are_checked = not is_missing
        return None

    return check


def _segment(path: Path, number: int) -> Iterator[tuple[int, dict[str, Any]]]:
    segment = path.with_name(f"{path.name}.{number:05}.gz")
    lines = iter_objects(segment, is_compressed=True)
    next(lines, None)
    for place, record in lines:
        if not _is_step(record):
            raise unusable(path, f"{place} is no line of a journal")
        yield record["i"], record


def _admissions(
    batch: Mapping[str, Any], answer: Mapping[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield an admission for each request of a batch, as if it had been created alone."""
    indices, shas, rollouts = batch.get("i"), batch.get("sha"), answer.get("rollouts")
    if not all(isinstance(part, list) for part in (indices, shas, rollouts)):
        return
    for index, sha, rollout_id in zip(indices or (), shas or (), rollouts or (), strict=False):
        if rollout_id is not None:
            yield index, {"i": index, "is": "admitted", "sha": sha, "rollout_id": rollout_id}


def _is_step(record: dict[str, Any]) -> bool:
    parts = (record.get("rollout"), record.get("error"))
    fits = all(part is None or isinstance(part, dict) for part in parts)
    return fits and isinstance(record.get("i"), int) and isinstance(record.get("is"), str)


def _result(
    index: int, group: int, record: dict[str, Any], run: Mapping[str, Any]
) -> RecordedResult:
    # Imported here: it loads the HTTP library, which help does not need.
    from synth_pools import RolloutFailedError, RolloutOutcome
    from synth_pools._client.fleet.usage import checked

    pool_id, fields = run.get("pool_id"), run.get("fields", {})
    rollout, stored = record.get("rollout"), record.get("error")
    if record["is"] == "admitted" or (rollout is None and stored is None):
        row = result_row(RolloutOutcome(index, None, None, None, group=group), pool_id)
        row.update(
            status="running", rollout_id=record.get("rollout_id"), request_digest=record.get("sha")
        )
        return RecordedResult(row)
    failure = None
    document = rollout or {}
    reason = (stored or {}).get("fields") or document.get("error") or {}
    reason = reason if isinstance(reason, dict) else {"message": reason}
    if stored is not None or reason:
        code = reason.get("code") or (stored or {}).get("type")
        failure = RolloutFailedError(
            str((stored or {}).get("text") or reason.get("message")),
            code=None if code is None else str(code),
            message=str(reason.get("message", "")),
            status=str(document.get("status", "error")),
            rollout_id=str(document.get("id", "")),
        )
    # The rollout contains its request, with the fields that the run added; the journal has only a
    # digest of it.
    request = document.get("request")
    if fields and isinstance(request, dict):
        request = {
            name: value
            for name, value in request.items()
            if name not in fields or value != fields[name]
        }
    attempts = int(record.get("attempt", 0)) + 1
    spent = checked(record["usage"]) if "usage" in record else None
    outcome = RolloutOutcome(index, request, rollout, failure, attempts, group=group, spent=spent)
    row = {**result_row(outcome, pool_id), "request_digest": record.get("sha")}
    return RecordedResult(row, rollout)


def request_digest(request: Any) -> str:
    """Hash a request as a journal does."""
    # Imported here, since help does not need it.
    from synth_pools._client.fleet.journal import digest

    return digest(request)


def result_row(outcome: RolloutOutcome, pool_id: str | None) -> dict[str, Any]:
    """Return the row of an outcome, with the pool, the request and its digest."""
    request = outcome.request
    return {
        **outcome.to_dict(),
        "pool_id": pool_id,
        "request_digest": request_digest(request),
        "request": request,
    }
