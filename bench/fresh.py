"""Measurements of a new process: import and first call, memory, and the cost of a fleet.

python -m bench.fresh PROGRAM URL CONTENDER prints one number; for the first call two, the elapsed
seconds and those of the processor. In place of the contender, fleet-memory takes the number of
requests, fleet-cost-sync and fleet-cost-async the number of requests in flight; with -pool at the
end of their names they run on a pool with a stream of events.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

# The modules of the standard library that a contender needs are part of its import: the imports
# above load none that the interpreter has not loaded already.
_STARTED = (time.perf_counter(), time.process_time())
_STREAMS = 250
_FLEET_ROUNDS = 3
_KEY = "sk_bench_0123456789"
_PATH = "/v1/pools/bench-pool"
_STREAM_POOL = "stream-pool"


def first_call(contender: str, url: str) -> None:
    """Import a contender, and make a first call."""
    if contender.startswith("httpx"):
        from importlib import import_module

        httpx = import_module(contender)
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {_KEY}"}) as bare:
            bare.get(_PATH).raise_for_status().json()
    elif contender == "http.client":
        import json
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc)
        connection.request("GET", _PATH, headers={"Authorization": f"Bearer {_KEY}"})
        json.loads(connection.getresponse().read())
        connection.close()
    elif contender == "synth-pools":
        from synth_pools import ContainerPoolsClient

        with ContainerPoolsClient(api_key=_KEY, base_url=url) as ours:
            ours.get_pool("bench-pool")
    else:
        from importlib import import_module

        pools = import_module("synth_ai.sdk.pools")
        pools.ContainerPoolsClient(api_key=_KEY, backend_base=url).get_pool("bench-pool")


async def stream_memory(contender: str, url: str) -> float:
    """Return the KiB for each open event stream without events."""
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

            return await _memory_of(open_bare)
    from synth_pools import AsyncContainerPoolsClient

    async with AsyncContainerPoolsClient(api_key=_KEY, base_url=url) as ours:

        async def open_ours() -> object:
            stream = ours.stream_rollout_events("bench-pool", "rollout-idle")
            await anext(stream)
            return stream

        return await _memory_of(open_ours)


async def fleet_memory(url: str, number: int) -> float:
    """Return the growth of a fleet in its second half, in KiB for 100,000 requests."""
    from synth_pools import AsyncContainerPoolsClient

    before, outcome_count = 0.0, 0
    async with AsyncContainerPoolsClient(api_key=_KEY, base_url=url) as client:
        requests: Iterator[dict[str, Any]] = (
            {"seed": seed, "metadata": {"note": "x" * 500}} for seed in range(number)
        )
        async for outcome in client.rollouts.run_many("bench-pool", requests):
            if not outcome.ok:
                raise RuntimeError(f"request {outcome.index} did not complete: {outcome.error}")
            outcome_count += 1
            if outcome_count == number // 2:
                gc.collect()
                before = _resident_kib()
    gc.collect()
    return (_resident_kib() - before) / (number - number // 2) * 100_000


def fleet_cost(url: str, variant: str, pool_id: str, in_flight: int) -> float:
    """Return the processor time of a fleet as a multiple of the time of its calls alone.

    For a rollout that ends at once `run_many` makes four calls: create, events, get and summary. As
    many tasks, or threads, make them as requests are in flight. On a pool with a stream of events
    one further task or thread reads that stream.
    """
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(max(2000, in_flight))]
    if variant == "sync":
        return _sync_fleet_cost(url, requests, pool_id, in_flight)
    import asyncio

    return asyncio.run(_async_fleet_cost(url, requests, pool_id, in_flight))


async def _async_fleet_cost(
    url: str, requests: list[dict[str, Any]], pool_id: str, in_flight: int
) -> float:
    import asyncio

    from synth_pools import AsyncContainerPoolsClient

    has_events = pool_id == _STREAM_POOL
    async with AsyncContainerPoolsClient(api_key=_KEY, base_url=url) as client:
        rollouts = client.rollouts

        async def fleet() -> int:
            outcomes = rollouts.run_many(pool_id, requests, max_in_flight=in_flight)
            return sum([outcome.ok async for outcome in outcomes])

        async def calls() -> int:
            waiting = iter(requests)
            done = 0

            async def task() -> None:
                nonlocal done
                for request in waiting:
                    rollout = await rollouts.create(pool_id, request)
                    if not has_events:
                        async for _ in rollouts.events(pool_id, rollout["id"]):
                            pass
                    await rollouts.get(pool_id, rollout["id"])
                    await rollouts.summary(pool_id, rollout["id"])
                    done += 1

            async def read_pool() -> None:
                remaining = len(requests)
                async for _ in client.events(pool_id, start="latest"):
                    remaining -= 1
                    if not remaining:
                        return

            reading = asyncio.create_task(read_pool()) if has_events else None
            await asyncio.gather(*(task() for _ in range(in_flight)))
            if reading is not None:
                reading.cancel()
            return done

        samples: dict[str, list[float]] = {"fleet": [], "calls": []}
        for _ in range(_FLEET_ROUNDS):
            for name, run in (("calls", calls), ("fleet", fleet)):
                started = time.process_time()
                _check(await run(), len(requests))
                samples[name].append(time.process_time() - started)
        return min(samples["fleet"]) / min(samples["calls"])


def _sync_fleet_cost(
    url: str, requests: list[dict[str, Any]], pool_id: str, in_flight: int
) -> float:
    from concurrent.futures import ThreadPoolExecutor

    from synth_pools import ContainerPoolsClient

    has_events = pool_id == _STREAM_POOL
    with (
        ContainerPoolsClient(api_key=_KEY, base_url=url) as client,
        ThreadPoolExecutor(in_flight) as threads,
        ThreadPoolExecutor(1) as reader,
    ):
        rollouts = client.rollouts

        def fleet() -> int:
            outcomes = rollouts.run_many(pool_id, requests, max_in_flight=in_flight)
            return sum(outcome.ok for outcome in outcomes)

        def run_rollout(request: dict[str, Any]) -> bool:
            rollout = rollouts.create(pool_id, request)
            if not has_events:
                for _ in rollouts.events(pool_id, rollout["id"]):
                    pass
            rollouts.get(pool_id, rollout["id"])
            rollouts.summary(pool_id, rollout["id"])
            return True

        def calls() -> int:
            if not has_events:
                return sum(threads.map(run_rollout, requests))
            stream = client.events(pool_id, start="latest")
            reading = reader.submit(sum, (1 for _ in stream))
            done = sum(threads.map(run_rollout, requests))
            stream.close()
            reading.result()
            return done

        samples: dict[str, list[float]] = {"fleet": [], "calls": []}
        for _ in range(_FLEET_ROUNDS):
            started = time.process_time()
            _check(calls(), len(requests))
            middle = time.process_time()
            _check(fleet(), len(requests))
            samples["calls"].append(middle - started)
            samples["fleet"].append(time.process_time() - middle)
        return min(samples["fleet"]) / min(samples["calls"])


def _check(actual: int, expected: int) -> None:
    if actual != expected:
        raise RuntimeError(f"{actual} rollouts completed, not {expected}")


async def _memory_of(open_stream: Callable[[], Awaitable[object]]) -> float:
    # The first streams allocate everything that all share.
    streams = [await open_stream() for _ in range(20)]
    gc.collect()
    before = _resident_kib()
    streams += [await open_stream() for _ in range(_STREAMS)]
    gc.collect()
    return (_resident_kib() - before) / _STREAMS


def _resident_kib() -> float:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - imports nothing
        for line in status:
            if line.startswith("VmRSS:"):
                return float(line.split()[1])
    raise RuntimeError("this system does not show the memory of a process")


def main(program: str, url: str, argument: str) -> None:
    if program == "first-call":
        first_call(argument, url)
        print(time.perf_counter() - _STARTED[0], time.process_time() - _STARTED[1])
        return
    if program.startswith("fleet-cost"):
        _, _, variant, *suffix = program.split("-")
        print(fleet_cost(url, variant, _STREAM_POOL if suffix else "bench-pool", int(argument)))
        return
    import asyncio

    if program == "stream-memory":
        print(asyncio.run(stream_memory(argument, url)))
    else:
        print(asyncio.run(fleet_memory(url, int(argument))))


if __name__ == "__main__":
    main(*sys.argv[1:])
