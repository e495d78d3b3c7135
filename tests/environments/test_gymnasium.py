"""Environments of Gymnasium: episodes of the real framework, in pools of a real backend."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.cli.environments.run import POLICY_FIELDS
from synth_pools.contract.container.run import run_container_test
from tests.support.backend_server import Server, eventually
from tests.support.commands import run_command, started
from tests.support.environments import environment_pool, run_into_limit, served_environment
from tests.support.scripted_models import ScriptedModels

pytestmark = [pytest.mark.environments, pytest.mark.xdist_group("gymnasium")]

REFERENCE = "gymnasium:CartPole-v1"
LEFT_AND_RIGHT = {"actions": [0, 1] * 300}
NOWHERE = "http://127.0.0.1:1/v1"
# Long enough to be masked.
KEY = "sk-of-the-model-0123456789"


@pytest.fixture(scope="module")
def python(python_of: Callable[[str], Path]) -> Path:
    return python_of("gymnasium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module of the user, which registers an environment and has a policy."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "guesses.py").write_text(
        "import gymnasium, time\n"
        "from pathlib import Path\n"
        "from gymnasium.spaces import Discrete\n"
        "class Guess(gymnasium.Env):\n"
        "    action_space = Discrete(4)\n"
        "    observation_space = Discrete(4)\n"
        "    def __init__(self, pause=0.0, marks=None):\n"
        "        self.pause, self.marks = pause, marks\n"
        "    def mark(self, name):\n"
        "        if self.marks:\n"
        "            Path(self.marks, name).touch()\n"
        "    def close(self):\n"
        "        self.mark('closed')\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        self.mark('reset')\n"
        "        time.sleep(0.3 if self.marks else 0.0)\n"
        "        self.number = int(self.np_random.integers(4))\n"
        "        return self.number, {}\n"
        "    def step(self, action):\n"
        "        time.sleep(self.pause)\n"
        "        is_right = int(action) == self.number\n"
        "        return self.number, float(is_right), is_right, False, {}\n"
        "gymnasium.register('Guess-v0', Guess)\n"
        "def tell(observation):\n"
        "    return observation\n"
    )
    (folder / "broken.py").write_text("import math\n\nraise RuntimeError('no data here')\n")
    return folder


@pytest.fixture(scope="module")
def cart_poles(backend: Server, python: Path, models: ScriptedModels) -> str:
    env = {"OPENAI_BASE_URL": models.base_url}
    return environment_pool(backend, python, REFERENCE, env=env)


@pytest.fixture(scope="module")
def guesses(backend: Server, python: Path, folder: Path, models: ScriptedModels) -> str:
    env = {"OPENAI_BASE_URL": models.base_url}
    return environment_pool(backend, python, "gymnasium:guesses:Guess-v0", env=env, cwd=folder)


def test_the_same_seed_has_the_same_reward_and_steps_are_events(
    backend: Server, cart_poles: str
) -> None:
    first, second = (backend.run(cart_poles, seed=3, policy={"type": "random"}) for _ in range(2))
    assert first["status"] == second["status"] == "completed"
    assert first["score"] == second["score"] == first["metrics"]["steps"]
    events = [event for event in backend.events(first["id"]) if event["event"] == "agent"]
    assert [event["data"]["step"] for event in events] == list(range(1, int(first["score"]) + 1))
    assert len(events[0]["data"]["observation"]) == 4


@pytest.mark.parametrize(
    "policy",
    [
        {"actions": [0, 1, 2, 3]},
        {"type": "random", "actions": [0, 1, 2, 3]},
        {"python": "guesses:tell"},
    ],
)
def test_actions_and_functions_play(backend: Server, guesses: str, policy: dict[str, Any]) -> None:
    rollout = backend.run(guesses, seed=0, policy=policy)
    assert (rollout["status"], rollout["score"]) == ("completed", 1.0)
    steps = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    count = int(rollout["metrics"]["steps"])
    assert [step["source"] for step in steps] == ["user", *["agent"] * count]
    assert steps[-1]["message"] == "3"
    assert all("observation" in step for step in steps[1:])
    assert sum(step["extra"]["reward"] for step in steps[1:]) == 1.0


def test_a_model_plays_and_its_tokens_count(
    backend: Server, cart_poles: str, models: ScriptedModels
) -> None:
    policy = {"model": "say:0 or rather 1", "temperature": 0.2}
    rollout = backend.run(cart_poles, seed=0, policy=policy)
    assert rollout["status"] == "completed"
    steps = rollout["metrics"]["steps"]
    assert rollout["score"] == steps
    usage = backend.get(f"/v1/rollouts/{rollout['id']}/usage")
    # A word is a token.
    assert usage["llm_output_tokens"] == 4 * steps
    first, question, step, *_ = backend.get(f"/v1/rollouts/{rollout['id']}/trajectory")["steps"]
    assert "Discrete(2)" in first["message"]
    assert len(json.loads(question["message"])) == 4
    assert (step["message"], step["model_name"]) == ("0 or rather 1", policy["model"])
    assert (step["metrics"]["completion_tokens"], step["extra"]["reward"]) == (4, 1.0)
    # The server says them, and the relay asks for them.
    assert len(step["metrics"]["completion_token_ids"]) == 4
    body = models.prompts[-1]
    assert (body["model"], body["temperature"]) == (policy["model"], 0.2)
    assert "Discrete(2)" in body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("policy", "status", "detail"),
    [
        ({"actions": [9]}, "failed", "no action of Discrete(4)"),
        ({"actions": []}, "failed", "end before the episode"),
        ({"python": "os:getcwd"}, "failed", "no module os in the folder"),
        ({"python": "guesses:nothing"}, "failed", "no function nothing"),
        ({"model": "say:I do not know"}, "failed", "has no action of Discrete(4)"),
        ({"model": "fail:500"}, "failed", "answered 500"),
        ({"model": "odd:{}"}, "failed", "no chat completion"),
        ({"model": "cut"}, "failed", "cannot be reached"),
        ({"model": "any", "inference_url": NOWHERE}, "failed", f"at {NOWHERE} cannot be reached"),
        ({}, "failed", "plays no such policy"),
    ],
)
def test_an_episode_that_cannot_be_played_has_a_sentence_and_no_score(
    backend: Server, guesses: str, policy: dict[str, Any], status: str, detail: str
) -> None:
    rollout = backend.run(guesses, seed=0, policy=policy)
    assert rollout["status"] == status
    assert rollout["score"] is None
    assert detail in json.dumps(rollout)


def test_a_limit_is_a_timeout_with_the_reward_so_far(backend: Server, cart_poles: str) -> None:
    rollout = backend.run(cart_poles, seed=1, policy=LEFT_AND_RIGHT, limits={"max_turns": 4})
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert rollout["error"]["details"]["status"] == "timeout"
    assert rollout["result"]["partial"] == {"reward": 4.0}
    rollout = backend.run(cart_poles, seed=1, policy=LEFT_AND_RIGHT, limits={"max_turns": "4"})
    assert rollout["result"]["status_detail"] == '`limits.max_turns` is no number: "4".'
    chatty = {"model": "say:0 or rather 1"}
    rollout = backend.run(cart_poles, seed=1, policy=chatty, limits={"max_tokens": 1})
    assert rollout["error"]["details"]["status"] == "timeout"
    assert rollout["result"]["status_detail"] == "The episode was stopped: max_tokens is 1."
    assert rollout["result"]["partial"] == {"reward": 1.0}


def test_a_limit_of_time_is_a_timeout(backend: Server, cart_poles: str) -> None:
    def run(limit: int) -> Any:
        slow = {"model": "slow:60"}
        return backend.run(cart_poles, seed=1, policy=slow, limits={"timeout_seconds": limit})

    rollout = run_into_limit(run, 1, 10, 30)
    assert rollout["error"]["details"]["status"] == "timeout"


def test_a_cancelled_episode_ends_and_leaves_its_place(
    backend: Server, guesses: str, models: ScriptedModels
) -> None:
    begun_calls = len(models.prompts)
    waiting = [
        backend.rollout(guesses, seed=seed, policy={"model": "slow:60"})["id"] for seed in range(8)
    ]
    eventually(lambda: len(models.prompts) >= begun_calls + 8)
    for rollout_id in waiting:
        backend.send("POST", f"/v1/rollouts/{rollout_id}/cancel")
    assert {backend.until(rollout_id)["status"] for rollout_id in waiting} == {"cancelled"}
    health = f"/v1/pools/{guesses}/container/health"
    eventually(lambda: backend.get(health)["running"] == 0)
    assert backend.run(guesses, seed=0, policy={"python": "guesses:tell"})["score"] == 1.0


def test_an_environment_is_closed_whose_episode_is_cancelled_while_it_begins(
    backend: Server, guesses: str, tmp_path: Path
) -> None:
    env = {"marks": str(tmp_path)}
    rollout = backend.rollout(guesses, seed=0, policy={"python": "guesses:tell"}, env=env)
    eventually((tmp_path / "reset").exists)
    backend.send("POST", f"/v1/rollouts/{rollout['id']}/cancel")
    assert backend.until(rollout["id"])["status"] == "cancelled"
    eventually((tmp_path / "closed").exists)


def test_a_process_whose_episodes_all_hang_is_replaced(
    backend: Server, python: Path, folder: Path
) -> None:
    pool_id = environment_pool(backend, python, "gymnasium:guesses:Guess-v0", cwd=folder)
    places = backend.get(f"/v1/pools/{pool_id}")["concurrency"]
    policy = {"python": "guesses:tell"}
    hanging = [
        backend.rollout(pool_id, seed=0, policy=policy, env={"pause": 3600})["id"]
        for _ in range(places)
    ]
    health = f"/v1/pools/{pool_id}/container/health"
    eventually(lambda: backend.get(health)["running"] == places)
    for rollout_id in hanging:
        backend.send("POST", f"/v1/rollouts/{rollout_id}/cancel")
    assert {backend.until(rollout_id)["status"] for rollout_id in hanging} == {"cancelled"}
    assert backend.run(pool_id, seed=0, policy=policy)["score"] == 1.0


def test_the_container_keeps_its_protocol(python: Path, models: ScriptedModels) -> None:
    with served_environment(python, REFERENCE, OPENAI_BASE_URL=models.base_url) as (url, _):
        report = run_container_test(
            url,
            rollout_request={"seed": 7, "policy": {"type": "random"}},
            slow_request={"policy": {"model": "slow:600"}},
        )
    assert report.departures == ()
    assert report.exit_code == 0, report.summary


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("gymnasium:Nope-v0", "NameNotFound: Environment `Nope` doesn't exist"),
        ("gymnasium:broken:Any-v0", "broken.py, line 3: RuntimeError: no data here"),
    ],
)
def test_code_that_cannot_start_is_the_error_of_the_pool_at_once(
    backend: Server, python: Path, folder: Path, reference: str, sentence: str
) -> None:
    # The pool does not wait for its time to start.
    pool_id = environment_pool(backend, python, reference, cwd=folder, start_seconds=3600)
    assert backend.get(f"/v1/pools/{pool_id}")["status"] == "failed"
    output = backend.get(f"/v1/pools/{pool_id}")["error"]["details"]["output"]
    assert sentence in output[-1]


@pytest.fixture
def surroundings(tmp_path: Path, python: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    installed = str(python.parent.parent.parent)
    return {**inherited, "HOME": str(tmp_path), "SYNTH_POOLS_ENVIRONMENTS": installed}


def test_one_command_runs_an_environment(surroundings: dict[str, str], python: Path) -> None:
    words = ["--seeds", "0..99", "--policy", "random", "-o", "json"]
    done = run_command("env", "run", REFERENCE, *words, environment=surroundings)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["statuses"] == {"completed": 100}
    assert 15 < summary["reward"]["mean"] < 35
    assert str(python) in done.stderr
    assert "watch it at http://127.0.0.1:" in done.stderr


def test_what_an_environment_reads_is_shown(surroundings: dict[str, str]) -> None:
    done = run_command("env", "show", REFERENCE, "-o", "json", environment=surroundings)
    description = json.loads(done.stdout)
    assert description["tasks"] is None
    assert description["reads"]["policy"].keys() == POLICY_FIELDS["gymnasium"]
    done = run_command("env", "show", "gymnasium:Nope-v0", environment=surroundings)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("synth-pools: error: NameNotFound: ")


def test_one_is_served_alone(surroundings: dict[str, str]) -> None:
    words = ["env", "serve", REFERENCE, "--port", "0"]
    with started(*words, environment=surroundings) as process:
        assert process.stdout is not None
        reference, _, url = process.stdout.readline().strip().partition(": ")
        assert reference == REFERENCE
        body = {"rollout_id": "r", "seed": 1, "policy": {"type": "random"}}
        answer = httpx.post(f"{url}/rollouts", json=body, timeout=60).json()
        assert answer["status"] == "completed"


def test_only_the_server_of_the_model_gets_its_key(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with ScriptedModels() as models, ScriptedModels() as others:
        urls = ["--model-url", models.base_url]
        words = ["--model", "say:1", *urls, "--seeds", "0..3", "--data-dir", data]
        environment = {**surroundings, "OPENAI_API_KEY": KEY}
        done = run_command("env", "run", REFERENCE, *words, environment=environment)
        assert done.returncode == 0, done.stderr
        assert {call.headers["authorization"] for call in models.requests} == {f"Bearer {KEY}"}
        elsewhere = f"policy.inference_url={others.base_url}"
        done = run_command("env", "run", REFERENCE, *words, elsewhere, environment=environment)
        assert {call.headers.get("authorization") for call in others.requests} == {None}
    assert KEY not in done.stdout + done.stderr
    files = [path for path in data.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_the_same_command_goes_on_after_it_was_killed(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    out, journal = tmp_path / "out.jsonl", tmp_path / "run.jsonl"
    with ScriptedModels() as models:
        words = ["env", "run", REFERENCE, "--seeds", "0..59", "--model", "slow:0.1:say:1"]
        words += ["--model-url", models.base_url, "--in-flight", "10"]
        files = ["--out", str(out), "--journal", str(journal)]
        with started(*words, *files, environment=surroundings) as running:
            eventually(lambda: out.exists() and len(out.read_bytes().splitlines()) > 5)
            running.kill()
        done = run_command(*words, *files, environment=surroundings)
    assert done.returncode in (0, 1), done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["index"] for row in rows) == list(range(60))
    assert len({row["rollout_id"] for row in rows}) == 60
    # Episodes that ran when the backend was killed have failed, and nothing else.
    assert [row["status"] for row in rows].count("completed") >= 50
