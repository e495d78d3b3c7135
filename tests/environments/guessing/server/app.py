"""Server of OpenEnv with a number to guess: its seed modulo ten."""

from __future__ import annotations

import os
import time
from typing import Any

from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field


class Guess(Action):  # type: ignore[misc]
    number: int = Field(ge=0, le=9)


class Hint(Observation):  # type: ignore[misc]
    text: str = ""


class Guessing(Environment):  # type: ignore[misc]
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = State()
        self._number = 0
        self._hangs = False

    def reset(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> Hint:
        if "boom" in more:
            raise RuntimeError(more["boom"])
        # An environment that never ends has no such number.
        self._number = -1 if more.get("endless") else (seed or 0) % 10
        self._state = State(episode_id=episode_id, step_count=0)
        self._hangs = bool(more.get("hangs"))
        return Hint(text="guess a number from 0 to 9")

    def step(self, action: Guess, **_: Any) -> Hint:
        self._state.step_count += 1
        time.sleep(3600 if self._hangs else float(os.environ.get("GUESS_SECONDS", "0")))
        if action.number == self._number:
            return Hint(text="right", reward=1.0, done=True)
        return Hint(text="higher" if action.number < self._number else "lower", reward=-0.125)

    @property
    def state(self) -> State:
        return self._state


app = create_app(Guessing, Guess, Hint, env_name="guessing", max_concurrent_envs=3)
