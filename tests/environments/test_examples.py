"""Examples of environments, run as a reader runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.scripted_models import ScriptedModels

pytestmark = pytest.mark.environments

FOLDER = Path(__file__).parents[2] / "examples" / "environments"


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    installed = Path(os.environ.get("ENVIRONMENTS", ".venv-environments")).absolute()
    return {**inherited, "HOME": str(tmp_path), "SYNTH_POOLS_ENVIRONMENTS": str(installed)}


@pytest.mark.xdist_group("gymnasium")
def test_a_policy_in_python_is_better_than_one_at_random(
    python_of: Callable[[str], Path], surroundings: dict[str, str]
) -> None:
    python_of("gymnasium")
    command = [sys.executable, str(FOLDER / "cart_pole.py"), "10"]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stderr) == (0, "")
    numbers = re.findall(r"10 of 10 played, mean reward ([\d.]+)", done.stdout)
    assert 10 < float(numbers[0]) < 40 < float(numbers[1])


@pytest.mark.xdist_group("inspect")
def test_all_tasks_are_played_and_repeated(
    python_of: Callable[[str], Path],
    surroundings: dict[str, str],
    models: ScriptedModels,
    tmp_path: Path,
) -> None:
    python_of("inspect")
    out = tmp_path / "out.jsonl"
    words = [
        "--model",
        "say:20",
        "--model-url",
        models.base_url,
        "--repeats",
        "2",
        "--replicas",
        "1",
    ]
    command = [sys.executable, "-m", "synth_pools", "env", "run", "inspect:sums.py"]
    done = subprocess.run(
        [*command, "--tasks", "all", *words, "--out", str(out), "-o", "json"],
        cwd=FOLDER,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["statuses"] == {"completed": 20}
    # One sum of ten is 20.
    assert summary["reward"]["mean"] == pytest.approx(0.1)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["task_id"] for row in rows) == sorted([f"sum-{i}" for i in range(10)] * 2)
