"""Changes of the contract as text for a terminal, as JSON, and as a chapter of a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.verdicts import OPERATION, ApiChange, Level, heaviest_level

_FORMAT = 1
_SHOWN = 3
_TITLES = {Level.BREAKING: "Breaking", Level.GROWTH: "New", Level.NOTE: "Worth knowing"}


def render_changes(old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange]) -> str:
    """Write changes as text: one line for each change, then a summary line."""
    lines = [f"{change.level.name.lower():<9} {_sentence(change)}" for change in changes]
    return "\n".join([*lines, _summary(old, new, changes), ""])


def render_changes_json(old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange]) -> str:
    """Write changes as JSON."""
    report = {
        "format": _FORMAT,
        "old": old.content["info"]["version"],
        "new": new.content["info"]["version"],
        "step": heaviest_level(tuple(changes)).step,
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
            }
            for change in changes
        ],
    }
    return json.dumps(report, indent=2) + "\n"


def chapter_of(changes: Sequence[ApiChange]) -> Iterator[str]:
    """Yield the lines of a Markdown chapter about changes, without its heading."""
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


def _sentence(change: ApiChange) -> str:
    names = ", ".join(_shown(change.operations))
    about = f"{names}: " if names else ""
    place = f"{_direction(change)} {change.place}".strip()
    return f"{about}{place}: {change.text}; {_who(change)}{change.verdict.why}"


def _summary(old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange]) -> str:
    versions = f"{old.content['info']['version']} -> {new.content['info']['version']}"
    if not changes:
        return f"{versions}: no change that clients or servers notice"
    counts = [
        f"{sum(change.level is level for change in changes)} {level.name.lower()}"
        for level in _TITLES
    ]
    step = heaviest_level(tuple(changes)).step
    return f"{versions}: {', '.join(counts)}; this needs a {step} step of the version"


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
