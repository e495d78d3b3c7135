"""The document in the kit: operations by request, responses by status, schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_pools.contract.document import Document, read_specification, specification_text
from synth_pools.contract.exceptions import MissingOperationError, UnjudgeableError
from synth_pools.contract.rules.documented import DocumentedFields
from synth_pools.spec import load_spec
from tests.contract.harness.sessions import DOCUMENT


def test_a_schema_has_the_properties_of_its_parts() -> None:
    sums = DOCUMENT.properties("UsageSums")
    assert DOCUMENT.properties("TaskUsage") == {
        **sums,
        "task_id": DOCUMENT.properties("TaskUsage")["task_id"],
    }
    assert {"rollout", "summary", "sequence"} <= DOCUMENT.properties("PoolEvent").keys()
    usage = {"usage": {"input_tokens": 1, "frames": 2}}
    row = {"task_id": "t", "cost_usd": 0.5, "x_future": 1}
    documented = DocumentedFields(DOCUMENT)
    metrics = documented.part("PoolMetrics", {"task_usage": [row], "x_future": 1})
    assert metrics == {"task_usage": [{"task_id": "t", "cost_usd": 0.5}]}
    assert documented.part("RolloutSummary", usage) == usage


def test_there_are_the_operations_of_the_paths_and_no_others() -> None:
    expected = {
        operation["operationId"]
        for item in load_spec()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    assert set(DOCUMENT.operations) == expected
    streams = {name for name, operation in DOCUMENT.operations.items() if operation.streams}
    assert streams == {
        "stream_rollout_events",
        "stream_global_rollout_events",
        "stream_pool_events",
    }


@pytest.mark.parametrize(
    ("method", "url", "operation"),
    [
        ("get", "http://x/v1/pools/p", "get_pool"),
        ("GET", "http://x/some/base/v1/pools/p?limit=1", "get_pool"),
        ("DELETE", "http://x/v1/pools/p", "delete_pool"),
        ("GET", "http://x/v1/pools/p%2Ftasks", "get_pool"),
        ("GET", "http://x/v1/pools/p/tasks", "list_tasks"),
        ("GET", "http://x/v1/pools/p/nothing", None),
        ("TRACE", "http://x/v1/pools/p", None),
        ("GET", "http://x/", None),
    ],
)
def test_the_operation_of_a_request(method: str, url: str, operation: str | None) -> None:
    actual = DOCUMENT.operation_of(method, url)
    assert (actual.id if actual else None) == operation


def test_ids_are_decoded_and_an_encoded_slash_is_part_of_one() -> None:
    operation = DOCUMENT.operations["get_rollout"]
    path = "/v1/pools/a%2Fb/rollouts/r%20%C3%BC"
    assert operation.ids(path) == {"pool_id": "a/b", "rollout_id": "r ü"}
    assert operation.ids("/v1/pools/a/b/rollouts/r") is None
    assert operation.route == "GET /v1/pools/{pool_id}/rollouts/{rollout_id}"


def test_an_exact_status_goes_before_a_range() -> None:
    responses = {"2XX": {"description": "any"}, "201": {"description": "made"}}
    spec = {"paths": {"/v1/x": {"post": {"operationId": "x", "responses": responses}}}}
    operation = Document(spec).operations["x"]
    matches = [operation.response(status) for status in (201, 204, 404)]
    assert [response.status if response else None for response in matches] == ["201", "2XX", None]


def test_a_value_is_held_to_its_schema_in_at_most_three_lines() -> None:
    assert DOCUMENT.errors("QueueStatus", {"queued": 0, "running": 0, "capacity": 1}) == []
    complaints = DOCUMENT.errors("Pool", {})
    assert len(complaints) == 3
    assert all(line.startswith("the whole: ") for line in complaints)
    closed = {"enum": ["a"], "properties": {"enum": {"type": "integer"}}}
    assert Document({"components": {"schemas": {"X": closed}}}).errors("X", {"enum": 1}) == []
    (error,) = Document({"components": {"schemas": {"X": closed}}}).errors("X", {"enum": "a"})
    assert error.startswith("enum: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a list", "is no OpenAPI document: it has no paths"),
        (b"paths: {}", "is no OpenAPI document: it has no paths"),
        (b"paths: {/x: {get: 5}}", "has no operation at GET /x: write an object"),
        (b"paths: {/x: {get: {responses: []}}}", "has no operation at GET /x: write an object"),
        (b"swagger: '2.0'\npaths: {/a: {}}", " is OpenAPI 2: write 3.0"),
        (b"openapi: 4.0.0\npaths: {/a: {}}", " is OpenAPI 4.0.0: write 3.0"),
        (b"a: [", "the spec cannot be read: "),
        (b"\xff\xfe\xff", "the spec cannot be read: "),
    ],
)
def test_a_file_that_is_no_document_is_told_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(content)
    with pytest.raises(UnjudgeableError) as caught:
        read_specification(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value) or "cannot be read" in message
    assert "\n" not in str(caught.value)


def test_a_document_may_leave_out_what_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("""
openapi: 3.1.0
components: {pathItems: {shared: {get: {parameters: null}, summary: null}}}
security: null
paths: {/a: {$ref: '#/components/pathItems/shared'}, /b: null}
""")
    document = Document(read_specification(file))
    assert document.is_foreign
    assert [(op.route, [*op.responses]) for op in document.operations.values()] == [
        ("GET /a", ["default"])
    ]


def test_the_packages_own_document_is_the_default() -> None:
    assert read_specification(None) == load_spec()


def test_the_table_of_error_codes_says_which_can_be_tried_again() -> None:
    codes = Document(load_spec()).error_codes
    assert codes["not_found"] == (404, False)
    assert codes["queue_full"] == (429, True)
    # It depends on the kind of pool.
    assert codes["pool_not_active"] == (409, None)
    assert "no_such_code" not in codes


def test_it_tells_the_bodies_that_it_calls_valid() -> None:
    create = DOCUMENT.operations["create_rollout"]
    assert DOCUMENT.allows(create, {"mode": "async", "seed": 7})
    # Enumerations of requests are closed, those of responses are not.
    assert not DOCUMENT.allows(create, {"mode": "later"})
    assert not DOCUMENT.allows(create, {"no_such_key": 1})
    assert DOCUMENT.allows(DOCUMENT.operations["get_pool"], {"anything": 1})


def test_an_operation_that_the_backend_need_not_have_is_absent() -> None:
    document = Document(load_spec())
    document.narrow(("get_pool",))
    url = "http://x/v1/pools/p"
    assert list(document.operations) == ["get_pool"]
    assert list(document.documented) == ["get_pool"]
    assert "404" in document.documented["get_pool"]
    assert [document.is_absent(method, url) for method in ("GET", "DELETE", "TRACE")] == [
        False,
        True,
        False,
    ]
    with pytest.raises(MissingOperationError, match="needs delete_pool"):
        document.operations["delete_pool"]
    assert "delete_pool" in document.every


@pytest.mark.parametrize(
    ("url", "path", "described"),
    [
        ("http://x/v1/pools", "/v1/pools", True),
        ("http://x/base/v1/pools?limit=1", "/v1/pools", True),
        ("http://x/health", "/health", False),
        ("http://x/v1", "/v1", False),
    ],
)
def test_only_what_is_below_the_root_of_the_api_is_described(
    url: str, path: str, described: bool
) -> None:
    assert (DOCUMENT.path_of(url), DOCUMENT.is_described(url)) == (path, described)


@pytest.mark.parametrize(
    ("paths", "root"),
    [
        (("/books", "/books/{id}"), "/"),
        (("/books/{id}",), "/"),
        (("/api/books", "/api/films/{id}"), "/api/"),
        (("/v1/books", "/v2/books"), "/"),
    ],
)
def test_the_name_of_a_resource_is_no_root(paths: tuple[str, ...], root: str) -> None:
    operation = {"responses": {"200": {"description": ""}}}
    document = Document({"openapi": "3.1.0", "paths": {path: {"get": operation} for path in paths}})
    assert document.is_described(f"http://x{root}unicorns")
    for path in paths:
        url = f"http://x{path.replace('{id}', '5')}"
        assert document.operation_of("GET", url) is not None
        assert document.is_described(url)


def test_responses_are_read_behind_their_references() -> None:
    header = {"required": True, "schema": {"type": "integer"}}
    spec = {
        "paths": {
            "/v1/x": {
                "get": {
                    "operationId": "x",
                    "responses": {"200": {"$ref": "#/components/responses/a~1b~0"}},
                }
            }
        },
        "components": {
            "responses": {
                "a/b~": {
                    "headers": {"X-One": {"$ref": "#/components/headers/One"}, "X-Two": {}},
                    "content": {"application/json": {"schema": {"type": "object"}}, "text/x": {}},
                }
            },
            "headers": {"One": header},
        },
    }
    operation = Document(spec).operations["x"]
    assert (operation.tag, operation.request, operation.streams) == ("", None, False)
    response = operation.responses["200"]
    assert response.content == {"application/json": {"type": "object"}, "text/x": {}}
    assert response.headers == {"X-One": {"type": "integer"}, "X-Two": {}}
    assert response.required_headers == {"X-One"}


def test_the_data_of_events_has_schemas_by_their_types() -> None:
    data = Document(load_spec()).event_data
    schemas = load_spec()["components"]["schemas"]
    assert "rollout.completed" in data
    assert all(schemas[name]["x-event-type"] == kind for kind, name in data.items())


def test_links_to_what_a_trimmed_document_has_no_more_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    links = {"there": {"operationId": "x"}, "gone": {"operationId": "y"}, "other": {"ref": "z"}}
    responses: dict[str, Any] = {"200": {"links": links}, "204": {}}
    item = {"summary": "no operation", "get": {"operationId": "x", "responses": responses}}
    file.write_text(json.dumps({"paths": {"/v1/x": item, "/v1/y": {}}}))
    read = read_specification(file)
    kept_responses = read["paths"]["/v1/x"]["get"]["responses"]
    assert kept_responses == {
        "200": {"links": {"there": links["there"], "other": links["other"]}},
        "204": {},
    }
    assert specification_text(file) == file.read_text()


def test_what_is_nested_too_deeply_to_be_judged_is_no_complaint() -> None:
    value: Any = {}
    for _ in range(100_000):
        value = [value]
    assert DOCUMENT.errors_by({"$ref": "#/components/schemas/Pool"}, value) == []
    assert len(DOCUMENT.errors_by({"type": "object", "required": ["a"]}, {})) == 1
