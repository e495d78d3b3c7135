"""Reports of trials of Harbor: their files, usage, rewards and ends."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from harbor.models.trial.result import TrialResult

from synth_pools.container import EpisodeError, Result, Rollout
from synth_pools.environments.leftovers import small_files

# Left by agent, verifier and sandbox; a task of several steps has a folder for each of them.
_KEPT = ("agent/", "artifacts/", "steps/", "trial.log", "verifier/")


def end_trial(rollout: Rollout, result: TrialResult, place: Path) -> Result:
    """Return the end of a trial that was played to its end, and report what it has left.

    Raises:
        EpisodeError: It was not.
    """
    # Collected files come last, since a pool takes no answer beyond a size.
    paths = sorted(place.rglob("*"), key=lambda path: ("artifacts" in path.parts, path))
    files = [path.as_posix().removeprefix(f"{place}/") for path in paths]
    files = [name for name in files if name.startswith(_KEPT) and name != "artifacts/manifest.json"]
    for file, data in small_files(place, files):
        try:
            # Zeros take six times their room in a text.
            rollout.artifact(file, data if b"\0" in data else data.decode())
        except UnicodeDecodeError:
            rollout.artifact(file, data)
        if file == "agent/trajectory.json":
            # Harbor's own agents write the same format.
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
                _add_record(rollout, json.loads(data))
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "cost_usd")
    totals = dict(zip(names, result.compute_token_cost_totals(), strict=True))
    # The agent has counted what the relay has, but may know the prices of models.
    rollout.usage(**{name: totals[name] for name in totals.keys() - rollout.trajectory.usage})
    rewards = dict(result.verifier_result.rewards or {}) if result.verifier_result else {}
    rollout.reward = rewards.get("reward", next(iter(rewards.values()), None))
    rollout.metrics |= rewards
    if (problem := result.exception_info) is not None:
        is_late = problem.exception_type.endswith("TimeoutError")
        sentence = f"{problem.exception_type}: {problem.exception_message[:500]}"
        raise EpisodeError(sentence, "timeout" if is_late else "failed")
    if rollout.refusal is not None:
        raise EpisodeError(rollout.refusal, "timeout")
    if not result.reward_valid or rollout.reward is None:
        raise EpisodeError("The verifier gave no valid reward.")
    return Result(extra={"trial": {"name": result.trial_name, "task": result.task_name}})


def _add_record(rollout: Rollout, document: Any) -> None:
    """Take an agent's own record in place of the relay's, if that has none, else what it lacks."""
    if not len(rollout.trajectory):
        rollout.trajectory.replace(document)
        return
    rollout.trajectory.agent_name = document["agent"]["name"]
    rollout.trajectory.agent_version = document["agent"]["version"]
    if rollout.refusal is None:
        # The model was told all others.
        for result in document["steps"][-1].get("observation", {}).get("results", ()):
            rollout.trajectory.observe(result["content"])
