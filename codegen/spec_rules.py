"""Rules of openapi.yaml that no linter has; each problem is one line, with place and correction.

They are checked before generators and linters, which ignore some of these mistakes and answer
others with pages of output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.parts import FOLDER, PATHS, JoinedDocument
from codegen.references import operations
from synth_pools.spec.changes.source import (
    OpenApiFile,
    Pointer,
    UnusableDocumentError,
    iter_parts,
    kind_of,
    parse_openapi_text,
    read_openapi_file,
)

_COMPOSED = ("allOf", "anyOf", "oneOf")
_TYPED = {"type", "$ref", "enum", "const", *_COMPOSED}
_NAMED_SCHEMAS = ("properties", "schemas", "patternProperties", "$defs", "dependentSchemas")
# Words in the description of a schema without a type.
_ANY = ("free-form", "any json")
# An example of bytes explains nothing.
_BINARY = ("application/octet-stream", "application/zip", "application/gzip")


def read_spec_file(path: Path) -> OpenApiFile:
    """Read a document and check it against the rules.

    Raises:
        CodegenError: It is no OpenAPI document, or breaks a rule; one line for each.
    """
    try:
        file = read_openapi_file(path)
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    return _keep_rules(file)


def read_joined_spec(document: JoinedDocument) -> OpenApiFile:
    """Read the joined openapi.yaml, with its lines located in the parts, and check the rules.

    Raises:
        CodegenError: It is no OpenAPI document, or breaks a rule; one line for each.
    """
    try:
        file = parse_openapi_text(document.text, document.path, document.locate)
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    return _keep_rules(file, *misplaced_operations(file))


def _keep_rules(file: OpenApiFile, *problems: str) -> OpenApiFile:
    problems = (*problems, *untyped_schemas(file), *missing_examples(file))
    if problems:
        raise CodegenError("\n".join(problems))
    return file


def misplaced_operations(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the operations outside the part of their tag."""
    for method, path, operation in operations(file.content):
        tags = operation.get("tags")
        where = file.at(("paths", path, method.lower()))
        part = Path(where.rpartition(":")[0])
        if tags and part.parent.name == PATHS and part.stem != tags[0]:
            yield f"{where}: its tag is {tags[0]}; write it in {FOLDER}/{PATHS}/{tags[0]}.yaml"


def untyped_schemas(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the schemas without a type that do not say that they accept any value.

    Generators silently accept any value for a schema without a type.
    """
    for pointer, node in iter_parts(file.content):
        if not isinstance(node, dict) or not _is_schema(pointer) or _TYPED & node.keys():
            continue
        if pointer[-2] in _COMPOSED and node and node.keys() <= {"required", "not"}:
            # This alternative only lists required properties.
            continue
        description = " ".join(str(node.get("description", "")).lower().split())
        if not any(word in description for word in _ANY):
            name = ".".join(str(step) for step in pointer if step != "properties")
            yield (
                f"{file.at(pointer)}: {name} has no type: write 'type: string', or what it is; "
                "if any value is meant, say 'Any JSON value' in its description"
            )


def missing_examples(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the bodies and parameters without an example."""
    for method, path, operation in operations(file.content):
        for pointer, content in _contents(file, ("paths", path, method.lower()), operation):
            for media, described in content.items():
                if media not in _BINARY and not _has_example(described):
                    where = "/".join(str(step) for step in pointer[3:])
                    yield (
                        f"{file.at((*pointer, media))}: {operation.get('operationId')}: "
                        f"{where} has no example: write 'examples:' beside its 'schema:'"
                    )
    for pointer, parameter in _parameters(file):
        if not _has_example(parameter):
            yield (
                f"{file.at(pointer)}: parameter {parameter.get('name')} has no example: "
                "write 'example:' beside its 'schema:'"
            )


def _is_schema(pointer: Pointer) -> bool:
    if not pointer or kind_of(pointer) != "object":
        return False
    last, before = pointer[-1], pointer[-2] if len(pointer) > 1 else ""
    if before in _NAMED_SCHEMAS and kind_of(pointer[:-1]) == "names":
        return True
    return last in ("schema", "items", "additionalProperties") or before in _COMPOSED


def _contents(
    file: OpenApiFile, base: Pointer, operation: dict[str, Any]
) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """Iterate over the request body and the successful response bodies of an operation."""
    places: list[tuple[Pointer, Any]] = [((*base, "requestBody"), operation.get("requestBody"))]
    for status, response in (operation.get("responses") or {}).items():
        if str(status).startswith("2"):
            places.append(((*base, "responses", status), response))
    for pointer, node in places:
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("$ref"), str):
            pointer, node = file.find(node["$ref"])
        if isinstance(node.get("content"), dict):
            yield (*pointer, "content"), node["content"]


def _parameters(file: OpenApiFile) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    for pointer, node in iter_parts(file.content):
        # Security schemes of the type apiKey also have `in` and `name`.
        if not isinstance(node, dict) or "securitySchemes" in pointer:
            continue
        if {"in", "name"} <= node.keys() and kind_of(pointer) == "object":
            yield pointer, node


def _has_example(node: Any) -> bool:
    return isinstance(node, dict) and bool("example" in node or node.get("examples"))
