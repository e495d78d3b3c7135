"""Cases of all kinds of changes of the contract, with the expected verdicts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from synth_pools.spec.changes.verdicts import REQUEST, RESPONSE, Level

Node = dict[str, Any]
Edit = Callable[[Node], object]

# Only requests have `Sent`, and only answers have `Read`.
_FIELDS: Node = {
    "name": {"type": "string", "maxLength": 64},
    "size": {"type": "integer", "minimum": 1, "maximum": 8, "default": 2},
    "mode": {"$ref": "#/components/schemas/Mode"},
    "note": {"type": ["string", "null"]},
    "tags": {"type": "array", "items": {"type": "string"}},
}
BASE: Node = {
    "openapi": "3.1.0",
    "info": {
        "title": "T",
        "version": "1.0.0",
        "description": (
            "Errors:\n\n"
            "| code | status | retryable | where |\n|---|---|---|---|\n"
            "| `not_found` | 404 | no | everywhere |\n"
            "| `conflict` | 409 | yes | `make`: the name is taken |\n\n"
            "| code | what it means |\n|---|---|\n| `other` | no table of errors |\n"
        ),
    },
    "security": [{"bearer": []}],
    "paths": {
        "/v1/things": {
            "post": {
                "operationId": "make",
                "tags": ["things"],
                "x-retry": "with-key",
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 100}},
                    {
                        "name": "labels",
                        "in": "query",
                        "schema": {"type": "array", "items": {"type": "string"}},
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Sent"}}
                    },
                },
                "responses": {
                    "200": {
                        "description": "It.",
                        "headers": {"x-request-id": {"schema": {"type": "string"}}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Read"}}
                        },
                    },
                    "404": {"$ref": "#/components/responses/Error"},
                },
            }
        }
    },
    "components": {
        "responses": {
            "Error": {
                "description": "No.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }
        },
        "schemas": {
            "Mode": {"type": "string", "enum": ["sync", "async"]},
            "ErrorCode": {"type": "string", "enum": ["not_found", "conflict"]},
            "Error": {
                "type": "object",
                "required": ["code"],
                "properties": {"code": {"$ref": "#/components/schemas/ErrorCode"}},
            },
            "Sent": {
                "type": "object",
                "required": ["name"],
                "propertyNames": {"maxLength": 16},
                "properties": copy.deepcopy(_FIELDS),
            },
            "Read": {
                "type": "object",
                "required": ["name", "size"],
                "propertyNames": {"maxLength": 16},
                "properties": copy.deepcopy(_FIELDS),
            },
        },
    },
}


def operation(document: Node) -> Node:
    node: Node = document["paths"]["/v1/things"]["post"]
    return node


def both(edit: Callable[[Node], object]) -> Edit:
    """Edit the objects of the request and of the answer in the same way."""

    def change(document: Node) -> None:
        for name in ("Sent", "Read"):
            edit(document["components"]["schemas"][name])

    return change


def field(name: str, **keywords: Any) -> Edit:
    return both(lambda schema: schema["properties"][name].update(keywords))


def schema(name: str, edit: Callable[[Node], object]) -> Edit:
    return lambda document: edit(document["components"]["schemas"][name])


def rename(node: Node, old: str, new: str) -> None:
    node[new] = node.pop(old)


def parameter(**keywords: Any) -> Edit:
    return lambda document: operation(document)["parameters"][0].update(keywords)


def response(edit: Callable[[Node], object]) -> Edit:
    return lambda document: edit(operation(document)["responses"]["200"])


def rename_mode(document: Node) -> None:
    rename(document["components"]["schemas"], "Mode", "Way")
    field("mode", **{"$ref": "#/components/schemas/Way"})(document)


B, G, N = Level.BREAKING, Level.GROWTH, Level.NOTE
C, S, CS = ("clients",), ("servers",), ("clients", "servers")
# An expected change: kind, direction, weight, the sides that break, and the place.
Expected = tuple[str, str, Level, tuple[str, ...], str]


def twice(
    kinds: str | tuple[str, str],
    place: str,
    in_request: tuple[Level, Any],
    in_response: tuple[Level, Any],
) -> list[Expected]:
    """Expect a change in the request and in the answer."""
    first, second = (kinds, kinds) if isinstance(kinds, str) else kinds
    return [
        (first, REQUEST, *in_request, f"Sent{place}"),
        (second, RESPONSE, *in_response, f"Read{place}"),
    ]


TEXT: Node = {"type": "string"}
CASES: dict[str, tuple[Edit, list[Expected]]] = {
    "operation added": (
        lambda d: d["paths"]["/v1/things"].update(
            get={"operationId": "list", "tags": ["things"], "responses": {}}
        ),
        [("operation-added", "operation", G, (), "GET /v1/things")],
    ),
    "operation removed": (
        lambda d: d["paths"].clear(),
        [("operation-removed", "operation", B, C, "POST /v1/things")],
    ),
    "operation under another name": (
        lambda d: operation(d).update(operationId="create"),
        [("operation-renamed", "operation", B, C, "POST /v1/things")],
    ),
    "operation at another address": (
        lambda d: rename(d["paths"], "/v1/things", "/v1/items"),
        [("operation-moved", "operation", B, C, "POST /v1/things")],
    ),
    "operation deprecated": (
        lambda d: operation(d).update(deprecated=True),
        [("operation-deprecated", "operation", G, (), "POST /v1/things")],
    ),
    "operation under another tag": (
        lambda d: operation(d).update(tags=["items"]),
        [("tag-changed", "operation", B, C, "POST /v1/things")],
    ),
    "repetition no longer allowed": (
        lambda d: operation(d).pop("x-retry"),
        [("retry-weakened", "operation", B, C, "POST /v1/things")],
    ),
    "repetition always allowed": (
        lambda d: operation(d).update({"x-retry": "always"}),
        [("retry-strengthened", "operation", B, S, "POST /v1/things")],
    ),
    "another kind of key": (
        lambda d: d.update(security=[{"other": []}]),
        [
            ("key-demanded", "operation", B, C, "security"),
            ("login-added", "operation", G, (), "security"),
        ],
    ),
    "no key": (
        lambda d: operation(d).update(security=[]),
        [("key-no-longer-demanded", "operation", G, (), "security")],
    ),
    "parameter added": (
        lambda d: operation(d)["parameters"].append({"name": "q", "in": "query", "schema": TEXT}),
        [("parameter-added", REQUEST, G, (), "query parameter q")],
    ),
    "required parameter added": (
        lambda d: operation(d)["parameters"].append(
            {"name": "X-Org", "in": "header", "required": True, "schema": TEXT}
        ),
        [("required-parameter-added", REQUEST, B, C, "header parameter x-org")],
    ),
    "parameter removed": (
        lambda d: operation(d)["parameters"].pop(0),
        [("parameter-removed", REQUEST, B, C, "query parameter limit")],
    ),
    "parameter made required": (
        parameter(required=True),
        [("parameter-made-required", REQUEST, B, C, "query parameter limit")],
    ),
    "parameter in another style": (
        lambda d: operation(d)["parameters"][1].update(explode=False),
        [("parameter-style-changed", REQUEST, B, C, "query parameter labels")],
    ),
    "parameter deprecated": (
        parameter(deprecated=True),
        [("field-deprecated", REQUEST, G, (), "query parameter limit")],
    ),
    "default of a parameter changed": (
        parameter(schema={"type": "integer", "default": 50}),
        [("default-changed", REQUEST, B, C, "query parameter limit")],
    ),
    "body no longer required": (
        lambda d: operation(d)["requestBody"].pop("required"),
        [("body-made-optional", REQUEST, G, (), "body")],
    ),
    "body removed": (
        lambda d: operation(d).pop("requestBody"),
        [("body-removed", REQUEST, B, C, "body")],
    ),
    "media type of a request added": (
        lambda d: operation(d)["requestBody"]["content"].update({"text/plain": {"schema": TEXT}}),
        [("media-type-added", REQUEST, G, (), "body")],
    ),
    "media type of a request replaced": (
        lambda d: rename(operation(d)["requestBody"]["content"], "application/json", "text/json"),
        [
            ("media-type-removed", REQUEST, B, C, "body"),
            ("media-type-added", REQUEST, G, (), "body"),
        ],
    ),
    "media type of an answer added": (
        response(lambda r: r["content"].update({"text/csv": {"schema": TEXT}})),
        [("media-type-added", RESPONSE, G, (), "response 200")],
    ),
    "media type of an answer removed": (
        response(lambda r: r["content"].clear()),
        [("media-type-removed", RESPONSE, B, CS, "response 200")],
    ),
    "success of another status": (
        lambda d: rename(operation(d)["responses"], "200", "201"),
        [
            ("success-removed", RESPONSE, B, CS, "response 200"),
            ("success-added", RESPONSE, B, C, "response 201"),
        ],
    ),
    "error status added": (
        lambda d: operation(d)["responses"].update({"409": operation(d)["responses"]["404"]}),
        [("error-status-added", RESPONSE, G, (), "response 409")],
    ),
    "error status removed": (
        lambda d: operation(d)["responses"].pop("404"),
        [("error-status-removed", RESPONSE, B, S, "response 404")],
    ),
    "a range in place of a status says the same": (
        lambda d: operation(d)["responses"].update({"4XX": operation(d)["responses"].pop("404")}),
        [("error-status-added", RESPONSE, G, (), "response 4XX")],
    ),
    "header added": (
        response(lambda r: r["headers"].update(Location={"schema": TEXT})),
        [("header-added", RESPONSE, G, (), "header location")],
    ),
    "required header added": (
        response(lambda r: r["headers"].update(Location={"schema": TEXT, "required": True})),
        [("required-header-added", RESPONSE, B, S, "header location")],
    ),
    "header removed": (
        response(lambda r: r.pop("headers")),
        [("header-removed", RESPONSE, B, C, "header x-request-id")],
    ),
    "header made required": (
        response(lambda r: r["headers"]["x-request-id"].update(required=True)),
        [("header-made-required", RESPONSE, B, S, "header x-request-id")],
    ),
    "field added": (
        both(lambda s: s["properties"].update(colour=TEXT)),
        twice("field-added", ".colour", (G, ()), (G, ())),
    ),
    "required field added": (
        both(lambda s: (s["properties"].update(colour=TEXT), s["required"].append("colour"))),
        twice("required-field-added", ".colour", (B, C), (B, S)),
    ),
    "field removed": (
        both(lambda s: s["properties"].pop("size")),
        twice("field-removed", ".size", (B, C), (B, C)),
    ),
    "field renamed": (
        both(lambda s: rename(s["properties"], "size", "count")),
        twice("field-renamed", ".size", (B, C), (B, CS)),
    ),
    "field made required": (
        both(lambda s: s["required"].append("note")),
        twice("field-made-required", ".note", (B, C), (B, S)),
    ),
    "field made optional": (
        both(lambda s: s["required"].remove("name")),
        twice("field-made-optional", ".name", (G, ()), (B, C)),
    ),
    "field made nullable": (
        field("name", type=["string", "null"]),
        twice("made-nullable", ".name", (G, ()), (B, C)),
    ),
    "field no longer nullable": (
        field("note", type="string"),
        twice("no-longer-nullable", ".note", (B, C), (B, S)),
    ),
    "field that is a schema of its own made nullable": (
        both(
            lambda s: s["properties"].update(
                mode={"anyOf": [{"$ref": "#/components/schemas/Mode"}, {"type": "null"}]}
            )
        ),
        twice("made-nullable", ".mode", (G, ()), (B, C)),
    ),
    "field deprecated": (
        field("note", deprecated=True),
        twice("field-deprecated", ".note", (G, ()), (G, ())),
    ),
    "field that the server owns": (
        field("note", readOnly=True),
        [("field-removed", REQUEST, B, C, "Sent.note")],
    ),
    "another type": (field("size", type="string"), twice("type-changed", ".size", (B, C), (B, CS))),
    "a wider type": (field("size", type="number"), twice("type-widened", ".size", (G, ()), (B, C))),
    "a type among those that there were": (
        both(lambda s: s["properties"]["tags"]["items"].pop("type")),
        twice("type-widened", ".tags[]", (G, ()), (B, C)),
    ),
    "enumerated value added": (
        schema("Mode", lambda s: s["enum"].append("later")),
        [
            ("enum-value-added", REQUEST, G, (), "Mode"),
            ("enum-value-added", RESPONSE, G, (), "Mode"),
        ],
    ),
    "enumerated value removed": (
        schema("Mode", lambda s: s["enum"].remove("sync")),
        [
            ("enum-value-removed", REQUEST, B, C, "Mode"),
            ("enum-value-removed", RESPONSE, B, CS, "Mode"),
        ],
    ),
    "text that is enumerated now": (
        field("name", enum=["a", "b"]),
        twice("enum-closed", ".name", (B, C), (B, S)),
    ),
    "enumeration that is any text now": (
        schema("Mode", lambda s: s.pop("enum")),
        [("enum-opened", REQUEST, G, (), "Mode"), ("enum-opened", RESPONSE, G, (), "Mode")],
    ),
    "bound tightened": (
        field("size", maximum=4),
        twice("bound-tightened", ".size", (B, C), (B, S)),
    ),
    "bound added": (field("tags", maxItems=4), twice("bound-tightened", ".tags", (B, C), (B, S))),
    "bound loosened": (
        field("name", maxLength=128),
        twice("bound-loosened", ".name", (G, ()), (B, C)),
    ),
    "bound removed": (
        both(lambda s: s["properties"]["size"].pop("minimum")),
        twice("bound-loosened", ".size", (G, ()), (B, C)),
    ),
    "lower bound tightened": (
        field("size", minimum=2),
        twice("bound-tightened", ".size", (B, C), (B, S)),
    ),
    "form added": (field("name", pattern="^a"), twice("form-added", ".name", (B, C), (B, S))),
    "object closed": (
        both(lambda s: s.update(additionalProperties=False)),
        twice("object-closed", "", (B, C), (B, S)),
    ),
    "values of free fields limited": (
        both(lambda s: s.update(additionalProperties={"type": "string"})),
        twice("type-narrowed", ".*", (B, C), (B, S)),
    ),
    "variant added": (
        both(lambda s: s["properties"].update(tags={"anyOf": [s["properties"]["tags"], TEXT]})),
        twice("variant-added", ".tags", (G, ()), (B, C)),
    ),
    "rule that nothing here knows": (
        both(lambda s: s.update(propertyNames={"maxLength": 8})),
        twice("constraint-changed", "", (B, C), (B, CS)),
    ),
    "default changed": (
        field("size", default=3),
        twice("default-changed", ".size", (B, C), (N, ())),
    ),
    "default told": (field("name", default="it"), twice("default-told", ".name", (N, ()), (N, ()))),
    "schema renamed": (rename_mode, [("schema-renamed", "operation", N, (), "Mode")]),
}
