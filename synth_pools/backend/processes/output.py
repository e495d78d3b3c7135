"""Output of the processes of pools: the last of it, in bounded memory."""

from __future__ import annotations

import heapq
import re
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.json_text import LONGEST_SPELLING, spellings

# Of one place for a process, over its restarts, and of all.
PLACE_BYTES = 1024 * 1024
TOTAL_BYTES = 64 * 1024 * 1024
# What keeps a few lines that came together.
_BYTES_BESIDE = 200
# Of pools whose processes have ended.
_MOST_POOLS = 1_000

_LONGEST_LINE = 16 * 1024
# A line that does not end is broken here.
_LONGEST_PENDING = 64 * 1024

# In the error of a pool.
_LINES_SHOWN = 40
_CHARACTERS_SHOWN = 500

_CURSOR = re.compile(r"log_([0-9a-f]{16})_([0-9]{1,18})")
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class _Chunk:
    # The number of its first line, in the order of the pool.
    first: int
    lines: int
    output: ProcessOutput
    timestamp: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + _BYTES_BESIDE

    def __lt__(self, other: _Chunk) -> bool:
        return self.first < other.first


@dataclass(slots=True)
class _Place:
    log: _PoolOutput
    number: int
    chunks: deque[_Chunk] = field(default_factory=deque)
    bytes: int = 0
    # The number of the first line that may still be there.
    dropped: int = 0
    latest: ProcessOutput | None = None

    def drop_oldest(self) -> None:
        gone = self.chunks.popleft()
        self.dropped = gone.first + gone.lines
        self.bytes -= gone.size
        self.log.logs.bytes -= gone.size


class _PoolOutput:
    """The output of one pool, its lines numbered in the order in which they came."""

    def __init__(self, logs: OutputLogs, token: str) -> None:
        self.logs = logs
        # Numbers of another run, or of a pool that was forgotten, are none of these.
        self.token = token
        self.lines = 0
        self.places: dict[int, _Place] = {}

    @property
    def is_over(self) -> bool:
        outputs = (place.latest for place in self.places.values())
        return all(output is None or output.ended_at is not None for output in outputs)


class OutputLogs:
    """The output of all processes, the fullest place giving way where there is no more room."""

    def __init__(self) -> None:
        self.bytes = 0
        self._token = clock.token(8)
        self._pools: OrderedDict[str, _PoolOutput] = OrderedDict()

    def open(self, pool_id: str, number: int, secret: str | None = None) -> ProcessOutput:
        """Return where the output of a process goes that is about to be started.

        Args:
            pool_id: The pool.
            number: The place of the process among those of the pool.
            secret: The key that the process is given, which is masked; None for none.
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
            cursor: The `next_cursor` of the page before; any other text for the oldest lines kept.
            limit: The most lines.
            most_bytes: The size at which the page ends, after at least one line.
            number: The only process that is wanted; None for all.
        """
        # Where nothing was started since the backend was, nothing was written.
        log = self._pools.get(pool_id) or _PoolOutput(self, self._token)
        places = [log.places[one] for one in sorted(log.places) if number in (None, one)]
        after = _position(log, places, cursor)
        end, lines, size = log.lines, list[dict[str, Any]](), 0
        for at, chunk, line in _lines_after(places, after):
            if len(lines) >= limit or size >= most_bytes:
                end = at
                break
            output = chunk.output
            text = output.shown(line)
            size += len(text)
            identity = {"process": output.number, "attempt": output.attempt}
            lines.append({**identity, "timestamp": chunk.timestamp, "text": text})
        return {
            "pool_id": pool_id,
            "status": status,
            "processes": [one.latest.document() for one in places if one.latest is not None],
            "lines": lines,
            "next_cursor": f"log_{log.token}_{end}",
            "has_more": end < log.lines,
            "truncated": any(place.dropped > after for place in places),
        }

    def make_room(self, place: _Place) -> None:
        """Drop what is oldest in a place, or where most is, as long as there is too much."""
        while place.bytes > PLACE_BYTES:
            place.drop_oldest()
        while self.bytes > TOTAL_BYTES:
            places = (one for log in self._pools.values() for one in log.places.values())
            max(places, key=lambda one: one.bytes).drop_oldest()

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
    """Place where the output of a container goes."""

    def feed(self, data: bytes) -> None:
        """Take what it wrote."""

    def flush(self) -> None:
        """Take the last line though it has not ended."""

    def end(self, exit_code: int | None) -> None:
        """Note that it has ended, or was never started."""

    def last_lines(self) -> list[str]:
        """Return its last lines, as an error shows them."""
        ...


class ProcessOutput:
    """Output of one process, from its start to its end.

    Attributes:
        number: The place of the process among those of the pool.
        attempt: How many processes have been started there, with this one.
        ended_at: When it ended; None as long as it runs.
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

    def hide(self, secret: str | None) -> None:
        """Mask a key that the process is given; None for none."""
        self._secret = re.compile(spellings(secret)) if secret else None
        self._longest_secret = len(secret or "") * LONGEST_SPELLING

    def start(self, pid: int | None, url: str | None) -> None:
        """Note the process, once it runs; a container has none that stands for it."""
        self._pid, self._url = pid, url

    def feed(self, data: bytes) -> None:
        """Take what it wrote; a line is there when it has ended, or is very long."""
        end = data.rfind(b"\n") + 1
        if end:
            self._store(bytes(self._pending) + data[:end])
            self._pending.clear()
        self._pending += data[end:]
        if len(self._pending) > _LONGEST_PENDING + self._longest_secret:
            # Not in the middle of the secret.
            text = self._masked(self._pending.decode("utf-8", "replace")).encode()
            cut = max(0, len(text) - self._longest_secret)
            self._store(text[:cut] + b"\n")
            self._pending = bytearray(text[cut:])

    def flush(self) -> None:
        """Take the last line though it has not ended."""
        if self._pending:
            self._store(bytes(self._pending) + b"\n")
            self._pending.clear()

    def end(self, exit_code: int | None) -> None:
        """Note that the process has ended, or was never started."""
        if self.ended_at is None:
            self.ended_at, self._exit_code = clock.now(), exit_code

    def last_lines(self) -> list[str]:
        """Return its last lines, as an error shows them."""
        found: deque[str] = deque(maxlen=_LINES_SHOWN)
        for chunk in self._place.chunks:
            if chunk.output is self:
                # Not all of them: there may be a mebibyte.
                texts = map(self.shown, _split(chunk.data)[-2 * _LINES_SHOWN :])
                found.extend(text[:_CHARACTERS_SHOWN] for text in texts if text)
        if self._pending:
            found.append(self.shown(bytes(self._pending))[:_CHARACTERS_SHOWN])
        return [text for text in found if text]

    def shown(self, line: bytes) -> str:
        """Return a line as people may see it: no control characters, and no secret."""
        # What was written over on a terminal is not seen there, either.
        text = self._masked(line.decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2]
        readable = "".join(c for c in text[:_LONGEST_LINE] if c.isprintable() or c == "\t")
        return readable.rstrip()

    def document(self) -> dict[str, Any]:
        """Return the process as it is answered."""
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
        return text if self._secret is None else self._secret.sub(_HIDDEN, text)

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
        for at, line in enumerate(_split(chunk.data), chunk.first):
            if at >= after:
                yield at, chunk, line


def _chunks_after(place: _Place, after: int) -> list[_Chunk]:
    chunks = list(place.chunks)
    return chunks[bisect_right(chunks, after, key=lambda one: one.first + one.lines) :]


def _split(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]
