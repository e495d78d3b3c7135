"""OpenAPI documents read from files, with the line of each part."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

# Keys and indices that lead to a part of a document.
Pointer = tuple[str | int, ...]

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_DEEPEST = 200


class UnusableDocumentError(Exception):
    """Unusable document; the message is one line with the file, the line and the correction."""


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
    lines: dict[Pointer, int] = field(repr=False)
    locate: Callable[[int], str] | None = field(default=None, repr=False)

    @property
    def version(self) -> tuple[int, int, int]:
        """The version of the API, `info.version`."""
        major, minor, patch = str(self.content["info"]["version"]).split(".")
        return int(major), int(minor), int(patch)

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
        if not reference.startswith("#/"):
            raise LookupError("write a reference inside this file, as '#/components/schemas/Pool'")
        for step in reference[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            key = int(name) if isinstance(node, list) and name.isdecimal() else name
            try:
                node = node[cast(Any, key)]
            except (LookupError, TypeError):
                raise LookupError(_suggest_target(pointer, node, name)) from None
            pointer = (*pointer, key)
        return pointer, node


def _suggest_target(pointer: Pointer, node: Any, name: str) -> str:
    names = [str(key) for key in node] if isinstance(node, dict) else []
    matches = difflib.get_close_matches(name, names, 1)
    place = "/".join(["#", *(str(step) for step in pointer)])
    if matches:
        return f"write {place}/{matches[0]}"
    return f"{place} has no {name!r}: add it there, or remove the reference"


def read_openapi_file(path: Path) -> OpenApiFile:
    """Read an OpenAPI 3.1 document, YAML or JSON; every `$ref` in it has a target.

    Raises:
        UnusableDocumentError: It cannot be read, or is no OpenAPI 3.1 document.
    """
    text = read_document_text(path, "write the path of an OpenAPI document")
    return parse_openapi_text(text, path, lambda line: f"{path}:{line}")


def read_document_text(path: Path, advice: str) -> str:
    """Read a document, or a part of one; the message of a failure ends with the advice.

    Raises:
        UnusableDocumentError: It cannot be read, or is not UTF-8.
    """
    data = b""
    try:
        data = path.read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise UnusableDocumentError(f"{path}: {error.strerror or error}; {advice}") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnusableDocumentError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None


def parse_openapi_text(text: str, path: Path, locate: Callable[[int], str]) -> OpenApiFile:
    """Parse an OpenAPI 3.1 document, YAML or JSON; every `$ref` in it has a target.

    Args:
        text: The document.
        path: Its file.
        locate: Returns the origin of a line of the text as `file:line`.

    Raises:
        UnusableDocumentError: It is no OpenAPI 3.1 document.
    """
    content, lines = parse_yaml_text(text, path, locate)
    file = OpenApiFile(path, content, lines, locate)
    _check_form(file)
    return file


def parse_yaml_text(
    text: str, path: Path, locate: Callable[[int], str]
) -> tuple[Any, dict[Pointer, int]]:
    """Parse YAML or JSON; return the value, and the line of each pointer in it, from 1.

    Raises:
        UnusableDocumentError: It is not YAML, or has a repeated key or one that is no string.
    """
    lines: dict[Pointer, int] = {}
    try:
        loader = _LOADER(text)
        try:
            content = _construct(loader, loader.get_single_node(), (), lines, locate)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = locate(mark.line + 1) if mark else str(path)
        raise UnusableDocumentError(
            f"{where}: not YAML: {error.problem or error.context}; write YAML or JSON"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnusableDocumentError(
            f"{locate(1)}: not YAML: {reason}; write YAML or JSON"
        ) from None
    return content, lines


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _construct(
    loader: Any,
    node: Any,
    pointer: Pointer,
    lines: dict[Pointer, int],
    locate: Callable[[int], str],
) -> Any:
    """Construct the value of a node, and record the lines of all parts in it."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    lines[pointer] = line
    if len(pointer) > _DEEPEST:
        raise UnusableDocumentError(
            f"{locate(line)}: nests more than {_DEEPEST} levels deep; write it flatter, with $ref"
        )
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(loader, item, (*pointer, index), lines, locate)
            for index, item in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node, deep=True)
    mapping: dict[Any, Any] = {}
    for key_node, value in node.value:
        # A status may be written without quotes, but every key of JSON is a string.
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        key_line = key_node.start_mark.line + 1
        if key is None:
            raise UnusableDocumentError(f"{locate(key_line)}: a key that is no text; write a text")
        if key in mapping:
            raise UnusableDocumentError(
                f"{locate(key_line)}: {key!r} is there already, at "
                f"{locate(lines[(*pointer, key)])}; keep one of the two"
            )
        mapping[key] = _construct(loader, value, (*pointer, key), lines, locate)
        # A value has the line of its key.
        lines[(*pointer, key)] = key_line
    return mapping


