"""Schemas as Markdown tables, with a row for each field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from codegen.references import resolve

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}
_NOT_EMPTY = (("minLength", 1), ("minItems", 1))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Write a text of several lines for a cell."""
    return " ".join(text.replace("|", "\\|").split())


def rows_of(document: dict[str, Any], schema: dict[str, Any]) -> list[list[str]]:
    """List the fields of an object, inherited ones included: name, type, meaning."""
    rows: list[list[str]] = []
    for part in schema.get("allOf", []):
        rows += rows_of(document, resolve(document, part))
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        about = [str(field.get("description", ""))]
        if "default" in field:
            about.append(f"Default: `{json.dumps(field['default'])}`.")
        if field.get("deprecated"):
            about.append("Deprecated.")
        marked = f"`{name}`{', required' if name in required else ''}"
        rows.append([marked, named_type(field), cell(" ".join(about))])
    return rows


def named_type(schema: dict[str, Any]) -> str:
    """Describe the values of a schema in a few words, with a link to a named schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](schemas.md#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(named_type(variant) for variant in schema[key])
    if "allOf" in schema:
        return " and ".join(named_type(part) for part in schema["allOf"])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    kinds = schema.get("type", "any value")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if "items" in schema:
        text = f"list of {named_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        text += f" of {named_type(schema['additionalProperties'])}"
    if "format" in schema:
        text += f" ({schema['format']})"
    bounds = [
        "not empty" if (key, schema[key]) in _NOT_EMPTY else text.format(schema[key])
        for key, text in _BOUNDS.items()
        if key in schema
    ]
    return ", ".join([text, *bounds])
