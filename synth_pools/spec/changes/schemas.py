"""Comparison of two schemas for requests or for responses.

A pair of schemas is compared once, whichever operations use it: its own changes, and the pairs
below it. So a schema may contain itself, and a document of many operations takes no longer than
its schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from synth_pools.spec.changes.keywords import (
    Report,
    change_text,
    compare_bounds,
    compare_defaults,
    compare_discriminators,
    compare_null,
    compare_types,
    compare_values,
)
from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.values import EVERY_TYPE
from synth_pools.spec.changes.verdicts import REQUEST
from synth_pools.spec.changes.views import SchemaReader, SchemaView

# Kinds of changes after which every value that was valid still is.
_WIDENING = {
    "bound-loosened", "default-changed", "default-told", "enum-no-longer-closed", "enum-opened",
    "enum-value-added", "error-code-added", "field-deprecated", "field-made-optional",
    "form-removed", "made-nullable", "object-opened", "type-widened", "variant-added",
}  # fmt: skip
# Kinds after which every value that is valid was so before.
_NARROWING = {
    "bound-tightened", "default-changed", "default-told", "enum-closed", "enum-no-longer-open",
    "enum-value-removed", "error-code-removed", "field-deprecated", "field-made-required",
    "form-added", "no-longer-nullable", "object-closed", "type-narrowed", "variant-removed",
}  # fmt: skip


class Finding(NamedTuple):
    """Change of a schema: its kind, its place and its text."""

    kind: str
    place: str
    text: str


@dataclass(eq=False)
class _Pair:
    """Two schemas: their own changes, and the pairs below them."""

    findings: list[Finding] = field(default_factory=list)
    below: list[_Pair] = field(default_factory=list)
    # Compares the two, once; a call in a call would go as deep as the schemas.
    compare: Callable[[], None] | None = None
    is_pruned: bool = False

    @property
    def is_telling(self) -> bool:
        """True if it may have changes, or pairs below it."""
        return bool(self.findings or self.below or self.compare)

    def report(self, kind: str, place: str, text: str) -> None:
        self.findings.append(Finding(kind, place, text))


class SchemaComparison:
    """Comparison of the schemas of two documents, in one direction."""

    def __init__(
        self, old: SchemaReader, new: SchemaReader, direction: str, same: Mapping[Any, int]
    ) -> None:
        """Take the readers of both documents.

        Args:
            old: That of the old document.
            new: That of the new one.
            direction: "request" or "response".
            same: The components in which nothing differs, see `same_components`.
        """
        self.old = old
        self.new = new
        self._same = same
        self._request = direction == REQUEST
        self._pairs: dict[tuple[Any, ...], _Pair] = {}
        self._tried: dict[tuple[Any, ...], list[Finding]] = {}

    def compare(self, old: Any, new: Any, place: str, *, text: bool = False) -> list[Finding]:
        """Return the changes between two schemas, and between the schemas that they use.

        Args:
            old: A schema of the old document.
            new: A schema of the new one.
            place: The place of a schema that is no component.
            text: True if values are sent as text, in which a number is a text like others.
        """
        return self.compare_views(self.old.view(old), self.new.view(new), place, text=text)

    def compare_views(
        self, old: SchemaView, new: SchemaView, place: str, *, text: bool = False
    ) -> list[Finding]:
        """Return the changes between two schemas that are read already, as `compare` does."""
        root = _Pair()
        self._add(root, old, new, place, frozenset(), text=text)
        findings: dict[Finding, None] = dict.fromkeys(root.findings)
        waiting, visited = root.below[::-1], set(root.below)
        while waiting:
            pair = waiting.pop()
            if pair.compare is not None:
                compare, pair.compare = pair.compare, None
                compare()
            elif not pair.is_pruned:
                # Most pairs have nothing to tell: operations that come later pass over them.
                pair.is_pruned = True
                pair.below = [below for below in pair.below if below.is_telling]
            if pair.findings:
                findings.update(dict.fromkeys(pair.findings))
            below = [candidate for candidate in reversed(pair.below) if candidate not in visited]
            visited.update(below)
            waiting += below
        return list(findings)

    def _add(
        self,
        above: _Pair,
        old: SchemaView,
        new: SchemaView,
        place: str,
        within: frozenset[Any],
        *,
        text: bool = False,
    ) -> None:
        """Compare two schemas at a place of the pair above them, and what is below them later."""
        if old.never != new.never:
            kind = "form-added" if new.never else "form-removed"
            wording = "nothing is allowed" if new.never else "something is allowed"
            above.report(kind, place, wording)
            return
        # Keywords beside a reference belong to this place, all others to the referenced schema.
        report = above.report
        compare_null(old, new, place, report)
        compare_defaults(old, new, place, report)
        if old.annotations.get("deprecated") is not True and new.annotations.get("deprecated"):
            report("field-deprecated", place, "deprecated")
        if old.core in self._same and self._same[old.core] == new.core:
            return
        cores = (old.core, new.core)
        if old.name and new.name:
            place, within = new.name, frozenset()
        if cores in within:
            return
        key = (*cores, place, text)
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = _Pair()
            pair.compare = partial(
                self._compare, pair, old, new, place, within | {cores}, text=text
            )
        above.below.append(pair)

    def _compare(
        self,
        pair: _Pair,
        old: SchemaView,
        new: SchemaView,
        place: str,
        within: frozenset[Any],
        *,
        text: bool,
    ) -> None:
        report = pair.report

        def below(first: Any, second: Any, where: str) -> None:
            views = self.old.view(first), self.new.view(second)
            self._add(pair, *views, where, within, text=text)

        if self._compare_groups(pair, old, new, place, within):
            return
        compare_types(old, new, place, report, text=text)
        compare_values(old, new, place, report)
        compare_bounds(old, new, place, report)
        self._compare_objects(old, new, place, report, below)
        if "array" in old.types & new.types:
            count = max(len(old.first_items), len(new.first_items))
            for index in range(count):
                below(_item(old, index), _item(new, index), f"{place}[{index}]")
            below(old.items, new.items, f"{place}[]")
        for word in sorted(old.others.keys() | new.others.keys()):
            if word not in old.others or word not in new.others:
                kind = "form-added" if word in new.others else "form-removed"
                report(kind, place, f"{word} {change_text(old.others, new.others, word)}")
            elif not self._is_same_rule(old.others[word], new.others[word]):
                report("constraint-changed", place, f"{word} changed")

    def _is_same_rule(self, old: Any, new: Any) -> bool:
        if isinstance(old, dict) and isinstance(new, dict):
            return not self._try(self.old.view(old), self.new.view(new))
        return bool(old == new)

    def _try(self, old: SchemaView, new: SchemaView) -> list[Finding]:
        """Return the changes between two schemas that may be no pair."""
        key = (old.core, new.core)
        if key not in self._tried:
            # Two schemas are equal unless something tells them apart, also below themselves.
            self._tried[key] = []
            self._tried[key] = self.compare_views(old, new, "")
        return self._tried[key]

    def _properties(self, reader: SchemaReader, view: SchemaView) -> dict[str, Any]:
        """Return the properties that can be sent in this direction."""
        hidden = "readOnly" if self._request else "writeOnly"
        return {
            name: node
            for name, node in view.properties.items()
            if reader.view(node).annotations.get(hidden) is not True
        }

    def _compare_objects(
        self,
        old: SchemaView,
        new: SchemaView,
        place: str,
        report: Report,
        below: Callable[[Any, Any, str], None],
    ) -> None:
        before, after = self._properties(self.old, old), self._properties(self.new, new)
        removed = [name for name in before if name not in after]
        added = [name for name in after if name not in before]
        for name, new_name in self._renamed(before, after, removed, added):
            removed.remove(name)
            added.remove(new_name)
            report("field-renamed", f"{place}.{name}", f"now called {new_name}")
        for name in removed:
            report("field-removed", f"{place}.{name}", "removed")
        for name in added:
            needed = name in new.required
            kind = "required-field-added" if needed else "field-added"
            report(kind, f"{place}.{name}", "added, required" if needed else "added")
        hidden = (old.properties.keys() - before.keys()) | (new.properties.keys() - after.keys())
        listed = hidden | set(removed) | set(added)
        for name in sorted(new.required - old.required - listed):
            report("field-made-required", f"{place}.{name}", "required now")
        for name in sorted(old.required - new.required - listed):
            report("field-made-optional", f"{place}.{name}", "optional now")
        for name in before:
            if name in after:
                below(before[name], after[name], f"{place}.{name}")
        for pattern in dict.fromkeys((*old.patterns, *new.patterns)):
            where = f"{place}.{pattern}"
            below(old.patterns.get(pattern, True), new.patterns.get(pattern, True), where)
        if old.rest is False or new.rest is False:
            if old.rest is not new.rest:
                kind = "object-closed" if new.rest is False else "object-opened"
                wording = "no other fields" if new.rest is False else "other fields are allowed"
                report(kind, place, wording)
        elif old.rest is not True or new.rest is not True:
            below(old.rest, new.rest, f"{place}.*")

    def _renamed(
        self, before: dict[str, Any], after: dict[str, Any], removed: list[str], added: list[str]
    ) -> Iterator[tuple[str, str]]:
        """Pair a removed field with an added one of the same schema, where it can be no other."""
        if len(removed) != 1 or len(added) != 1:
            return
        old, new = self.old.view(before[removed[0]]), self.new.view(after[added[0]])
        if not self._try(old, new):
            yield removed[0], added[0]

    def _compare_groups(
        self, pair: _Pair, old: SchemaView, new: SchemaView, place: str, within: frozenset[Any]
    ) -> bool:
        """Compare the alternatives of anyOf and oneOf; return True if they are all there is."""
        compare_discriminators(old, new, place, pair.report)
        if bool(old.groups) != bool(new.groups):
            grouped, plain = (old, new) if old.groups else (new, old)
            if plain.is_plain and plain.types == EVERY_TYPE and not grouped.has_structure:
                labels = " or ".join(view.label for group in grouped.groups for view in group)
                kind = "form-removed" if old.groups else "form-added"
                wording = "any value is allowed" if old.groups else f"has to be {labels}"
                pair.report(kind, place, wording)
                return True
            if len(grouped.groups) == 1 and not grouped.has_structure:
                first, second = ((view.groups or ((view,),))[0] for view in (old, new))
                self._compare_variants(pair, first, second, place, within)
                return True
        count = max(len(old.groups), len(new.groups))
        for index in range(count):
            if index < len(old.groups) and index < len(new.groups):
                self._compare_variants(pair, old.groups[index], new.groups[index], place, within)
            elif index < len(new.groups):
                labels = " or ".join(view.label for view in new.groups[index])
                pair.report("form-added", place, f"has to be {labels}")
            else:
                pair.report("form-removed", place, "fewer rules")
        return False

    def _compare_variants(
        self,
        pair: _Pair,
        old: tuple[SchemaView, ...],
        new: tuple[SchemaView, ...],
        place: str,
        within: frozenset[Any],
    ) -> None:
        before, after = list(old), list(new)
        for alike in (
            lambda first, second: bool(first.name) and first.name == second.name,
            lambda first, second: not self._try(first, second),
            lambda first, second: _signature(first) == _signature(second),
        ):
            for first in list(before):
                second = next((view for view in after if alike(first, view)), None)
                if second is not None:
                    before.remove(first)
                    after.remove(second)
                    self._add(pair, first, second, place, within)
        for view in before:
            if not any(self._is_within(view, candidate, _WIDENING) for candidate in new):
                pair.report("variant-removed", place, f"{view.label} removed")
        for view in after:
            if not any(self._is_within(candidate, view, _NARROWING) for candidate in old):
                pair.report("variant-added", place, f"{view.label} added")

    def _is_within(self, old: SchemaView, new: SchemaView, kinds: set[str]) -> bool:
        return all(finding.kind in kinds for finding in self._try(old, new))


def same_components(old: OpenApiFile, new: OpenApiFile) -> dict[Any, int]:
    """Return the schemas of components in which nothing differs, nor in what they refer to.

    Returns:
        The address of each in the new document by that in the old one, as in `SchemaView.core`.
    """
    if old.is_openapi_3_0 is not new.is_openapi_3_0:
        return {}
    before, after = (
        (file.content.get("components") or {}).get("schemas") or {} for file in (old, new)
    )
    differing = {name for name in before if before[name] != after.get(name)}
    users: dict[str, list[str]] = {}
    for name in before.keys() - differing:
        for reference in _references(before[name]):
            target = reference.removeprefix("#/components/schemas/")
            if target not in before:
                differing.add(name)
            users.setdefault(target, []).append(name)
    waiting = list(differing)
    while waiting:
        more = [name for name in users.get(waiting.pop(), ()) if name not in differing]
        differing.update(more)
        waiting += more
    return {id(before[name]): id(after[name]) for name in before if name not in differing}


def _references(node: Any) -> Iterator[str]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _item(view: SchemaView, index: int) -> Any:
    return view.first_items[index] if index < len(view.first_items) else view.items


def _signature(view: SchemaView) -> tuple[frozenset[str], bool]:
    return view.types - {"null"}, view.values is not None
