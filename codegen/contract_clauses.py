"""Page of clauses: what judges each sentence of openapi.yaml, and what nothing judges.

`make generate` writes it from the ledger of the contract kit.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import yaml

from codegen import CodegenError
from synth_pools.contract.clauses.ledger import (
    FILE,
    LedgerEntry,
    LedgerError,
    Standing,
    read_ledger,
)
from synth_pools.contract.clauses.sentences import Sentence, read_sentences

PAGE = "docs/contract-clauses.md"
_HEAD = """\
# Clauses of the contract

Written by `make generate` from [the ledger](../{file}).
Every sentence of `openapi.yaml` has an id, which stays as long as its words do, and the checks of
`synth-pools contract-test` that judge it; see [Does this backend keep the
contract?](contract-testing.md).

| | sentences |
|---|---|
| judged | {judged} |
| not judged | {open} |
| judged of those that promise or forbid something | {share:.1f} % |
| no promise: names of fields, summaries, advice to clients | {none} |
"""


def render_clauses(root: Path, spec: Path) -> str:
    """Render the page.

    Args:
        root: The repository.
        spec: The document.

    Raises:
        CodegenError: The ledger or the document cannot be read.
    """
    try:
        ledger = read_ledger((root / FILE).read_text(encoding="utf-8"))
        sentences = read_sentences(spec.read_text(encoding="utf-8"))
    except (LedgerError, OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CodegenError(f"the clauses cannot be read: {error}") from None
    by: dict[Standing, list[tuple[Sentence, LedgerEntry]]] = defaultdict(list)
    for text, sentence in sentences.items():
        if (entry := ledger.get(text)) is not None:
            by[entry.standing].append((sentence, entry))
    judged, left = by[Standing.JUDGED], by[Standing.NOT_JUDGED]
    lines = [
        _HEAD.format(
            file=FILE,
            judged=len(judged),
            open=len(left),
            share=100 * len(judged) / (len(judged) + len(left) or 1),
            none=len(by[Standing.NO_PROMISE]),
        ),
        "## Not judged\n",
    ]
    reasons: dict[str, list[Sentence]] = defaultdict(list)
    for sentence, entry in left:
        reasons[entry.reason].append(sentence)
    for reason, open_ in sorted(reasons.items()):
        lines.append(f"{reason[0].upper()}{reason[1:]}:\n")
        lines += [f"- {_shown(sentence)}" for sentence in open_]
        lines.append("")
    lines.append("## Judged\n")
    for sentence, entry in judged:
        lines.append(f"- {_shown(sentence)} ← {', '.join(f'`{one}`' for one in entry.checks)}")
    return "\n".join(lines) + "\n"


def _shown(sentence: Sentence) -> str:
    # Stars and brackets of the document stay what they are to a reader.
    return f"`{sentence.id}` {sentence.text}"
