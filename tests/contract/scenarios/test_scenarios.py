"""The scenarios as a set: their ids, clauses and order, and the operations that they cover."""

from __future__ import annotations

import re
from pathlib import Path

import synth_pools.contract
from synth_pools.contract.document import Document
from synth_pools.contract.scenarios import all_scenarios
from synth_pools.spec import load_spec

_OPERATIONS = set(Document(load_spec()).operations)
_PACKAGE = Path(synth_pools.contract.__file__).parent


def test_every_operation_has_a_scenario_beside_those_of_its_kind() -> None:
    subjects = {subject for scenario in all_scenarios() for subject in scenario.subjects}
    assert {subject for subject in subjects if isinstance(subject, str)} == _OPERATIONS


def test_ids_are_subject_and_claim() -> None:
    for scenario in all_scenarios():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", scenario.id)
        assert scenario.play.__name__ == scenario.id.replace(".", "_")


def test_the_module_or_folder_of_a_scenario_is_the_first_word_of_its_id() -> None:
    for scenario in all_scenarios():
        place = scenario.play.__module__.removeprefix("synth_pools.contract.scenarios.")
        assert place.split(".")[0] == scenario.id.split(".")[0], (scenario.id, place)


def test_every_scenario_names_its_clauses_by_their_ids() -> None:
    assert [scenario.id for scenario in all_scenarios() if not scenario.clause.ids] == []


def test_the_order_is_the_same_every_time() -> None:
    assert [scenario.id for scenario in all_scenarios()] == [
        scenario.id for scenario in all_scenarios()
    ]


def test_the_kit_knows_neither_the_backend_nor_the_proxy() -> None:
    for file in _PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "synth_pools.backend" not in text, file
        assert "faults" not in re.findall(r"^(?:from|import) .*$", text, re.MULTILINE), file
        if file != _PACKAGE / "client" / "runner.py":
            assert "synth_pools_api" not in text, file
            assert not re.search(r"^\s*(from|import) synth_pools( import|$)", text, re.MULTILINE)
