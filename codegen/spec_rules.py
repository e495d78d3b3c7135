"""Rules of openapi.yaml that no linter has, each broken one a line: where, and what to write.

They come before every generator and every linter, which pass over some of these in silence and
answer others with pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.parts import FOLDER, PATHS, JoinedDocument
from synth_pools.spec.changes.source import (
    OpenApiFile,
    Pointer,
    UnusableDocumentError,
    iter_parts,
    kind_of,
    parse_openapi_text,
    read_openapi_file,
)

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_COMPOSED = ("allOf", "anyOf", "oneOf")
_TYPED = {"type", "$ref", "enum", "const", *_COMPOSED}
_NAMED_SCHEMAS = ("properties", "schemas", "patternProperties", "$defs", "dependentSchemas")
# How the description of a schema says that no type is meant.
_ANY = ("free-form", "any json")
# Bytes: an example of them would tell nothing.
_BINARY = ("application/octet-stream", "application/zip", "application/gzip")


def read_spec_file(path: Path) -> OpenApiFile:
    """Read a document and hold it to the rules.

    Args:
        path: The file.

    Returns:
        The document.

    Raises:
        CodegenError: It is no OpenAPI document, or breaks a rule; one line for each.
    """
    try:
        file = read_openapi_file(path)
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    return _keep_rules(file)


def read_joined_spec(document: JoinedDocument) -> OpenApiFile:
    """Read openapi.yaml as it was joined, and hold it to the rules.

    Args:
        document: The document.

    Returns:
        The document; what is said about a line of it names the part.

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
    """Iterate over the operations that do not stand in the part of their tag."""
    for path, item in file.content["paths"].items():
        for method in _METHODS:
            operation = item.get(method)
            tags = operation.get("tags") if isinstance(operation, dict) else None
            where = file.at(("paths", path, method))
            part = Path(where.rpartition(":")[0])
            if tags and part.parent.name == PATHS and part.stem != tags[0]:
                yield f"{where}: its tag is {tags[0]}; write it in {FOLDER}/{PATHS}/{tags[0]}.yaml"


def untyped_schemas(file: OpenApiFile) -> Iterator[str]:
    """Iterate over the schemas that say no type, and not that they mean any.

    Generators take a schema without a type for one of any value, and say nothing.
    """
    for pointer, node in iter_parts(file.content):
        if not isinstance(node, dict) or not _is_schema(pointer) or _TYPED & node.keys():
            continue
        if pointer[-2] in _COMPOSED and node and node.keys() <= {"required", "not"}:
            # An alternative that only says which of the properties beside it are needed.
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
    for path, item in file.content["paths"].items():
        for method in _METHODS:
            operation = item.get(method)
            if not isinstance(operation, dict):
                continue
            base = ("paths", path, method)
            for pointer, content in _contents(file, base, operation):
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
    """Iterate over the bodies of an operation: that of its request, and those of success."""
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
        # A security scheme of the type apiKey has both, too.
        if not isinstance(node, dict) or "securitySchemes" in pointer:
            continue
        if {"in", "name"} <= node.keys() and kind_of(pointer) == "object":
            yield pointer, node


def _has_example(node: Any) -> bool:
    return isinstance(node, dict) and bool("example" in node or node.get("examples"))
