"""What the models read with: strict about types, kind to the shapes of older servers."""

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
    """Read a value of which there may be none."""
    return value if value is None or isinstance(value, Unset) else read(value, name)


def read_choice(value: Any, check: Callable[[Any], Any]) -> Any:
    """Check one of some values where there is one."""
    return value if value is None or isinstance(value, Unset) else check(value)


def pop_older(
    left: dict[str, Any], answer: Mapping[str, Any], name: str, *older: str, default: Any = _NONE
) -> Any:
    """Take a property out of what is left of an answer, else one of the names of older servers."""
    for each in (name, *older):
        if each in answer:
            left.pop(each, None)
            return answer[each]
    if default is _NONE:
        raise KeyError(name)
    return default


def refuse_keys(left: Mapping[str, Any], kind: Any) -> None:
    """Raise for keys that a closed object does not have."""
    if left:
        names = [attribute.name for attribute in kind.__attrs_attrs__]
        told = []
        for key in sorted(map(str, left)):
            near = difflib.get_close_matches(key, names, 1)
            told.append(f"{key!r} (did you mean {near[0]!r}?)" if near else repr(key))
        raise ValueError(f"{kind.__name__} has no key {', '.join(told)}")


def wrong_type(value: Any, name: str, wanted: str = "something else") -> TypeError:
    came = _NAMES.get(type(value), type(value).__name__)
    return TypeError(f"{name!r} must be {wanted}, not {came}")
