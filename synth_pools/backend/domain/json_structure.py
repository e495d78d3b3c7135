"""Number and depth of the values in a JSON text, from its bytes, before anything is parsed.

Every value is the first of the text, follows a comma, or is the first in an array or an object. So
the commas and opening brackets outside of strings bound how many objects a parser would make, in
any text, up to where it is no JSON and the parser stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

# Each step holds the interpreter's lock, for about a millisecond.
_COUNTED_AT_ONCE = 1024 * 1024
_SCANNED_AT_ONCE = 64 * 1024

_OPENING = b"[{"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP_OF = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]


class TooManyValuesError(Exception):
    """A text holds more values than are parsed."""


class TooDeepError(Exception):
    """A text holds values inside each other deeper than they are parsed."""


def require_within(raw: bytes, most_values: int, max_depth: int) -> None:
    """Check how much a JSON text would be once it is parsed.

    Args:
        raw: The text; what is no JSON passes, or is refused for what it begins with.
        most_values: The number of values.
        max_depth: The levels of arrays and objects inside each other.

    Raises:
        TooManyValuesError: There are more values.
        TooDeepError: They are inside each other more deeply.
    """
    # Those in strings count here too, which only most texts do not have many of.
    if len(raw) <= _COUNTED_AT_ONCE:
        openings = raw.count(b"[") + raw.count(b"{")
        commas = raw.count(b",")
    else:
        openings, commas = _count(raw, _OPENING), _count(raw, b",")
    if openings <= max_depth and openings + commas < most_values:
        return
    values, depth = 1, 0
    for outside in _outside_strings(raw):
        openings = _count(outside, _OPENING)
        values += openings + outside.count(b",")
        if values > most_values:
            raise TooManyValuesError
        if depth + openings > max_depth:
            steps = map(_STEP_OF.__getitem__, outside.translate(None, _NO_BRACKETS))
            if max(accumulate(steps, initial=depth)) > max_depth:
                raise TooDeepError
        depth += openings - _count(outside, b"]}")


def _count(raw: bytes, characters: bytes) -> int:
    return sum(
        raw.count(character, begin, begin + _COUNTED_AT_ONCE)
        for begin in range(0, len(raw), _COUNTED_AT_ONCE)
        for character in characters
    )


def _outside_strings(raw: bytes) -> Iterator[bytes]:
    """Yield what is outside of strings, some at a time."""
    begin, is_inside = 0, False
    while begin < len(raw):
        part = raw[begin : begin + _SCANNED_AT_ONCE]
        backslashes = len(part) - len(part.rstrip(b"\\"))
        if backslashes % 2 and begin + len(part) < len(raw):
            # The escape that begins here goes with the next part.
            part = part[:-1]
        begin += len(part)
        quotes = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(quotes[is_inside::2])
        is_inside ^= len(quotes) % 2 == 0
