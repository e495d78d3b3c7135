"""Changes of the contract as text for a terminal, as JSON, and as a chapter of a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.verdicts import OPERATION, ApiChange, Level, heaviest_level

_FORMAT = 1
_SHOWN = 3
_TITLES = {Level.BREAKING: "Breaking", Level.GROWTH: "New", Level.NOTE: "Worth knowing"}


def render_changes(
    old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange], known_count: int = 0
) -> str:
    """Write changes as text: one line for each change, then a summary line.

    Args:
        old: The old document.
        new: The new document.
        changes: The changes.
        known_count: The number of known changes, which are not among them.
    """
    lines = [f"{label_of(change):<9} {sentence_of(change)}" for change in changes]
    return "\n".join([*lines, summary_of(old, new, changes, known_count), ""])


def render_changes_json(
    old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange], known_count: int = 0
) -> str:
    """Write changes as JSON, with the same arguments."""
    report = {
        "format": _FORMAT,
        "old": old.version_text,
        "new": new.version_text,
        "step": heaviest_level(tuple(changes)).step if _has_steps(old, new) else None,
        "known_changes": known_count,
        "changes": [
            {
                "kind": change.kind,
                "level": change.level.name.lower(),
                "hurts": list(change.verdict.hurts),
                "why": change.verdict.why,
                "direction": change.direction,
                "place": change.place,
                "text": change.text,
                "operations": list(change.operations),
                **({"sentences": list(change.ids)} if change.is_text else {}),
            }
            for change in changes
        ],
    }
    return json.dumps(report, indent=2) + "\n"


def chapter_of(changes: Sequence[ApiChange]) -> Iterator[str]:
    """Yield the lines of a Markdown chapter about changes but those of words, without heading."""
    changes = [change for change in changes if not change.is_text]
    if not changes:
        yield "Nothing that clients or servers notice."
        yield ""
    for level, title in _TITLES.items():
        at_level = [change for change in changes if change.level is level]
        if at_level:
            yield f"### {title}"
            yield ""
            yield "| where | what | operations | who breaks, or what is to be done |"
            yield "|---|---|---|---|"
            for change in at_level:
                place = f"{_direction(change)} `{change.place}`".strip()
                names = ", ".join(
                    name if " " in name else f"`{name}`" for name in _shown(change.operations)
                )
                text = f"{_who(change)}{change.verdict.why}".replace("|", "\\|")
                change_text = change.text.replace("|", "\\|")
                yield f"| {place} | {change_text} | {names or 'none'} | {text} |"
            yield ""


def label_of(change: ApiChange) -> str:
    """Return the weight of a change as a word."""
    return "to read" if change.is_text else change.level.name.lower()


def sentence_of(change: ApiChange) -> str:
    """Return a change in one line: where, what, and whom it breaks."""
    names = ", ".join(_shown(change.operations))
    about = f"{names}: " if names else ""
    place = f"{_direction(change)} {change.place}".strip()
    if change.is_text:
        return f"{place}: {change.kind.replace('-', ' ')}: {change.text} [{', '.join(change.ids)}]"
    return f"{about}{place}: {change.text}; {_who(change)}{change.verdict.why}"


def summary_of(
    old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange], known_count: int = 0
) -> str:
    """Return one line about all changes."""
    versions = f"{old.version_text} -> {new.version_text}"
    if not changes and known_count:
        return f"{versions}: no change but {known_count} known"
    if not changes:
        remark = "" if old.content == new.content else "; they differ in what neither sends"
        return f"{versions}: no change that clients or servers notice{remark}"
    counts = [
        f"{sum(change.level is level and not change.is_text for change in changes)} "
        f"{level.name.lower()}"
        for level in _TITLES
    ]
    words = sum(change.is_text for change in changes)
    counts += [f"{words} to read"] if words else []
    step = f"; this needs a {heaviest_level(tuple(changes)).step} step of the version"
    return f"{versions}: {', '.join(counts)}{step if _has_steps(old, new) else ''}"


def _has_steps(old: OpenApiFile, new: OpenApiFile) -> bool:
    return old.version is not None and new.version is not None


def _direction(change: ApiChange) -> str:
    # The place of a change in a response may already name the response.
    is_complete = change.direction == OPERATION or change.place.startswith(change.direction)
    return "" if is_complete else change.direction


def _who(change: ApiChange) -> str:
    hurt = change.verdict.hurts
    return f"breaks {' and '.join(hurt)}: " if hurt else ""


def _shown(names: Sequence[str]) -> list[str]:
    """Return the first few names, and the number of the rest."""
    if len(names) <= _SHOWN + 1:
        return list(names)
    return [*names[:_SHOWN], f"{len(names) - _SHOWN} more"]
