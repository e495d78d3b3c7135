"""Check of a body against its schema, before anything is sent."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from synth_pools.cli.failures import did_you_mean, nearest_name

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.ge, "must be at least"),
    "maximum": (operator.le, "must be at most"),
    "exclusiveMinimum": (operator.gt, "must be above"),
}
_SIZES: dict[
    str, tuple[type[str | list[Any] | dict[str, Any]], Callable[[int, int], bool], str]
] = {
    "minLength": (str, operator.ge, "must have at least {} characters"),
    "maxLength": (str, operator.le, "must have at most {} characters"),
    "minItems": (list, operator.ge, "must have at least {} items"),
    "maxItems": (list, operator.le, "must have at most {} items"),
    "maxProperties": (dict, operator.le, "must have at most {} keys"),
}
_SHOWN = 60
# Least similarity, from 0 to 1, of an unknown key that is taken for a misspelt one.
_SIMILAR = 0.85


@functools.cache
def schema_named(name: str) -> Schema:
    """Read a schema of the table."""
    # Imported here: commands without a body do not need the table.
    from synth_pools.cli.operations.table import SCHEMAS

    schema: Schema = json.loads(SCHEMAS[name])
    return schema


def problems(value: Any, schema: Any, place: str = "") -> Iterator[str]:
    """Check a value; yield its problems, each with its place, in the order of the body."""
    if not isinstance(schema, dict):
        if schema is False:
            yield f"{place or 'the body'}: nothing is allowed here"
        return
    if "$ref" in schema:
        yield from problems(value, schema_named(schema["$ref"]), place)
    if "anyOf" in schema:
        yield from _none_of(value, schema["anyOf"], place)
    where = f"{place or 'the body'}"
    types = types_of({key: schema[key] for key in ("type",) if key in schema})
    if types is not None and not any(_is_a(value, name) for name in types):
        yield f"{where}: must be {_list_of(types)}, not {_shown(value)}"
        return
    if "enum" in schema and not any(_equal(value, constant) for constant in schema["enum"]):
        words = ", ".join(json.dumps(constant) for constant in schema["enum"])
        yield f"{where}: must be one of {words}, not {_shown(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        for key, (within, text) in _BOUNDS.items():
            if key in schema and not within(value, schema[key]):
                yield f"{where}: {text} {schema[key]}, not {_shown(value)}"
    for key, (kind, fits, text) in _SIZES.items():
        size = len(value) if isinstance(value, kind) else None
        if key in schema and size is not None and not fits(size, schema[key]):
            yield f"{where}: {text.format(schema[key])}, not {size}"
    if isinstance(value, str) and "pattern" in schema and not _pattern(schema["pattern"])(value):
        yield f"{where}: must match {schema['pattern']}, not {_shown(value)}"
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], f"{place}[{index}]")
    if isinstance(value, dict):
        yield from _problems_of_object(value, schema, place)


def _problems_of_object(value: dict[str, Any], schema: Schema, place: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{place or 'the body'}: {key} is missing"
    for key, inner in value.items():
        within = f"{place}.{key}" if place else key
        if "propertyNames" in schema:
            for problem in problems(key, schema["propertyNames"], f"the key {_shown(key)}"):
                yield f"{place}: {problem}" if place else problem
        if key in properties:
            yield from problems(inner, properties[key], within)
        elif schema.get("additionalProperties") is False:
            yield f"{within}: no such key{did_you_mean(key, properties)}"
        else:
            yield from problems(inner, schema.get("additionalProperties", True), within)


def misspelt_keys(value: Any, schema: Any, place: str = "") -> Iterator[str]:
    """Yield a warning for each unknown key that is allowed and resembles a known one."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        yield from misspelt_keys(value, schema_named(schema["$ref"]), place)
    for choice in schema.get("anyOf", ()):
        yield from misspelt_keys(value, choice, place)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from misspelt_keys(item, schema.get("items"), f"{place}[{index}]")
    properties = schema.get("properties", {})
    for key, inner in value.items() if isinstance(value, dict) and properties else ():
        within = f"{place}.{key}" if place else key
        if key in properties:
            yield from misspelt_keys(inner, properties[key], within)
        elif nearest := nearest_name(key, properties, _SIMILAR):
            yield f"{within} is sent, but not known: is {nearest} meant?"


def _none_of(value: Any, choices: list[Any], place: str) -> Iterator[str]:
    problem_lists = [list(problems(value, choice, place)) for choice in choices]
    if not all(problem_lists):
        return
    # Only problems with schemas of the value's type help.
    fitting = [
        lines
        for lines, choice in zip(problem_lists, choices, strict=True)
        if (types := types_of(choice)) is None or any(_is_a(value, name) for name in types)
    ]
    if fitting:
        yield from fitting[0]
        return
    names = [name for choice in choices for name in types_of(choice) or ()]
    yield f"{place or 'the body'}: must be {_list_of(names)}, not {_shown(value)}"


def types_of(schema: Any) -> tuple[str, ...] | None:
    """List the types that a schema allows; None for any."""
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        return types_of(schema_named(schema["$ref"]))
    if "type" in schema:
        declared = schema["type"]
        return (declared,) if isinstance(declared, str) else tuple(declared)
    if "anyOf" in schema:
        types_of_choices = [types_of(choice) for choice in schema["anyOf"]]
        return (
            None
            if None in types_of_choices
            else tuple(name for types in types_of_choices for name in types or ())
        )
    if "enum" in schema:
        return tuple(
            {name for constant in schema["enum"] for name in _TYPES if _is_a(constant, name)}
        )
    return None


def schema_at(schema: Any, path: list[str]) -> Any:
    """Find the schema of a place in a body; an empty one if the document has none."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return schema_at(schema_named(schema["$ref"]), path)
    if not path:
        return schema
    for choice in schema.get("anyOf", ()):
        schema_of_choice = schema_at(choice, path)
        if schema_of_choice:
            return schema_of_choice
    inner = schema.get("properties", {}).get(path[0], schema.get("additionalProperties"))
    return schema_at(inner, path[1:])


def _is_a(value: Any, name: str) -> bool:
    if name == "integer":
        is_whole = isinstance(value, float) and value.is_integer()
        return (isinstance(value, int) and not isinstance(value, bool)) or is_whole
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _equal(value: Any, expected: Any) -> bool:
    return bool(value == expected) and isinstance(value, bool) == isinstance(expected, bool)


@functools.cache
def _pattern(pattern: str) -> Any:
    # Python's `$` also matches before a line feed at the end; that of JSON Schema does not.
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern)).search


def _list_of(names: Any) -> str:
    names = [name for name in dict.fromkeys(names) if name != "null"] or ["null"]
    articled = [f"{'an' if name[0] in 'aio' else 'a'} {name}" for name in names]
    return " or ".join(articled).replace("a null", "null")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
