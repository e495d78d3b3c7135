"""Requests of a run: seeds, tasks and rows of a file, each repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pools.cli.failures import CommandError, reported_errors
from synth_pools.cli.operations.bodies import validated_body
from synth_pools.runs.rows import iter_objects

_RANGE = re.compile(r"(-?\d{1,19})(?:\.\.(-?\d{1,19}))?")
_MOST_SEEDS = 10_000_000


@dataclass(frozen=True)
class RunRequests:
    """Requests of a run by index: all repeats of a seed, all seeds of a base, then the next base.

    With `in_rounds` each request runs once before any is repeated.

    Attributes:
        bases: Requests without seeds, or with seeds of their own if `seeds` is empty.
        seeds: The seeds.
        repeats: Rollouts of each request.
        in_rounds: Whether repeats come round by round.
        name: The name of the run in the metadata of all; None without one.
    """

    bases: Sequence[Mapping[str, Any]]
    seeds: tuple[range, ...] = ()
    repeats: int = 1
    in_rounds: bool = False
    name: str | None = None

    def __len__(self) -> int:
        return self.repeats * self.group_count

    def __getitem__(self, index: int) -> dict[str, Any]:
        base, place = divmod(self.group(index), self._seed_count)
        if not self.seeds:
            return {**self.bases[base]}
        for seeds in self.seeds:
            if place < len(seeds):
                return {**self.bases[base], "seed": seeds[place]}
            place -= len(seeds)
        raise IndexError(index)

    def group(self, index: int) -> int:
        """Return the number of the request that a repeat belongs to."""
        return index % self.group_count if self.in_rounds else index // self.repeats

    @property
    def group_count(self) -> int:
        """Number of requests without their repeats."""
        return len(self.bases) * self._seed_count

    @property
    def _seed_count(self) -> int:
        return sum(map(len, self.seeds)) if self.seeds else 1


def request_rows(file: Path) -> list[tuple[str, Any]]:
    """Read the file with a request on each line.

    Returns:
        The place of each request in the file, and its fields.

    Raises:
        CommandError: The file cannot be read, or has no request.
    """
    with reported_errors():
        rows = list(iter_objects(file, is_typed=True))
    if not rows:
        raise CommandError(f"{file}: there are no requests in it")
    return rows


def read_requests(
    common: Mapping[str, Any],
    *,
    seeds: str | None,
    rows: Sequence[tuple[str, Any]] | None,
    tasks: Sequence[str],
    name: str | None,
    repeats: int,
    in_rounds: bool = False,
) -> RunRequests:
    """Make the requests of a run from its options.

    Args:
        common: Fields of all requests; a row of the file comes before them.
        seeds: Seeds, as `parse_seeds` takes them.
        rows: Rows of a file, as `request_rows` returns them; None without one.
        tasks: Each request is run on each of them.
        name: Name of the run, for the metadata of all requests.
        repeats: Rollouts of each request.
        in_rounds: Whether repeats come round by round.

    Raises:
        CommandError: An option or a row cannot be used, or they contradict each other.
    """
    if seeds is None and rows is None and not tasks:
        raise CommandError("give --seeds, --requests or --tasks")
    run_metadata: dict[str, Any] = {"metadata": {"run": name}} if name is not None else {}
    bases = []
    for place, row in [("BODY", {})] if rows is None else rows:
        row = _merged(common, row)
        row = validated_body(_merged(row, run_metadata), "RolloutRequest", origin=place)
        if seeds is not None and "seed" in row:
            raise CommandError(f"{place}: the seeds are given with --seeds, not here")
        if tasks and "task_id" in row:
            raise CommandError(f"{place}: the task is given with --task, not here")
        bases += [{**row, "task_id": task} for task in tasks] if tasks else [row]
    ranges = parse_seeds(seeds) if seeds is not None else ()
    return RunRequests(bases, ranges, repeats, in_rounds, name)


def parse_seeds(text: str) -> tuple[range, ...]:
    """Read seeds: numbers and ranges with both ends, `0..499` or `1,5,10..20`.

    Raises:
        CommandError: The text has another form, or is a number alone.
    """
    if re.fullmatch(r"-?\d{1,19}", text.strip()):
        number = int(text)
        counted = f"0..{number - 1} for {number} seeds, or " if number > 1 else ""
        raise CommandError(
            f"--seeds: a number alone is not clear: write {counted}{number}..{number} for the seed "
            f"{number}"
        )
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


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two objects, with all that is inside of them; the second one wins."""
    result = dict(first)
    for key, value in second.items():
        former = result.get(key)
        if isinstance(former, dict) and isinstance(value, dict):
            value = _merged(former, value)
        result[key] = value
    return result
