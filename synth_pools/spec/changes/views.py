"""Schemas in a normal form, so that another spelling of the same schema is no change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from synth_pools.spec.changes.source import OpenApiFile

EVERY_TYPE = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
# Keywords that admit or refuse no value: they inform people or tools.
_ANNOTATIONS = {
    "$comment", "contentEncoding", "contentMediaType", "default", "deprecated", "description",
    "discriminator", "example", "examples", "externalDocs", "readOnly", "title", "writeOnly", "xml",
}  # fmt: skip
_STRUCTURE = {
    "additionalProperties", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format",
    "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength",
    "minProperties", "minimum", "multipleOf", "pattern", "properties", "required", "type",
    "uniqueItems",
}  # fmt: skip


class SchemaView:
    """A schema with its references followed and its parts joined.

    Attributes:
        name: The name of its component, also beside null; empty for a schema without a name.
        never: True if it admits nothing.
        types: The types that it admits.
        variants: The alternatives of anyOf and oneOf, without null.
        own: Its keywords, without those of the variants.
    """

    def __init__(self, file: OpenApiFile, node: Any, within: frozenset[str] = frozenset()) -> None:
        self.name, merged, within = _follow(file, node, within)
        self.never = merged is False
        self.types: frozenset[str]
        self.own: dict[str, Any] = dict(merged) if isinstance(merged, dict) else {}
        alternatives = [
            SchemaView(file, branch, within)
            for key in ("anyOf", "oneOf")
            for branch in self.own.pop(key, ())
        ]
        null = [view for view in alternatives if view.is_null]
        variants = [view for view in alternatives if not view.is_null]
        self.variants: list[SchemaView] = []
        self.annotations = {key: self.own[key] for key in _ANNOTATIONS if key in self.own}
        structural = bool(_STRUCTURE & self.own.keys())
        if len(variants) == 1 and not structural:
            # `anyOf: [X, null]` means a nullable X.
            only = variants[0]
            self.name = self.name or only.name
            self.own = {**only.own, **self.own}
            self.variants = only.variants
            self.types = only.types
        else:
            self.variants = variants
            self.types = _types(self.own)
            if variants and "type" not in self.own:
                self.types &= frozenset().union(*(view.types for view in variants))
        if null:
            self.types |= {"null"}

    @property
    def is_null(self) -> bool:
        """True if it admits null alone."""
        return self.own.get("type") == "null" or ("const" in self.own and self.own["const"] is None)

    @property
    def has_structure(self) -> bool:
        """True if it has keywords beside its variants."""
        return bool(_STRUCTURE & self.own.keys())

    @property
    def values(self) -> list[Any] | None:
        """The enumerated values and `const`, without null; None if values are not enumerated."""
        if "const" in self.own:
            return [self.own["const"]]
        values = self.own.get("enum")
        return None if values is None else [value for value in values if value is not None]

    @property
    def required(self) -> set[str]:
        """The names of the required properties."""
        names = self.own.get("required")
        return {str(name) for name in names} if isinstance(names, list) else set()

    def properties(self, *, of_request: bool) -> dict[str, Any]:
        """Return the properties that can be sent in one direction."""
        hidden = "readOnly" if of_request else "writeOnly"
        properties: Mapping[str, Any] = self.own.get("properties", {})
        return {
            name: node
            for name, node in properties.items()
            if not (isinstance(node, dict) and node.get(hidden) is True)
        }

    @property
    def others(self) -> dict[str, Any]:
        """Keywords without a rule in the comparison."""
        keywords = _STRUCTURE | _ANNOTATIONS | {"$defs", "$ref"}
        return {k: v for k, v in self.own.items() if k not in keywords and not k.startswith("x-")}

    @property
    def label(self) -> str:
        """Name for people: the component, the values, or the types."""
        if self.name:
            return self.name
        if self.values is not None:
            return ", ".join(str(value) for value in self.values[:3])
        if self.types == EVERY_TYPE:
            needed = ", ".join(sorted(self.required))
            return f"with {needed}" if needed else "any value"
        return " or ".join(sorted(self.types - {"null"})) or "null"

    @property
    def shape(self) -> str:
        """All keywords that admit or refuse values, as one text."""
        schema = {
            k: v for k, v in self.own.items() if k not in _ANNOTATIONS and not k.startswith("x-")
        }
        return json.dumps(
            [_bare(schema), sorted(self.types), sorted(view.shape for view in self.variants)],
            sort_keys=True,
            default=str,
        )


def _bare(node: Any) -> Any:
    """Return a schema without annotations."""
    if isinstance(node, dict):
        return {
            key: (
                {name: _bare(schema) for name, schema in value.items()}
                if key == "properties" and isinstance(value, dict)
                else _bare(value)
            )
            for key, value in node.items()
            if key not in _ANNOTATIONS
        }
    return [_bare(item) for item in node] if isinstance(node, list) else node


def _follow(
    file: OpenApiFile, node: Any, within: frozenset[str]
) -> tuple[str, Any, frozenset[str]]:
    """Follow references, and join allOf and the keywords beside them; follow a cycle once."""
    if not isinstance(node, dict):
        return "", node, within
    name = ""
    siblings = {key: value for key, value in node.items() if key not in ("$ref", "allOf")}
    parts: list[Any] = []
    reference = node.get("$ref")
    if isinstance(reference, str) and reference not in within:
        within |= {reference}
        if siblings.keys() <= _ANNOTATIONS and "allOf" not in node:
            name = reference.rsplit("/", 1)[1]
        _, target, within = _follow(file, file.find(reference)[1], within)
        parts.append(target)
    for part in node.get("allOf", ()):
        _, target, within = _follow(file, part, within)
        parts.append(target)
    merged: dict[str, Any] = {}
    for part in [*parts, siblings]:
        if part is False:
            return name, False, within
        if isinstance(part, dict):
            merged = _joined(merged, part)
    return name, merged, within


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Join two schemas that both apply; if both have a keyword, the second wins."""
    joined = {**first, **second}
    if isinstance(first.get("properties"), dict) and isinstance(second.get("properties"), dict):
        joined["properties"] = {**first["properties"], **second["properties"]}
    if isinstance(first.get("required"), list) and isinstance(second.get("required"), list):
        joined["required"] = [*first["required"], *second["required"]]
    return joined


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    types = schema.get("type")
    if types is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if values is None:
            return EVERY_TYPE
        return _whole({_type_of(value) for value in values})
    return _whole({types} if isinstance(types, str) else {str(name) for name in types})


def _whole(types: set[str]) -> frozenset[str]:
    """Add "integer" to types with "number", as every integer is a number."""
    return frozenset(types | {"integer"} if "number" in types else types)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return name
    return "array" if isinstance(value, list) else "object"
