"""Records of a fleet's journal, and their index: pure, no I/O.

A journal is text, one JSON object a line. The first line names the run; the others say, in the
order in which it happened, what became of its requests::

    {"synth_pools_journal":2,"run_id":"...","pool_id":"...","base_url":"...","highest":-1,
     "in_flight":64,"segments":0}
    {"is":"batch","key":"...","i":[0,1],"sha":["...","..."],"requests":[{...},{...}]}
    {"is":"answer","key":"...","rollouts":["rollout_1",null]}
    {"i":1,"is":"admitted","attempt":0,"sha":"...","rollout_id":"..."}
    {"i":0,"is":"outcome","attempt":0,"sha":"...","rollout":{...},"error":null}

What is on the disk is a beginning of what was written. Cut anywhere, it must not lead to a wrong
conclusion: a last line that does not end with a line feed was never acted on, and counts as not
there. A rollout that is created alone has a key that follows from the run's id, so that a request
whose admission is not in the journal still finds the rollout that it may have got. Rollouts that
are created together have one key, and a repetition must have the same requests: all of it is in the
journal before it is sent, and a batch without its answer is sent again as it was. A request of
which the journal says nothing was never in a batch; that it was not sent alone either is certain
only beyond `JournalIndex.reach`.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

VERSION = 2
# Most requests of a run that may be under way at a time; journals before version 2 do not say more.
MOST_IN_FLIGHT = 10_000
_BEGINNING = b'{"synth_pools_journal":'
_NOWHERE = -1
# A line of a damaged file may claim any index; the table of offsets must not follow it.
_LARGEST_STEP = 10_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """Identity of the run that a journal belongs to.

    Attributes:
        run_id: Random part of its idempotency keys.
        pool_id: The pool; None where its requests name theirs, or none.
        base_url: The service.
        highest: The highest request that was known when the file was begun; -1 without any.
        in_flight: Most requests that were under way at a time.
        segments: How many segments hold outcomes that are in the file itself no more.
        version: Version of the form that it is written in.
    """

    run_id: str
    pool_id: str | None
    base_url: str
    highest: int = -1
    in_flight: int = MOST_IN_FLIGHT
    segments: int = 0
    version: int = VERSION

    def key(self, index: int, attempt: int) -> str:
        """Return the idempotency key of a request's attempt."""
        return f"{self.run_id}-{index}-{attempt}"

    def encode(self) -> bytes:
        return _line(
            {
                "synth_pools_journal": VERSION,
                "run_id": self.run_id,
                "pool_id": self.pool_id,
                "base_url": self.base_url,
                "highest": self.highest,
                "in_flight": self.in_flight,
                "segments": self.segments,
            }
        )

    def difference(self, pool_id: str | None, base_url: str) -> str | None:
        """Describe the difference to a run on this pool of this service; None if there is none."""
        if self.pool_id != pool_id:
            return f"it is about {_pool(self.pool_id)}, not {_pool(pool_id)}"
        if self.base_url != base_url:
            return f"it is about the service at {self.base_url}, not {base_url}"
        return None


@dataclass(frozen=True, slots=True)
class AdmissionRecord:
    """Record of an admitted rollout."""

    index: int
    attempt: int
    sha: str
    rollout_id: str

    def encode(self) -> bytes:
        return _line(
            {
                "i": self.index,
                "is": "admitted",
                "attempt": self.attempt,
                "sha": self.sha,
                "rollout_id": self.rollout_id,
            }
        )


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """Record of the end of a request: with a rollout or with an error.

    One that is not `final` says that the service could not be reached or used for too long: it is
    there for the reader, and the request is taken up again.
    """

    index: int
    attempt: int
    sha: str
    rollout: dict[str, Any] | None
    error: dict[str, Any] | None
    final: bool = True

    def encode(self) -> bytes:
        return _line(
            {
                "i": self.index,
                "is": "outcome" if self.final else "interrupted",
                "attempt": self.attempt,
                "sha": self.sha,
                "rollout": self.rollout,
                "error": self.error,
            }
        )


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """Record of rollouts that are about to be created together.

    Attributes:
        key: Their idempotency key.
        indices: The requests' numbers, in the order of the batch.
        shas: Their digests.
        requests: The requests themselves: a repetition must have the same.
    """

    key: str
    indices: tuple[int, ...]
    shas: tuple[str, ...]
    requests: tuple[dict[str, Any], ...]

    def sha(self, index: int) -> str:
        """Return the digest of one of the requests."""
        return self.shas[self.indices.index(index)]

    def encode(self) -> bytes:
        return _line(
            {
                "is": "batch",
                "key": self.key,
                "i": self.indices,
                "sha": self.shas,
                "requests": self.requests,
            }
        )


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """Record of the answer to a batch, in one line: it counts as a whole or not at all.

    Attributes:
        key: The batch's.
        rollouts: The id of each rollout; None for one that was refused.
    """

    key: str
    rollouts: tuple[str | None, ...]

    def encode(self) -> bytes:
        return _line({"is": "answer", "key": self.key, "rollouts": self.rollouts})


