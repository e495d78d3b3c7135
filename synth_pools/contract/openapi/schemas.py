"""Schemas of a document, in the dialect that the validator reads: JSON Schema 2020-12."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from synth_pools.contract.results import shorten


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


def complaints_of(validator: jsonschema_rs.Draft202012Validator, value: Any) -> list[str]:
    """Validate a value; return up to three complaints."""
    complaints: list[str] = []
    try:
        for error in validator.iter_errors(value):
            path = "/".join(str(step) for step in error.instance_path) or "the whole"
            complaints.append(f"{path}: {shorten(error.message, 200)}")
            if len(complaints) == 3:
                break
    except (ValueError, RecursionError):
        # Nested too deeply for the validator: it cannot be judged.
        return []
    return complaints
