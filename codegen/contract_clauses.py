"""Clauses of the two documents: what judges each sentence, and what nothing judges.

python -m codegen.contract_clauses             name changed and new sentences
python -m codegen.contract_clauses --accept    write the new id of each reworded sentence

The id of a sentence has a digest of its words, so that scenarios are looked at again once these
change. A sentence is taken for the reworded form of another one where it stands at the same place,
and each of them is the only one there that is gone, or new.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from synth_pools.contract.clauses.standings import FILES, check_ids, standings, unjudged
from synth_pools.contract.container.level import CLAUSES as CONTAINER_CLAUSES
from synth_pools.contract.container.level import container_scenarios
from synth_pools.contract.rules.clauses import CLAUSES
from synth_pools.contract.scenarios import all_scenarios
from synth_pools.spec.sentences import Index, Sentence, split_ids

PAGE = "contract-clauses.md"
_ROOT = Path(__file__).resolve().parents[1]
_API, _CONTAINER = FILES
_WITH_IDS = {
    _API: ("synth_pools/contract/scenarios", "synth_pools/contract/rules", FILES[_API]),
    _CONTAINER: ("synth_pools/contract/container", FILES[_CONTAINER]),
}
_HEAD = """\
# Clauses of the contract

Every sentence of `openapi.yaml` has an id: its place, and a digest of its words. These are the
checks of `synth-pools contract-test` that judge it; see [Does this backend keep the
contract?](contract-testing.md). Those of [container.openapi.yaml](#of-containers) follow.

"""
_COUNTS = """\
| | sentences |
|---|---|
| judged | {judged} |
| not judged | {open} |
| judged of those that promise or forbid something | {share:.1f} % |
| no promise: titles, names of fields, advice to clients | {none} |
"""


def judging(document: str = _API) -> dict[str, str]:
    """Return the ids of the sentences of a document that each check judges."""
    scenarios, rules = all_scenarios(), CLAUSES
    if document == _CONTAINER:
        scenarios, rules = container_scenarios(), CONTAINER_CLAUSES
    return {scenario.id: scenario.clause.ids for scenario in scenarios} | rules


def clause_problems(root: Path) -> list[str]:
    """List the ids without a sentence, and the sentences without a standing.

    A repository without the list of sentences that nothing judges has no ids to compare.
    """
    return [
        line
        for document, file in FILES.items()
        if (root / file).is_file()
        for line in check_ids(
            _index(root, document), judging(document), unjudged(document), document
        )
    ]


def _index(root: Path, document: str) -> Index:
    return Index((root / document).read_text(encoding="utf-8"))


def clauses_page(root: Path) -> str:
    """Write the page of the clauses of the documents."""
    return _HEAD + _section(root, _API) + "\n## Of containers\n\n" + _section(root, _CONTAINER, "#")


def _section(root: Path, document: str, deeper: str = "") -> str:
    index = _index(root, document)
    standing_of = standings(index, judging(document), unjudged(document))
    judged = [
        sentence
        for sentence in index.sentences
        if sentence in standing_of and standing_of[sentence].checks
    ]
    open_sentences: dict[str, list[Sentence]] = defaultdict(list)
    for sentence, standing in standing_of.items():
        if standing.is_promise and not standing.checks:
            open_sentences[standing.reason].append(sentence)
    open_count = sum(map(len, open_sentences.values()))
    head = _COUNTS.format(
        judged=len(judged),
        open=open_count,
        share=100 * len(judged) / (len(judged) + open_count or 1),
        none=len(standing_of) - len(judged) - open_count,
    )
    lines = [head, f"{deeper}## Not judged\n"]
    for reason, sentences in sorted(open_sentences.items()):
        lines.append(f"{reason[0].upper()}{reason[1:]}:\n")
        lines += [f"- `{sentence.id}` {sentence.text}" for sentence in sentences]
        lines.append("")
    lines.append(f"{deeper}## Judged\n")
    for sentence in judged:
        checks = ", ".join(f"`{check}`" for check in standing_of[sentence].checks)
        lines.append(f"- `{sentence.id}` {sentence.text} ← {checks}")
    return "\n".join(lines) + "\n"


def accept(root: Path) -> Iterator[str]:
    """Write the new ids of reworded sentences into the files that name the old ones.

    Yields:
        A line for each id, with the checks to look at.
    """
    for document, file in FILES.items():
        index = _index(root, document)
        users, listed = judging(document), unjudged(document)
        standing_of = standings(index, users, listed)
        stale: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for user, ids in (*users.items(), *((file, ids) for ids in listed)):
            for place, digest in split_ids(ids):
                if (place, digest) not in index.by_id:
                    stale[place][digest].append(user)
        for place, digests in stale.items():
            new = [sentence for sentence in index.at.get(place, ()) if sentence not in standing_of]
            if len(digests) == len(new) == 1:
                [(digest, names)] = digests.items()
                for name in _WITH_IDS[document]:
                    _replace(root / name, place, digest, new[0].digest)
                yield f"{place}#{digest} is now {new[0].id}, of {', '.join(names)}: {new[0].text}"


def _replace(path: Path, place: str, digest: str, new: str) -> None:
    pattern = re.compile(rf"(?<![\w.])({re.escape(place)}(?:#[0-9a-f]{{4}})*)#{digest}\b")
    for file in sorted(path.rglob("*.py")) or [path]:
        text = file.read_text(encoding="utf-8")
        if (changed := pattern.sub(rf"\1#{new}", text)) != text:
            file.write_text(changed, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accept", action="store_true", help="write the ids of reworded sentences")
    options = parser.parse_args(argv)
    if options.accept:
        print("\n".join(accept(_ROOT)))
        return 0
    lines = clause_problems(_ROOT)
    print("\n".join(lines), file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
