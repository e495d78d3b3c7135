"""Tasks of Harbor: trials of the real framework, in pools of a real backend."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.contract.container.run import run_container_test
from tests.support.backend_server import Server, eventually
from tests.support.environments import environment_pool, run_into_limit, served_environment
from tests.support.oci import EngineUnderTest
from tests.support.scripted_models import CACHED_TOKENS, ScriptedModels
from tests.support.shell_image import build_shell_image

pytestmark = [pytest.mark.environments, pytest.mark.xdist_group("harbor")]

FOLDER = Path(__file__).parent
TASKS = FOLDER / "tasks"
LOCAL = {"environment": "harbor_parts:LocalEnvironment"}
ONE_COMMAND = "harbor_parts:OneCommand"


@pytest.fixture(scope="module")
def python(python_of: Callable[[str], Path]) -> Path:
    return python_of("harbor")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of the container."""
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(scope="module")
def pool_id(backend: Server, python: Path, models: ScriptedModels, folder: Path) -> str:
    variables = {"OPENAI_BASE_URL": models.base_url, "TMPDIR": str(folder)}
    tasks = [{"task_id": "hello"}, {"task_id": "bye"}, {"task_id": "missing"}]
    reference = f"harbor:{TASKS}"
    return environment_pool(backend, python, reference, env=variables, cwd=FOLDER, tasks=tasks)


def trial(backend: Server, pool_id: str, policy: dict[str, Any], **request: Any) -> Any:
    return backend.run(pool_id, **{"task_id": "hello", "env": LOCAL, "policy": policy, **request})


def test_tasks_are_those_of_the_folder(backend: Server, pool_id: str) -> None:
    taskset = backend.get(f"/v1/pools/{pool_id}/container/taskset")
    assert "Write a greeting." in str(taskset)
    assert "Write a farewell." in str(taskset)


def test_the_dataset_is_listed_once(backend: Server, python: Path, tmp_path: Path) -> None:
    shutil.copytree(TASKS / "hello", tmp_path / "hello")
    pool_id = environment_pool(backend, python, f"harbor:{tmp_path}", cwd=FOLDER)
    shutil.copytree(TASKS / "bye", tmp_path / "bye")
    rollout = trial(backend, pool_id, {"agent": "oracle"}, task_id=None)
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)


def test_trials_side_by_side_have_their_rewards(backend: Server, pool_id: str) -> None:
    kinds = [("hello", "oracle", 1.0), ("hello", "nop", 0.0), ("bye", "oracle", 0.5)]
    trials = [
        (backend.rollout(pool_id, task_id=task, env=LOCAL, policy={"agent": agent})["id"], reward)
        for task, agent, reward in kinds * 7
    ]
    for rollout_id, reward in trials:
        rollout = backend.until(rollout_id)
        assert (rollout["status"], rollout["score"]) == ("completed", reward)
    phases = [
        event["data"]["phase"]
        for event in backend.events(trials[0][0])
        if event["event"] == "agent"
    ]
    assert phases[0] == "start"
    assert phases[-1] == "end"


def test_an_agent_with_a_model_has_usage_with_the_cache_and_its_files(
    backend: Server, pool_id: str, folder: Path
) -> None:
    # The folder of the trial is above that of its sandbox.
    command = "echo hello > /app/hello.txt; ln -s /etc/passwd ../../agent/passwd; "
    command += r"mkdir /logs/artifacts/sub; printf '\377\0x' > /logs/artifacts/sub/out.bin"
    rollout = trial(backend, pool_id, {"agent": ONE_COMMAND, "model": f"say:{command}"})
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    usage = rollout["result"]["usage"]
    assert usage["cached_input_tokens"] == CACHED_TOKENS
    assert usage["input_tokens"] > CACHED_TOKENS
    items = backend.get(f"/v1/pools/{pool_id}/rollouts/{rollout['id']}/artifacts")["items"]
    sizes = {item["path"]: item["size_bytes"] for item in items}
    assert {"trial.log", "agent/answer.txt", "verifier/reward.txt"} <= sizes.keys()
    assert sizes["artifacts/logs/artifacts/sub/out.bin"] == 3
    assert "agent/passwd" not in sizes
    trajectory = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")
    assert trajectory["agent"]["name"] == "one"
    # The relay has recorded the calls, and the agent what it saw at the end.
    question, answer = trajectory["steps"]
    assert (question["source"], answer["message"]) == ("user", command)
    assert answer["metrics"]["completion_token_ids"]
    assert answer["observation"]["results"] == [{"content": "written"}]
    eventually(lambda: not list(folder.glob("*/*")))


