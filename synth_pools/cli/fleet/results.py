"""Results of a run, a JSON object on each line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from synth_pools.cli.failures import CommandError, reported_errors
from synth_pools.cli.files import complete_file, is_stream, open_stream, reported
from synth_pools.runs.rows import read_rows

try:
    import fcntl
except ImportError:  # without locks, two runs on one file go unnoticed
    fcntl = None  # type: ignore[assignment]


class ResultFile:
    """File with a line for each result, to which a run adds its own.

    A row stays until a later row of its index is in the file; the last one of an index counts.
    Nothing is written without a path, and nothing before the first row or `begin`.

    Args:
        path: The file, or a stream. A file that exists is locked until `close`.

    Attributes:
        former: Rows of the file that stay, by index. Without them the file is emptied.

    Raises:
        CommandError: Another run writes to it, or it cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.former: Mapping[int, Mapping[str, Any]] = {}
        self._file: BinaryIO | None = None
        # Locked before its rows are read: they would be old once another run has ended.
        self._locked: BinaryIO | None = None
        if path is not None and not is_stream(path) and path.is_file():
            with reported(path):
                self._locked = path.open("rb")
                self._lock(self._locked)
        self._has_replaced = False

    def begin(self) -> None:
        """Open the file. Can be repeated.

        Raises:
            CommandError: It cannot be written.
        """
        if self._path is None or self._file is not None:
            return
        with reported(self._path):
            if is_stream(self._path):
                self._file = open_stream(self._path)
                return
            if self.former:
                # A last line that was cut off would run into the next one.
                self._rewrite(self.former.values())
            path = Path(os.path.realpath(self._path))
            mode: Literal["ab", "wb", "xb"] = "wb" if self._locked else "xb"
            self._file = path.open("ab" if self.former else mode)
            if self._locked is None or not _is_one_file(self._locked, self._file):
                self._lock(self._file)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row, unless it is in the file already.

        Raises:
            CommandError: It cannot be written.
        """
        self.begin()
        former = self.former.get(row["index"])
        if self._path is None or self._file is None or _is_same(former, row):
            return
        self._has_replaced = self._has_replaced or former is not None
        with reported(self._path):
            self._file.write(row_line(row).encode())
            self._file.flush()

    def close(self) -> None:
        """Close the file, in which each index has a line by then. Can be repeated."""
        with contextlib.ExitStack() as stack:
            # The locks last until the file is complete.
            for file in (self._file, self._locked):
                if file is not None:
                    stack.callback(file.close)
            if self._file is not None and self._path is not None and self._has_replaced:
                with reported_errors():
                    rows = read_rows(self._path)
                self._rewrite(rows)
            self._file = self._locked = None

    def _lock(self, file: BinaryIO) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise CommandError(f"{self._path}: another run writes to it") from None
        except OSError:
            # Some file systems have no locks.
            return

    def _rewrite(self, rows: Iterable[Mapping[str, Any]]) -> None:
        assert self._path is not None  # noqa: S101 - the callers check
        with (
            complete_file(self._path, force=True) as draft,
            draft.open("w", encoding="utf-8") as file,
        ):
            file.writelines(map(row_line, rows))


def _is_one_file(first: BinaryIO, second: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(first.fileno()), os.fstat(second.fileno()))


def _is_same(former: Mapping[str, Any] | None, row: Mapping[str, Any]) -> bool:
    """Compare two rows of a request; one may be read again from a journal."""
    return former is not None and {**former, "replayed": None} == {**row, "replayed": None}


def row_line(row: Mapping[str, Any]) -> str:
    """Write a row as a line."""
    return json.dumps(row, separators=(",", ":")) + "\n"
