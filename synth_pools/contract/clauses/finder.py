"""Finder of the sentences of openapi.yaml that departures break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import yaml

from synth_pools.contract.clauses.places import Places
from synth_pools.contract.options import is_within
from synth_pools.contract.results import CheckOutcome, Clause, ClauseLine, Departure
from synth_pools.spec.sentences import LOADER, Index, Sentence, SentencePlace

_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_WORD = re.compile(r"[a-z]\w*")
_TAKEN_OVER = re.compile(r"As `(\w+)`")
# A complaint about a body, "items/0/status: ...", or one about a property that it lacks.
_POINTER = re.compile(r"([\w/]+): ")
_REQUIRED = re.compile(r'"(\w+)" is a required property')


class ClauseFinder:
    """Finder of the sentences that departures break; the document is read on first use."""

    def __init__(self, text: str, rules: Mapping[str, str]) -> None:
        """Take the text of the document.

        Args:
            text: The document.
            rules: The ids of the sentences that rules judge, by check or family of checks.
        """
        self._text = text
        self._rules = rules

    def lines(self, departures: Iterable[Departure]) -> dict[str, int]:
        """Return the lines of the sections that departures rest on."""
        places = Places(self._text)
        lines: dict[str, int | None] = {}
        for departure in departures:
            section = departure.clause.section
            lines[section] = places.line(section)
            if departure.clause.ids:
                names = (place for sentence in self.broken(departure) for place in sentence.places)
                lines[section] = next((at.line for at in names if at.name == section), None)
        return {section: line for section, line in lines.items() if line is not None}

    def find(self, departures: Iterable[Departure]) -> dict[str, tuple[ClauseLine, ...]]:
        """Return the sentences that departures break, by the groups of the departures."""
        lines_by_group: dict[str, tuple[ClauseLine, ...]] = {}
        for departure in departures:
            if departure.group not in lines_by_group:
                lines_by_group[departure.group] = tuple(
                    ClauseLine(sentence.id, sentence.places[0].line, sentence.text)
                    for sentence in self.broken(departure)
                )
        return lines_by_group

    def named(self, outcome: CheckOutcome) -> CheckOutcome:
        """Return an outcome whose departures have the section and text of the broken sentence."""
        return replace(outcome, departures=tuple(map(self._named, outcome.departures)))

    def clause(self, clause: Clause) -> Clause:
        """Return a clause with the section and the demand of its main sentence."""
        sentences = self.index.resolve(clause.ids)
        return _clause_of(clause, sentences[0], "") if sentences else clause

    def broken(self, departure: Departure) -> list[Sentence]:
        """Return the sentences that a departure breaks; none if the document has none."""
        if sentences := self._at_its_place(departure):
            return sentences
        operation = departure.operation
        candidates = self.judged(departure)
        if len(candidates) == 1:
            return candidates
        about = departure.about or self._code_in(departure.expected)
        about = about or departure.expected.partition(" ")[0].strip(":,")
        near_sentences = [sentence for sentence in candidates if self.is_near(sentence, operation)]
        coded = [
            sentence
            for sentence in near_sentences
            if about in self._codes and f"`{about}`" in sentence.text
        ]
        rows = self.index.at.get("Errors", [])
        for sentences in (
            [sentence for sentence in coded if self._is_own(sentence, operation)],
            [sentence for sentence in coded if f"`{operation}`" in sentence.text],
            coded,
            [row for row in rows if about in self._codes and row.text.startswith(f"`{about}` |")],
            [sentence for sentence in near_sentences if about.isdigit() and about in sentence.text],
            [sentence for sentence in near_sentences if _is_field(sentence, about)],
            [sentence for sentence in near_sentences if self._is_own(sentence, operation)],
            [
                sentence
                for sentence in self.index.fields(about)
                if self.is_near(sentence, operation)
            ],
            # A sentence about another field says nothing about this one.
            [
                sentence
                for sentence in near_sentences
                if not all("." in place.name for place in sentence.places)
            ],
            # The first sentence of an operation says what it does.
            [
                sentence
                for name in self._names(operation)
                for sentence in self.index.at.get(name, [])
            ],
            candidates,
        ):
            if sentences:
                return sentences[:1]
        return []

    def judged(self, departure: Departure) -> list[Sentence]:
        """Return the sentences that the check of a departure judges."""
        return self.index.resolve(departure.clause.ids or self._ids_of(departure.check))

    def _named(self, departure: Departure) -> Departure:
        if not departure.clause.ids:
            return departure
        broken = self.broken(departure)
        if not broken:
            return departure
        return replace(
            departure, clause=_clause_of(departure.clause, broken[0], departure.operation)
        )

    def _ids_of(self, check: str) -> str:
        names = [name for name in self._rules if is_within(check, name)]
        return self._rules[max(names, key=len)] if names else ""

    def _code_in(self, demand: str) -> str:
        """Return the error code that a demand names, "" if it names none."""
        return next((word for word in _WORD.findall(demand) if word in self._codes), "")

    def _at_its_place(self, departure: Departure) -> list[Sentence]:
        """Return the sentences at the place that a rule names in its clause."""
        family, _, _ = departure.check.partition(".")
        schema = departure.clause.section.rpartition(", ")[2]
        places: list[str] = []
        if departure.check == "schema.body":
            root = departure.clause.demand.rpartition(" ")[2]
            places = [*self._walk(root, departure.got)]
        elif family == "agree" and departure.check not in self._rules:
            words = _WORD.findall(departure.clause.demand)
            places = [f"{schema}.{word}" for word in reversed(words)] + [schema]
        elif family in ("asked", "echo") and departure.check not in self._rules:
            places = [departure.operation]
        for place in places:
            if sentences := self.index.at.get(place):
                return sentences[:1]
        return []

    def _walk(self, schema: str, complaint: str) -> Iterator[str]:
        """Yield the places that a complaint about a body concerns, the nearest first."""
        pointer = _POINTER.match(complaint)
        steps = [step for step in (pointer[1] if pointer else "").split("/") if step]
        if lacking := _REQUIRED.search(complaint):
            steps.append(lacking[1])
        places = [schema]
        node: Any = self._schemas.get(schema, {})
        for step in steps:
            node = self._resolved(node, places)
            if step.isdigit() and isinstance(node, dict) and "items" in node:
                node = node["items"]
                continue
            properties: dict[str, Any] = next(
                (part["properties"] for part in _parts(node) if step in part.get("properties", ())),
                {},
            )
            places.append(f"{places[-1]}.{step}")
            node = properties.get(step, {})
        self._resolved(node, places)
        yield from reversed(places)

    def _resolved(self, node: Any, places: list[str]) -> Any:
        """Follow the references of a schema; append the names of the schemas on the way."""
        for part in _parts(node):
            reference = str(part.get("$ref", ""))
            if reference.startswith("#/components/schemas/"):
                name = reference.rpartition("/")[2]
                places.append(name)
                return self._schemas.get(name, {})
        return node

    def is_near(self, sentence: Sentence, operation: str) -> bool:
        """Return True if a sentence is about an operation, its references or all operations."""
        reached = self._reached.get(operation)
        if reached is None or self._is_own(sentence, operation):
            return True
        return any(
            place.name in reached
            or place.name.split(".")[0] in reached
            or place.name in self._headings
            for place in sentence.places
        )

    def _is_own(self, sentence: Sentence, operation: str) -> bool:
        return any(_first(place) in self._names(operation) for place in sentence.places)

    def _names(self, operation: str) -> list[str]:
        """Return an operation, preceded by the one that its text refers to: "As `get_rollout`."."""
        for sentence in self.index.at.get(operation, []):
            if (reference := _TAKEN_OVER.match(sentence.text)) and reference[1] in self._reached:
                return [reference[1], operation]
        return [operation]

    @cached_property
    def index(self) -> Index:
        return Index(self._text)

    @cached_property
    def _spec(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.load(self._text, Loader=LOADER)  # noqa: S506 - a safe one
        return loaded

    @cached_property
    def _schemas(self) -> dict[str, Any]:
        return dict(self._spec.get("components", {}).get("schemas", {}))

    @cached_property
    def _headings(self) -> frozenset[str]:
        """The places outside operations, schemas and other components."""
        components = {
            name if group == "schemas" else f"{group} {name}"
            for group, members in self._spec.get("components", {}).items()
            for name in members
        }
        return frozenset(
            place
            for place in self.index.at
            if place.split(" ")[0] not in self._reached
            and place not in components
            and place.split(".")[0] not in components
        )

    @cached_property
    def _codes(self) -> frozenset[str]:
        rows = self.index.at.get("Errors", ())
        return frozenset(row.text.split("`")[1] for row in rows if row.text.startswith("`"))

    @cached_property
    def _reached(self) -> dict[str, frozenset[str]]:
        """The schemas, parameters, responses and headers that each operation refers to."""
        return {
            node["operationId"]: frozenset(self._references([node, path.get("parameters")], set()))
            for path in self._spec.get("paths", {}).values()
            for method, node in path.items()
            if method in _METHODS
        }

    def _references(self, node: Any, places: set[str]) -> set[str]:
        if isinstance(node, list):
            for item in node:
                self._references(item, places)
        elif isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/components/"):
                _, _, group, name = reference.split("/")
                place = name if group == "schemas" else f"{group} {name}"
                if place not in places:
                    places.add(place)
                    self._references(self._spec["components"][group].get(name), places)
            for item in node.values():
                self._references(item, places)
        return places


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and the schemas that it combines."""
    if isinstance(node, dict):
        yield node
        for word in ("allOf", "anyOf", "oneOf"):
            for part in node.get(word, ()):
                yield from _parts(part)


def _is_field(sentence: Sentence, name: str) -> bool:
    last = name.rpartition(".")[2]
    return any(place.name.endswith(f".{last}") for place in sentence.places)


def _first(place: SentencePlace) -> str:
    return place.name.split(" ")[0]


def _clause_of(clause: Clause, sentence: Sentence, operation: str) -> Clause:
    own_places = [place.name for place in sentence.places if _first(place) == operation]
    return replace(
        clause, section=(own_places or [sentence.places[0].name])[0], demand=sentence.text
    )
