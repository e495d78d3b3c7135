"""Sample values of a request's fields, valid and invalid, derived from the document."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synth_pools.contract.document import Document, Operation
from synth_pools.contract.http.client import ABSENT

Path = tuple[str, ...]

_TEXTS = ("x", "-1", "1..2..3", "half")

# Values of each JSON type, texts that resemble ids and addresses, and numbers out of bounds.
_CANDIDATES: tuple[Any, ...] = (
    "text", 5, 1.5, True, [], {}, [5], {"x": 1}, "", " ", "-x", "a/b", "ü", "5",
    "no url", "ftp://x", "http://", "/x", "x" * 129, "x" * 256, "x" * 2_049,
    0, -1, 2**63, -(2**63) - 1, 10_001, 86_401, "no-such-value",
)  # fmt: skip


class RequestFields:
    """Fields of the body of an operation, with the values that the document allows and refuses."""

    def __init__(self, document: Document, operation: Operation) -> None:
        self._document = document
        self._operation = operation
        self._root = self.resolved(operation.request or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that the document names."""
        return tuple(self._root.get("properties", {}))

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that every body must have."""
        return tuple(self._root.get("required", ()))

    def paths(self) -> Iterator[Path]:
        """Yield the path of each field, and of each field inside it."""
        for name, schema in self._root.get("properties", {}).items():
            yield (name,)
            for inner in self.resolved(schema).get("properties", {}):
                yield name, inner

    def wrong(self, path: Path, base: Mapping[str, Any], most: int = 2) -> list[Any]:
        """Return values that the document refuses, up to `most` of each JSON type."""
        refused = (value for value in self._values(path) if not self.allows(path, value, base))
        return _some_of_each(refused, most)

    def right(self, path: Path, base: Mapping[str, Any], most: int = 2) -> list[Any]:
        """Return values that the document allows, up to `most` of each JSON type."""
        allowed = (value for value in self._values(path) if self.allows(path, value, base))
        return _some_of_each(allowed, most)

    def allows(self, path: Path, value: Any, base: Mapping[str, Any]) -> bool:
        """Return True if the document allows a valid body with this value in this field."""
        return self._document.allows(self._operation, put_at(base, path, value))

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema to which references lead, without the null that it may allow."""
        schema = self._document.resolve(schema)
        branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
        return self.resolved(branches[0]) if len(branches) == 1 else schema

    def _values(self, path: Path) -> Iterator[Any]:
        schema = self._root
        for step in path:
            schema = self.resolved(schema.get("properties", {}).get(step, {}))
        yield from schema.get("enum", ())
        for bound, offset in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0)):
            if (number := schema.get(bound)) is not None:
                yield number
                yield number + offset
        if (most := schema.get("maxLength")) is not None:
            yield "x" * most
            yield "x" * (most + 1)
        if (most := schema.get("maxItems")) is not None and most <= 1_000:
            yield [{}] * (most + 1)
        if (most := schema.get("maxProperties")) is not None:
            yield from ({f"k{n}": "x" for n in range(number)} for number in (most, most + 1))
        yield from ({name: "x"} for name in ("a=b", "") if "propertyNames" in schema)
        yield from _CANDIDATES


def wrong_texts(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield texts that are no value of a parameter of the query with this schema."""
    kind = schema.get("type")
    if kind in ("integer", "number"):
        yield from ("", "many", "1e2x", "٣", *(["1.5"] if kind == "integer" else []))
        for bound, offset in (("minimum", -1), ("maximum", 1)):
            if isinstance(number := schema.get(bound), int):
                yield str(number + offset)
    elif "enum" in schema:
        yield from ("", "no-such-value", str(schema["enum"][0]).upper())
    else:
        if schema.get("format") == "date-time":
            yield from ("", "today", "2026-13-01T00:00:00Z")
        if (pattern := schema.get("pattern")) is not None:
            yield from (text for text in _TEXTS if not re.search(pattern, text))
        if schema.get("minLength"):
            yield ""
        if (most := schema.get("maxLength")) is not None:
            yield "x" * (most + 1)


def smallest_body(document: Document, operation: Operation) -> Any:
    """Return the smallest body that the document allows; ABSENT if there is no body."""
    if operation.request is None:
        return ABSENT
    fields = RequestFields(document, operation)
    body: dict[str, Any] = {}
    for name in fields.required:
        others = {sibling: _CANDIDATES[0] for sibling in fields.required if sibling != name}
        allowed = fields.right((name,), others, most=1)
        body[name] = allowed[0] if allowed else _CANDIDATES[0]
    return body


def put_at(base: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy of a body with `value` at `path`; create missing parents."""
    body = copy.deepcopy(dict(base))
    inner = body
    for step in path[:-1]:
        inner = inner.setdefault(step, {})
    inner[path[-1]] = value
    return body


def _some_of_each(values: Iterator[Any], most: int) -> list[Any]:
    by_type: dict[str, dict[str, Any]] = {}
    for value in values:
        same = by_type.setdefault(type(value).__name__, {})
        if len(same) < most:
            same.setdefault(json.dumps(value), value)
    return [value for same in by_type.values() for value in same.values()]
