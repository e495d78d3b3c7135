"""Gate for API changes: the version that a change needs, and the page of changes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from codegen import CodegenError, api_changes, change_kinds
from codegen.spec_rules import version_of
from synth_pools.spec.changes.source import OpenApiFile, read_openapi_file
from synth_pools.spec.changes.verdicts import VERDICTS

REPO = Path(__file__).parents[2]
SPEC = read_openapi_file(REPO / "openapi.yaml")
# Two of its paths: a comparison of all takes a hundred times as long, and shows no more.
FEW = {path: SPEC.content["paths"][path] for path in ("/v1/pools", "/v1/pools/{pool_id}")}


def changed(folder: Path, version: str, edit: Any = None) -> OpenApiFile:
    content = copy.deepcopy({**SPEC.content, "paths": FEW})
    content["info"]["version"] = version
    if edit is not None:
        edit(content["components"]["schemas"])
    return OpenApiFile(folder / "openapi.yaml", content, {})


def breaking(schemas: Any) -> None:
    schemas["PoolDefinition"]["properties"]["capacity"]["maximum"] = 10


def growth(schemas: Any) -> None:
    schemas["Pool"]["properties"]["colour"] = {"type": "string"}


def words(schemas: Any) -> None:
    schemas["Pool"]["description"] = "Another word for it."


@pytest.mark.parametrize(
    ("edit", "version", "needed"),
    [
        (None, "1.2.0", None),
        (words, "1.2.0", None),
        (growth, "1.2.0", "1.3.0"),
        (growth, "1.2.1", "1.3.0"),
        (growth, "1.3.0", None),
        (growth, "2.0.0", None),
        (breaking, "1.2.0", "2.0.0"),
        (breaking, "1.3.0", "2.0.0"),
        (breaking, "2.0.0", None),
    ],
)
def test_the_version_has_to_say_what_changed(
    tmp_path: Path, edit: Any, version: str, needed: str | None
) -> None:
    problems = api_changes.check_step(
        [changed(tmp_path, "1.1.0"), changed(tmp_path, "1.2.0")], changed(tmp_path, version, edit)
    )
    if needed is None:
        assert problems == []
    else:
        assert f"write version: {needed}, or take these changes back" in problems[-1]


def test_operation_field_and_who_breaks_are_named(tmp_path: Path) -> None:
    last = changed(tmp_path, "1.2.0")
    (line, _) = api_changes.check_step([last], changed(tmp_path, "1.2.1", breaking))
    assert line.startswith("breaking  create_pool, replace_pool: request PoolDefinition.capacity:")
    assert "maximum 10000 -> 10; breaks clients: what they send is refused" in line


def test_a_version_that_goes_back_is_refused(tmp_path: Path) -> None:
    (line,) = api_changes.check_step([changed(tmp_path, "1.2.0")], changed(tmp_path, "1.1.9"))
    assert "1.1.9 is older than 1.2.0, the last release" in line


def test_before_the_first_release_everything_may_change(tmp_path: Path) -> None:
    assert api_changes.check_step([], changed(tmp_path, "1.2.0", breaking)) == []


def put(root: Path, folder: str, name: str, file: OpenApiFile) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    path = root / folder / name
    path.write_text(yaml.safe_dump(file.content), encoding="utf-8")


def test_the_page_tells_every_version_the_newest_first(tmp_path: Path) -> None:
    put(tmp_path, "api/released", "1.1.0.yaml", changed(tmp_path, "1.1.0"))
    put(tmp_path, "api/released", "1.9.0.yaml", changed(tmp_path, "1.9.0", growth))
    put(tmp_path, "api/released", "1.10.0.yaml", changed(tmp_path, "1.10.0", growth))
    page = api_changes.render_page(tmp_path, changed(tmp_path, "2.0.0", breaking))
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## 2.0.0 (not released yet)", "## 1.10.0", "## 1.9.0", "## 1.1.0"]
    assert "response `Pool.colour` | added |" in page
    assert "Nothing that clients or servers notice." in page
    assert page.index("PoolDefinition.capacity") < page.index("## 1.10.0")


def test_the_page_begins_with_the_document_before_the_first_release(tmp_path: Path) -> None:
    page = api_changes.render_page(tmp_path, changed(tmp_path, "1.2.0"))
    assert page.endswith("\n## 1.2.0 (not released yet)\n\nThe first version.\n")


def test_the_first_release_writes_the_first_row(tmp_path: Path) -> None:
    put(tmp_path, "api/released", "1.2.0.yaml", changed(tmp_path, "1.2.0"))
    page = api_changes.render_page(tmp_path, changed(tmp_path, "1.2.0"))
    assert page.endswith("\n## 1.2.0\n\nThe first version.\n")


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "api/released", "1.3.0.yaml", changed(tmp_path, "1.2.0"))
    with pytest.raises(CodegenError, match=r"1.2.0 is in 1.3.0.yaml; rename the file"):
        api_changes.released_files(tmp_path)


def test_the_gate_holds_for_the_document() -> None:
    assert api_changes.check_step(api_changes.released_files(REPO), SPEC) == []


def test_the_page_of_kinds_has_an_example_of_each() -> None:
    page = change_kinds.render_page()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"| `{kind}`" for kind in VERDICTS]
    assert all(row[-1].strip(" |") for row in rows)
    assert "**breaks clients**: they call the old address" in page


def test_our_own_document_has_a_version_of_three_numbers(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"info.version is '1.2'; write a version as 1.2.0"):
        version_of(changed(tmp_path, "1.2"))
