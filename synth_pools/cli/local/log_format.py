"""Log of `serve` on standard error: as text for people, or as JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from synth_pools.backend.domain.state_changes import ORIGIN

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")

# Values that need no quotes.
_PLAIN = re.compile(r"[A-Za-z0-9._:/+-]+")

_encode = json.JSONEncoder(default=str).encode

_SECONDS = "%Y-%m-%d %H:%M:%S"
_MOST_LINES = 10_000
# Lines of this interval are written together: single writes cost more than all other logging.
_GATHER_SECONDS = 0.05
_CLOSE_SECONDS = 2.0
_STDERR = 2


def configure(format_: str, level: str) -> None:
    """Log lines of this package from a level on, those of libraries from WARNING on."""
    # Python would look them up for every line, but no format uses them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = StderrLines()
    handler.setFormatter(JsonLines() if format_ == "json" else TextLines())
    chosen = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(chosen, logging.WARNING), handlers=[handler])
    logging.getLogger("synth_pools").setLevel(chosen)
    logging.captureWarnings(capture=True)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return {**ORIGIN.get(), **fields}


class TextLines(logging.Formatter):
    """Formatter of lines for people: fields as `name=value` at the end, tracebacks below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._second = 0
        self._time = ""

    def formatTime(  # noqa: N802 - logging's own name
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Write the time of a line; the text of a second is computed once."""
        second = int(record.created)
        if second != self._second:
            moment = time.localtime(second)
            self._second, self._time = second, time.strftime(datefmt or _SECONDS, moment)
        return f"{self._time},{int(record.msecs):03d}"

    def format(self, record: logging.LogRecord) -> str:
        """Write a line, with its traceback."""
        if record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        return self.formatMessage(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Write a line with its fields."""
        line = f"{record.asctime} {record.levelname} {record.name}: {record.message}"
        for name, value in _fields(record).items():
            line += f" {name}={_text(value)}"
        return line


class JsonLines(logging.Formatter):
    """Formatter of JSON objects, one on each line, with tracebacks as members."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line."""
        moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        common = {
            "time": f"{moment.isoformat(timespec='microseconds')}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        # `common` comes first, and overrides fields of the same name.
        line = {**common, **_fields(record), **common}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return _encode(line)


class StderrLines(logging.Handler):
    """Handler that writes in a thread of its own, so that a slow reader blocks no other thread.

    Lines that do not fit into its queue are dropped; a line says how many.
    """

    def __init__(self, file: int = _STDERR, most_lines: int = _MOST_LINES) -> None:
        super().__init__()
        self._file = file
        self._most_lines = most_lines
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="synth-pools-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line. The lock of the handler lets one thread in at a time."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler: a bad line must not stop its writer
            self.handleError(record)
            return
        if len(self._lines) >= self._most_lines:
            self._left_out += 1
            return
        if self._left_out:
            self._lines.append(self.format(_left_out(self._left_out)))
            self._left_out = 0
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write the queued lines, within a short time limit."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)
        super().close()

    def _run(self) -> None:
        while self._lines or not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(_GATHER_SECONDS)
            self._wake.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            try:
                self._write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
            except OSError:
                # The reader is gone, and there is no other place for a message.
                self._lines.clear()

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:
                # The file was opened as non-blocking elsewhere.
                select.select([], [self._file], [], 1.0)


def _left_out(number: int) -> logging.LogRecord:
    text = "%d lines were left out here: the log was not read fast enough"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (number,), None)


def _text(value: object) -> str:
    text = str(value)
    return text if isinstance(value, int | float) or _PLAIN.fullmatch(text) else json.dumps(text)