@dataclass(frozen=True, slots=True)
class WidthRecord:
    """Record of a run that goes on with more requests under way at a time."""

    in_flight: int

    def encode(self) -> bytes:
        return _line({"is": "width", "in_flight": self.in_flight})


Record = AdmissionRecord | OutcomeRecord | BatchRecord | AnswerRecord | WidthRecord


class BadLineError(ValueError):
    """Raised for a line that no fleet writes."""


def _pool(pool_id: str | None) -> str:
    return "no pool of its own" if pool_id is None else f"pool {pool_id!r}"


def could_begin(data: bytes) -> bool:
    """Check that an incomplete first line may be the beginning of a journal."""
    return data.startswith(_BEGINNING) or _BEGINNING.startswith(data)


def decode_run(line: bytes) -> Run:
    record = _parse(line)
    version = record.get("synth_pools_journal")
    if version is None:
        raise BadLineError("it is not a journal")
    if version not in (1, VERSION):
        raise BadLineError(f"it is of version {version!r}, and only {VERSION} is known here")
    run_id = _text(record, "run_id")
    pool_id = None if record.get("pool_id", "") is None else _text(record, "pool_id")
    run = Run(run_id, pool_id, _text(record, "base_url"), version=version)
    if version == 1:
        return run
    return replace(
        run,
        highest=_number(record, "highest", least=-1),
        in_flight=_number(record, "in_flight"),
        segments=_number(record, "segments"),
    )


def decode(line: bytes) -> Record:
    """Decode a line after the first one."""
    record = _parse(line)
    kind = record.get("is")
    if kind == "batch":
        return _decode_batch(record)
    if kind == "answer":
        rollouts = _list(record, "rollouts", str | None)
        return AnswerRecord(_text(record, "key"), rollouts)
    if kind == "width":
        return WidthRecord(_number(record, "in_flight"))
    return decode_step(record)


def decode_step(record: dict[str, Any]) -> AdmissionRecord | OutcomeRecord:
    """Decode the object of a line that is about one request."""
    index, attempt, sha = _number(record, "i"), _number(record, "attempt"), _text(record, "sha")
    kind, rollout, error = record.get("is"), record.get("rollout"), record.get("error")
    if kind == "admitted":
        return AdmissionRecord(index, attempt, sha, _text(record, "rollout_id"))
    whole = isinstance(rollout, dict | None) and isinstance(error, dict | None)
    if kind not in ("outcome", "interrupted") or not whole or (rollout is None and error is None):
        raise BadLineError("it says nothing that is known here")
    return OutcomeRecord(index, attempt, sha, rollout, error, final=kind == "outcome")


