"""Load of the benchmark: the same code for the container and for the backend before it."""

from __future__ import annotations

import asyncio
import copy
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bench.backend.processes import Process
from bench.cases import KEY

IN_FLIGHT = 64
READERS = 200

# Long enough for all of a round to happen while nothing of these ends.
_PARKED_SECONDS = 3600
_READERS_SECONDS = 5.0
_READERS_EVENTS = 10

_UNFINISHED = ("queued", "running")

Call = Callable[[], Awaitable[None]]


def open_client() -> aiohttp.ClientSession:
    """The library that our own async client sends through."""
    # Hundreds of streams are open at a time; what both servers close after 5 seconds is left.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0)
    return aiohttp.ClientSession(
        connector=connector,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=aiohttp.ClientTimeout(sock_connect=60.0, sock_read=60.0),
        raise_for_status=True,
    )


class Direct:
    """Rollouts requested from the container."""

    def __init__(self, client: aiohttp.ClientSession, container: Process) -> None:
        self._client = client
        self._url = f"{container.url}/rollouts"

    async def run(self, seconds: float) -> None:
        body = {
            "rollout_id": f"rollout_{uuid.uuid4().hex}",
            "submission_mode": "sync",
            "seed": 1,
            "params": {"seconds": seconds},
        }
        answer = await _sent(self._client, "POST", self._url, body)
        _require(answer["success_status"] == "success", answer)


