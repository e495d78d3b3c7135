"""Two documents of an API that nobody here wrote, compared: those in the wheels of Airflow."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from synth_pools.cli.main import main
from tests.foreign.conftest import ROOT

pytestmark = pytest.mark.foreign

WHEELS = ROOT / ".venv-foreign/wheels"
DOCUMENT = "airflow/api_fastapi/core_api/openapi/*-rest-api-generated.yaml"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The documents of the first and of the last release, in this order."""
    wheels = sorted(WHEELS.glob("apache_airflow_core-*.whl"))
    if len(wheels) < 2:
        pytest.skip("the wheels of Airflow could not be loaded")
    assert len(wheels) == 2
    files = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            [name] = (name for name in archive.namelist() if Path(name).match(DOCUMENT))
            file = tmp_path_factory.mktemp("airflow") / "openapi.yaml"
            file.write_bytes(archive.read(name))
            files.append(file)
    return files


def compared(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    status = main(["contract-diff", "--format", "json", str(old), str(new)])
    return status, json.loads(capsys.readouterr().out)["changes"]


def test_a_release_breaks_what_it_breaks_and_nothing_else(
    documents: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = documents
    status, changes = compared(old, new, capsys)
    assert status == 1
    of_kind = defaultdict(list)
    for change in changes:
        of_kind[change["kind"]].append(change)
    # A second way to log in, with nearly all operations; and one for which there was no login.
    [added], [demanded] = of_kind["login-added"], of_kind["key-demanded"]
    assert (added["level"], len(added["operations"])) == ("growth", 94)
    assert (demanded["level"], demanded["operations"]) == ("breaking", ["logout"])
    [removed] = of_kind["operation-removed"]
    assert removed["place"] == "GET /api/v2/dagReports"
    assert {change["level"] for change in of_kind["operation-added"]} == {"growth"}
    # Fields that only answers have: clients may leave them unread.
    assert {tuple(change["hurts"]) for change in of_kind["required-field-added"]} == {("servers",)}
    assert len(of_kind["required-field-added"]) > 40


def test_a_document_is_the_same_as_itself(
    documents: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for document in documents:
        assert compared(document, document, capsys) == (0, [])
