"""Tables in the texts of two documents: error codes, scopes, and names that clients rely on.

A table of error codes lists each code with the columns `code | status | retryable | where`: its
status, whether a repeated request may succeed, and its operations.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from synth_pools.spec.changes.source import OpenApiFile

_COLUMNS = ["code", "status", "retryable", "where"]
# First columns whose cells are names of the contract: one that is gone is missed.
_NAMING = {"code", "error", "error code", "event", "feature", "scope", "state", "type"}
_CELLS = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|[\s:|-]+\|?")
_NAME = re.compile(r"`([^`]+)`")
_RANKS = {"no": 0, "yes": 2}


@dataclass(frozen=True, slots=True)
class Table:
    """Table of a text: its header, and its rows of cells."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def naming(self) -> str:
        """Its first column, if that holds names of the contract."""
        return self.header[0].lower() if self.header[0].lower() in _NAMING else ""


class ErrorCode(NamedTuple):
    """Row of a table, each cell as written."""

    code: str
    status: str
    retryable: str
    where: str


class CodeChange(NamedTuple):
    """Change of a name in a table: a kind of `VERDICTS`, the place and the text."""

    kind: str
    place: str
    text: str

    @property
    def names(self) -> list[str]:
        """The names in its text: operations, and others."""
        return _NAME.findall(self.text)


@dataclass(frozen=True, slots=True)
class Scopes:
    """Scopes of keys, as a table `scope | includes | needed by` lists them."""

    includes: Mapping[str, frozenset[str]]
    needed: Mapping[str, str]

    def included(self, scope: str) -> frozenset[str]:
        """Return a scope with all that it includes."""
        scopes, waiting = {scope}, [scope]
        while waiting:
            below = self.includes.get(waiting.pop(), frozenset()) - scopes
            scopes |= below
            waiting += below
        return frozenset(scopes)

    def default(self, route: str) -> str:
        """Return the scope that the table names for a route."""
        method = f"`{route.partition(' ')[0]}`"
        for scope, needed in self.needed.items():
            if method in needed:
                return scope
        return next((scope for scope, needed in self.needed.items() if "other" in needed), "")


def read_tables(file: OpenApiFile) -> list[Table]:
    """Read the tables of all texts of a document."""
    return [
        table
        for texts in file.texts.by_place.values()
        for text in texts
        if "|" in text
        for table in _tables(text)
    ]


def read_scopes(tables: list[Table]) -> Scopes:
    """Read the table of scopes; without one each scope stands alone."""
    rows = [
        row for table in tables if table.header[:2] == ("scope", "includes")
        for row in table.rows
    ]  # fmt: skip
    return Scopes(
        {row[0].strip("`"): frozenset(_NAME.findall(row[1])) for row in rows},
        {row[0].strip("`"): row[2] for row in rows if len(row) > 2},
    )


def compare_error_codes(old: list[Table], new: list[Table]) -> Iterator[CodeChange]:
    """Yield the changes of the tables; a document without a table says nothing about codes."""
    before, after = _error_codes(old), _error_codes(new)
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


def compare_names(old: list[Table], new: list[Table]) -> Iterator[CodeChange]:
    """Yield the names that other tables no longer have; a table that is gone says nothing."""
    names, former = _names(new), _names(old)
    for column, listed in former.items():
        for name in listed:
            if column in names and name not in names[column]:
                kind = "error-code-removed" if column in ("code", "error code") else "name-removed"
                yield CodeChange(kind, f"{column} {name}", f"{name} removed from its table")


def rows_told(old: list[Table], new: list[Table], changes: list[CodeChange]) -> set[str]:
    """Return the rows, as sentences, of which the changes of names tell."""
    removed = {change.place for change in changes}
    codes = bool(_error_codes(old) and _error_codes(new))
    return {
        " | ".join(row)
        for table in (*old, *new)
        for row in table.rows
        if (codes and list(table.header) == _COLUMNS)
        or f"{table.naming} {row[0].strip('`')}" in removed
    }


def _names(tables: list[Table]) -> dict[str, dict[str, None]]:
    names: dict[str, dict[str, None]] = {}
    for table in tables:
        if table.naming and list(table.header) != _COLUMNS:
            listed = names.setdefault(table.naming, {})
            listed.update({row[0][1:-1]: None for row in table.rows if _NAME.fullmatch(row[0])})
    return names


def _error_codes(tables: list[Table]) -> dict[str, ErrorCode]:
    codes: dict[str, ErrorCode] = {}
    for table in tables:
        if list(table.header) == _COLUMNS:
            for code, *rest in table.rows:
                codes.setdefault(code.strip("`"), ErrorCode(code.strip("`"), *rest))
    return codes


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


def _tables(text: str) -> Iterator[Table]:
    """Iterate over the tables of a Markdown text."""
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    lines = [line.strip() for line in (*text.splitlines(), "", "")]
    for line, following in itertools.pairwise(lines):
        cells = tuple(cell.strip() for cell in _CELLS.split(line.strip("|")))
        if _RULE.fullmatch(following) and line.startswith("|"):
            header, rows = cells, []
        elif header and line.startswith("|"):
            if len(cells) == len(header) and not _RULE.fullmatch(line):
                rows.append(cells)
        elif header:
            yield Table(header, tuple(rows))
            header = ()
