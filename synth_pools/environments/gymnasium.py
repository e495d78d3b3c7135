"""Gymnasium: episodes at random, of given actions, of a Python function, or by a model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import gymnasium
import numpy

from synth_pools.container import Container, EpisodeError, Rollout, SetupError
from synth_pools.container.encoding import write_json
from synth_pools.environments.adapter import Environment
from synth_pools.environments.models import LIMITS, open_client
from synth_pools.environments.policies import (
    READS,
    Choose,
    asking,
    check_turns,
    chooser,
    report_step,
)

_T = TypeVar("_T")

_MOST_TURNS = 10_000
_NUMBERS = re.compile(r"\[[^\[\]]*\]|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_READS = {
    "policy": READS,
    "env": {"*": "arguments of gymnasium.make"},
    "limits": {"max_turns": f"steps until the episode is stopped; {_MOST_TURNS:,}", **LIMITS},
}


def adapt(name: str) -> Environment:
    """Return the environment of an id, after the module that registers it: `module:Id-v0`."""

    async def set_up() -> None:
        # Before any rollout: a wrong id or a missing package is the pool's error.
        try:
            gymnasium.make(name).close()
        except gymnasium.error.Error as error:
            raise SetupError(f"{type(error).__name__}: {error}") from None

    container = Container(f"gymnasium:{name}", description=f"Gymnasium's {name}.")
    container.setup(set_up)

    async def play(rollout: Rollout) -> float:
        episode = _Episode(rollout)
        try:
            await _in_thread(episode.begin, name)
            if "model" in rollout.policy:
                await _play_by_model(episode, rollout)
            else:
                choose = chooser(rollout, episode.env.action_space.sample)
                await _in_thread(_play, episode, rollout, choose)
        finally:
            await asyncio.shield(asyncio.to_thread(episode.close))
        return rollout.reward or 0.0

    container.rollout(play)
    return Environment(
        container, _READS, "Of the environment and of random actions: the same reward again."
    )


async def _in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function in a thread; if cancelled, wait for its end first.

    No environment is closed under a step, and one whose step hangs is left behind and counted.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.gather(call, return_exceptions=True)
        raise


class _Episode:
    """Environment that is reset, and its steps as events."""

    env: gymnasium.Env[Any, Any]
    observation: Any
    is_over = False

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        # Nothing is made yet.
        self.close: Callable[[], object] = lambda: None

    def begin(self, name: str) -> None:
        """Make the environment, and reset it.

        Raises:
            EpisodeError: It does not take these arguments.
        """
        try:
            self.env = gymnasium.make(name, **self._rollout.env)
        except TypeError as error:
            raise EpisodeError(f"`env` is not taken by {name}: {error}") from None
        self.close = self.env.close
        self.env.action_space.seed(self._rollout.seed)
        self.observation, _ = self.env.reset(seed=self._rollout.seed)

    def act(self, action: Any) -> None:
        """Take a step, and report it.

        Raises:
            EpisodeError: It is no action of the environment.
        """
        space = self.env.action_space
        if isinstance(action, list):
            action = numpy.asarray(action, dtype=space.dtype)
        # Some environments take it silently, others raise whatever comes of it.
        if not space.contains(action):
            raise EpisodeError(f"{write_json(action)} is no action of {space}.")
        self.observation, reward, terminated, truncated, info = self.env.step(action)
        self.is_over = terminated or truncated
        outcome = {"reward": float(reward), "observation": self.observation, "info": info}
        report_step(self._rollout, action, outcome, is_last=self.is_over)


def _play(episode: _Episode, rollout: Rollout, choose: Choose) -> None:
    while not episode.is_over:
        check_turns(rollout, _MOST_TURNS)
        episode.act(choose(episode.observation))


async def _play_by_model(episode: _Episode, rollout: Rollout) -> None:
    space = episode.env.action_space
    text = f"You act in {episode.env.spec and episode.env.spec.id}. Actions: {space}. "
    text += f"Observations: {episode.env.observation_space}. Answer with one action."
    async with open_client() as http:
        # An episode may be longer than what a model remembers.
        act = asking(http, rollout, text, partial(_parse, space), has_memory=False)
        while not episode.is_over:
            check_turns(rollout, _MOST_TURNS)
            # A step may take seconds.
            await _in_thread(episode.act, await act(episode.observation))


def _parse(space: gymnasium.Space[Any], text: str) -> Any:
    """Return the last action in a text.

    Raises:
        EpisodeError: There is none.
    """
    for part in reversed(_NUMBERS.findall(text)):
        with contextlib.suppress(ValueError, TypeError):
            value = json.loads(part)
            if not isinstance(space, gymnasium.spaces.Discrete):
                value = numpy.asarray(value, dtype=space.dtype).reshape(space.shape or ())
            elif float(value).is_integer():
                value = int(value)
            if space.contains(value):
                return value
    raise EpisodeError(f"The model's answer has no action of {space}: {text[:200]!r}")
