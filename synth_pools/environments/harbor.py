"""Harbor: trials of tasks, by its agents and in its environments."""

from __future__ import annotations

import asyncio
import contextlib
import functools
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

from harbor.agents.factory import AgentFactory
from harbor.agents.installed.base import BaseInstalledAgent
from harbor.environments.factory import EnvironmentFactory
from harbor.models.agent.name import AgentName
from harbor.models.environment_type import EnvironmentType
from harbor.models.trial.config import AgentConfig, EnvironmentConfig, TaskConfig, TrialConfig
from harbor.trial.hooks import TrialEvent
from harbor.trial.trial import Trial

from synth_pools.container import Container, EpisodeError, Result, Rollout, SetupError
from synth_pools.container.models import KEY_VARIABLE, server_of
from synth_pools.container.rollout import MODEL_LIMITS
from synth_pools.environments.adapter import Environment
from synth_pools.environments.harbor_reports import end_trial
from synth_pools.environments.leftovers import open_folder
from synth_pools.environments.models import LIMITS, MODEL_READS, model_of
from synth_pools.environments.policies import require_module

# Agents want a key, which the relay has no use for.
_NO_KEY_VARIABLE = "SYNTH_POOLS_NO_KEY"
os.environ[_NO_KEY_VARIABLE] = "none"
_WITHOUT_MODEL = (AgentName.ORACLE.value, AgentName.NOP.value)
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
    "limits": {
        name: f"{text}; of an agent that runs in the process of the container"
        for name, text in {"max_turns": "calls of the model until it is stopped", **LIMITS}.items()
    },
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
    container.setup(_set_up)

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
            return end_trial(rollout, await trial.run(), trials / name)
        finally:
            shutil.rmtree(trials / name, ignore_errors=True)

    container.rollout(play)
    return Environment(container, _READS, "Not read: Harbor has none.", _CANNOT)


def _set_up() -> None:
    # It takes seconds, in which no episode would go on.
    refused = import_module("litellm").BadRequestError
    call = import_module("harbor.llms.lite_llm").LiteLLM.call
    # A call that is refused would be repeated twice, after seconds each time.
    call.retry.retry &= import_module("tenacity").retry_if_not_exception_type(refused)


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
        kwargs = {"record_terminal_session": False, **kwargs}
        if "temperature" in model.sampling:
            kwargs["temperature"] = model.sampling["temperature"]
    config = AgentConfig(
        name=None if ":" in agent else agent,
        import_path=require_module(agent) if ":" in agent else None,
        model_name=f"openai/{model.name}",
        model_api_key_name=_NO_KEY_VARIABLE,
        kwargs=kwargs,
    )
    if not issubclass(AgentFactory.get_agent_class_from_config(config), BaseInstalledAgent):
        config.base_url = rollout.model_url
        return config
    if limited := sorted(name for name in MODEL_LIMITS if rollout.limit(name) is not None):
        # The log of the rollout.
        names = ", ".join(f"limits.{name}" for name in limited)
        print(f"{agent} runs in the sandbox: {names} end nothing.")  # noqa: T201
    config.base_url, key = server_of(policy)
    if key:
        config.model_api_key_name = KEY_VARIABLE
    return config


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
