"""Generation of the table of commands: one row for each verb of the command line.

Names follow from the operation's id and tag by rule. Where the rule gives a poor one the overlay
has `x-cli-name`, `x-cli-aliases`, `x-cli-hidden` or `x-cli-ignore`, the names that restish reads,
`x-cli-columns` for the columns of a table, or `x-cli-kind`; of a tag, `x-cli-description`.
Operations with the same verb of the same group are one command, whose options choose between them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from codegen import CodegenError
from codegen.client import operations
from synth_pools.cli.operations.model import CommandParameter, CommandRow, IdSource, Kind

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
_KINDS = get_args(Kind)
# Verbs of reading that are dropped before another word: `get_pool_urls` is `pools urls`.
_READS = ("get", "list", "stream")
# Families of operations; an option of the command chooses the family.
_SCOPES = ("global",)
# Parameters that the client sets by itself.
_OF_THE_CLIENT = {"prefer", "range", "if_range", "if_none_match", "last_event_id", "format"}
# Names of the same verbs in other programs.
_ALIASES = {"delete": ("rm",), "list": ("ls",)}
_COLUMNS = ("id", "name", "path", "status", "size_bytes", "created_at")
_ANNOTATIONS = {"description", "examples", "example", "default", "deprecated", "title", "format"}
_CHECKED = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "enum",
    "exclusiveMinimum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "type",
}
_EXAMPLE_WIDTH = 76


def write_command_table(document: dict[str, Any], output: Path) -> None:
    """Write the module, one line for each option and each long text."""
    commands: dict[tuple[str, str], list[_CommandOperation]] = {}
    for method, path, operation in operations(document):
        candidate = _CommandOperation(document, method, path, operation)
        if not operation.get("x-cli-ignore"):
            commands.setdefault((candidate.group, candidate.verb), []).append(candidate)
    rows = tuple(_row(name, sorted(several, key=_breadth)) for name, several in commands.items())
    bodies = {
        candidate.body_name: candidate.body_media["schema"]
        for several in commands.values()
        for candidate in several
        if candidate.body_name
    }
    groups = {
        _group(document, tag["name"]): _text(
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


class _CommandOperation:
    """Operation of the document, with the values that a command needs."""

    def __init__(
        self, document: dict[str, Any], method: str, path: str, operation: dict[str, Any]
    ) -> None:
        self.document = document
        self.method = method
        self.path = path
        self.operation = operation
        self.id = str(operation["operationId"])
        self.tag = next(iter(operation.get("tags", ())), "default")
        self.group = _group(document, self.tag)
        self.places = tuple(re.findall(r"{(\w+)}", path))
        self.verb = operation.get("x-cli-name") or self._verb_by_rule()
        shared = document["paths"][path].get("parameters", [])
        listed = [
            resolve(document, parameter)
            for parameter in (*shared, *operation.get("parameters", []))
        ]
        self.parameters = {_snake(parameter["name"]): parameter for parameter in listed}
        self.answer = _answer(document, operation)
        kind = operation.get("x-cli-kind", self._kind_by_rule())
        if kind not in _KINDS:
            raise CodegenError(f"{self.id}: x-cli-kind is {kind!r}, not one of {_KINDS}")
        self.kind = cast(Kind, kind)

    def _verb_by_rule(self) -> str:
        words = self.id.lower().split("_")
        dropped = [*_SCOPES, *(place.removesuffix("_id") for place in self.places)]
        for noun in self.tag.split("_"):
            dropped += [noun, noun.removesuffix("s")]
        for word in dropped:
            if word in words[1:]:
                words.remove(word)
        if words[0] in _READS and len(words) > 1:
            words = words[1:]
        return "-".join(words)

    def _kind_by_rule(self) -> Kind:
        if "text/event-stream" in self.answer:
            return "stream"
        if self.answer and "application/json" not in self.answer:
            return "download"
        if self.method != "GET":
            return "act"
        return "list" if self.item is not None else "get"

    @property
    def item(self) -> dict[str, Any] | None:
        """Schema of an item, if the answer is a list."""
        listed = _properties(self.document, self.answer.get("application/json", {})).get("items")
        return None if listed is None else _properties(self.document, listed.get("items", {}))

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = resolve(self.document, self.operation.get("requestBody", {}))
        return body

    @property
    def body_media(self) -> dict[str, Any]:
        media: dict[str, Any] = self.body.get("content", {}).get("application/json", {})
        return media

    @property
    def body_name(self) -> str:
        """Name of the schema of its body, else of the operation."""
        schema = self.body_media.get("schema")
        return "" if schema is None else schema.get("$ref", self.id).rpartition("/")[2]


def _breadth(operation: _CommandOperation) -> int:
    return len(operation.places)


def _row(name: tuple[str, str], several: list[_CommandOperation]) -> CommandRow:
    first = several[0]
    for later in several[1:]:
        same = (later.kind, later.body_name, later.method) == (
            first.kind,
            first.body_name,
            first.method,
        )
        if not same or later.places in {
            operation.places for operation in several if operation is not later
        }:
            raise CodegenError(
                f"{first.id} and {later.id} are both `{' '.join(filter(None, name))}` at the "
                "command line: give one an x-cli-name"
            )
    shared = tuple(place for place in several[-1].places if place in first.places)
    shared = tuple(
        place for place in shared if all(place in operation.places for operation in several)
    )
    places = dict.fromkeys(
        place for operation in several for place in operation.places if place not in shared
    )
    options = [
        CommandParameter(place, f"--{_word(place)}", "text", (), _first_sentence(several, place))
        for place in places
    ]
    options += [
        _option(several, parameter)
        for parameter in dict.fromkeys(key for operation in several for key in operation.parameters)
        if parameter not in {*shared, *places, *_OF_THE_CLIENT}
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
        _text(first.operation.get("description", "")),
        _example(name, shared, first),
        (*_ALIASES.get(name[1], ()), *extensions.get("x-cli-aliases", ())),
        tuple(columns),
        first.body_name,
        bool(first.body.get("required")),
        first.method == "DELETE",
        bool(extensions.get("x-cli-hidden")),
        _suffix(first),
    )


def _option(several: list[_CommandOperation], name: str) -> CommandParameter:
    parameter = next(
        operation.parameters[name] for operation in several if name in operation.parameters
    )
    schema = resolve(several[0].document, parameter.get("schema", {}))
    choices = tuple(schema.get("enum", ()))
    flag = f"--{name.replace('_', '-')}"
    return CommandParameter(
        name,
        flag,
        "integer" if schema.get("type") == "integer" else "text",
        choices,
        _first_sentence(several, name),
    )


def _first_sentence(several: list[_CommandOperation], name: str) -> str:
    for operation in several:
        if name in operation.parameters:
            text = _text(operation.parameters[name].get("description", ""))
            return re.split(r"(?<=[.])\s", text)[0].rstrip(".")
    return ""


def _suffix(operation: _CommandOperation) -> str:
    """Return the file suffix of a download, from the path or the media type."""
    if operation.kind != "download":
        return ""
    last = operation.path.rpartition("/")[2]
    if last.startswith("{"):
        return ""
    ending = ".zip" if "application/zip" in operation.answer and "." not in last else ""
    return f"-{last}{ending}"


def _example(name: tuple[str, str], places: tuple[str, ...], operation: _CommandOperation) -> str:
    words = ["synth-pools", *filter(None, name)]
    words += [
        str(operation.parameters.get(place, {}).get("example", _word(place))) for place in places
    ]
    before = len(words)
    example: Any = next(iter(operation.body_media.get("examples", {}).values()), {})
    value = resolve(operation.document, example).get("value", operation.body_media.get("example"))
    assignments = list(body_assignments(value if isinstance(value, dict) else {}))
    for text in assignments:
        if len(shlex.join([*words, text])) <= _EXAMPLE_WIDTH:
            words.append(text)
    if len(words) == before:
        words += assignments[:1]
    if operation.method == "DELETE":
        words.append("--yes")
    return shlex.join(words)


def body_assignments(value: dict[str, Any], within: str = "") -> Iterator[str]:
    """Write an object as assignments of the command line, key by key."""
    for key, inner in value.items():
        name = f"{within}{key}"
        if isinstance(inner, dict) and inner:
            yield from body_assignments(inner, f"{name}.")
        elif isinstance(inner, str):
            yield f"{name}={inner}"
        elif inner not in ([], {}):
            plain = isinstance(inner, int | float) and not isinstance(inner, bool)
            yield f"{name}={inner}" if plain else f"{name}:={json.dumps(inner)}"


def _id_sources(document: dict[str, Any]) -> dict[str, IdSource]:
    """Map each parameter to the list with its ids, whose path ends before the parameter."""
    lists = {
        path: candidate
        for method, path, operation in operations(document)
        if method == "GET"
        and (candidate := _CommandOperation(document, method, path, operation)).item is not None
    }
    sources: dict[str, IdSource] = {}
    for path in document.get("paths", {}):
        for match in re.finditer(r"/{(\w+)}", path):
            listing, name = lists.get(path[: match.start()]), match[1]
            source = sources.get(name)
            if listing is None or (source and len(source.arguments) <= len(listing.places)):
                continue
            item = listing.item or {}
            key = next(
                (
                    candidate
                    for candidate in ("id", name, name.rpartition("_")[2])
                    if candidate in item
                ),
                None,
            )
            if key is not None:
                sources[name] = IdSource(listing.id, listing.places, key)
    return sources


def _group(document: dict[str, Any], tag: str) -> str:
    tags = {tag_node["name"]: tag_node for tag_node in document.get("tags", [])}
    group = tags.get(tag, {}).get("x-cli-name")
    if group is not None:
        return str(group)
    for noun in tags:
        # The group of `agent_rollouts` is `rollouts`.
        if tag.endswith(f"_{noun}"):
            tag = noun
    return tag.replace("_", "-")


def _schemas(document: dict[str, Any], bodies: dict[str, Any]) -> dict[str, str]:
    """Write the schemas of bodies and all referenced schemas, with the checked keywords."""
    schemas = document.get("components", {}).get("schemas", {})
    texts: dict[str, str] = {}
    waiting = sorted(bodies)
    while waiting:
        name = waiting.pop(0)
        if name not in texts:
            plain = _plain(schemas.get(name, bodies.get(name)), name)
            texts[name] = json.dumps(plain, separators=(",", ":"), sort_keys=True)
            waiting += sorted(set(re.findall(r'"\$ref":"(\w+)"', texts[name])))
    return dict(sorted(texts.items()))


def _plain(schema: Any, name: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _ANNOTATIONS or key.startswith("x-"):
            continue
        if key not in _CHECKED:
            raise CodegenError(f"schema {name}: the command line checks no `{key}` in a body yet")
        if key == "$ref":
            plain[key] = value.rpartition("/")[2]
        elif key == "properties":
            plain[key] = {inner: _plain(node, name) for inner, node in value.items()}
        elif key == "anyOf":
            plain[key] = [_plain(node, name) for node in value]
        elif key in ("items", "additionalProperties", "propertyNames"):
            plain[key] = _plain(value, name)
        else:
            plain[key] = value
    return plain


def _answer(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of the first successful answer by media type."""
    for status, response in operation.get("responses", {}).items():
        if str(status).startswith("2"):
            content = resolve(document, response).get("content", {})
            return {kind: media.get("schema", {}) for kind, media in content.items()}
    return {}


def _properties(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    schema = resolve(document, schema)
    properties: dict[str, Any] = schema.get("properties", {})
    for part in schema.get("allOf", []):
        properties = {**properties, **_properties(document, part)}
    return properties


def resolve(document: dict[str, Any], value: Any) -> Any:
    """Follow references within the document to what they name."""
    while isinstance(value, dict) and isinstance(value.get("$ref"), str):
        place: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            place = place.get(step, {}) if isinstance(place, dict) else {}
        value = place
    return value


def _snake(name: str) -> str:
    return name.lower().replace("-", "_")


def _word(place: str) -> str:
    return place.removesuffix("_id").replace("_", "-")


def _text(markdown: str) -> str:
    """Join the lines of each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", markdown.strip()))
