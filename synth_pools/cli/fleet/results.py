"""Results of a run, a JSON object on each line."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from synth_pools.cli.failures import CommandError
from synth_pools.cli.files import complete_file, is_stream, open_stream, reported


class ResultFile:
    """File with a line for each result, to which a run adds its own.

    A row stays until a later row of its index is in the file; the last one of an index counts.
    Nothing is written without a path, and nothing before the first row or `begin`.

    Args:
        path: The file, or a stream.
        former: Rows of the file that stay, by index. Without them the file is emptied.
    """

    def __init__(
        self, path: Path | None, former: Mapping[int, Mapping[str, Any]] | None = None
    ) -> None:
        self._path = path
        self._former = former or {}
        self._file: BinaryIO | None = None
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
            if self._former:
                # A last line that was cut off would run into the next one.
                self._rewrite(self._former.values())
            path = Path(os.path.realpath(self._path))
            self._file = path.open("ab" if self._former else "wb")

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row, unless it is in the file already.

        Raises:
            CommandError: It cannot be written.
        """
        self.begin()
        former = self._former.get(row["index"])
        if self._path is None or self._file is None or _is_same(former, row):
            return
        self._has_replaced = self._has_replaced or former is not None
        with reported(self._path):
            self._file.write(row_line(row).encode())
            self._file.flush()

    def close(self) -> None:
        """Close the file, in which each index has a line by then. Can be repeated."""
        file, self._file = self._file, None
        if file is None or self._path is None:
            return
        with reported(self._path):
            file.close()
        if self._has_replaced:
            self._rewrite(read_rows(self._path))

    def _rewrite(self, rows: Iterable[Mapping[str, Any]]) -> None:
        assert self._path is not None  # noqa: S101 - the callers check
        with (
            complete_file(self._path, force=True) as draft,
            draft.open("w", encoding="utf-8") as file,
        ):
            file.writelines(map(row_line, rows))


def _is_same(former: Mapping[str, Any] | None, row: Mapping[str, Any]) -> bool:
    """Compare two rows of a request; one may be read again from a journal."""
    return former is not None and {**former, "replayed": None} == {**row, "replayed": None}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the results of an earlier run; an incomplete last line is ignored.

    Raises:
        CommandError: The file cannot be read, or has other lines.
    """
    rows: dict[int, dict[str, Any]] = {}
    for place, row in iter_objects(path):
        if not isinstance(row.get("index"), int) or not isinstance(row.get("status"), str):
            raise CommandError(f"{place} is no result of a run")
        rows[row["index"]] = row
    return list(rows.values())


def iter_objects(
    path: Path, *, is_compressed: bool = False, check: Callable[[bytes], str | None] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a file, one on each line, with the place of each for messages.

    An incomplete last line is ignored: its writer stopped there.

    Args:
        path: The file.
        is_compressed: Whether it is a gzip file.
        check: Returns the problem of a line; None without one.

    Raises:
        CommandError: It cannot be read, or a line is no object or has a problem.
    """
    try:
        with gzip.open(path, "rb") if is_compressed else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    place = f"{path}: line {number}"
                    problem = check(line) if check is not None else None
                    if problem:
                        raise CommandError(f"{place} is damaged: {problem}")
                    yield place, _object(line, place)
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise CommandError(f"{place}, column {error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{place}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CommandError(f"{place}: must hold an object, not {type(value).__name__}")
    return value


def row_line(row: Mapping[str, Any]) -> str:
    """Write a row as a line."""
    return json.dumps(row, separators=(",", ":")) + "\n"