def test_collected_files_take_no_room_from_the_others(backend: Server, pool_id: str) -> None:
    command = "echo hello > /app/hello.txt; cd /logs/artifacts; echo own > manifest.json; "
    command += "for number in 1 2 3; do head -c 8000000 /dev/zero > $number.bin; done"
    rollout = trial(backend, pool_id, {"agent": ONE_COMMAND, "model": f"say:{command}"})
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    items = backend.get(f"/v1/pools/{pool_id}/rollouts/{rollout['id']}/artifacts")["items"]
    sizes = {item["path"].removeprefix("artifacts/logs/"): item["size_bytes"] for item in items}
    assert {"trial.log", "agent/answer.txt", "verifier/reward.txt"} <= sizes.keys()
    assert sizes["artifacts/manifest.json"] == len("own\n")
    assert [sizes.get(f"artifacts/{number}.bin") for number in (1, 2, 3)] == [8000000] * 2 + [None]
    log = backend.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts/log.txt").text
    assert "artifacts/logs/artifacts/3.bin is not kept: it has 8000000 bytes." in log


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"policy": {"agent": ONE_COMMAND, "model": "fail:500"}}, "InternalServerError"),
        ({"policy": {"agent": "nop"}, "task_id": "bye"}, "RewardFileNotFoundError"),
        ({"policy": {"agent": "nop"}, "task_id": "missing"}, "There is no task 'missing'"),
        ({"policy": {"agent": "nop"}, "task_id": None}, "Name one of the 2 tasks."),
        ({"policy": {}}, "The policy names no agent of Harbor"),
        ({"policy": {"agent": "nobody", "model": "say:x"}}, "The policy names no agent of Harbor"),
        ({"policy": {"agent": "os:path", "model": "say:x"}}, "There is no module os"),
        ({"policy": {"agent": "nop"}, "env": {"environment": "moon"}}, "no environment 'moon'"),
    ],
)
def test_a_trial_that_cannot_be_judged_has_a_sentence_and_no_score(
    backend: Server, pool_id: str, request_: dict[str, Any], sentence: str
) -> None:
    rollout = trial(backend, pool_id, **request_)
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert sentence in rollout["error"]["message"]


def test_a_limit_that_an_agent_swallows_is_no_success(backend: Server, pool_id: str) -> None:
    command = "echo hello > /app/hello.txt"
    policy = {"agent": ONE_COMMAND, "model": f"say:{command}", "agent_kwargs": {"calls": 3}}
    rollout = trial(backend, pool_id, policy, limits={"max_turns": 2})
    assert (rollout["score"], rollout["error"]["details"]["status"]) == (None, "timeout")
    assert "The episode was stopped: max_turns is 2." in rollout["error"]["message"]
    assert rollout["result"]["partial"] == {"reward": 1.0}
    assert trial(backend, pool_id, policy, limits={"max_turns": 3})["score"] == 1.0


def test_an_agent_in_the_sandbox_calls_the_server_itself_and_its_limits_are_told(
    backend: Server, pool_id: str, models: ScriptedModels
) -> None:
    command = "echo hello > /app/hello.txt"
    policy = {"agent": "harbor_parts:InstalledCommand", "model": f"say:{command}"}
    rollout = trial(backend, pool_id, policy, limits={"max_tokens": 1, "max_turns": 1})
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    trajectory = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")
    assert [step["message"] for step in trajectory["steps"]] == [command]
    assert rollout["result"]["usage"]["cached_input_tokens"] == CACHED_TOKENS
    log = backend.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts/log.txt").text
    assert "runs in the sandbox: limits.max_tokens, limits.max_turns end nothing." in log


def test_a_limit_of_time_is_no_score(backend: Server, pool_id: str) -> None:
    policy = {"agent": ONE_COMMAND, "model": "slow:600"}

    def run(limit: int) -> Any:
        return trial(backend, pool_id, policy, limits={"timeout_seconds": limit})

    rollout = run_into_limit(run, 3, 20, 60)
    assert (rollout["score"], rollout["error"]["details"]["status"]) == (None, "timeout")


def test_a_limit_of_the_task_is_no_score(
    backend: Server, python: Path, models: ScriptedModels, tmp_path: Path
) -> None:
    shutil.copytree(TASKS / "hello", tmp_path / "hello")
    settings = tmp_path / "hello" / "task.toml"
    text = settings.read_text().replace("[agent]\ntimeout_sec = 60.0", "[agent]\ntimeout_sec = 1.0")
    settings.write_text(text)
    variables = {"OPENAI_BASE_URL": models.base_url}
    pool_id = environment_pool(
        backend, python, f"harbor:{tmp_path / 'hello'}", env=variables, cwd=FOLDER
    )
    policy = {"agent": ONE_COMMAND, "model": "slow:600"}
    rollout = trial(backend, pool_id, policy, task_id=None)
    assert (rollout["score"], rollout["error"]["details"]["status"]) == (None, "timeout")
    assert "AgentTimeoutError" in rollout["error"]["message"]
    # The verifier has judged it nevertheless.
    assert rollout["result"]["partial"] == {"reward": 0.0}


