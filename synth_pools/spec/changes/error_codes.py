"""Tables of error codes in two documents, and the changes between them.

A table in the text of a document lists each code with the columns `code | status | retryable |
where`: its status, whether a repeated request may succeed, and its operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from synth_pools.spec.changes.source import OpenApiFile, iter_parts

_COLUMNS = ["code", "status", "retryable", "where"]
_CELLS = re.compile(r"(?<!\\)\|")
_RANKS = {"no": 0, "yes": 2}


class ErrorCode(NamedTuple):
    """Row of a table, each cell as written."""

    code: str
    status: str
    retryable: str
    where: str


class CodeChange(NamedTuple):
    """Change of an error code: a kind of `VERDICTS`, the place and the text."""

    kind: str
    place: str
    text: str


def read_error_codes(file: OpenApiFile) -> dict[str, ErrorCode]:
    """Read the rows of all tables of error codes in a document, by code."""
    codes: dict[str, ErrorCode] = {}
    for pointer, node in iter_parts(file.content):
        if pointer and pointer[-1] == "description" and isinstance(node, str):
            for row in _rows(node):
                codes.setdefault(row.code, row)
    return codes


def compare_error_codes(old: OpenApiFile, new: OpenApiFile) -> Iterator[CodeChange]:
    """Yield the changes of the tables; a document without a table says nothing about codes."""
    before, after = read_error_codes(old), read_error_codes(new)
    if not before or not after:
        return
    for code, row in before.items():
        if code not in after:
            text = f"{code} removed: {row.where}"
            yield CodeChange("error-code-removed", f"error code {code}", text)
    for code, row in after.items():
        if code in before:
            yield from _compare_rows(before[code], row)
        else:
            text = f"{code} added, status {row.status}: {row.where}"
            yield CodeChange("error-code-added", f"error code {code}", text)


def _compare_rows(old: ErrorCode, new: ErrorCode) -> Iterator[CodeChange]:
    place = f"error code {new.code}"
    if old.status != new.status:
        text = f"status {old.status} -> {new.status}: {new.where}"
        yield CodeChange("error-code-status-changed", place, text)
    if old.retryable != new.retryable:
        # A cell that is neither yes nor no states the condition for yes.
        ranks = [_RANKS.get(row.retryable, 1) for row in (old, new)]
        kind = "error-code-retry-strengthened"
        if ranks[1] < ranks[0] or ranks == [1, 1]:
            kind = "error-code-retry-weakened"
        text = f"retryable {old.retryable} -> {new.retryable}: {new.where}"
        yield CodeChange(kind, place, text)
    if old.where != new.where:
        yield CodeChange("error-code-described", place, f"where: {old.where} -> {new.where}")


def _rows(text: str) -> Iterator[ErrorCode]:
    """Iterate over the rows of the tables of error codes in a text."""
    is_in_table = False
    for line in text.splitlines():
        line = line.strip()
        if not line.startswith("|"):
            is_in_table = False
            continue
        cells = [cell.strip() for cell in _CELLS.split(line.strip("|"))]
        if cells == _COLUMNS:
            is_in_table = True
        elif is_in_table and len(cells) == len(_COLUMNS) and not set(cells[0]) <= {"-", ":"}:
            code, *rest = cells
            yield ErrorCode(code.strip("`"), *rest)
