"""Rules for schemas: keywords, names and alternatives that the generated models would lose.

A generator passes over them without a word, or makes another class of them. Each is refused with
its line and what to write instead; docs/changing-the-api.md says what may be used.
"""

from __future__ import annotations

import itertools
from typing import Any

from openapi_python_client.strings import ClassName, PythonIdentifier, snake_case

from codegen.operation_rules import Problems, types_of
from codegen.references import operations, properties, resolve, schemas
from synth_pools.spec.changes.parsing import Pointer, iter_parts
from synth_pools.spec.changes.source import OpenApiFile

_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_REFERENCE = "$ref: '#/components/schemas/...'"
_NULLABLE = "anyOf: [{$ref: '#/components/schemas/...'}, {type: 'null'}]"
# Keywords that the models lose, and what to write instead.
_LOST = {
    "nullable": "write type: [string, 'null'], or anyOf: with {type: 'null'}",
    "patternProperties": "write additionalProperties: with a schema",
    "prefixItems": "write an object with a property for each item",
    "$defs": "write the schema in components/schemas",
    "$dynamicRef": f"write {_REFERENCE}",
}
_BESIDE_REFERENCES = {
    "$ref", "default", "deprecated", "description", "example", "examples", "readOnly", "title",
    "writeOnly",
}  # fmt: skip
# Names that the generated models have for themselves.
_RESERVED = {
    "additional_keys", "additional_properties", "cast", "cls", "d", "field_dict", "from_dict",
    "pop_older", "prop", "prop_dict", "prop_name", "read_choice", "read_flag", "read_integer",
    "read_number", "read_object", "read_optional", "read_text", "refuse_keys", "src_dict",
    "to_dict", "wrong_type",
}  # fmt: skip
_CLASSES = {
    "Any", "AuthenticatedClient", "Client", "Enum", "HTTPStatus", "Literal", "Mapping", "Required",
    "Response", "Sequence", "T", "TypeAlias", "TypeVar", "TypedDict", "UNSET", "Unset",
}  # fmt: skip


def schema_problems(file: OpenApiFile) -> Problems:
    """Iterate over the problems of all schemas."""
    modules: dict[str, Any] = {}
    answered = _schemas_of_answers(file.content)
    for pointer, node in schemas(file):
        name = ".".join(str(step) for step in pointer if step != "properties")
        if pointer[:-1] == ("components", "schemas"):
            class_name = ClassName(str(pointer[-1]), "Schema")
            first = modules.setdefault(snake_case(class_name), pointer[-1])
            if first != pointer[-1]:
                yield pointer, f"{name} has the module of {first}: write another name"
            if class_name != pointer[-1] or class_name in _CLASSES:
                text = f"write another in Pascal case, as {class_name.rstrip('_')}Value"
                yield pointer, f"{name} has no name of a class of ours: {text}"
        if isinstance(node, bool) and pointer[-1] != "additionalProperties":
            text = "write {} with 'Any JSON value' in its description" if node else "remove it"
            yield pointer, f"{name} is {str(node).lower()}: {text}"
        if isinstance(node, dict):
            yield from _keywords(pointer, node, name)
            yield from _combined(file.content, pointer, node, name)
            if (
                "discriminator" in node
                or "responses" in pointer
                or "/".join(map(str, ("#", *pointer[:3]))) in answered
            ):
                yield from _alternatives(file.content, pointer, node, name)


