"""JSON exactly as in RFC 8259, so that stored documents come back as they were sent."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, TypeGuard

from synth_pools.backend.limits import DEEPEST

MAX_DEPTH = DEEPEST

# Processing a document of more bytes would delay other requests.
LARGE = 256 * 1024

# Only these spellings, with any digits, can be a number too large for a double. They are found by
# functions that run at the speed of memory; a regular expression would hold up every other thread
# for seconds.
_EXPONENT, _SIGNED_EXPONENT, _ZEROS = b"0e000", b"0e+000", b"0" * 309
_SPELLING = bytes.maketrans(b"123456789E", b"000000000e")


class BrokenJsonError(ValueError):
    """The text is no JSON that can be stored and returned unchanged."""


class TooLargeJsonError(BrokenJsonError):
    """The text holds more values than the limit."""


def loads(raw: bytes, max_depth: int = MAX_DEPTH, most_values: int = sys.maxsize) -> Any:
    """Parse JSON.

    Args:
        raw: The text.
        max_depth: Levels of arrays and objects inside each other.
        most_values: The number of values that it may hold.

    Raises:
        BrokenJsonError: The text cannot be stored and returned unchanged.
        TooLargeJsonError: The text holds more values; nothing was parsed.
    """
    require_within(raw, most_values, max_depth)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenJsonError(f"not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise BrokenJsonError("it begins with a byte order mark (BOM)")
    spelling = raw.translate(_SPELLING)
    may_be_too_large = _ZEROS in spelling or _EXPONENT in spelling or _SIGNED_EXPONENT in spelling
    try:
        return (_CHECKING_FLOATS if may_be_too_large else _DECODER).decode(text)
    except RecursionError:
        raise BrokenJsonError(f"nested more than {max_depth} levels deep") from None
    except json.JSONDecodeError as error:
        raise BrokenJsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except BrokenJsonError:
        raise
    except ValueError:
        # Python refuses to convert integers of thousands of digits.
        raise BrokenJsonError("a number has too many digits") from None


def _make_dumps() -> Callable[[Any], str]:
    # ASCII only: a lone surrogate or NUL that arrived escaped must leave escaped, since SQLite text
    # and UTF-8 cannot hold it. It also keeps every document on one line, which event streams need.
    encoder = json.JSONEncoder(
        ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    # Made once: making it for each text would cost as much as writing a short one.
    ascii_string, default = json.encoder.encode_basestring_ascii, encoder.default
    write = make(None, default, ascii_string, None, ":", ",", False, False, False)
    join = "".join

    def encode(value: Any) -> str:
        return join(write(value, 0))

    return encode


dumps = _make_dumps()


def canonical(value: Any) -> str:
    """Return one text for all spellings of a JSON value: key order, 1 and 1.0, white space."""
    return json.dumps(_plain_numbers(value), sort_keys=True, separators=(",", ":"))


def replace_surrogates(value: Any) -> bytes:
    """Return the document as UTF-8, with a question mark in place of every lone surrogate."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def escaped(text: str) -> str:
    """Return a text as it is inside of JSON: in ASCII, which every database can hold."""
    return dumps(text)[1:-1]


def is_number(value: object) -> TypeGuard[int | float]:
    """Return True for a finite JSON number; Python's bool is an int, JSON's is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # An integer may be too large for a double, which most clients parse numbers to.
    return -sys.float_info.max <= value <= sys.float_info.max


def _plain_numbers(value: Any) -> Any:
    # Loops, not comprehensions, which would take two frames of the recursion limit per level.
    if isinstance(value, dict):
        plain_object = {}
        for key, item in value.items():
            plain_object[key] = _plain_numbers(item)
        return plain_object
    if isinstance(value, list):
        plain_list = []
        for item in value:
            plain_list.append(_plain_numbers(item))  # noqa: PERF401
        return plain_list
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BrokenJsonError("a number is too large for a double")
    return value


def _refuse_constant(name: str) -> None:
    raise BrokenJsonError(f"{name} is no JSON value")


# Made once: `json.loads` makes one for each text, which costs more than parsing a short one.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_CHECKING_FLOATS = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite_float)


# Each step holds the interpreter's lock for about a millisecond.
_COUNTED_AT_ONCE = 1024 * 1024
_SCANNED_AT_ONCE = 64 * 1024

_OPENING = b"[{"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP_OF = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]


def require_within(raw: bytes, most_values: int, max_depth: int) -> None:
    """Check the number and the depth of the values in a JSON text, before it is parsed.

    Every value is the first of the text, follows a comma, or is the first in an array or object. So
    the commas and opening brackets outside of strings bound the number of objects that a parser
    makes, in any text, up to the point where it is invalid and the parser stops.

    Args:
        raw: The text; one that is not valid JSON may pass, or fail for its beginning.
        most_values: The number of values.
        max_depth: The levels of nested arrays and objects.

    Raises:
        TooLargeJsonError: There are more values.
        BrokenJsonError: They are nested more deeply.
    """
    # An upper bound: it counts characters in strings too, which most texts have few of.
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
            raise TooLargeJsonError(f"it holds more than {most_values} JSON values")
        if depth + openings > max_depth:
            steps = map(_STEP_OF.__getitem__, outside.translate(None, _NO_BRACKETS))
            if max(accumulate(steps, initial=depth)) > max_depth:
                raise BrokenJsonError(f"nested more than {max_depth} levels deep")
        depth += openings - _count(outside, b"]}")


def _count(raw: bytes, characters: bytes) -> int:
    return sum(
        raw.count(character, begin, begin + _COUNTED_AT_ONCE)
        for begin in range(0, len(raw), _COUNTED_AT_ONCE)
        for character in characters
    )


def _outside_strings(raw: bytes) -> Iterator[bytes]:
    """Yield the parts of a text outside of strings, a few at a time."""
    begin, is_inside = 0, False
    while begin < len(raw):
        part = raw[begin : begin + _SCANNED_AT_ONCE]
        backslashes = len(part) - len(part.rstrip(b"\\"))
        if backslashes % 2 and begin + len(part) < len(raw):
            # The escape that begins here belongs to the next part.
            part = part[:-1]
        begin += len(part)
        quotes = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(quotes[is_inside::2])
        is_inside ^= len(quotes) % 2 == 0
