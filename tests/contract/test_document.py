"""The document as the kit reads it: operations by request, responses by status, schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools.contract.document import Document, read_specification
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.spec import load_spec
from tests.contract.harness.sessions import DOCUMENT


def test_there_are_the_operations_of_the_paths_and_no_others() -> None:
    named = {
        operation["operationId"]
        for item in load_spec()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    assert set(DOCUMENT.operations) == named
    streams = {name for name, one in DOCUMENT.operations.items() if one.streams}
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
    found = DOCUMENT.operation_of(method, url)
    assert (found.id if found else None) == operation


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
    found = [operation.response(status) for status in (201, 204, 404)]
    assert [one.status if one else None for one in found] == ["201", "2XX", None]


def test_a_value_is_held_to_its_schema_in_at_most_three_lines() -> None:
    assert DOCUMENT.errors("QueueStatus", {"queued": 0, "running": 0, "capacity": 1}) == []
    complaints = DOCUMENT.errors("Pool", {})
    assert len(complaints) == 3
    assert all(line.startswith("the whole: ") for line in complaints)
    closed = {"enum": ["a"], "properties": {"enum": {"type": "integer"}}}
    assert Document({"components": {"schemas": {"X": closed}}}).errors("X", {"enum": 1}) == []
    (told,) = Document({"components": {"schemas": {"X": closed}}}).errors("X", {"enum": "a"})
    assert told.startswith("enum: ")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"- a list", "is no OpenAPI document: it has no paths"),
        (b"paths: {}", "is no OpenAPI document: it has no paths"),
        (b"a: [", "the spec cannot be read: "),
        (b"\xff\xfe\xff", "the spec cannot be read: "),
    ],
)
def test_a_file_that_is_no_document_is_told_in_one_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(content)
    with pytest.raises(UnjudgeableError) as caught:
        read_specification(file)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_packages_own_document_is_the_default() -> None:
    assert read_specification(None) == load_spec()


def test_the_table_of_error_codes_says_which_can_be_tried_again() -> None:
    codes = DOCUMENT.error_codes
    assert codes["not_found"] == (404, False)
    assert codes["queue_full"] == (429, True)
    # It depends on what the pool is.
    assert codes["pool_not_active"] == (409, None)
    assert "no_such_code" not in codes


def test_it_tells_the_bodies_that_it_calls_valid() -> None:
    create = DOCUMENT.operations["create_rollout"]
    assert DOCUMENT.allows(create, {"mode": "async", "seed": 7})
    # Enumerations of requests are closed, those of responses are not.
    assert not DOCUMENT.allows(create, {"mode": "later"})
    assert not DOCUMENT.allows(create, {"no_such_key": 1})
    assert DOCUMENT.allows(DOCUMENT.operations["get_pool"], {"anything": 1})
