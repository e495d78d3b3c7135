"""Cases with many calls at a time, in one event loop."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import aiohttp

from bench.cases import (
    AIOHTTP,
    HEADERS,
    HTTPX,
    HTTPX2,
    KEY,
    OLDER,
    OURS,
    ROLLOUT,
    Addresses,
    Case,
    import_older,
    installed_only,
)
from bench.cases_sync import check_number
from bench.server import EVENTS, LONG, POOL_ID
from synth_pools import AsyncContainerPoolsClient

IN_FLIGHT = 64
MANY = 1000

_POOL_PATH = f"/v1/pools/{POOL_ID}"
_EVENTS_PATH = f"{_POOL_PATH}/rollouts/{LONG}/events"

# A call on a library of HTTP alone, with its method, its path and its JSON.
Call = Callable[[str, str, Any], Awaitable[Any]]


async def async_cases(
    addresses: Addresses, stack: AsyncExitStack, run: Callable[[Coroutine[Any, Any, None]], None]
) -> list[Case]:
    """Return the cases, with clients that `stack` closes; `run` runs a coroutine to its end."""
    bare: dict[str, Call] = {}
    streams: dict[str, Callable[[], Awaitable[None]]] = {}
    secure: dict[str, Call] = {}
    trusting = ssl.create_default_context(cafile=addresses.authority)
    for name in (HTTPX, HTTPX2, AIOHTTP):
        library = _aiohttp if name == AIOHTTP else _like_httpx
        bare[name], streams[name] = await library(name, addresses.plain, stack)
        secure[name], _ = await library(name, addresses.secure, stack, trusting)

    async def client(url: str) -> AsyncContainerPoolsClient:
        return await stack.enter_async_context(AsyncContainerPoolsClient(api_key=KEY, base_url=url))

    ours, ours_secure = await client(addresses.plain), await client(addresses.secure)
    older: Any = None
    if (pools := import_older()) is not None:
        older = pools.AsyncContainerPoolsClient(
            pools.ContainerPoolsClient(api_key=KEY, backend_base=addresses.plain)
        )

    async def our_stream() -> None:
        count = 0
        async for _ in ours.stream_rollout_events(POOL_ID, LONG):
            count += 1
        check_number(count)

    def in_flight(
        call: Callable[[], Awaitable[object]], at_once: int = IN_FLIGHT
    ) -> Callable[[int], None]:
        async def make_calls(calls: int) -> None:
            for _ in range(calls):
                await call()

        async def all_of_them(calls: int) -> None:
            await asyncio.gather(*(make_calls(max(1, calls // at_once)) for _ in range(at_once)))

        return lambda calls: run(all_of_them(calls))

    def one_by_one(call: Callable[[], Awaitable[None]]) -> Callable[[int], None]:
        async def all_of_them(calls: int) -> None:
            for _ in range(calls):
                await call()

        return lambda calls: run(all_of_them(calls))

    def contenders_of(
        calls: dict[str, Call], method: str, path: str, body: Any = None, at_once: int = IN_FLIGHT
    ) -> dict[str, Callable[[int], None]]:
        def repeated(call: Call) -> Callable[[int], None]:
            return in_flight(lambda: call(method, path, body), at_once)

        return {name: repeated(call) for name, call in calls.items()}

    cases = [
        Case(
            f"async: GET, {IN_FLIGHT} in flight",
            IN_FLIGHT * 10,
            16.0,
            contenders_of(bare, "GET", _POOL_PATH)
            | {
                OURS: in_flight(lambda: ours.get_pool(POOL_ID)),
                OLDER: in_flight(lambda: older.get_pool(POOL_ID)),
            },
            IN_FLIGHT,
        ),
        Case(
            f"async: GET, {MANY:,} in flight",
            MANY * 2,
            None,
            # Without httpx and httpx2, which would take minutes.
            contenders_of({AIOHTTP: bare[AIOHTTP]}, "GET", _POOL_PATH, at_once=MANY)
            | {OURS: in_flight(lambda: ours.get_pool(POOL_ID), MANY)},
            MANY,
        ),
        Case(
            f"async: GET, TLS, {IN_FLIGHT} in flight",
            IN_FLIGHT * 10,
            12.0,
            contenders_of(secure, "GET", _POOL_PATH)
            | {OURS: in_flight(lambda: ours_secure.get_pool(POOL_ID))},
            IN_FLIGHT,
        ),
        Case(
            f"async: create, {IN_FLIGHT} in flight",
            IN_FLIGHT * 10,
            None,
            contenders_of(bare, "POST", f"{_POOL_PATH}/rollouts", ROLLOUT)
            | {
                OURS: in_flight(lambda: ours.create_rollout(POOL_ID, ROLLOUT)),
                OLDER: in_flight(lambda: older.create_rollout(POOL_ID, ROLLOUT)),
            },
            IN_FLIGHT,
        ),
        # The event streams of the older client do not work in async code.
        Case(
            f"async: stream of {EVENTS:,} events",
            1,
            2.8,
            {name: one_by_one(stream) for name, stream in streams.items()}
            | {OURS: one_by_one(our_stream)},
        ),
    ]
    return installed_only(cases)


async def _like_httpx(
    package: str, url: str, stack: AsyncExitStack, trusting: ssl.SSLContext | None = None
) -> tuple[Call, Callable[[], Awaitable[None]]]:
    """Return a call and a stream of events on httpx, or on a library with its interface."""
    # Not an import statement: some libraries are only in the environment of the benchmark.
    library: Any = import_module(package)
    client = await stack.enter_async_context(
        library.AsyncClient(
            base_url=url,
            headers=HEADERS,
            timeout=30.0,
            limits=library.Limits(max_connections=MANY, max_keepalive_connections=MANY),
            verify=trusting or False,
        )
    )

    async def call(method: str, path: str, body: Any) -> Any:
        return (await client.request(method, path, json=body)).raise_for_status().json()

    async def stream() -> None:
        count = 0
        async with client.stream("GET", _EVENTS_PATH) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    count += bool(json.loads(line[5:]))
        check_number(count)

    return call, stream


async def _aiohttp(
    _: str, url: str, stack: AsyncExitStack, trusting: ssl.SSLContext | None = None
) -> tuple[Call, Callable[[], Awaitable[None]]]:
    """Return a call and a stream of events on aiohttp alone."""
    client = await stack.enter_async_context(
        aiohttp.ClientSession(
            url,
            headers=HEADERS,
            raise_for_status=True,
            timeout=aiohttp.ClientTimeout(sock_connect=30.0, sock_read=30.0),
            connector=aiohttp.TCPConnector(limit=MANY, ssl=trusting or False),
        )
    )

    async def call(method: str, path: str, body: Any) -> Any:
        async with client.request(method, path, json=body) as response:
            return json.loads(await response.read())

    async def stream() -> None:
        count = 0
        async with client.get(_EVENTS_PATH) as response:
            async for line in response.content:
                if line.startswith(b"data:"):
                    count += bool(json.loads(line[5:]))
        check_number(count)

    return call, stream
