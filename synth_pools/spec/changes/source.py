"""OpenAPI documents read from files, with the line of each part."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from synth_pools.spec.changes.files import FILES, join_files
from synth_pools.spec.changes.parsing import (
    Pointer,
    UnusableDocumentError,
    described_objects,
    kind_of,
    parse_text,
    read_document_text,
)
from synth_pools.spec.sentences import Texts, texts_of

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# The operations of a path.
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_OPENAPI = re.compile(r"3\.[012](\.\d+)?(-.*)?")


@dataclass(frozen=True)
class OpenApiFile:
    """OpenAPI document read from a file.

    Attributes:
        path: The file.
        content: The document.
        lines: The line, from 1, at which the value of each pointer begins.
        locate: Returns the origin of a line as `file:line`; by default a line of `path`.
    """

    path: Path
    content: dict[str, Any]
    lines: Mapping[Pointer, int] = field(repr=False)
    locate: Callable[[int], str] | None = field(default=None, repr=False)

    @property
    def version_text(self) -> str:
        """The version of the API as written, `info.version`."""
        return str((self.content.get("info") or {}).get("version", ""))

    @property
    def version(self) -> tuple[int, int, int] | None:
        """The version of the API; None if it is not written as 1.2.0."""
        match = _VERSION.fullmatch(self.version_text)
        return (int(match[1]), int(match[2]), int(match[3])) if match else None

    @property
    def is_openapi_3_0(self) -> bool:
        """True if its schemas are those of OpenAPI 3.0, which are not quite JSON Schema."""
        return str(self.content.get("openapi", "")).startswith("3.0")

    def at(self, pointer: Pointer) -> str:
        """Return `file:line` of a pointer, or of the nearest enclosing part with a line."""
        while pointer not in self.lines and pointer:
            pointer = pointer[:-1]
        return self.line(self.lines.get(pointer, 1))

    def line(self, number: int) -> str:
        """Return `file:line` of a line, from 1."""
        return self.locate(number) if self.locate else f"{self.path}:{number}"

    def find(self, reference: str) -> tuple[Pointer, Any]:
        """Follow a `$ref` inside this document; return the pointer of the target, and the target.

        Raises:
            LookupError: It has no target; the message names the most similar one.
        """
        pointer: Pointer = ()
        node: Any = self.content
        if reference != "#" and not reference.startswith("#/"):
            if reference in self._anchors:
                return self._anchors[reference]
            raise LookupError("write a reference inside this file, as '#/components/schemas/Pool'")
        for step in reference.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            key = int(name) if isinstance(node, list) and name.isdecimal() else name
            try:
                node = node[cast(Any, key)]
            except (LookupError, TypeError):
                raise LookupError(_suggest_target(pointer, node, name)) from None
            pointer = (*pointer, key)
        return pointer, node

    def name_of(self, reference: str) -> str:
        """Return the name of the target of a `$ref`: its last step, without the end of a file."""
        pointer, _ = self.find(reference)
        last = str(pointer[-1]) if pointer else self.path.name
        return Path(last).stem if pointer[:-1] == (FILES,) or not pointer else last

    @cached_property
    def objects(self) -> list[tuple[Pointer, dict[str, Any], str]]:
        """Its objects that are no data, with their pointers and kinds (`kind_of`)."""
        return list(described_objects(self.content))

    @cached_property
    def texts(self) -> Texts:
        """Its descriptions and summaries."""
        return texts_of(self.content)

    @cached_property
    def _anchors(self) -> dict[str, tuple[Pointer, Any]]:
        return {
            f"#{node['$anchor']}": (pointer, node)
            for pointer, node, kind in self.objects
            if kind == "object" and isinstance(node.get("$anchor"), str)
        }


def _suggest_target(pointer: Pointer, node: Any, name: str) -> str:
    names = [str(key) for key in node] if isinstance(node, dict) else []
    matches = difflib.get_close_matches(name, names, 1)
    place = "/".join(["#", *(str(step) for step in pointer)])
    if matches:
        return f"write {place}/{matches[0]}"
    return f"{place} has no {name!r}: add it there, or remove the reference"


def read_openapi_file(path: Path) -> OpenApiFile:
    """Read an OpenAPI document of 3.0 to 3.2, YAML or JSON, with the files that it refers to.

    Raises:
        UnusableDocumentError: It cannot be read, is no such document, or a `$ref` has no target.
    """
    text = read_document_text(path, "write the path of an OpenAPI document")
    return _parse(text, path, lambda line: f"{path}:{line}", with_files=True)


def parse_openapi_text(text: str, path: Path, locate: Callable[[int], str]) -> OpenApiFile:
    """Parse an OpenAPI document that refers to no other file; every `$ref` in it has a target.

    Args:
        text: The document, as YAML or JSON.
        path: Its file.
        locate: Returns the origin of a line of the text as `file:line`.

    Raises:
        UnusableDocumentError: It is no OpenAPI document.
    """
    return _parse(text, path, locate, with_files=False)


def _parse(text: str, path: Path, locate: Callable[[int], str], *, with_files: bool) -> OpenApiFile:
    content, lines = parse_text(text, path, locate)
    file = OpenApiFile(path, content, lines, locate)
    _check_form(file)
    if with_files:
        join_files(file.path, content, file.objects, file.at)
    for problem in broken_references(file):
        raise UnusableDocumentError(problem)
    return file


def _check_form(file: OpenApiFile) -> None:
    """Refuse what is no OpenAPI document of 3.0 to 3.2."""
    content: Any = file.content
    if not isinstance(content, dict):
        raise UnusableDocumentError(f"{file.at(())}: no object; write an OpenAPI document")
    openapi = content.get("openapi")
    if not isinstance(openapi, str) or not _OPENAPI.fullmatch(openapi):
        raise UnusableDocumentError(
            f"{file.at(('openapi',))}: openapi is {openapi!r:.60}; write openapi: 3.1.0"
        )
    for problem in shape_problems(file):
        raise UnusableDocumentError(problem)


def shape_problems(file: OpenApiFile) -> Iterator[str]:
    """Yield a line for each part that has a type which OpenAPI does not allow there."""
    # From 3.1 on a document may describe webhooks or components alone.
    needed = "paths" in file.content or not {"webhooks", "components"} & file.content.keys()
    if needed and not isinstance(file.content.get("paths"), dict):
        yield f"{file.at(('paths',))}: paths is no object; write the operations there, by path"
    for pointer, node, kind in file.objects:
        if kind == "object":
            for key in filter(_KINDS.__contains__, node):
                value_types, expected = _KINDS[key]
                if not isinstance(node[key], value_types):
                    place = file.at((*pointer, key))
                    yield f"{place}: {key} is {node[key]!r:.60}; write {expected}"
            for key, example in _EXAMPLES.items():
                values = node.get(key)
                for value in values if isinstance(values, list) else ():
                    if not isinstance(value, dict):
                        place = file.at((*pointer, key))
                        yield f"{place}: {value!r:.60} in {key}; write an object, as {example}"
        else:
            member_types = (dict, bool) if pointer[-1] in _SCHEMAS else dict
            for name, value in node.items():
                if not isinstance(value, member_types) and kind_of((*pointer, name)) == "object":
                    place = file.at((*pointer, name))
                    yield f"{place}: {name} in {pointer[-1]} is {value!r:.60}; write an object"


def broken_references(file: OpenApiFile) -> Iterator[str]:
    """Yield a line for each reference without a target."""
    files: dict[str, Any] = file.content.get(FILES, {})
    parts = {name: described_objects(content) for name, content in files.items()}
    for name, objects in {"": file.objects, **parts}.items():
        for pointer, node, kind in objects:
            reference = node.get("$ref") if kind == "object" else None
            if isinstance(reference, str):
                try:
                    file.find(reference)
                except LookupError as error:
                    place = name or file.at((*pointer, "$ref"))
                    yield f"{place}: $ref to {reference} leads nowhere: {error.args[0]}"


# Maps of schemas, which may be true or false.
_SCHEMAS = {"$defs", "dependentSchemas", "patternProperties", "properties", "schemas"}
_BOUNDS = (
    "exclusiveMaximum", "exclusiveMinimum", "maximum", "maxItems", "maxLength", "maxProperties",
    "minimum", "minItems", "minLength", "minProperties",
)  # fmt: skip
_EXAMPLES = {"parameters": "name: limit", "security": "bearer: []", "servers": "url: /v1"}
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "$ref": ((str,), "a text, as '#/components/schemas/Pool'"),
    "allOf": ((list,), "a list of schemas"),
    "anyOf": ((list,), "a list of schemas"),
    "components": ((dict,), "an object"),
    "content": ((dict,), "an object, with a body for each media type"),
    "description": ((str,), "a text"),
    "discriminator": ((dict,), "an object, with propertyName:"),
    "enum": ((list,), "a list of values"),
    "headers": ((dict,), "an object, with a header for each name"),
    "info": ((dict,), "an object"),
    "items": ((dict, bool), "a schema"),
    "oneOf": ((list,), "a list of schemas"),
    "operationId": ((str,), "a text, as list_pools"),
    "parameters": ((list, dict), "a list of parameters"),
    "properties": ((dict,), "an object, with a schema for each name"),
    "requestBody": ((dict,), "an object, with content:"),
    "required": ((list, bool), "a list of names, or of a parameter true or false"),
    "responses": ((dict,), "an object, with a response for each status"),
    "schema": ((dict, bool), "a schema"),
    "security": ((list,), "a list of security schemes"),
    "summary": ((str,), "a text"),
    "tags": ((list,), "a list of texts"),
    "type": ((str, list), "the name of a type, or a list of them"),
    "servers": ((list,), "a list of servers, as url: /v1"),
    **dict.fromkeys(_BOUNDS, ((int, float), "a number")),
    **dict.fromkeys(METHODS, ((dict,), "an operation, with responses:")),
}
