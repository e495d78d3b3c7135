"""Baseline of a comparison: changes that are known and do not count, by operation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synth_pools.spec.changes.parsing import UnusableDocumentError
from synth_pools.spec.changes.verdicts import ApiChange

_FORMAT = 1
_KEYS = ("kind", "direction", "place", "text", "operation")

# Kind, direction, place and text of a change, and one operation that it concerns.
KnownChange = tuple[str, ...]


def read_known_changes(file: Path) -> frozenset[KnownChange]:
    """Read a baseline; a missing file is an empty one.

    Raises:
        UnusableDocumentError: The file is no baseline.
    """
    if not file.exists():
        return frozenset()
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return frozenset(tuple(str(entry[key]) for key in _KEYS) for entry in content["changes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise UnusableDocumentError(f"{file}: no baseline: {line}; write a new one") from None


def render_known_changes(baseline: Iterable[KnownChange]) -> str:
    """Return the text of a baseline, sorted so that its changes are small."""
    entries = [dict(zip(_KEYS, change, strict=True)) for change in sorted(baseline)]
    return json.dumps({"format": _FORMAT, "changes": entries}, indent=1, ensure_ascii=False) + "\n"


def known_changes(changes: Iterable[ApiChange]) -> frozenset[KnownChange]:
    """Return changes in the form of a baseline."""
    return frozenset(
        (*change.identity, name) for change in changes for name in change.operations or ("",)
    )


def without_known(
    changes: Sequence[ApiChange], baseline: frozenset[KnownChange]
) -> tuple[ApiChange, ...]:
    """Return the changes that are not known; one that reaches a further operation is new there."""
    remaining = []
    for change in changes:
        names = tuple(
            name for name in change.operations or ("",) if (*change.identity, name) not in baseline
        )
        if names:
            remaining.append(replace(change, operations=tuple(filter(None, names))))
    return tuple(remaining)
