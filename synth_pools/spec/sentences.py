"""Sentences of the descriptions and summaries of an OpenAPI document, and their places."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

# Keys whose values are data, in which a description promises nothing.
_DATA = frozenset({"example", "examples", "default", "const", "enum"})
_TEXTS = ("description", "summary")
_WITHOUT_MEANING = frozenset({"properties", "schema", "content"})
_BULLET = re.compile(r"[-*] +")
_RULE = re.compile(r"\|[\s:|-]+\|")
# A full stop ends a sentence if the next text begins one.
_NEXT = re.compile(r"(?<=[.!?])\s+(?=[\"'(*`]{0,3}[A-Z0-9`])")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class SentencePlace:
    """Place of a sentence: what it describes, as "update_pool" or "Pool.capacity", and its line."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """Sentence of the document, or row of one of its tables.

    Attributes:
        text: Its words with single spaces; bars separate the cells of a row.
        places: Its places, in the order of the document.
    """

    text: str
    places: tuple[SentencePlace, ...]

    @property
    def digest(self) -> str:
        """Digest of the words: the part of an id by which a changed sentence is noticed."""
        return digest_of(self.text)

    @property
    def id(self) -> str:
        """Id: the first place and the digest, as "Rollout.started_at#1f0c"."""
        return f"{self.places[0].name}#{self.digest}"


class Index:
    """Sentences of a document, by place and digest.

    Attributes:
        sentences: All of them, in the order of the document.
        by_id: The sentences by the place and the digest of their ids; a sentence at several
            places has an id for each.
        at: The sentences of each place.
    """

    def __init__(self, text: str) -> None:
        """Read a document; see `read_sentences`."""
        self.sentences = tuple(read_sentences(text).values())
        self.by_id: dict[tuple[str, str], Sentence] = {}
        self.at: dict[str, list[Sentence]] = {}
        for sentence in self.sentences:
            for name in dict.fromkeys(place.name for place in sentence.places):
                self.by_id[name, sentence.digest] = sentence
                self.at.setdefault(name, []).append(sentence)
        for name, sentences in self.at.items():
            sentences.sort(
                key=lambda sentence: next(at.line for at in sentence.places if at.name == name)
            )

    def fields(self, name: str) -> list[Sentence]:
        """Return the sentences of all fields of one name."""
        return [
            sentence
            for place, sentences in self.at.items()
            if place.endswith(f".{name}")
            for sentence in sentences
        ]

    def resolve(self, ids: str) -> list[Sentence]:
        """Return the sentences of these ids; skip ids that the document does not have."""
        return [self.by_id[key] for key in split_ids(ids) if key in self.by_id]


def split_ids(ids: str) -> Iterator[tuple[str, str]]:
    """Split a text of ids into places and digests.

    Args:
        ids: The ids with commas in between; those of one place share its name, as in
            "create_pool#1f0c#22ab, Pool.name#90d1".

    Yields:
        The place and the digest of each.
    """
    for part in " ".join(ids.split()).split(", "):
        place, *digests = part.split("#")
        for digest in digests:
            yield place, digest


def read_sentences(text: str) -> dict[str, Sentence]:
    """Read all sentences of a document.

    Args:
        text: The document as YAML or JSON.

    Returns:
        The sentences by their words, in the order of the document.

    Raises:
        yaml.YAMLError: It is no YAML.
    """
    lines = text.splitlines()
    places: dict[str, list[SentencePlace]] = {}
    for name, node in _texts(yaml.compose(text, Loader=LOADER), ()):
        raw = lines[node.start_mark.line : node.end_mark.line + 1]
        for heading, sentence in split_text(node.value):
            line = node.start_mark.line + 1 + _offset(raw, sentence)
            places.setdefault(sentence, []).append(SentencePlace(heading or name, line))
    return {words: Sentence(words, tuple(occurrences)) for words, occurrences in places.items()}


def digest_of(text: str) -> str:
    """Return the digest of a sentence, the last part of its id."""
    return hashlib.sha256(text.encode()).hexdigest()[:4]


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a document that is read already.

    Attributes:
        by_place: The descriptions and summaries, by the name of what they describe.
        described: The names of all that could have one.
    """

    by_place: dict[str, list[str]]
    described: frozenset[str]


