"""Turns of long reads: one at a time, with pauses while others wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from synth_pools.backend.resources import turns as turns_module
from synth_pools.backend.resources.byte_budget import NoRoomError
from synth_pools.backend.resources.turns import Turns
from synth_pools.backend.storage import rollouts
from tests.backend.resources.test_sending_room import with_large_events
from tests.support.backend_server import KEY, Server, eventually

# A list of all is read in a thread, a page of 100 in the event loop; one of 20 is a short answer.
STORED = 300
HEAD = f"HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n".encode()


async def take_in_order(turns: Turns, name: str, order: list[str], *, steps: int = 3) -> None:
    async with turns.take():
        order.append(f"{name} begins")
        for _ in range(steps):
            await asyncio.sleep(0)
        order.append(f"{name} ends")


def test_turns_come_one_after_the_other_in_the_order_of_their_requests() -> None:
    async def run() -> list[str]:
        turns, order = Turns(60), list[str]()
        await asyncio.gather(*(take_in_order(turns, name, order) for name in "abcd"))
        assert turns.waiting == 0
        return order

    expected = [f"{name} {step}" for name in "abcd" for step in ("begins", "ends")]
    assert asyncio.run(run()) == expected


def test_a_pause_as_long_as_the_turn_follows_while_others_wait() -> None:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        turns, order = Turns(60), list[str]()
        started_at = loop.time()
        async with turns.take():
            waiting = asyncio.create_task(take_in_order(turns, "next", order))
            await asyncio.sleep(0.05)
            assert turns.waiting == 1
            # A timer for a shorter time is over first.
            loop.call_later(0.9 * (loop.time() - started_at), order.append, "shorter pause")
        await waiting
        return order

    assert asyncio.run(run()) == ["shorter pause", "next begins", "next ends"]


async def end_turn_of_an_hour(turns: Turns, waiting: Callable[[], object] | None = None) -> None:
    """Take a turn, call a function, and end the turn when an hour seems to be over."""
    loop = asyncio.get_running_loop()
    hour_ago = loop.time() - 3600
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: hour_ago)
        turn = turns.take()
        await turn.__aenter__()
    if waiting is not None:
        waiting()
        await asyncio.sleep(0)
    await turn.__aexit__(None, None, None)


def test_the_pause_after_a_very_long_turn_is_limited() -> None:
    async def run() -> list[str]:
        turns, order = Turns(60), list[str]()
        tasks: list[asyncio.Task[None]] = []
        await end_turn_of_an_hour(
            turns, lambda: tasks.append(asyncio.create_task(take_in_order(turns, "next", order)))
        )
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == ["next begins", "next ends"]


def test_one_reader_alone_is_not_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_LONGEST_PAUSE_SECONDS", 3600)

    async def run() -> None:
        turns = Turns(10)
        await end_turn_of_an_hour(turns)
        # A pause as long as the turn would outlast the patience of the next.
        async with turns.take():
            pass

    asyncio.run(run())


def test_a_turn_that_does_not_come_in_time_is_refused_and_takes_no_place() -> None:
    async def run() -> None:
        turns = Turns(0.01)
        async with turns.take():
            with pytest.raises(NoRoomError):
                await take_in_order(turns, "late", [])
            assert turns.waiting == 0
        async with turns.take():
            pass

    asyncio.run(run())


@pytest.mark.parametrize("is_running", [False, True])
def test_a_cancelled_read_leaves_its_turn_to_the_next(is_running: bool) -> None:
    async def run() -> list[str]:
        turns, order = Turns(60), list[str]()
        never = asyncio.Event()

        async def read() -> None:
            async with turns.take():
                await never.wait()

        first, second = asyncio.create_task(read()), asyncio.create_task(read())
        third = asyncio.create_task(take_in_order(turns, "third", order))
        await asyncio.sleep(0)
        for reader in (first, second) if is_running else (second, first):
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        await third
        return order

    assert asyncio.run(run()) == ["third begins", "third ends"]


def test_a_read_that_fails_ends_its_turn() -> None:
    async def run() -> None:
        turns = Turns(60)
        with pytest.raises(ZeroDivisionError):
            async with turns.take():
                _ = 1 / 0
        async with turns.take():
            pass

    asyncio.run(run())


@contextlib.contextmanager
def turn_in_use(server: Server, name: str) -> Iterator[None]:
    """Take a backend's turn of one kind of reads, for as long as the block."""
    services = server.services
    loop: Any = services.database._loop
    is_taken, end = threading.Event(), asyncio.Event()

    async def hold() -> None:
        async with getattr(services, name).take():
            is_taken.set()
            await end.wait()

    holding = asyncio.run_coroutine_threadsafe(hold(), loop)
    assert is_taken.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        holding.result(60)


