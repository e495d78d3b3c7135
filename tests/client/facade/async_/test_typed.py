"""`client.api`: the same operations on models."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from typing import Any, assert_type

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    ClientClosedError,
    DecodeError,
    NotFoundError,
    RequestValidationError,
    ServerError,
)
from synth_pools_api.models import (
    CancelRequest,
    ChatMessage,
    Pool,
    PoolDefinition,
    PoolList,
    PoolPatch,
    Rollout,
    RolloutEvent,
    RolloutRequest,
    TaskDefinition,
)
from tests.support.leaks import KEY
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import P, R

pytestmark = pytest.mark.one_library

NOW = "2026-11-20T09:30:00.250000Z"
POOL: dict[str, Any] = {
    "id": P,
    "pool_id": P,
    "name": "a pool",
    "target": "arbitrary",
    "backend": "arbitrary",
    "status": "active",
    "state": "active",
    "config": {"timeout_seconds": 5, "own": [1, None]},
    "metadata": {"a": {"b": None}},
    "tasks": [],
    "capacity": 1,
    "concurrency": 8,
    "container_url": None,
    "created_at": NOW,
    "updated_at": NOW,
}
ROLLOUT: dict[str, Any] = {
    "id": R,
    "rollout_id": R,
    "pool_id": P,
    "status": "queued",
    "state": "queued",
    "request": {"seed": 7},
    "result": None,
    "metrics": {"outcome_reward": None},
    "error": None,
    "created_at": NOW,
    "updated_at": NOW,
}


def event(sequence: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{sequence}",
        "event": "agent",
        "rollout_id": R,
        "sequence": sequence,
        "timestamp": NOW,
        "data": {"step": sequence},
        **more,
    }


def lines(*events: dict[str, Any]) -> Reply:
    return Reply.events(*(b"data: " + Reply.json(event).body + b"\n\n" for event in events))


async def test_an_answer_is_a_model(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.json(POOL))
    pool = assert_type(await client.api.pools.get_pool("a/b"), Pool)
    assert server.last.target == "/v1/pools/a%2Fb"
    assert (pool.id, pool.status, pool.config.timeout_seconds) == (P, "active", 5)
    assert pool.created_at == datetime.datetime(2026, 11, 20, 9, 30, 0, 250000, datetime.UTC)


async def test_a_body_is_a_model(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.json(ROLLOUT, 202))
    rollout = await client.api.rollouts.create_rollout(
        P,
        body=RolloutRequest(seed=7, messages=[ChatMessage(role="user", content="hi")]),
        idempotency_key="k-1",
    )
    assert server.last.json == {"seed": 7, "messages": [{"role": "user", "content": "hi"}]}
    assert server.last.headers["idempotency-key"] == "k-1"
    assert (rollout.id, rollout.result, rollout.request["seed"]) == (R, None, 7)
    assert_type(rollout, Rollout)


async def test_a_body_may_be_left_out(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.json({**ROLLOUT, "status": "cancelled"}))
    rollout = await client.api.rollouts.cancel_rollout(P, R)
    assert (server.last.body, rollout.status) == (b"", "cancelled")
    await client.api.rollouts.cancel_rollout(P, R, body=CancelRequest.from_dict({"reason": "x"}))
    assert server.last.json == {"reason": "x"}


async def test_a_page(server: RecordingServer, client: AsyncContainerPoolsClient) -> None:
    server.reply_with(Reply.json({"items": [POOL, POOL], "next_cursor": "c+1"}))
    page = assert_type(await client.api.pools.list_pools(state="ümlaut", cursor="c 0"), PoolList)
    assert server.last.query == [("state", "ümlaut"), ("limit", "100"), ("cursor", "c 0")]
    assert [pool.id for pool in page.items] == [P, P]
    assert page.next_cursor == "c+1"
    await client.api.pools.list_pools(limit=None)
    assert server.last.query == []


async def test_what_is_not_known_yet_survives(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    newer = {**POOL, "status": "hibernating", "target": "moonbase", "shade": {"of": ["blue"]}}
    server.reply_with(Reply.json(newer))
    pool = await client.api.pools.get_pool(P)
    assert (pool.status, pool.target, pool["shade"]) == ("hibernating", "moonbase", newer["shade"])
    again = pool.to_dict()
    assert again["config"] == POOL["config"]
    assert again["metadata"] == POOL["metadata"]
    assert again["shade"] == newer["shade"]


async def test_what_a_definition_does_not_name_yet_can_be_sent(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    # The type checker refuses a key that this document does not have.
    moon: Any = "moonbase"
    definition = PoolDefinition(name="p", target=moon, tasks=[TaskDefinition(task_id="t")])
    definition["shade"] = "blue"
    server.reply_with(Reply.json(POOL, 201))
    await client.api.pools.create_pool(body=definition)
    assert server.last.json == {
        "name": "p",
        "target": "moonbase",
        "tasks": [{"task_id": "t"}],
        "shade": "blue",
    }


async def test_events_are_models(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    last = event(2, event="rollout.completed", more=1)
    server.reply_with(lines(event(1, event="thought"), last))
    async with client.api.rollouts.stream_rollout_events(P, R, cursor="evt_0") as stream:
        events = [item async for item in stream]
    assert server.last.target == f"/v1/pools/{P}/rollouts/{R}/events?cursor=evt_0"
    assert [(item.event, item.sequence) for item in events] == [
        ("thought", 1),
        ("rollout.completed", 2),
    ]
    assert (events[0].data["step"], events[1]["more"]) == (1, 1)
    assert_type(events, list[RolloutEvent])


async def test_a_stream_can_be_resumed_by_number(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(lines(event(9, event="rollout.completed")))
    stream = client.api.agent_rollouts.stream_global_rollout_events(
        R, after_sequence=8, last_event_id="evt_8"
    )
    assert [item.sequence async for item in stream] == [9]
    assert server.last.query == [("after_sequence", "8")]
    assert server.last.headers["last-event-id"] == "evt_8"


async def test_an_event_that_does_not_fit_is_passed_over(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    odd = event(1)
    del odd["rollout_id"]
    server.reply_with(lines(odd, event(2, event="rollout.completed")))
    stream = client.api.rollouts.stream_rollout_events(P, R)
    with pytest.raises(DecodeError, match="'rollout_id' is missing") as caught:
        await anext(stream)
    assert "evt_1" in caught.value.excerpt
    assert (await anext(stream)).sequence == 2
    await stream.aclose()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ...}, "'name' is missing"),
        ({"created_at": None}, "fromisoformat"),
        ({"created_at": "noon"}, "noon"),
        ({"tasks": 7}, "not iterable"),
        ({"config": None}, "NoneType"),
        ({"name": None}, "'name' must be a text, not null"),
        ({"capacity": "1"}, "'capacity' must be an integer, not a text"),
        ({"capacity": True}, "'capacity' must be an integer, not true or false"),
        ({"status": None}, "'status' must be a text, not null"),
        ({"target": None}, "'target' must be a text, not null"),
        ({"metadata": []}, "'metadata' must be an object, not a list"),
        ({"container_url": 7}, "'container_url' must be a text, not an integer"),
        ({"error": {"code": 7, "message": "m"}}, "'code' must be a text, not an integer"),
        ({"error": "text"}, "'error' must be something else, not a text"),
    ],
)
async def test_an_answer_that_does_not_fit_says_where(
    server: RecordingServer, client: AsyncContainerPoolsClient, change: dict[str, Any], problem: str
) -> None:
    answer = {name: value for name, value in {**POOL, **change}.items() if value is not ...}
    server.reply_with(Reply.json({**answer, "token": KEY}))
    with pytest.raises(DecodeError, match=problem) as caught:
        await client.api.pools.get_pool(P)
    assert "the answer of get_pool" in str(caught.value)
    assert caught.value.__context__ is None
    assert KEY not in caught.value.excerpt
    assert await client.get_pool(P) == {**answer, "token": KEY}, "the plain JSON is still there"


async def test_an_answer_that_is_no_object(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for body in (b"[]", b"7", b"null", b'"text"', b""):
        server.reply_with(Reply(body=body))
        with pytest.raises(DecodeError):
            await client.api.pools.get_pool(P)


async def test_errors_are_those_of_the_client(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.json({"detail": "No such pool"}, 404))
    with pytest.raises(NotFoundError, match="No such pool"):
        await client.api.pools.get_pool(P)
    with pytest.raises(NotFoundError, match="No such pool"):
        await anext(client.api.rollouts.stream_rollout_events(P, R))
    server.reply_with(Reply(501, b"<html>", {}))
    with pytest.raises(ServerError):
        await client.api.service.get_queue_status()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.api.pools.get_pool(P)


async def test_retries_and_options_are_those_of_the_client(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    replies = [Reply(503, b"", {"Retry-After": "0"}), Reply.json(ROLLOUT, 202)]
    server.reply_with(lambda _: replies.pop(0))
    view = client.with_options(headers={"X-Team": "blue"}, max_retries=1)
    assert (await view.api.rollouts.create_rollout(P, body=RolloutRequest())).id == R
    first, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert {first.headers["x-team"], second.headers["x-team"]} == {"blue"}


def refused_calls() -> list[tuple[str, Any, str]]:
    odd_task: Any = {"task_id": "t"}
    loud = RolloutRequest(seed=1)
    loud.params = {"x": math.nan}
    return [
        ("pools.get_pool", ((".",), {}), "pool_id"),
        ("pools.get_pool", ((7,), {}), "pool_id must be a string, not int"),
        ("pools.list_pools", ((), {"limit": "7"}), "limit must be an integer, not str"),
        ("pools.list_pools", ((), {"limit": True}), "limit must be an integer, not bool"),
        ("pools.list_pools", ((), {"state": 7}), "state must be a string, not int"),
        ("pools.create_pool", ((), {"body": {"name": "p"}}), "PoolDefinition.from_dict makes one"),
        ("pools.create_pool", ((), {"body": PoolPatch()}), "PoolDefinition, not PoolPatch"),
        (
            "pools.create_pool",
            ((), {"body": PoolDefinition(name="p", tasks=[odd_task])}),
            "a part of this PoolDefinition .* 'dict' object has no attribute 'to_dict'",
        ),
        ("rollouts.create_rollout", ((P,), {"body": loud}), "request.params.x"),
        (
            "rollouts.create_rollout",
            ((P,), {"body": RolloutRequest(), "idempotency_key": "a b"}),
            "idempotency_key must be 1 to 255 visible",
        ),
        (
            "rollouts.stream_rollout_events",
            ((P, R), {"last_event_id": "a\nb"}),
            "last_event_id must be printable ASCII",
        ),
        (
            "rollouts.stream_rollout_events",
            ((P, R), {"after_sequence": 1.0}),
            "after_sequence must be an integer",
        ),
    ]


@pytest.mark.parametrize(("name", "arguments", "problem"), refused_calls())
async def test_bad_arguments_are_refused_before_anything_is_sent(
    server: RecordingServer,
    client: AsyncContainerPoolsClient,
    name: str,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    problem: str,
) -> None:
    tag, method = name.split(".")
    args, kwargs = arguments
    with pytest.raises(RequestValidationError, match=problem):
        await getattr(getattr(client.api, tag), method)(*args, **kwargs)
    assert not server.requests


def test_models_are_loaded_when_they_are_used_and_not_before() -> None:
    program = """
import sys
from synth_pools import AsyncContainerPoolsClient
client = AsyncContainerPoolsClient(api_key="k", base_url="http://127.0.0.1:9")
loaded = [name for name in sys.modules if ".models." in name or ".typed" in name]
assert not loaded, loaded
api = client.api
assert not [name for name in sys.modules if ".models." in name]
assert "synth_pools_api.typed._async.pools" not in sys.modules
api.pools.get_pool
assert "synth_pools_api.typed._async.pools" in sys.modules
assert "synth_pools_api.typed._async.rollouts" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
