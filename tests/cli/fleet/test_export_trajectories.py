"""`synth-pools export` of trajectories; tests/tools and tests/environments read them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools.container import Container, EpisodeError, Rollout
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command

CONTAINER = Container("guess")


@CONTAINER.rollout
def play(rollout: Rollout) -> float | None:
    """Play two turns; the second prompt of seed 2 does not begin with the first."""
    seed = rollout.seed or 0
    rollout.trajectory.tool_definitions = [{"type": "function", "function": {"name": "look"}}]
    rollout.step("user", f"Guess {seed}.")
    if seed == 0:
        raise EpisodeError("No action.")
    for prompt, completion in (([1, seed], [5, 6]), ([1, seed, 5, 6 + (seed == 2), 7], [8])):
        rollout.step(
            message="x" * 5000,
            tool_calls=[{"id": "c", "function": {"name": "look", "arguments": "{}"}}],
            observation=[{"source_call_id": "c", "content": "a wall"}],
            model_name="small",
            metrics={
                "prompt_tokens": len(prompt),
                "completion_tokens": len(completion),
                "cached_tokens": 1,
                "prompt_token_ids": prompt,
                "completion_token_ids": completion,
                "logprobs": None if seed == 3 else [-0.5] * len(completion),
            },
        )
    return seed / 10


@pytest.fixture(scope="module")
def journal(backend: LocalBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of a container, and of a rollout without a trajectory."""
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    with CONTAINER.running() as url, backend.client() as client:
        pool = client.create_pool({"name": "guess", "container_url": url})["id"]
        requests: list[dict[str, Any]] = [{"seed": seed} for seed in (1, 1, 2, 3, 0)]
        fleet = client.rollouts.run_many(pool, requests, journal=path, run="guesses")
        assert len(list(fleet)) == 5
        yield path


def test_atif_has_a_line_for_each_trajectory(command: Command, journal: Path) -> None:
    done = command("export", journal, "--format", "atif")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    rollouts = [line["extra"]["rollout"] for line in lines]
    assert [(item["seed"], item["reward"]) for item in rollouts] == [
        (1, 0.1),
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
        (0, None),
    ]
    assert [len(line["steps"]) for line in lines] == [3, 3, 3, 3, 1]
    assert all(line["session_id"] == line["extra"]["rollout"]["rollout_id"] for line in lines)


@pytest.mark.parametrize("form", ["atif", "sft", "trl"])
def test_a_run_of_the_service_has_those_of_its_journal(
    command: Command, journal: Path, form: str
) -> None:
    texts = [command("export", run, "--format", form).stdout for run in (journal, "guesses")]
    assert texts[0]
    assert len({"".join(sorted(text)) for text in texts}) == 1


def test_messages_for_fine_tuning(command: Command, journal: Path) -> None:
    done = command("export", journal, "--format", "sft")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    roles = [message["role"] for message in lines[0]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    assert lines[0]["messages"][1]["tool_calls"][0]["function"] == {"name": "look", "arguments": {}}
    assert lines[0]["tools"] == [{"type": "function", "function": {"name": "look"}}]


def test_skyrl_reads_lists_of_one_entry_a_sequence(command: Command, journal: Path) -> None:
    """Build each field of `GeneratorOutput` of SkyRL 0.4, with its type and length."""
    done = command("export", journal, "--format", "skyrl")
    assert done.stderr == "1 are left out: they have no reward, or steps without token ids\n"
    output = json.loads(done.stdout)
    assert output["prompt_token_ids"] == [[1, 1], [1, 1], [1, 2], [1, 2, 5, 7, 7], [1, 3]]
    assert output["response_ids"] == [[5, 6, 7, 8], [5, 6, 7, 8], [5, 6], [8], [5, 6, 7, 8]]
    assert output["loss_masks"] == [[1, 1, 0, 1], [1, 1, 0, 1], [1, 1], [1], [1, 1, 0, 1]]
    assert output["rewards"] == [0.1, 0.1, 0.2, 0.2, 0.3]
    assert output["is_last_step"] == [True, True, False, True, True]
    assert output["stop_reasons"] == ["stop"] * 5
    # A single step of seed 3 lacks them.
    assert output["rollout_logprobs"] is None
    ids = [(item["instance_id"], item["repetition_id"]) for item in output["trajectory_ids"]]
    assert ids == [("0", 0), ("0", 1), ("1", 0), ("1", 0), ("2", 0)]


def test_trl_reads_what_has_logprobs(command: Command, journal: Path, tmp_path: Path) -> None:
    """Build what `rollout_func` of TRL 1.16 returns: lists of one length."""
    target = tmp_path / "trl.json"
    done = command("export", journal, "--format", "trl", "--out", target)
    reason = "they have no reward, or steps without token ids and log-probabilities"
    assert done.stderr == f"2 are left out: {reason}\n"
    output = json.loads(target.read_text())
    assert {len(values) for values in output.values()} == {4}
    assert output["prompt_ids"] == [[1, 1], [1, 1], [1, 2], [1, 2, 5, 7, 7]]
    for ids, logprobs, mask in zip(
        output["completion_ids"], output["logprobs"], output["env_mask"], strict=True
    ):
        assert len(ids) == len(logprobs) == len(mask)
        assert [value != 0 for value in logprobs] == [bool(value) for value in mask]
    assert output["reward"] == [0.1, 0.1, 0.2, 0.2]


def test_nothing_is_written_where_the_service_is_away(
    command: Command, journal: Path, tmp_path: Path
) -> None:
    away = {"SYNTH_BACKEND_URL": "http://127.0.0.1:1"}
    target = tmp_path / "sft.jsonl"
    done = command("export", journal, "--format", "sft", "--out", target, **away)
    assert done.returncode != 0
    assert not target.exists()
    log = tmp_path / "run.eval"
    done = command("export", journal, "--format", "inspect", "--out", log, **away)
    assert done.returncode == 0
    assert "messages are left out" in done.stderr
    assert log.exists()