class JournalIndex:
    """Index of a journal, as far as going on with its run needs it.

    Of a request that has ended only its place is kept, so that a million of them take some
    megabytes. A place is the offset of its line, or one of a segment, which is negative.

    Attributes:
        highest: The highest request of which something is known; -1 without any.
        in_flight: Most requests that were under way at a time.
        lines: Where the outcomes are that no segment holds, by request.
        interruptions: The same of those that are not final, and of which nothing else is known.
    """

    def __init__(self, in_flight: int = MOST_IN_FLIGHT, highest: int = -1) -> None:
        self._ended = array("q")
        self._running: dict[int, AdmissionRecord] = {}
        self._batches: dict[str, BatchRecord] = {}
        self._batch_of: dict[int, BatchRecord] = {}
        self.highest = highest
        self.in_flight = in_flight
        self.lines: dict[int, int] = {}
        self.interruptions: dict[int, int] = {}

    @property
    def reach(self) -> int:
        """The number of requests of which any may have been sent alone."""
        # What is under way without a line about it has taken its turn after all others.
        return self.highest + 1 + self.in_flight

    def add(self, record: Record, place: int) -> None:
        """Add a record at `place`."""
        if isinstance(record, WidthRecord):
            self.in_flight = max(self.in_flight, record.in_flight)
        elif isinstance(record, BatchRecord):
            self._see(max(record.indices))
            self._batches[record.key] = record
            for index in record.indices:
                if self.ended_at(index) is None:
                    self._batch_of[index] = record
        elif isinstance(record, AnswerRecord):
            self._add_answer(record)
        elif isinstance(record, AdmissionRecord):
            self._see(record.index)
            self._leave_batch(record.index)
            if self.ended_at(record.index) is None:
                self._running[record.index] = record
        elif record.final:
            self.end(record.index, place)
        else:
            self._see(record.index)
            self.interruptions[record.index] = place

    def end(self, index: int, place: int) -> None:
        """Note that a request has ended, and where its outcome is."""
        self._see(index)
        if index >= len(self._ended):
            self._ended.extend([_NOWHERE] * (index + 1 - len(self._ended)))
        self._ended[index] = place
        if place >= 0:
            self.lines[index] = place
        self.interruptions.pop(index, None)
        self._running.pop(index, None)
        self._leave_batch(index)

    def moved(self, ended: Mapping[int, int], kept: Sequence[bytes], place: int) -> None:
        """Note where outcomes are after a compaction.

        Args:
            ended: Places of those that are in a segment now.
            kept: The lines of the interruptions, in their order.
            place: Where these begin.
        """
        for index, elsewhere in ended.items():
            self._ended[index] = elsewhere
        self.lines.clear()
        for index, line in zip(list(self.interruptions), kept, strict=True):
            self.interruptions[index] = place
            place += len(line)

    def ended_at(self, index: int) -> int | None:
        """Return the place of a request's outcome; None if it has none."""
        place = self._ended[index] if index < len(self._ended) else _NOWHERE
        return None if place == _NOWHERE else place

    def admission(self, index: int) -> AdmissionRecord | None:
        """Return the last admission of a request that has not ended."""
        return self._running.get(index)

    def batch(self, index: int) -> BatchRecord | None:
        """Return the batch in which a request may have been admitted, and whose answer is lost."""
        return self._batch_of.get(index)

    def open_batch(self, key: str) -> BatchRecord | None:
        """Return a batch whose answer is not there yet."""
        return self._batches.get(key)

    def live(self) -> Iterator[Record]:
        """Yield what a journal without its outcomes has to say, in order."""
        yield from self._batches.values()
        yield from self._running.values()

    def _add_answer(self, answer: AnswerRecord) -> None:
        batch = self._batches.pop(answer.key, None)
        if batch is None or len(batch.indices) != len(answer.rollouts):
            raise BadLineError("it answers no batch")
        for index, sha, rollout_id in zip(batch.indices, batch.shas, answer.rollouts, strict=True):
            is_last = self._batch_of.get(index) is batch
            if is_last:
                del self._batch_of[index]
            if is_last and rollout_id is not None:
                self._running[index] = AdmissionRecord(index, 0, sha, rollout_id)

    def _leave_batch(self, index: int) -> None:
        """Note that a request is under way, or over, whatever its batch is answered."""
        batch = self._batch_of.pop(index, None)
        if batch is not None and not any(self._batch_of.get(one) is batch for one in batch.indices):
            self._batches.pop(batch.key, None)

    def _see(self, index: int) -> None:
        if index > self.highest + _LARGEST_STEP:
            raise BadLineError(f"no run gets to its request {index} so early")
        self.highest = max(self.highest, index)


def digest(request: object) -> str:
    """Hash a request; empty for one that is no JSON, which is never sent."""
    if not isinstance(request, Mapping):
        return ""
    try:
        text = json.dumps(dict(request), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise BadLineError("it is not a JSON object")
    return record


def _decode_batch(record: dict[str, Any]) -> BatchRecord:
    indices = _list(record, "i", int)
    shas, requests = _list(record, "sha", str), _list(record, "requests", dict)
    if not len(indices) == len(shas) == len(requests) or min(indices, default=-1) < 0:
        raise BadLineError("it is no batch")
    return BatchRecord(_text(record, "key"), indices, shas, requests)


def _list(record: dict[str, Any], name: str, kind: Any) -> tuple[Any, ...]:
    values = record.get(name)
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise BadLineError(f"{name} is missing")
    return tuple(values)


def _number(record: dict[str, Any], name: str, least: int = 0) -> int:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadLineError(f"{name} is missing, or no number")
    return value


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise BadLineError(f"{name} is missing")
    return value
