"""A document that is not this package's: what the kit judges by it without a subject file."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from synth_pools.contract import pytest_plugin
from synth_pools.contract.document import Document
from synth_pools.contract.foreign.run import foreign_key
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.options import ApiKey
from synth_pools.contract.results import Report
from synth_pools.contract.run import run_contract
from synth_pools.contract.traffic.judge import TrafficJudge
from synth_pools.contract.traffic.proxy import JudgingProxy
from tests.contract.foreign.shelf import BASE, KEY, SPEC, Shelf

_READ = "GET /books/{book-id}"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("spec") / "shelf.json"
    file.write_text(json.dumps(SPEC))
    return file


def _judge(service: tuple[str, Shelf], spec: Path, broken: str = "", key: str = KEY) -> Report:
    url, shelf = service
    shelf.broken = broken
    return run_contract(url, api_key=key, spec=spec, profile="smoke", seed=1)


def _checks(report: Report) -> set[tuple[str, str]]:
    return {(departure.check, departure.operation) for departure in report.departures}


def test_a_right_service_conforms(service: tuple[str, Shelf], spec: Path) -> None:
    report = _judge(service, spec)
    assert (report.departures, report.obstacles, report.exit_code) == ((), (), 0)
    # The base path is that of the document's server.
    assert report.url == service[0] + BASE
    # Every operation with a requirement was called without the key, and no other one.
    judged = {outcome.operation for outcome in report.outcomes if outcome.check == "auth.refused"}
    assert judged == set(report.operations) - {"GET /health"}


def test_an_operation_without_a_lock_departs(service: tuple[str, Shelf], spec: Path) -> None:
    assert ("auth.refused", "list") in _checks(_judge(service, spec, "auth"))


def test_errors_have_the_schema_of_the_document(service: tuple[str, Shelf], spec: Path) -> None:
    checks = _checks(_judge(service, spec, "error_schema"))
    assert ("schema.body", "list") in checks


def test_a_status_that_is_not_listed_departs(service: tuple[str, Shelf], spec: Path) -> None:
    assert _checks(_judge(service, spec, "health")) == {("schema.status", "GET /health")}


def test_a_wrong_key_is_an_obstacle(service: tuple[str, Shelf], spec: Path) -> None:
    report = _judge(service, spec, key="wrong-key-0123456789")
    assert report.exit_code == 2
    assert "401" in report.obstacles[0]
    assert "--api-key" in report.obstacles[0]


def test_traffic_is_judged_by_it(service: tuple[str, Shelf], spec: Path) -> None:
    url, shelf = service
    shelf.broken = ""
    judge = TrafficJudge(url, spec)
    headers = {"x-shelf-key": KEY}
    with (
        JudgingProxy(url, judge.judge) as proxy,
        httpx.Client(base_url=proxy.url + BASE, headers=headers) as client,
    ):
        book = client.post("/books", json={"title": "one"}).json()
        client.get(f"/books/{book['id']}")
        shelf.broken = "error_schema"
        client.get("/books/nowhere")
    report = judge.report()
    assert report.operations == ("add", _READ)
    assert _checks(report) == {("schema.body", _READ)}


def test_the_plugin_has_a_test_for_each_operation(service: tuple[str, Shelf], spec: Path) -> None:
    test = pytest_plugin.tests(spec=spec)(lambda: service)
    marks = {mark.name: mark for mark in test.pytestmark}  # type: ignore[attr-defined]
    assert marks["parametrize"].args[1] == tuple(Document(SPEC).operations)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "string", "nullable": True}, None, 5),
        ({"allOf": [{"type": "string"}], "nullable": True}, None, 5),
        ({"type": "string", "enum": ["a"], "nullable": True}, None, "b"),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, 1, 0),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, 9, 10),
    ],
)
def test_schemas_of_3_0_are_read(schema: dict[str, object], right: object, wrong: object) -> None:
    paths: dict[str, object] = {"/x": {"get": {"responses": {}}}}
    components = {"schemas": {"X": schema}}
    document = Document({"openapi": "3.0.3", "paths": paths, "components": components})
    assert document.errors("X", right) == []
    assert document.errors("X", wrong)


def test_a_concrete_path_precedes_one_with_an_id() -> None:
    get = {"get": {"responses": {"default": {"description": "Any."}}}}
    document = Document({"paths": {"/jobs/{id}": get, "/jobs/all": get}})
    addressed = [document.operation_of("GET", f"http://h/jobs/{name}") for name in ("all", "a-1")]
    assert [operation and operation.path for operation in addressed] == ["/jobs/all", "/jobs/{id}"]


def test_methods_of_3_2_are_read() -> None:
    answers = {"responses": {"200": {"description": "Any."}}}
    item = {"query": answers, "additionalOperations": {"COPY": answers}}
    document = Document({"openapi": "3.2.0", "paths": {"/things": item}})
    assert set(document.operations) == {"QUERY /things", "COPY /things"}


@pytest.mark.parametrize(
    ("scheme", "url", "headers"),
    [
        ({"type": "http", "scheme": "bearer"}, "", {"authorization": "Bearer ${SYNTH_API_KEY}"}),
        ({"type": "http", "scheme": "basic"}, "", {"authorization": "Basic ${SYNTH_API_KEY}"}),
        ({"type": "oauth2", "flows": {}}, "", {"authorization": "Bearer ${SYNTH_API_KEY}"}),
        ({"type": "apiKey", "in": "header", "name": "X-K"}, "", {"x-k": "${SYNTH_API_KEY}"}),
        ({"type": "apiKey", "in": "cookie", "name": "K"}, "", {"cookie": "K=${SYNTH_API_KEY}"}),
        ({"type": "apiKey", "in": "query", "name": "k"}, "?k=${SYNTH_API_KEY}", {}),
    ],
)
def test_the_key_is_where_the_document_has_it(
    service: tuple[str, Shelf], scheme: object, url: str, headers: dict[str, str]
) -> None:
    components = {**SPEC["components"], "securitySchemes": {"key": scheme}}
    document = Document({**SPEC, "components": components})
    key = foreign_key("user:secret-0123", document.key_place)
    http = HttpClient(service[0], ApiKey(key), document)
    exchange = http.call("list").exchange
    http.close()
    assert exchange.url == f"{service[0]}/books{url}"
    assert dict(exchange.request_headers) == headers
    is_basic = headers.get("authorization", "").startswith("Basic")
    assert key == ("dXNlcjpzZWNyZXQtMDEyMw==" if is_basic else "user:secret-0123")


def test_a_reference_that_leads_nowhere_is_an_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "parts.json"
    body = {"$ref": "other.yaml#/Thing"}
    get = {"responses": {"200": {"$ref": "#/components/responses/Nothing"}}}
    schema = {"schema": {"properties": {"x": {"$ref": "#/components/schemas/Nothing"}}}}
    deep = {"responses": {"200": {"content": {"application/json": schema}}}}
    for operation in (get, deep, {"requestBody": body, "responses": {}}):
        file.write_text(json.dumps({"paths": {"/things": {"get": operation}}}))
        report = run_contract("http://127.0.0.1:9", spec=file, profile="smoke")
        assert report.exit_code == 2
        assert "has to be joined first" in report.obstacles[0]
