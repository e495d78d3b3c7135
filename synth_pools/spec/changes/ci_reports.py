"""Changes of the contract for continuous integration: annotations of GitHub, SARIF and JUnit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from synth_pools._version import __version__
from synth_pools.spec.changes.parsing import Pointer
from synth_pools.spec.changes.reports import label_of, sentence_of, summary_of
from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.verdicts import ApiChange, Level

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GITHUB = {Level.BREAKING: "error", Level.GROWTH: "notice", Level.NOTE: "notice"}
_SARIF = {Level.BREAKING: "error", Level.GROWTH: "note", Level.NOTE: "note"}
# Characters that XML 1.0 cannot write, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_github(
    old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange], known_count: int = 0
) -> str:
    """Write changes as workflow commands, which GitHub shows at the lines of the new document."""
    lines = []
    for change in changes:
        where = f"file={_property(str(new.path))},line={_line(new, change)}"
        title = _property(f"{label_of(change)}: {change.kind}")
        lines.append(f"::{_GITHUB[change.level]} {where},title={title}::{_data(_full(change))}")
    return "\n".join([*lines, summary_of(old, new, changes, known_count), ""])


def render_sarif(
    old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange], known_count: int = 0
) -> str:
    """Write changes as SARIF 2.1.0."""
    kinds = sorted({change.kind for change in changes})
    run = {
        "tool": {
            "driver": {
                "name": "synth-pools contract-diff",
                "version": __version__,
                "rules": [{"id": kind, "name": kind} for kind in kinds],
            }
        },
        "results": [
            {
                "ruleId": change.kind,
                "ruleIndex": kinds.index(change.kind),
                "level": _SARIF[change.level],
                "message": {"text": _full(change)},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": new.path.as_posix()},
                            "region": {"startLine": _line(new, change)},
                        }
                    }
                ],
                "partialFingerprints": {"change/v1": "|".join(change.identity)},
            }
            for change in changes
        ],
        "properties": {"summary": summary_of(old, new, changes, known_count)},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def render_junit_cases(
    old: OpenApiFile, new: OpenApiFile, changes: Sequence[ApiChange], known_count: int = 0
) -> str:
    """Write changes as JUnit's XML: what breaks is a failure, everything else passes."""
    failures = sum(change.level is Level.BREAKING for change in changes)
    counts = {"tests": str(max(len(changes), 1)), "failures": str(failures)}
    root = Element("testsuites", {"name": "contract-diff", **counts})
    suite_name = _clean(f"{old.path} -> {new.path}")
    suite = SubElement(root, "testsuite", {"name": suite_name, **counts})
    for change in changes:
        name = _clean(f"{change.kind}: {change.direction} {change.place}: {change.text}")
        case = SubElement(suite, "testcase", classname=f"contract-diff.{change.kind}", name=name)
        if change.level is Level.BREAKING:
            failure = SubElement(case, "failure", type=change.kind, message=_clean(_full(change)))
            failure.text = _clean(f"{new.path}:{_line(new, change)}\n{_full(change)}")
        else:
            SubElement(case, "system-out").text = _clean(_full(change))
    if not changes:
        name = f"no change but {known_count} known" if known_count else "no change"
        SubElement(suite, "testcase", classname="contract-diff", name=name)
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _full(change: ApiChange) -> str:
    names = change.operations[4:]
    return sentence_of(change) + (f" ({', '.join(change.operations)})" if names else "")


def _line(file: OpenApiFile, change: ApiChange) -> int:
    """Return the line of the new document that a change is about, as near as it can be named."""
    return next((file.lines[at] for at in _pointers(file, change) if at in file.lines), 1)


def _pointers(file: OpenApiFile, change: ApiChange) -> list[Pointer]:
    """Return the pointers of a change: its schema and field, then its operation."""
    name, *fields = change.place.replace("[]", "").split(".")
    pointers: list[Pointer] = []
    schema: Pointer = ("components", "schemas", name)
    for field in fields:
        pointers.insert(0, schema)
        schema = (*schema, "properties", field)
    pointers.insert(0, schema)
    names = {*change.operations[:1], change.place}
    for path, item in (file.content.get("paths") or {}).items():
        for method, node in item.items() if isinstance(item, dict) else ():
            route = f"{method.upper()} {path}"
            if route in names or (isinstance(node, dict) and node.get("operationId") in names):
                pointers.append(("paths", path, method))
    return pointers


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
