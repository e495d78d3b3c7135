"""Parts of a document: operations, schemas, bodies, parameters, and what references lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synth_pools.spec.changes.parsing import Pointer, iter_parts, kind_of
from synth_pools.spec.changes.source import OpenApiFile

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# References to references.
_LONGEST_CHAIN = 16
COMPOSED = ("allOf", "anyOf", "oneOf")
_NAMED_SCHEMAS = ("properties", "schemas", "patternProperties", "$defs", "dependentSchemas")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Iterate over (METHOD, path, operation); skip everything that is no operation."""
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict):
                yield method.upper(), path, operation


def contents(
    file: OpenApiFile, base: Pointer, operation: dict[str, Any]
) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """Iterate over the request body and the successful response bodies of an operation."""
    places: list[tuple[Pointer, Any]] = [((*base, "requestBody"), operation.get("requestBody"))]
    for status, response in (operation.get("responses") or {}).items():
        if str(status).startswith("2"):
            places.append(((*base, "responses", status), response))
    for pointer, node in places:
        for _ in range(_LONGEST_CHAIN):
            if isinstance(node, dict) and isinstance(node.get("$ref"), str):
                pointer, node = file.find(node["$ref"])
        if isinstance(node, dict) and isinstance(node.get("content"), dict):
            yield (*pointer, "content"), node["content"]


def parameters(file: OpenApiFile) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """Iterate over all parameters, shared ones once."""
    for pointer, node in iter_parts(file.content):
        # Security schemes of the type apiKey also have `in` and `name`.
        if not isinstance(node, dict) or "securitySchemes" in pointer:
            continue
        if {"in", "name"} <= node.keys() and kind_of(pointer) == "object":
            yield pointer, node


def schemas(file: OpenApiFile) -> Iterator[tuple[Pointer, Any]]:
    """Iterate over all schemas, nested ones included."""
    for pointer, node in iter_parts(file.content):
        if _is_schema(pointer):
            yield pointer, node


def circles(file: OpenApiFile) -> Iterator[tuple[Pointer, str]]:
    """Iterate over the schemas that are defined by themselves, which no other rule can read."""
    for name, schema in file.content.get("components", {}).get("schemas", {}).items():
        pointer: Pointer = ("components", "schemas", name)
        waiting, visited = [schema], set[Pointer]()
        while waiting:
            node = waiting.pop()
            if not isinstance(node, dict):
                continue
            waiting += node.get("allOf", ())
            if isinstance(node.get("$ref"), str):
                target, node = file.find(node["$ref"])
                if target == pointer:
                    text = "write in $ref and allOf: what does not lead back here"
                    yield pointer, f"components.schemas.{name} is defined by itself: {text}"
                    break
                if target not in visited:
                    visited.add(target)
                    waiting.append(node)


def _is_schema(pointer: Pointer) -> bool:
    if not pointer or kind_of(pointer) != "object":
        return False
    last, before = pointer[-1], pointer[-2] if len(pointer) > 1 else ""
    if before in _NAMED_SCHEMAS and kind_of(pointer[:-1]) == "names":
        return True
    return last in ("schema", "items", "additionalProperties") or before in COMPOSED


def resolve(document: dict[str, Any], node: Any) -> Any:
    """Follow references within the document; return an empty object for true, false and nowhere."""
    for _ in range(_LONGEST_CHAIN):
        if not (isinstance(node, dict) and isinstance(node.get("$ref"), str)):
            return {} if isinstance(node, bool) else node
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        node = target
    return {}


def properties(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    """Return the properties of an object, inherited ones included."""
    schema = resolve(document, schema)
    fields: dict[str, Any] = schema.get("properties", {})
    for part in schema.get("allOf", []):
        fields = {**fields, **properties(document, part)}
    return fields


def joined(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Write a constant as an enumeration, `oneOf` as `anyOf`, and the parts of `allOf` as one."""
    schema_of_all = {
        key: value for key, value in schema.items() if key not in ("allOf", "const", "oneOf")
    }
    if "const" in schema:
        schema_of_all["enum"] = [schema["const"]]
    if "oneOf" in schema:
        schema_of_all.setdefault("anyOf", schema["oneOf"])
    for part in schema.get("allOf", ()):
        for key, value in joined(document, resolve(document, part)).items():
            if key == "properties":
                schema_of_all[key] = {**value, **schema_of_all.get(key, {})}
            elif key == "required":
                schema_of_all[key] = [*dict.fromkeys([*schema_of_all.get(key, ()), *value])]
            elif key != "additionalProperties":
                schema_of_all.setdefault(key, value)
    return schema_of_all


def success_content(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the first successful answer by media type."""
    for status, response in operation.get("responses", {}).items():
        if str(status).startswith("2"):
            content: dict[str, Any] = resolve(document, response).get("content", {})
            return content
    return {}
