"""Trajectories that were exported, read back by Harbor's own model."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from synth_pools.container import Container, Rollout
from tests.support.backend_server import KEY, Server
from tests.support.commands import run_command

READER = """
import json, sys
from harbor.models.trajectories import Trajectory
for line in open(sys.argv[1], encoding="utf-8"):
    document = json.loads(line)
    read = Trajectory.model_validate(document)
    print(json.dumps([read.to_json_dict() == document, len(read.steps)]))
"""
CONTAINER = Container("door")


@CONTAINER.rollout
def play(rollout: Rollout) -> float:
    rollout.trajectory.tool_definitions = [{"type": "function", "function": {"name": "pull"}}]
    image = {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}}
    rollout.step("system", [{"type": "text", "text": "Open"}, image])
    rollout.step("user", "\ud83d", model_name="m", metrics={"prompt_tokens": 1})
    rollout.step(
        reasoning_content="Hm.",
        tool_calls=[{"id": "c", "function": {"name": "pull", "arguments": "{"}}],
        observation=[
            {"source_call_id": "c", "content": {"is_open": True}},
            {"source_call_id": "none", "content": None},
        ],
        reward=0.5,
        model_name="m",
        metrics={
            "prompt_tokens": 2,
            "completion_tokens": "many",
            "cost_usd": math.inf,
            "prompt_token_ids": [1, 2],
            "completion_token_ids": [3],
            "logprobs": [-math.inf],
        },
        llm_call_count=1,
    )
    rollout.step(metrics={"prompt_tokens": 2}, llm_call_count=0, timestamp="now")
    return 1


def test_harbor_reads_them(
    backend: Server, python_of: Callable[[str], Path], tmp_path: Path
) -> None:
    python, journal, lines = python_of("harbor"), tmp_path / "run.jsonl", tmp_path / "atif.jsonl"
    environment = os.environ | {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": KEY}
    with CONTAINER.running() as url:
        pool_id = backend.pool(container_url=url)
        done = run_command(
            "run", pool_id, "--seeds", "0..1", "--journal", journal, environment=environment
        )
        assert done.returncode == 0, done.stderr
    done = run_command(
        "export", journal, "--format", "atif", "--out", lines, environment=environment
    )
    assert done.returncode == 0, done.stderr
    read = subprocess.run(
        [str(python), "-c", READER, str(lines)], capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    assert [json.loads(line) for line in read.stdout.splitlines()] == [[True, 4]] * 2
