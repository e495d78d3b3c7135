"""Tasksets of verifiers: the real framework, in pools of a real backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.contract.container.run import run_container_test
from tests.support.backend_server import Server, eventually
from tests.support.environments import environment_pool, run_into_limit, served_environment
from tests.support.process_pools import pids
from tests.support.scripted_models import ScriptedModels

pytestmark = [pytest.mark.environments, pytest.mark.xdist_group("verifiers")]

FOLDER = Path(__file__).parent / "guesses"
TASKS = [{"task_id": task_id} for task_id in (*(f"g{number}" for number in range(6)), "0", "99")]


@pytest.fixture(scope="module")
def python(python_of: Callable[[str], Path]) -> Path:
    return python_of("verifiers")


@pytest.fixture(scope="module")
def pool_id(backend: Server, python: Path, models: ScriptedModels) -> str:
    # The key of the container is sent to its own server alone.
    env = {"OPENAI_BASE_URL": models.base_url}
    return environment_pool(backend, python, "verifiers:guesses", env=env, cwd=FOLDER, tasks=TASKS)


def played(backend: Server, pool_id: str, model: str, task_id: str = "g2", **request: Any) -> Any:
    policy = {"model": model, **request.pop("policy", {})}
    return backend.run(pool_id, task_id=task_id, policy=policy, **request)


def test_a_task_has_its_reward_its_metrics_and_its_usage_with_the_cache(
    backend: Server, pool_id: str, models: ScriptedModels
) -> None:
    rollout = played(backend, pool_id, "say:2", policy={"temperature": 0.5, "stop": "x"}, seed=3)
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    metrics = {"turns": 1, "exact": 1.0, "length": 1.0, "outcome_reward": 1.0}
    assert rollout["metrics"] == metrics
    usage = backend.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert (usage["llm_input_tokens"], usage["llm_output_tokens"]) == (2, 1)
    prompt = models.prompts[-1]
    assert (prompt["temperature"], prompt["stop"], prompt["seed"]) == (0.5, "x", 3)
    events = [event for event in backend.events(rollout["id"]) if event["event"] == "agent"]
    reported = [(event["data"]["type"], event["data"]["message"]) for event in events]
    assert reported == [("step", "Say 2"), ("step", "2")]
    *_, step = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    assert (step["source"], step["message"]) == ("agent", "2")
    assert step["extra"]["finish_reason"] == "stop"
    assert (step["metrics"]["prompt_tokens"], step["metrics"]["completion_tokens"]) == (2, 1)
    record = backend.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts/episode.json").json()
    assert record["traces"][0]["rewards"]["exact"]["score"] == 1.0


def test_the_tokens_of_a_judge_count(backend: Server, python: Path, models: ScriptedModels) -> None:
    env = {"OPENAI_BASE_URL": models.base_url}
    reference = "verifiers:judged_guesses"
    pool_id = environment_pool(backend, python, reference, env=env, cwd=FOLDER, tasks=TASKS)
    rollout = played(backend, pool_id, "say:2", "0")
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    usage = rollout["result"]["usage"]
    # "Say 2" and its answer; for the judge "Is it 2?" and its verdict.
    assert (usage["input_tokens"], usage["output_tokens"]) == (2 + 3, 1 + 1)


def test_a_limit_of_time_is_a_timeout_that_keeps_the_number(backend: Server, pool_id: str) -> None:
    def run(limit: int) -> Any:
        return played(backend, pool_id, "slow:600", limits={"timeout_seconds": limit})

    rollout = run_into_limit(run, 2, 20, 60)
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert rollout["error"]["details"]["status"] == "timeout"
    assert "The limit was reached: agent_timeout" in rollout["error"]["message"]
    assert rollout["result"]["partial"] == {"reward": 0.0}


@pytest.mark.parametrize(
    ("model", "request_fields", "sentence"),
    [
        ("fail:500", {}, "ProviderError: upstream 500"),
        ("odd:text", {}, "malformed upstream response"),
        ("say:1", {"env": {"size": 3}}, "`env` has size"),
        ("say:1", {"env": {"harness": "no_such_one"}}, "'no_such_one' not found"),
        ("say:1", {"env": {"runtime": "prime"}}, "`env.runtime` is one of subprocess"),
        ("say:1", {"task_id": "99"}, "There is no task '99' here"),
    ],
)
def test_a_task_that_cannot_be_played_has_a_sentence_and_no_score(
    backend: Server, pool_id: str, model: str, request_fields: dict[str, Any], sentence: str
) -> None:
    rollout = played(backend, pool_id, model, **request_fields)
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert sentence in rollout["error"]["message"]


def test_a_cancelled_task_leaves_nothing_behind(
    backend: Server, pool_id: str, models: ScriptedModels
) -> None:
    count = len(models.prompts)
    rollout_id = backend.rollout(pool_id, task_id="g1", policy={"model": "slow:600"})["id"]
    eventually(lambda: len(models.prompts) > count)
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    assert backend.until(rollout_id)["status"] == "cancelled"
    [pid] = pids(backend, pool_id)
    eventually(lambda: not psutil.Process(pid).children())
    assert played(backend, pool_id, "say:2")["score"] == 1.0


def test_a_tool_of_the_current_folder_is_called_and_its_server_ends(
    backend: Server, python: Path, models: ScriptedModels
) -> None:
    env = {"OPENAI_BASE_URL": models.base_url}
    reference = "verifiers:calculations"
    pool_id = environment_pool(backend, python, reference, env=env, cwd=FOLDER, tasks=TASKS)
    calls = 'calls:["calculator_sub:{}", "calculator_add:{\\"x\\":2,\\"y\\":2}", "4"]'
    request = {"task_id": "0", "policy": {"model": calls}}
    rollout = backend.until(backend.rollout(pool_id, **request)["id"])
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    answers = [message for message in models.prompts[-1]["messages"] if message["role"] == "tool"]
    assert "there is no tool 'calculator_sub'" in answers[0]["content"]
    steps = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    [result] = next(step for step in steps if "tool_calls" in step)["observation"]["results"]
    assert "there is no tool 'calculator_sub'" in result["content"]
    [pid] = pids(backend, pool_id)
    eventually(lambda: not psutil.Process(pid).children())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken_guesses", "line 5: ModuleNotFoundError: No module named 'missing_words'"),
        ("no_such_guesses", "No module named 'no_such_guesses'"),
    ],
)
def test_a_broken_taskset_is_the_error_of_its_pool(
    backend: Server, python: Path, name: str, sentence: str
) -> None:
    pool_id = environment_pool(backend, python, f"verifiers:{name}", cwd=FOLDER)
    assert sentence in str(backend.get(f"/v1/pools/{pool_id}")["error"])


def test_its_container_keeps_the_protocol(
    python: Path, models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    url_of_models = {"OPENAI_BASE_URL": models.base_url}
    with served_environment(python, "verifiers:guesses", **url_of_models) as (url, _):
        report = run_container_test(
            url,
            rollout_request={"task_id": "g2", "policy": {"model": "say:2"}},
            slow_request={"task_id": "g2", "policy": {"model": "slow:600"}},
        )
    assert report.departures == ()
    assert report.exit_code == 0, report.summary
