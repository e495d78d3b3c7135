"""Readers of the models: strict about types, tolerant of the shapes of older servers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from .types import Unset

_NONE: Any = object()
_NAMES = {
    dict: "an object",
    bool: "true or false",
    type(None): "null",
    str: "a text",
    int: "an integer",
    float: "a number",
    list: "a list",
}


def read_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, name, "a text")
    return value


def read_integer(value: Any, name: str) -> int:
    # 8.0 is an integer in JSON, as JSON Schema has it.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(value, name, "an integer")
    return value


def read_number(value: Any, name: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise wrong_type(value, name, "a number")
    return value


def read_flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(value, name, "true or false")
    return value


def read_object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, name, "an object")
    return value


def read_optional(value: Any, read: Callable[[Any, str], Any], name: str) -> Any:
    """Read an optional value."""
    return value if value is None or isinstance(value, Unset) else read(value, name)


def read_choice(value: Any, check: Callable[[Any], Any]) -> Any:
    """Check an optional value of an enumeration."""
    return value if value is None or isinstance(value, Unset) else check(value)


def pop_older(
    remaining: dict[str, Any],
    answer: Mapping[str, Any],
    name: str,
    *older: str,
    default: Any = _NONE,
) -> Any:
    """Take a property out of the remaining answer, also under its names of older servers."""
    for key in (name, *older):
        if key in answer:
            remaining.pop(key, None)
            return answer[key]
    if default is _NONE:
        raise KeyError(name)
    return default


def refuse_keys(remaining: Mapping[str, Any], kind: Any) -> None:
    """Raise for keys that a closed object does not have."""
    if remaining:
        names = [attribute.name for attribute in kind.__attrs_attrs__]
        keys = []
        for key in sorted(map(str, remaining)):
            similar = difflib.get_close_matches(key, names, 1)
            keys.append(f"{key!r} (did you mean {similar[0]!r}?)" if similar else repr(key))
        raise ValueError(f"{kind.__name__} has no key {', '.join(keys)}")


def wrong_type(value: Any, name: str, expected: str = "something else") -> TypeError:
    actual = _NAMES.get(type(value), type(value).__name__)
    return TypeError(f"{name!r} must be {expected}, not {actual}")
