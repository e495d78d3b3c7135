"""Measurements of a fresh process: import and first call, and memory.

python -m bench.fresh PROGRAM URL CONTENDER prints one number; of the first call two, the seconds
that passed and those of the processor. In the place of the contender, fleet-memory takes the number
of requests, fleet-cost-sync and fleet-cost-async how many of them are in flight; these with
-pool at their ends the same, on a pool with a stream of events.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

# What a contender needs of the standard library is part of its import: nothing above brings any of
# it along that the interpreter has not loaded by itself.
_BEGUN = (time.perf_counter(), time.process_time())
_STREAMS = 250
_FLEET_ROUNDS = 3
_KEY = "sk_bench_0123456789"
_PATH = "/v1/pools/bench-pool"
_STREAM_POOL = "stream-pool"


def first_call(contender: str, url: str) -> None:
    """From nothing imported to the answer of the first call."""
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
        requests: Iterator[dict[str, Any]] = (
            {"seed": seed, "metadata": {"note": "x" * 500}} for seed in range(number)
        )
        async for outcome in client.rollouts.run_many("bench-pool", requests):
            if not outcome.ok:
                raise RuntimeError(f"request {outcome.index} did not complete: {outcome.error}")
            ended += 1
            if ended == number // 2:
                gc.collect()
                before = _resident_kib()
    gc.collect()
    return (_resident_kib() - before) / (number - number // 2) * 100_000


def fleet_cost(url: str, colour: str, pool_id: str, in_flight: int) -> float:
    """Processor time of a fleet, in that of the calls that it makes.

    The calls are those that `run_many` makes of a rollout that has ended when it is first asked
    about: create, events, get, summary; by as many tasks, or threads, as are in flight. Where the
    events of the whole pool are told, one task or thread more reads these.
    """
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(max(2000, in_flight))]
    if colour == "sync":
        return _sync_fleet_cost(url, requests, pool_id, in_flight)
    import asyncio

    return asyncio.run(_async_fleet_cost(url, requests, pool_id, in_flight))


async def _async_fleet_cost(
    url: str, requests: list[dict[str, Any]], pool_id: str, in_flight: int
) -> float:
    import asyncio

    from synth_pools import AsyncContainerPoolsClient

    is_told = pool_id == _STREAM_POOL
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
                    made = await rollouts.create(pool_id, request)
                    if not is_told:
                        async for _ in rollouts.events(pool_id, made["id"]):
                            pass
                    await rollouts.get(pool_id, made["id"])
                    await rollouts.summary(pool_id, made["id"])
                    done += 1

            async def read_pool() -> None:
                left = len(requests)
                async for _ in client.events(pool_id, start="latest"):
                    left -= 1
                    if not left:
                        return

            reading = asyncio.create_task(read_pool()) if is_told else None
            await asyncio.gather(*(task() for _ in range(in_flight)))
            if reading is not None:
                reading.cancel()
            return done

        taken: dict[str, list[float]] = {"fleet": [], "calls": []}
        for _ in range(_FLEET_ROUNDS):
            for name, run in (("calls", calls), ("fleet", fleet)):
                begun = time.process_time()
                _check(await run(), len(requests))
                taken[name].append(time.process_time() - begun)
        return min(taken["fleet"]) / min(taken["calls"])


def _sync_fleet_cost(
    url: str, requests: list[dict[str, Any]], pool_id: str, in_flight: int
) -> float:
    from concurrent.futures import ThreadPoolExecutor

    from synth_pools import ContainerPoolsClient

    is_told = pool_id == _STREAM_POOL
    with (
        ContainerPoolsClient(api_key=_KEY, base_url=url) as client,
        ThreadPoolExecutor(in_flight) as threads,
        ThreadPoolExecutor(1) as reader,
    ):
        rollouts = client.rollouts

        def fleet() -> int:
            outcomes = rollouts.run_many(pool_id, requests, max_in_flight=in_flight)
            return sum(outcome.ok for outcome in outcomes)

        def one(request: dict[str, Any]) -> bool:
            made = rollouts.create(pool_id, request)
            if not is_told:
                for _ in rollouts.events(pool_id, made["id"]):
                    pass
            rollouts.get(pool_id, made["id"])
            rollouts.summary(pool_id, made["id"])
            return True

        def calls() -> int:
            if not is_told:
                return sum(threads.map(one, requests))
            stream = client.events(pool_id, start="latest")
            reading = reader.submit(sum, (1 for _ in stream))
            done = sum(threads.map(one, requests))
            stream.close()
            reading.result()
            return done

        taken: dict[str, list[float]] = {"fleet": [], "calls": []}
        for _ in range(_FLEET_ROUNDS):
            begun = time.process_time()
            _check(calls(), len(requests))
            between = time.process_time()
            _check(fleet(), len(requests))
            taken["calls"].append(between - begun)
            taken["fleet"].append(time.process_time() - between)
        return min(taken["fleet"]) / min(taken["calls"])


def _check(ended: int, wanted: int) -> None:
    if ended != wanted:
        raise RuntimeError(f"{ended} rollouts ended well, not {wanted}")


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
    if program == "first-call":
        first_call(what, url)
        print(time.perf_counter() - _BEGUN[0], time.process_time() - _BEGUN[1])
        return
    if program.startswith("fleet-cost"):
        _, _, colour, *told = program.split("-")
        print(fleet_cost(url, colour, _STREAM_POOL if told else "bench-pool", int(what)))
        return
    import asyncio

    if program == "stream-memory":
        print(asyncio.run(stream_memory(what, url)))
    else:
        print(asyncio.run(fleet_memory(url, int(what))))


if __name__ == "__main__":
    main(*sys.argv[1:])
