"""Texts of openapi.yaml: a short introduction, and links to existing titles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from synth_pools.spec import load_container_spec
from synth_pools.spec.changes.parsing import iter_parts, kind_of
from tests.support.document import OPERATIONS, SCHEMAS, SPEC

_MOST_WORDS = 900
_TITLE = re.compile(r"^## (.+)$", re.MULTILINE)
# Text in single asterisks links to a title; before a full stop it is the subject of a paragraph.
_LINK = re.compile(r"(?<!\*)\*([A-Z][^*\n]*(?:\n[^*\n]+)?)\*(?!\*)")
_CODE = re.compile(r"`[^`]*`")


def texts() -> Iterator[tuple[str, str]]:
    """Iterate over all descriptions and summaries, with their places."""
    for pointer, node in iter_parts(SPEC):
        is_text = isinstance(node, str) and pointer[-1] in ("description", "summary")
        if is_text and kind_of(pointer[:-1]) == "object":
            yield ".".join(str(step) for step in pointer), node


def lines_outside_tables(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.strip().startswith("|")]


def titles_of_tags() -> list[str]:
    return [title for tag in SPEC["tags"] for title in _TITLE.findall(tag["description"])]


def titles() -> list[str]:
    return [*_TITLE.findall(SPEC["info"]["description"]), *titles_of_tags()]


def test_what_everybody_reads_is_short() -> None:
    words = " ".join(lines_outside_tables(SPEC["info"]["description"])).split()
    assert len(words) <= _MOST_WORDS, f"{len(words)} words: move what concerns one tag or operation"


def test_no_title_is_there_twice() -> None:
    all_titles = titles()
    assert len(all_titles) == len(set(all_titles)) > 15


def test_every_link_leads_to_a_title() -> None:
    all_titles = set(titles())
    for where, text in texts():
        for match in _LINK.findall(_CODE.sub("", text)):
            link = " ".join(match.split())
            if link.endswith("."):
                continue
            assert link in all_titles or link == "Retryable", (
                f"{where}: no title is called {link!r}"
            )
    # The table at the beginning lists the titles of all tags.
    table = [line for line in SPEC["info"]["description"].splitlines() if line.startswith("| `")]
    indexed = {title for line in table for title in _LINK.findall(line)}
    assert set(titles_of_tags()) <= indexed


def test_no_text_leads_above_or_below() -> None:
    """Renderers separate the texts."""
    for where, text in texts():
        assert not re.search(r"\b(see|\*) (above|below)\b", text), where


def test_a_name_in_backticks_that_looks_like_one_of_ours_is_one() -> None:
    parameters = {node["name"] for node in SPEC["components"]["parameters"].values()}
    names = set(SCHEMAS) | set(OPERATIONS) | parameters
    for where, text in texts():
        for name in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", text):
            assert name in names, f"{where}: nothing is called {name}"


def test_a_name_that_begins_like_an_operation_is_one() -> None:
    """The document of containers names operations of both documents."""
    containers = load_container_spec()
    container_operations = {
        node["operationId"]
        for item in containers["paths"].values()
        for method, node in item.items()
        if method != "parameters"
    }
    verbs = "|".join({name.partition("_")[0] for name in OPERATIONS} - {"stream"})
    properties = {name for schema in SCHEMAS.values() for name in schema.get("properties", ())}
    for document, operations in (
        (SPEC, {*OPERATIONS, *properties, *SCHEMAS["ErrorCode"]["enum"]}),
        (containers, {*OPERATIONS, *container_operations}),
    ):
        mentioned = set(re.findall(rf"`((?:{verbs})_\w+)`", json.dumps(document)))
        assert "execute_task_container_rollout" in mentioned
        assert mentioned <= operations, mentioned - operations


def test_each_list_of_an_answer_says_its_order() -> None:
    answered = {"Artifact", "Pool", "Rollout", "Task", "ErrorDetailItem", "Capabilities"}
    for name, schema in SCHEMAS.items():
        if name not in answered and not re.search(
            r"(List|Urls|Metrics|Page|Batch|Validation)$", name
        ):
            continue
        for field, node in schema.get("properties", {}).items():
            words = f"{schema['description']} {node.get('description', '')}"
            if node.get("type") == "array":
                assert re.search(r"order|first|names and indexes", words), f"{name}.{field}"


def test_a_text_is_written_once() -> None:
    """Other places name the operation or schema that has the rule."""
    places: dict[str, str] = {}
    for where, text in texts():
        if not where.startswith("paths.") or ".responses." in where:
            continue
        if len(text.split()) > 12:
            words = " ".join(text.split())
            assert words not in places, f"{where} repeats {places[words]}"
            places[words] = where
