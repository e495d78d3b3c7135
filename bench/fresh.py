"""What only a fresh process can show: import and first call, and memory.

python -m bench.fresh PROGRAM CONTENDER URL       prints one number
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable

_BEGUN = time.perf_counter()
_STREAMS = 250
_KEY = "sk_bench_0123456789"
_PATH = "/v1/pools/bench-pool"


def first_call(contender: str, url: str) -> float:
    """Seconds from nothing imported to the answer of the first call."""
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
    return time.perf_counter() - _BEGUN


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


def main(program: str, contender: str, url: str) -> None:
    if program == "first-call":
        print(first_call(contender, url))
    else:
        print(asyncio.run(stream_memory(contender, url)))


if __name__ == "__main__":
    main(*sys.argv[1:])
