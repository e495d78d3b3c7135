"""Reader of a journal that a run may be writing, with its segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from synth_pools._client.fleet.journal import (
    IN_SEGMENT,
    AdmissionRecord,
    AnswerRecord,
    BadLineError,
    BatchRecord,
    OutcomeRecord,
    Record,
    Run,
    decode,
    decode_run,
)
from synth_pools._client.fleet.journal_index import JournalIndex
from synth_pools._client.fleet.journal_segments import Segments


class JournalReader:
    """Reader of a journal. It changes nothing, and needs no lock.

    Only the places of outcomes stay in memory.

    Attributes:
        run: The run that the journal belongs to.
        damaged: Number of the first unreadable line, and its problem; None without one.

    Raises:
        BadLineError: The file is not a journal.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._first = b""
            self.run: Run = _run(file.readline())
        self._segments = Segments(path, self.run.run_id)
        self._index = JournalIndex(self.run.in_flight, self.run.highest, self.run.requests)
        self._read = 0
        self._lines = 0
        self._number = 0
        self.damaged: tuple[int, str] | None = None

    def new(self) -> Iterator[int]:
        """Yield the requests with new records since the last call, in order of time.

        Raises:
            BadLineError: A segment is damaged.
            OSError: A file cannot be read.
        """
        with self._path.open("rb") as file:
            first = file.readline()
            if first != self._first:
                # The file was compacted: a segment holds the lines that were read before.
                self.run, self._first, self._read = _run(first), first, len(first)
                self._lines, self.damaged = 1, None
                for number in range(self._number + 1, self.run.segments + 1):
                    for index, place in self._segments.open(number):
                        self._index.end(index, place)
                        yield index
                    self._number = number
            file.seek(self._read)
            # An incomplete last line is still being written.
            for line in iter(file.readline, b""):
                if not line.endswith(b"\n"):
                    break
                place, self._read = self._read, self._read + len(line)
                self._lines += 1
                try:
                    yield from self._add(decode(line, self.run.version), place)
                except BadLineError as error:
                    self.damaged = self.damaged or (self._lines, str(error))

    def record(self, index: int) -> AdmissionRecord | OutcomeRecord | None:
        """Return the record of where a request is; None without one.

        Raises:
            BadLineError: The line has moved: call `new` for its new place.
            OSError: A file cannot be read.
        """
        admission = self._index.admission(index)
        place = self._index.ended_at(index)
        place = self._index.interruptions.get(index) if place is None else place
        if place is None:
            return admission
        if place < 0:
            record = decode(self._segments.line(index, place), IN_SEGMENT)
        else:
            with self._path.open("rb") as file:
                file.seek(place)
                record = decode(file.readline(), self.run.version)
        if not isinstance(record, OutcomeRecord) or record.index != index:
            raise BadLineError("it was changed while it was read")
        # One that the budget stopped is over; any other has only lost its service.
        is_over = admission is None or (record.rollout and record.attempt >= admission.attempt)
        return record if is_over else admission

    @property
    def requests(self) -> int:
        """Number of the run's requests, as far as its journal tells or names them."""
        return max(self._index.requests, self._index.highest + 1)

    def highest(self) -> int:
        """Return the highest request that the journal names; -1 without any.

        Raises:
            BadLineError: A segment is damaged.
            OSError: A file cannot be read.
        """
        for _ in self.new():
            pass
        return self._index.highest

    def indices(self) -> Iterator[int]:
        """Yield the requests with a record, in their order."""
        return (
            index
            for index in range(self._index.highest + 1)
            if self._index.ended_at(index) is not None
            or self._index.admission(index) is not None
            or index in self._index.interruptions
        )

    def digests(self) -> Iterator[tuple[int, str]]:
        """Yield requests with their digests: those with new records, and some that were sent.

        Raises:
            BadLineError: A segment is damaged.
            OSError: A file cannot be read.
        """
        for index in self.new():
            record = self.record(index)
            if record is not None:
                yield index, record.sha
        for sent in self._index.live():
            if isinstance(sent, BatchRecord):
                yield sent.indices[0], sent.shas[0]

    def _add(self, record: Record, place: int) -> Iterator[int]:
        batch = self._index.open_batch(record.key) if isinstance(record, AnswerRecord) else None
        self._index.add(record, place)
        if isinstance(record, AdmissionRecord | OutcomeRecord):
            yield record.index
        elif batch is not None:
            yield from (
                index for index in batch.indices if self._index.admission(index) is not None
            )


def _run(line: bytes) -> Run:
    if not line.endswith(b"\n"):
        raise BadLineError("its first line is not complete")
    return decode_run(line)


def has_begun(path: Path) -> bool:
    """Check that a journal has its first line."""
    try:
        with path.open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:
        return False
