"""OpenEnv: episodes at a server, which is started here if it is in a folder or an image."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Mapping
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection

from synth_pools.container import Container, Rollout
from synth_pools.environments.adapter import Environment
from synth_pools.environments.models import LIMITS, open_client
from synth_pools.environments.openenv_places import ServerPlaces, ask
from synth_pools.environments.openenv_server import OpenEnvServer
from synth_pools.environments.policies import (
    READS,
    Act,
    asking,
    check_turns,
    chooser,
    object_in,
    random_value,
    report_step,
)

_MOST_TURNS = 1_000
_ADVICE = " Where the environment never ends one, `turns` of the policy does."
_READS = {
    "policy": {
        **READS,
        "turns": "steps after which the episode is over, where the environment never says so",
    },
    "env": {"*": "further fields of `reset`, such as `split` and `index`"},
    "limits": {"max_turns": f"steps until the episode is stopped; {_MOST_TURNS:,}", **LIMITS},
}
_CANNOT = ("Tasks are not listed: `env` chooses them, where the server has some.",)


def adapt(name: str) -> Environment:
    """Return the environment of a server: its URL, a folder of `openenv init`, or an image."""
    server = OpenEnvServer(name)
    places = ServerPlaces(server)
    container = Container(f"openenv:{name}", description=f"OpenEnv's server {name}.")
    container.setup(server.open)
    container.shutdown(server.close)

    async def play(rollout: Rollout) -> float:
        # To make one costs more than a step.
        client = open_client() if "model" in rollout.policy else contextlib.nullcontext()
        async with client as http, places.episode(rollout) as (socket, state):
            act = _player(rollout, server.action_schema, http)
            await _play(rollout, socket, state, act)
            rollout.artifact("state.json", await ask(socket, "state", None))
        return rollout.reward or 0.0

    container.rollout(play)
    seeds = "Given to the server, whose affair it is; random actions are of the seed."
    return Environment(container, _READS, seeds, _CANNOT)


async def _play(
    rollout: Rollout, socket: ClientConnection, state: dict[str, Any], act: Act
) -> None:
    last = rollout.policy.get("turns")
    is_over = bool(state.get("done")) or last == 0
    while not is_over:
        check_turns(rollout, _MOST_TURNS, _ADVICE)
        action = await act(state.get("observation"))
        state = await ask(socket, "step", action)
        is_over = bool(state.get("done")) or rollout.metrics.get("steps", 0) + 1 == last
        report_step(rollout, action, state, is_last=is_over)


def _player(rollout: Rollout, schema: Mapping[str, Any], http: httpx.AsyncClient | None) -> Act:
    """Return the function that acts on observations, as the policy of a rollout says.

    Args:
        rollout: The rollout.
        schema: The schema of actions.
        http: The client of a model; None for other policies.
    """
    if http is not None:
        text = f"Answer with one action: a JSON object of this schema. {json.dumps(schema)}"
        return asking(http, rollout, text, lambda answer: object_in(answer, schema))
    dice = random.Random(rollout.seed)
    choose = chooser(rollout, lambda: random_value(schema, dice))
    # A function of the user's may take its time.
    is_slow = "python" in rollout.policy

    async def act(observation: Any) -> Any:
        return await asyncio.to_thread(choose, observation) if is_slow else choose(observation)

    return act
