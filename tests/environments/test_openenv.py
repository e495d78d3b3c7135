"""Environments of OpenEnv: servers of the real framework, in pools of a real backend."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from synth_pools.contract.container.run import run_container_test
from tests.support.backend_server import Server, eventually
from tests.support.environments import environment_pool, run_into_limit, served_environment
from tests.support.oci import EngineUnderTest
from tests.support.process_pools import containers, family, gone, pids
from tests.support.scripted_models import ScriptedModels

pytestmark = [pytest.mark.environments, pytest.mark.xdist_group("openenv")]

GUESSING = Path(__file__).parent / "guessing"
REFERENCE = f"openenv:{GUESSING}"
# Right for a seed of 7.
ACTIONS = {"actions": [{"number": number} for number in (9, 5, 7)]}


@pytest.fixture(scope="module")
def python(python_of: Callable[[str], Path]) -> Path:
    return python_of("openenv")


@pytest.fixture(scope="module")
def pool_id(backend: Server, python: Path, models: ScriptedModels) -> str:
    # Its current folder is that of the tests: a policy in Python is one of its modules.
    return environment_pool(
        backend, python, REFERENCE, env={"OPENAI_BASE_URL": models.base_url}, cwd=GUESSING.parent
    )


def played(backend: Server, pool_id: str, policy: dict[str, Any], **request: Any) -> Any:
    return backend.run(pool_id, **{"seed": 7, "policy": policy, **request})


def is_idle(backend: Server, pool_id: str) -> bool:
    health = backend.get(f"/v1/pools/{pool_id}/container/health")
    return bool(health["running"] == 0)


def test_an_episode_has_the_sum_of_its_rewards_and_its_steps_as_events(
    backend: Server, pool_id: str
) -> None:
    rollout = played(backend, pool_id, ACTIONS)
    assert (rollout["status"], rollout["score"]) == ("completed", 0.75)
    assert rollout["metrics"]["steps"] == 3
    events = [event for event in backend.events(rollout["id"]) if event["event"] == "agent"]
    assert [event["data"]["reward"] for event in events] == [-0.125, -0.125, 1.0]
    assert events[2]["data"]["action"] == {"number": 7}
    assert events[2]["data"]["observation"]["text"] == "right"
    first, *steps = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    assert first["source"] == "user"
    assert [step["extra"]["reward"] for step in steps] == [-0.125, -0.125, 1.0]
    assert json.loads(steps[2]["message"]) == {"number": 7}
    assert json.loads(steps[2]["observation"]["results"][0]["content"])["text"] == "right"
    state = backend.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts/state.json").json()
    assert state == {"episode_id": rollout["id"], "step_count": 3}


def test_many_episodes_wait_for_the_places_of_the_server_and_repeat_by_their_seeds(
    backend: Server, pool_id: str
) -> None:
    seeds = [*range(10), *range(10)]
    ids = [backend.rollout(pool_id, seed=seed, policy={"type": "random"})["id"] for seed in seeds]
    rollouts = [backend.until(rollout_id) for rollout_id in ids]
    assert {rollout["status"] for rollout in rollouts} == {"completed"}
    scores = [rollout["score"] for rollout in rollouts]
    assert scores[:10] == scores[10:]
    assert len(set(scores)) > 1


def test_a_model_plays_with_the_conversation_so_far(
    backend: Server, pool_id: str, models: ScriptedModels
) -> None:
    answers = ['I think {"number": 9}', '```json\n{"number": 2}\n```', '{"number": 7}']
    rollout = played(backend, pool_id, {"model": f"seq:{json.dumps(answers)}"})
    assert (rollout["status"], rollout["score"]) == ("completed", 0.75)
    prompts = [body["messages"] for body in models.prompts[-3:]]
    assert [len(messages) for messages in prompts] == [2, 4, 6]
    assert '"number"' in prompts[0][0]["content"]
    assert "lower" in prompts[1][3]["content"]
    usage = backend.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert usage["llm_input_tokens"] > 0
    assert usage["llm_output_tokens"] > 0


def test_a_function_plays(backend: Server, pool_id: str) -> None:
    rollout = played(backend, pool_id, {"python": "guessing.players:count"}, seed=2)
    assert (rollout["status"], rollout["score"]) == ("completed", 0.75)


@pytest.mark.parametrize(
    ("policy", "env", "sentence"),
    [
        ({"model": "fail:500"}, {}, "answered 500"),
        ({"model": "say:a number"}, {}, "has no action of the schema: 'a number'"),
        ({"model": 'say:{"number": 12}'}, {}, "The server refused `step`"),
        ({"actions": [{"number": 12}]}, {}, "less than or equal to 9"),
        ({"actions": [{"number": 1}]}, {}, "The 1 actions of the policy end before the episode."),
        ({"actions": []}, {"boom": "no such level"}, "no such level"),
        ({}, {}, "plays no such policy"),
    ],
)
def test_an_episode_that_cannot_be_played_has_a_sentence_and_no_score(
    backend: Server, pool_id: str, policy: dict[str, Any], env: dict[str, Any], sentence: str
) -> None:
    rollout = played(backend, pool_id, policy, env=env)
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert sentence in rollout["error"]["message"]


def test_an_environment_that_never_ends_is_stopped_by_turns(backend: Server, pool_id: str) -> None:
    request = {"env": {"endless": True}, "limits": {"max_turns": 4}}
    stopped = played(backend, pool_id, {"type": "random"}, **request)
    assert (stopped["status"], stopped["score"]) == ("failed", None)
    assert stopped["error"]["details"]["status"] == "timeout"
    assert "max_turns is 4" in stopped["error"]["message"]
    assert stopped["result"]["partial"] == {"reward": -0.5}
    finished = played(backend, pool_id, {"type": "random", "turns": 4}, **request)
    assert (finished["status"], finished["score"]) == ("completed", -0.5)


def test_a_limit_of_time_ends_an_episode(backend: Server, pool_id: str) -> None:
    policy = {"model": "slow:600"}

    def run(limit: int) -> Any:
        return played(backend, pool_id, policy, limits={"timeout_seconds": limit})

    rollout = run_into_limit(run, 1, 10, 40)
    assert rollout["error"]["details"]["status"] == "timeout"
    assert rollout["score"] is None


def test_cancelled_episodes_give_their_places_back(backend: Server, pool_id: str) -> None:
    ids = [backend.rollout(pool_id, seed=1, policy={"model": "slow:600"})["id"] for _ in range(3)]
    eventually(lambda: {backend.state(rollout_id) for rollout_id in ids} == {"running"})
    for rollout_id in ids:
        backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    eventually(lambda: is_idle(backend, pool_id))
    assert {backend.until(rollout_id)["status"] for rollout_id in ids} == {"cancelled"}
    assert played(backend, pool_id, ACTIONS)["score"] == 0.75


def test_a_container_that_is_killed_takes_its_server_along(backend: Server, python: Path) -> None:
    pool_id = environment_pool(backend, python, REFERENCE)
    [pid] = pids(backend, pool_id)
    processes = family(pid)
    assert any("uvicorn" in " ".join(process.cmdline()) for process in processes)
    os.kill(pid, signal.SIGKILL)
    assert gone(processes)
    eventually(lambda: pids(backend, pool_id) - {pid}, 120)
    eventually(lambda: containers(backend, pool_id)[0]["health"] == "healthy", 120)
    assert played(backend, pool_id, ACTIONS)["score"] == 0.75


def test_a_server_is_named_by_its_url_and_one_that_dies_is_started_again(python: Path) -> None:
    with served_environment(python, REFERENCE) as (url, process):
        [server] = psutil.Process(process.pid).children()
        [port] = {
            place.laddr.port
            for place in server.net_connections("tcp")
            if place.status == psutil.CONN_LISTEN
        }
        with served_environment(python, f"openenv:http://127.0.0.1:{port}/") as (second, _):
            assert submit(second, ACTIONS)["metrics"]["outcome_reward"] == 0.75
            server.kill()
            server.wait(30)
            lost = submit(second, ACTIONS)
            assert (lost["status"], lost["metrics"]) == ("failed", {})
            assert "cannot be reached" in lost["status_detail"]
        assert submit(url, ACTIONS)["metrics"]["outcome_reward"] == 0.75


def test_a_server_whose_places_all_hang_is_replaced(python: Path) -> None:
    with (
        served_environment(python, REFERENCE) as (url, process),
        httpx.Client(base_url=url) as http,
    ):
        for number in range(3):
            rollout_id = f"hangs-{number}"
            body = {"rollout_id": rollout_id, "seed": 7, "policy": ACTIONS, "env": {"hangs": True}}
            http.post("/rollouts", json={**body, "submission_mode": "async"}).raise_for_status()
        with ThreadPoolExecutor() as threads:
            # They wait while others play, and play together on the next server.
            eventually(lambda: http.get("/health").json()["running"] == 3)
            played = [threads.submit(submit, url, ACTIONS) for _ in range(4)]
            for number in range(3):
                http.post(f"/rollouts/hangs-{number}/terminate", timeout=30)
            ends = [rollout.result()["metrics"]["outcome_reward"] for rollout in played]
        eventually(lambda: len(psutil.Process(process.pid).children()) == 1)
    assert ends == [0.75] * 4


def test_a_server_that_did_not_start_again_is_started_once_it_can(
    python: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(GUESSING, tmp_path / "guessing")
    app = folder / "server" / "app.py"
    working = app.read_text()
    with served_environment(python, f"openenv:{folder}") as (url, process):
        [server] = psutil.Process(process.pid).children()
        app.write_text("raise RuntimeError('no start now')\n")
        server.kill()
        server.wait(30)
        # Its end is noticed a moment later.
        eventually(lambda: "no start now" in submit(url, ACTIONS).get("status_detail", ""))
        app.write_text(working)
        assert submit(url, ACTIONS)["metrics"]["outcome_reward"] == 0.75


def submit(url: str, policy: dict[str, Any]) -> Any:
    body = {"rollout_id": os.urandom(8).hex(), "seed": 7, "policy": policy}
    return httpx.post(f"{url}/rollouts", json=body, timeout=120).json()


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        (None, "name a folder made by `openenv init`"),
        ("import missing_words", "No module named 'missing_words'"),
        ("app = None", "does not answer as one of OpenEnv"),
    ],
)
def test_a_broken_folder_is_the_error_of_its_pool(
    backend: Server, python: Path, tmp_path: Path, app: str | None, sentence: str
) -> None:
    if app is not None:
        (tmp_path / "openenv.yaml").write_text("app: app:app\n")
        (tmp_path / "app.py").write_text(app)
    pool_id = environment_pool(backend, python, f"openenv:{tmp_path}")
    assert sentence in str(backend.get(f"/v1/pools/{pool_id}")["error"])


def test_an_address_of_another_service_is_the_error_of_its_pool(
    backend: Server, python: Path, models: ScriptedModels
) -> None:
    pool_id = environment_pool(backend, python, f"openenv:{models.url}")
    assert "does not answer as one of OpenEnv" in str(backend.get(f"/v1/pools/{pool_id}")["error"])


def test_its_container_keeps_the_protocol(python: Path, models: ScriptedModels) -> None:
    with served_environment(python, REFERENCE, OPENAI_BASE_URL=models.base_url) as (url, _):
        report = run_container_test(
            url,
            rollout_request={"seed": 7, "policy": ACTIONS},
            slow_request={"policy": {"model": "slow:600"}},
        )
    assert report.departures == ()
    assert report.exit_code == 0, report.summary


def test_what_openenv_makes_is_played(python: Path, tmp_path: Path) -> None:
    program = python.with_name("openenv")
    completed = subprocess.run([program, "init", "words_env"], cwd=tmp_path, capture_output=True)
    assert completed.returncode == 0, completed.stderr
    with served_environment(python, f"openenv:{tmp_path / 'words_env'}") as (url, _):
        answer = submit(url, {"type": "random", "turns": 3})
    assert (answer["status"], answer["metrics"]["steps"]) == ("completed", 3)


def test_calls_of_tools_are_actions(backend: Server, python: Path, models: ScriptedModels) -> None:
    env = {"OPENAI_BASE_URL": models.base_url}
    cwd = GUESSING.parent
    pool_id = environment_pool(backend, python, "openenv:./adding", env=env, cwd=cwd)
    sums = [{"tool_name": "add", "arguments": {"x": 1, "y": y}} for y in (2, 6)]
    rollout = played(backend, pool_id, {"actions": sums})
    assert (rollout["status"], rollout["score"]) == ("completed", 0.75)
    answers = json.dumps([json.dumps(call) for call in sums])
    rollout = played(backend, pool_id, {"model": f"seq:{answers}"})
    assert (rollout["status"], rollout["score"]) == ("completed", 0.75)
    assert "Add two numbers." in models.prompts[-1]["messages"][0]["content"]
    rollout = played(backend, pool_id, {"model": 'say:{"x": 1}'})
    assert "has no action of the schema" in rollout["error"]["message"]
    rollout = played(backend, pool_id, {"type": "random", "turns": 2})
    assert rollout["status"] == "completed"


@pytest.mark.timeout(300)
def test_an_image_is_run_and_ends_with_its_container(python: Path, tmp_path: Path) -> None:
    engine = EngineUnderTest("podman", tmp_path / "podman")
    if not engine.is_there:
        pytest.skip("there is no podman")
    image = "localhost/openenv-of-the-tests:1"
    [websockets] = python.parent.parent.glob("lib/python*/site-packages/websockets")
    engine.build(GUESSING.parent / "adding/image.py", websockets, name=image, starts="image.py")
    variables = {**engine.variables, "TMPDIR": str(tmp_path)}
    try:
        with served_environment(python, f"openenv:docker://{image}", **variables) as (url, process):
            answer = submit(url, {"type": "random"})
            assert (answer["status"], answer["metrics"]["outcome_reward"]) == ("completed", 3.0)
            process.kill()
            process.wait(60)
        eventually(lambda: engine.say("ps", "--all", "--quiet") == "")
    finally:
        engine.say("rm", "--force", "--all", check=False)
