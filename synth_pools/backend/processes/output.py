"""Recent output of the processes of pools, in bounded memory."""

from __future__ import annotations

import heapq
import re
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from synth_pools.backend.domain import clock
from synth_pools.serving.masking import HIDDEN, LONGEST_SPELLING, pattern_of_secrets

# Limits of the output of one place, with all restarts of its process, and of all places.
PLACE_BYTES = 1024 * 1024
TOTAL_BYTES = 64 * 1024 * 1024
# Memory of a chunk in addition to its bytes.
_BYTES_BESIDE = 200
# Number of pools whose output is remembered.
_MOST_POOLS = 1_000

_LONGEST_LINE = 16 * 1024
# A longer unfinished line is broken.
_LONGEST_PENDING = 64 * 1024

# Limits of the output in the error of a pool.
_LINES_SHOWN = 40
_CHARACTERS_SHOWN = 500

_CURSOR = re.compile(r"log_([0-9a-f]{16})_([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class _Chunk:
    # The number of its first line among the lines of the pool.
    first: int
    lines: int
    output: ProcessOutput
    timestamp: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + _BYTES_BESIDE

    def __lt__(self, chunk: _Chunk) -> bool:
        return self.first < chunk.first


@dataclass(slots=True)
class _Place:
    log: _PoolOutput
    number: int
    chunks: deque[_Chunk] = field(default_factory=deque)
    bytes: int = 0
    # The number of the first line that is not dropped.
    dropped: int = 0
    latest: ProcessOutput | None = None

    def drop_oldest(self) -> None:
        oldest = self.chunks.popleft()
        self.dropped = oldest.first + oldest.lines
        self.bytes -= oldest.size
        self.log.logs.bytes -= oldest.size


class _PoolOutput:
    """Output of one pool, with numbered lines."""

    def __init__(self, logs: OutputLogs, token: str) -> None:
        self.logs = logs
        # Distinguishes these line numbers from those of another run or a forgotten pool.
        self.token = token
        self.lines = 0
        self.places: dict[int, _Place] = {}

    @property
    def is_over(self) -> bool:
        outputs = (place.latest for place in self.places.values())
        return all(output is None or output.ended_at is not None for output in outputs)


class OutputLogs:
    """Output of all processes; beyond the limit the fullest place loses its oldest lines."""

    def __init__(self) -> None:
        self.bytes = 0
        self._token = clock.token(8)
        self._pools: OrderedDict[str, _PoolOutput] = OrderedDict()

    def open(self, pool_id: str, number: int, secret: str | None = None) -> ProcessOutput:
        """Open the output of a process that is about to start.

        Args:
            pool_id: The pool.
            number: The number of its place in the pool.
            secret: The key of the process, to mask it; None if it has no key.
        """
        if pool_id not in self._pools:
            self._pools[pool_id] = _PoolOutput(self, clock.token(8))
        log = self._pools[pool_id]
        self._pools.move_to_end(pool_id)
        self._forget_pools()
        place = log.places.setdefault(number, _Place(log, number))
        return ProcessOutput(place, secret)

    def page(
        self,
        pool_id: str,
        status: str,
        cursor: str | None,
        limit: int,
        most_bytes: int,
        number: int | None,
    ) -> dict[str, Any]:
        """Return lines after a cursor, oldest first, and the processes.

        Args:
            pool_id: The pool.
            status: Its state.
            cursor: The `next_cursor` of the previous page; any other text for the oldest lines.
            limit: The maximum number of lines.
            most_bytes: The size at which the page ends, after at least one line.
            number: The place of the only process to show; None for all.
        """
        # Empty if this run of the backend has started no process of the pool.
        log = self._pools.get(pool_id) or _PoolOutput(self, self._token)
        places = [log.places[place] for place in sorted(log.places) if number in (None, place)]
        after = _position(log, places, cursor)
        end, lines, size = log.lines, list[dict[str, Any]](), 0
        for position, chunk, line in _lines_after(places, after):
            if len(lines) >= limit or size >= most_bytes:
                end = position
                break
            output = chunk.output
            text = output.shown(line)
            size += len(text)
            identity = {"process": output.number, "attempt": output.attempt}
            lines.append({**identity, "timestamp": chunk.timestamp, "text": text})
        return {
            "pool_id": pool_id,
            "status": status,
            "processes": [place.latest.document() for place in places if place.latest is not None],
            "lines": lines,
            "next_cursor": f"log_{log.token}_{end}",
            "has_more": end < log.lines,
            "truncated": any(place.dropped > after for place in places),
        }

    def make_room(self, place: _Place) -> None:
        """Drop the oldest output of a place, and of the fullest place, until both limits hold."""
        while place.bytes > PLACE_BYTES:
            place.drop_oldest()
        while self.bytes > TOTAL_BYTES:
            places = (place for log in self._pools.values() for place in log.places.values())
            max(places, key=lambda place: place.bytes).drop_oldest()

    def _forget_pools(self) -> None:
        if len(self._pools) <= _MOST_POOLS:
            return
        for pool_id, log in self._pools.items():
            if log.is_over:
                for place in log.places.values():
                    self.bytes -= place.bytes
                del self._pools[pool_id]
                return


class OutputSink(Protocol):
    """Receiver of the output of a container."""

    def feed(self, data: bytes) -> None:
        """Receive bytes that it wrote."""

    def flush(self) -> None:
        """Store the unfinished last line."""

    def end(self, exit_code: int | None) -> None:
        """Note that it has ended, or could not be started."""

    def last_lines(self) -> list[str]:
        """Return its last lines for an error."""
        ...


class ProcessOutput:
    """Output of one process, from its start to its end.

    Attributes:
        number: The number of its place in the pool.
        attempt: The number of starts at this place, including this one.
        ended_at: The time of its end; None while it runs.
    """

    def __init__(self, place: _Place, secret: str | None) -> None:
        self._place = place
        self.number = place.number
        self.attempt: int = 1 if place.latest is None else place.latest.attempt + 1
        self.hide(secret)
        self._pending = bytearray()
        self._started_at = clock.now()
        self.ended_at: str | None = None
        self._pid: int | None = None
        self._url: str | None = None
        self._exit_code: int | None = None
        place.latest = self

    def hide(self, *secrets: str | None) -> None:
        """Mask the secrets of the process; leave out None and empty texts."""
        present = list(filter(None, secrets))
        self._secret = pattern_of_secrets(present)
        self._longest_secret = max(map(len, present), default=0) * LONGEST_SPELLING

    def start(self, pid: int | None, url: str | None) -> None:
        """Note the started process; a container has no process id."""
        self._pid, self._url = pid, url

    def feed(self, data: bytes) -> None:
        """Receive bytes that it wrote; store complete lines, and very long ones."""
        end = data.rfind(b"\n") + 1
        if end:
            self._store(bytes(self._pending) + data[:end])
            self._pending.clear()
        self._pending += data[end:]
        if len(self._pending) > _LONGEST_PENDING + self._longest_secret:
            # Never cut in the middle of the secret.
            text = self._masked(self._pending.decode("utf-8", "replace")).encode()
            cut = max(0, len(text) - self._longest_secret)
            self._store(text[:cut] + b"\n")
            self._pending = bytearray(text[cut:])

    def flush(self) -> None:
        """Store the unfinished last line."""
        if self._pending:
            self._store(bytes(self._pending) + b"\n")
            self._pending.clear()

    def end(self, exit_code: int | None) -> None:
        """Note that the process has ended, or could not be started."""
        if self.ended_at is None:
            self.ended_at, self._exit_code = clock.now(), exit_code

    def last_lines(self) -> list[str]:
        """Return its last lines for an error."""
        last: deque[str] = deque(maxlen=_LINES_SHOWN)
        for chunk in self._place.chunks:
            if chunk.output is self:
                # A chunk may have a mebibyte of lines.
                texts = map(self.shown, _split(chunk.data)[-2 * _LINES_SHOWN :])
                last.extend(text[:_CHARACTERS_SHOWN] for text in texts if text)
        if self._pending:
            last.append(self.shown(bytes(self._pending))[:_CHARACTERS_SHOWN])
        return [text for text in last if text]

    def shown(self, line: bytes) -> str:
        """Return a line without control characters and secrets."""
        # A terminal shows only the text after the last carriage return.
        text = self._masked(line.decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]
        readable = "".join(c for c in text[:_LONGEST_LINE] if c.isprintable() or c == "\t")
        return readable.rstrip()

    def document(self) -> dict[str, Any]:
        """Return the process as the API describes it."""
        return {
            "process": self.number,
            "attempt": self.attempt,
            "pid": self._pid,
            "url": self._url,
            "running": self.ended_at is None,
            "exit_code": self._exit_code,
            "started_at": self._started_at,
            "ended_at": self.ended_at,
        }

    def _masked(self, text: str) -> str:
        return self._secret.sub(HIDDEN, text)

    def _store(self, data: bytes) -> None:
        place = self._place
        log = place.log
        chunk = _Chunk(log.lines, data.count(b"\n"), self, clock.now(), data)
        log.lines += chunk.lines
        place.chunks.append(chunk)
        place.bytes += chunk.size
        log.logs.bytes += chunk.size
        log.logs.make_room(place)


def _position(log: _PoolOutput, places: Sequence[_Place], cursor: str | None) -> int:
    match = _CURSOR.fullmatch(cursor or "")
    if match is not None and match[1] == log.token and int(match[2]) <= log.lines:
        return int(match[2])
    return min((place.chunks[0].first for place in places if place.chunks), default=log.lines)


def _lines_after(places: Sequence[_Place], after: int) -> Iterator[tuple[int, _Chunk, bytes]]:
    for chunk in heapq.merge(*(_chunks_after(place, after) for place in places)):
        for position, line in enumerate(_split(chunk.data), chunk.first):
            if position >= after:
                yield position, chunk, line


def _chunks_after(place: _Place, after: int) -> list[_Chunk]:
    chunks = list(place.chunks)
    return chunks[bisect_right(chunks, after, key=lambda chunk: chunk.first + chunk.lines) :]


def _split(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]
