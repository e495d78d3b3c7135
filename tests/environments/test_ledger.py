"""Two hundred episodes of each framework, while their container and then the backend are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.backend.processes.test_ends import killable
from tests.support.backend_server import Server, eventually
from tests.support.environments import environment_pool
from tests.support.process_pools import pids
from tests.support.scripted_models import ScriptedModels

pytestmark = [pytest.mark.environments, pytest.mark.timeout(600)]

FOLDER = Path(__file__).parent
COUNT = 200
CANCELLED = range(0, COUNT, 20)
LOCAL = {"environment": "harbor_parts:LocalEnvironment"}
SLOW = {"model": "slow:600"}
# A call of a tool; every eighth time an error of the server that the client repeats.
TOOL = 'tool:add:{"x":2,"y":2}'
NUMBERS = {"actions": [{"number": number} for number in (9, 5, 7)]}


@dataclass(frozen=True)
class Framework:
    """Episodes of a framework.

    Attributes:
        name: The name behind the kind.
        folder: The current folder of the container.
        request: The request of an episode, by its number.
        score: Its score; None where each step has a reward of 1.
        slow: A request that does not end by itself.
    """

    name: str
    folder: Path
    request: Callable[[int], dict[str, Any]]
    score: float | None
    slow: dict[str, Any]
    tasks: tuple[str, ...] = ()


FRAMEWORKS = {
    "gymnasium": Framework(
        "CartPole-v1",
        FOLDER,
        lambda number: {"seed": number, "policy": {"model": "slow:0.02:say:1"}},
        None,
        {"policy": SLOW},
    ),
    "inspect": Framework(
        "tasks.py@tools",
        FOLDER / "sums",
        lambda number: {
            "task_id": "ab",
            "policy": {"model": TOOL if number % 8 else f"fail:503:1:say:{number} is done"},
        },
        1.0,
        {"task_id": "ab", "policy": SLOW},
        ("ab",),
    ),
    "verifiers": Framework(
        "guesses",
        FOLDER / "guesses",
        lambda number: {"task_id": f"g{number % 6}", "policy": {"model": f"say:{number % 6}"}},
        1.0,
        {"task_id": "g1", "policy": SLOW},
        tuple(f"g{number}" for number in range(6)),
    ),
    "openenv": Framework(
        "./guessing",
        FOLDER,
        lambda _: {"seed": 7, "policy": NUMBERS},
        0.75,
        {"seed": 7, "policy": SLOW},
    ),
    "harbor": Framework(
        "./tasks",
        FOLDER,
        lambda _: {"task_id": "hello", "env": LOCAL, "policy": {"agent": "oracle"}},
        1.0,
        {"task_id": "hello", "env": LOCAL, "policy": {**SLOW, "agent": "harbor_parts:OneCommand"}},
        ("hello",),
    ),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in FRAMEWORKS]
)
def test_the_ledger_agrees_after_kills_of_container_and_backend(
    kind: str, python_of: Callable[[str], Path], models: ScriptedModels, tmp_path: Path
) -> None:
    framework, python = FRAMEWORKS[kind], python_of(kind)
    remains = tmp_path / "temporary"
    remains.mkdir()
    env = {"OPENAI_BASE_URL": models.base_url, "TMPDIR": str(remains)}
    tasks = [{"task_id": task_id} for task_id in framework.tasks]
    with killable(tmp_path) as (backend, client):
        reference = f"{kind}:{framework.name}"
        pool_id = environment_pool(
            client, python, reference, env=env, cwd=framework.folder, tasks=tasks
        )
        # An episode that a kill has ended is played again.
        limits = {"max_attempts": 10}
        ids = [
            client.rollout(
                pool_id,
                **{
                    **(framework.slow if n in CANCELLED else framework.request(n)),
                    "limits": limits,
                },
            )["id"]
            for n in range(COUNT)
        ]
        cancelled = {ids[number] for number in CANCELLED}
        for rollout_id in sorted(cancelled):
            client.post(f"/v1/rollouts/{rollout_id}/cancel")
        wait_for(client, pool_id, 30)
        [pid] = pids(client, pool_id)
        os.kill(pid, signal.SIGKILL)
        wait_for(client, pool_id, 90)
        backend.kill()
        backend.start()
        wait_for(client, pool_id, COUNT - len(cancelled))
        rollouts = stored(client, pool_id)
        assert sorted(item["id"] for item in rollouts) == sorted(ids)
        for item in rollouts:
            rollout = client.get(f"/v1/rollouts/{item['id']}")
            if item["id"] in cancelled:
                assert (rollout["status"], rollout["score"]) == ("cancelled", None)
            else:
                score = framework.score or rollout["metrics"]["steps"]
                assert (rollout["status"], rollout["score"]) == ("completed", score)
        assert {client.types(rollout_id)[-1] for rollout_id in ids[:40]} == {
            "rollout.completed",
            "rollout.cancelled",
        }
        assert backend.stop() == 0
    assert list(remains.iterdir()) == []


def wait_for(client: Server, pool_id: str, count: int) -> None:
    """Wait until a number of rollouts have been completed, and none has failed."""

    def look() -> bool:
        metrics = client.get(f"/v1/pools/{pool_id}/metrics")
        assert metrics["failed_rollouts"] == 0
        return bool(metrics["completed_rollouts"] >= count)

    eventually(look, 300)


def stored(client: Server, pool_id: str) -> list[dict[str, Any]]:
    """List the rollouts of a pool, as often as they are there."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(f"/v1/pools/{pool_id}/rollouts", params={"limit": 100, **cursor})
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}
