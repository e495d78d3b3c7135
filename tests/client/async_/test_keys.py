"""Idempotency keys of creations, shared by all attempts of a call."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    AsyncContainerPoolsClient,
    ConfigurationError,
    ServerError,
)
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.surface import CALLS, LATER, Call, P, R

pytestmark = pytest.mark.one_library

CREATIONS = [
    Call("create_rollout", (P, {"seed": 1})),
    Call("rollouts.create", (P, {"seed": 1})),
    Call("create_global_rollout", ({"seed": 1},)),
    Call("agent_rollouts.create", ({"seed": 1},)),
    Call("create_rollout_batch", ({"rollouts": [{"seed": 1}]},)),
    Call("agent_rollouts.create_batch", ({"rollouts": [{"seed": 1}]},)),
    Call("replay_rollout", (R,)),
    Call("agent_rollouts.replay", (R,)),
]


def keys(server: FaultServer) -> list[str | None]:
    return [request.headers.get("idempotency-key") for request in server.requests]


@pytest.mark.parametrize("call", CREATIONS, ids=str)
async def test_all_attempts_of_one_call_carry_one_key(
    server: FaultServer, client: AsyncContainerPoolsClient, call: Call
) -> None:
    script = [faults.reset(), faults.html(502), faults.answer(), faults.answer()]
    server.play(script, keeps_keys=True)
    await call.on(client)
    first, second, third = keys(server)
    assert first == second == third
    assert str(uuid.UUID(first)) == first
    await call.on(client)
    assert keys(server)[3] != first


@pytest.mark.parametrize("call", CREATIONS, ids=str)
async def test_a_callers_key_is_used(
    server: FaultServer, client: AsyncContainerPoolsClient, call: Call
) -> None:
    server.play(faults.html(500), keeps_keys=True)
    for caller, option, expected in (
        (client, {"idempotency_key": "mine"}, "mine"),
        (client.with_options(idempotency_key="view"), {}, "view"),
        (client.with_options(idempotency_key="view"), {"idempotency_key": "mine"}, "mine"),
    ):
        server.requests.clear()
        with pytest.raises(ServerError):
            await Call(call.name, call.args, option).on(caller)
        assert keys(server) == [expected] * 3


async def test_models_are_created_under_a_key_too(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    from synth_pools_api.models import RolloutRequest

    server.play(faults.html(500), keeps_keys=True)
    with pytest.raises(ServerError):
        await client.api.rollouts.create_rollout(P, body=RolloutRequest(seed=1))
    assert len(set(keys(server))) == 1
    assert len(keys(server)) == 3


LOST = [faults.reset(), faults.html(500), faults.html(502), faults.cut(20)]


@pytest.mark.parametrize("call", CREATIONS, ids=str)
async def test_without_the_feature_a_lost_creation_is_sent_once(
    server: FaultServer, client: AsyncContainerPoolsClient, call: Call
) -> None:
    for lost in LOST:
        server.play(lost, keeps_keys=False)
        with pytest.raises((APIConnectionError, ServerError)) as caught:
            await call.on(client)
        assert len(server.requests) == len(server.questions) == 1
        assert "does not offer idempotency_keys" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("status", "capabilities"),
    [
        (200, {"features": {}}),
        (200, {"features": {"idempotency_keys": "yes"}}),
        (200, {"features": ["idempotency_keys"]}),
        (200, {}),
        (404, {}),
        (501, {}),
    ],
)
async def test_a_feature_that_is_not_listed_is_not_offered(
    server: FaultServer, client: AsyncContainerPoolsClient, status: int, capabilities: Any
) -> None:
    server.play([faults.reset(), faults.answer(capabilities, status), faults.answer()])
    with pytest.raises(APIConnectionError) as caught:
        await client.create_rollout(P, {"seed": 1})
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert "does not offer idempotency_keys" in caught.value.__notes__[0]


async def test_a_question_without_an_answer_is_asked_again(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    offered = faults.answer({"features": {"idempotency_keys": True}})
    server.play([faults.reset(), faults.html(502), offered, faults.answer({"id": "r"})])
    assert await client.create_rollout(P, {"seed": 1}) == {"id": "r"}
    assert [request.method for request in server.requests] == ["POST", "GET", "GET", "POST"]
    server.play([faults.reset(), faults.html(502)])
    with pytest.raises(APIConnectionError) as caught:
        await client.create_rollout(P, {"seed": 1})
    assert caught.value.path == f"/v1/pools/{P}/rollouts"
    assert [request.method for request in server.requests] == ["POST", "GET", "GET"]


async def test_what_changed_nothing_is_repeated_without_a_question(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    busy = faults.answer({}, 503, Retry_After="0.01")
    server.play([faults.answer({}, 429), busy, faults.answer({"id": "r"})], keeps_keys=False)
    assert await client.create_rollout(P, {"seed": 1}) == {"id": "r"}
    assert (len(server.requests), server.questions) == (3, [])


async def test_the_question_is_within_the_deadline(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    for deadline in (0.5, 5.0, 25.0):
        server.play([faults.reset(), faults.stall()])
        with pytest.raises(APIConnectionError):
            await client.with_options(deadline=deadline, timeout=60).create_rollout(P, {"seed": 1})
        # A busy machine may pass a short one before the question is sent.
        if len(server.requests) >= 2:
            break
    assert [request.method for request in server.requests] == ["POST", "GET"]


async def test_nothing_else_carries_one(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    view = client.with_options(idempotency_key="view")
    for call in [*CALLS, *(later for later, _ in LATER)]:
        if call.name not in {creation.name for creation in CREATIONS} and not call.is_stream:
            await call.on(view)
    assert set(keys(server)) == {None}


@pytest.mark.parametrize("wrong", ["", "x" * 256, "two words", "ü", "a\nb", 7])
def test_what_is_no_key(client: AsyncContainerPoolsClient, wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="idempotency_key"):
        client.with_options(idempotency_key=wrong)  # type: ignore[arg-type]
