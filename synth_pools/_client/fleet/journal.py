"""Records of a fleet's journal, as lines of text. Pure, no I/O.

A journal is text with one JSON object per line. The first line names the run; the others record
the progress of its requests, in order of time::

    {"synth_pools_journal":3,"run_id":"...","pool_id":"...","base_url":"...","highest":-1,
     "in_flight":64,"segments":0,"crc":"..."}
    {"is":"batch","key":"...","i":[0,1],"sha":["...","..."],"requests":[{...},{...}],"crc":"..."}
    {"is":"answer","key":"...","rollouts":["rollout_1",null],"crc":"..."}
    {"i":1,"is":"admitted","attempt":0,"sha":"...","rollout_id":"...","crc":"..."}
    {"i":0,"is":"outcome","attempt":0,"sha":"...","rollout":{...},"error":null,"crc":"..."}

The last member of a line is the CRC-32 of what precedes it; journals before version 3 have none.
After a crash the disk may hold only the first part of these lines, and no such part may lead to a
wrong conclusion. A last line without a line feed counts as missing: the run never acted on it. The
key of a rollout that is created alone follows from the run's id, so that a request without an
admission in the journal still finds its rollout. Rollouts of a batch share one key, and a
repetition must have the same requests: the journal holds the batch before it is sent, and a batch
without an answer is sent again unchanged. A request without a line in the journal was never in a
batch; it may have been sent alone, unless it is beyond `JournalIndex.reach`.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from synth_pools._client.fleet.usage import Usage, checked

VERSION = 3
# The same with fields of the run: releases that do not know them would repeat requests without.
_WITH_FIELDS = 4
# The first version whose lines have checksums. The blocks of a segment have their own.
_CHECKED = 3
IN_SEGMENT = 0
# Most requests that a run has in flight; journals before version 2 do not record the number.
MOST_IN_FLIGHT = 10_000
_BEGINNING = b'{"synth_pools_journal":'
_CHECKSUM = re.compile(rb',"crc":"([0-9a-f]{8})"}\n')
_CHECKSUM_LENGTH = 19


@dataclass(frozen=True, slots=True)
class Run:
    """Identity of the run that a journal belongs to.

    Attributes:
        run_id: Random part of its idempotency keys.
        pool_id: The pool; None if each request names a pool or none.
        base_url: URL of the service.
        highest: Highest index of a request when the file was started; -1 without any.
        in_flight: Most requests in flight at a time.
        segments: Number of segments, which hold outcomes in place of the file.
        fields: Fields that all requests are sent with, beside their own: ``run`` and ``labels``.
        requests: Number of its requests, if that was known when the file was begun; else 0.
        version: Version of the file's format.
    """

    run_id: str
    pool_id: str | None
    base_url: str
    highest: int = -1
    in_flight: int = MOST_IN_FLIGHT
    segments: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    requests: int = 0
    version: int = VERSION

    def key(self, index: int, attempt: int) -> str:
        """Return the idempotency key of a request's attempt."""
        return f"{self.run_id}-{index}-{attempt}"

    def encode(self) -> bytes:
        return _line(
            {
                "synth_pools_journal": _WITH_FIELDS if self.fields else VERSION,
                "run_id": self.run_id,
                "pool_id": self.pool_id,
                "base_url": self.base_url,
                "highest": self.highest,
                "in_flight": self.in_flight,
                "segments": self.segments,
                **({"fields": self.fields} if self.fields else {}),
                **({"requests": self.requests} if self.requests else {}),
            }
        )

    def difference(
        self, pool_id: str | None, base_url: str, fields: Mapping[str, Any] | None = None
    ) -> str | None:
        """Describe the difference from a run on a pool of a service; None without a difference.

        A run that began without fields, or goes on without, has no other ones.
        """
        if self.pool_id != pool_id:
            return f"it is about {_pool(self.pool_id)}, not {_pool(pool_id)}"
        if self.base_url != base_url:
            return f"it is about the service at {self.base_url}, not {base_url}"
        for name, value in (fields or {}).items():
            if name in self.fields and self.fields[name] != value:
                return f"it has the {name} {self.fields[name]!r}, not {value!r}"
        return None


@dataclass(frozen=True, slots=True)
class AdmissionRecord:
    """Record of an admitted rollout, with the usage of earlier attempts, if there is any."""

    index: int
    attempt: int
    sha: str
    rollout_id: str
    usage: Usage | None = None

    def encode(self) -> bytes:
        return _line(
            {
                "i": self.index,
                "is": "admitted",
                "attempt": self.attempt,
                "sha": self.sha,
                "rollout_id": self.rollout_id,
                **({"usage": self.usage} if self.usage else {}),
            }
        )


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """Record of the end of a request, with a rollout or with an error.

    Without `final` it records that the service was unreachable for too long. It only informs the
    reader; a later run resumes the request. With a rollout it was stopped at the budget: where
    that is cancelled, a later run starts another one.

    Attributes:
        usage: Usage of all attempts, where it is not that of the rollout alone.
        request: The request, where there is no rollout that holds it.
    """

    index: int
    attempt: int
    sha: str
    rollout: dict[str, Any] | None
    error: dict[str, Any] | None
    final: bool = True
    usage: Usage | None = None
    request: Mapping[str, Any] | None = None

    def encode(self) -> bytes:
        return _line(
            {
                "i": self.index,
                "is": "outcome" if self.final else "interrupted",
                "attempt": self.attempt,
                "sha": self.sha,
                "rollout": self.rollout,
                "error": self.error,
                **({"usage": self.usage} if self.usage is not None else {}),
                **({"request": dict(self.request)} if self.request is not None else {}),
            }
        )


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """Record of a batch that is about to be sent.

    Attributes:
        key: Idempotency key of the batch.
        indices: Indices of the requests, in the order of the batch.
        shas: Digests of the requests.
        requests: The requests themselves, for a repetition.
    """

    key: str
    indices: tuple[int, ...]
    shas: tuple[str, ...]
    requests: tuple[dict[str, Any], ...]

    def sha(self, index: int) -> str:
        """Return the digest of a request."""
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
    """Record of the answer to a batch, in one line, so that it is complete or missing.

    Attributes:
        key: Key of the batch.
        rollouts: Ids of the rollouts; None for a refused request.
    """

    key: str
    rollouts: tuple[str | None, ...]

    def encode(self) -> bytes:
        return _line({"is": "answer", "key": self.key, "rollouts": self.rollouts})


