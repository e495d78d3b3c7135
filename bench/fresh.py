"""Measurements of a fresh process: import and first call, and memory.

python -m bench.fresh PROGRAM URL CONTENDER prints one number; so does ... fleet-memory URL LENGTH
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable

# What a contender needs of the standard library is part of its import: nothing above brings any of
# it along that the interpreter has not loaded by itself.
_BEGUN = (time.perf_counter(), time.process_time())
_STREAMS = 250
_KEY = "sk_bench_0123456789"
_PATH = "/v1/pools/bench-pool"


def first_call(contender: str, url: str) -> None:
    """From nothing imported to the answer of the first call."""
    if contender == "httpx":
        import httpx

        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {_KEY}"}) as bare:
            bare.get(_PATH).raise_for_status().json()
    elif contender == "synth-pools":
        from synth_pools import ContainerPoolsClient

        with ContainerPoolsClient(api_key=_KEY, base_url=url) as ours:
            ours.get_pool("bench-pool")
    else:
        from importlib import import_module

        pools = import_module("synth_ai.sdk.pools")
        pools.ContainerPoolsClient(api_key=_KEY, backend_base=url).get_pool("bench-pool")


async def stream_memory(contender: str, url: str) -> float:
    """KiB for each open event stream on which nothing happens."""
    if contender == "httpx":
        import httpx

        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30.0) as bare:

            async def open_bare() -> object:
                path = f"{_PATH}/rollouts/rollout-idle/events"
                response = await bare.send(bare.build_request("GET", path), stream=True)
                lines = response.aiter_lines()
                await anext(lines)
                return response, lines

            return await _grown_by(open_bare)
    from synth_pools import AsyncContainerPoolsClient

    async with AsyncContainerPoolsClient(api_key=_KEY, base_url=url) as ours:

        async def open_ours() -> object:
            stream = ours.stream_rollout_events("bench-pool", "rollout-idle")
            await anext(stream)
            return stream

        return await _grown_by(open_ours)


async def fleet_memory(url: str, number: int) -> float:
    """KiB that a fleet grows by, in its second half, for each 100,000 requests."""
    from synth_pools import AsyncContainerPoolsClient

    before, ended = 0.0, 0
    async with AsyncContainerPoolsClient(api_key=_KEY, base_url=url) as client:
        requests = ({"seed": seed, "metadata": {"note": "x" * 500}} for seed in range(number))
        async for outcome in client.rollouts.run_many("bench-pool", requests):
            if not outcome.ok:
                raise RuntimeError(f"request {outcome.index} did not complete: {outcome.error}")
            ended += 1
            if ended == number // 2:
                gc.collect()
                before = _resident_kib()
    gc.collect()
    return (_resident_kib() - before) / (number - number // 2) * 100_000


async def _grown_by(open_one: Callable[[], Awaitable[object]]) -> float:
    kept = [await open_one() for _ in range(20)]  # what is made once is made now
    gc.collect()
    before = _resident_kib()
    kept += [await open_one() for _ in range(_STREAMS)]
    gc.collect()
    return (_resident_kib() - before) / _STREAMS


def _resident_kib() -> float:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - imports nothing
        for line in status:
            if line.startswith("VmRSS:"):
                return float(line.split()[1])
    raise RuntimeError("this system does not say how much memory a process has")


def main(program: str, url: str, what: str) -> None:
    if program.startswith("first-call"):
        if "secure" in program:
            # Whoever has words about proxies may be led to one that speaks TLS, so that our client
            # reads certificates as it does on its way to an https:// address, and as httpx always.
            os.environ["no_proxy"] = "127.0.0.1"
        first_call(what, url)
        taken = (time.perf_counter() - _BEGUN[0], time.process_time() - _BEGUN[1])
        print(taken[program.endswith("cpu")])
        return
    import asyncio

    if program == "stream-memory":
        print(asyncio.run(stream_memory(what, url)))
    else:
        print(asyncio.run(fleet_memory(url, int(what))))


if __name__ == "__main__":
    main(*sys.argv[1:])
