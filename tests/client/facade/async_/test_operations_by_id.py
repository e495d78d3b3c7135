"""`client.operations`: requests and bytes of the answers of each operation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, NotFoundError, RequestValidationError
from tests.support.document import OPERATIONS, SPEC
from tests.support.recording import RecordingServer, Reply

pytestmark = pytest.mark.one_library

# A spelling that no encoder of Python produces.
OWN = b'{ "a":1.50,\n "b" : "\\u00e9" ,"items":[ ]}'


def body_of(node: dict[str, Any]) -> dict[str, Any] | None:
    return {"seed": 1} if "requestBody" in node else None


@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_every_operation_can_be_called(
    server: RecordingServer, client: AsyncContainerPoolsClient, name: str
) -> None:
    method, path, node = OPERATIONS[name]
    places = re.findall(r"{(\w+)}", path)
    server.reply_with(Reply(200, OWN))
    arguments = {place: f"{place}/1" for place in places} | OPERATIONS[name].needed_query
    assert await client.operations.call(name, arguments, body=body_of(node)) == OWN
    target = re.sub(r"{(\w+)}", r"\1%2F1", path)
    assert (server.last.method, server.last.path) == (method.upper(), target)
    assert server.last.json == body_of(node)
    assert server.last.headers["accept"] == "application/json"


async def test_parameters_go_where_the_document_has_them(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    await client.operations.call("list_pools", {"state": "active", "limit": 3, "cursor": None})
    assert dict(server.last.query) == {"state": "active", "limit": "3"}
    assert "prefer" not in server.last.headers
    await client.operations.call("list_pools", {"prefer": "return=minimal"})
    assert server.last.headers["prefer"] == "return=minimal"
    await client.operations.call(
        "create_rollout", {"pool_id": "p", "idempotency_key": "once"}, body={}
    )
    assert server.last.headers["idempotency-key"] == "once"


@pytest.mark.parametrize(
    ("operation", "arguments", "body", "words"),
    [
        ("no_such", {}, None, "there is no operation 'no_such'"),
        ("lst_pools", {}, None, "no operation 'lst_pools'; did you mean list_pools\\?"),
        ("list_pools", {"limti": 3}, None, "no parameter is called limti; did you mean limit\\?"),
        ("get_pool", {}, None, "get_pool: pool_id is missing"),
        ("get_pool", {"pool_id": ".."}, None, "pool_id must not be '..'"),
        ("get_pool", {"pool_id": 7}, None, "pool_id must be"),
        ("get_pool", {"pool_id": "p", "pool": "p"}, None, "no parameter is called pool"),
        ("get_pool", {"pool_id": "p", "body": {}}, None, "no parameter is called body"),
        ("get_pool", {"pool_id": "p"}, {}, "get_pool takes no body"),
        ("create_pool", {}, None, "create_pool: body is missing"),
        ("list_pools", {"limit": 1.5}, None, "limit must be"),
        ("replay_rollout", {"rollout_id": "r", "idempotency_key": "a b"}, None, "idempotency_key"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    server: RecordingServer,
    client: AsyncContainerPoolsClient,
    operation: str,
    arguments: dict[str, Any],
    body: Any,
    words: str,
) -> None:
    with pytest.raises(RequestValidationError, match=words):
        await client.operations.call(operation, arguments, body=body)
    assert server.connections == 0


async def test_an_error_is_the_one_of_the_facade(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    error = {"error": {"code": "pool_not_found", "message": "no"}}
    server.reply_with(Reply.json(error, 404))
    with pytest.raises(NotFoundError) as caught:
        await client.operations.call("get_pool", {"pool_id": "p"})
    assert caught.value.code == "pool_not_found"


async def test_events_and_files(
    server: RecordingServer, client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    event = b'id: 1\nevent: rollout.completed\ndata: {"event":"rollout.completed"}\n\n'
    server.reply_with(Reply.events(event))
    stream = client.operations.events("stream_global_rollout_events", {"rollout_id": "r"})
    assert [item async for item in stream] == [{"event": "rollout.completed"}]
    assert server.last.target == "/v1/rollouts/r/events"

    server.reply_with(Reply(200, b"content", {"Content-Type": "application/zip"}))
    arguments = {"rollout_id": "r"}
    to = await client.operations.save("get_global_rollout_artifacts_zip", arguments, tmp_path)
    assert (to, to.read_bytes()) == (tmp_path / "r", b"content")


def test_the_document_has_the_operations_that_were_tried() -> None:
    assert len(OPERATIONS) >= 59
    assert SPEC["paths"]
