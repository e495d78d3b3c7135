"""verifiers: tasks of a taskset as episodes, played by a harness and scored by their rewards."""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.clients.eval import EvalClient
from verifiers.v1.configs.agent import AgentConfig, agent_config_fields
from verifiers.v1.interception.server import InterceptionServer
from verifiers.v1.runtimes import subprocess as local_runtime

from synth_pools.container import Container, EpisodeError, Rollout, SetupError
from synth_pools.environments import chat_harness
from synth_pools.environments.adapter import Environment, with_task_ids
from synth_pools.environments.leftovers import open_folder
from synth_pools.environments.models import LIMITS, MODEL_READS, model_of, open_client

_MOST_TASKS = 10_000
_HARNESS = "synth_pools_chat"
_RUNTIMES = ("subprocess", "docker", "podman", "apptainer")
_TRUNCATIONS = {"max_turns", "max_input_tokens", "max_output_tokens", "max_total_tokens"}
_READS = {
    "policy": MODEL_READS,
    "env": {
        "harness": "the id of a harness of verifiers, most of which install programs; a chat in "
        "the process of the container",
        "runtime": f"where a harness and the task run: {', '.join(_RUNTIMES)}; subprocess",
    },
    "limits": {"max_turns": "calls of the model until the episode is stopped", **LIMITS},
}
_CANNOT = (
    "Environments of several agents, and of releases before 0.4.",
    "Settings of a taskset by a rollout: they are its defaults.",
    "Runtimes in the cloud.",
)


