"""`synth-pools env` where no framework is installed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.cli.environments.run import _tasks
from synth_pools.environments.kinds import KINDS, id_from_name
from synth_pools.environments.pythons import (
    NotInstalledError,
    check_python,
    find_python,
    launch_command,
    requirements_of,
)
from synth_pools.errors import ServerError
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.commands import run_command
from tests.support.containers import http, odd_container
from tests.support.fleet_service import until

INSTALL = "synth-pools env install inspect"


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_the_list_has_what_each_kind_needs(command: Command) -> None:
    rows = json.loads(command("env", "list", "-o", "json").stdout)["items"]
    assert [row["kind"] for row in rows] == list(KINDS)
    [row] = [row for row in rows if row["kind"] == "inspect"]
    assert row["advice"] == f"inspect is not installed: {INSTALL}"
    assert row["release"] is None
    text = command("env", "list").stdout
    assert INSTALL in text
    brought = next(line for line in text.splitlines() if "'synth-pools[inspect]' brings" in line)
    assert "inspect-ai" in brought
    assert "harbor" not in brought


def test_requirements_are_those_of_the_extra() -> None:
    lines = requirements_of(KINDS["harbor"])
    assert any(line.startswith("harbor") and "python_version" in line for line in lines)
    assert all("extra" not in line for line in lines)
    assert any(line.startswith("uvicorn") for line in lines)
    assert not any(line.startswith("pyarrow") for line in lines)


@pytest.mark.parametrize("words", [["run"], ["show"], ["serve"]])
def test_a_missing_framework_is_told_before_anything_starts(
    command: Command, words: list[str]
) -> None:
    done = command("env", *words, "inspect:tasks.py@sums")
    assert done.returncode == 2
    assert INSTALL in done.stderr
    assert "pip install 'synth-pools[inspect]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gym:CartPole-v1"], "The kinds are gymnasium"),
        (["gymnasium:A-v1", "--policy", "{bad"], "--policy is no JSON"),
        (["gymnasium:A-v1", "--seeds", "5"], "--seeds: a number alone"),
        (["gymnasium:A-v1", "limits=many"], "limits"),
        (["gymnasium:A-v1", "--python", "/nothing/python"], "no program"),
        (["gymnasium:A-v1", "--policy", "random", "--limit", "0"], "--limit"),
        (["gymnasium:A-v1", "--limit", "3", "--seeds", "0..9"], "--limit is for all tasks"),
        (["gymnasium:A-v1", "--pass-env", "NO_SUCH_KEY"], "NO_SUCH_KEY: this terminal has no"),
        (["harbor:./tasks", "--agent", "oracle", "--seeds", "0..9"], "harbor has no seeds"),
        (
            ["inspect:t.py", "--model", "m", "--model-url", "http://h", "--seeds", "0..1"],
            "--task all",
        ),
    ],
)
def test_wrong_options_are_told_before_anything_starts(
    command: Command, words: list[str], message: str
) -> None:
    done = command("env", "run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "watch it" not in done.stderr


URL = ["--model-url", "http://127.0.0.1:9/v1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gymnasium:A-v1", "--model", "m"], "has no address of a model"),
        (["gymnasium:A-v1", "--model", "m", "--model-url", "here"], "Give it with --model-url."),
        (["gymnasium:A-v1"], "nothing plays gymnasium: give --policy random"),
        (["openenv:./a", "--policy", "greedy"], "nothing plays openenv: give --policy random"),
        (["openenv:./a", "--policy", "random", *URL], "--model-url needs --model"),
        (["gymnasium:A-v1", "--agent", "oracle"], "policy.agent is not read by gymnasium"),
        (["inspect:t.py"], "inspect is played by a model: give --model NAME with --model-url"),
        (["inspect:t.py", "--policy", "random"], "policy.type is not read by inspect"),
        (["verifiers:a", "--model", "m", *URL, "policy.top_k=1"], "policy.top_k is not read by"),
        (["harbor:./tasks"], "harbor is played by agents: give --agent oracle"),
    ],
)
def test_policies_that_are_not_played_are_told_before_anything_starts(
    command: Command, tmp_path: Path, words: list[str], message: str
) -> None:
    python = python_that_prints(tmp_path, '[[], "1.0", [3, 12]]')
    done = command("env", "run", *words, "--python", str(python))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_machine_without_an_engine_is_told_so_before_anything_starts(
    command: Command, tmp_path: Path
) -> None:
    python = python_that_prints(tmp_path, '[[], "1.0", [3, 12]]')
    words = ["harbor:./tasks", "--agent", "oracle", "--python", python]
    done = command("env", "run", *words, PATH=str(tmp_path))
    assert done.returncode == 2
    assert "none of docker, podman is here" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def python_that_prints(folder: Path, text: str) -> Path:
    """Make a program that a framework's Python could be."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho '{text}'\n")
    program.chmod(0o755)
    return program