@dataclass(frozen=True, slots=True)
class WidthRecord:
    """Record of a run that goes on with more requests in flight, or has as many in all.

    Attributes:
        in_flight: Most requests in flight at a time.
        requests: Number of its requests; 0 if the record does not say it.
    """

    in_flight: int
    requests: int = 0

    def encode(self) -> bytes:
        requests = {"requests": self.requests} if self.requests else {}
        return _line({"is": "width", "in_flight": self.in_flight, **requests})


Record = AdmissionRecord | OutcomeRecord | BatchRecord | AnswerRecord | WidthRecord


class BadLineError(ValueError):
    """Raised for a line that no fleet writes."""


def _pool(pool_id: str | None) -> str:
    return "no pool of its own" if pool_id is None else f"pool {pool_id!r}"


def could_begin(data: bytes) -> bool:
    """Check that an incomplete first line may be the beginning of a journal."""
    return data.startswith(_BEGINNING) or _BEGINNING.startswith(data)


def has_checksum(line: bytes) -> bool:
    """Check whether a line has a checksum.

    Raises:
        BadLineError: It has one that does not fit.
    """
    match = _CHECKSUM.fullmatch(line[-_CHECKSUM_LENGTH:])
    if match is None:
        return False
    if int(match[1], 16) != zlib.crc32(line[:-_CHECKSUM_LENGTH]):
        raise BadLineError("its checksum does not fit")
    return True


def decode_run(line: bytes) -> Run:
    record = _parse(line, IN_SEGMENT)
    version = record.get("synth_pools_journal")
    if version is None:
        raise BadLineError("it is not a journal")
    if version not in range(1, _WITH_FIELDS + 1):
        raise BadLineError(f"it is of version {version!r}, and only {_WITH_FIELDS} is known here")
    version = min(version, VERSION)
    _parse(line, version)
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
        fields=_object(record.get("fields", {})),
        requests=_requests(record),
    )


def decode(line: bytes, version: int = VERSION) -> Record:
    """Decode a line after the first one, of a journal of a version or `IN_SEGMENT`."""
    record = _parse(line, version)
    kind = record.get("is")
    if kind == "batch":
        return _decode_batch(record)
    if kind == "answer":
        rollouts = _list(record, "rollouts", str | None)
        return AnswerRecord(_text(record, "key"), rollouts)
    if kind == "width":
        return WidthRecord(_number(record, "in_flight"), _requests(record))
    return decode_step(record)


def decode_step(record: dict[str, Any]) -> AdmissionRecord | OutcomeRecord:
    """Decode a record of a single request."""
    index, attempt, sha = _number(record, "i"), _number(record, "attempt"), _text(record, "sha")
    kind, rollout, error = record.get("is"), record.get("rollout"), record.get("error")
    usage = checked(record["usage"]) if "usage" in record else None
    if kind == "admitted":
        return AdmissionRecord(index, attempt, sha, _text(record, "rollout_id"), usage)
    is_complete = isinstance(rollout, dict | None) and isinstance(error, dict | None)
    if (
        kind not in ("outcome", "interrupted")
        or not is_complete
        or (rollout is None and error is None)
    ):
        raise BadLineError("it says nothing that is known here")
    is_final = kind == "outcome"
    request = _object(record["request"]) if "request" in record else None
    return OutcomeRecord(index, attempt, sha, rollout, error, is_final, usage, request)


def digest(request: object) -> str:
    """Hash a request; empty for a request that is not JSON, which is never sent."""
    if not isinstance(request, Mapping):
        return ""
    try:
        text = json.dumps(dict(request), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode("ascii")[:-1]
    return b'%b,"crc":"%08x"}\n' % (text, zlib.crc32(text))


def _parse(line: bytes, version: int) -> dict[str, Any]:
    if not has_checksum(line) and version >= _CHECKED:
        raise BadLineError("it has no checksum")
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


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadLineError("fields is no object")
    return value


def _number(record: dict[str, Any], name: str, least: int = 0) -> int:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadLineError(f"{name} is missing, or no number")
    return value


def _requests(record: dict[str, Any]) -> int:
    return _number(record, "requests") if "requests" in record else 0


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise BadLineError(f"{name} is missing")
    return value
