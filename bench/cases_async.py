"""Many calls at once, in one event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import httpx

from bench.cases import HTTPX, KEY, OLDER, OURS, ROLLOUT, Case
from bench.server import EVENTS, LONG, POOL_ID
from synth_pools import AsyncContainerPoolsClient

IN_FLIGHT = 64

_EVENTS_PATH = f"/v1/pools/{POOL_ID}/rollouts/{LONG}/events"


async def async_cases(
    url: str, stack: AsyncExitStack, run: Callable[[Coroutine[Any, Any, None]], None]
) -> list[Case]:
    """The cases, on clients that `stack` closes; `run` runs to its end what it is given."""
    bare = await stack.enter_async_context(
        httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30.0)
    )
    ours = await stack.enter_async_context(AsyncContainerPoolsClient(api_key=KEY, base_url=url))
    pools = import_module("synth_ai.sdk.pools")
    older: Any = pools.AsyncContainerPoolsClient(
        pools.ContainerPoolsClient(api_key=KEY, backend_base=url)
    )

    async def bare_get() -> None:
        (await bare.get(f"/v1/pools/{POOL_ID}")).raise_for_status().json()

    async def bare_create() -> None:
        answer = await bare.post(f"/v1/pools/{POOL_ID}/rollouts", json=ROLLOUT)
        answer.raise_for_status().json()

    async def bare_stream() -> None:
        count = 0
        async with bare.stream("GET", _EVENTS_PATH) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    count += bool(json.loads(line[5:]))
        _check(count)

    async def our_stream() -> None:
        count = 0
        async for _ in ours.stream_rollout_events(POOL_ID, LONG):
            count += 1
        _check(count)

    def in_flight(call: Callable[[], Awaitable[object]]) -> Callable[[int], None]:
        async def one(calls: int) -> None:
            for _ in range(calls):
                await call()

        async def all_of_them(calls: int) -> None:
            await asyncio.gather(*(one(max(1, calls // IN_FLIGHT)) for _ in range(IN_FLIGHT)))

        return lambda calls: run(all_of_them(calls))

    def one_by_one(call: Callable[[], Awaitable[None]]) -> Callable[[int], None]:
        async def all_of_them(calls: int) -> None:
            for _ in range(calls):
                await call()

        return lambda calls: run(all_of_them(calls))

    return [
        Case(
            f"async: GET, {IN_FLIGHT} in flight",
            IN_FLIGHT * 10,
            4.0,
            {
                HTTPX: in_flight(bare_get),
                OURS: in_flight(lambda: ours.get_pool(POOL_ID)),
                OLDER: in_flight(lambda: older.get_pool(POOL_ID)),
            },
            IN_FLIGHT,
        ),
        Case(
            f"async: create, {IN_FLIGHT} in flight",
            IN_FLIGHT * 10,
            None,
            {
                HTTPX: in_flight(bare_create),
                OURS: in_flight(lambda: ours.create_rollout(POOL_ID, ROLLOUT)),
                OLDER: in_flight(lambda: older.create_rollout(POOL_ID, ROLLOUT)),
            },
            IN_FLIGHT,
        ),
        # The older client has no event streams that work in async code.
        Case(
            f"async: stream of {EVENTS:,} events",
            1,
            2.5,
            {HTTPX: one_by_one(bare_stream), OURS: one_by_one(our_stream)},
        ),
    ]


def _check(count: int) -> None:
    if count != EVENTS:
        raise RuntimeError(f"{count} events came, not {EVENTS}")
