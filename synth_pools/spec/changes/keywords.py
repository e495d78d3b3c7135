"""Comparison of the keywords of two schemas, without what is below them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from synth_pools.spec.changes.values import EVERY_TYPE, FORMS, Bound
from synth_pools.spec.changes.views import OPEN_ENUM, SchemaView, type_names

# Takes the kind of a change, its place and its text.
Report = Callable[[str, str, str], None]

_TEXTS = frozenset({"boolean", "integer", "number"})
# Formats by the numbers that they hold, the fewest first.
_WIDTHS = (("int32", "int64"), ("float", "double"))


def compare_null(old: SchemaView, new: SchemaView, place: str, report: Report) -> None:
    if EVERY_TYPE in (old.types, new.types):
        return
    if "null" in new.types - old.types:
        report("made-nullable", place, "null is allowed")
    if "null" in old.types - new.types:
        report("no-longer-nullable", place, "null is not allowed")


def compare_types(
    old: SchemaView, new: SchemaView, place: str, report: Report, *, text: bool
) -> None:
    removed = old.types - new.types - {"null"}
    added = new.types - old.types - {"null"}
    if text:
        # A number that is sent as text is a text, too.
        removed -= _TEXTS if "string" in new.types else frozenset()
        added -= _TEXTS if "string" in old.types else frozenset()
    if (old.groups and new.groups) or not (removed or added):
        return
    kind = "type-changed" if removed and added else "type-narrowed" if removed else "type-widened"
    report(kind, place, f"type {type_names(old.types)} -> {type_names(new.types)}")


def compare_values(old: SchemaView, new: SchemaView, place: str, report: Report) -> None:
    was_open, is_open = (view.annotations.get(OPEN_ENUM) is True for view in (old, new))
    before, after = old.values, new.values
    if before is None or after is None:
        is_closed = before is None
        choices = before if after is None else after
        if choices is None or (is_open if is_closed else was_open) or old.groups or new.groups:
            return
        wording = ", ".join(_plain(value) for value in choices)
        kind = "enum-closed" if is_closed else "enum-opened"
        report(kind, place, f"only {wording}" if is_closed else f"not only {wording}")
        return
    about = "error-code" if place.endswith((".code", "ErrorCode")) else "enum-value"
    for value in before:
        if value not in after:
            report(f"{about}-removed", place, f"{_plain(value)} removed")
    for value in after:
        if value not in before:
            report(f"{about}-added", place, f"{_plain(value)} added")
    if was_open and not is_open:
        report("enum-no-longer-open", place, f"{OPEN_ENUM} removed: no further values")
    if is_open and not was_open:
        report("enum-no-longer-closed", place, f"{OPEN_ENUM} added: further values may follow")


def compare_bounds(old: SchemaView, new: SchemaView, place: str, report: Report) -> None:
    for word, before, after, sign in (
        ("minimum", old.lower, new.lower, 1),
        ("maximum", old.upper, new.upper, -1),
    ):
        if before != after:
            is_tighter = before is None or (
                after is not None and (sign * after[0], after[1]) > (sign * before[0], before[1])
            )
            wording = f"{word} {_bound_text(before)} -> {_bound_text(after)}"
            report("bound-tightened" if is_tighter else "bound-loosened", place, wording)
    for word in sorted(old.sizes.keys() | new.sizes.keys()):
        least, most = old.sizes.get(word), new.sizes.get(word)
        if least != most:
            is_tighter = least is None or (
                most is not None and (most > least if word.startswith("min") else most < least)
            )
            wording = f"{word} {change_text(old.sizes, new.sizes, word)}"
            report("bound-tightened" if is_tighter else "bound-loosened", place, wording)
    if old.unique != new.unique:
        kind = "bound-tightened" if new.unique else "bound-loosened"
        report(kind, place, f"uniqueItems {_text(old.unique)} -> {_text(new.unique)}")
    for word in FORMS:
        _compare_forms(word, old.forms.get(word, ()), new.forms.get(word, ()), place, report)


def _compare_forms(
    word: str, old: tuple[str, ...], new: tuple[str, ...], place: str, report: Report
) -> None:
    """Compare a keyword whose values have no order: it can be added, removed or replaced."""
    removed = [value for value in old if value not in new]
    added = [value for value in new if value not in old]
    if not removed and not added:
        return
    kind = "form-changed" if removed and added else "form-added" if added else "form-removed"
    if len(removed) == len(added) == 1:
        wider = _is_wider(word, removed[0], added[0])
        if wider is not None:
            kind = "bound-loosened" if wider else "bound-tightened"
    wording = " -> ".join(_text(" and ".join(values)) or "none" for values in (removed, added))
    report(kind, place, f"{word} {wording}")


def _is_wider(word: str, old: str, new: str) -> bool | None:
    """Return True if a form admits more than another, False if less, None if they have no order."""
    for widths in _WIDTHS if word == "format" else ():
        if old in widths and new in widths:
            return widths.index(new) > widths.index(old)
    if word == "multipleOf":
        first, second = float(old), float(new)
        if second and first % second == 0:
            return True
        if first and second % first == 0:
            return False
    return None


def compare_defaults(old: SchemaView, new: SchemaView, place: str, report: Report) -> None:
    before, after = old.annotations, new.annotations
    if "default" not in before and "default" in after:
        report("default-told", place, f"default {_text(after['default'])}")
    elif before.get("default") != after.get("default") or (
        "default" in before and "default" not in after
    ):
        report("default-changed", place, f"default {change_text(before, after, 'default')}")


def compare_discriminators(old: SchemaView, new: SchemaView, place: str, report: Report) -> None:
    before, after = (view.annotations.get("discriminator") or {} for view in (old, new))
    name, new_name = (str(node.get("propertyName", "")) for node in (before, after))
    if not before and not after:
        return
    if not before or not after:
        kind = "discriminator-added" if after else "discriminator-removed"
        report(kind, place, f"discriminator {name or new_name}")
        return
    if name != new_name:
        report("discriminator-changed", place, f"discriminator {name} -> {new_name}")
    targets, new_targets = _targets(before, old), _targets(after, new)
    remaining = {view.name for group in new.groups for view in group}
    former = {view.name for group in old.groups for view in group}
    for value, target in targets.items():
        if value in new_targets and new_targets[value] != target:
            wording = f"{value} means {new_targets[value]}, not {target}"
            report("discriminator-changed", place, wording)
        elif value not in new_targets and (target in remaining or not new.groups):
            report("discriminator-changed", place, f"{value} removed, which means {target}")
    for value, target in new_targets.items():
        if value not in targets and (target in former or not old.groups):
            report("discriminator-value-added", place, f"{value} added, which means {target}")


def _targets(discriminator: Mapping[str, Any], view: SchemaView) -> dict[str, str]:
    """Return the names of schemas by the values of the discriminator that select them."""
    names = {view.name: view.name for group in view.groups for view in group if view.name}
    mapping = dict(discriminator.get("mapping") or {})
    if "defaultMapping" in discriminator:
        mapping["any other value"] = discriminator["defaultMapping"]
    return {**names, **{str(key): str(ref).rpartition("/")[2] for key, ref in mapping.items()}}


def change_text(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> str:
    return " -> ".join(_text(schema[key]) if key in schema else "none" for schema in (old, new))


def _bound_text(bound: Bound | None) -> str:
    if bound is None:
        return "none"
    return f"{_text(bound[0])} (not included)" if bound[1] else _text(bound[0])


def _plain(value: str) -> str:
    """Return an enumerated value, which is listed as JSON, as text."""
    return _text(json.loads(value))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
