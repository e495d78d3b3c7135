"""Tasks of Inspect: the real framework, in pools of a real backend."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from synth_pools.contract.container.run import run_container_test
from tests.support.backend_server import Server, eventually
from tests.support.environments import environment_pool, run_into_limit, served_environment
from tests.support.process_pools import pids
from tests.support.scripted_models import ScriptedModels

pytestmark = [pytest.mark.environments, pytest.mark.xdist_group("inspect")]

FOLDER = Path(__file__).parent / "sums"
SUMS = f"inspect:{FOLDER}/tasks.py@sums"


@pytest.fixture(scope="module")
def python(python_of: Callable[[str], Path]) -> Path:
    return python_of("inspect")


@pytest.fixture(scope="module")
def pool(backend: Server, python: Path, models: ScriptedModels) -> Callable[[str], str]:
    """Return the pool of a task, which is created once."""
    pools: dict[str, str] = {}
    tasks = [{"task_id": name} for name in (*map(str, range(6)), "99", "a", "ab")]

    def pool_of(task: str) -> str:
        if task not in pools:
            env = {"OPENAI_BASE_URL": models.base_url, "HOME": str(FOLDER / "no-such-home")}
            reference = f"inspect:{FOLDER}/tasks.py@{task}"
            pools[task] = environment_pool(
                backend, python, reference, env=env, cwd=FOLDER, tasks=tasks
            )
        return pools[task]

    return pool_of


def played(backend: Server, pool_id: str, model: str, task_id: str = "2", **request: Any) -> Any:
    policy = {"model": model, **request.pop("policy", {})}
    return backend.run(pool_id, task_id=task_id, policy=policy, **request)


def agent_events(backend: Server, rollout: Any) -> list[dict[str, Any]]:
    events = backend.events(rollout["id"])
    return [event["data"] for event in events if event["event"] == "agent"]


def test_a_sample_has_its_score_its_usage_with_the_cache_and_its_log(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    settings = {"temperature": 0.5, "stop": "x"}
    rollout = played(backend, pool("sums"), "say:it is 4", policy=settings, seed=3)
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    assert rollout["metrics"] == {"turns": 1, "includes": 1.0, "outcome_reward": 1.0}
    usage = backend.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert (usage["llm_input_tokens"], usage["llm_output_tokens"]) == (3, 3)
    prompt = models.prompts[-1]
    assert (prompt["temperature"], prompt["stop"], prompt["seed"]) == (0.5, ["x"], 3)
    types = [event["type"] for event in agent_events(backend, rollout)]
    assert types == ["step", "step", "score"]
    *_, step = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    assert (step["source"], step["message"]) == ("agent", "it is 4")
    assert step["extra"]["finish_reason"] == "stop"
    assert (step["metrics"]["prompt_tokens"], step["metrics"]["completion_tokens"]) == (3, 3)
    log = backend.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts/log.eval").content
    assert "header.json" in zipfile.ZipFile(BytesIO(log)).namelist()
    assert not (FOLDER / "no-such-home").exists()


def test_scores_with_several_values_are_chosen_by_name_and_only_one_sample_is_played(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    count = len(models.prompts)
    model = 'tool:add:{"x":2,"y":2}'
    rollout = played(backend, pool("tools"), model, "a", params={"score": "parts.half"})
    assert (rollout["status"], rollout["score"]) == ("completed", 0.5)
    assert len(models.prompts) - count == 2
    types = [event["type"] for event in agent_events(backend, rollout)]
    # The third is the answer of the tool.
    assert types == ["step", "step", "step", "step", "score", "score"]
    rollout = played(backend, pool("tools"), model, "ab", params={"score": "parts.odd"})
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert "parts.odd is no number" in rollout["error"]["message"]


def test_an_answer_of_a_tool_that_no_call_has_told_is_in_the_trajectory(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    count = len(models.prompts)
    model = 'tool:add:{"x":2,"y":2}'
    rollout = played(backend, pool("tools"), model, "ab", limits={"max_turns": 1})
    stopped_by("max_turns is 1", rollout)
    assert len(models.prompts) - count == 1
    *_, step = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    assert [result["content"] for result in step["observation"]["results"]] == ["4"]
    *_, event = [item for item in agent_events(backend, rollout) if item["type"] == "step"]
    assert event["observation"] == ["4"]


def test_another_model_of_the_task_is_recorded_beside_the_policy_s(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    rollout = played(backend, pool("judged"), "say:it is 2", "1", limits={"max_turns": 1})
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    steps = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    assert [(step["source"], step["message"]) for step in steps] == [
        ("user", "What is 1+1?"),
        ("agent", "it is 2"),
        ("user", "Is it 2?"),
        ("agent", "GRADE: C"),
        ("user", "Really?"),
        ("agent", "GRADE: C"),
    ]
    assert [step.get("extra", {}).get("after_step") for step in steps] == [
        None, None, 0, None, None, None,
    ]  # fmt: skip
    usage = rollout["result"]["usage"]
    tokens = [step["metrics"]["prompt_tokens"] for step in steps if "metrics" in step]
    assert (len(tokens), usage["input_tokens"]) == (3, sum(tokens))


def test_a_limit_that_a_solver_swallows_is_no_success(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    count = len(models.prompts)
    rollout = played(backend, pool("patient"), "say:2", "1", limits={"max_tokens": 1})
    stopped_by("max_tokens is 1", rollout, 1.0)
    assert len(models.prompts) - count == 1


def test_a_limit_of_time_is_a_timeout_that_keeps_the_number(
    backend: Server, pool: Callable[[str], str]
) -> None:
    def run(limit: int) -> Any:
        limits = {"timeout_seconds": limit}
        return played(backend, pool("tools"), "slow:600", "ab", limits=limits)

    stopped_by("the limit of time is", run_into_limit(run, 3, 20, 60))


def stopped_by(text: str, rollout: Any, reward: float = 0.0) -> None:
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert rollout["error"]["details"]["status"] == "timeout"
    assert f"The episode was stopped: {text}" in rollout["error"]["message"]
    assert rollout["result"]["partial"] == {"reward": reward}


@pytest.mark.parametrize(
    ("model", "request_fields", "sentence"),
    [
        ("fail:500", {}, "The model failed: Error code: 500"),
        ("odd:text", {}, "The model failed: JSONDecodeError"),
        ("say:1", {"env": {"count": "many"}}, "'str' object cannot be"),
        ("say:1", {"task_id": "99"}, "There is no task '99' here"),
    ],
)
def test_a_sample_that_cannot_be_played_has_a_sentence_and_no_score(
    backend: Server,
    pool: Callable[[str], str],
    model: str,
    request_fields: dict[str, Any],
    sentence: str,
) -> None:
    rollout = played(backend, pool("sums"), model, **request_fields)
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert sentence in rollout["error"]["message"]


def test_a_cancelled_sample_gives_its_place_back(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    pool_id = pool("sums")
    count = len(models.prompts)
    request = {"task_id": "1", "policy": {"model": "slow:600"}}
    rollout_id = backend.rollout(pool_id, **request)["id"]
    eventually(lambda: len(models.prompts) > count)
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    assert backend.until(rollout_id)["status"] == "cancelled"
    assert played(backend, pool_id, "say:4")["score"] == 1.0


def test_a_process_that_ignores_its_cancellation_is_replaced(
    backend: Server, pool: Callable[[str], str], models: ScriptedModels
) -> None:
    pool_id = pool("endless")
    [pid] = pids(backend, pool_id)
    count = len(models.prompts)
    rollout_id = backend.rollout(pool_id, task_id="1", policy={"model": "say:1"})["id"]
    eventually(lambda: len(models.prompts) > count)
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    assert backend.until(rollout_id)["status"] == "cancelled"
    eventually(lambda: pids(backend, pool_id) - {pid}, 120)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken.py@words", "broken.py, line 5: ModuleNotFoundError: No module named 'missing_w"),
        ("missing.py@words", "There is no file missing.py: "),
        ("tasks.py@nothing", "Task named 'nothing' not found"),
        ("tasks.py", "write one of ['sums', 'tools', 'endless', 'judged', 'patient'] behind @"),
    ],
)
def test_a_broken_file_is_the_error_of_its_pool(
    backend: Server, python: Path, name: str, sentence: str
) -> None:
    reference = f"inspect:{name}"
    pool_id = environment_pool(backend, python, reference, cwd=FOLDER)
    assert sentence in str(backend.get(f"/v1/pools/{pool_id}")["error"])


def test_its_container_keeps_the_protocol(python: Path, models: ScriptedModels) -> None:
    with served_environment(python, SUMS, OPENAI_BASE_URL=models.base_url) as (url, _):
        report = run_container_test(
            url,
            rollout_request={"task_id": "2", "policy": {"model": "say:4"}},
            slow_request={"task_id": "2", "policy": {"model": "slow:600"}},
        )
    assert report.departures == ()
    assert report.exit_code == 0, report.summary
