"""Comparison of two schemas for requests or for responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.verdicts import REQUEST
from synth_pools.spec.changes.views import EVERY_TYPE, SchemaView

# Takes the kind of a change, its place and its text.
Report = Callable[[str, str, str], None]

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FORMS = ("format", "pattern", "multipleOf")


class SchemaComparison:
    """Comparison of the schemas of one operation, in one direction."""

    def __init__(self, old: OpenApiFile, new: OpenApiFile, direction: str, report: Report) -> None:
        self._files = (old, new)
        self._request = direction == REQUEST
        self._report = report
        self._compared: set[tuple[str, str]] = set()

    def compare(self, old: Any, new: Any, place: str) -> None:
        """Report the changes between two schemas; `place` names a schema that is no component."""
        before, after = SchemaView(self._files[0], old), SchemaView(self._files[1], new)
        self._compare_views(before, after, place)

    def _compare_views(self, old: SchemaView, new: SchemaView, place: str) -> None:
        if old.never != new.never:
            kind = "form-added" if new.never else "form-removed"
            self._report(kind, place, "nothing is allowed" if new.never else "something is allowed")
            return
        # Keywords beside a reference belong to this place, all others to the referenced schema.
        self._compare_null(old, new, place)
        self._compare_defaults(old, new, place)
        if old.annotations.get("deprecated") is not True and new.annotations.get("deprecated"):
            self._report("field-deprecated", place, "deprecated")
        if old.name and new.name:
            if (old.name, new.name) in self._compared:
                return
            self._compared.add((old.name, new.name))
            place = new.name
        self._compare_types(old, new, place)
        self._compare_values(old, new, place)
        self._compare_bounds(old, new, place)
        self._compare_objects(old, new, place)
        if "items" in old.own and "items" in new.own:
            self.compare(old.own["items"], new.own["items"], f"{place}[]")
        elif "array" in old.types & new.types and not (old.variants or new.variants):
            self._compare_presence("items", old.own, new.own, place)
        self._compare_variants(old, new, place)
        for key in sorted(old.others.keys() | new.others.keys()):
            if key not in old.others or key not in new.others:
                self._compare_presence(key, old.others, new.others, place)
            elif old.others[key] != new.others[key]:
                self._report("constraint-changed", place, f"{key} changed")

    def _compare_null(self, old: SchemaView, new: SchemaView, place: str) -> None:
        if EVERY_TYPE in (old.types, new.types):
            return
        if "null" in new.types - old.types:
            self._report("made-nullable", place, "null is allowed")
        if "null" in old.types - new.types:
            self._report("no-longer-nullable", place, "null is not allowed")

    def _compare_types(self, old: SchemaView, new: SchemaView, place: str) -> None:
        removed = old.types - new.types - {"null"}
        added = new.types - old.types - {"null"}
        if old.variants or new.variants or not (removed or added):
            return
        kind = (
            "type-changed" if removed and added else "type-narrowed" if removed else "type-widened"
        )
        self._report(kind, place, f"type {_type_name(old)} -> {_type_name(new)}")

    def _compare_values(self, old: SchemaView, new: SchemaView, place: str) -> None:
        before, after = old.values, new.values
        if before is None and after is None:
            return
        if before is None or after is None:
            if old.variants or new.variants:
                return
            kind = "enum-closed" if before is None else "enum-opened"
            choices = ", ".join(str(value) for value in before or after or ())
            text = f"only {choices}" if before is None else f"not only {choices}"
            self._report(kind, place, text)
            return
        about = "error-code" if _holds_error_codes(place) else "enum-value"
        for value in before:
            if value not in after:
                self._report(f"{about}-removed", place, f"{_text(value)} removed")
        for value in after:
            if value not in before:
                self._report(f"{about}-added", place, f"{_text(value)} added")

    def _compare_bounds(self, old: SchemaView, new: SchemaView, place: str) -> None:
        for key in (*_LOWER, *_UPPER):
            before, after = old.own.get(key), new.own.get(key)
            if before == after:
                continue
            if before is None or after is None:
                tighter = before is None
            else:
                tighter = after > before if key in _LOWER else after < before
            kind = "bound-tightened" if tighter else "bound-loosened"
            self._report(kind, place, f"{key} {_change(old.own, new.own, key)}")
        if bool(old.own.get("uniqueItems")) != bool(new.own.get("uniqueItems")):
            kind = "bound-tightened" if new.own.get("uniqueItems") else "bound-loosened"
            self._report(kind, place, f"uniqueItems {_change(old.own, new.own, 'uniqueItems')}")
        for key in _FORMS:
            self._compare_presence(key, old.own, new.own, place)

    def _compare_presence(
        self, key: str, old: dict[str, Any], new: dict[str, Any], place: str
    ) -> None:
        """Compare a keyword whose values have no order: it can be added, removed or replaced."""
        if old.get(key) == new.get(key):
            return
        kind = "form-changed"
        if key not in old or key not in new:
            kind = "form-added" if key in new else "form-removed"
        self._report(kind, place, f"{key} {_change(old, new, key)}")

    def _compare_defaults(self, old: SchemaView, new: SchemaView, place: str) -> None:
        before, after = old.annotations, new.annotations
        if "default" not in before and "default" in after:
            self._report("default-told", place, f"default {_text(after['default'])}")
        elif before.get("default") != after.get("default") or (
            "default" in before and "default" not in after
        ):
            self._report("default-changed", place, f"default {_change(before, after, 'default')}")

    def _compare_objects(self, old: SchemaView, new: SchemaView, place: str) -> None:
        before = old.properties(of_request=self._request)
        after = new.properties(of_request=self._request)
        removed = [name for name in before if name not in after]
        added = [name for name in after if name not in before]
        for name, new_name in self._renamed(before, after, removed, added):
            removed.remove(name)
            added.remove(new_name)
            self._report("field-renamed", f"{place}.{name}", f"now called {new_name}")
        for name in removed:
            self._report("field-removed", f"{place}.{name}", "removed")
        for name in added:
            needed = name in new.required
            kind = "required-field-added" if needed else "field-added"
            self._report(kind, f"{place}.{name}", "added, required" if needed else "added")
        for name in before:
            if name not in after:
                continue
            where = f"{place}.{name}"
            if name in new.required and name not in old.required:
                self._report("field-made-required", where, "required now")
            if name in old.required and name not in new.required:
                self._report("field-made-optional", where, "optional now")
            self.compare(before[name], after[name], where)
        self._compare_rest(old.own, new.own, place)

    def _compare_rest(self, old: dict[str, Any], new: dict[str, Any], place: str) -> None:
        """Compare `additionalProperties`."""
        before, after = (schema.get("additionalProperties", True) for schema in (old, new))
        if isinstance(before, dict) and isinstance(after, dict):
            self.compare(before, after, f"{place}.*")
        elif before is False or after is False:
            if before is not after:
                kind = "object-closed" if after is False else "object-opened"
                text = "no other fields" if after is False else "other fields are allowed"
                self._report(kind, place, text)
        elif isinstance(before, dict) or isinstance(after, dict):
            former = SchemaView(self._files[0], before)
            self._compare_views(former, SchemaView(self._files[1], after), f"{place}.*")

    def _renamed(
        self, before: dict[str, Any], after: dict[str, Any], removed: list[str], added: list[str]
    ) -> list[tuple[str, str]]:
        """Pair each removed field with the only added field of the same schema."""
        old_shapes = {name: SchemaView(self._files[0], before[name]).shape for name in removed}
        new_shapes = {name: SchemaView(self._files[1], after[name]).shape for name in added}
        pairs = []
        for name, shape in old_shapes.items():
            alike = [candidate for candidate, new_shape in new_shapes.items() if new_shape == shape]
            if len(alike) == 1 and list(old_shapes.values()).count(shape) == 1:
                pairs.append((name, alike[0]))
        return pairs

    def _compare_variants(self, old: SchemaView, new: SchemaView, place: str) -> None:
        before, after = list(old.variants), list(new.variants)
        if not before and not after:
            return
        if not before or not after:
            plain = old if not before else new
            if (new if not before else old).has_structure:
                kind = "form-added" if not before else "form-removed"
                labels = " or ".join(view.label for view in before or after)
                self._report(kind, place, f"has to be {labels}" if not before else "fewer rules")
                return
            before, after = before or [plain], after or [plain]
        for alike in (
            lambda first, second: first.shape == second.shape,
            lambda first, second: bool(first.name) and first.name == second.name,
            lambda first, second: _signature(first) == _signature(second),
        ):
            for view_before in list(before):
                view_after = next((view for view in after if alike(view_before, view)), None)
                if view_after is not None:
                    before.remove(view_before)
                    after.remove(view_after)
                    self._compare_views(view_before, view_after, place)
        for view in before:
            self._report("variant-removed", place, f"{view.label} removed")
        for view in after:
            self._report("variant-added", place, f"{view.label} added")


def _signature(view: SchemaView) -> tuple[frozenset[str], bool]:
    return view.types - {"null"}, view.values is not None


def _holds_error_codes(place: str) -> bool:
    return place.endswith((".code", "ErrorCode"))


def _type_name(view: SchemaView) -> str:
    if view.types == EVERY_TYPE:
        return "any"
    types = view.types - {"null"} or view.types
    # Every integer is a number: "number" covers both.
    return " or ".join(sorted(types - {"integer"} if "number" in types else types))


def _change(old: dict[str, Any], new: dict[str, Any], key: str) -> str:
    return " -> ".join(_text(schema[key]) if key in schema else "none" for schema in (old, new))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
