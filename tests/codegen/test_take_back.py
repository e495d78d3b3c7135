"""Edits of the joined openapi.yaml: each moves to its part, or stops the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from codegen import CodegenError, tree
from codegen.parts import digest_of, join_parts
from codegen.take_back import take_back

REPO = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Repository with our parts, joined."""
    shutil.copytree(REPO / "api", tmp_path / "api", ignore=shutil.ignore_patterns("released"))
    write(tmp_path, join_parts(tmp_path).text)
    return tmp_path


def write(root: Path, text: str) -> None:
    (root / "openapi.yaml").write_text(text, encoding="utf-8")


def edit(path: Path, before: str, after: str) -> int:
    """Replace a text that occurs once; return its line."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, text.count(before)
    path.write_text(text.replace(before, after), encoding="utf-8")
    return text.count("\n", 0, text.index(before)) + 1


def refused(root: Path) -> str:
    before = tree.files(root)
    with pytest.raises(CodegenError) as caught:
        take_back(root)
    assert tree.files(root) == before
    return str(caught.value).replace(f"{root}/", "")


# A text that occurs once in the document, its replacement, and the part that takes the edit.
EDITS = {
    "a sentence of a tag": (
        "    description: How busy a pool is and how well its rollouts go.\n",
        "    description: All of the service.\n",
        "openapi.yaml",
    ),
    "a line of an operation": ("summary: List pools\n", "summary: All pools\n", "paths/pools.yaml"),
    "a comment and an empty line": (
        "  /v1/pools:\n",
        "  # The first one.\n\n  /v1/pools:\n",
        "paths/pools.yaml",
    ),
    "a property": (
        "    PoolList:\n      type: object\n",
        "    PoolList:\n      type: object\n      title: Pools\n",
        "schemas/pools.yaml",
    ),
    "lines that go": (
        "    TaskStatus:\n      type: string\n",
        "    TaskStatus:\n",
        "schemas/tasks.yaml",
    ),
    # Between the last line of a part and the first line of the next part.
    "a schema between two parts": (
        "    TaskStatus:\n",
        "    Colour:\n      type: string\n    TaskStatus:\n",
        "schemas/metrics.yaml",
    ),
    "the first response": (
        "    BadRequest:\n      description: |\n",
        "    Teapot:\n      description: Tea.\n    BadRequest:\n      description: |\n",
        "responses.yaml",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_taken_back_into_its_part(root: Path, name: str) -> None:
    before, after, part = EDITS[name]
    edit(root / "openapi.yaml", before, after)
    joined, parts = take_back(root)
    assert joined.body == (root / "openapi.yaml").read_text(encoding="utf-8").partition("\n")[2]
    assert [*parts] == [root / "api" / part]
    for path, text in parts.items():
        path.write_text(text, encoding="utf-8")
    assert join_parts(root) == joined
    write(root, joined.text)
    assert take_back(root) == (joined, {})


def test_edits_of_several_parts_are_taken_back_together(root: Path) -> None:
    document = root / "openapi.yaml"
    for before, after, part in EDITS.values():
        if part != "schemas/metrics.yaml":
            edit(document, before, after)
    text = document.read_text(encoding="utf-8") + "      title: The last line\n"
    document.write_bytes(text.replace("\n", "\r\n").encode())
    joined, parts = take_back(root)
    assert joined.body == text.partition("\n")[2]
    assert len(parts) == 6
    for path, new in parts.items():
        path.write_text(new, encoding="utf-8")
    assert join_parts(root) == joined


def test_an_edit_of_a_part_is_not_taken_for_one_of_the_whole(root: Path) -> None:
    edit(root / "api/paths/pools.yaml", "summary: List pools\n", "summary: Pools\n")
    assert take_back(root) == (join_parts(root), {})


def test_the_same_edit_in_both_places_is_one(root: Path) -> None:
    for path in (root / "openapi.yaml", root / "api/paths/pools.yaml"):
        edit(path, "summary: List pools\n", "summary: Pools\n")
    assert take_back(root) == (join_parts(root), {})


def test_edits_in_both_places_stop_at_the_line(root: Path) -> None:
    line = edit(root / "openapi.yaml", "summary: List pools\n", "summary: Pools\n")
    part = root / "api/openapi.yaml"
    part_line = edit(
        part, "description: How busy a pool is and how well its rollouts go.", "description: All."
    )
    origin = (root / "api/paths/pools.yaml").read_text(encoding="utf-8")
    number = origin.count("\n", 0, origin.index("summary: List pools")) + 1
    *lines, advice = refused(root).splitlines()
    assert lines == [
        f"openapi.yaml:{part_line + 1}: differs from api/openapi.yaml:{part_line}",
        f"openapi.yaml:{line}: differs from api/paths/pools.yaml:{number}",
    ]
    assert "were both edited since they were joined" in advice


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("  schemas:\n", "  links:\n    A: {}\n  schemas:\n", 0, "is indented by 4 spaces"),
        ("\npaths:\n", "\nroutes:\n", 1, "it belongs to no part, or to several"),
    ],
)
def test_what_has_no_place_in_the_parts_stops_at_its_line(
    root: Path, before: str, after: str, line: int, reason: str
) -> None:
    line += edit(root / "openapi.yaml", before, after)
    message = refused(root)
    assert message.startswith(f"openapi.yaml:{line}: this edit cannot be taken back into api/: ")
    assert reason in message


def test_a_whole_without_its_first_line_stops(root: Path) -> None:
    write(root, "# Mine.\n" + join_parts(root).body)
    assert refused(root).startswith("openapi.yaml:2: differs from api/openapi.yaml:1\n")


def test_a_merged_whole_needs_no_digest_of_its_own(root: Path) -> None:
    text = (root / "openapi.yaml").read_text(encoding="utf-8")
    write(root, text.replace(digest_of(join_parts(root).body), "0" * 16))
    assert take_back(root) == (join_parts(root), {})
