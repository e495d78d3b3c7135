"""Harbor: trials of tasks, by its agents and in its environments."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import subprocess
import tomllib
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

# Before the import: nothing is sent, and no table of prices is fetched.
os.environ |= {"HARBOR_TELEMETRY": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

from harbor.environments.factory import EnvironmentFactory
from harbor.models.agent.name import AgentName
from harbor.models.environment_type import EnvironmentType
from harbor.models.trial.config import AgentConfig, EnvironmentConfig, TaskConfig, TrialConfig
from harbor.models.trial.result import TrialResult
from harbor.trial.hooks import TrialEvent
from harbor.trial.trial import Trial

from synth_pools.container import Container, EpisodeError, Result, Rollout, SetupError
from synth_pools.environments.adapter import Environment
from synth_pools.environments.leftovers import open_folder, small_files
from synth_pools.environments.models import MODEL_READS, model_of
from synth_pools.environments.policies import require_module

_WITHOUT_MODEL = (AgentName.ORACLE.value, AgentName.NOP.value)
# Left by agent, verifier and sandbox; a task of several steps has a folder for each of them.
_KEPT = ("agent/", "artifacts/", "steps/", "trial.log", "verifier/")
_READS = {
    "policy": {
        "agent": "oracle, nop, terminus-2 or another of Harbor's, or module:Class of the "
        "container's folder",
        "agent_kwargs": "further arguments of the agent",
        **{name: MODEL_READS[name] for name in ("model", "inference_url", "temperature")},
    },
    "env": {
        "environment": "docker, podman or another of Harbor's, or module:Class of the container's "
        "folder; that of the container's machine"
    },
    "limits": {"max_turns": "turns of terminus-2 until the episode is stopped"},
}
_CANNOT = (
    "Harbor starts sandboxes: the container needs docker, or podman with podman-compose.",
    "Agents other than oracle, nop and terminus-2 are installed in the sandbox, from the network.",
)


def adapt(name: str) -> Environment:
    """Return the environment of a folder: a task, or a dataset of tasks."""
    folder = Path(name).resolve()
    trials = open_folder("harbor")
    container = Container(
        f"harbor:{folder.name}",
        description=f"Harbor's tasks of {folder.name}.",
        tasks=lambda: {path.name: _describe(path) for path in _tasks_in(folder)},
    )
    container.setup(lambda: import_module("litellm"))  # Seconds in which no episode would go on.

    async def play(rollout: Rollout) -> Result:
        path = _task_of(rollout, _tasks_in(folder))
        kind = rollout.env.get("environment") or await asyncio.to_thread(_engine)
        fields: dict[str, Any] = {"agent": _agent_of(rollout), "environment": _environment_of(kind)}
        # Sandboxes have its name at the beginning of theirs, by which those of a kill are found.
        name = f"{trials.name}_{path.name[:32]}_{uuid.uuid4().hex[:8]}"
        fields |= {"task": TaskConfig(path=path), "trials_dir": trials, "trial_name": name}
        trial = await Trial.create(TrialConfig(**fields))

        async def report(event: Any) -> None:
            rollout.event({"phase": event.event.value})

        for phase in TrialEvent:
            trial.add_hook(phase, report)
        try:
            return _end(rollout, await trial.run(), trials / name)
        finally:
            shutil.rmtree(trials / name, ignore_errors=True)

    container.rollout(play)
    return Environment(container, _READS, "Not read: Harbor has none.", _CANNOT)


@functools.cache  # The folders of a large dataset take milliseconds to find.
def _tasks_in(folder: Path) -> list[Path]:
    """Return the folders of tasks, of which there is at least one."""
    if (folder / "task.toml").is_file():
        return [folder]
    paths = sorted(path.parent for path in folder.glob("*/task.toml"))
    if not paths:
        raise SetupError(f"{folder} is no task of Harbor, and holds none: there is no task.toml.")
    return paths


def _describe(path: Path) -> dict[str, Any]:
    try:
        task = tomllib.loads((path / "task.toml").read_text())
    except (OSError, ValueError) as error:
        raise SetupError(f"{path / 'task.toml'} cannot be read: {error}") from None
    return {name: task.get("task", {}).get(name) for name in ("name", "description")}


def _task_of(rollout: Rollout, paths: list[Path]) -> Path:
    for path in paths:
        if rollout.task_id == path.name or (rollout.task_id is None and len(paths) == 1):
            return path
    raise EpisodeError(f"Name one of the {len(paths)} tasks.")


def _agent_of(rollout: Rollout) -> AgentConfig:
    policy = rollout.policy
    agent = policy.get("agent") or ("terminus-2" if "model" in policy else None)
    if agent in _WITHOUT_MODEL:
        return AgentConfig(name=agent)
    if not isinstance(agent, str) or not (":" in agent or agent in AgentName.values()):
        raise EpisodeError("The policy names no agent of Harbor: oracle, nop, terminus-2, ...")
    model = model_of(policy)
    kwargs = dict(policy.get("agent_kwargs") or {})
    if agent == "terminus-2":
        if most := rollout.limit("max_turns"):
            # It does not say that it was stopped: a further turn shows it.
            kwargs["max_turns"] = most + 1
        kwargs = {"record_terminal_session": False, **kwargs}
        if "temperature" in model.sampling:
            kwargs["temperature"] = model.sampling["temperature"]
    return AgentConfig(
        name=None if ":" in agent else agent,
        import_path=require_module(agent) if ":" in agent else None,
        model_name=f"openai/{model.name}",
        base_url=model.url,
        model_api_key_name=model.key_variable,
        kwargs=kwargs,
    )


def _environment_of(kind: object) -> EnvironmentConfig:
    if isinstance(kind, str) and ":" in kind:
        return EnvironmentConfig(import_path=require_module(kind))
    try:
        return EnvironmentConfig(type=EnvironmentType(kind))
    except ValueError:
        raise EpisodeError(f"Harbor has no environment {kind!r}.") from None


@functools.cache
def _engine() -> EnvironmentType:
    """Return the engine of this machine that Harbor can use."""
    with contextlib.suppress(SystemExit):
        EnvironmentFactory.run_preflight(EnvironmentType.DOCKER)
        # Harbor itself does not look for it.
        command = ["docker", "compose", "version"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:  # noqa: S603
            return EnvironmentType.DOCKER
    with contextlib.suppress(SystemExit):
        EnvironmentFactory.run_preflight(EnvironmentType.PODMAN)
        return EnvironmentType.PODMAN
    raise EpisodeError(
        "No sandbox can be started here: there is neither docker with compose nor podman with "
        "podman-compose. `env.environment` names another environment of Harbor."
    )


def _end(rollout: Rollout, result: TrialResult, place: Path) -> Result:
    """Return the end of a trial that was played to its end, and report what it has left."""
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
            with contextlib.suppress(ValueError):
                rollout.trajectory.replace(json.loads(data))
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "cost_usd")
    rollout.usage(**dict(zip(names, result.compute_token_cost_totals(), strict=True)))
    rewards = dict(result.verifier_result.rewards or {}) if result.verifier_result else {}
    rollout.reward = rewards.get("reward", next(iter(rewards.values()), None))
    rollout.metrics |= rewards
    if (problem := result.exception_info) is not None:
        is_late = problem.exception_type.endswith("TimeoutError")
        sentence = f"{problem.exception_type}: {problem.exception_message[:500]}"
        raise EpisodeError(sentence, "timeout" if is_late else "failed")
    details = (result.agent_result and result.agent_result.metadata) or {}
    if (most := rollout.limit("max_turns")) and details.get("n_episodes", 0) > most:
        raise EpisodeError(f"The episode was stopped after {most} turns.", "timeout")
    if not result.reward_valid or rollout.reward is None:
        raise EpisodeError("The verifier gave no valid reward.")
    return Result(extra={"trial": {"name": result.trial_name, "task": result.task_name}})
