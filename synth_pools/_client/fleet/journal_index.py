"""Index of a fleet's journal, with what a later run needs. Pure, no I/O."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

from synth_pools._client.fleet.journal import (
    MOST_IN_FLIGHT,
    AdmissionRecord,
    AnswerRecord,
    BadLineError,
    BatchRecord,
    OutcomeRecord,
    Record,
    WidthRecord,
)

_NOWHERE = -1
# A line of a damaged file may claim any index; the table of offsets must not grow with it.
_LARGEST_STEP = 10_000_000


class JournalIndex:
    """Index of a journal, with the facts needed to resume its run.

    It keeps only the place of an ended request, so that a million requests take some megabytes. A
    place is the offset of a line in the file, or a negative number for a block of a segment.

    Attributes:
        highest: Highest index of a request in the journal; -1 without any.
        in_flight: Most requests in flight at a time.
        requests: Number of the run's requests, as far as it was known; 0 if it was not.
        lines: Places of the outcomes in the file itself, by request.
        interruptions: Places of the outcomes that are not final, by request, until it ends.
    """

    def __init__(
        self, in_flight: int = MOST_IN_FLIGHT, highest: int = -1, requests: int = 0
    ) -> None:
        self._ended = array("q")
        self._running: dict[int, AdmissionRecord] = {}
        self._batches: dict[str, BatchRecord] = {}
        self._batch_of: dict[int, BatchRecord] = {}
        self.highest = highest
        self.in_flight = in_flight
        self.requests = requests
        self.lines: dict[int, int] = {}
        self.interruptions: dict[int, int] = {}

    @property
    def reach(self) -> int:
        """Number of requests that may have been sent alone."""
        # Requests in flight without a line follow all requests with a line.
        return self.highest + 1 + self.in_flight

    def add(self, record: Record, place: int) -> None:
        """Add a record at `place`."""
        if isinstance(record, WidthRecord):
            self.in_flight = max(self.in_flight, record.in_flight)
            self.requests = record.requests or self.requests
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
        """Note the end of a request, and the place of its outcome."""
        self._see(index)
        if index >= len(self._ended):
            self._ended.extend([_NOWHERE] * (index + 1 - len(self._ended)))
        self._ended[index] = place
        if place >= 0:
            self.lines[index] = place
        self.interruptions.pop(index, None)
        self._running.pop(index, None)
        self._leave_batch(index)

    def moved(
        self, new_places: Mapping[int, int], interruptions: Sequence[bytes], place: int
    ) -> None:
        """Note the places of outcomes after a compaction.

        Args:
            new_places: Places of the outcomes that moved into a segment.
            interruptions: Lines of the interruptions, in their order.
            place: Place of the first of these lines.
        """
        for index, new_place in new_places.items():
            self._ended[index] = new_place
        self.lines.clear()
        for index, line in zip(list(self.interruptions), interruptions, strict=True):
            self.interruptions[index] = place
            place += len(line)

    def ended_at(self, index: int) -> int | None:
        """Return the place of a request's outcome; None without an outcome."""
        place = self._ended[index] if index < len(self._ended) else _NOWHERE
        return None if place == _NOWHERE else place

    def admission(self, index: int) -> AdmissionRecord | None:
        """Return the last admission of a request that has not ended."""
        return self._running.get(index)

    def batch(self, index: int) -> BatchRecord | None:
        """Return the batch without an answer that may have admitted a request."""
        return self._batch_of.get(index)

    def open_batch(self, key: str) -> BatchRecord | None:
        """Return a batch without an answer."""
        return self._batches.get(key)

    def is_new(self, record: Record) -> bool:
        """Check that a record is no second answer to a batch, and stops no ended request."""
        if isinstance(record, AnswerRecord):
            return self.open_batch(record.key) is not None
        if not isinstance(record, OutcomeRecord) or record.final:
            return True
        return self.ended_at(record.index) is None

    def live(self) -> Iterator[Record]:
        """Yield the records of a journal without its outcomes, in order."""
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
        """Note that a request no longer depends on the answer to its batch."""
        batch = self._batch_of.pop(index, None)
        if batch is not None and not any(
            self._batch_of.get(member) is batch for member in batch.indices
        ):
            self._batches.pop(batch.key, None)

    def _see(self, index: int) -> None:
        if index > self.highest + _LARGEST_STEP:
            raise BadLineError(f"no run gets to its request {index} so early")
        self.highest = max(self.highest, index)