def test_a_cancelled_trial_leaves_nothing(backend: Server, pool_id: str, folder: Path) -> None:
    policy = {"agent": ONE_COMMAND, "model": "slow:600"}
    request = {"task_id": "hello", "env": LOCAL, "policy": policy}
    rollout_id = backend.rollout(pool_id, **request)["id"]
    eventually(lambda: list(folder.glob("*/*/root/app")))
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    path = f"/v1/pools/{pool_id}/container/health"
    eventually(lambda: backend.get(path)["running"] == 0)
    assert backend.until(rollout_id)["status"] == "cancelled"
    eventually(lambda: not list(folder.glob("*/*")))


@pytest.mark.parametrize(
    ("text", "sentence"), [(None, "is no task of Harbor"), ("[task", "cannot be read")]
)
def test_a_broken_folder_is_the_error_of_its_pool(
    backend: Server, python: Path, tmp_path: Path, text: str | None, sentence: str
) -> None:
    if text is not None:
        (tmp_path / "task.toml").write_text(text)
    pool_id = environment_pool(backend, python, f"harbor:{tmp_path}")
    assert sentence in str(backend.get(f"/v1/pools/{pool_id}")["error"])


def test_a_machine_without_an_engine_is_told_so(
    backend: Server, python: Path, tmp_path: Path
) -> None:
    env = {"PATH": str(tmp_path)}
    pool_id = environment_pool(backend, python, f"harbor:{TASKS}/hello", env=env)
    rollout = backend.run(pool_id, policy={"agent": "oracle"})
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert "No sandbox can be started here" in rollout["error"]["message"]


def submit(url: str, rollout_id: str, policy: dict[str, Any], **more: Any) -> Any:
    env = {"environment": "podman"}
    body = {"rollout_id": rollout_id, "task_id": "hello", "policy": policy, "env": env, **more}
    return httpx.post(f"{url}/rollouts", json=body, timeout=200).json()


@pytest.mark.timeout(400)
def test_the_oracle_solves_a_task_on_podman_and_a_kill_leaves_no_sandbox(
    python: Path, tmp_path: Path, models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = EngineUnderTest("podman", tmp_path / "podman")
    # In the environment of Harbor.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    if not engine.is_there or shutil.which("podman-compose", path=path) is None:
        pytest.skip("there is no podman, or no podman-compose")
    build_shell_image(engine)
    monkeypatch.chdir(FOLDER)
    variables = {"TMPDIR": str(tmp_path), "OPENAI_BASE_URL": models.base_url}
    variables |= engine.variables
    count = len(models.prompts)
    with served_environment(python, f"harbor:{TASKS}", **variables) as (url, process):
        answer = submit(url, "r", {"agent": "oracle"})
        assert answer["status"] == "completed", answer
        assert answer["metrics"]["reward"] == 1.0
        assert engine.say("ps", "--all", "--quiet") == ""
        policy = {"agent": ONE_COMMAND, "model": "slow:600"}
        submit(url, "s", policy, submission_mode="async")
        eventually(lambda: len(models.prompts) > count, 200)
        process.kill()
        process.wait(60)
    assert engine.say("ps", "--quiet") != ""
    [former] = tmp_path.glob("synth-pools-harbor-*")
    with served_environment(python, f"harbor:{TASKS}", **variables):
        # The rest of it ends at the start of the next one.
        assert engine.say("ps", "--all", "--quiet") == ""
        assert "synth-pools" not in engine.say("network", "ls")
        assert not former.exists()
    assert not list(tmp_path.glob("synth-pools-harbor-*"))


def test_its_container_keeps_the_protocol(
    python: Path, models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    with served_environment(python, f"harbor:{TASKS}", OPENAI_BASE_URL=models.base_url) as (url, _):
        common = {"task_id": "hello", "env": LOCAL}
        report = run_container_test(
            url,
            rollout_request={**common, "policy": {"agent": "oracle"}},
            slow_request={**common, "policy": {"agent": ONE_COMMAND, "model": "slow:600"}},
        )
    assert report.departures == ()
    assert report.exit_code == 0, report.summary
