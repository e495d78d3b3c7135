"""Rules for operations: names, parameters, bodies and answers that the generators would lose.

A generator passes over some, and sends or reads others in another form, without a word. Each is
refused with its line and what to write instead; docs/changing-the-api.md says what may be used.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from openapi_python_client.strings import PythonIdentifier, snake_case

from codegen.references import COMPOSED, contents, operations, parameters, properties, resolve
from synth_pools.spec.changes.parsing import Pointer
from synth_pools.spec.changes.source import OpenApiFile

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
EVENTS = "text/event-stream"

# Problems: the place of each, and what it is, with what to write.
Problems = Iterator[tuple[Pointer, str]]

_CLIENT = "synth_pools/_client/_async/client.py"
_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")
_SEGMENT = re.compile(r"[^{}]*|{[a-z][a-z0-9_]*}")
_MEDIA_TYPE = re.compile(r"[a-z]+/(?!.*\+json$)[a-z0-9.+-]+")
_STATUS = re.compile(r"[1-5](\d\d|XX)")
_WITHOUT_BODY = ("204", "205", "304")
_STYLES: dict[str, tuple[str, ...]] = {
    "path": ("simple",),
    "header": ("simple",),
    "cookie": ("form",),
    "query": ("form", "deepObject", "spaceDelimited", "pipeDelimited"),
}
_SCALARS = {"string", "integer", "number", "boolean", "null"}
_HEADERS = ("accept", "authorization", "content-length", "content-type", "cookie", "host")
# Names that the generated builders have for themselves.
_RESERVED = {"body", "client", "headers", "operations", "params", "partial", "quote", "styled"}


def operation_problems(file: OpenApiFile) -> Problems:
    """Iterate over the problems of paths, operations and parameters."""
    document = file.content
    for path, item in document["paths"].items():
        for key in ("$ref", "servers") if isinstance(item, dict) else ():
            if key in item:
                yield ("paths", path, key), f"{path}: {key} is lost: write what it has in its place"
        if not path.startswith("/") or not all(map(_SEGMENT.fullmatch, path.split("/"))):
            text = "write /, and each parameter as a segment of its own, in snake case: /{pool_id}/"
            yield ("paths", path), f"{path}: {text}"
    yield from _names(file, document)
    for pointer, node in parameters(file):
        yield from _parameter(document, pointer, node)
    for method, path, operation in operations(document):
        at: Pointer = ("paths", path, method.lower())
        name = str(operation.get("operationId"))
        for pointer, content in contents(file, at, operation):
            if {"requestBody", "requestBodies"} & set(pointer):
                yield from _body(document, pointer, content, f"{name}: its body")
                if method == "GET":
                    yield pointer, f"{name}: no server reads the body of a GET: write 'post:'"
            else:
                yield from _answer(document, pointer, content, f"{name}: its answer")
                if content.keys() - {JSON} and "requestBody" in operation:
                    text = "answer JSON with an id, and write a GET for the rest"
                    yield pointer, f"{name}: a request with a body is answered by {JSON}: {text}"
        yield from _responses(document, (*at, "responses"), operation, name)


def _names(file: OpenApiFile, document: dict[str, Any]) -> Problems:
    module = file.path.parent / _CLIENT
    tree = ast.parse(module.read_text(encoding="utf-8") if module.is_file() else "")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names_of_client = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    first_uses: dict[str, str] = {}
    for method, path, operation in operations(document):
        at = ("paths", path, method.lower())
        name, where = operation.get("operationId"), f"{method} {path}"
        if method not in _METHODS:
            yield at, f"{where}: no call has this method: write one of {', '.join(_METHODS)}"
        if not name:
            yield at, f"{where}: no operationId: write one, as 'operationId: list_pools'"
            continue
        if name in names_of_client:
            yield at, f"operationId {name} is a name that the client has already: write another"
        elif name in first_uses:
            text = f"operationId {name} is also that of {first_uses[name]}: write another"
            yield at, f"{where}: {text}"
        first_uses[name] = where
        for noun, text in (
            ("operationId", name),
            *(("tag", str(tag)) for tag in operation.get("tags", ())[:1]),
        ):
            if PythonIdentifier(text, "x") != text or (noun, text) == ("tag", "calls"):
                advice = f"write {_suggest(text)}in snake case, no word of Python"
                yield at, f"{where}: {noun} {text} is no name of a module: {advice}"
        if "servers" in operation:
            yield (*at, "servers"), f"{name}: servers is lost: write it in api/openapi.yaml"
        nodes = (*document["paths"][path].get("parameters", ()), *operation.get("parameters", ()))
        places = {
            (node["in"], str(node["name"])) for node in (resolve(document, node) for node in nodes)
        }
        names = [PythonIdentifier(text, "x") for _, text in places]
        for text in {text for text in names if names.count(text) > 1}:
            yield at, f"{name}: two parameters are called {text}: write another name for one"


def _suggest(name: str) -> str:
    snake = snake_case(name)
    is_better = snake != name and PythonIdentifier(snake, "x") == snake
    return f"{snake!r}, or another " if is_better else "another "


def _parameter(document: dict[str, Any], pointer: Pointer, node: dict[str, Any]) -> Problems:
    name, place = str(node["name"]), str(node["in"])
    noun = f"parameter {name}"
    python_name = PythonIdentifier(name, "x")
    if python_name.removesuffix("_") != name.lower().replace("-", "_").removesuffix("_"):
        text = f"write {python_name!r}, or another name in snake case"
        yield pointer, f"{noun} has another name in programs: {text}"
    elif python_name in _RESERVED or (place == "header" and name.lower() in _HEADERS):
        yield pointer, f"{noun} is a name that the client has for itself: write another"
    if "schema" not in node:
        yield pointer, f"{noun} is lost without a schema, as with content: write schema:"
    if node.get("allowReserved"):
        yield pointer, f"{noun}: its value is percent-encoded: remove allowReserved"
    styles = _STYLES.get(place, ("",))
    style, schema = node.get("style", styles[0]), node.get("schema", {})
    types = types_of(document, schema)
    if style not in styles:
        yield pointer, f"{noun} is not sent in the style {style}: write style: {styles[0]}"
    elif place != "query" and not types <= _SCALARS:
        text = "write type: string, and in its description what the text holds"
        yield pointer, f"{noun} is a list or an object in a {place}: {text}"
    elif style == "deepObject" and types != {"object"}:
        yield pointer, f"{noun} is no object, which deepObject is for: write style: form"
    elif style.endswith("Delimited") and (node.get("explode") or types <= _SCALARS):
        yield pointer, f"{noun}: {style} is for lists: write type: array and explode: false"
    elif _is_deep(document, schema, _SCALARS):
        yield pointer, f"{noun} holds lists or objects in others: write a body"


def _body(
    document: dict[str, Any], pointer: Pointer, content: dict[str, Any], noun: str
) -> Problems:
    if len(content) != 1:
        yield pointer, f"{noun} has no media type, or several: write one"
    for media, node in content.items():
        at = (*pointer, media)
        schema = node.get("schema", {})
        is_object = types_of(document, schema) == {"object"}
        if media.startswith("multipart/"):
            text = "write application/octet-stream for one file, with parameters for the rest"
            yield at, f"{noun} of several parts is not sent: {text}"
        elif media == JSON and not is_object:
            yield at, f"{noun} is no object: write one, with a property for what it holds now"
        elif media == FORM and (not is_object or _is_deep(document, schema, {*_SCALARS, "array"})):
            yield at, f"{noun} is a form: write an object of texts, numbers and lists of these"
        elif media not in (JSON, FORM):
            yield from _bytes(document, at, node, f"{noun} is {media}")
        if "encoding" in node:
            yield (*at, "encoding"), f"{noun}: encoding is lost: write a body without it"
        for key in resolve(document, schema).get("required", ()):
            if properties(document, schema).get(key, {}).get("readOnly"):
                text = "write a schema for requests without it"
                yield at, f"{noun} requires {key}, which is readOnly: {text}"


def _answer(
    document: dict[str, Any], pointer: Pointer, content: dict[str, Any], noun: str
) -> Problems:
    if len(content) > 1 and content.keys() != {EVENTS, JSON}:
        text = f"write one of them; only {EVENTS} stands beside {JSON}"
        yield pointer, f"{noun} has several media types: {text}"
    for media, node in content.items():
        at = (*pointer, media)
        if EVENTS in content and "$ref" not in node.get("schema", {}):
            text = "write its schema in components/schemas, and $ref here"
            yield at, f"{noun} has events, and a schema without a name: {text}"
        elif media not in (EVENTS, JSON):
            yield from _bytes(document, at, node, f"{noun} is {media}")


def _bytes(document: dict[str, Any], pointer: Pointer, node: dict[str, Any], noun: str) -> Problems:
    if not _MEDIA_TYPE.fullmatch(str(pointer[-1])):
        yield pointer, f"{noun}: write a plain media type, as {JSON}"
    elif not types_of(document, node.get("schema", {})) <= {"string"}:
        text = "write schema: {type: string, format: binary}"
        yield pointer, f"{noun}, so it is bytes, which no other schema describes: {text}"


def _responses(
    document: dict[str, Any], pointer: Pointer, operation: dict[str, Any], name: str
) -> Problems:
    successes = []
    for status, response in (operation.get("responses") or {}).items():
        content = resolve(document, response).get("content", {})
        if not _STATUS.fullmatch(status):
            text = "write each status, and a class of them as 5XX"
            yield (*pointer, status), f"{name}: {status} is no status: {text}"
            return
        if status in _WITHOUT_BODY and content:
            text = "write 200, or remove its content"
            yield (*pointer, status), f"{name}: an answer of {status} has no body: {text}"
            return
        if status.startswith("2"):
            successes.append({media: node.get("schema") for media, node in content.items()})
    if not successes:
        yield pointer, f"{name}: its responses have no success: write one, as '200'"
    elif any(success != successes[0] for success in successes):
        text = "write the same content for each of them"
        yield pointer, f"{name}: its successful answers differ, so that no type is theirs: {text}"


def _is_deep(document: dict[str, Any], schema: Any, allowed: set[str]) -> bool:
    """Return True if items, or values of an object, have other types than the allowed ones."""
    schema = resolve(document, schema)
    values = (*properties(document, schema).values(), schema.get("additionalProperties", {}))
    return any(
        not types_of(document, part) <= types
        or ("array" in types and _is_deep(document, part, _SCALARS))
        for part, types in ((schema.get("items"), _SCALARS), *((part, allowed) for part in values))
    )


def types_of(document: dict[str, Any], schema: Any, levels: int = 8) -> set[str]:
    """List the types that a schema allows; none for any."""
    schema = resolve(document, schema)
    if not isinstance(schema, dict) or not levels:
        return set()
    declared = schema.get("type", ())
    types = {declared} if isinstance(declared, str) else set(declared)
    if "properties" in schema:
        types.add("object")
    if not types and ("enum" in schema or "const" in schema):
        types.add("string")
    for key in COMPOSED:
        for part in schema.get(key, ()):
            types |= types_of(document, part, levels - 1)
    return types
