"""Containers that keep their protocol: none of them is blamed for anything."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import uvicorn
from synth_containers import create_reference_app
from synth_containers.capabilities import RuntimeMetadata, TaskInfo
from synth_containers.nouns import TaskDefinition
from synth_containers.reference_runtime import ReferenceManagedRuntime

from examples import own_container
from synth_pools.container import Container, Result, Rollout
from synth_pools.contract.container.run import run_container_test
from synth_pools.contract.results import Outcome
from tests.contract.container.right_container import KEY, Answer, Ask, Call, right_container
from tests.support.backend_server import eventually
from tests.support.containers import real_container
from tests.support.ports import HeldPort

_LINES = {"protocol.lines", "rollouts.lines"}


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    port = HeldPort.kept().number
    config = uvicorn.Config(app, "127.0.0.1", port, log_level="critical", timeout_keep_alive=75)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="container")
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


def managed() -> Any:
    task = TaskDefinition("t", "t")
    runtime = ReferenceManagedRuntime(
        metadata=RuntimeMetadata("r", "r"), task_info=TaskInfo(task=task)
    )
    return create_reference_app(runtime)


def judged(url: str, **options: Any) -> Mapping[Outcome, set[str]]:
    """Judge a container, and return the checks by their outcomes."""
    report = run_container_test(url, **options)
    assert report.departures == (), [departure.title for departure in report.departures]
    assert report.exit_code == 0, report.summary
    return {
        kind: {outcome.check for outcome in report.outcomes if outcome.outcome is kind}
        for kind in Outcome
    }


def test_one_by_hand_that_has_everything() -> None:
    with right_container(key=KEY) as url:
        checks = judged(url, api_key=KEY, slow_request={"env": {"seconds": 60}})
    assert checks[Outcome.NOT_REACHED] == set()
    # It has no program, and that is all.
    assert checks[Outcome.NOT_OFFERED] == {"answers.descriptions"}


def test_one_by_hand_with_two_routes() -> None:
    with served(own_container.app) as url:
        checks = judged(url, rollout_request={"env": {"words": 7}})
    left_out = {"answers.descriptions", "protocol.ended", "protocol.events"}
    assert checks[Outcome.NOT_OFFERED] == left_out | _LINES
    assert "load.many" in checks[Outcome.HELD]


def test_one_of_synth_containers() -> None:
    with real_container() as url:
        checks = judged(url, rollout_request={"seed": 3}, slow_request={"params": {"seconds": 60}})
    assert {"protocol.ended", "rollouts.terminated", "load.cancelled"} <= checks[Outcome.HELD]
    assert checks[Outcome.NOT_OFFERED] == {"answers.descriptions", "protocol.events"} | _LINES


def test_a_runtime_of_synth_containers_with_events() -> None:
    with served(managed()) as url:
        checks = judged(url)
    assert {"protocol.events", "protocol.ids", "load.repeated"} <= checks[Outcome.HELD]


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_what_could_not_be_tried_is_named(seconds: float) -> None:
    with right_container() as url:
        checks = judged(url, rollout_request={"env": {"seconds": seconds}}, level="rollouts")
    assert "protocol.key" in checks[Outcome.NOT_REACHED]
    assert not any(check.startswith("load.") for kind in Outcome for check in checks[kind])


def written(concurrency: int = 100) -> Container:
    """Write a container with the SDK."""
    container = Container(
        "words", tasks=["short", "long"], program={"name": "words"}, concurrency=concurrency
    )

    @container.rollout
    async def words(rollout: Rollout) -> Result:
        rollout.event({"step": 1})
        await asyncio.sleep((rollout.env or {}).get("seconds", 0.01))
        rollout.event({"step": 2})
        rollout.artifact("text.txt", "word")
        return Result(reward=0.5, usage={"input_tokens": 12, "output_tokens": 40})

    return container


def test_one_of_the_sdk_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT_API_KEY", KEY)
    with served(written().app) as url:
        checks = judged(url, api_key=KEY, slow_request={"env": {"seconds": 60}})
    assert checks[Outcome.NOT_OFFERED] == checks[Outcome.NOT_REACHED] == set()


def test_one_that_runs_one_rollout_after_the_other() -> None:
    with served(written(concurrency=1).app) as url:
        checks = judged(url, slow_request={"env": {"seconds": 60}}, concurrency=10)
    assert {"rollouts.terminated", "load.many", "load.cancelled"} <= checks[Outcome.HELD]


def test_one_that_answers_nothing_else_while_a_rollout_runs() -> None:
    with real_container() as url:
        checks = judged(url, rollout_request={"params": {"blocks": 0.02}}, concurrency=10)
    assert "load.many" in checks[Outcome.HELD]


def test_one_that_forgets_a_rollout_once_its_end_was_read() -> None:
    async def act(call: Call, ask: Ask) -> Answer:
        answer = await ask(call)
        if call.route != "GET /rollouts/*" or "metrics" not in answer.body:
            return answer
        is_first = call.memory.setdefault(call.id, True)
        call.memory[call.id] = False
        return answer if is_first else Answer(404, {})

    with right_container(act) as url:
        judged(url, level="protocol")
