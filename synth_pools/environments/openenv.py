"""OpenEnv: episodes at a server, over its WebSocket; a server in a folder is started here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from synth_pools.container import Container, EpisodeError, Rollout
from synth_pools.environments.adapter import Environment
from synth_pools.environments.models import LIMITS, open_client
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
_LARGEST_MESSAGE = 100 * 1024 * 1024
# The time for which an episode waits for a place that no episode of this container has.
_BUSY_SECONDS = 60.0
# The time after which a server of ours without a place for it is replaced.
_WEDGED_SECONDS = 5.0
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
    places = _Places(server)
    container = Container(f"openenv:{name}", description=f"OpenEnv's server {name}.")
    container.setup(server.open)
    container.shutdown(server.close)

    async def play(rollout: Rollout) -> float:
        # To make one costs more than a step.
        client = open_client() if "model" in rollout.policy else contextlib.nullcontext()
        async with client as http, places.episode(rollout) as (socket, state):
            act = _player(rollout, server.action_schema, http)
            await _play(rollout, socket, state, act)
            rollout.artifact("state.json", await _ask(socket, "state", None))
        return rollout.reward or 0.0

    container.rollout(play)
    seeds = "Given to the server, whose affair it is; random actions are of the seed."
    return Environment(container, _READS, seeds, _CANNOT)


class _NoPlaceError(Exception):
    """Answer of a server all of whose places are taken."""


class _Places:
    """Places of a server, of which each episode takes one."""

    def __init__(self, server: OpenEnvServer) -> None:
        self._server = server
        self._playing = 0
        # The last time at which an episode began to wait alone, or gave its place up.
        self._last_use = 0.0
        self._line: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def episode(
        self, rollout: Rollout
    ) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
        """Reset an environment once there is a place; yield the connection and the observation.

        Raises:
            EpisodeError: It cannot be reached, or others have all of its places.
        """
        reset = {**rollout.env, "seed": rollout.seed, "episode_id": rollout.id}
        give_up = time.monotonic() + _BUSY_SECONDS
        must_wait, is_playing = bool(self._line), False
        if not must_wait:
            self._last_use = time.monotonic()
        while True:
            if must_wait:
                await self._wait_in_line()
            must_wait = True
            await self._server.ensure()
            url = self._server.url
            try:
                async with connect(
                    f"ws{url.removeprefix('http')}/ws",
                    max_size=_LARGEST_MESSAGE,
                    # A step may take minutes.
                    ping_timeout=None,
                    close_timeout=1,
                ) as socket:
                    state = await _first_answer(socket, reset)
                    if state is not None:
                        self._playing += 1
                        is_playing = True
                        yield socket, state
                        return
            except ConnectionClosed as error:
                raise EpisodeError(f"{self._server} closed the connection: {error}") from None
            except (OSError, WebSocketException) as error:
                raise EpisodeError(f"{self._server} cannot be reached: {error!r}") from None
            finally:
                if is_playing:
                    self._free_place()
            now = time.monotonic()
            if self._playing:
                give_up = now + _BUSY_SECONDS
            elif self._server.is_started_here and now > self._last_use + _WEDGED_SECONDS:
                # Steps of episodes that are over hold all places.
                await self._server.replace(url)
                self._last_use = time.monotonic()
            if now > give_up:
                text = f"{self._server} had no place for {_BUSY_SECONDS:.0f} seconds: raise its "
                raise EpisodeError(f"{text}`max_concurrent_envs`.")

    async def _wait_in_line(self) -> None:
        """Wait until an episode has given its place up, or a moment: others may use the server."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            # Not all at the same moment.
            seconds = random.uniform(0.5, 1.0) if self._playing else random.uniform(0.05, 0.3)
            await asyncio.wait({turn}, timeout=seconds)
        finally:
            self._line.remove(turn)

    def _free_place(self) -> None:
        self._playing -= 1
        self._last_use = time.monotonic()
        if (turn := next((turn for turn in self._line if not turn.done()), None)) is not None:
            turn.set_result(None)


async def _first_answer(
    socket: ClientConnection, reset: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the first observation, None where the server has no place."""
    # A server without a place says so unasked, and closes.
    with contextlib.suppress(ConnectionClosed):
        await socket.send(json.dumps({"type": "reset", "data": reset}))
    try:
        return await _answer(socket, "reset")
    except (_NoPlaceError, ConnectionClosedOK):
        return None


async def _ask(socket: ClientConnection, kind: str, data: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": kind} if data is None else {"type": kind, "data": data}))
    return await _answer(socket, kind)


async def _answer(socket: ClientConnection, kind: str) -> dict[str, Any]:
    text = await socket.recv()
    try:
        answer = json.loads(text)
        is_error, data = answer["type"] == "error", dict(answer["data"])
    except (ValueError, KeyError, TypeError):
        raise EpisodeError(f"The server answered `{kind}` with {text[:200]!r}.") from None
    if not is_error:
        return data
    if data.get("code") == "CAPACITY_REACHED":
        raise _NoPlaceError
    raise EpisodeError(f"The server refused `{kind}`: {json.dumps(data)[:500]}")


async def _play(
    rollout: Rollout, socket: ClientConnection, state: dict[str, Any], act: Act
) -> None:
    last = rollout.policy.get("turns")
    is_over = bool(state.get("done")) or last == 0
    while not is_over:
        check_turns(rollout, _MOST_TURNS, _ADVICE)
        action = await act(state.get("observation"))
        state = await _ask(socket, "step", action)
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