class Through:
    """The same rollouts, requested from a backend."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        backend: Process,
        container: Process,
        places: int | None = None,
    ) -> None:
        self._client = client
        self._url = backend.url
        self._pool: dict[str, Any] = {
            "name": "bench",
            "container_url": container.url,
            "concurrency": places or IN_FLIGHT,
        }
        self._pool_id = ""

    async def open(self) -> None:
        self._pool_id = await self.new_pool(self._pool)

    def beside(self, backend: Process) -> Through:
        """The same pool through another backend on the same database."""
        second = copy.copy(self)
        second._url = backend.url  # noqa: SLF001 - of the same class
        return second

    async def new_pool(self, pool: dict[str, Any]) -> str:
        return str((await _sent(self._client, "POST", f"{self._url}/v1/pools", pool))["pool_id"])

    async def run(self, seconds: float) -> None:
        body = {"mode": "sync", "seed": 1, "params": {"seconds": seconds}}
        answer = await _sent(self._client, "POST", self._rollouts(self._pool_id), body)
        _require(answer["status"] == "completed", answer)

    async def seconds_until_told(self, second: Through, times: int) -> list[float]:
        """The seconds from the answer to a creation until a reader of another backend has it."""
        durations: list[float] = []
        event_times: asyncio.Queue[float] = asyncio.Queue()

        async def read() -> None:
            url = f"{second._url}/v1/pools/{self._pool_id}/events?types=rollout.queued"
            async with self._client.get(url, timeout=aiohttp.ClientTimeout()) as response:
                async for line in response.content:
                    if line.startswith(b"data: "):
                        event_times.put_nowait(time.perf_counter())

        reader = asyncio.create_task(read())
        try:
            for _ in range(times):
                body = {"mode": "async", "seed": 1}
                await _sent(self._client, "POST", self._rollouts(self._pool_id), body)
                answered = time.perf_counter()
                durations.append(max(0.0, await asyncio.wait_for(event_times.get(), 30) - answered))
        finally:
            reader.cancel()
        # Events from before the opening of the stream come at its start.
        return durations[times // 10 :]

    async def health(self) -> None:
        await _sent(self._client, "GET", f"{self._url}/health")

    async def park(self) -> str:
        """A pool in which one rollout runs for good, so that all others wait."""
        pool_id = await self.new_pool({"name": "parked", "concurrency": 1})
        body = {"env": {"delay": _PARKED_SECONDS, "events": 0}}
        await _sent(self._client, "POST", self._rollouts(pool_id), body)
        return pool_id

    async def admit(self, pool_id: str) -> None:
        answer = await _sent(self._client, "POST", self._rollouts(pool_id), {"seed": 1})
        _require(answer["status"] == "queued", answer)

    async def close_pool(self, pool_id: str) -> None:
        await _sent(self._client, "DELETE", f"{self._url}/v1/pools/{pool_id}")

    async def read_live(self, pool_id: str, on_open: Callable[[], None]) -> list[float]:
        """Follow a rollout of the built-in target to its end: how late each of its events came."""
        body = {"env": {"delay": _READERS_SECONDS, "events": _READERS_EVENTS}}
        rollout = await _sent(self._client, "POST", self._rollouts(pool_id), body)
        url = f"{self._rollouts(pool_id)}/{rollout['rollout_id']}/events"
        delays: list[float] = []
        async with self._client.get(url) as response:
            on_open()
            async for line in response.content:
                if line.startswith(b"data:"):
                    received_at = time.time()
                    event = json.loads(line[5:])
                    _require(event["sequence"] == len(delays) + 1, event)
                    sent = datetime.fromisoformat(event["timestamp"]).timestamp()
                    delays.append(max(0.0, received_at - sent))
        # Queued, started, the reported events, the reward and the end.
        _require(len(delays) == _READERS_EVENTS + 4, rollout)
        return delays

    async def follow(self, pool_id: str, readers: int, events: int) -> None:
        """Run a rollout of the built-in target with many events and followers."""
        body = {"env": {"delay": 1, "events": events}}
        rollout = await _sent(self._client, "POST", self._rollouts(pool_id), body)
        url = f"{self._rollouts(pool_id)}/{rollout['rollout_id']}/events"
        # One of them only waits for the end.
        async with asyncio.TaskGroup() as tasks:
            for _ in range(readers):
                tasks.create_task(self._read_bytes(url))
            tasks.create_task(self._wait_for_end(url.removesuffix("/events")))

    async def keep(self, pool_id: str, size: int) -> None:
        """Run a rollout whose stored size is given."""
        body = {"mode": "sync", "params": {"pad": "x" * size}, "env": {"events": 0}}
        answer = await _sent(self._client, "POST", self._rollouts(pool_id), body)
        _require(answer["status"] == "completed", answer["status"])

    async def list_all(self, pool_id: str) -> None:
        """Request the largest page of rollouts, and drop it."""
        async with self._client.get(f"{self._rollouts(pool_id)}?limit=1000") as response:
            await response.read()

    async def _read_bytes(self, url: str) -> None:
        async with self._client.get(url) as response:
            async for _ in response.content.iter_any():
                pass

    async def _wait_for_end(self, url: str) -> None:
        while True:
            summary = await _sent(self._client, "GET", f"{url}/summary")
            if summary["status"] not in _UNFINISHED:
                return
            await asyncio.sleep(0.1)

    async def page(self, limit: int, cursor: str | None = None) -> str | None:
        query = {"limit": str(limit), **({} if cursor is None else {"cursor": cursor})}
        url = f"{self._rollouts(self._pool_id)}?{urlencode(query)}"
        answer = await _sent(self._client, "GET", url)
        _require(bool(answer["items"]), answer)
        return None if answer["next_cursor"] is None else str(answer["next_cursor"])

    def _rollouts(self, pool_id: str) -> str:
        return f"{self._url}/v1/pools/{pool_id}/rollouts"


async def rate_of(
    call: Call, calls: int, spread_seconds: float = 0.0, in_flight: int | None = None
) -> float:
    """Return calls a second with a number in flight, without the first and the last ones.

    Towards the end fewer are in flight. Long calls start spread over their duration: calls that
    start together stay together for minutes.
    """
    in_flight = in_flight or IN_FLIGHT
    ends: list[float] = []
    remaining = iter(range(calls))

    async def one_after_the_other(number: int) -> None:
        await asyncio.sleep(spread_seconds * number / in_flight)
        for _ in remaining:
            await call()
            ends.append(time.perf_counter())

    async with asyncio.TaskGroup() as tasks:
        for number in range(in_flight):
            tasks.create_task(one_after_the_other(number))
    return (calls - 2 * in_flight) / (ends[-1 - in_flight] - ends[in_flight - 1])


async def rate_until(call: Call, end: asyncio.Event) -> float:
    """Return calls a second until an event."""
    ends: list[float] = []

    async def one_after_the_other() -> None:
        while not end.is_set():
            await call()
            if not end.is_set():
                ends.append(time.perf_counter())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(one_after_the_other())
    first = min(IN_FLIGHT, len(ends) // 2)
    return (len(ends) - 1 - first) / (ends[-1] - ends[first])


async def _sent(client: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> Any:
    async with client.request(method, url, json=body) as response:
        return await response.json()


def _require(holds: bool, answer: Any) -> None:
    if not holds:
        raise RuntimeError(f"unexpected: {answer}")
