"""Files of `synth-pools export`, opened with the tools that read them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from synth_pools.container import Container, Rollout
from synth_pools.local import LocalBackend
from tests.cli.fleet.test_export_trajectories import CONTAINER
from tests.support.commands import run_command
from tests.tools.toolbox import HERE, python_tool
from tests.tools.toolbox import run as run_program

PROGRAMS = HERE / "programs"


@pytest.fixture
def journal(backend: LocalBackend, tmp_path: Path) -> Path:
    """Run of two seeds with two repeats, where a single rollout fails."""
    path = tmp_path / "run.jsonl"
    requests: list[dict[str, Any]] = [
        {"seed": seed, "env": {"reward": seed / 4, "fail": seed == 3}} for seed in (1, 1, 2, 2, 3)
    ]
    with backend.client() as client:
        client.create_pool({"pool_id": "p", "name": "p"})
        client.create_task("p", {"task_id": "addition"})
        for request in requests:
            request["task_id"] = "addition"
        assert len(list(client.rollouts.run_many("p", requests, journal=path))) == 5
    return path


def exported(run: Path, form: str, target: Path) -> Path:
    completed = run_command("export", run, "--format", form, "--out", target)
    assert (completed.returncode, completed.stderr) == (0, "")
    return target


def read_by(program: str, path: Path, folder: Path) -> Any:
    return json.loads(
        run_program([str(python_tool("python")), str(PROGRAMS / program), str(path)], folder)
    )


def test_inspect_reads_the_log(journal: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    exported(journal, "inspect", logs / "run.eval")
    contents = read_by("read_inspect.py", logs, tmp_path)
    assert contents["status"] == "success"
    assert contents["task"] == "addition"
    assert contents["metrics"] == {"mean": 0.375, "stderr": pytest.approx(0.0721687, abs=1e-6)}
    assert sorted(contents["samples"]) == [
        ["addition seed 1", 1, 0.25, None],
        ["addition seed 1", 2, 0.25, None],
        ["addition seed 2", 1, 0.5, None],
        ["addition seed 2", 2, 0.5, None],
        ["addition seed 3", 1, None, "container_failed: env.fail asked for a failure"],
    ]
    # Its views and its data frames agree.
    assert sorted(contents["summaries"]) == sorted(contents["samples"])
    assert contents["frame"] == [0.25, 0.25, 0.5, 0.5]
    assert json.loads(contents["answer"])["metrics"] == {"outcome_reward": 0.25}


def test_inspect_reads_messages_and_usage(backend: LocalBackend, tmp_path: Path) -> None:
    container = Container("door")

    @container.rollout
    def play(rollout: Rollout) -> float:
        picture = {"type": "image_url", "image_url": {"url": "door.png"}}
        rollout.step("user", [{"type": "text", "text": "Open the door."}, picture])
        rollout.step(
            message="I pull.",
            reasoning_content="Hm.",
            tool_calls=[{"id": "c", "function": {"name": "pull", "arguments": "{}"}}],
            observation=[{"source_call_id": "c", "content": "It is open."}],
            model_name="small",
            metrics={
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "cached_tokens": 4,
                "cost_usd": 0.5,
            },
            extra={"finish_reason": "length"},
        )
        return 1

    path, logs = tmp_path / "run.jsonl", tmp_path / "logs"
    logs.mkdir()
    with container.running() as url, backend.client() as client:
        client.create_pool({"pool_id": "door", "name": "door", "container_url": url})
        assert len(list(client.rollouts.run_many("door", [{"seed": 1}] * 2, journal=path))) == 2
    variables = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    target = logs / "run.eval"
    done = run_command(
        "export", path, "--format", "inspect", "--out", target, environment=os.environ | variables
    )
    assert (done.returncode, done.stderr) == (0, "")
    contents = read_by("read_messages.py", logs, tmp_path)
    usage = {"input_tokens": 8, "output_tokens": 3, "total_tokens": 15, "cache": 4, "cost": 0.5}
    assert contents == {
        "model": "small",
        "usage": {"small": {name: 2 * value for name, value in usage.items()}},
        "samples": [
            {
                "messages": [
                    ["user", "Open the door."],
                    ["assistant", "I pull."],
                    ["tool", "It is open."],
                ],
                "reasoning": "Hm.",
                "call": ["c", "pull", {}],
                "usage": {"small": usage},
                "output": "I pull.",
                "stop": "max_tokens",
                "turns": 1,
                "picture": "door.png",
            }
        ]
        * 2,
        "summaries": [{"small": usage}] * 2,
        "counts": [3, 3],
        "frame": [15, 15],
        # No event has the results after the last call of a model.
        "rows": [["user", "Open the door."], ["assistant", "I pull."]] * 2,
    }


def test_trainers_read_conversations_and_tokens(backend: LocalBackend, tmp_path: Path) -> None:
    run = tmp_path / "run.jsonl"
    with CONTAINER.running() as url, backend.client() as client:
        client.create_pool({"pool_id": "guess", "name": "guess", "container_url": url})
        requests: list[dict[str, Any]] = [{"seed": seed} for seed in (1, 1, 2)]
        assert len(list(client.rollouts.run_many("guess", requests, journal=run))) == 3
    variables = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    paths = [tmp_path / name for name in ("sft.jsonl", "trl.json", "skyrl.json")]
    for path in paths:
        words = ("export", run, "--format", path.stem, "--out", path)
        done = run_command(*words, environment=os.environ | variables)
        assert (done.returncode, done.stderr) == (0, "")
    program = [str(python_tool("python")), str(PROGRAMS / "read_training.py"), *map(str, paths)]
    sft, trl, skyrl = json.loads(run_program(program, tmp_path)).values()
    assert [row["is_conversational"] for row in sft] == [True] * 3
    turn = f"<assistant>{'x' * 5000}<call look><tool>a wall"
    assert sorted(row["text"] for row in sft) == [
        f"<tool look><user>Guess {seed}.{turn}{turn}" for seed in (1, 1, 2)
    ]
    assert trl == []
    # The second prompt of seed 2 does not begin with what came before.
    assert skyrl == 4


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_pandas_reads_the_rows(journal: Path, tmp_path: Path, form: str) -> None:
    path = exported(journal, form, tmp_path / f"out.{form}")
    contents = read_by("read_rows.py", path, tmp_path)
    assert contents == {
        "rows": 5,
        "means": {"1": 0.25, "2": 0.5},
        "failures": {"container_failed": 1},
        "request": {"seed": 1, "env": {"reward": 0.25, "fail": False}, "task_id": "addition"},
        "is_timed": True,
    }
