"""Generation of the table of commands: one row for each verb of the command line.

Names follow from the operation's id and tag by rule. Where the rule gives a poor one the overlay
has `x-cli-name`, `x-cli-aliases`, `x-cli-hidden` or `x-cli-ignore`, the names that restish reads,
`x-cli-columns` for the columns of a table, or `x-cli-kind`; of a tag, `x-cli-description`.
Operations with the same verb of the same group are one command, whose options choose between them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegen import CodegenError
from codegen.command_operations import CommandOperation, argument_word, group_of
from codegen.operation_rules import types_of
from codegen.references import joined, operations, resolve
from synth_pools.cli.operations.model import BYTES, CommandParameter, CommandRow, IdSource

TARGET = "synth_pools/cli/operations/table.py"

_HEAD = '''# Derived by `make generate` from openapi.yaml and api/overlay.yaml.

"""Commands for the operations of openapi.yaml, and the schemas of their bodies as JSON."""

from __future__ import annotations

from synth_pools.cli.operations.model import CommandParameter, CommandRow, IdSource

# fmt: off
GROUPS: dict[str, str] = {{
{groups}}}

COMMANDS: tuple[CommandRow, ...] = (
{rows})

ID_SOURCES: dict[str, IdSource] = {{
{sources}}}

SCHEMAS: dict[str, str] = {{
{schemas}}}
'''
# Headers that the client sets by itself.
_OF_THE_CLIENT = {"prefer", "range", "if_range", "if_none_match", "last_event_id"}
# Options that commands have for themselves.
_OF_COMMANDS = {
    "all", "api_key_file", "connection", "help", "no_follow", "output", "profile", "timeout", "to",
    "url", "yes",
}  # fmt: skip
# Names of the same verbs in other programs.
_ALIASES = {"delete": ("rm",), "get": ("show",), "list": ("ls",)}
_COLUMNS = ("id", "name", "path", "status", "size_bytes", "created_at")
_ANNOTATIONS = {
    "contentEncoding", "contentMediaType", "default", "deprecated", "description", "discriminator",
    "example", "examples", "externalDocs", "format", "readOnly", "title", "writeOnly",
}  # fmt: skip
_CHECKED = {
    "$ref", "additionalProperties", "anyOf", "enum", "exclusiveMinimum", "items", "maxItems",
    "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minimum", "pattern",
    "properties", "propertyNames", "required", "type",
}  # fmt: skip


def write_command_table(document: dict[str, Any], output: Path) -> None:
    """Write the module, one line for each option and each long text."""
    commands: dict[tuple[str, str], list[CommandOperation]] = {}
    for method, path, operation in operations(document):
        candidate = CommandOperation(document, method, path, operation)
        if not operation.get("x-cli-ignore"):
            commands.setdefault((candidate.group, candidate.verb), []).append(candidate)
    rows = tuple(
        _row(name, sorted(several, key=lambda operation: len(operation.places)))
        for name, several in commands.items()
    )
    bodies = {
        candidate.body_name: candidate.body_media["schema"]
        for several in commands.values()
        for candidate in several
        if candidate.body_name not in ("", BYTES)
    }
    groups = {
        group_of(document, tag["name"]): _text(
            tag.get("x-cli-description", tag.get("description", ""))
        ).partition("\n")[0]
        for tag in reversed(document.get("tags", []))
    }
    group_texts = {row.group: groups.get(row.group, "") for row in rows if row.group}
    text = _HEAD.format(
        groups=_items(group_texts),
        rows="".join(map(_row_text, rows)),
        sources=_items(dict(sorted(_id_sources(document).items()))),
        schemas=_items(_schemas(document, bodies)),
    )
    output.write_text(text, encoding="utf-8", newline="\n")


def _items(mapping: Mapping[str, Any]) -> str:
    """Write the items of a dictionary, each on a line."""
    return "".join(f"    {_code(name)}: {_code(value)},\n" for name, value in mapping.items())


def _row_text(row: CommandRow) -> str:
    """Write a row: its key fields, a line for each option and text, then the rest by name."""
    options = "".join(f"            {_code(option)},\n" for option in row.options)
    first = [_code(value) for value in row[: CommandRow._fields.index("options")]]
    rest = [
        f"{name}={_code(getattr(row, name))}"
        for name, default in CommandRow._field_defaults.items()
        if getattr(row, name) != default
    ]
    lines = [
        ", ".join(first),
        f"(\n{options}        )" if options else "()",
        *(_code(text) for text in (row.summary, row.description, row.example)),
        *([", ".join(rest)] if rest else []),
    ]
    return f"    CommandRow(\n{''.join(f'        {line},{chr(10)}' for line in lines)}    ),\n"


def _code(value: Any) -> str:
    """Write a value as Python, a named tuple without default values at its end."""
    if isinstance(value, str):
        return (
            repr(value)
            if '"' in value and "'" not in value
            else json.dumps(value, ensure_ascii=False)
        )
    if not isinstance(value, tuple):
        return repr(value)
    fields = [*value]
    defaults = getattr(value, "_field_defaults", {})
    for name in reversed(defaults):
        if fields[-1] != defaults[name]:
            break
        fields.pop()
    inner = ", ".join(map(_code, fields))
    if type(value) is tuple:
        return f"({inner},)" if len(fields) == 1 else f"({inner})"
    return f"{type(value).__name__}({inner})"


def _row(name: tuple[str, str], several: list[CommandOperation]) -> CommandRow:
    first = several[0]
    for later in several[1:]:
        others = {operation.places for operation in several if operation is not later}
        if later.form != first.form or later.places in others:
            raise CodegenError(
                f"{first.id} and {later.id} are both `{' '.join(filter(None, name))}` at the "
                "command line: give one an x-cli-name"
            )
    shared = tuple(
        place
        for place in several[-1].places
        if all(place in operation.places for operation in several)
    )
    places = dict.fromkeys(
        place for operation in several for place in operation.places if place not in shared
    )
    options = [
        CommandParameter(
            place, f"--{argument_word(place)}", "text", (), _first_sentence(several, place)
        )
        for place in places
    ]
    options += [
        _option(several, parameter)
        for parameter in dict.fromkeys(key for operation in several for key in operation.parameters)
        if parameter not in {*shared, *places} and not _is_set(several, parameter)
    ]
    extensions = {
        key: value
        for operation in reversed(several)
        for key, value in operation.operation.items()
        if key.startswith("x-cli-")
    }
    columns = extensions.get("x-cli-columns")
    if columns is None:
        item = first.item or {}
        columns = [key for key in _COLUMNS if key in item]
    elif unknown := [
        column for column in columns if first.item and column.split(".")[0] not in first.item
    ]:
        raise CodegenError(f"{first.id}: x-cli-columns: an item has no {unknown[0]}")
    return CommandRow(
        *name,
        first.kind,
        tuple((operation.id, operation.places) for operation in several),
        shared,
        tuple(options),
        first.operation.get("summary", first.id).rstrip("."),
        _description(several),
        first.example(name, shared),
        (*_ALIASES.get(name[1], ()), *extensions.get("x-cli-aliases", ())),
        tuple(columns),
        first.body_name,
        bool(first.body.get("required")),
        first.method == "DELETE",
        bool(extensions.get("x-cli-hidden")),
        first.suffix,
    )


def _description(several: list[CommandOperation]) -> str:
    """Return the text of the first operation, after those of its row that it refers to."""
    text, *texts = (_text(operation.operation.get("description", "")) for operation in several)
    parts = [
        part for part, later in zip(texts, several[1:], strict=True) if f"`{later.id}`" in text
    ]
    # A text that only says so is of no use beside the other.
    return "\n\n".join([*parts, *([] if parts and text.startswith("As `") else [text])])


def _described(several: list[CommandOperation], name: str) -> dict[str, Any]:
    return next(operation.parameters[name] for operation in several if name in operation.parameters)


def _is_set(several: list[CommandOperation], name: str) -> bool:
    """Return True if the client or the command sets a parameter by itself."""
    if _described(several, name)["in"] == "header":
        return name in _OF_THE_CLIENT
    return name == "format" and several[0].kind == "stream"


def _option(several: list[CommandOperation], name: str) -> CommandParameter:
    document = several[0].document
    schema = resolve(document, _described(several, name).get("schema", {}))
    types = types_of(document, schema)
    kind: Any = next((kind for kind in ("array", "object", "integer") if kind in types), "text")
    item = resolve(document, schema.get("items", {}))
    choices = (
        ("true", "false") if types == {"boolean"} else item.get("enum", schema.get("enum", ()))
    )
    if name == "state" and not choices:
        # The parameter takes any text, and a state that no item can have is a mistake.
        status = (several[0].item or {}).get("status", {})
        choices = resolve(document, status).get("enum", ())
    flag = f"--{name.replace('_', '-')}"
    return CommandParameter(
        name,
        f"--query{flag[1:]}" if name in _OF_COMMANDS else flag,
        kind if types != {"string", "integer"} else "text",
        tuple(choices),
        _first_sentence(several, name),
    )


def _first_sentence(several: list[CommandOperation], name: str) -> str:
    for operation in several:
        if name in operation.parameters:
            text = _text(operation.parameters[name].get("description", ""))
            return re.split(r"(?<=[.])\s", text)[0].rstrip(".")
    return ""


def _id_sources(document: dict[str, Any]) -> dict[str, IdSource]:
    """Map each parameter to the list with its ids, whose path ends before the parameter."""
    reads = (
        CommandOperation(document, method, path, operation)
        for method, path, operation in operations(document)
        if method == "GET"
    )
    lists = {operation.path: operation for operation in reads if operation.item is not None}
    sources: dict[str, IdSource] = {}
    for path in document.get("paths", {}):
        for match in re.finditer(r"/{(\w+)}", path):
            listing, name = lists.get(path[: match.start()]), match[1]
            source = sources.get(name)
            if listing is None or (source and len(source.arguments) <= len(listing.places)):
                continue
            item = listing.item or {}
            keys = [key for key in ("id", name, name.rpartition("_")[2]) if key in item]
            if keys:
                sources[name] = IdSource(listing.id, listing.places, keys[0])
    return sources


def _schemas(document: dict[str, Any], bodies: dict[str, Any]) -> dict[str, str]:
    """Write the schemas of bodies and all referenced schemas, with the checked keywords."""
    schemas = document.get("components", {}).get("schemas", {})
    texts: dict[str, str] = {}
    unchecked: dict[str, None] = {}
    waiting = sorted(bodies)
    while waiting:
        name = waiting.pop(0)
        if name not in texts:
            plain = _plain(document, schemas.get(name, bodies.get(name)), name, unchecked)
            texts[name] = json.dumps(plain, separators=(",", ":"), sort_keys=True)
            waiting += sorted(set(re.findall(r'"\$ref":"(\w+)"', texts[name])))
    for problem in unchecked:
        print(f"generate: warning: {problem}; the service does", file=sys.stderr)
    return dict(sorted(texts.items()))


def _plain(document: dict[str, Any], schema: Any, name: str, unchecked: dict[str, None]) -> Any:
    """Return a schema with what the command line checks, and what it means in other words."""
    if not isinstance(schema, dict):
        return schema

    def inner(node: Any) -> Any:
        return _plain(document, node, name, unchecked)

    plain: dict[str, Any] = {}
    for key, value in joined(document, schema).items():
        if key in _ANNOTATIONS or key.startswith("x-"):
            continue
        if key not in _CHECKED:
            unchecked[f"schema {name}: the command line does not check `{key}` in a body"] = None
        elif key == "$ref":
            plain[key] = value.rpartition("/")[2]
        elif key == "properties":
            plain[key] = {name: inner(node) for name, node in value.items()}
        elif key == "anyOf":
            plain[key] = [inner(node) for node in value]
        elif key in ("items", "additionalProperties", "propertyNames"):
            plain[key] = inner(value)
        else:
            plain[key] = value
    return plain


def _text(markdown: str) -> str:
    """Join the lines of each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", markdown.strip()))
