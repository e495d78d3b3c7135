"""The page of the kinds of changes that `contract-diff` knows, with the verdict on each.

It is written into the site and not committed: the verdicts and the clear pairs of the tests say
all of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from synth_pools.spec.changes.comparison import compare_documents
from synth_pools.spec.changes.verdicts import OPERATION, REQUEST, RESPONSE, VERDICTS, Verdict
from tests.spec.changes.pairs import read_pairs, written

PAGE = "contract-changes.md"

_HEAD = """\
# Kinds of changes

The kinds of changes that [`contract-diff`](contract-diff.md) names, each with its verdict and with
a pair of documents in which it is the change. All pairs are in `tests/spec/changes/pairs.yaml`.

| kind | in a request | in an answer | elsewhere | for example |
|---|---|---|---|---|
"""


def render_page() -> str:
    """Write the page in Markdown."""
    examples = _examples()
    rows = [
        f"| `{kind}` | {_cells(verdicts)} | {examples.get(kind, '')} |"
        for kind, verdicts in VERDICTS.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _cells(verdicts: Mapping[str, Verdict]) -> str:
    return " | ".join(
        _cell(verdicts[direction]) if direction in verdicts else ""
        for direction in (REQUEST, RESPONSE, OPERATION)
    )


def _cell(verdict: Verdict) -> str:
    sides = " and ".join(verdict.hurts)
    effect = f"**breaks {sides}**" if sides else verdict.level.name.lower()
    return f"{effect}: {verdict.why}"


def _examples() -> dict[str, str]:
    """Return the name of a pair for each kind, one in which it is the only kind if there is one."""
    examples: dict[str, str] = {}
    pairs = sorted(read_pairs(), key=lambda pair: len(pair.kinds))
    for pair in pairs:
        for kind in pair.kinds:
            examples.setdefault(kind, pair.name)
    with tempfile.TemporaryDirectory() as folder:
        for pair in pairs if set(VERDICTS) - set(examples) else ():
            old, new = written(Path(folder), pair)
            for change in compare_documents(new, old):
                examples.setdefault(change.kind, f"{pair.name}, on the way back")
    return examples