def test_a_python_of_the_user_is_examined(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError, match=r"has no verifiers: .*env install verifiers"):
        check_python(Path(sys.executable), KINDS["verifiers"])
    program = python_that_prints(tmp_path, '[[], "0.26", [3, 11]]')
    with pytest.raises(NotInstalledError, match=r"harbor needs Python 3\.12: .* is older"):
        find_python(KINDS["harbor"], program)
    assert find_python(KINDS["inspect"], program).release == "0.26"
    python_that_prints(tmp_path, "nothing")
    with pytest.raises(NotInstalledError, match="does not run as a Python"):
        find_python(KINDS["gymnasium"], program)


def test_a_run_goes_on_at_its_former_address_alone(command: Command, tmp_path: Path) -> None:
    python = python_that_prints(tmp_path, '[[], "1.0", [3, 12]]')
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (tmp_path / "port").write_text(str(port))
        words = [
            "--policy",
            "random",
            "--seeds",
            "0..3",
            "--python",
            python,
            "--data-dir",
            tmp_path,
        ]
        done = command("env", "run", "gymnasium:A-v1", *words)
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is taken by another process: journals of earlier" in done.stderr


def test_only_a_container_without_the_route_has_no_tasks(backend: LocalBackend) -> None:
    answers = [http(404, {"detail": "no route"}), http(400, {"detail": "broken"})]
    service = ContainerPoolsClient(api_key=backend.api_key, backend_base=backend.url, max_retries=0)
    with odd_container(lambda _: answers.pop(0)) as container, service as client:
        pool_id = client.create_pool({"name": "x", "container_url": container.url})["id"]
        assert _tasks(client, pool_id) is None
        with pytest.raises(ServerError, match="broken"):
            _tasks(client, pool_id)


def test_the_pool_of_an_environment_has_its_processes(tmp_path: Path) -> None:
    python = python_that_prints(tmp_path, '[[], "1.0", [3, 12]]')
    body = LocalBackend.environment(
        "openenv:./my_env", replicas=3, python=python, folder=tmp_path, variables={"A": "b"}
    )
    process = body["config"]["process"]
    assert process["argv"] == [*launch_command(python), "openenv:./my_env"]
    assert (process["cwd"], process["env"]) == (str(tmp_path), {"A": "b"})
    assert (body["capacity"], body["target"]) == (3, "openenv")
    assert body["concurrency"] == 3 * KINDS["openenv"].concurrency
    assert body["id"] == id_from_name("openenv:./my_env") == "openenv:.-my_env"
    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        # The definition is one that a backend takes.
        assert client.create_pool(body)["name"] == "openenv:./my_env"


def test_an_adapter_that_cannot_be_loaded_ends_with_the_status_of_no_restart() -> None:
    # The framework is missing from this Python.
    command = [*launch_command(Path(sys.executable)), "harbor:./tasks"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=60)
    assert done.returncode == 78
    last = done.stderr.splitlines()[-1]
    assert last.startswith("The container cannot start. ")
    assert sys.executable in last


def test_a_pool_of_an_environment_is_created_by_its_command(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    python = python_that_prints(tmp_path, '[[], "1.0", [3, 12]]')
    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        service = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
        words = ["--environment", "inspect:tasks.py@sums", "--replicas", "2", "--python", python]
        done = run_command(
            "pools",
            "create",
            *words,
            "name=sums",
            "-o",
            "id",
            environment={**surroundings, **service},
        )
        assert done.stdout == "inspect:tasks.py-sums\n"
        pool = client.get_pool("inspect:tasks.py-sums")
        assert (pool["name"], pool["capacity"], pool["concurrency"]) == ("sums", 2, 2)
        assert pool["config"]["process"]["argv"][-1] == "inspect:tasks.py@sums"


def test_variables_of_the_operator_reach_processes_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-of-the-model-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OTHER_API_KEY", "of-another-service")
    program = "import os, time; print('it is', os.environ.get('OPENAI_API_KEY')); "
    program += "print('and', os.environ.get('OTHER_API_KEY'), flush=True); time.sleep(60)"
    config = {"process": {"argv": [sys.executable, "-c", program]}}
    operated = LocalBackend(tmp_path, allow_processes=True, process_envs=["OPENAI_API_KEY"])
    with operated as backend, backend.client() as client:
        client.create_pool({"id": "p", "config": config})
        assert until(lambda: len(lines(client)) > 1)
        assert lines(client)[:2] == ["it is ***", "and None"]
        assert key not in json.dumps(client.get_pool("p"))
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.glob("*.db*"))


def lines(client: ContainerPoolsClient) -> list[str]:
    page = client.get_pool_logs("p")
    return [line["text"] for line in page["lines"]]
