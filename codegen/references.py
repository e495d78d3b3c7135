"""Nodes of a document, found through their references."""

from __future__ import annotations

from typing import Any


def resolve(document: dict[str, Any], node: Any) -> Any:
    """Follow references within the document; return an empty object where one leads nowhere."""
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        node = target
    return node


def properties(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    """Return the properties of an object, inherited ones included."""
    schema = resolve(document, schema)
    own: dict[str, Any] = schema.get("properties", {})
    for part in schema.get("allOf", []):
        own = {**own, **properties(document, part)}
    return own


def success_content(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the first successful answer by media type."""
    for status, response in operation.get("responses", {}).items():
        if str(status).startswith("2"):
            content: dict[str, Any] = resolve(document, response).get("content", {})
            return content
    return {}
