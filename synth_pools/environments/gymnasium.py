"""Gymnasium: episodes at random, of given actions, of a Python function, or by a model."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import gymnasium
import numpy

from synth_pools.container import Container, EpisodeError, Rollout, SetupError
from synth_pools.environments.adapter import Environment
from synth_pools.environments.kinds import KINDS
from synth_pools.environments.models import READS as MODEL_READS
from synth_pools.environments.models import chat, model_of, open_client
from synth_pools.environments.policies import READS as POLICY_READS
from synth_pools.environments.policies import Choose, chooser

_MOST_TURNS = 10_000
_NUMBERS = re.compile(r"\[[^\[\]]*\]|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_READS = {
    "policy": {**POLICY_READS, **MODEL_READS},
    "env": {"...": "arguments of gymnasium.make"},
    "limits": {
        "max_turns": f"steps until the episode is stopped; {_MOST_TURNS:,}",
        "timeout_seconds": "time until the episode is stopped",
    },
}


def adapt(name: str) -> Environment:
    """Return the environment of an id, after the module that registers it: `module:Id-v0`."""

    async def set_up() -> None:
        # Before any rollout: a wrong id or a missing package is the pool's error.
        try:
            gymnasium.make(name).close()
        except gymnasium.error.Error as error:
            raise SetupError(f"{type(error).__name__}: {error}") from None

    container = Container(
        f"gymnasium:{name}",
        description=f"Gymnasium's {name}.",
        concurrency=KINDS["gymnasium"].concurrency,
    )
    container.setup(set_up)

    async def play(rollout: Rollout) -> float:
        episode = await asyncio.to_thread(_Episode, name, rollout)
        try:
            if "model" in rollout.policy:
                await _play_by_model(episode, rollout)
            else:
                choose = chooser(rollout.policy, episode.env.action_space.sample)
                await asyncio.to_thread(_play, episode, choose)
        finally:
            await asyncio.shield(asyncio.to_thread(episode.close))
        return episode.total

    container.rollout(play)
    return Environment(
        container, _READS, "Of the environment and of random actions: the same reward again."
    )


class _Episode:
    """Environment that is reset, and its steps as events."""

    def __init__(self, name: str, rollout: Rollout) -> None:
        self._rollout = rollout
        self._turns = rollout.limits.get("max_turns") or _MOST_TURNS
        self._steps = 0
        try:
            self.env: gymnasium.Env[Any, Any] = gymnasium.make(name, **rollout.env)
        except TypeError as error:
            raise EpisodeError(f"`env` is not taken by {name}: {error}") from None
        self.total = 0.0
        self.is_over = False
        self.env.action_space.seed(rollout.seed)
        self.observation, _ = self.env.reset(seed=rollout.seed)

    def act(self, action: Any) -> None:
        """Take a step, and report it.

        Raises:
            EpisodeError: It is no action of the environment, or the last turn is over.
        """
        if self._steps >= self._turns:
            text = f"The episode was stopped after {self._steps} turns."
            raise EpisodeError(text, "timeout")
        space = self.env.action_space
        if isinstance(action, list):
            action = numpy.asarray(action, dtype=space.dtype)
        # Some environments take it silently, others raise whatever comes of it.
        if not space.contains(action):
            raise EpisodeError(f"{json_value(action)!r} is no action of {space}.")
        self.observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        self.total += float(reward)
        self.is_over = terminated or truncated
        self._rollout.reward = self.total
        self._rollout.metrics["steps"] = self._steps
        self._rollout.event(
            {
                "step": self._steps,
                "action": action,
                "reward": float(reward),
                "observation": self.observation,
                "info": info,
            }
        )

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _play(episode: _Episode, choose: Choose) -> None:
    while not episode.is_over:
        episode.act(choose(episode.observation))


async def _play_by_model(episode: _Episode, rollout: Rollout) -> None:
    model = model_of(rollout.policy)
    space = episode.env.action_space
    system = f"You act in {episode.env.spec and episode.env.spec.id}. Actions: {space}. "
    system += f"Observations: {episode.env.observation_space}. Answer with one action."
    instructions = {"role": "system", "content": system}
    async with open_client() as http:
        while not episode.is_over:
            observation = json.dumps(json_value(episode.observation))
            question = {"role": "user", "content": observation}
            text = await chat(http, rollout, model, [instructions, question])
            action = _parse(space, text)
            if action is None:
                raise EpisodeError(f"The model's answer has no action of {space}: {text[:200]!r}")
            # A step may take seconds.
            await asyncio.to_thread(episode.act, action)


def _parse(space: gymnasium.Space[Any], text: str) -> Any:
    """Return the last part of a text that is an action, None if there is none."""
    for part in reversed(_NUMBERS.findall(text)):
        try:
            value = json.loads(part)
            action: Any
            if isinstance(space, gymnasium.spaces.Discrete):
                action = int(value) if float(value).is_integer() else None
            else:
                action = numpy.asarray(value, dtype=space.dtype).reshape(space.shape or ())
        except (ValueError, TypeError):
            continue
        if action is not None and space.contains(action):
            return action
    return None


def json_value(value: Any) -> Any:
    """Return a value of numpy as one that JSON has."""
    if isinstance(value, numpy.ndarray):
        return json_value(value.tolist())
    if isinstance(value, numpy.generic):
        return json_value(value.item())
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [json_value(item) for item in value]
    if isinstance(value, str | int | float | type(None)):
        return value
    return repr(value)
