"""Rules for single exchanges: the departures that they find, and the answers that they allow."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from synth_pools.spec import load_spec
from tests.contract.rules.answers import (
    DATA,
    DOCUMENT,
    ROLLOUT,
    WHOLE,
    answered,
    complaints,
    example,
    stream,
    streamed,
)


@pytest.mark.parametrize("number", [int, float])
def test_every_documented_example_passes(number: type) -> None:
    # JSON Schema calls 4.0 an integer.
    for operation in DOCUMENT.operations.values():
        raw = load_spec()["paths"][operation.path][operation.method.lower()]
        for status, answer in raw["responses"].items():
            content = answer.get("content", {}).get("application/json", {})
            for reference in content.get("examples", {}).values():
                body = example(reference["$ref"].rsplit("/", 1)[-1])
                if operation.id == "replay_rollout":
                    # The example is of any rollout.
                    body["replay_of"] = body["rollout_id"]
                path = operation.path
                for name, value in _ids_in(body).items():
                    path = path.replace("{" + name + "}", value)
                written = json.loads(json.dumps(body), parse_int=number)
                exchange = answered(operation.method, path, int(status), written)
                assert complaints(exchange) == set(), (operation.id, status)


def test_integers_of_a_stream_may_be_written_with_a_point() -> None:
    body = re.sub(rb'("(?:sequence|attempt)": ?\d+)', rb"\1.0", stream(*WHOLE))
    assert b".0" in body
    assert complaints(streamed(body)) == set()


def _ids_in(body: dict[str, Any]) -> dict[str, str]:
    ids = {
        "pool_id": "docs-example-pool",
        "task_id": "addition",
        "rollout_id": ROLLOUT,
        "release_id": "release_1",
    }
    return ids | {name: body[name] for name in ids if isinstance(body.get(name), str)}


def _coded(detail: str) -> dict[str, Any]:
    return {"detail": detail, "error": {"code": "of_this_server", "message": detail}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"pool_id": "p"}, {"schema.body"}),
        (418, _coded("no"), {"schema.status"}),
        (404, {"message": "no"}, {"schema.error_body"}),
        (200, b"{", {"schema.body"}),
        (200, b'{"a": NaN}', {"schema.body"}),
    ],
)
def test_status_and_body(status: int, body: Any, expected: set[str]) -> None:
    assert complaints(answered("GET", "/v1/pools/p", status, body)) == expected


def test_media_type_and_headers() -> None:
    page = b"<html></html>"
    html = answered("GET", "/v1/pools/p", 404, page, content_type="text/html", headers=())
    assert complaints(html) == {"schema.error_body", "schema.request_id"}
    headers = (("x-request-id", "req_1"),)
    nowhere = answered("POST", "/v1/pools", 201, example("pool"), headers=headers)
    assert complaints(nowhere) == {"schema.headers"}
    nameless = answered("GET", "/v1/pools/docs-example-pool", 200, example("pool"), headers=())
    assert complaints(nameless) == {"schema.headers"}
    busy = answered("GET", "/v1/pools/p", 429, _coded("later"))
    assert complaints(busy) == {"schema.retry_after"}
    # A server that refuses a long head need not know its operation.
    assert complaints(answered("GET", "/v1/pools/p", 431, _coded("too long"))) == set()
    assert complaints(answered("GET", "/v1/pools/p", 431, b"{")) == {"schema.error_body"}
    refused = answered("TRACE", "/v1/pools/p", 405, _coded("no"))
    assert complaints(refused) == {"schema.allow"}


@pytest.mark.parametrize(
    ("place", "expected"),
    [(["path", "pool_id"], set()), ([], {"errors.loc"}), (["query", "x"], {"errors.loc"})],
)
def test_places_of_errors_are_parts_of_the_request(place: list[str], expected: set[str]) -> None:
    body = {"detail": [{"loc": place, "msg": "no", "type": "value_error"}]}
    assert complaints(answered("GET", "/v1/pools/p", 422, {**_coded("no"), **body})) == expected


@pytest.mark.parametrize(
    ("place", "is_right"),
    [
        (["body", "tasks", 1, "id"], True),
        (["body", "tasks", "id"], False),
        # Names of the server's own, as of the form that it tried, lead nowhere.
        (["body", "tasks", "list", 1, "TaskDefinition", "id"], True),
        (["body", "tasks", "list", "id"], False),
        (["body", "tasks"], True),
        (["body", "tasks", 2, "id"], True),
        (["body", "tasks", 1, "metadata", "tags", "x"], True),
        (["body", "metadata", "x"], True),
    ],
)
def test_places_in_lists_have_indexes(place: list[Any], is_right: bool) -> None:
    sent = {"name": "p", "tasks": [{"id": "a"}, {"id": 5}]}
    body = {"detail": [{"loc": place, "msg": "no", "type": "value_error"}]}
    refused = answered("POST", "/v1/pools", 422, {**_coded("no"), **body}, sent=sent)
    assert complaints(refused) == (set() if is_right else {"errors.loc"})


def test_unknown_enumerated_values_and_fields_pass() -> None:
    pool = {**example("pool"), "status": "hibernating", "state": "hibernating", "colour": "blue"}
    assert complaints(answered("GET", "/v1/pools/docs-example-pool", 200, pool)) == set()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"id": "other"}, {"agree.id"}),
        ({"state": "archived"}, {"agree.status"}),
        ({"pool_config": {}}, {"agree.config"}),
        ({"id": "other", "pool_id": "other"}, {"asked.pool_id", "agree.tasks"}),
    ],
)
def test_a_pool_agrees_with_itself_and_the_path(
    changed: dict[str, Any], expected: set[str]
) -> None:
    body = {**example("pool"), **changed}
    assert complaints(answered("GET", "/v1/pools/docs-example-pool", 200, body)) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"score": 0.5}, {"agree.score"}),
        ({"error": {"code": "x", "message": "y"}}, {"agree.error"}),
        ({"finished_at": None}, {"agree.finished_at"}),
        ({"result": None}, {"agree.result"}),
        ({"task_id": "subtraction"}, {"agree.task_id"}),
        ({"pool_id": "other"}, {"asked.pool_id"}),
    ],
)
def test_a_rollout_agrees_with_itself(changed: dict[str, Any], expected: set[str]) -> None:
    body = {**example("rollout_completed"), **changed}
    path = f"/v1/pools/docs-example-pool/rollouts/{ROLLOUT}"
    assert complaints(answered("GET", path, 200, body)) == expected


def test_stamps_of_several_forms_are_not_compared() -> None:
    rollout = example("rollout_completed")
    stamps = ("2026-11-20T09:30:00Z", "2026-11-20T09:30:00.250000Z")
    assert max(stamps) == stamps[0]
    for times in (stamps, stamps[::-1]):
        items = [{**rollout, "id": at, "rollout_id": at, "created_at": at} for at in times]
        page = {"items": items, "next_cursor": None}
        assert "page.order" not in complaints(answered("GET", "/v1/rollouts", 200, page))


def test_pages_obey_limit_state_and_order() -> None:
    first, two = example("rollout_completed"), example("rollout_completed")
    two["id"] = two["rollout_id"] = "rollout_2"
    two["created_at"] = "2027-01-01T00:00:00.000001Z"
    page = {"items": [two, first], "next_cursor": None}
    assert complaints(answered("GET", "/v1/rollouts?limit=2&state=completed", 200, page)) == set()
    assert complaints(answered("GET", "/v1/rollouts?limit=1", 200, page)) == {"page.limit"}
    assert complaints(answered("GET", "/v1/rollouts?state=failed", 200, page)) == {"page.state"}
    page["items"] = [first, two]
    assert complaints(answered("GET", "/v1/rollouts", 200, page)) == {"page.order"}
    page["items"] = [first, first]
    assert complaints(answered("GET", "/v1/rollouts", 200, page)) == {"page.once"}


@pytest.mark.parametrize("event", sorted(DATA))
def test_an_event_tells_what_its_type_has_to(event: str) -> None:
    types = {"rollout.queued": WHOLE[:1], "rollout.started": WHOLE[:2]}.get(
        event, (*WHOLE[:2], event)
    )
    assert "events.schema" not in complaints(streamed(stream(*types), trouble="left"))
    assert complaints(streamed(stream(*types, data={}), trouble="left")) == {"events.schema"}
    assert "events.schema" not in complaints(streamed(stream(*WHOLE[:2], "agent"), trouble="left"))


def test_what_was_sent_comes_back() -> None:
    sent = {"name": "docs-example-pool", "capacity": 1.0, "metadata": {"team": "docs"}}
    body = {**example("pool"), "metadata": sent["metadata"], "pool_metadata": sent["metadata"]}
    assert complaints(answered("POST", "/v1/pools", 201, body, sent=sent)) == set()
    sent["metadata"] = {"team": True}
    assert complaints(answered("POST", "/v1/pools", 201, body, sent=sent)) == {"echo.metadata"}


def test_a_rollout_request_comes_back_but_for_its_nulls() -> None:
    body = {**example("rollout_queued"), "task_id": None, "trace_correlation_id": None}
    body["request"] = {"seed": 7}
    path = "/v1/pools/docs-example-pool/rollouts"
    same = answered("POST", path, 202, body, sent={"seed": 7, "env": None})
    assert complaints(same) == set()
    changed = answered("POST", path, 202, body, sent={"seed": 8})
    assert complaints(changed) == {"echo.request"}


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        (stream(*WHOLE), "", set()),
        (b": heartbeat\n\n" + stream(*WHOLE), "", set()),
        (b"\xef\xbb\xbf" + stream(*WHOLE), "", set()),
        (stream(*WHOLE).replace(b"\n", b"\r"), "", set()),
        (b"", "?after_sequence=3", set()),
        (stream("rollout.completed", first=3), "?after_sequence=2", set()),
        (b"", "", {"events.start"}),
        (stream("rollout.completed", first=3), "", {"events.start"}),
        (stream("rollout.queued", "rollout.started"), "", {"events.terminal"}),
        (stream(*WHOLE, "agent"), "", {"events.terminal"}),
        (stream("agent", "rollout.completed"), "", {"events.first"}),
        (stream(*WHOLE, rollout_id="rollout_other"), "", {"events.owner"}),
        (stream(*WHOLE, id="evt"), "", {"events.ids"}),
        (stream(*WHOLE, sequence="1"), "", {"events.schema"}),
        (stream(*WHOLE[:1]) + stream("rollout.completed", first=3), "", {"events.sequence"}),
        (stream(*WHOLE).replace(b"event: rollout.started\n", b""), "", {"events.schema"}),
        (stream(*WHOLE).replace(b"id: evt_0000000002", b"id: e2"), "", {"events.fields"}),
        (b"data: hello\n\n", "", {"events.schema"}),
    ],
)
def test_streams(body: bytes, query: str, expected: set[str]) -> None:
    assert complaints(streamed(body, query)) == expected


def test_a_stream_that_was_left_needs_no_end() -> None:
    live = stream("rollout.queued", "rollout.started")
    assert complaints(streamed(live, trouble="left before its end")) == set()
