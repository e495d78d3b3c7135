"""Parts of openapi.yaml: joined line by line in a fixed order; none is silently left out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from codegen import CodegenError, lint_spec
from codegen.parts import COMPONENTS, digest_of, join_parts, split_banner
from codegen.spec_rules import read_joined_spec

REPO = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Repository with our parts."""
    ignored = shutil.ignore_patterns("released")
    shutil.copytree(REPO / "api", tmp_path / "api", ignore=ignored)
    return tmp_path


def edit(part: Path, before: str, after: str) -> int:
    """Replace a text of a part once; return its line."""
    text = part.read_text(encoding="utf-8")
    assert before in text
    part.write_text(text.replace(before, after, 1), encoding="utf-8")
    return text.count("\n", 0, text.index(before)) + 1


def said_of(root: Path) -> str:
    with pytest.raises(CodegenError) as caught:
        read_joined_spec(join_parts(root))
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{root}/")


def test_the_whole_is_what_the_parts_say() -> None:
    text = (REPO / "openapi.yaml").read_text(encoding="utf-8")
    assert text == join_parts(REPO).text
    document = yaml.safe_load(text)
    components: dict[str, object] = {}
    for part in sorted((REPO / "api").glob("*/*.yaml")):
        if part.parent.name == "paths" or part.parent.name in COMPONENTS:
            content = yaml.safe_load(part.read_text(encoding="utf-8"))
            assert not content.keys() & components.keys() or part.parent.name == "examples"
            place = document if part.parent.name == "paths" else document["components"]
            assert {name: place[part.parent.name][name] for name in content} == content
            components |= content
    assert len(components) > 100


def test_every_line_leads_to_the_part_that_it_comes_from(root: Path) -> None:
    joined = join_parts(root)
    assert split_banner(joined.text) == (digest_of(joined.body), joined.body)
    lines = joined.body.splitlines()
    assert len(lines) == len(joined.origins)
    copied = 0
    for number, (line, (part, origin)) in enumerate(zip(lines, joined.origins, strict=True), 2):
        if origin:
            source_line = part.read_text(encoding="utf-8").splitlines()[origin - 1]
            copied += line.strip() == source_line.strip()
            assert joined.locate(number) == f"{part}:{origin}"
    headings = len({part.relative_to(root / "api").parts[0] for part, _ in joined.origins})
    # No part has `components` and the names of the groups.
    assert copied == len(lines) - 1 - (headings - 1)


def test_comments_and_line_ends_of_another_system_stay_out_of_the_way(root: Path) -> None:
    part = root / "api/securitySchemes.yaml"
    before = join_parts(root).text
    part.write_bytes(part.read_bytes().replace(b"\n", b"\r\n"))
    assert join_parts(root).text == before
    part.write_text("# Why.\n" + part.read_text(encoding="utf-8"), encoding="utf-8")
    assert "    # Why.\n" in join_parts(root).text


def test_a_mistake_is_a_line_of_the_part(root: Path) -> None:
    line = edit(root / "api/paths/pools.yaml", "schemas/PoolUrls'", "schemas/PoolUrl'")
    assert said_of(root) == (
        f"api/paths/pools.yaml:{line}: $ref to #/components/schemas/PoolUrl leads nowhere: "
        "write #/components/schemas/PoolUrls"
    )


def test_what_is_no_yaml_is_a_line_of_the_part(root: Path) -> None:
    line = edit(root / "api/schemas/tasks.yaml", "description: ", "description: [")
    assert re.match(rf"api/schemas/tasks.yaml:({line}|{line + 1}): not YAML: ", said_of(root))


def test_a_name_in_two_parts_is_named_in_both(root: Path) -> None:
    with (root / "api/schemas/tasks.yaml").open("a", encoding="utf-8") as part:
        part.write("PoolUrls:\n  type: string\n")
    message = said_of(root)
    assert message.startswith("api/schemas/tasks.yaml:")
    assert re.search(
        r"'PoolUrls' is there already, at \S*api/schemas/pools.yaml:\d+; keep", message
    )


def test_an_operation_stands_in_the_part_of_its_tag(root: Path) -> None:
    edit(root / "api/paths/pools.yaml", "    - pools\n", "    - metrics\n")
    message = said_of(root)
    assert re.fullmatch(
        r"api/paths/pools.yaml:2: its tag is metrics; write it in api/paths/metrics.yaml", message
    )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("schema/more.yaml", "no kind of part; name it after one of paths, "),
        ("schemas.yaml", "schemas has a folder, too; keep one of the two"),
        ("notes.txt", "no kind of part"),
        ("schemas/more.yml", "no part; name a part as schemas/pools.yaml"),
        ("paths/pool.yaml", "no tag has this name; write '- name: pool' in tags"),
    ],
)
def test_no_part_is_left_out_in_silence(root: Path, part: str, message: str) -> None:
    path = root / "api" / part
    path.parent.mkdir(exist_ok=True)
    path.write_text("Thing:\n  type: string\n", encoding="utf-8")
    line = said_of(root)
    assert line.startswith(f"api/{part.partition('/')[0]}")
    assert message in line


def test_a_part_that_is_not_utf_8_is_a_line(root: Path) -> None:
    (root / "api/schemas/more.yaml").write_bytes(b"Thing:\n  type: \xff\n")
    assert said_of(root) == "api/schemas/more.yaml:2: not UTF-8; save the file as UTF-8"


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("lint-spec")
def test_the_linters_name_the_part(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (lint_spec.CONTAINER, *lint_spec.SETTINGS):
        shutil.copy(REPO / name, root / name)
    monkeypatch.setattr(lint_spec, "ROOT", root)
    line = edit(root / "api/paths/pools.yaml", "description: ", "description: eval( ")
    other_line = edit(root / "api/paths/tasks.yaml", "description: ", "description: eval( ")
    assert lint_spec.main([]) == 1
    lines = capsys.readouterr().err.replace(f"{root}/", "").splitlines()
    assert len(lines) == 2, lines
    for place, text in zip((f"pools.yaml:{line}", f"tasks.yaml:{other_line}"), lines, strict=True):
        assert text.startswith(f"api/paths/{place}: Markdown descriptions must not")
    assert not list(root.glob(".generate-*"))
