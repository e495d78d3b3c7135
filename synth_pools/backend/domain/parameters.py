"""Parameters and forms as they stand in a request, read by their styles in openapi.yaml."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, unquote_plus

Place = Literal["path", "query", "header", "cookie"]
# The texts of each name in a query or a form, as they were sent.
Sent = Mapping[str, list[str]]
Types = frozenset[str]

TEXT: Types = frozenset({"string"})
# Delimiters of lists in one parameter; of those in percent-encoding also the character itself.
DELIMITERS = {
    "form": re.compile(","),
    "simple": re.compile(","),
    "spaceDelimited": re.compile(r"%20|\+"),
    "pipeDelimited": re.compile(r"%7C|\|", re.IGNORECASE),
}
_INTEGER = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Shape:
    """Types of a value that is sent as text.

    Attributes:
        types: Its types.
        items: The types of its items, if it is a list, or of further keys of an object.
        fields: The shapes of its properties.
    """

    types: Types = TEXT
    items: Types = TEXT
    fields: Mapping[str, Shape] | None = None

    def field(self, name: str) -> Shape:
        return (self.fields or {}).get(name) or Shape(self.items)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Parameter of an operation.

    Attributes:
        name: Its name.
        place: Its place in a request.
        required: Whether a request without it is refused.
        shape: The types of its value.
        style: Its style.
        is_exploded: Whether each item and property is a parameter of its own.
        schema: JSON pointer to its schema.
    """

    name: str
    place: Place
    required: bool
    shape: Shape
    style: str
    is_exploded: bool
    schema: str

    def values(self, path: Mapping[str, str], query: Sent, headers: Mapping[str, str]) -> list[Any]:
        """Return the values that were sent for it; more than one is a mistake of the client's."""
        name, types = self.name, self.shape.types
        if self.place == "query":
            if types & {"array", "object"}:
                return self._composed(query)
            return [_value(types, unquote_plus(text)) for text in query.get(name, ())]
        if self.place == "path":
            return [_value(types, path[name])]
        if self.place == "cookie":
            pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
            return [_value(types, unquote(text)) for key, _, text in pairs if key == name]
        header = headers.get(name.lower())
        return [] if header is None else [_value(types, header)]

    def _composed(self, query: Sent) -> list[Any]:
        """Read a list, or an object."""
        texts, is_object = query.get(self.name, []), "object" in self.shape.types
        if self.style == "deepObject":
            start = f"{self.name}["
            fields = {
                key[len(start) : -1]: query[key]
                for key in query
                if key.startswith(start) and key.endswith("]")
            }
            return [read_fields(fields, self.shape)] if fields else []
        if self.is_exploded and is_object:
            fields = {key: query[key] for key in query if key in (self.shape.fields or {})}
            return [read_fields(fields, self.shape)] if fields else []
        if self.is_exploded:
            return (
                [[_value(self.shape.items, unquote_plus(text)) for text in texts]] if texts else []
            )
        lists = [DELIMITERS[self.style].split(text) if text else [] for text in texts]
        if is_object:
            return [
                read_fields(
                    {key: [text] for key, text in zip(*[iter(parts)] * 2, strict=False)}, self.shape
                )
                for parts in lists
            ]
        return [[_value(self.shape.items, unquote_plus(text)) for text in parts] for parts in lists]


def read_query(query_string: bytes) -> dict[str, list[str]]:
    """Split a query, or a form; the texts are still in percent-encoding."""
    query: dict[str, list[str]] = {}
    # Latin-1 keeps all bytes that a client may have sent unencoded.
    for pair in query_string.decode("latin-1").split("&"):
        name, _, text = pair.partition("=")
        if pair:
            query.setdefault(unquote_plus(name), []).append(text)
    return query


def read_fields(fields: Sent, shape: Shape) -> dict[str, Any]:
    """Read the properties of an object; one that is a list may be there several times."""
    values: dict[str, Any] = {}
    for key, texts in fields.items():
        field = shape.field(key)
        words = [unquote_plus(text) for text in texts]
        if "array" in field.types:
            values[key] = [_value(field.items, word) for word in words]
        else:
            values[key] = _value(field.types, words[-1])
    return values


def _value(types: Types, text: str) -> Any:
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    return text
