"""Kinds of changes, their verdicts, and the sides that they break."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from synth_pools.spec import spec_path
from synth_pools.spec.changes.comparison import compare_documents
from synth_pools.spec.changes.reports import chapter_of, render_changes, render_changes_json
from synth_pools.spec.changes.source import OpenApiFile, read_openapi_file
from synth_pools.spec.changes.verdicts import ApiChange, Level, heaviest_level, step_between
from synth_pools.spec.sentences import Index
from tests.spec.changes.cases import BASE, TEXT, B, Edit, G, N, Node, both, operation, schema
from tests.spec.changes.cases import CASES as PLAIN_CASES
from tests.spec.changes.code_cases import CODE_CASES

CASES = {**PLAIN_CASES, **CODE_CASES}


def read(folder: Path, document: Node, name: str = "new.json") -> OpenApiFile:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_openapi_file(path)


def changes_of(folder: Path, edit: Edit) -> tuple[ApiChange, ...]:
    document = copy.deepcopy(BASE)
    edit(document)
    return compare_documents(read(folder, BASE, "old.json"), read(folder, document))


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_named_with_whom_it_breaks(tmp_path: Path, case: str) -> None:
    edit, expected = CASES[case]
    changes = changes_of(tmp_path, edit)
    assert sorted(
        (change.kind, change.direction, change.level, change.verdict.hurts, change.place)
        for change in changes
    ) == sorted(expected)
    # A change of a code in general names no operation.
    unnamed = {"Mode", "error code not_found"}
    assert all(change.operations or change.place in unnamed for change in changes)


def test_what_is_added_on_the_way_there_is_removed_on_the_way_back(tmp_path: Path) -> None:
    """Reversing a change is a change, too."""
    for case, (edit, _) in CASES.items():
        document = copy.deepcopy(BASE)
        edit(document)
        old, new = read(tmp_path, BASE, "old.json"), read(tmp_path, document)
        # A removed deprecation, and a default that matches the behaviour without it, break no side.
        silent = {"operation deprecated", "parameter deprecated", "field deprecated"}
        assert bool(compare_documents(new, old)) == (case not in silent), case


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["info"].update(title="Another"),
        schema("Read", lambda s: s.update(title="A thing", examples=[{"name": "it"}])),
        both(lambda s: s["properties"].update(note={"anyOf": [TEXT, {"type": "null"}]})),
        both(lambda s: s.update(required=list(reversed(s["required"])))),
        both(lambda s: s["properties"].update(name={"allOf": [TEXT, {"maxLength": 64}]})),
        schema("Mode", lambda s: s["enum"].reverse()),
        lambda d: d["components"]["schemas"].update(Unused=TEXT),
    ],
)
def test_other_words_for_the_same_are_no_change(tmp_path: Path, edit: Edit) -> None:
    assert changes_of(tmp_path, edit) == ()


def test_words_are_listed_to_be_read_with_the_ids_of_their_sentences(tmp_path: Path) -> None:
    def edit(document: Node) -> None:
        operation(document).update(description="It is made at once. It stays.")
        document["components"]["schemas"]["Read"]["description"] = "A thing."

    first = copy.deepcopy(BASE)
    edit(first)
    second = copy.deepcopy(first)
    operation(second).update(description="It is made within a minute. It stays.")
    old, new = read(tmp_path, first, "old.json"), read(tmp_path, second)
    (change,) = compare_documents(old, new)
    assert (change.kind, change.place, change.level) == ("sentence-changed", "make", N)
    ids = [sentence.id for sentence in Index(json.dumps(first)).sentences]
    assert change.ids[0] in ids
    assert change.ids[0] != change.ids[1]
    text = render_changes(old, new, (change,))
    assert "to read   make: sentence changed: " in text
    assert "0 breaking, 0 growth, 0 note, 1 to read" in text
    assert json.loads(render_changes_json(old, new, (change,)))["changes"][0]["sentences"]
    # They are no part of the page of changes.
    assert "Nothing that clients or servers notice." in "\n".join(chapter_of((change,)))


def test_the_summary_says_so_where_documents_differ_in_nothing_that_counts(tmp_path: Path) -> None:
    document = copy.deepcopy(BASE)
    document["info"]["title"] = "Another"
    files = read(tmp_path, BASE, "old.json"), read(tmp_path, document)
    assert "they differ in what neither sends" in render_changes(*files, compare_documents(*files))


def test_a_step_is_judged_only_where_versions_have_three_numbers(tmp_path: Path) -> None:
    for version in ("2", "2024-05-01", "v1.2.0", "1.0.0-rc1", ""):
        document = copy.deepcopy(BASE)
        document["info"]["version"] = version
        CASES["field removed"][0](document)
        files = read(tmp_path, BASE, "old.json"), read(tmp_path, document)
        changes = compare_documents(*files)
        assert "step" not in render_changes(*files, changes).splitlines()[-1]
        assert json.loads(render_changes_json(*files, changes))["step"] is None


def test_a_schema_that_contains_itself_is_compared(tmp_path: Path) -> None:
    def circle(document: Node) -> None:
        reference = {"$ref": "#/components/schemas/Read"}
        properties = document["components"]["schemas"]["Read"]["properties"]
        properties["parent"] = {"anyOf": [reference, {"type": "null"}]}
        document["components"]["schemas"]["Loop"] = {
            "anyOf": [{"$ref": "#/components/schemas/Loop"}]
        }
        properties["loop"] = {"$ref": "#/components/schemas/Loop"}

    kinds = [(change.kind, change.place) for change in changes_of(tmp_path, circle)]
    assert kinds == [("field-added", "Read.parent"), ("field-added", "Read.loop")]
    document = copy.deepcopy(BASE)
    circle(document)
    old = read(tmp_path, document, "old.json")
    document["components"]["schemas"]["Read"]["properties"]["name"]["maxLength"] = 3
    assert [change.place for change in compare_documents(old, read(tmp_path, document))] == [
        "Read.name"
    ]


def test_the_document_is_the_same_as_itself() -> None:
    file = read_openapi_file(spec_path())
    assert compare_documents(file, file) == ()


def _is_plain(node: Node) -> bool:
    return not {"$ref", "anyOf", "items"} & node.keys()


def _properties(places: set[str]) -> set[str]:
    return {place.rpartition(".")[2] for place in places}


@pytest.mark.system
@pytest.mark.parametrize("index", [0, 1, -1])
def test_the_loss_of_a_property_is_seen_in_every_schema(index: int) -> None:
    old = read_openapi_file(spec_path())
    content = copy.deepcopy(old.content)
    removed = set()
    for name, node in content["components"]["schemas"].items():
        # Removing a reference to another schema hides that schema.
        names = [key for key, of in node.get("properties", {}).items() if _is_plain(of)]
        if len(names) > 1:
            del node["properties"][names[index]]
            removed.add(f"{name}.{names[index]}")
    changes = compare_documents(old, OpenApiFile(old.path, content, old.lines))
    reported = {change.place for change in changes if change.kind == "field-removed"}
    # A schema that is referenced beside other keywords, or is part of another one, is reported at
    # that place.
    elsewhere = _properties(reported - removed)
    assert _properties(removed - reported) <= elsewhere <= _properties(removed)
    assert len(removed & reported) > 20
    assert heaviest_level(changes) is B


@pytest.mark.parametrize(
    ("old", "new", "enough"),
    [
        ((1, 2, 0), (2, 0, 0), B),
        ((1, 2, 0), (1, 3, 0), G),
        ((1, 2, 3), (1, 2, 4), N),
        ((1, 2, 0), (1, 2, 0), None),
        ((1, 2, 0), (1, 1, 9), None),
    ],
)
def test_a_step_of_the_version_allows_so_much(
    old: tuple[int, int, int], new: tuple[int, int, int], enough: Level | None
) -> None:
    assert step_between(old, new) is enough


def test_reports_say_operation_field_and_who_breaks(tmp_path: Path) -> None:
    old = read(tmp_path, BASE, "old.json")
    document = copy.deepcopy(BASE)
    CASES["bound tightened"][0](document)
    new = read(tmp_path, document)
    changes = compare_documents(old, new)
    text = render_changes(old, new, changes)
    assert (
        "breaking  make: request Sent.size: maximum 8 -> 4; "
        "breaks clients: what they send is refused\n"
    ) in text
    assert text.endswith(
        "1.0.0 -> 1.0.0: 2 breaking, 0 growth, 0 note; this needs a major step of the version\n"
    )
    report = json.loads(render_changes_json(old, new, changes))
    assert report["step"] == "major"
    assert report["changes"][0] == {
        "kind": "bound-tightened",
        "level": "breaking",
        "hurts": ["clients"],
        "why": "what they send is refused",
        "direction": "request",
        "place": "Sent.size",
        "text": "maximum 8 -> 4",
        "operations": ["make"],
    }
    chapter = "\n".join(chapter_of(changes))
    assert "| request `Sent.size` | maximum 8 -> 4 | `make` | breaks clients: " in chapter
    assert render_changes(old, old, ()) == (
        "1.0.0 -> 1.0.0: no change that clients or servers notice\n"
    )


def test_what_changes_in_an_operation_that_moves_is_told_too(tmp_path: Path) -> None:
    def edit(document: Node) -> None:
        [path, *_] = document["paths"]
        moved = document["paths"].pop(path)
        for node in moved.values():
            if isinstance(node, dict) and "responses" in node:
                node["responses"]["418"] = {"description": "A teapot."}
        document["paths"][f"/moved{path}"] = moved

    kinds = {change.kind for change in changes_of(tmp_path, edit)}
    assert {"operation-moved", "error-status-added"} <= kinds


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ({"enum": ["a", 1]}, {"type": "boolean"}, "integer or string"),
        ({"const": None}, {"type": "string"}, "null"),
    ],
)
def test_the_types_of_values_are_those_of_each(
    tmp_path: Path, old: Node, new: Node, text: str
) -> None:
    before, after = copy.deepcopy(BASE), copy.deepcopy(BASE)
    for document, typed in ((before, old), (after, new)):
        document["components"]["schemas"]["Read"]["properties"]["odd"] = typed
    changes = compare_documents(read(tmp_path, before, "old.json"), read(tmp_path, after))
    assert any(text in change.text for change in changes), changes
