"""`synth-pools contract-diff`: text or JSON, and the exit status that scripts go by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_pools.cli.main import main
from synth_pools.spec import spec_path

SPEC = spec_path().read_text(encoding="utf-8")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def changed(folder: Path, before: str, after: str) -> Path:
    assert before in SPEC
    path = folder / "new.yaml"
    path.write_text(SPEC.replace(before, after, 1), encoding="utf-8")
    return path


def test_nothing_breaks(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract-diff", str(old), str(old)]) == 0
    assert "no change that clients or servers notice" in capsys.readouterr().out


def test_something_breaks(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = changed(tmp_path, "operationId: list_pools\n", "operationId: find_pools\n")
    assert main(["contract-diff", str(old), str(new)]) == 1
    text = capsys.readouterr().out
    assert "breaking  find_pools: GET /v1/pools: operationId list_pools -> find_pools;" in text
    assert "this needs a major step of the version" in text


def test_json_is_for_programs(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = changed(tmp_path, "operationId: list_pools\n", "operationId: find_pools\n")
    assert main(["contract-diff", "--json", str(old), str(new)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["step"] == "major"
    assert [change["kind"] for change in document["changes"]] == ["operation-renamed"]


def test_what_cannot_be_used_is_one_line(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = changed(tmp_path, "'#/components/schemas/PoolList'", "'#/components/schemas/PoolLists'")
    assert main(["contract-diff", str(old), str(new)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"synth-pools: error: {new}:")
    assert line.endswith("write #/components/schemas/PoolList")
    assert main(["contract-diff", str(old), str(tmp_path / "none.yaml")]) == 2
    assert main(["contract-diff", str(old)]) == 2
