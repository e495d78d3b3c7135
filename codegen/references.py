"""Operations of a document, and nodes found through references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Iterate over (METHOD, path, operation); skip everything that is no operation."""
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict):
                yield method.upper(), path, operation


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
    fields: dict[str, Any] = schema.get("properties", {})
    for part in schema.get("allOf", []):
        fields = {**fields, **properties(document, part)}
    return fields


def success_content(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the first successful answer by media type."""
    for status, response in operation.get("responses", {}).items():
        if str(status).startswith("2"):
            content: dict[str, Any] = resolve(document, response).get("content", {})
            return content
    return {}