def texts_of(content: Any) -> Texts:
    """Return the descriptions and summaries of a document, with the places of `read_sentences`."""
    by_place: dict[str, list[str]] = {}
    described: set[str] = set()
    waiting: list[tuple[Any, tuple[str, ...]]] = [(content, ())]
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, list):
            for index, item in reversed(list(enumerate(node))):
                name = item.get("name") if isinstance(item, dict) else None
                waiting.append((item, (*path, name if isinstance(name, str) else str(index))))
        if not isinstance(node, dict):
            continue
        operation = node.get("operationId")
        here = (*path[:-1], str(operation)) if isinstance(operation, str) else path
        free = bool(path) and path[-1] == "properties"
        place = _name(here)
        described.add(place)
        below = []
        for word, value in node.items():
            if isinstance(value, str):
                if word in _TEXTS and not free:
                    name = f"{place} summary" if word == "summary" else place
                    by_place.setdefault(name, []).append(value)
            elif isinstance(value, dict | list) and (word not in _DATA or free):
                below.append((value, (*here, str(word))))
        waiting += reversed(below)
    return Texts(by_place, frozenset(described))


def split_text(text: str) -> Iterator[tuple[str, str]]:
    """Yield the sentences and the table rows of a Markdown text.

    Args:
        text: The text.

    Yields:
        The last heading before each sentence, "" before the first heading, and the sentence.
    """
    heading = ""
    block: list[str] = []
    lines = [*text.splitlines(), ""]
    for number, raw in enumerate(lines):
        line = raw.strip()
        table = line.startswith("|")
        if block and (not line or table or line.startswith("#") or _BULLET.match(line)):
            for sentence in _NEXT.split(" ".join(" ".join(block).split())):
                yield heading, sentence
            block = []
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif table:
            header = _RULE.fullmatch(lines[number + 1].strip())
            if not header and not _RULE.fullmatch(line):
                yield heading, " | ".join(cell.strip() for cell in line.strip("|").split("|"))
        elif line:
            block.append(_BULLET.sub("", line, count=1) if _BULLET.match(line) else line)


def _texts(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the nodes of descriptions and summaries, each with the name of what it describes."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _texts(item, (*path, _index(item, index)))
    if not isinstance(node, yaml.MappingNode):
        return
    operation = next((v.value for k, v in node.value if k.value == "operationId"), None)
    here = (*path[:-1], str(operation)) if operation else path
    for key, value in node.value:
        word = str(key.value)
        free = bool(path) and path[-1] == "properties"
        if word in _TEXTS and not free and isinstance(value, yaml.ScalarNode):
            name = _name(here)
            yield f"{name} summary" if word == "summary" else name, value
        elif word not in _DATA or free:
            yield from _texts(value, (*here, word))


def _index(item: Any, index: int) -> str:
    """Return the name of an item of a list, or its number."""
    if isinstance(item, yaml.MappingNode):
        for key, value in item.value:
            if key.value == "name" and isinstance(value, yaml.ScalarNode):
                return str(value.value)
    return str(index)


def _name(path: Sequence[str]) -> str:
    """Return the short name of a place, as "Pool.capacity"."""
    steps = [step for step in path if step not in _WITHOUT_MEANING]
    if steps[:2] == ["components", "schemas"]:
        return ".".join(steps[2:])
    if steps[:1] == ["components"]:
        return " ".join(steps[1:])
    return " ".join(steps[2:] if steps[:1] == ["paths"] and len(steps) > 2 else steps)


def _offset(raw: Sequence[str], sentence: str) -> int:
    """Return the number of lines between the start of a text and a sentence in it."""
    words = (re.escape(word).replace("'", "''?") for word in sentence.replace(" | ", " ").split())
    pattern = r"[\s|\\]+".join(words)
    match = re.search(pattern, "\n".join(raw))
    return "\n".join(raw)[: match.start()].count("\n") if match else 0
