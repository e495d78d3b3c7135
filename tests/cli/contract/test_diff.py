"""`synth-pools contract-diff`: formats, baseline, and the exit status that scripts go by."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from synth_pools.cli.main import main
from synth_pools.spec import spec_path

SPEC = spec_path().read_text(encoding="utf-8")
THINGS: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "T", "version": "2"},
    "paths": {
        "/things": {
            "get": {
                "operationId": "list_things",
                "parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "They, 100 % of them.",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        },
                    }
                },
            }
        }
    },
    "components": {
        "schemas": {"Thing": {"type": "object", "properties": {"size": {"type": "integer"}}}}
    },
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(THINGS), encoding="utf-8")
    return path


def changed(folder: Path, before: str, after: str, name: str = "new.yaml") -> Path:
    text = yaml.safe_dump(THINGS)
    assert before in text
    path = folder / name
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Removes a parameter, and rewords a sentence."""
    document = json.loads(json.dumps(THINGS).replace("100 %", "50 %"))
    document["paths"]["/things"]["get"]["parameters"] = []
    path = tmp_path / "new.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_our_own_document_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "old.yaml", tmp_path / "new.yaml"
    first.write_text(SPEC, encoding="utf-8")
    line = "operationId: list_pools\n"
    assert line in SPEC
    second.write_text(SPEC.replace(line, "operationId: find_pools\n", 1), encoding="utf-8")
    assert main(["contract-diff", str(first), str(second)]) == 1
    text = capsys.readouterr().out
    assert "breaking  find_pools: GET /v1/pools: operationId list_pools -> find_pools;" in text
    assert "this needs a major step of the version" in text


def test_nothing_breaks(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract-diff", str(old), str(old)]) == 0
    assert "no change that clients or servers notice\n" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_json_is_for_programs(
    old: Path, new: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["contract-diff", *option, str(old), str(new)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["step"] is None
    kinds = [change["kind"] for change in document["changes"]]
    assert kinds == ["parameter-removed", "sentence-changed"]


def test_github_shows_changes_at_their_lines(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["contract-diff", "--format", "github", str(old), str(new)]) == 1
    error, notice, _ = capsys.readouterr().out.splitlines()
    line = new.read_text().splitlines().index("    get:") + 1
    assert error.startswith(f"::error file={new},line={line},title=breaking%3A parameter-removed::")
    assert notice.startswith("::notice ")
    # A percent sign begins an escape in such a line.
    assert "50 %25 of them" in notice


def test_sarif_names_rules_and_places(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = changed(tmp_path, "type: integer", "type: string")
    assert main(["contract-diff", "--format", "sarif", str(old), str(new)]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert (result["ruleId"], result["level"]) == ("type-changed", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == new.as_posix()
    line = new.read_text().splitlines()[place["region"]["startLine"] - 1]
    assert line.strip() == "size:"


def test_junit_fails_for_what_breaks(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["contract-diff", "--format", "junit", str(old), str(new)]) == 1
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [case.find("failure") is not None for case in root.iter("testcase")] == [True, False]
    assert main(["contract-diff", "--format", "junit", str(old), str(old)]) == 0
    assert 'tests="1" failures="0"' in capsys.readouterr().out


def test_what_is_known_does_not_count(
    old: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "known.json"
    command = ["contract-diff", str(old), str(new), "--baseline", str(baseline)]
    assert main(command) == 1
    assert not baseline.exists()
    assert main([*command, "--baseline-update"]) == 0
    written = baseline.read_bytes()
    assert main(command) == 0
    output = capsys.readouterr()
    assert "2 known changes of known.json do not count" in output.err
    assert "parameter-removed" not in output.out
    assert output.out.splitlines()[-1].endswith(": no change but 2 known")
    assert main([*command, "--format", "junit"]) == 0
    assert 'name="no change but 2 known"' in capsys.readouterr().out
    # The same change of another operation is not known.
    more = changed(tmp_path, "operationId: list_things", "operationId: read_things", "more.yaml")
    assert main(["contract-diff", str(old), str(more), "--baseline", str(baseline)]) == 1
    assert baseline.read_bytes() == written
    same = ["contract-diff", str(old), str(old), "--baseline", str(baseline)]
    assert main([*same, "--baseline-prune"]) == 0
    assert json.loads(baseline.read_text())["changes"] == []
    baseline.write_text('{"format": 2, "changes": []}')
    assert main(command) == 2
    assert "known.json: no baseline: its format is 2" in capsys.readouterr().err
    assert main(["contract-diff", str(old), str(new), "--baseline-update"]) == 2


@pytest.mark.parametrize(("side", "status"), [("clients", 0), ("servers", 1), ("both", 1)])
def test_one_side_can_be_protected_alone(old: Path, tmp_path: Path, side: str, status: int) -> None:
    document = json.loads(json.dumps(THINGS))
    document["components"]["schemas"]["Thing"]["properties"]["size"]["maximum"] = 4
    new = tmp_path / "new.yaml"
    new.write_text(yaml.safe_dump(document))
    assert main(["contract-diff", "--side", side, str(old), str(new)]) == status


def test_what_cannot_be_used_is_one_line(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = changed(tmp_path, "schemas/Thing", "schemas/Things")
    assert main(["contract-diff", str(old), str(new)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"synth-pools: error: {new}:")
    assert line.endswith("write #/components/schemas/Thing")
    assert main(["contract-diff", str(old), str(tmp_path / "none.yaml")]) == 2
    assert main(["contract-diff", str(old)]) == 2


def test_a_deep_recursion_is_compared_like_any_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A schema refers to the next one, and the last to the first, all beside other keywords."""
    count = sys.getrecursionlimit() + 100
    schemas = {
        f"S{index}": {
            "type": "object",
            "properties": {
                "next": {
                    "allOf": [{"$ref": f"#/components/schemas/S{(index + 1) % count}"}],
                    "minProperties": 1,
                }
            },
        }
        for index in range(count)
    }
    document = json.loads(json.dumps(THINGS))
    document["components"]["schemas"] |= schemas
    document["components"]["schemas"]["Thing"]["properties"]["chain"] = {
        "$ref": "#/components/schemas/S0"
    }
    first, second = tmp_path / "old.json", tmp_path / "new.json"
    first.write_text(json.dumps(document))
    last = document["components"]["schemas"][f"S{count - 1}"]
    last["properties"]["end"] = {"type": "string"}
    second.write_text(json.dumps(document))
    assert main(["contract-diff", str(first), str(second)]) == 0
    assert "end: added" in capsys.readouterr().out
