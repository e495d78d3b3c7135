"""YAML and JSON as data, with the line of each part; and what each part of a document is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

# Keys and indices that lead to a part of a document.
Pointer = tuple[str | int, ...]

_DEEPEST = 200
# In a few lines aliases of YAML can write more values than memory holds. A document without aliases
# has fewer values than characters.
_ALWAYS_READ = 100_000
_FOR_EACH_CHARACTER = 4


class UnusableDocumentError(Exception):
    """Unusable document; the message is one line with the file, the line and the correction."""


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


def parse_text(
    text: str, path: Path, locate: Callable[[int], str]
) -> tuple[Any, Mapping[Pointer, int]]:
    """Parse YAML or JSON; return the value, and the line of each pointer in it, from 1.

    Raises:
        UnusableDocumentError: It is neither, nests too deep, or has a repeated key or one that is
            no string.
    """
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            # The parser of YAML says in which line.
            pass
        else:
            if _depth(content) <= _DEEPEST:
                return content, _LinesOfJson(text, path, locate)
    return parse_yaml_text(text, path, locate)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is there twice")
    return content


def _depth(content: Any) -> int:
    depth, level = 0, [content]
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return depth


class _LinesOfJson(Mapping[Pointer, int]):
    """Lines of the parts of a JSON text, which is parsed once more when the first one is read."""

    def __init__(self, text: str, path: Path, locate: Callable[[int], str]) -> None:
        self._source = (text, path, locate)

    @cached_property
    def _lines(self) -> Mapping[Pointer, int]:
        try:
            return parse_yaml_text(*self._source)[1]
        except UnusableDocumentError:
            # Not all JSON is YAML: tabs are not.
            return {}

    def __getitem__(self, pointer: Pointer) -> int:
        return self._lines[pointer]

    def __iter__(self) -> Iterator[Pointer]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def parse_yaml_text(
    text: str, path: Path, locate: Callable[[int], str]
) -> tuple[Any, dict[Pointer, int]]:
    """Parse YAML; return the value, and the line of each pointer in it, from 1.

    Raises:
        UnusableDocumentError: It is not YAML, nests too deep, or has a repeated key or one that is
            no string.
    """
    lines: dict[Pointer, int] = {}
    try:
        loader = _LOADER(text)
        loader.most_values = _ALWAYS_READ + _FOR_EACH_CHARACTER * len(text)
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


_MERGE = "tag:yaml.org,2002:merge"
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
    if len(lines) > loader.most_values:
        raise UnusableDocumentError(
            f"{locate(line)}: more than {loader.most_values} values; write it with $ref, not with "
            "aliases"
        )
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(loader, item, (*pointer, index), lines, locate)
            for index, item in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node, deep=True)
    mapping: dict[Any, Any] = {}
    if any(key_node.tag == _MERGE for key_node, _ in node.value):
        loader.flatten_mapping(node)
        node.value = list({str(pair[0].value): pair for pair in node.value}.values())
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


def iter_parts(node: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Iterate over all parts of a document, with their pointers."""
    waiting = [(pointer, node)]
    while waiting:
        where, part = waiting.pop()
        yield where, part
        if isinstance(part, dict):
            waiting += [((*where, key), part[key]) for key in reversed(part)]
        elif isinstance(part, list):
            waiting += [((*where, index), part[index]) for index in reversed(range(len(part)))]


def described_objects(content: Any) -> Iterator[tuple[Pointer, dict[str, Any], str]]:
    """Iterate over the objects of a document that are no data, each with its kind (`kind_of`)."""
    waiting: list[tuple[Pointer, Any, _State]] = [((), content, ("", ""))]
    while waiting:
        where, part, state = waiting.pop()
        children: Any = enumerate(part)
        if isinstance(part, dict):
            yield where, part, "names" if state[0] else "object"
            children = part.items()
        below = []
        for key, child in children:
            if isinstance(child, dict | list):
                later = _enter(state, key)
                if later is not None:
                    below.append(((*where, key), child, later))
        waiting += reversed(below)


def kind_of(pointer: Pointer) -> str:
    """Classify the target of a pointer.

    Returns:
        "data" for any JSON, as in an example; "names" for a map with free names, as `properties`;
        "object" for everything that OpenAPI describes.
    """
    state: _State | None = ("", "")
    for step in pointer:
        state = _enter(state, step)
        if state is None:
            return "data"
    return "names" if state and state[0] else "object"


# The keyword whose free names come next, and the one whose name was the last step.
_State = tuple[str, str]


def _enter(state: _State | None, step: str | int) -> _State | None:
    """Return the state below a step; None below data."""
    if state is None:
        return None
    names, within = state
    if names:
        if names == "examples" and isinstance(step, int):
            return None
        # The next step is an index of a list, or a name whose value is an object.
        return "", names
    if step in _DATA or str(step)[:2] == "x-":
        return None
    if (within, step) in (("examples", "value"), ("links", "parameters")):
        return None
    return (str(step) if step in _NAMES else ""), ""


_DATA = {
    "const", "default", "dependentRequired", "enum", "example", "mapping", "required", "scopes",
    "security", "tags",
}  # fmt: skip
_NAMES = {
    "$defs", "callbacks", "content", "dependentSchemas", "examples", "headers", "links",
    "parameters", "pathItems", "paths", "patternProperties", "properties", "requestBodies",
    "responses", "schemas", "securitySchemes", "variables", "webhooks",
}  # fmt: skip
