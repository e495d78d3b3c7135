"""Results of a run, a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth_pools._client.fleet.usage import COLUMNS, is_finite, summable
from synth_pools._client.fleet.usage import UsageSums as UsageSums

# Statuses of a rollout that has completed.
COMPLETED = ("completed", "succeeded")
# Columns of a row that have its usage.
USAGE_COLUMNS = COLUMNS


def finite_number(value: Any) -> float | None:
    """Return a number of a row to be summed; None for all else, infinities and NaN included."""
    return summable(value) if is_finite(value) else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the results of an earlier run; an incomplete last line is ignored.

    Raises:
        RunFileError: The file cannot be read, or has other lines.
    """
    rows: dict[int, dict[str, Any]] = {}
    for place, row in iter_objects(path):
        if not isinstance(row.get("index"), int) or not isinstance(row.get("status"), str):
            raise unusable(path, f"{place} is no result of a run")
        rows[row["index"]] = row
    return list(rows.values())


def iter_objects(path: Path, *, is_typed: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a file, one on each line, with the place of each for messages.

    An incomplete last line is ignored: its writer stopped there.

    Args:
        path: The file.
        is_typed: Whether people write it: its last line may have no end, and lines may be empty.

    Raises:
        RunFileError: It cannot be read, or a line is no object.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip() if is_typed else line.endswith(b"\n"):
                    place = f"{path}: line {number}"
                    yield place, _object(line, path, place)
    except OSError as error:
        raise unusable(path, f"{path}: {error.strerror or error}") from None


def _object(line: bytes, path: Path, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise unusable(path, f"{place}, column {error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise unusable(path, f"{place}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise unusable(path, f"{place}: must hold an object, not {type(value).__name__}")
    return value


def unusable(path: Path, message: str) -> Exception:
    """Return a `RunFileError` to raise."""
    # Imported here: it loads the HTTP library, which help does not need.
    from synth_pools.errors import RunFileError

    return RunFileError(message, path=str(path))
