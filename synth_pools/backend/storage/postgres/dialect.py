"""Translation of the shared SQL to PostgreSQL's: placeholders, lists, lengths of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_LIST = re.compile(r"IN \(SELECT value FROM json_each\(\?([0-9]*)\)\)")
# Entries of an index with equal values, in their order. As comparisons of rows, since of equal
# values the planner leaves the index for that of the numbers alone, and reads all rollouts for few.
_ENTRIES = re.compile(r"((?:[a-z_]+ = \?[0-9]+ AND )+)([a-z_]*seq) ([<>]) (\?[0-9]+)")
# Rows whose numbers are found first. As an array, since for a join the planner may read all rows.
_FOUND = re.compile(r"seq IN \((SELECT seq FROM .* AS page)\)$")
# The first rows of an index. With a constant limit inside, since the planner takes one that it does
# not know for a tenth of the rows.
_FIRST = re.compile(r"^(.* LIMIT )(\?[0-9]+) /\* of ([0-9]+) \*/$")
# Numbers of each row before, in their order, which are read as long as there is need for more.
_OF_EACH = re.compile(
    r"json_each\(\(SELECT json_group_array\(value\) FROM (\(.* LIMIT \?[0-9]+\))\)\)"
)
# The numbers from 0 to another one.
_NUMBERS = re.compile(r"json_each\('\[0,[0-9,]*?([0-9]+)\]'\) AS ([a-z]+)")
_PLACEHOLDER = re.compile(r"\?(@?)([0-9]*)")
_BYTES = re.compile(r"length\(CAST\(([a-z_.]+) AS BLOB\)\)")
_REPLACED = {
    _LIST: r"= ANY(?@\1)",
    _BYTES: r"octet_length(\1)",
    _FOUND: r"seq = ANY(ARRAY(\1))",
    _FIRST: r"SELECT * FROM (\1\3) AS page LIMIT \2",
    _OF_EACH: r"LATERAL \1",
    _NUMBERS: r"generate_series(0, \1) AS \2 (value)",
}


class Statement(NamedTuple):
    """Statement in PostgreSQL's SQL.

    Attributes:
        sql: Its text.
        lists: The indexes of the parameters that are JSON lists and must be sent as arrays.
    """

    sql: str
    lists: tuple[int, ...]

    def arguments(self, parameters: Sequence[Any]) -> Sequence[Any]:
        """Return the parameters in the form to be sent."""
        if not self.lists:
            return parameters
        values = list(parameters)
        for number in self.lists:
            values[number] = [text for text in json.loads(values[number]) if _can_be_stored(text)]
        return values


# More than there are statements: their texts are constants, or built from a few parts.
@lru_cache(maxsize=1024)
def translated(sql: str) -> Statement:
    """Return a statement in PostgreSQL's SQL."""
    lists: list[int] = []
    number = 0

    def numbered(match: re.Match[str]) -> str:
        nonlocal number
        is_list, place = match.groups()
        if not place:
            number += 1
        if is_list:
            lists.append(int(place or number) - 1)
        return f"${place or number}"

    text = _ENTRIES.sub(_compared, sql)
    for pattern, replacement in _REPLACED.items():
        text = pattern.sub(replacement, text)
    return Statement(_PLACEHOLDER.sub(numbered, text), tuple(lists))


def _compared(match: re.Match[str]) -> str:
    """Return conditions of equal values and a number as comparisons of rows."""
    equal, seq, sign, number = match.groups()
    pairs = [item.split(" = ") for item in equal.removesuffix(" AND ").split(" AND ")]
    columns, marks = (", ".join(part) for part in zip(*pairs, strict=True))
    end = ">=" if sign == "<" else "<="
    return f"({columns}, {seq}) {sign} ({marks}, {number}) AND ({columns}) {end} ({marks})"


def _can_be_stored(value: object) -> bool:
    """Return False for a text that no column can hold, and that so equals no stored text."""
    return not isinstance(value, str) or (value.isprintable() and "\0" not in value)
