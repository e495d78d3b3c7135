"""Standings of sentences: the checks that judge each sentence, or the reason why none does.

Scenarios and rules name the sentences that they judge by their ids. Some standings follow from the
kind of a sentence: a title promises nothing, and the rules read the table of error codes from the
document. A file of each document lists all others, in lines of ids below the reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from synth_pools.spec.sentences import Index, Sentence, split_ids

FILES = {
    "openapi.yaml": "synth_pools/contract/clauses/unjudged.txt",
    "container.openapi.yaml": "synth_pools/contract/clauses/unjudged_of_containers.txt",
}
_NOT_JUDGED, _NO_PROMISE = "not judged: ", "no promise: "
# Sentences that are no promise, by their places, or by their words.
_TITLE = re.compile(r".* summary|tags .*|servers .*")
_REFERENCE = re.compile(r"As `\w+`(, in any pool)?\.|.*:")
# Sentences that rules read from the document, by their places and words.
_READ = (
    (r"Errors", r"`\w+` \| \d{3} \|.*", ("schema.code", "schema.retryable")),
    (r"\w+ responses [23]\d\d", r".*", ("schema.body",)),
    (r"headers \w+", r".*", ("schema.headers",)),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Standing of one sentence.

    Attributes:
        checks: The checks that judge it.
        reason: The reason why none does.
        is_promise: Whether it promises or forbids anything.
    """

    checks: tuple[str, ...] = ()
    reason: str = ""
    is_promise: bool = True


def unjudged(document: str = "openapi.yaml") -> dict[str, Standing]:
    """Read the list of sentences that no check judges: standings by the ids below their reason.

    Args:
        document: The name of the document.

    Raises:
        ValueError: Some ids have no reason above them.
    """
    name = FILES[document].rpartition("/")[2]
    text = files("synth_pools.contract.clauses").joinpath(name).read_text("utf-8")
    listed_standings: dict[str, Standing] = {}
    for paragraph in re.split(r"\n\s*\n", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        heading, _, ids = paragraph.strip().partition("\n")
        if not heading.startswith((_NOT_JUDGED, _NO_PROMISE)):
            raise ValueError(f"{name}: write `{_NOT_JUDGED}...` or `{_NO_PROMISE}...`: {heading}")
        reason = heading.partition(": ")[2]
        listed_standings[ids] = Standing(reason=reason, is_promise=heading.startswith(_NOT_JUDGED))
    return listed_standings


def standings(
    index: Index, judging: Mapping[str, str], listed: Mapping[str, Standing]
) -> dict[Sentence, Standing]:
    """Return the standing of each sentence that has one.

    Args:
        index: The sentences of the document.
        judging: The ids of the sentences that each check judges.
        listed: The sentences that no check judges, from `unjudged`.
    """
    standing_of: dict[Sentence, Standing] = {}
    for sentence in index.sentences:
        if (derived := _derived(sentence)) is not None:
            standing_of[sentence] = derived
    for ids, standing in listed.items():
        standing_of |= dict.fromkeys(index.resolve(ids), standing)
    checks: dict[Sentence, list[str]] = defaultdict(list)
    for check, ids in judging.items():
        for sentence in index.resolve(ids):
            checks[sentence].append(check)
    standing_of |= {sentence: Standing(tuple(names)) for sentence, names in checks.items()}
    return standing_of


def check_ids(
    index: Index,
    judging: Mapping[str, str],
    listed: Mapping[str, Standing],
    document: str = "openapi.yaml",
) -> Iterator[str]:
    """Compare the ids of the checks and of the unjudged sentences with the document.

    Args:
        index: The sentences of the document.
        judging: The ids of the sentences that each check judges.
        listed: The sentences that no check judges, from `unjudged`.
        document: The name of the document.

    Yields:
        A line for each mistake, with the remedy.
    """
    file = FILES[document]
    standing_of = standings(index, judging, listed)
    new = [sentence for sentence in index.sentences if sentence not in standing_of]
    for user, ids in (*judging.items(), *((file, ids) for ids in listed)):
        for place, digest in split_ids(ids):
            if (place, digest) not in index.by_id:
                now = [
                    sentence.id
                    for sentence in new
                    if any(at.name == place for at in sentence.places)
                ]
                hint = (
                    f"see whether it is now {' or '.join(now)}, and write that"
                    if now
                    else ("remove it")
                )
                yield f"{user}: {place}#{digest} is no sentence of {document}: {hint}"
    for ids in listed:
        for sentence in index.resolve(ids):
            if checks := standing_of[sentence].checks:
                yield f"{file}: {sentence.id} is judged by {checks[0]}: remove it"
    for sentence in new:
        yield (
            f"{document}:{sentence.places[0].line}: {sentence.id} is new: add it to the "
            f"`clauses` of the scenario that judges it, or to {file}: {sentence.text}"
        )


def _derived(sentence: Sentence) -> Standing | None:
    names = [place.name for place in sentence.places]
    if all(map(_TITLE.fullmatch, names)):
        return Standing(reason="a title", is_promise=False)
    if _REFERENCE.fullmatch(sentence.text):
        return Standing(reason="a reference to other sentences", is_promise=False)
    for place, words, checks in _READ:
        if re.fullmatch(words, sentence.text) and any(re.fullmatch(place, name) for name in names):
            return Standing(checks)
    return None
