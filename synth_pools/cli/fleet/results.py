"""Requests of a run, and its results, a JSON object on each line."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from synth_pools.cli.failures import CommandError

_RANGE = re.compile(r"(-?\d{1,19})(?:\.\.(-?\d{1,19}))?")
_MOST_SEEDS = 10_000_000


@dataclass(frozen=True)
class RunRequests:
    """Requests of a run by index: all repeats of a seed, then those of the next one."""

    seeds: tuple[range, ...]
    repeats: int
    base: Mapping[str, Any]

    def __len__(self) -> int:
        return self.repeats * sum(map(len, self.seeds))

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = index // self.repeats
        for seeds in self.seeds:
            if place < len(seeds):
                return {**self.base, "seed": seeds[place]}
            place -= len(seeds)
        raise IndexError(index)

    def group(self, index: int) -> int:
        """Return the position of the seed of a request."""
        return index // self.repeats


def parse_seeds(text: str) -> tuple[range, ...]:
    """Read seeds: numbers and ranges with both ends, `0..499` or `1,5,10..20`.

    Raises:
        CommandError: The text has another form.
    """
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise CommandError(f"--seeds: {part[:40]!r} is no seed: write 0..499 or 1,5,10..20")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise CommandError(f"--seeds: {part.strip()} is empty: write {last}..{first}")
        ranges.append(range(first, last + 1))
    if sum(map(len, ranges)) > _MOST_SEEDS:
        raise CommandError(f"--seeds: more than {_MOST_SEEDS} seeds")
    return tuple(ranges)


class ResultFile:
    """File of `former` rows and a line for each new outcome; nothing is written without a path.

    Raises:
        CommandError: It cannot be written.
    """

    def __init__(self, path: Path | None, former: Iterable[Mapping[str, Any]] = ()) -> None:
        self._path = path
        self._file: TextIO | None = None
        if path is None:
            return
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with self._reported():
            # A complete file replaces the former one.
            try:
                with fresh.open("w", encoding="utf-8") as file:
                    file.writelines(map(_line, former))
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row."""
        if self._file is not None:
            with self._reported():
                self._file.write(_line(row))
                self._file.flush()

    def close(self) -> None:
        """Close the file. Can be repeated."""
        if self._file is not None:
            with self._reported():
                self._file.close()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommandError(f"{self._path}: cannot be written: {error.strerror}") from None


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


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
