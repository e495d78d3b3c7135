"""Requests, refusals and answers of operations that earlier clients did not have."""

from __future__ import annotations

import uuid
from types import MappingProxyType
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, RequestValidationError
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import LATER, Call, P, R, Sent, T

pytestmark = pytest.mark.one_library


@pytest.mark.parametrize(("call", "expected"), LATER, ids=str)
async def test_each_sends_what_the_document_says(
    server: RecordingServer, client: AsyncContainerPoolsClient, call: Call, expected: Sent
) -> None:
    answer: Any = {"a": [1.0, None]}
    server.reply_with(Reply.json(answer))
    assert repr(await call.on(client)) == repr(answer)
    request = server.last
    assert (request.method, request.target) == (expected.method, expected.target)
    assert (request.json if request.body else None) == expected.json


async def test_a_task_is_described_for_a_seed(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for seed in (7, 0, -(2**63)):
        await client.get_pool_container_task_info(P, seed=seed)
        assert server.last.target == f"/v1/pools/{P}/container/task_info?seed={seed}"
        await client.get_task_container_task_info(P, T, seed=seed)
        assert server.last.target == f"/v1/pools/{P}/tasks/{T}/container/task_info?seed={seed}"
        await client.api.containers.get_pool_container_task_info(P, seed=seed)
        assert server.last.query == [("seed", str(seed))]
    wrong: Any = "7"
    with pytest.raises(RequestValidationError, match="seed must be an integer, not str"):
        await client.get_pool_container_task_info(P, seed=wrong)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "neither rollouts nor requests"),
        ({"rollout": [{}]}, "neither rollouts nor requests"),
        ({"rollouts": {}}, "rollouts must be a list, not dict"),
        ({"requests": "text"}, "requests must be a list, not str"),
        ({"rollouts": [{}, 7]}, r"rollouts\[1\] must be a mapping, not int"),
        ({"rollouts": [{}] * 1001}, "rollouts must have at most 1000 items, not 1001"),
        ([{}], "request must be a mapping, not list"),
    ],
)
async def test_a_batch_is_looked_at_before_it_is_sent(
    server: RecordingServer, client: AsyncContainerPoolsClient, request_: Any, words: str
) -> None:
    for method in (client.create_rollout_batch, client.agent_rollouts.create_batch):
        with pytest.raises(RequestValidationError, match=words):
            await method(request_)
    assert server.connections == 0


async def test_a_batch_may_hold_any_mappings(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    batch: dict[str, Any] = {
        "rollouts": ({"seed": 1}, MappingProxyType({"seed": 2})),
        "requests": None,
    }
    await client.create_rollout_batch(MappingProxyType(batch))
    assert server.last.json == {"rollouts": [{"seed": 1}, {"seed": 2}], "requests": None}
    assert batch["rollouts"] == ({"seed": 1}, MappingProxyType({"seed": 2}))


async def test_later_creations_carry_an_idempotency_key(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for name, argument in (
        ("create_rollout_batch", {"rollouts": []}),
        ("agent_rollouts.create_batch", {"rollouts": []}),
        ("replay_rollout", R),
        ("agent_rollouts.replay", R),
    ):
        await Call(name, (argument,)).on(client)
        first = uuid.UUID(server.last.headers["idempotency-key"])
        await Call(name, (argument,)).on(client)
        assert uuid.UUID(server.last.headers["idempotency-key"]) != first
        await Call(name, (argument,), {"idempotency_key": "once-1"}).on(client)
        assert server.last.headers["idempotency-key"] == "once-1"
        await Call(name, (argument,)).on(client.with_options(idempotency_key="mine"))
        assert server.last.headers["idempotency-key"] == "mine"
        with pytest.raises(RequestValidationError, match="idempotency_key"):
            await Call(name, (argument,), {"idempotency_key": "two\nlines"}).on(client)