def _keywords(pointer: Pointer, node: dict[str, Any], name: str) -> Problems:
    for key, advice in _LOST.items():
        if key in node:
            yield (*pointer, key), f"{name}: {key} is lost in the models: {advice}"
    for key in sorted(node.keys() - _BESIDE_REFERENCES) if "$ref" in node else ():
        if not key.startswith("x-"):
            yield (*pointer, key), f"{name}: {key} is lost beside $ref: write allOf: with both"
    own_names = {*_RESERVED}
    for key, described in node.get("properties", {}).items():
        if isinstance(described, dict) and described.get("type") == "array":
            # The loop over a list has these variables.
            own_names |= {f"{key}_item", f"{key}_item_data"}
    for key in node.get("properties", {}):
        if PythonIdentifier(key, "field_") in own_names:
            text = "is a name that models have for themselves: write another"
            yield (*pointer, "properties", key), f"{name}: property {key} {text}"
    values, constant = node.get("enum", [""]), node.get("const", "")
    if None in values:
        text = f"write {_NULLABLE}, with the enumeration in components/schemas"
        yield pointer, f"{name}: null in an enumeration makes several classes: {text}"
    elif not values or not all(isinstance(value, str) for value in values):
        text = "write texts, or type: integer with minimum: and maximum:"
        yield pointer, f"{name}: an enumeration is of texts: {text}"
    if isinstance(constant, bool) or not isinstance(constant, str | int):
        yield pointer, f"{name}: a constant is a text or a whole number: write its type alone"
    if node.get("format") == "binary" and "content" not in pointer[-3:-2]:
        text = "write contentEncoding: base64, or a body of application/octet-stream"
        yield pointer, f"{name}: JSON holds no bytes: {text}"
    declared = node.get("type", [])
    for kind in [declared] if isinstance(declared, str) else declared:
        if kind not in _TYPES:
            text = f"write one of {', '.join(_TYPES)}"
            yield (*pointer, "type"), f"{name}: type {kind} is none of JSON Schema: {text}"
    if declared == "array" and not {"items", "prefixItems"} & node.keys():
        yield pointer, f"{name}: a list without items: write items: with their schema"


def _alternatives(
    document: dict[str, Any], pointer: Pointer, node: dict[str, Any], name: str
) -> Problems:
    """Refuse objects as alternatives, of which the first that fits would be read."""
    discriminator = node.get("discriminator", {}).get("propertyName")
    listed = node.get("oneOf", node.get("anyOf", ()) if discriminator else ())
    variants = [part for part in listed if types_of(document, part) == {"object"}]
    noun = f"a required {discriminator or 'property'}"
    for first, later in itertools.combinations(variants, 2):
        constants, others = _constants(document, first), _constants(document, later)
        distinct = {key for key in constants if constants[key] != others.get(key, constants[key])}
        if not discriminator and _required(document, first) - properties(document, later).keys():
            continue
        if not distinct or discriminator not in {None, *distinct}:
            text = f"write {noun} with a const of its own in each"
            yield pointer, f"{name}: the first of these objects that fits would be read: {text}"
            return


def _schemas_of_answers(document: dict[str, Any]) -> set[str]:
    nodes = [operation.get("responses") for _, _, operation in operations(document)]
    names: set[str] = set()
    while nodes:
        for pointer, part in iter_parts(nodes.pop()):
            if pointer[-1:] == ("$ref",) and part not in names:
                names.add(part)
                nodes.append(resolve(document, {"$ref": part}))
    return names


def _combined(
    document: dict[str, Any], pointer: Pointer, node: dict[str, Any], name: str
) -> Problems:
    """Refuse alternatives beside properties, or among the parts of an object."""
    places = [(pointer, node)] if "properties" in node else []
    places += [
        ((*pointer, "allOf", number), part) for number, part in enumerate(node.get("allOf", ()))
    ]
    for place, part in places:
        for key in ("anyOf", "oneOf"):
            alternatives = resolve(document, part).get(key, ())
            if not all(variant.keys() <= {"required", "not"} for variant in alternatives):
                text = "write the properties in each alternative"
                yield (*place, key), f"{name}: {key} is lost beside other properties: {text}"


def _required(document: dict[str, Any], schema: Any) -> set[str]:
    schema = resolve(document, schema)
    inherited = (_required(document, part) for part in schema.get("allOf", ()))
    return set(schema.get("required", ())).union(*inherited)


def _constants(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    """Return the required properties with a constant, and the constants."""
    constants: dict[str, Any] = {}
    required = _required(document, schema)
    for key, node in properties(document, schema).items():
        values = resolve(document, node)
        values = values.get("enum", [values["const"]] if "const" in values else [])
        if key in required and len(values) == 1:
            constants[key] = values[0]
    return constants
