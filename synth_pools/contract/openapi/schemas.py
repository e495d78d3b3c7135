"""Schemas of a document, in the dialect that the validator reads: JSON Schema 2020-12."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

from synth_pools.contract.results import shorten

_MOST_ERRORS = 1_000
# Largest number up to which floats hold every integer.
_EXACT = 2**53
# Largest body that is remembered along with many others, and largest along with a few.
_LARGEST_OF_MANY, _LARGEST_OF_FEW = 256 * 1024, 2 * 1024 * 1024


def modernized(node: Any) -> Any:
    """Return a part of a document of OpenAPI 3.0 as 3.1 writes it.

    `nullable` becomes the type null, and a boolean `exclusiveMinimum` takes the place of its bound.
    """
    if isinstance(node, list):
        return [modernized(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: modernized(value) for key, value in node.items()}
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool):
            is_exclusive = schema.pop(exclusive)
            if is_exclusive and bound in schema:
                schema[exclusive] = schema.pop(bound)
    if schema.get("nullable") is not True:
        return schema
    del schema["nullable"]
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return {**schema, "type": [schema["type"], "null"]}


def schema_name(schema: Mapping[str, Any]) -> str:
    """Return the name that a schema refers to; "" for an inline schema."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def properties_of(schema: Any, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a schema, with those of its parts in `allOf`."""
    if not isinstance(schema, dict):
        return {}
    properties: dict[str, Any] = {}
    for part in (schemas.get(schema_name(schema)), *schema.get("allOf", ())):
        properties |= properties_of(part, schemas)
    return {**properties, **schema.get("properties", {})}


def without_enums(node: Any) -> Any:
    """Return schemas without their enumerations."""
    if isinstance(node, dict):
        # A property may be called "enum"; the keyword is always a list.
        return {
            key: without_enums(value)
            for key, value in node.items()
            if not (key == "enum" and isinstance(value, list))
        }
    return [without_enums(item) for item in node] if isinstance(node, list) else node


def flaws_of(validator: jsonschema_rs.Draft202012Validator, value: Any) -> dict[str, str]:
    """Validate a value.

    Returns:
        A complaint for each flaw. The name of a flaw has its place and the rule that is broken
        there, and nothing of the value: items of a list have one place.
    """
    flaws: dict[str, str] = {}
    try:
        for error in itertools.islice(validator.iter_errors(value), _MOST_ERRORS):
            path = "/".join(str(step) for step in error.instance_path) or "the whole"
            place = "/".join("*" if isinstance(step, int) else step for step in error.instance_path)
            rule = str(error.schema_path[-1])
            message = shorten(error.message, 200)
            # Each property that is missing is a flaw.
            flaw = f"{place or 'the whole'}: {message if rule == 'required' else rule}"
            flaws.setdefault(flaw, f"{path}: {message}")
    except (ValueError, RecursionError):
        # Nested too deeply for the validator: it cannot be judged.
        return {}
    return flaws


def read_number(text: str) -> int | float:
    """Read a JSON number with a point or an exponent; JSON Schema calls 4.0 an integer."""
    number = float(text)
    is_exact = number.is_integer() and abs(number) <= _EXACT
    return int(number) if is_exact else number


def read_json(body: bytes) -> Any:
    """Read JSON; the value must not be changed, since others read it, too.

    Raises:
        ValueError: It is no JSON; neither are NaN and Infinity.
        RecursionError: It is nested too deeply.
    """
    if len(body) <= _LARGEST_OF_MANY:
        return _remembered(body)
    return _remembered_large(body) if len(body) <= _LARGEST_OF_FEW else _read(body)


def _read(body: bytes) -> Any:
    return json.loads(body, parse_constant=_refuse, parse_float=read_number)


# Several rules read a body at about the same time.
_remembered = lru_cache(maxsize=64)(_read)
_remembered_large = lru_cache(maxsize=4)(_read)


def read_leniently(body: bytes) -> Any:
    """Read JSON in which NaN and Infinity may stand, which a rule judges; see `read_json`."""
    try:
        return read_json(body)
    except ValueError:
        return json.loads(body, parse_float=read_number)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
