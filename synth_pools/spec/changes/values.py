"""Keywords of a schema in one form: types, enumerated values, bounds and formats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

EVERY_TYPE = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
FORMS = ("format", "pattern", "multipleOf", "contentEncoding", "contentMediaType")
# Formats of OpenAPI 3.0 that JSON Schema writes with other keywords.
_BYTES = {
    "byte": {"contentEncoding": "base64"},
    "binary": {"contentMediaType": "application/octet-stream"},
}

_LARGEST = {"int32": 2**31 - 1, "int64": 2**63 - 1}

# A bound of numbers: its value, and 1 if the value itself is outside.
Bound = tuple[float, int]


def admitted_types(schema: Mapping[str, Any]) -> frozenset[str]:
    types = schema.get("type")
    names = {types} if isinstance(types, str) else {str(name) for name in types or EVERY_TYPE}
    if schema.get("nullable") is True:
        names.add("null")
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    names = names | {"integer"} if "number" in names else names
    if values is not None:
        # Null is refused where the values do not list it.
        names &= {kind for value in values for kind in _type_names_of(value)}
    return frozenset(names)


def _type_names_of(value: Any) -> tuple[str, ...]:
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int | float):
        return ("integer",) if value == value // 1 else ("number",)
    if isinstance(value, str):
        return ("string",)
    return ("array",) if isinstance(value, list) else ("object",)


def json_text(value: Any) -> str:
    """Write a value so that equal values are equal texts."""
    is_whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if is_whole else value, sort_keys=True, default=str)


def lower_of(schema: Mapping[str, Any], types: frozenset[str]) -> Bound | None:
    bound = _bound(schema, "minimum", "exclusiveMinimum", max)
    if bound and _counts(types):
        least = math.floor(bound[0]) + 1 if bound[1] else math.ceil(bound[0])
        return (least, 0) if least > -_largest(schema) - 1 else None
    return bound


def upper_of(schema: Mapping[str, Any], types: frozenset[str]) -> Bound | None:
    bound = _bound(schema, "maximum", "exclusiveMaximum", min)
    if bound and _counts(types):
        most = math.ceil(bound[0]) - 1 if bound[1] else math.floor(bound[0])
        return (most, 0) if most < _largest(schema) else None
    return bound


def _largest(schema: Mapping[str, Any]) -> float:
    """Return the largest integer of the format: a bound beyond it says nothing."""
    return _LARGEST.get(str(schema.get("format")), math.inf)


def _counts(types: frozenset[str]) -> bool:
    return "integer" in types and "number" not in types


def _bound(schema: Mapping[str, Any], word: str, exclusive: str, tightest: Any) -> Bound | None:
    """Return a bound; `exclusive` is a number of its own, or in OpenAPI 3.0 true or false."""
    value, outside = schema.get(word), schema.get(exclusive)
    bounds: list[Bound] = []
    if value is not None:
        bounds.append((value, int(outside is True)))
    if outside is not None and not isinstance(outside, bool):
        bounds.append((outside, 1))
    if len(bounds) == 2 and bounds[0][0] == bounds[1][0]:
        return bounds[1]
    bound: Bound | None = tightest(bounds, default=None)
    return bound


def forms_of(schema: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    written = {key: schema[key] for key in FORMS if key in schema}
    if written.get("format") in _BYTES:
        written.update(_BYTES[written.pop("format")])
    # Every text has an empty one in it.
    if written.get("pattern") == "":
        del written["pattern"]
    if written.get("multipleOf") == 1 and _counts(admitted_types(schema)):
        del written["multipleOf"]
    return {
        key: (value if isinstance(value, str) else json.dumps(value),)
        for key, value in written.items()
    }


def common_of(
    first: tuple[str, ...] | None, second: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    if first is None or second is None:
        return second if first is None else first
    return tuple(value for value in first if value in second)


def tightest_of(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    sizes = {**first, **second}
    for key in first.keys() & second.keys():
        sizes[key] = (max if key[:3] == "min" else min)(first[key], second[key])
    return sizes
