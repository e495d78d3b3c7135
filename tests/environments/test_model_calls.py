"""Limits of calls of models, and their records: the same for each of the frameworks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend_server import Server
from tests.support.environments import environment_pool
from tests.support.scripted_models import ScriptedModels

pytestmark = [pytest.mark.environments, pytest.mark.timeout(300)]

FOLDER = Path(__file__).parent
TOOL = 'add:{"x":2,"y":2}'
# Answers of Harbor's terminus-2, which is asked once more whether it is done.
TURN = "<commands><keystrokes>echo hello > /app/hello.txt\n</keystrokes></commands>"
DONE = "<commands/><task_complete>true</task_complete>"


@dataclass(frozen=True)
class Framework:
    """Episode of a framework that has at least three calls of its model.

    Attributes:
        name: The name behind the kind.
        model: The script of the model.
        folder: The current folder of the container.
        request: The rest of the request.
        policy: The rest of its policy.
    """

    name: str
    model: str
    folder: Path = FOLDER
    request: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)


FRAMEWORKS = {
    "gymnasium": Framework("CartPole-v1", "say:1", request={"seed": 1}),
    "inspect": Framework(
        "tasks.py@tools",
        f"calls:{json.dumps([TOOL, TOOL, 'done'])}",
        FOLDER / "sums",
        {"task_id": "ab"},
    ),
    "verifiers": Framework(
        "guesses", f"calls:{json.dumps([TOOL, TOOL, '2'])}", FOLDER / "guesses", {"task_id": "g2"}
    ),
    "openenv": Framework(
        "./guessing",
        f"seq:{json.dumps([json.dumps({'number': n}) for n in (9, 5, 7)])}",
        request={"seed": 7},
    ),
    "harbor": Framework(
        "tasks",
        f"seq:{json.dumps([f'<response>{text}</response>' for text in (TURN, DONE)])}",
        request={"task_id": "hello", "env": {"environment": "harbor_parts:LocalEnvironment"}},
        policy={"agent_kwargs": {"parser_name": "xml"}},
    ),
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in FRAMEWORKS],
)
def play(
    request: pytest.FixtureRequest,
    backend: Server,
    python_of: Callable[[str], Path],
    models: ScriptedModels,
) -> Callable[..., tuple[Any, list[dict[str, Any]], int]]:
    """Play an episode; return its rollout, its steps, and the calls that the server got."""
    kind = request.param
    if kind == "harbor" and shutil.which("tmux") is None:
        pytest.skip("terminus-2 needs tmux in its sandbox, which is this machine")
    framework = FRAMEWORKS[kind]
    task_id = framework.request.get("task_id")
    pool_id = environment_pool(
        backend,
        python_of(kind),
        f"{kind}:{framework.name}",
        env={
            "OPENAI_BASE_URL": models.base_url,
            "OPENAI_API_KEY": "sk-of-the-container",
            # Nothing on this machine is called by way of it.
            "HTTP_PROXY": "http://127.0.0.1:9",
        },
        cwd=framework.folder,
        tasks=[{"task_id": task_id}] if task_id else [],
    )

    def play(cost: float, **limits: float) -> tuple[Any, list[dict[str, Any]], int]:
        count = len(models.prompts)
        policy = {"model": f"cost:{cost}:{framework.model}", **framework.policy}
        rollout = backend.run(pool_id, policy=policy, limits=limits, **framework.request)
        steps = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
        return rollout, steps, len(models.prompts) - count

    return play


def test_an_episode_has_each_message_once_and_each_call_with_its_tokens(
    play: Callable[..., Any], backend: Server, models: ScriptedModels
) -> None:
    rollout, steps, calls = play(1)
    assert rollout["status"] == "completed", rollout
    answers = [step for step in steps if "metrics" in step]
    assert [step["extra"]["call"] for step in answers] == list(range(1, calls + 1))
    assert calls >= 3
    sums = dict.fromkeys(("prompt_tokens", "completion_tokens"), 0)
    for metrics in (step["metrics"] for step in answers):
        for name in sums:
            sums[name] += metrics[name]
            assert len(metrics[name.replace("tokens", "token_ids")]) == metrics[name]
    usage = rollout["result"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == tuple(sums.values())
    assert usage["cost_usd"] == calls
    messages = [item for prompt in models.prompts[-calls:] for item in prompt["messages"]]
    sent = {
        (item["role"], text_of(item)) for item in messages if item["role"] in ("system", "user")
    }
    recorded = [(step["source"], step["message"]) for step in steps if step["source"] != "agent"]
    assert sorted(recorded) == sorted(sent)
    for step in answers:
        results = step.get("observation", {}).get("results", [])
        assert len(results) == len(step.get("tool_calls", results))
    events = [event["data"] for event in backend.events(rollout["id"]) if event["event"] == "agent"]
    step_ids = [event["step_id"] for event in events if "completion_tokens" in event]
    assert step_ids == [step["step_id"] for step in answers]
    keys = {request.headers["authorization"] for request in models.requests[-calls:]}
    assert keys == {"Bearer sk-of-the-container"}


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize(
    ("limits", "count"), [({"max_turns": 1}, 1), ({"max_tokens": 1}, 1), ({"max_cost_usd": 1.5}, 2)]
)
def test_a_limit_ends_an_episode_with_the_same_sentence(
    play: Callable[..., Any], limits: dict[str, float], count: int
) -> None:
    rollout, steps, calls = play(1, **limits)
    [(name, limit)] = limits.items()
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert rollout["error"]["details"]["status"] == "timeout"
    assert f"The episode was stopped: {name} is {limit}." in rollout["error"]["message"]
    # Refused calls, however often they are repeated, do not come to the server.
    assert calls == count
    assert rollout["result"]["usage"]["cost_usd"] == count
    assert type(rollout["result"]["partial"]["reward"]) is float
    # Turns of some are no calls, and end without one that is refused.
    names = [step["extra"]["limit"] for step in steps if "limit" in step.get("extra", {})]
    assert names in ([name], [] if name == "max_turns" else [name])
    # The last observation is there, too.
    assert steps[-1]["source"] == "system" or "observation" in steps[-1]
