"""Generation of requests.py: the bodies of requests as TypedDicts.

Callers write plain dictionaries. A type checker refuses a misspelt key where such a dictionary is
annotated with one of these classes, and an editor completes it in a call, too.
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.models import OPEN
from codegen.references import joined, operations, resolve
from codegen.typed import prose

# Object to which callers add properties.
FREE_FORM = "x-free-form"
# Schema of each item; an invalid item fails alone.
VALID_ITEMS = "x-valid-items"

_HEAD = '''"""The bodies of requests as dictionaries, for type checkers and editors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Required, TypeAlias, TypedDict


PlainRequest: TypeAlias = Mapping[str, Any]
"""A dictionary of any keys. A literal is checked where it is annotated with a class below."""
'''
_KINDS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "object": "Mapping[str, Any]",
}


def write_requests(document: dict[str, Any], package: Path) -> None:
    """Write the module into the generated `package`."""
    schemas = {
        name: joined(document, schema)
        for name, schema in document.get("components", {}).get("schemas", {}).items()
    }
    names = list(_reached(schemas, _bodies(document)))
    parts = [_HEAD]
    for name in sorted(names):
        schema = schemas[name]
        if "enum" in schema:
            parts.append(_choice(name, schema))
    # Annotations may name later classes.
    parts += [_class(schemas, name) for name in sorted(names) if schemas[name].get("properties")]
    (package / "requests.py").write_text("\n\n".join(parts), encoding="utf-8", newline="\n")


def _bodies(document: dict[str, Any]) -> Iterator[str]:
    for _, _, operation in operations(document):
        body = resolve(document, operation.get("requestBody", {}))
        for media in body.get("content", {}).values():
            yield _name(media.get("schema", {}))


def _reached(schemas: dict[str, Any], names: Iterator[str]) -> dict[str, None]:
    """Return the named schemas and all schemas that they refer to."""
    reached: dict[str, None] = {}
    waiting = [name for name in names if name]
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            raise CodegenError(f"{name} is no schema of the document; correct {VALID_ITEMS}")
        if name not in reached:
            reached[name] = None
            waiting += _references(schemas[name])
    return reached


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key in ("$ref", VALID_ITEMS):
            if isinstance(node.get(key), str):
                yield _name(node, key)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _name(schema: dict[str, Any], key: str = "$ref") -> str:
    return str(schema.get(key, "")).rpartition("/")[2]


def _choice(name: str, schema: dict[str, Any]) -> str:
    values = ", ".join(json.dumps(value) for value in schema["enum"])
    # Members of string enumerations are sent as their values.
    kinds = "str" if schema.get(OPEN) else f"Literal[{values}] | Enum"
    return f'{name}Value: TypeAlias = {kinds}\n"""{prose(schema.get("description", name))}"""\n'


def _class(schemas: dict[str, Any], name: str) -> str:
    schema = schemas[name]
    required = schema.get("required", ())
    base, lines, others = "TypedDict", [], {}
    lines.append(f'    """{prose(schema.get("description", name), indent="    ")}"""')
    for key, node in schema["properties"].items():
        kind = _kind(schemas, node)
        kind = f"Required[{kind}]" if key in required else kind
        if not key.isidentifier() or keyword.iskeyword(key):
            others[key] = kind
            continue
        lines.append(f"    {key}: {kind}")
        if node.get("description"):
            lines.append(f'    """{prose(node["description"], indent="    ")}"""')
    head = ""
    if others:
        # No class has an attribute of such a name.
        base = f"_{name}Keys"
        head = f'{base} = TypedDict("{base}", {json.dumps(others)}, total=False)\n\n'
    return "\n".join([f"{head}class {name}Dict({base}, total=False):", *lines]) + "\n"


def _kind(schemas: dict[str, Any], node: dict[str, Any], outer: tuple[str, ...] = ()) -> str:
    if "anyOf" in node:
        return " | ".join(_kind(schemas, part, outer) for part in node["anyOf"])
    name = _name(node)
    if name:
        schema = schemas[name]
        if "enum" in schema:
            return f"{name}Value"
        if not schema.get("properties"):
            return "Any" if name in outer else _kind(schemas, schema, (*outer, name))
        return f"{name}Dict | {_KINDS['object']}" if schema.get(FREE_FORM) else f"{name}Dict"
    types = node.get("type", [])
    kinds = []
    for kind in [types] if isinstance(types, str) else types:
        if kind == "array":
            valid = {"$ref": node[VALID_ITEMS]} if VALID_ITEMS in node else node.get("items", {})
            kinds.append(f"Sequence[{_kind(schemas, valid, outer)}]")
        else:
            kinds.append(_KINDS[kind])
    return " | ".join(kinds) or "Any"
