"""An unfinished backend is judged by its operations, and told what to build next."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_pools.cli import run
from synth_pools.contract import run_contract
from synth_pools.contract.document import Document, read_specification
from synth_pools.contract.reports.json import report_document
from synth_pools.contract.reports.text import render_table
from synth_pools.contract.results import Outcome, Report
from synth_pools.contract.scenarios import all_scenarios
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec
from tests.contract.faults import FAULTS
from tests.contract.faults.fault import DOCUMENT, KEY, Fault, Passing
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response

# The work of a team's first day.
_BUILT = ("create_pool", "get_pool", "list_pools", "update_pool", "list_tasks")

# A backend of some weeks.
_TEN = (
    *("get_capabilities", "create_pool", "get_pool", "list_pools", "delete_pool"),
    *("create_rollout", "get_rollout", "list_rollouts", "cancel_rollout", "stream_rollout_events"),
)


async def _router(request: Request, passing: Passing) -> Response | None:
    """Answer as a framework's router does for a path without a handler."""
    if passing.operation in _BUILT:
        return None
    methods = [
        DOCUMENT.operations[name].method
        for name in _BUILT
        if DOCUMENT.operations[name].ids(request.path) is not None
    ]
    if methods:
        headers = [("content-type", "text/plain"), ("allow", ", ".join(methods))]
        return Response(405, headers, b"Method Not Allowed")
    return Response(404, [("content-type", "text/plain")], b"Not Found")


@pytest.fixture(scope="module")
def unfinished() -> Iterator[str]:
    fault = Fault("unfinished", "none", (), (*DOCUMENT.operations, ""), before=_router)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        yield proxy.url


def _judged(url: str, **options: Any) -> dict[str, Any]:
    report = run_contract(url, api_key=KEY, seed=1, profile="quick", **options)
    departed = [f"{group.first.check}: {group.first.got}" for group in report.groups]
    # Its router answers in plain text.
    wrong = {"schema.error_body", "schema.request_id"}
    assert {departure.split(":")[0] for departure in departed} <= wrong, departed
    assert report.obstacles == ()
    assert set(report.operations) == set(_BUILT)
    return report_document(report)


@pytest.mark.system
def test_what_it_has_is_found_out(unfinished: str) -> None:
    document = _judged(unfinished, offered=True, skip=("schema", "values"))
    assert set(document["absent"]) == DOCUMENT.operations.keys() - set(_BUILT)
    by_check = {check["check"]: check["outcome"] for check in document["checks"]}
    assert by_check["pools.patch"] == "held"
    assert "delete_pool" in document["needs"]


def test_what_it_has_can_be_said(unfinished: str) -> None:
    report = run_contract(
        unfinished,
        api_key=KEY,
        seed=1,
        operations=("/v1/pools", "tasks"),
        without_operations=tuple(DOCUMENT.operations.keys() - set(_BUILT)),
        only=("pools", "tasks"),
    )
    assert set(report.operations) == set(_BUILT)
    text = render_table(report)
    assert f"Not there: {len(DOCUMENT.operations) - len(_BUILT)} operations" in text
    first, last = next(iter(report.needs)), text.splitlines()[-1]
    assert last.startswith(f"next: build {first}, for which ")
    assert f"  needs {first}: " in text
    # The table has only operations that exist.
    assert not any(line.startswith("get_rollout ") for line in text.splitlines())


def test_a_document_with_a_part_of_the_operations_will_do(unfinished: str, tmp_path: Path) -> None:
    trimmed = copy.deepcopy(load_spec())
    for path, item in list(trimmed["paths"].items()):
        for method, operation in list(item.items()):
            if isinstance(operation, dict) and operation.get("operationId") not in _BUILT:
                del item[method]
        if not any(isinstance(operation, dict) for operation in item.values()):
            del trimmed["paths"][path]
    file = tmp_path / "trimmed.yaml"
    file.write_text(yaml.safe_dump(trimmed))
    document = _judged(unfinished, spec=file, only=("pools", "tasks", "auth"))
    assert document["absent"] == []
    # Links to omitted operations are omitted, too.
    assert "operationId: delete_pool" not in yaml.safe_dump(read_specification(file))


@pytest.mark.system
def test_generated_requests_keep_to_what_is_there(unfinished: str) -> None:
    document = _judged(unfinished, operations=_BUILT, only=("schema",))
    assert {check["operation"] for check in document["checks"]} <= set(_BUILT)
    assert any(check["check"] == "schema.valid_accepted" for check in document["checks"])


def _ten_judged(fault: Fault | None, *only: str, patience: float = 30.0) -> Report:
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        return run_contract(
            proxy.url,
            api_key=KEY,
            seed=1,
            operations=_TEN,
            only=only,
            skip=("schema", "client", "model", "auth"),
            patience=patience,
        )


def test_a_scenario_that_stops_at_what_is_not_there_is_not_reached() -> None:
    report = _ten_judged(None, "pools.patch", "tasks.deleted", "cancel.others")
    assert (report.departures, report.obstacles, report.exit_code) == ((), (), 0)
    by_check: dict[str, set[tuple[Outcome, str]]] = {}
    for outcome in report.outcomes:
        by_check.setdefault(outcome.check, set()).add((outcome.outcome, outcome.note))
    assert by_check["pools.patch"] == {(Outcome.NOT_REACHED, "needs update_pool")}
    assert by_check["tasks.deleted"] == {(Outcome.NOT_REACHED, "needs delete_task")}
    # It judges with the readers that are there: the metrics are not.
    assert by_check["cancel.others"] == {(Outcome.HELD, "")}
    assert report.needs == {"update_pool": ("pools.patch",), "delete_task": ("tasks.deleted",)}


@pytest.mark.system
def test_every_scenario_of_ten_operations_judges_or_says_what_it_needs() -> None:
    # Its deletion of pools cancels nothing.
    fault = next(fault for fault in FAULTS if fault.name == "rollouts_outlive_their_pool")
    report = _ten_judged(fault, patience=10.0)
    assert (report.obstacles, report.exit_code) == ((), 1)
    assert {group.first.check for group in report.groups} == {"states.pool_deleted"}
    traced = {outcome.check for outcome in report.outcomes}
    narrowed = Document(load_spec())
    narrowed.narrow(_TEN)
    about = {
        scenario.id
        for scenario in all_scenarios()
        if narrowed.operations.keys() & scenario.operations(narrowed)
        and not {"other_key", "restart"} & {*scenario.needs}
    }
    assert about <= traced


def test_nothing_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["contract-test", "http://127.0.0.1:9", "--api-key", KEY]
    assert run([*arguments, "--operations", "get_pools,x"]) == 2
    assert "no operation, tag or path of the document is called" in capsys.readouterr().err


def test_the_report_for_programs_has_what_is_not_there(unfinished: str, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    arguments = ["contract-test", unfinished, "--api-key", KEY, "--json", str(file)]
    assert run([*arguments, "--operations", ",".join(_BUILT), "--only", "pools.patch"]) == 0
    document = json.loads(file.read_text())
    assert len(document["absent"]) == len(DOCUMENT.operations) - len(_BUILT)
    assert {check["outcome"] for check in document["checks"]} <= {
        Outcome.HELD.value,
        Outcome.NOT_REACHED.value,
    }