def adapt(name: str) -> Environment:
    """Return the environment of a taskset: the name of its module."""
    # So that verifiers can name it, which looks for modules by words without dots.
    sys.modules[_HARNESS] = chat_harness
    # Servers of tools are processes, whose modules are those of the current folder, too.
    paths = [str(Path.cwd()), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    playing = _Playing()
    local_runtime.CACHE_DIR = open_folder("verifiers")

    async def set_up() -> None:
        agent = {"harness": {"id": _HARNESS}, "runtime": {"type": "subprocess"}}
        try:
            config = vf.resolve_env_config({"taskset": {"id": name}, "agent": agent})
        except ModuleNotFoundError as error:
            # It may be a module that the taskset imports.
            raise error.__cause__ or error from None
        if list(agent_config_fields(config)) != ["agent"]:
            raise SetupError(f"{name} has several agents, or none.")
        await playing.start(vf.load_environment(config))

    container = Container(f"verifiers:{name}", tasks=playing.list_tasks)
    container.setup(set_up)
    container.rollout(playing.play)
    container.shutdown(playing.stop)
    return Environment(container, _READS, "Passed on to the model, which may not heed it.", _CANNOT)


class _RolloutClient(EvalClient):  # type: ignore[misc]
    """Client of a rollout's address, on the connections of all of them."""

    def __init__(self, http: Any, config: Any) -> None:
        self.base_url, self.api_key, self.client = config.base_url, "none", http
        self.headers: dict[str, str] = {}


class _Playing:
    """Environment that is served, and its tasks."""

    def __init__(self) -> None:
        self._tasks: dict[str, Any] = {}
        self._env: Any = None
        self._ending: asyncio.Event
        self._serving: asyncio.Task[None]

    async def start(self, env: Any) -> None:
        self._env, self._ending, is_ready = env, asyncio.Event(), asyncio.Event()
        http = open_client()
        # Those of verifiers itself read certificates for each address, and never end.
        InterceptionServer._client = lambda _, config: _RolloutClient(http, config)  # noqa: SLF001

        # Its end has to come in the task of its start.
        async def serve() -> None:
            async with http, env.serving():
                is_ready.set()
                await self._ending.wait()

        self._serving = asyncio.create_task(serve())
        self._serving.add_done_callback(lambda _: is_ready.set())
        await is_ready.wait()
        if self._serving.done():
            self._serving.result()

    async def stop(self) -> None:
        self._ending.set()
        await self._serving

    def list_tasks(self) -> dict[str, dict[str, Any]]:
        tasks = list(itertools.islice(self._env.taskset, _MOST_TASKS))
        # An id is optional, and may be there twice.
        self._tasks = with_task_ids([task.data.id for task in tasks], tasks)
        return {task_id: {"name": task.data.name} for task_id, task in self._tasks.items()}

    async def play(self, rollout: Rollout) -> float | None:
        if (task := self._tasks.get(rollout.task_id or "")) is None:
            raise EpisodeError("The rollout names no task of the taskset: `task_id` is its id.")
        model = model_of(rollout.policy)
        # The relay knows a call by its address.
        client = vf.EvalClientConfig(base_url=rollout.model_url, api_key_var="SYNTH_POOLS_NO_KEY")
        seed = {} if rollout.seed is None else {"seed": rollout.seed}
        sampling = vf.SamplingConfig(**(seed | dict(model.sampling)))
        context = vf.ModelContext(client=client, model=model.name, sampling=sampling)
        env = copy.copy(self._env)
        env.config = env.config.model_copy(update={"agent": _agent(env.config.agent, rollout)})

        def watch(trace: Any) -> None:
            trace.watch(lambda *_: _follow(trace, rollout))

        episode = await env.run_episode(task, context, on_trace=watch)
        if judged := [used for trace in episode.traces for used in trace.extra_usage]:
            # A report counts in place of the sums of calls.
            rollout.usage(**rollout.trajectory.usage)
        for used in judged:
            tokens = {"input_tokens": used.input_tokens, "output_tokens": used.completion_tokens}
            rollout.usage(**tokens, cost_usd=used.cost)
        rollout.artifact("episode.json", episode.to_record(), artifact_type="verifiers_episode")
        return _judge(episode, rollout)


def _agent(config: Any, rollout: Rollout) -> Any:
    """Return the settings of an agent for a rollout."""
    env = rollout.env
    if odd := sorted(set(env) - {"harness", "runtime"}):
        raise EpisodeError(f"`env` has {odd[0]}, but this environment reads harness and runtime.")
    update: dict[str, Any] = {}
    if rollout.remaining is not None:
        # Time to score it before its rollout is stopped.
        seconds = max(rollout.remaining - 0.5, rollout.remaining / 2, 0.01)
        update["timeout"] = config.timeout.model_copy(update={"rollout": seconds})
    if env.get("runtime", "subprocess") not in _RUNTIMES:
        raise EpisodeError(f"`env.runtime` is one of {', '.join(_RUNTIMES)}.")
    chosen = {key: {"id" if key == "harness" else "type": env[key]} for key in env}
    try:
        validated = AgentConfig.model_validate(chosen)
    except (ValueError, ImportError, TypeError) as error:
        raise EpisodeError(f"`env` is not taken by verifiers: {error}") from None
    return config.model_copy(update={**update, **{key: getattr(validated, key) for key in chosen}})


def _follow(trace: Any, rollout: Rollout) -> None:
    """Count the calls of the model, and have a trace of refused ones scored as it is."""
    rollout.metrics["turns"] = len(trace.calls)
    if rollout.refusal is not None:
        trace.stop(rollout.refusal)


def _judge(episode: Any, rollout: Rollout) -> float | None:
    """Return the reward of an episode that was played to its end."""
    trace = episode.traces[0] if episode.traces else None
    if trace is not None:
        scores = {name: item.score for name, item in trace.rewards.items() if item is not None}
        metrics = {name: value for name, value in trace.metrics.items() if value is not None}
        rollout.metrics |= metrics | scores
        rollout.reward = float(trace.reward) if scores else None
        is_over = trace.is_timeout or trace.stop_condition in _TRUNCATIONS
        if is_over or rollout.refusal is not None:
            raise EpisodeError(f"The limit was reached: {trace.stop_condition}.", "timeout")
    if not episode.ok:
        errors = [*episode.errors, *(trace.errors if trace else ())]
        raise EpisodeError(f"{errors[-1].type}: {errors[-1].message}" if errors else "It failed.")
    return rollout.reward
