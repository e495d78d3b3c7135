"""Scenarios of a subject file: each kind sees its fault, and none blames a right service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_pools.cli import run
from synth_pools.contract.results import Outcome, Report
from synth_pools.contract.roles.kinds import KINDS
from synth_pools.contract.run import run_contract
from tests.contract.foreign.shelf import KEY, SPEC, SUBJECT, Shelf


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subject")
    (folder / "shelf.json").write_text(json.dumps(SPEC))
    (folder / "subject.yaml").write_text(SUBJECT)
    return folder


def _judge(service: tuple[str, Shelf], files: Path, broken: str = "", only: str = "") -> Report:
    url, shelf = service
    shelf.broken = broken
    return run_contract(
        url,
        api_key=KEY,
        spec=files / "shelf.json",
        subject=files / "subject.yaml",
        profile="smoke",
        seed=1,
        only=(only,) if only else (),
        # A fault is there for good: nothing comes later.
        patience=1.0 if broken else 30.0,
    )


def test_a_right_service_has_every_kind_held(service: tuple[str, Shelf], files: Path) -> None:
    report = _judge(service, files)
    assert (report.departures, report.obstacles, report.exit_code) == ((), (), 0)
    confirmed = {outcome.check for outcome in report.outcomes if outcome.outcome is Outcome.HELD}
    assert {f"{kind}.books" for kind in KINDS} <= confirmed
    # The run removes everything that it made.
    assert service[1].books == {}


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        ("pages", "pages"),
        ("order", "pages"),
        ("merge", "merges"),
        ("replace", "replaces"),
        ("deleted", "deletion"),
        ("ids", "ids"),
        ("idempotency", "idempotency"),
        ("cancel", "cancel"),
        ("etag", "etags"),
        ("ranges", "ranges"),
        ("events", "streams"),
        ("refused", "refusals"),
        ("alike", "alike"),
    ],
)
def test_a_fault_is_seen_by_its_kind(
    service: tuple[str, Shelf], files: Path, broken: str, kind: str
) -> None:
    report = _judge(service, files, broken, kind)
    assert f"{kind}.books" in {departure.check for departure in report.departures}


def test_links_take_the_place_of_a_subject_file(service: tuple[str, Shelf], files: Path) -> None:
    ids = {"book-id": "$response.body#/id"}
    links = {
        "read": {"operationId": "read", "parameters": ids},
        "remove": {"operationId": "remove", "parameters": {"path.book-id": ids["book-id"]}},
    }
    spec = json.loads(json.dumps(SPEC))
    book = spec["paths"]["/books/{book-id}"]
    book["get"]["operationId"], book["delete"]["operationId"] = "read", "remove"
    spec["paths"]["/books"]["post"]["responses"]["201"]["links"] = links
    file = files / "linked.json"
    file.write_text(json.dumps(spec))
    url, shelf = service

    def alarms(broken: str) -> set[str]:
        shelf.broken = broken
        report = run_contract(url, api_key=KEY, spec=file, profile="smoke", seed=1)
        assert (report.obstacles, report.notes) == ((), ())
        return {departure.check for departure in report.departures}

    assert alarms("") == set()
    assert alarms("deleted") == {"deletion.add"}


def test_the_list_has_the_checks_of_a_document_and_its_subject_file(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, subject = str(files / "shelf.json"), str(files / "subject.yaml")
    assert run(["contract-test", "--list", "--spec", spec, "--subject", subject]) == 0
    listed = capsys.readouterr().out
    assert {f"{kind}.books" for kind in KINDS} <= set(listed.split())
    assert "auth.refused" in listed
    assert "client.sync" not in listed
    assert run(["contract-test", "--list", "--subject", subject]) == 2
    assert "give its document with it" in capsys.readouterr().err
    assert run(["contract-test", "--spec", str(files / "none.json"), "--list"]) == 2
    assert "the spec cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("resources: 5", "no subject file"),
        ("[", "no subject file"),
        ("resources: {books: {create: POST /nowhere}}", "no operation is 'POST /nowhere'"),
        ("resources: {books: {creates: add}}", "no role is 'creates'; there are at,"),
        ("resources: {books: {create: add}}", "give `create`, and `read` or another role"),
        ("resources: {books: {create: add, read: text, parent: a}}", "no resource is 'a'"),
        ("resources: {books: {create: add, read: text, body: {}}}", "no books can be made"),
    ],
)
def test_a_wrong_subject_file_is_an_obstacle(
    service: tuple[str, Shelf], files: Path, text: str, why: str
) -> None:
    service[1].broken = ""
    wrong = files / "wrong.yaml"
    wrong.write_text(text)
    spec = files / "shelf.json"
    report = run_contract(service[0], api_key=KEY, spec=spec, subject=wrong, profile="smoke")
    assert report.exit_code == 2 or report.departures
    assert why in report.obstacles[0]


def test_a_resource_of_operations_left_out_is_not_made(
    service: tuple[str, Shelf], files: Path
) -> None:
    service[1].broken = ""
    report = run_contract(
        service[0],
        api_key=KEY,
        spec=files / "shelf.json",
        subject=files / "subject.yaml",
        profile="smoke",
        operations=("list", "GET /health"),
    )
    assert (report.exit_code, report.notes) == (0, ("no books is made: needs add",))


def test_pools_take_no_subject_file(service: tuple[str, Shelf], files: Path) -> None:
    report = run_contract(service[0], api_key=KEY, subject=files / "subject.yaml")
    assert report.obstacles == ("a subject file is for another API: give its document with it",)
