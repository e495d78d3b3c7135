"""Dictionaries of requests: errors of type checkers, and warnings at run time.

`make types` tests the first half: a line that it accepts has an unused comment.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, PoolTarget, RequestValidationError
from synth_pools.types import (
    PoolDefinitionDict,
    PoolPatchDict,
    RolloutBatchRequestDict,
    RolloutRequestDict,
    TaskDefinitionDict,
    TaskPatchDict,
)
from synth_pools_api.operations import OPERATIONS
from synth_pools_api.requests import PlainRequest
from tests.support.document import EXAMPLES, SCHEMAS
from tests.support.recording import RecordingServer
from tests.support.surface import P

pytestmark = pytest.mark.one_library


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def test_a_misspelt_key_is_logged_and_refused_where_a_literal_is_annotated(
    server: RecordingServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: PoolDefinitionDict = {"concurency": 4}  # type: ignore[typeddict-unknown-key]
    await client.create_pool(wrong)
    assert server.last.json == {"concurency": 4}
    assert warnings(caplog) == ["concurency is sent, but not known: is concurrency meant?"]
    caplog.clear()
    patch: PoolPatchDict = {"conteiner_ulr": None}  # type: ignore[typeddict-unknown-key]
    await client.update_pool(P, patch)
    await client.create_task(P, TaskDefinitionDict(taskid="t"))  # type: ignore[typeddict-unknown-key]
    await client.tasks.patch(P, "t", TaskPatchDict(task_confg={}))  # type: ignore[typeddict-unknown-key]
    pool: PoolDefinitionDict = {"tasks": [{"bakcend": "x"}]}  # type: ignore[typeddict-unknown-key]
    await client.replace_pool(P, pool)
    assert [line.partition(" ")[0] for line in warnings(caplog)] == [
        "conteiner_ulr",
        "taskid",
        "task_confg",
        "tasks[0].bakcend",
    ]
    assert len(server.requests) == 5


async def test_a_word_that_is_none_of_the_choices_is_refused_where_a_literal_is_annotated(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    await client.create_rollout(P, RolloutRequestDict(mode="sinc"))  # type: ignore[typeddict-item]
    await client.create_pool(PoolDefinitionDict(target="moon"))  # type: ignore[typeddict-item]
    await client.rollouts.create(P, RolloutRequestDict(seed="7"))  # type: ignore[typeddict-item]
    with pytest.raises(RequestValidationError, match="unsupported keys: sead"):
        await client.create_rollout(P, {"sead": 7})
    assert len(server.requests) == 3


async def test_requests_in_lists_and_streams_are_checked_one_by_one(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    misspelt: RolloutBatchRequestDict = {"rollouts": [{"sead": 7}]}  # type: ignore[typeddict-unknown-key]
    wrong: RolloutBatchRequestDict = {"requests": [{"mode": "sinc"}]}  # type: ignore[typeddict-item]
    second: RolloutBatchRequestDict = {"rollouts": [{"seed": 7}, {"sead": 7}]}  # type: ignore[typeddict-unknown-key]
    right: RolloutBatchRequestDict = {"rollouts": [{"seed": 7, "env": {"own": 1}}]}
    await client.create_rollout_batch(misspelt)
    await client.agent_rollouts.create_batch(wrong)
    await client.rollouts.create_batch(P, second)
    await client.rollouts.create_batch(P, right)
    assert len(server.requests) == 4


def requests_of_fleets(client: AsyncContainerPoolsClient) -> None:
    """List calls for `make types`; never called."""
    client.rollouts.run_many(P, [RolloutRequestDict(sead=7)])  # type: ignore[typeddict-unknown-key]
    client.rollouts.run_many(P, (RolloutRequestDict(sead=s) for s in range(3)))  # type: ignore[typeddict-unknown-key]
    client.agent_rollouts.run_many(RolloutRequestDict(sead=s) for s in range(3))  # type: ignore[typeddict-unknown-key]
    client.rollouts.run_many(P, [{"seed": seed, "env": {"own": 1}} for seed in range(3)])
    requests = [{"seed": seed} for seed in range(3)]
    client.rollouts.run_many(P, requests)
    client.rollouts.run_many(P, ({**request, "mode": "sync"} for request in requests))


async def test_a_dictionary_of_a_variable_needs_no_annotation(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    # A type checker infers dictionaries of numbers and forgets their keys.
    wrong, right = {"concurency": 4}, {"concurrency": 4}
    await client.create_pool(wrong)
    await client.create_pool(right)
    typed: PoolDefinitionDict = {"concurrency": 4}
    anything: dict[str, Any] = {"concurency": 4}
    await client.create_pool(typed)
    await client.create_pool(anything)
    assert [request.json for request in server.requests] == [wrong, right, right, wrong]


async def test_other_dictionaries_are_sent_as_ever(
    server: RecordingServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    plain: dict[str, Any] = {"name": "p", "shade": "blue", "x": 1, "Capacity_of_all": 2}
    task = {"task_id": "t", "shade": "blue"}
    definition: PoolDefinitionDict = {
        "name": "p",
        "target": PoolTarget.HARBOR,
        "config": {"timeout_seconds": 5, "own": [1]},
        "tasks": [{"task_id": "t"}],
    }
    mixed = {**definition, "tasks": [{"task_id": "t"}, plain, task]}
    patch: PoolPatchDict = {"concurrency": 4, "backend": None}
    request: RolloutRequestDict = {
        "mode": "sync",
        "env": {"delay": 1, "own": 2},
        "messages": [{"role": "user", "content": "hi", "name": "me"}],
        "limits": {"max_attempts": 2, "own": None},
    }
    passed: PlainRequest = MappingProxyType(plain)
    for body in (plain, definition, passed, mixed):
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
