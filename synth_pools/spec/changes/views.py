"""Schemas in a normal form, so that another spelling of the same schema is no change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.values import (
    EVERY_TYPE,
    FORMS,
    Bound,
    admitted_types,
    common_of,
    forms_of,
    json_text,
    lower_of,
    tightest_of,
    upper_of,
)

# Keywords that admit or refuse no value: they inform people or tools.
_ANNOTATIONS = {
    "$anchor", "$comment", "$id", "$schema", "default", "deprecated", "description",
    "discriminator", "example", "examples", "externalDocs", "readOnly", "title", "writeOnly",
    "xml",
}  # fmt: skip
_SIZES = ("minLength", "minItems", "minProperties", "maxLength", "maxItems", "maxProperties")
# The extension of an enumeration that may get further values.
OPEN_ENUM = "x-open-enum"
# Keywords with a place of their own in a view, or that only hold schemas for references.
_NORMAL = {
    *_ANNOTATIONS, *_SIZES, *FORMS, "$defs", "$ref", "additionalProperties", "allOf", "anyOf",
    "const", "definitions", "enum", "exclusiveMaximum", "exclusiveMinimum", "items", "maximum",
    "minimum", "nullable", "oneOf", "patternProperties", "prefixItems", "properties", "required",
    "type", "uniqueItems",
}  # fmt: skip
_OF_OBJECTS = ("properties", "additionalProperties", "patternProperties")


@dataclass(slots=True)
class SchemaView:
    """A schema with its references followed and its parts joined.

    Attributes:
        name: The name of its component, also beside null; empty for a schema without a name.
        core: The identity of what it admits: equal for two references to one component.
        never: True if it admits nothing.
        types: The types that it admits.
        values: Its enumerated values as JSON, without null; None if they are not enumerated.
        lower: The least number.
        upper: The greatest number.
        sizes: Its bounds of lengths and counts.
        unique: True if the items of an array differ.
        forms: Its formats, patterns and the like: all of them apply.
        properties: The schemas of each property: all of them apply.
        patterns: The schemas of properties by pattern.
        required: The names of the required properties.
        rest: The schemas of all other properties; None if there are none.
        items: The schemas of the items.
        first_items: The schemas of the first items, each at its place.
        groups: The alternatives of each anyOf and oneOf, without null.
        others: Keywords without a rule in the comparison.
        annotations: Its keywords that admit or refuse no value, and its extensions.
    """

    name: str = ""
    core: Any = None
    never: bool = False
    types: frozenset[str] = EVERY_TYPE
    values: tuple[str, ...] | None = None
    lower: Bound | None = None
    upper: Bound | None = None
    sizes: dict[str, float] = field(default_factory=dict)
    unique: bool = False
    forms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    patterns: dict[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    rest: Any = True
    items: Any = True
    first_items: tuple[Any, ...] = ()
    groups: tuple[tuple[SchemaView, ...], ...] = ()
    others: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, Any] = field(default_factory=dict)

    @property
    def is_null(self) -> bool:
        """True if it admits null alone."""
        return self.types == {"null"}

    @property
    def is_plain(self) -> bool:
        """True if nothing but its types limits it."""
        return self == SchemaView(
            self.name, self.core, types=self.types, annotations=self.annotations
        )

    @property
    def is_enumeration(self) -> bool:
        """True if it only lists values."""
        return self.values is not None and replace(self, values=None).is_plain

    @property
    def has_structure(self) -> bool:
        """True if it has keywords beside its alternatives."""
        plain = replace(self, groups=())
        return not plain.is_plain

    @property
    def label(self) -> str:
        """Name for people: the component, the values, or the types."""
        if self.name:
            return self.name
        if self.values is not None:
            return ", ".join(self.values[:3])
        if self.types == EVERY_TYPE:
            needed = ", ".join(sorted(self.required))
            return f"with {needed}" if needed else "any value"
        return type_names(self.types)


def type_names(types: frozenset[str]) -> str:
    """Return types as text; "number" includes every integer, and null is told on its own."""
    if types == EVERY_TYPE:
        return "any"
    names = types - {"null"} or types
    return " or ".join(sorted(names - {"integer"} if "number" in names else names))


class SchemaReader:
    """Reader of the schemas of one document; each is brought into its normal form once."""

    def __init__(self, file: OpenApiFile) -> None:
        self._file = file
        self._is_old = file.is_openapi_3_0
        # The key is the address of a node, which is stored so that no other gets its address.
        self._views: dict[int, tuple[Any, SchemaView]] = {}
        self._open: set[int] = set()
        self._joined: dict[tuple[int, ...], dict[str, Any]] = {}
        self._parts: dict[int, tuple[Any, ...]] = {}

    def view(self, node: Any) -> SchemaView:
        """Return the normal form of a schema; a schema inside of its own definition is any."""
        if not isinstance(node, dict):
            return SchemaView(core=node is False, never=node is False)
        key = id(node)
        if key in self._views:
            return self._views[key][1]
        if key in self._open:
            return SchemaView(core=key)
        self._open.add(key)
        try:
            view = self._read(node)
            self._views[key] = node, view
        finally:
            self._open.discard(key)
        return view

    def join(self, nodes: Sequence[Any]) -> Any:
        """Return one schema for several that all apply."""
        parts: dict[int, Any] = {}
        for node in nodes:
            for part in self._parts.get(id(node), (node,)):
                if part is not True and part != {}:
                    parts[id(part)] = part
        if len(parts) < 2:
            return next(iter(parts.values()), True)
        key = tuple(sorted(parts))
        if key not in self._joined:
            joined = {"allOf": list(parts.values())}
            self._joined[key] = joined
            self._parts[id(joined)] = tuple(parts.values())
        return self._joined[key]

    def _read(self, node: dict[str, Any]) -> SchemaView:
        reference = node.get("$ref")
        siblings = {key: value for key, value in node.items() if key not in ("$ref", "allOf")}
        parts = [] if self._is_old and reference else list(node.get("allOf", ()))
        target = None
        if isinstance(reference, str):
            target = self.view(self._file.find(reference)[1])
            if self._is_old or (not parts and siblings.keys() <= _ANNOTATIONS):
                extra = {} if self._is_old else siblings
                name = self._file.name_of(reference)
                return replace(target, name=name, annotations={**target.annotations, **extra})
        has_own = not siblings.keys() <= _ANNOTATIONS
        if len(parts) == 1 and not has_own and not reference:
            only = self.view(parts[0])
            return replace(only, annotations={**only.annotations, **siblings})
        views = [self.view(part) for part in parts]
        if target is not None:
            views.insert(0, target)
        own_view = self._own(siblings)
        view = self._joined_view([*views, own_view])
        if view.types == EVERY_TYPE and not view.groups:
            if any(key in node for key in _OF_OBJECTS) or view.properties:
                view.types = frozenset({"object"})
            elif "items" in node:
                view.types = frozenset({"array"})
        view = self._folded(view)
        view.core = id(node)
        if siblings.get("nullable") is True and not {"const", "enum"} & siblings.keys():
            view.types |= {"null"}
        return view

    def _own(self, node: Mapping[str, Any]) -> SchemaView:
        """Read the keywords of a schema, without references and allOf."""
        view = SchemaView(types=admitted_types(node))
        view.annotations = {
            key: value for key, value in node.items() if key in _ANNOTATIONS or key[:2] == "x-"
        }
        values = [node["const"]] if "const" in node else node.get("enum")
        if values is not None:
            view.values = tuple(json_text(value) for value in values if value is not None)
        view.lower = lower_of(node, view.types)
        view.upper = upper_of(node, view.types)
        view.sizes = {
            key: node[key] for key in _SIZES if key in node and (key[:3] == "max" or node[key])
        }
        view.unique = node.get("uniqueItems") is True
        view.forms = forms_of(node)
        view.properties = dict(node.get("properties") or {})
        view.patterns = dict(node.get("patternProperties") or {})
        names = node.get("required")
        view.required = frozenset(map(str, names)) if isinstance(names, list) else frozenset()
        rest = node.get("additionalProperties", True)
        view.rest = True if rest == {} else rest
        items = node.get("items", True)
        view.items = True if items == {} else items
        view.first_items = tuple(node.get("prefixItems") or ())
        view.others = {k: v for k, v in node.items() if k not in _NORMAL and k[:2] != "x-"}
        if view.others.get("minContains") == 1 or "contains" not in node:
            view.others.pop("minContains", None)
        # An alternative that leads back to this schema adds nothing to the others.
        groups = (
            tuple(self.view(part) for part in node.get(key) or () if not self._is_open(part))
            for key in ("anyOf", "oneOf")
        )
        view.groups = tuple(filter(None, groups))
        return view

    def _is_open(self, node: Any) -> bool:
        reference = node.get("$ref") if isinstance(node, dict) else None
        if isinstance(reference, str):
            node = self._file.find(reference)[1]
        return id(node) in self._open

    def _joined_view(self, views: Sequence[SchemaView]) -> SchemaView:
        """Join schemas that all apply: the tightest of each keyword."""
        joined = views[0]
        for view in views[1:]:
            joined = SchemaView(
                never=joined.never or view.never,
                types=joined.types & view.types,
                values=common_of(joined.values, view.values),
                lower=max(filter(None, (joined.lower, view.lower)), default=None),
                upper=min(
                    filter(None, (joined.upper, view.upper)),
                    key=lambda bound: (bound[0], -bound[1]),
                    default=None,
                ),
                sizes=tightest_of(joined.sizes, view.sizes),
                unique=joined.unique or view.unique,
                forms={
                    key: tuple(
                        dict.fromkeys((*joined.forms.get(key, ()), *view.forms.get(key, ())))
                    )
                    for key in (*joined.forms, *view.forms)
                },
                properties=self._both(joined.properties, view.properties),
                patterns=self._both(joined.patterns, view.patterns),
                required=joined.required | view.required,
                rest=self._all(joined.rest, view.rest),
                items=self._all(joined.items, view.items),
                first_items=max(joined.first_items, view.first_items, key=len),
                groups=(*joined.groups, *view.groups),
                others={**joined.others, **view.others},
                annotations={**joined.annotations, **view.annotations},
            )
        return joined if len(views) > 1 else replace(joined)

    def _all(self, first: Any, second: Any) -> Any:
        return False if first is False or second is False else self.join((first, second))

    def _both(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        both = {**first, **second}
        for name in first.keys() & second.keys():
            both[name] = self._all(first[name], second[name])
        return both

    def _folded(self, view: SchemaView) -> SchemaView:
        """Write alternatives as types, values or one schema where they say no more."""
        groups = []
        for group in view.groups:
            variants = list(_flat(group))
            null = any("null" in variant.types for variant in variants)
            variants = [
                variant for variant in variants if not variant.is_null and not variant.never
            ]
            union = frozenset({"null"} if null else ()).union(*(v.types for v in variants))
            if len(variants) == 1 and len(view.groups) == 1 and not view.has_structure:
                # `anyOf: [X, null]` means a nullable X.
                only = variants[0]
                return replace(
                    only,
                    name=view.name or only.name,
                    types=view.types & (only.types | union),
                    annotations={**only.annotations, **view.annotations},
                )
            if all(variant.is_plain for variant in variants):
                view.types &= union
            elif all(variant.is_enumeration for variant in variants):
                values = (value for variant in variants for value in variant.values or ())
                listed = tuple(dict.fromkeys(values))
                view.values = common_of(view.values, listed)
                view.types &= union
                if any(variant.annotations.get(OPEN_ENUM) is True for variant in variants):
                    view.annotations[OPEN_ENUM] = True
            else:
                view.types &= union
                groups.append(
                    tuple(replace(variant, types=variant.types - {"null"}) for variant in variants)
                )
        view.groups = tuple(groups)
        return view


def _flat(group: Iterable[SchemaView]) -> Iterable[SchemaView]:
    """Yield alternatives, and in place of one that only has alternatives, these."""
    for view in group:
        if len(view.groups) == 1 and not view.name and not view.has_structure:
            yield from view.groups[0]
            if "null" in view.types:
                yield SchemaView(types=frozenset({"null"}))
        else:
            yield view