def filled_pool(server: Server) -> str:
    """Make a pool in which many rollouts wait for the first, which does not end."""
    pool_id = server.pool(concurrency=1)
    server.rollout(pool_id, env={"delay": 600, "events": 60})
    body = {"pool_id": pool_id, "rollouts": [{"seed": seed} for seed in range(STORED)]}
    server.post("/v1/rollouts/batch", body)
    services = server.services
    output = services.processes.logs.open(pool_id, 0)
    services.database._loop.call_soon_threadsafe(output.feed, b"a line\n" * 200)
    return pool_id


def short_reads(server: Server, pool_id: str) -> list[str]:
    running = server.get(f"/v1/pools/{pool_id}/rollouts", params={"state": "running"})["items"]
    events = f"/v1/rollouts/{running[0]['id']}/events?format=json"
    return [
        f"/v1/pools/{pool_id}",
        f"/v1/pools/{pool_id}/rollouts?limit=20",
        # Read where they are found.
        f"/v1/pools/{pool_id}/rollouts?limit=100",
        f"/v1/pools/{pool_id}/events?format=json&limit=20",
        f"{events}&limit=20",
        # Few events follow.
        f"{events}&after_sequence=40",
        f"/v1/pools/{pool_id}/events?format=json&start=latest",
        f"/v1/pools/{pool_id}/logs?limit=20",
        "/v1/queue/status",
        "/health",
    ]


def test_short_answers_and_rollouts_pass_large_reads(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = start(room_wait_seconds=60, validate_responses=False)
    pool_id, other_id = filled_pool(backend), backend.pool()
    short = short_reads(backend, pool_id)
    order: list[str] = []
    list_rollouts = rollouts.list_rollouts

    def list_in_order(*args: Any) -> list[str]:
        order.append("begins")
        listed = list_rollouts(*args)
        order.append("ends")
        return listed

    turns = backend.services.reading_turns
    with ThreadPoolExecutor(8) as threads:
        with turn_in_use(backend, "reading_turns"):
            path = f"/v1/pools/{pool_id}/rollouts?limit=1000"
            large = [threads.submit(backend.get, path) for _ in range(8)]
            eventually(lambda: turns.waiting == 8)
            for path in short:
                assert backend.send("GET", path).status_code == 200
            assert backend.run(other_id)["status"] == "completed"
            # Counts have turns of their own.
            assert backend.send("GET", "/metrics").status_code == 200
            monkeypatch.setattr(rollouts, "list_rollouts", list_in_order)
        assert {len(page.result()["items"]) for page in large} == {STORED + 1}
    assert order == ["begins", "ends"] * 8
    eventually(lambda: backend.services.sending_room.budget.taken == 0)


@pytest.mark.parametrize("is_reset", [False, True], ids=["ends its side", "resets"])
def test_a_client_that_leaves_gives_its_turn_to_the_next(
    start: Callable[..., Server], is_reset: bool
) -> None:
    backend = start(room_wait_seconds=600)
    pool = f"/v1/pools/{filled_pool(backend)}"
    for name, paths in {
        "reading_turns": [f"{pool}/rollouts?limit=1000", f"{pool}/events?format=json"],
        "counting_turns": ["/metrics", f"{pool}/metrics"],
    }.items():
        turns = getattr(backend.services, name)
        with turn_in_use(backend, name), contextlib.ExitStack() as leaving:
            for path in paths:
                client = leaving.enter_context(
                    socket.create_connection(("127.0.0.1", backend.port), 60)
                )
                if is_reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(f"GET {path} ".encode() + HEAD + b"\r\n")
            eventually(lambda: turns.waiting == len(paths))  # noqa: B023
            leaving.close()
            # Nobody waits, while the turn is in use.
            eventually(lambda: turns.waiting == 0)  # noqa: B023
        assert backend.send("GET", paths[0]).status_code == 200
    eventually(lambda: backend.services.sending_room.budget.taken == 0)


def test_a_read_without_a_turn_in_time_is_refused(start: Callable[..., Server]) -> None:
    backend = start(room_wait_seconds=0.2)
    pool_id = filled_pool(backend)
    large = f"{with_large_events(backend)}/events?format=json"
    pool, short = f"/v1/pools/{pool_id}", short_reads(backend, pool_id)
    long_reads = {
        "reading_turns": [
            f"{pool}/rollouts?limit=1000",
            "/v1/rollouts?limit=1000",
            f"{pool}/events?format=json",
            f"{pool}/events?format=json&limit=1000",
            f"{pool}/events?format=json&types=rollout.failed",
            f"{pool}/logs",
            *(f"{large}&after_sequence={position}" for position in (0, 45)),
        ],
        "counting_turns": ["/metrics", f"{pool}/metrics"],
    }
    for name, paths in long_reads.items():
        with turn_in_use(backend, name):
            for path in paths:
                refused = backend.refused("GET", path, 503, "no_room")
                assert refused["error"]["retry_after_ms"] == 5000
            for path in short:
                assert backend.send("GET", path).status_code == 200
        for path in paths:
            assert backend.send("GET", path).status_code == 200
    assert len(backend.get(f"{pool}/logs")["lines"]) == 200
    eventually(lambda: backend.services.sending_room.budget.taken == 0)
