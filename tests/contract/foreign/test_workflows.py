"""Workflows of Arazzo take the place of a subject file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.results import Outcome, Report
from synth_pools.contract.roles.kinds import KINDS
from synth_pools.contract.roles.workflows import read_roles
from synth_pools.contract.run import run_contract
from tests.contract.foreign.shelf import KEY, SPEC, Shelf

ID = {"name": "book-id", "in": "path", "value": "$steps.add.outputs.book"}
ADD: dict[str, Any] = {
    "stepId": "add",
    "operationId": "$sourceDescriptions.shelf.add",
    "parameters": [{"reference": "$components.parameters.key"}],
    "requestBody": {"payload": '{"title": "The {$inputs.title}", "pages": "$inputs.pages"}'},
    "outputs": {"book": "$response.body#/id", "tag": "$response.header.ETag"},
}
ITEM = "{$sourceDescriptions.shelf.url}#/paths/~1books~1{book-id}"
STEPS: list[dict[str, Any]] = [
    ADD,
    {"stepId": "read", "operationPath": f"{ITEM}/get", "parameters": [ID]},
    {"stepId": "text", "operationId": "text", "parameters": [ID]},
    {"stepId": "other", "workflowId": "another"},
    {
        "stepId": "page",
        "operationId": "list",
        "outputs": {"first": "$response.body#/books/0/id", "next": "$response.body#/after"},
    },
    {
        "stepId": "second",
        "operationId": "list",
        "parameters": [
            {"name": "after", "in": "query", "value": "$steps.page.outputs.next"},
            {"name": "size", "in": "query", "value": 2},
        ],
    },
    {"stepId": "events", "operationId": "events", "parameters": [ID]},
    {"stepId": "give", "operationId": "give_back", "parameters": [ID]},
    {"stepId": "replace", "operationPath": f"{ITEM}/put", "parameters": [ID]},
    {"stepId": "remove", "operationPath": f"{ITEM}/delete", "parameters": [ID]},
]
INPUTS = {"properties": {"title": {"type": "string"}, "pages": {"default": 3}}}
KEY_HEADER = {"name": "Idempotency-Key", "in": "header", "value": "$inputs.key"}


def _arazzo(steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "arazzo": "1.0.1",
        "sourceDescriptions": [{"name": "shelf", "url": "shelf.json", "type": "openapi"}],
        "workflows": [{"workflowId": "borrow", "inputs": INPUTS, "steps": steps}],
        "components": {"parameters": {"key": KEY_HEADER}},
    }


def _judge(service: tuple[str, Shelf], folder: Path, broken: str) -> Report:
    url, shelf = service
    shelf.broken = broken
    spec, subject = folder / "shelf.json", folder / "borrow.arazzo.yaml"
    spec.write_text(json.dumps(SPEC))
    subject.write_text(yaml.safe_dump(_arazzo(STEPS)))
    return run_contract(
        url,
        api_key=KEY,
        spec=spec,
        subject=subject,
        profile="smoke",
        seed=1,
        patience=1.0 if broken else 30.0,
    )


def test_a_right_service_has_the_kinds_held_that_the_steps_tell_of(
    service: tuple[str, Shelf], tmp_path: Path
) -> None:
    report = _judge(service, tmp_path, "")
    assert (report.departures, report.obstacles, report.notes) == ((), (), ())
    checks = {outcome.check for outcome in report.outcomes if outcome.outcome is Outcome.HELD}
    unknown = {"cancel", "merges", "ranges"}
    assert {f"{kind}.add" for kind in KINDS.keys() - unknown} <= checks
    assert service[1].books == {}


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        ("pages", "pages"),
        ("deleted", "deletion"),
        ("ids", "ids"),
        ("refused", "refusals"),
        ("idempotency", "idempotency"),
        ("events", "streams"),
        ("alike", "alike"),
    ],
)
def test_a_fault_is_seen_by_its_kind(
    service: tuple[str, Shelf], tmp_path: Path, broken: str, kind: str
) -> None:
    report = _judge(service, tmp_path, broken)
    assert f"{kind}.add" in {departure.check for departure in report.departures}


def test_the_ids_of_a_path_are_those_of_parents_or_constant(tmp_path: Path) -> None:
    def path(*names: str) -> dict[str, Any]:
        operations = {
            method: {"operationId": f"{method}_{names[-1]}", "responses": {}}
            for method in ("get", "post")
        }
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
            if "-" in name
        ]
        return {**operations, "parameters": parameters}

    paths = {
        "/{the-tenant}/jobs": path("the-tenant", "jobs"),
        "/{the-tenant}/jobs/{job-id}": path("the-tenant", "job-id"),
        "/{the-tenant}/jobs/{job-id}/parts": path("the-tenant", "job-id", "parts"),
        "/{the-tenant}/jobs/{job-id}/parts/{part-id}": path("the-tenant", "job-id", "part-id"),
    }
    info = {"title": "Jobs", "version": "1.0.0"}
    document = Document({"openapi": "3.1.0", "info": info, "paths": paths})
    tenant = {"name": "the-tenant", "in": "path", "value": "home"}
    job = {"name": "job-id", "in": "path", "value": "$steps.job.outputs.id"}
    part = {"name": "part-id", "in": "path", "value": "$steps.part.outputs.id"}
    steps: list[dict[str, Any]] = [
        {
            "stepId": "job",
            "operationId": "post_jobs",
            "parameters": [tenant],
            "requestBody": {"payload": {"name": "a"}},
            "outputs": {"id": "$response.body#/job/id"},
        },
        {
            "stepId": "part",
            "operationId": "post_parts",
            "parameters": [tenant, job],
            "outputs": {"id": "$response.body#/id"},
        },
        {"stepId": "read", "operationId": "get_part-id", "parameters": [tenant, job, part]},
    ]
    file = tmp_path / "jobs.arazzo.yaml"
    file.write_text(yaml.safe_dump(_arazzo(steps)))
    jobs, parts = read_roles(file, document).values()
    assert (jobs.id, jobs.parameter, jobs.read, jobs.parent) == ("job.id", "job-id", "", "")
    assert (jobs.ids, jobs.body) == ({"the-tenant": "home"}, {"name": "{name}"})
    assert (parts.parent, parts.read, parts.parameter) == ("post_jobs", "get_part-id", "part-id")
    # A parent from another workflow cannot be made.
    finding = {"stepId": "job", "workflowId": "find"}
    file.write_text(yaml.safe_dump(_arazzo([finding, *steps[1:]])))
    with pytest.raises(UnjudgeableError, match="no workflow makes a resource"):
        read_roles(file, document)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"arazzo": "1.0.0"}, "no Arazzo document: KeyError: 'workflows'"),
        ({"arazzo": "1.0.0", "workflows": [5]}, "no Arazzo document"),
        (_arazzo([ADD]), "no workflow makes a resource whose id a later step names"),
        (_arazzo([{"stepId": "a", "operationId": "buy"}]), "a: no operation is 'buy'"),
        (_arazzo([{**ADD, "parameters": [{"reference": "$components.parameters.x"}]}]), "'x'"),
    ],
)
def test_a_wrong_document_is_an_obstacle(tmp_path: Path, content: Any, why: str) -> None:
    file = tmp_path / "wrong.arazzo.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UnjudgeableError) as caught:
        read_roles(file, Document(SPEC))
    assert why in str(caught.value)
