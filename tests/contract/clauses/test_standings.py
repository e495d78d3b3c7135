"""Standings of the sentences of the document: judged, listed, or reported as new."""

from __future__ import annotations

import pytest

from codegen.contract_clauses import judging
from synth_pools.contract.clauses.standings import FILES, Standing, check_ids, standings, unjudged
from synth_pools.contract.document import specification_text
from synth_pools.contract.options import is_within
from synth_pools.contract.rules.clauses import CLAUSES
from synth_pools.contract.run import known_checks
from synth_pools.spec.sentences import Index, read_sentences, split_ids, split_text
from tests.contract.rules.test_every_rule import BREAKS

_TEXT = specification_text(None)
_FILE = FILES["openapi.yaml"]
_LINES = _TEXT.splitlines()
_INDEX = Index(_TEXT)
_DOCUMENT = """\
openapi: 3.1.0
info:
  description: |
    One promise. Another one: it
    is 409. A third.

    ## Order
    - *First.* The pool's name.
    - `second` is null.

    | code | status |
    |---|---|
    | `a` | 400 |
paths:
  /v1/things:
    get:
      operationId: list_things
      summary: 'The pool''s things'
      parameters:
      - name: limit
        description: >-
          At most so
          many.
components:
  schemas:
    Thing:
      properties:
        description: {type: string, description: What it is.}
      example: {description: no sentence}
"""


@pytest.mark.parametrize("document", FILES)
def test_every_id_has_its_sentence_and_every_sentence_its_standing(document: str) -> None:
    index = Index(specification_text(None, document))
    lines = list(check_ids(index, judging(document), unjudged(document), document))
    assert lines == [], "\n".join(lines)


@pytest.mark.parametrize("document", FILES)
def test_most_of_what_is_promised_is_judged(document: str) -> None:
    index = Index(specification_text(None, document))
    standing_of = standings(index, judging(document), unjudged(document)).values()
    judged = sum(bool(sentence.checks) for sentence in standing_of)
    promised = sum(sentence.is_promise for sentence in standing_of)
    assert judged / promised >= 0.95


def test_every_rule_names_sentences_and_every_name_is_a_rule() -> None:
    rules = {check for check, _, _ in known_checks() if check.split(".")[0] in ("schema", "client")}
    rules |= BREAKS.keys() | {"auth.refused", "model.walk"}
    assert [rule for rule in rules if not any(is_within(rule, name) for name in CLAUSES)] == []
    families = {"preflight.contact", "preflight.rollout", *rules}
    assert [name for name in CLAUSES if not any(is_within(rule, name) for rule in families)] == []


def test_a_sentence_that_is_new_reworded_or_listed_and_judged_is_reported() -> None:
    index = Index(_DOCUMENT)
    first, second, third = (
        sentence for sentence in index.sentences if sentence.places[0].name == "info"
    )
    thing = index.at["Thing.description"][0]
    order = ", ".join(sentence.id for sentence in index.at["Order"])
    judging = {"pages.pools": f"{first.id}#0000", "pages.limit": thing.id}
    listed = {
        f"{order}, {third.id}, list_things parameters limit#1111": Standing(reason="x"),
        thing.id: Standing(reason="y"),
    }
    limit = index.at["list_things parameters limit"][0]
    stale = "is no sentence of openapi.yaml: see whether it is now"
    new = f"is new: add it to the `clauses` of the scenario that judges it, or to {_FILE}:"
    assert list(check_ids(index, judging, listed)) == [
        f"pages.pools: info#0000 {stale} {second.id}, and write that",
        f"{_FILE}: list_things parameters limit#1111 {stale} {limit.id}, and write that",
        f"{_FILE}: {thing.id} is judged by pages.limit: remove it",
        f"openapi.yaml:4: {second.id} {new} {second.text}",
        f"openapi.yaml:22: {limit.id} {new} {limit.text}",
    ]
    assert next(check_ids(index, {"a.b": "Nowhere#0000"}, {})) == (
        "a.b: Nowhere#0000 is no sentence of openapi.yaml: remove it"
    )


def test_standings_that_follow_from_the_kind_of_a_sentence_are_listed_nowhere() -> None:
    standing_of = standings(_INDEX, {}, {})
    by_id = {sentence.id: standing for sentence, standing in standing_of.items()}
    titles = {
        place.name
        for sentence in standing_of
        for place in sentence.places
        if not standing_of[sentence].is_promise
    }
    assert "list_pools summary" in titles
    assert by_id["get_pool responses 200#c245"].checks == ("schema.body",)
    [row] = [sentence for sentence in standing_of if sentence.text.startswith("`pool_exists` |")]
    assert standing_of[row].checks == ("schema.code", "schema.retryable")
    assert len(standing_of) < len(_INDEX.sentences) / 4


def test_ids_of_one_place_share_its_name() -> None:
    text = """
        Rollouts: states#1f0c#22ab,
        Pool.name#90d1
    """
    assert list(split_ids(text)) == [
        ("Rollouts: states", "1f0c"),
        ("Rollouts: states", "22ab"),
        ("Pool.name", "90d1"),
    ]


def test_every_id_of_the_document_is_of_one_sentence() -> None:
    ids = [(place, sentence.digest) for place, there in _INDEX.at.items() for sentence in there]
    assert len(ids) == len(set(ids))


def test_sentences_are_those_of_descriptions_and_summaries_with_their_lines() -> None:
    lines = [
        (sentence.text, [(place.name, place.line) for place in sentence.places])
        for sentence in read_sentences(_DOCUMENT).values()
    ]
    assert lines == [
        ("One promise.", [("info", 4)]),
        ("Another one: it is 409.", [("info", 4)]),
        ("A third.", [("info", 5)]),
        ("*First.* The pool's name.", [("Order", 8)]),
        ("`second` is null.", [("Order", 9)]),
        ("`a` | 400", [("Order", 13)]),
        ("The pool's things", [("list_things summary", 18)]),
        ("At most so many.", [("list_things parameters limit", 22)]),
        ("What it is.", [("Thing.description", 28)]),
    ]


def test_the_digest_of_a_sentence_is_that_of_its_words_alone() -> None:
    (sentence,) = read_sentences(
        "info:\n  description: |\n    A promise that\n    moves.\n"
    ).values()
    (moved,) = read_sentences("tags:\n- name: x\n  description: A promise that moves.\n").values()
    assert sentence.digest == moved.digest
    assert sentence.id == f"info#{sentence.digest}"
    assert moved.id == f"tags x#{sentence.digest}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cursor of `a. b` and 1.5 s. So.", ["A cursor of `a. b` and 1.5 s.", "So."]),
        ("One. 404 where not.", ["One.", "404 where not."]),
        ("- one\n  goes on\n- two", ["one goes on", "two"]),
        ("", []),
    ],
)
def test_a_text_is_split_at_full_stops_and_items(text: str, expected: list[str]) -> None:
    assert [sentence for _, sentence in split_text(text)] == expected


def test_every_sentence_of_the_document_stands_at_its_line() -> None:
    for sentence in read_sentences(_TEXT).values():
        first = sentence.text.split()[0]
        for place in sentence.places:
            assert first in _LINES[place.line - 1].replace("''", "'"), sentence