def _check_form(file: OpenApiFile) -> None:
    """Refuse a document that is not OpenAPI 3.1, or has a reference without a target."""
    content: Any = file.content
    if not isinstance(content, dict):
        raise UnusableDocumentError(f"{file.at(())}: no object; write an OpenAPI 3.1 document")
    openapi = content.get("openapi")
    if not isinstance(openapi, str) or not openapi.startswith("3.1"):
        raise UnusableDocumentError(
            f"{file.at(('openapi',))}: openapi is {openapi!r}; write openapi: 3.1.0"
        )
    info = content.get("info")
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise UnusableDocumentError(
            f"{file.at(('info', 'version'))}: info.version is {version!r}; write a version as 1.2.0"
        )
    for problem in shape_problems(file):
        raise UnusableDocumentError(problem)
    for problem in broken_references(file):
        raise UnusableDocumentError(problem)


def shape_problems(file: OpenApiFile) -> Iterator[str]:
    """Yield a line for each part that has a type which OpenAPI does not allow there."""
    if not isinstance(file.content.get("paths"), dict):
        yield f"{file.at(('paths',))}: paths is no object; write the operations there, by path"
    for pointer, node in iter_parts(file.content):
        if kind_of(pointer) == "object" and isinstance(node, dict):
            for key, (value_types, expected) in _KINDS.items():
                if key in node and not isinstance(node[key], value_types):
                    place = file.at((*pointer, key))
                    yield f"{place}: {key} is {node[key]!r:.60}; write {expected}"
        elif kind_of(pointer) == "names" and isinstance(node, dict):
            member_types = (dict, bool) if pointer[-1] in _SCHEMAS else dict
            for name, value in node.items():
                if kind_of((*pointer, name)) == "object" and not isinstance(value, member_types):
                    place = file.at((*pointer, name))
                    yield f"{place}: {name} in {pointer[-1]} is {value!r:.60}; write an object"


def broken_references(file: OpenApiFile) -> Iterator[str]:
    """Yield a line for each reference without a target."""
    for pointer, node in iter_parts(file.content):
        if kind_of(pointer) != "object" or not isinstance(node, dict):
            continue
        reference = node.get("$ref")
        if isinstance(reference, str):
            try:
                file.find(reference)
            except LookupError as error:
                place = file.at((*pointer, "$ref"))
                yield f"{place}: $ref to {reference} leads nowhere: {error.args[0]}"


def iter_parts(node: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Iterate over all parts of a document, with their pointers."""
    yield pointer, node
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, value in items:
        yield from iter_parts(value, (*pointer, key))


def kind_of(pointer: Pointer) -> str:
    """Classify the target of a pointer.

    Returns:
        "data" for any JSON, as in an example; "names" for a map with free names, as `properties`;
        "object" for everything that OpenAPI describes.
    """
    names = within = ""
    for step in pointer:
        if names:
            if names == "examples" and isinstance(step, int):
                return "data"
            # The next step is an index of a list, or a name whose value is an object.
            within, names = names, ""
            continue
        if step in _DATA or str(step).startswith("x-"):
            return "data"
        if (within, step) in (("examples", "value"), ("links", "parameters")):
            return "data"
        within = ""
        names = str(step) if step in _NAMES else ""
    return "names" if names else "object"


_DATA = {"example", "default", "enum", "const", "required", "tags", "security"}
_NAMES = {
    "$defs", "callbacks", "content", "dependentSchemas", "examples", "headers", "links",
    "parameters", "pathItems", "paths", "patternProperties", "properties", "requestBodies",
    "responses", "schemas", "securitySchemes", "webhooks",
}  # fmt: skip
# Maps of schemas, which may be true or false.
_SCHEMAS = {"$defs", "dependentSchemas", "patternProperties", "properties", "schemas"}
_BOUNDS = (
    "exclusiveMaximum", "exclusiveMinimum", "maximum", "maxItems", "maxLength", "maxProperties",
    "minimum", "minItems", "minLength", "minProperties",
)  # fmt: skip
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
    **dict.fromkeys(_BOUNDS, ((int, float), "a number")),
}
