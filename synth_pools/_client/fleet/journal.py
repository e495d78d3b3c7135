"""Records of a fleet's journal, and their index: pure, no I/O.

A journal is text, one JSON object a line. The first line names the run; the others say, in the
order in which it happened, what became of its requests::

    {"synth_pools_journal":1,"run_id":"...","pool_id":"...","base_url":"..."}
    {"i":0,"is":"admitted","attempt":0,"sha":"...","rollout_id":"..."}
    {"i":0,"is":"outcome","attempt":0,"sha":"...","rollout":{...},"error":null}

What is on the disk is a beginning of what was written. Cut anywhere, it must not lead to a wrong
conclusion: a last line that does not end with a line feed was never acted on, and counts as not
there. The keys under which rollouts are created follow from the run's id, so that a request whose
admission is not in the journal still finds the rollout that it may have got.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERSION = 1
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
    """

    run_id: str
    pool_id: str | None
    base_url: str

    def key(self, index: int, attempt: int) -> str:
        """Return the idempotency key of a request's attempt."""
        return f"{self.run_id}-{index}-{attempt}"

    def encode(self) -> bytes:
        fields = {"run_id": self.run_id, "pool_id": self.pool_id, "base_url": self.base_url}
        return _line({"synth_pools_journal": VERSION, **fields})

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
    if version != VERSION:
        raise BadLineError(f"it is of version {version!r}, and only {VERSION} is known here")
    run_id = _text(record, "run_id")
    pool_id = None if record.get("pool_id", "") is None else _text(record, "pool_id")
    return Run(run_id, pool_id, _text(record, "base_url"))


def decode(line: bytes) -> AdmissionRecord | OutcomeRecord:
    """Decode a line after the first one."""
    record = _parse(line)
    index, attempt, sha = record.get("i"), record.get("attempt"), _text(record, "sha")
    for number in (index, attempt):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise BadLineError("a number is missing")
    assert isinstance(index, int)  # noqa: S101 - the loop above saw to it
    assert isinstance(attempt, int)  # noqa: S101
    kind, rollout, error = record.get("is"), record.get("rollout"), record.get("error")
    if kind == "admitted":
        return AdmissionRecord(index, attempt, sha, _text(record, "rollout_id"))
    whole = isinstance(rollout, dict | None) and isinstance(error, dict | None)
    if kind not in ("outcome", "interrupted") or not whole or (rollout is None and error is None):
        raise BadLineError("it says nothing that is known here")
    return OutcomeRecord(index, attempt, sha, rollout, error, final=kind == "outcome")


class JournalIndex:
    """Index of a journal, as far as going on with its run needs it.

    Of a request that has ended only the place of its line is kept, so that a million of them take
    some megabytes.
    """

    def __init__(self) -> None:
        self._ended = array("q")
        self._running: dict[int, AdmissionRecord] = {}
        self.highest = -1

    def add(self, record: AdmissionRecord | OutcomeRecord, offset: int) -> None:
        """Add a line that begins at `offset`."""
        index = record.index
        if index > self.highest + _LARGEST_STEP:
            raise BadLineError(f"no run gets to its request {index} so early")
        self.highest = max(self.highest, index)
        if isinstance(record, AdmissionRecord):
            if self.ended_at(index) is None:
                self._running[index] = record
        elif record.final:
            if index >= len(self._ended):
                self._ended.extend([_NOWHERE] * (index + 1 - len(self._ended)))
            self._ended[index] = offset
            self._running.pop(index, None)

    def ended_at(self, index: int) -> int | None:
        """Return the offset of the line with a request's outcome; None if it has none."""
        offset = self._ended[index] if index < len(self._ended) else _NOWHERE
        return None if offset == _NOWHERE else offset

    def admission(self, index: int) -> AdmissionRecord | None:
        """Return the last admission of a request that has not ended."""
        return self._running.get(index)


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


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise BadLineError(f"{name} is missing")
    return value
