"""Dictionaries of requests: errors of type checkers, and warnings at run time.

`make types` tests the first half: a line that it accepts has an unused comment.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, PoolTarget, RequestValidationError
from synth_pools.types import PoolDefinitionDict, PoolPatchDict, RolloutRequestDict
from synth_pools_api.operations import OPERATIONS
from synth_pools_api.requests import PlainRequest
from tests.support.document import EXAMPLES, SCHEMAS
from tests.support.recording import RecordingServer
from tests.support.surface import P

pytestmark = pytest.mark.one_library


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def test_a_misspelt_key_is_refused_by_type_checkers_and_logged(
    server: RecordingServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.create_pool({"concurency": 4})  # type: ignore[dict-item]
    assert server.last.json == {"concurency": 4}
    assert warnings(caplog) == ["concurency is sent, but not known: is concurrency meant?"]
    caplog.clear()
    await client.update_pool(P, {"conteiner_ulr": None})  # type: ignore[dict-item]
    await client.create_task(P, {"taskid": "t"})  # type: ignore[dict-item]
    await client.tasks.patch(P, "t", {"task_confg": {}})  # type: ignore[dict-item]
    await client.replace_pool(P, {"tasks": [{"bakcend": "x"}]})  # type: ignore[dict-item]
    assert [line.partition(" ")[0] for line in warnings(caplog)] == [
        "conteiner_ulr",
        "taskid",
        "task_confg",
        "tasks[0].bakcend",
    ]
    assert len(server.requests) == 5


async def test_a_word_that_is_none_of_the_choices_is_refused_by_type_checkers(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    await client.create_rollout(P, {"mode": "sinc"})  # type: ignore[dict-item]
    await client.create_pool({"target": "moon"})  # type: ignore[dict-item]
    await client.rollouts.create(P, {"seed": "7"})  # type: ignore[dict-item]
    with pytest.raises(RequestValidationError, match="unsupported keys: sead"):
        await client.create_rollout(P, {"sead": 7})  # type: ignore[dict-item]
    assert len(server.requests) == 3


async def test_requests_in_lists_and_streams_are_checked_one_by_one(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    await client.create_rollout_batch({"rollouts": [{"sead": 7}]})  # type: ignore[dict-item]
    await client.agent_rollouts.create_batch({"requests": [{"mode": "sinc"}]})  # type: ignore[dict-item]
    await client.rollouts.create_batch(P, {"rollouts": [{"seed": 7}, {"sead": 7}]})  # type: ignore[dict-item]
    await client.rollouts.create_batch(P, {"rollouts": [{"seed": 7, "env": {"own": 1}}]})
    assert len(server.requests) == 4


def requests_of_fleets(client: AsyncContainerPoolsClient) -> None:
    """List calls that `make types` has to refuse; never called."""
    client.rollouts.run_many(P, [{"sead": 7}])  # type: ignore[dict-item]
    client.rollouts.run_many(P, ({"sead": seed} for seed in range(3)))  # type: ignore[dict-item]
    client.agent_rollouts.run_many({"sead": seed} for seed in range(3))  # type: ignore[dict-item]
    client.rollouts.run_many(P, [{"seed": seed, "env": {"own": 1}} for seed in range(3)])
    requests = [{"seed": seed} for seed in range(3)]
    client.rollouts.run_many(P, requests)  # type: ignore[arg-type]


async def test_a_dictionary_of_a_variable_has_a_type_that_says_what_it_is(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    # A type checker infers dictionaries of numbers and forgets their keys.
    wrong, right = {"concurency": 4}, {"concurrency": 4}
    await client.create_pool(wrong)  # type: ignore[arg-type]
    await client.create_pool(right)  # type: ignore[arg-type]
    typed: PoolDefinitionDict = {"concurrency": 4}
    anything: dict[str, Any] = {"concurency": 4}
    await client.create_pool(typed)
    await client.create_pool(anything)
    assert [request.json for request in server.requests] == [wrong, right, right, wrong]


async def test_other_dictionaries_are_sent_as_ever(
    server: RecordingServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    plain: dict[str, Any] = {"name": "p", "shade": "blue", "x": 1, "Capacity_of_all": 2}
    definition: PoolDefinitionDict = {
        "name": "p",
        "target": PoolTarget.HARBOR,
        "config": {"timeout_seconds": 5, "own": [1]},
        "tasks": [{"task_id": "t"}, plain],
    }
    patch: PoolPatchDict = {"concurrency": 4, "backend": None}
    request: RolloutRequestDict = {
        "mode": "sync",
        "env": {"delay": 1, "own": 2},
        "messages": [{"role": "user", "content": "hi", "name": "me"}],
        "limits": {"max_attempts": 2, "own": None},
    }
    passed: PlainRequest = MappingProxyType(plain)
    for body in (plain, definition, passed):
        await client.create_pool(body)
        assert server.last.json == dict(body)
    await client.update_pool(P, patch)
    await client.create_rollout(P, request)
    assert server.last.json == request
    assert not warnings(caplog)


async def test_an_answer_can_be_put_back_without_a_word(
    server: RecordingServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.replace_pool(P, EXAMPLES["Pool"][0])
    await client.update_task(P, "t", EXAMPLES["Task"][0])
    await client.create_pool({1: 2, "": 3, "x" * 100_000: 4})  # type: ignore[dict-item]
    assert not warnings(caplog)


def test_the_keys_are_those_of_the_document() -> None:
    assert set(PoolDefinitionDict.__annotations__) == set(SCHEMAS["PoolDefinition"]["properties"])
    assert set(RolloutRequestDict.__annotations__) == set(SCHEMAS["RolloutRequest"]["properties"])
    assert OPERATIONS["create_pool"].body_keys == set(SCHEMAS["PoolDefinition"]["properties"])
    assert OPERATIONS["get_pool"].body_keys == frozenset()
