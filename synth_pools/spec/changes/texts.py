"""Sentences and rows of tables that differ: no rule judges words, so each is listed to be read."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import NamedTuple

from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.sentences import Texts, digest_of, split_text

_ALIKE = 0.5
# With more sentences at one place only rows of one subject are paired.
_MOST_PAIRED = 60
_SHOWN = 300


class TextChange(NamedTuple):
    """Change of a sentence: a kind of `VERDICTS`, its place, its words, and its ids."""

    kind: str
    place: str
    text: str
    ids: tuple[str, ...]


def compare_texts(
    old: OpenApiFile, new: OpenApiFile, reported: Collection[str]
) -> Iterator[TextChange]:
    """Yield the sentences that differ, each once, however many places have it.

    Args:
        old: The old document.
        new: The new one.
        told: Rows of tables of which other changes tell.
    """
    texts, new_texts = old.texts, new.texts
    before, after = _sentences(texts), _sentences(new_texts)
    # Words that move with what they describe, as to a component, are there as before.
    moved_from, moved_to = (
        {
            words
            for place, written in sentences.items()
            if not _is_part(place, others)
            for words in written
        }
        for sentences, others in ((before, new_texts), (after, texts))
    )
    places: dict[tuple[str, str], list[str]] = {}
    for place in (*before, *(name for name in after if name not in before)):
        # The sentences of what is new or gone as a whole are there with it.
        if _is_part(place, texts) != _is_part(place, new_texts):
            continue
        former, later = before.get(place, {}), after.get(place, {})
        removed = [words for words in former if words not in {*later, *reported, *moved_to}]
        added = [words for words in later if words not in {*former, *reported, *moved_from}]
        for pair in _pairs(removed, added):
            places.setdefault(pair, []).append(place)
    for (words, new_words), found_at in places.items():
        place, *others = found_at
        ids = tuple(f"{place}#{digest_of(text)}" for text in (words, new_words) if text)
        sort = "row" if " | " in (words or new_words) else "sentence"
        change = "changed" if words and new_words else "added" if new_words else "removed"
        text = " -> ".join(map(_quoted, filter(None, (words, new_words))))
        if others:
            text += f", and at {len(others)} more places"
        yield TextChange(f"{sort}-{change}", place, text, ids)


def _is_part(place: str, texts: Texts) -> bool:
    """Return True if a document has what a place names; a heading is part of a text."""
    return place.removesuffix(" summary") in texts.described


def _sentences(texts: Texts) -> dict[str, dict[str, None]]:
    sentences: dict[str, dict[str, None]] = {}
    for place, written in texts.by_place.items():
        for text in written:
            for heading, words in split_text(text):
                sentences.setdefault(heading or place, {})[words] = None
    return sentences


def _pairs(removed: list[str], added: list[str]) -> Iterator[tuple[str, str]]:
    """Pair the sentences that were reworded; the others with an empty text."""
    remaining = list(added)
    for words in removed:
        pair = next((text for text in remaining if _is_reworded(words, text)), "")
        if not pair and len(removed) * len(remaining) <= _MOST_PAIRED**2:
            similar = difflib.get_close_matches(words, remaining, 1, _ALIKE)
            pair = similar[0] if similar and " | " not in words + similar[0] else ""
        if pair:
            remaining.remove(pair)
        yield words, pair
    for words in remaining:
        yield "", words


def _is_reworded(words: str, candidate: str) -> bool:
    """Return True for two rows of one subject."""
    subject, bar, _ = words.partition(" | ")
    return bool(bar) and candidate.startswith(f"{subject} | ")


def _quoted(words: str) -> str:
    return f'"{words}"' if len(words) <= _SHOWN else f'"{words[: _SHOWN - 3]}..."'
