"""Idempotency keys of creations, shared by all attempts of a call."""

from __future__ import annotations

import uuid

import pytest

from synth_pools import AsyncContainerPoolsClient, ConfigurationError, ServerError
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
    server.play([faults.reset(), faults.html(502), faults.answer(), faults.answer()])
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
    server.play(faults.html(500))
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

    server.play(faults.html(500))
    with pytest.raises(ServerError):
        await client.api.rollouts.create_rollout(P, body=RolloutRequest(seed=1))
    assert len(set(keys(server))) == 1
    assert len(keys(server)) == 3


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
