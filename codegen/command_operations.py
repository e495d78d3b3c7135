"""Operations of the document as commands: the group, the verb and the kind of each."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, cast, get_args

from codegen import CodegenError
from codegen.operation_rules import EVENTS, FORM, JSON
from codegen.references import properties, resolve, success_content
from synth_pools.cli.operations.model import BYTES, Kind

_KINDS = get_args(Kind)
# Verbs of reading that are dropped before another word: `get_pool_urls` is `pools urls`.
_READS = ("get", "list", "stream")
# Families of operations; an option of the command chooses the family.
_SCOPES = ("global",)
_EXAMPLE_WIDTH = 76


class CommandOperation:
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
        self.group = group_of(document, self.tag)
        self.places = tuple(re.findall(r"{(\w+)}", path))
        self.verb = operation.get("x-cli-name") or self._verb_by_rule()
        shared = document["paths"][path].get("parameters", [])
        listed = [
            resolve(document, parameter)
            for parameter in (*shared, *operation.get("parameters", []))
        ]
        self.parameters = {
            parameter["name"].lower().replace("-", "_"): parameter for parameter in listed
        }
        self.answer = success_content(document, operation)
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
        if EVENTS in self.answer:
            return "stream"
        if self.answer and JSON not in self.answer:
            return "download"
        if self.method != "GET":
            return "act"
        return "list" if self.item is not None else "get"

    @property
    def item(self) -> dict[str, Any] | None:
        """Schema of an item, if the answer is a list."""
        listed = properties(self.document, self.answer.get(JSON, {}).get("schema", {})).get("items")
        return None if listed is None else properties(self.document, listed.get("items", {}))

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = resolve(self.document, self.operation.get("requestBody", {}))
        return body

    @property
    def body_media(self) -> dict[str, Any]:
        media: dict[str, Any] = next(iter(self.body.get("content", {}).values()), {})
        return media

    @property
    def body_name(self) -> str:
        """Name of the schema of its body, else of the operation; `BYTES` for bytes."""
        media = next(iter(self.body.get("content", ())), "")
        if media not in (JSON, FORM):
            return BYTES if media else ""
        return str(self.body_media.get("schema", {}).get("$ref", self.id)).rpartition("/")[2]

    @property
    def form(self) -> tuple[Kind, str, str]:
        """Values that all operations of one command share."""
        return self.kind, self.body_name, self.method

    @property
    def suffix(self) -> str:
        """File suffix of a download, from the path or the media type."""
        if self.kind != "download":
            return ""
        last = self.path.rpartition("/")[2]
        if last.startswith("{"):
            return ""
        ending = ".zip" if "application/zip" in self.answer and "." not in last else ""
        return f"-{last}{ending}"

    def example(self, name: tuple[str, str], places: tuple[str, ...]) -> str:
        """Write a command line with the examples of the document."""
        words = ["synth-pools", *filter(None, name)]
        words += [
            str(self.parameters.get(place, {}).get("example", argument_word(place)))
            for place in places
        ]
        for place, parameter in self.parameters.items():
            if parameter["in"] == "query" and parameter.get("required"):
                flag = f"--{place.replace('_', '-')}"
                words += [flag, str(parameter.get("example", "..."))]
        before = len(words)
        example: Any = next(iter(self.body_media.get("examples", {}).values()), {})
        value = resolve(self.document, example).get("value", self.body_media.get("example"))
        assignments = list(body_assignments(value if isinstance(value, dict) else {}))
        needed = resolve(self.document, self.body_media.get("schema", {})).get("required", ())
        for text in assignments:
            is_needed = re.split("[:=.]", text)[0] in needed
            if is_needed or len(shlex.join([*words, text])) <= _EXAMPLE_WIDTH:
                words.append(text)
        if len(words) == before:
            words += ["@FILE"] if self.body_name == BYTES else assignments[:1]
        if self.method == "DELETE":
            words.append("--yes")
        return shlex.join(words)


def group_of(document: dict[str, Any], tag: str) -> str:
    """Name the command group of a tag."""
    tags = {tag_node["name"]: tag_node for tag_node in document.get("tags", [])}
    group = tags.get(tag, {}).get("x-cli-name")
    if group is not None:
        return str(group)
    for noun in tags:
        # The group of `agent_rollouts` is `rollouts`.
        if tag.endswith(f"_{noun}"):
            tag = noun
    return tag.replace("_", "-")


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


def argument_word(place: str) -> str:
    """Name a parameter of a path at the command line."""
    return place.removesuffix("_id").replace("_", "-")
