"""`synth-pools rollouts trajectory`: all of a trajectory, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth_pools.cli.operations.trajectories import trajectory_text
from synth_pools.container import Container, Rollout
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command

TEXT = """\
door · 1 · small · 2 steps · 1,200 + 3 tokens (4 cached) · $0.5
schema_version: ATIF-v1.8
notes: by hand

1  user · 2026-01-01T00:00:00Z
   Open the door.
     Gently.\\x1b[31m

2  agent · small · 1,200 + 3 tokens (4 cached) · $0.5 · 0.0589 s · reward 1
   reasoning_content: Hm.
   I see:
   {"media_type": "image/png", "path": "a.png"}
   → [c1] pull({"by": "hand"}) {"extra": {"slow": true}}
   ← [c1] It is
          open.
   ← a draught
   prompt_token_ids: 2 numbers
   error: Overloaded. {"status": 503}
   extra: {"attempt": 2}
"""
PARTS = [
    {"type": "text", "text": "I see:"},
    {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}},
]
METRICS = {"prompt_tokens": 1200, "completion_tokens": 3, "cached_tokens": 4, "cost_usd": 0.5}
ATIF = {
    "schema_version": "ATIF-v1.8",
    "agent": {"name": "door", "version": "1", "model_name": "small"},
    "steps": [
        {
            "step_id": 1,
            "source": "user",
            "message": "Open the door.\n  Gently.\x1b[31m",
            "timestamp": "2026-01-01T00:00:00.25+00:00",
        },
        {
            "step_id": 2,
            "source": "agent",
            "message": PARTS,
            "model_name": "small",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {
                    "tool_call_id": "c1",
                    "function_name": "pull",
                    "arguments": {"by": "hand"},
                    "extra": {"slow": True},
                }
            ],
            "observation": {
                "results": [
                    {"source_call_id": "c1", "content": "It is\nopen."},
                    {"content": "a draught"},
                ]
            },
            "metrics": {**METRICS, "prompt_token_ids": [1, 2]},
            "llm_call_count": 1,
            "extra": {
                "reward": 1,
                "attempt": 2,
                "seconds": 0.0589,
                "error": {"message": "Overloaded.", "status": 503},
            },
        },
    ],
    "notes": "by hand",
    "final_metrics": {**{f"total_{name}": value for name, value in METRICS.items()}},
}


def test_all_of_a_trajectory_is_laid_out() -> None:
    document = {**ATIF, "final_metrics": {**ATIF["final_metrics"], "total_steps": 2}}  # type: ignore[dict-item]
    assert trajectory_text(document) == TEXT


def test_a_terminal_has_long_lines_wrapped_below_their_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    step: dict[str, Any] = {"step_id": 1, "source": "agent", "message": "word " * 12}
    step["observation"] = {"results": [{"source_call_id": "c1", "content": "seen " * 10}]}
    document = {"agent": {"name": "door", "version": "unknown"}, "steps": [step]}
    assert trajectory_text(document) == (
        f"door\n\n1  agent\n   {'word ' * 7}".rstrip()
        + f"\n   {'word ' * 5}".rstrip()
        + f"\n   ← [c1] {'seen ' * 6}".rstrip()
        + f"\n          {'seen ' * 4}".rstrip()
        + "\n"
    )
    # One word of megabytes, such as an image, takes no time.
    step["message"] = "x" * 10_000_000
    assert "x" * 10_000_000 in trajectory_text(document)


def test_what_is_no_trajectory_is_laid_out_like_any_answer() -> None:
    assert trajectory_text({"items": [], "x\x1b": 1}) == "items  []\nx\\x1b  1\n"


def test_the_command_reads_steps(command: Command, backend: LocalBackend) -> None:
    container = Container("door")

    @container.rollout
    def play(rollout: Rollout) -> float:
        for number in range(1, 4):
            rollout.step("user", f"message {number}")
        return 1

    with container.running() as url, backend.client() as client:
        pool = client.create_pool({"name": "door", "container_url": url})
        rollout_id = client.rollouts.run(pool["id"], {})["id"]
        document = client.rollouts.trajectory(pool["id"], rollout_id)
        part = client.agent_rollouts.trajectory(rollout_id, step=2)
        bare = client.create_rollout(client.create_pool({"name": "echo"})["id"], {"mode": "sync"})[
            "id"
        ]
    assert [step["message"] for step in part["steps"]] == ["message 2"]
    done = command("rollouts", "trajectory", rollout_id, "--step", "2..")
    assert (done.returncode, done.stderr) == (0, "")
    assert [number for number in range(1, 4) if f"message {number}" in done.stdout] == [2, 3]
    for step, status, says in (
        ("4", 3, "--step 4: the trajectory has no such step"),
        ("9..", 3, "--step 9..: the trajectory has no such step"),
        ("3..2", 2, "query.step: 2 is before 3"),
    ):
        for form in ("table", "json"):
            done = command("rollouts", "trajectory", rollout_id, "--step", step, "-o", form)
            assert (done.returncode, done.stdout) == (status, "")
            assert says in done.stderr
    done = command("rollouts", "trajectory", rollout_id, "-o", "json")
    assert json.loads(done.stdout) == document
    done = command("rollouts", "trajectory", bare)
    assert done.returncode != 0
    assert "The rollout has no trajectory." in done.stderr
