"""Places of a server of OpenEnv, and messages to it over its WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from synth_pools.container import EpisodeError, Rollout
from synth_pools.environments.openenv_server import OpenEnvServer

_LARGEST_MESSAGE = 100 * 1024 * 1024
# The time for which an episode waits for a place that no episode of this container has.
_BUSY_SECONDS = 60.0
# The time after which a server of ours without a place for it is replaced.
_WEDGED_SECONDS = 5.0


class _NoPlaceError(Exception):
    """Answer of a server all of whose places are taken."""


class ServerPlaces:
    """Places of a server, of which each episode takes one.

    Args:
        server: The server.
    """

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


async def ask(socket: ClientConnection, kind: str, data: Any) -> dict[str, Any]:
    """Return the answer of a server to a message.

    Args:
        socket: The connection.
        kind: The type of the message.
        data: Its data; None without any.

    Raises:
        EpisodeError: The server refuses it, or answers something else.
    """
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
