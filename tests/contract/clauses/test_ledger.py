"""The ledger of clauses holds the document and the checks together."""

from __future__ import annotations

import pytest

from synth_pools.contract.clauses.ledger import (
    FILE,
    ClauseFinder,
    LedgerError,
    Standing,
    check_ledger,
    read_ledger,
)
from synth_pools.contract.clauses.sentences import read_sentences, split_text
from synth_pools.contract.document import specification_text
from synth_pools.contract.results import Clause, Column, Departure, Layer
from synth_pools.contract.run import known_checks
from tests.contract.rules.test_every_rule import BREAKS

_TEXT = specification_text(None)
_LINES = _TEXT.splitlines()
_CHECKS = {check for check, _, _ in known_checks()} | BREAKS.keys()
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


def test_every_sentence_has_its_entry_and_every_entry_its_sentence_and_checks() -> None:
    problems = list(check_ledger(read_sentences(_TEXT), read_ledger(), _CHECKS))
    assert problems == [], "\n".join(problems)


def test_a_sentence_is_added_reworded_or_judged_by_no_check() -> None:
    sentences = read_sentences(_DOCUMENT)
    texts = iter(sentences)
    first, second = next(texts), next(texts)
    ledger = read_ledger(
        "judged by pages nothing.at_all\n"
        f"    {first}\n"
        "    A promise that was withdrawn.\n"
        "no promise: the rest\n" + "".join(f"    {text}\n" for text in texts)
    )
    assert list(check_ledger(sentences, ledger, ["pages.pools"])) == [
        f"openapi.yaml:4: add to {FILE}, below what judges it: {second}",
        f"{FILE}:2: there is no check nothing.at_all: write one of --list",
        f"{FILE}:3: openapi.yaml no longer says so: remove it: A promise that was withdrawn.",
        f"{FILE}:3: there is no check nothing.at_all: write one of --list",
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("    A promise.\n", 1, "write `judged by` and ids above it"),
        ("judged by\n    A promise.\n", 1, "write one of `judged by ...`"),
        ("judged: pages\n", 1, "write one of `judged by ..."),
        ("judged by pages\n    A promise.\nnot judged: x\n    A promise.\n", 4, "it is in line 2"),
    ],
)
def test_a_line_that_is_none_says_what_to_write(text: str, line: int, says: str) -> None:
    with pytest.raises(LedgerError) as caught:
        read_ledger(text)
    assert str(caught.value).startswith(f"{FILE}:{line}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sentences_are_those_of_descriptions_and_summaries_with_their_lines() -> None:
    found = [
        (sentence.text, [(place.name, place.line) for place in sentence.places])
        for sentence in read_sentences(_DOCUMENT).values()
    ]
    assert found == [
        ("One promise.", [("info", 4)]),
        ("Another one: it is 409.", [("info", 4)]),
        ("A third.", [("info", 5)]),
        ("*First.* The pool's name.", [("Order", 8)]),
        ("`second` is null.", [("Order", 9)]),
        ("`a` | 400", [("Order", 13)]),
        ("The pool's things", [("list_things", 18)]),
        ("At most so many.", [("list_things parameters limit", 22)]),
        ("What it is.", [("Thing.description", 28)]),
    ]


def test_the_id_of_a_sentence_is_that_of_its_words_alone() -> None:
    (one,) = read_sentences("info:\n  description: |\n    A promise that\n    moves.\n").values()
    (other,) = read_sentences("tags:\n- name: x\n  description: A promise that moves.\n").values()
    assert one.id == other.id
    assert one.places != other.places


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A cursor of `a. b` and 1.5 s. So.", ["A cursor of `a. b` and 1.5 s.", "So."]),
        ("One. 404 where not.", ["One.", "404 where not."]),
        ("- one\n  goes on\n- two", ["one goes on", "two"]),
        ("", []),
    ],
)
def test_a_text_is_split_at_full_stops_and_items(text: str, wanted: list[str]) -> None:
    assert [sentence for _, sentence in split_text(text)] == wanted


def test_every_sentence_of_the_document_stands_at_its_line() -> None:
    for sentence in read_sentences(_TEXT).values():
        first = sentence.text.split()[0]
        for place in sentence.places:
            assert first in _LINES[place.line - 1].replace("''", "'"), sentence


def test_a_departure_leads_to_the_sentences_that_its_check_judges() -> None:
    departure = Departure(
        check="pages.moving",
        operation="list_pools",
        clause=Clause("Pages", "every item that existed when the first page was read comes once"),
        expected="every item comes",
        got="one did not",
        exchange=None,
        layer=Layer.SCENARIO,
        column=Column.BEHAVIOUR,
    )
    (found,) = ClauseFinder(_TEXT).find([departure]).values()
    assert found[0].text.startswith("Every item that existed when the first page was read")
    assert found[0].text[:20] in _LINES[found[0].line - 1]
    assert found[0].id == read_sentences(_TEXT)[found[0].text].id


def test_most_of_what_is_promised_is_judged() -> None:
    standings = [entry.standing for entry in read_ledger().values()]
    judged, left = standings.count(Standing.JUDGED), standings.count(Standing.NOT_JUDGED)
    assert judged / (judged + left) >= 0.95
