"""The operations of openapi.yaml, read once: their paths, parameters, bodies and responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Place = Literal["path", "query", "header", "cookie"]
Types = frozenset[str]

TEXT: Types = frozenset({"string"})

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True)
class Shape:
    """Types of a value that is sent as text.

    Attributes:
        types: Its types.
        items: The types of its items, if it is a list, or of further keys of an object.
        fields: The shapes of its properties.
    """

    types: Types = TEXT
    items: Types = TEXT
    fields: Mapping[str, Shape] | None = None

    def field(self, name: str) -> Shape:
        return (self.fields or {}).get(name) or Shape(self.items)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Parameter of an operation.

    Attributes:
        name: Its name.
        place: Its place in a request.
        required: Whether a request without it is refused.
        shape: The types of its value.
        style: Its style.
        is_exploded: Whether each item and property is a parameter of its own.
        schema: JSON pointer to its schema.
        example: A value that is valid; None if the document has none.
    """

    name: str
    place: Place
    required: bool
    shape: Shape
    style: str
    is_exploded: bool
    schema: str
    example: Any


@dataclass(frozen=True, slots=True)
class Body:
    """Request body of an operation."""

    required: bool
    media_type: str
    shape: Shape
    schema: str


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """Response of an operation."""

    # Schemas by media type; empty for a response without content.
    schemas: Mapping[str, str]
    # Headers by lower-case name.
    headers: Mapping[str, str]
    required_headers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Operation:
    """Operation of openapi.yaml."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    responses: Mapping[str, ResponseSpec]
    # The scope that a key needs.
    scope: str

    def response(self, status: int) -> ResponseSpec | None:
        """Return the response for a status, or for its class; None if there is neither."""
        return self.responses.get(str(status)) or self.responses.get(f"{status // 100}XX")


def read_operations(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Read all operations, by id."""
    operations: dict[str, Operation] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = _read_operation(document, path, method)
                if operation.id in operations:
                    raise ValueError(f"operationId {operation.id} stands in openapi.yaml twice")
                operations[operation.id] = operation
    return operations


def resolve(document: Mapping[str, Any], pointer: str) -> tuple[Any, str]:
    """Return the node at a pointer, `$ref`s resolved, and the pointer of the node itself."""
    for _ in range(32):
        node: Any = document
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            node = node[int(key)] if isinstance(node, list) else node[key]
        if not isinstance(node, Mapping) or "$ref" not in node:
            return node, pointer
        reference = str(node["$ref"])
        if not reference.startswith("#/"):
            break
        pointer = reference[1:]
    raise ValueError(f"openapi.yaml: the $ref at {pointer} leads nowhere in this document")


def _read_operation(document: Mapping[str, Any], path: str, method: str) -> Operation:
    item_pointer = f"/paths/{path.replace('~', '~0').replace('/', '~1')}"
    pointer = f"{item_pointer}/{method}"
    node = resolve(document, pointer)[0]
    parameters: dict[tuple[str, str], Parameter] = {}
    for holder in (item_pointer, pointer):
        for index in range(len(resolve(document, holder)[0].get("parameters", ()))):
            parameter = _read_parameter(document, f"{holder}/parameters/{index}")
            parameters[parameter.place, parameter.name] = parameter
    body = None
    if "requestBody" in node:
        body_node, body_pointer = resolve(document, f"{pointer}/requestBody")
        media_type = next(iter(body_node["content"]))
        body_pointer = f"{body_pointer}/content/{media_type.replace('/', '~1')}"
        shape, schema = Shape(), ""
        if "schema" in resolve(document, body_pointer)[0]:
            schema_node, schema = resolve(document, f"{body_pointer}/schema")
            shape = _shape(document, schema_node)
        body = Body(bool(body_node.get("required", False)), media_type, shape, schema)
    responses = {
        str(status): _read_response(document, f"{pointer}/responses/{status}")
        for status in node["responses"]
    }
    scope = node.get("x-scope", "read" if method == "get" else "admin")
    return Operation(
        node["operationId"],
        method.upper(),
        path,
        tuple(parameters.values()),
        body,
        responses,
        scope,
    )


def _read_parameter(document: Mapping[str, Any], pointer: str) -> Parameter:
    node, pointer = resolve(document, pointer)
    schema, schema_pointer = resolve(document, f"{pointer}/schema")
    style = node.get("style", "form" if node["in"] in ("query", "cookie") else "simple")
    return Parameter(
        name=node["name"],
        place=node["in"],
        required=bool(node.get("required", False)),
        shape=_shape(document, schema),
        style=style,
        is_exploded=bool(node.get("explode", style == "form")),
        schema=schema_pointer,
        example=node.get("example"),
    )


def _shape(document: Mapping[str, Any], schema: Any, levels: int = 3) -> Shape:
    """Describe what a text means: types, and those of items and properties."""
    schema = schema if isinstance(schema, Mapping) else {}
    if "$ref" in schema:
        schema = resolve(document, str(schema["$ref"])[1:])[0]
    if not levels:
        return Shape()
    parts = [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    shapes = [_shape(document, part, levels - 1) for part in parts]
    declared = schema.get("type", "object" if "properties" in schema else ())
    types = {declared} if isinstance(declared, str) else {*declared}
    inner = schema.get("items", schema.get("additionalProperties", {}))
    fields = {name: field for shape in shapes for name, field in (shape.fields or {}).items()}
    fields |= {
        name: _shape(document, node, levels - 1)
        for name, node in schema.get("properties", {}).items()
    }
    return Shape(
        frozenset(types.union(*(shape.types for shape in shapes))),
        _shape(document, inner, levels - 1).types or TEXT,
        fields,
    )


def _read_response(document: Mapping[str, Any], pointer: str) -> ResponseSpec:
    node, pointer = resolve(document, pointer)
    schemas = {}
    for media_type in node.get("content", {}):
        place = media_type.replace("/", "~1")
        schemas[media_type] = resolve(document, f"{pointer}/content/{place}/schema")[1]
    headers, required = {}, set[str]()
    for name in node.get("headers", {}):
        header, header_pointer = resolve(document, f"{pointer}/headers/{name}")
        headers[name.lower()] = resolve(document, f"{header_pointer}/schema")[1]
        if header.get("required", False):
            required.add(name.lower())
    return ResponseSpec(schemas, headers, frozenset(required))
