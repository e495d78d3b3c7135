"""Log of a run's exchanges: an HTTP archive for other tools, or one JSON object per line."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, TextIO

from synth_pools._version import __version__
from synth_pools.contract.http.reproduce import in_short
from synth_pools.contract.results import Exchange
from synth_pools.contract.traffic.har import archive_entry


class TrafficLog:
    """Log as a context manager; any thread may write exchanges."""

    def __init__(
        self, har: Path | TextIO | None = None, ndjson: Path | TextIO | None = None
    ) -> None:
        """Open the files; streams that are open already are closed at the end.

        Args:
            har: The archive, complete after the log is closed.
            ndjson: The file with one entry of the archive per line.

        Raises:
            OSError: A file cannot be written.
        """
        self._lock = threading.Lock()
        self._files = ExitStack()
        self._har = self._open(har)
        self._ndjson = self._open(ndjson)
        self._first = True
        if self._har is not None:
            creator = {"name": "synth-pools contract-test", "version": __version__}
            head = json.dumps({"version": "1.2", "creator": creator})
            self._har.write(f'{{"log": {head[:-1]}, "entries": [')
            self._files.callback(self._har.write, "\n]}}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._har = self._ndjson = None
            self._files.close()

    def write(self, exchange: Exchange) -> None:
        """Append an exchange; ignore it if the log is closed, or has no file."""
        if self._har is None and self._ndjson is None:
            return
        started = datetime.now(UTC) - timedelta(seconds=exchange.elapsed)
        shortened = replace(exchange, request_body=in_short(exchange.request_body))
        entry = json.dumps(archive_entry(shortened, started.isoformat()))
        with self._lock:
            if self._har is not None:
                self._har.write(f"{'' if self._first else ','}\n{entry}")
                self._first = False
            if self._ndjson is not None:
                self._ndjson.write(entry + "\n")

    def _open(self, file: Path | TextIO | None) -> TextIO | None:
        if file is None:
            return None
        stream = file.open("w", encoding="utf-8") if isinstance(file, Path) else file
        return self._files.enter_context(stream)
