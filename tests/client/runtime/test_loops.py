"""Faults of the async variant alone: event loops and cancellation."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest
import uvloop

from synth_pools import AsyncContainerPoolsClient, ClientClosedError, FleetStoppedError
from synth_pools._client._async import connections
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm
from tests.support import faults
from tests.support.fault_server import FaultServer, Seen
from tests.support.fleet_service import FleetService
from tests.support.leaks import KEY
from tests.support.ports import LARGE, deaf_listener
from tests.support.surface import P
from tests.support.tls_backend import tls_backend
from tests.support.variants import HTTP_LIBRARIES, send_through

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(autouse=True, params=HTTP_LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    send_through(request.param, monkeypatch)


def client_of(server: FaultServer) -> AsyncContainerPoolsClient:
    return AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_supplied", [False, True])
def test_without_a_loop_of_asyncio_a_call_says_what_to_do(
    server: FaultServer, tmp_path: Path, is_supplied: bool
) -> None:
    """Trio steps through coroutines, too, and has no loop of asyncio."""
    http = httpx.AsyncClient() if is_supplied else None
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, http_client=http)
    calls = [
        client.get_pool(P),
        client.rollouts.run(P, {}),
        client.stream_pool_events(P).__anext__(),
        client.rollouts.run_many(P, [{}]).run(),
        client.rollouts.run_many(P, [{}], journal=tmp_path / "journal").run(),
        client.agent_rollouts.download_artifact("rollout", "a", tmp_path),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match=r"asyncio.*trio\.to_thread\.run_sync"):
            call.__await__().__next__()
    assert server.connections == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_one_loop_after_the_other(
    server: FaultServer, capfd: pytest.CaptureFixture[str], run: Run
) -> None:
    client = client_of(server)

    async def use() -> None:
        for _ in range(3):
            assert await client.get_pool(P) == {"ok": True}

    for number in range(3):
        run(use())
        # The connections end with their loop.
        server.wait_until(lambda: server.open_connections == 0)
        assert server.connections == number + 1
    run(client.aclose())
    gc.collect()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("long_idle")
@pytest.mark.filterwarnings("error")
def test_a_client_that_is_dropped_closes_its_connections(
    server: FaultServer, capfd: pytest.CaptureFixture[str]
) -> None:
    async def use() -> None:
        client = client_of(server)
        await client.get_pool(P)
        view = client.with_options(timeout=59)
        del client
        gc.collect()
        assert await view.get_pool(P) == {"ok": True}
        del view
        gc.collect()
        await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)

    asyncio.run(use())
    assert server.connections == 1
    assert capfd.readouterr().err == ""


def test_loops_that_run_side_by_side(server: FaultServer) -> None:
    client = client_of(server)
    together = threading.Barrier(4, timeout=60)

    async def use() -> None:
        for _ in range(20):
            answers = await asyncio.gather(*(client.get_pool(P) for _ in range(4)))
            assert answers == [{"ok": True}] * 4

    def thread(_: int) -> None:
        together.wait()
        asyncio.run(use())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(thread, range(4)))
    assert len(server.requests) == 320


def test_a_loop_that_ended_without_a_word(server: FaultServer) -> None:
    client = client_of(server)
    for _ in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(client.get_pool(P)) == {"ok": True}
        loop.close()
    asyncio.run(client.aclose())


def test_a_loop_that_goes_on_after_its_generators_were_ended(server: FaultServer) -> None:
    client = client_of(server)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.get_pool(P))
    loop.run_until_complete(loop.shutdown_asyncgens())
    with pytest.warns(ResourceWarning):
        assert loop.run_until_complete(client.get_pool(P)) == {"ok": True}
    loop.run_until_complete(client.aclose())
    loop.close()


def test_closing_from_another_loop_ends_what_both_opened(server: FaultServer) -> None:
    client = client_of(server)
    opened, closed = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    async def use() -> None:
        await client.get_pool(P)
        opened.set()
        await asyncio.to_thread(closed.wait, 60)
        try:
            await client.get_pool(P)
        except ClientClosedError as error:
            errors.append(error)

    async def close() -> None:
        await client.get_pool(P)
        assert server.open_connections == 2
        await client.aclose()
        server.wait_until(lambda: server.open_connections == 0)
        closed.set()

    thread = threading.Thread(target=asyncio.run, args=(use(),))
    thread.start()
    assert opened.wait(60)
    asyncio.run(close())
    thread.join(timeout=60)
    assert len(errors) == 1


@pytest.mark.parametrize("library", ["sockets"], indirect=True)
async def test_calls_that_are_cancelled_anywhere_break_nothing(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fifth of the calls that are cancelled: if these kept their connections, none would be left.
    limits = connections._CALLS._replace(connections=64, idle=64)
    monkeypatch.setattr(connections, "_CALLS", limits)
    server.play(faults.late(0.02))
    client = client_of(server)
    rng = random.Random(7)

    async def cancelled() -> None:
        call = asyncio.create_task(client.create_rollout(P, {"seed": 1}))
        await asyncio.sleep(rng.random() * 0.04)
        call.cancel()
        await asyncio.wait([call])

    for _ in range(5):
        await asyncio.gather(*(cancelled() for _ in range(60)))
    server.play()
    async with asyncio.timeout(100):
        answers = await asyncio.gather(*(client.get_pool(P) for _ in range(100)))
    assert answers == [{"ok": True}] * 100
    await client.aclose()


async def test_a_cancelled_wait_stops_at_once(server: FaultServer) -> None:
    server.play(faults.answer({}, 429, Retry_After="50"))
    client = client_of(server)
    with anyio.move_on_after(0.2) as scope:
        await client.get_pool(P)
    assert scope.cancelled_caught
    server.play()
    with anyio.fail_after(45):
        assert await client.get_pool(P) == {"ok": True}
    server.play(faults.stall())
    async with anyio.create_task_group() as group:
        group.start_soon(client.with_options(deadline=90, timeout=90).get_pool, P)
        await asyncio.to_thread(server.wait_for, 1)
        group.cancel_scope.cancel()
    assert await asyncio.to_thread(server.client_left.wait, 60)
    await client.aclose()


async def test_a_cancellation_is_no_deadline(server: FaultServer) -> None:
    server.play(faults.stall())
    async with client_of(server) as client:
        call = asyncio.create_task(client.with_options(deadline=60).get_pool(P))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_body_that_is_not_taken_runs_into_a_limit() -> None:
    with deaf_listener() as url:
        # A busy machine may need longer than a short limit to connect.
        limits = httpx.Timeout(0.3, connect=30)
        client = AsyncContainerPoolsClient(api_key=KEY, base_url=url, timeout=limits, max_retries=0)
        with anyio.fail_after(60), pytest.raises(Exception, match="Timeout") as caught:
            await client.create_pool({"name": LARGE})
        assert getattr(caught.value, "cause", "") in ("WriteTimeout", "ReadTimeout")
        await client.aclose()


async def test_a_fleet_whose_task_is_cancelled_says_what_goes_on(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    service = FleetService(seconds=60.0)
    server.play(choose=service)

    def are_followed() -> bool:
        return (
            sum(
                "/rollouts/" in request.path and request.path.endswith("/events")
                for request in server.requests
            )
            == 3
        )

    async with client_of(server) as client:
        requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(3)]
        running = asyncio.create_task(client.rollouts.run_many(P, requests).run())
        await asyncio.to_thread(server.wait_until, are_followed)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        (line,) = [record.getMessage() for record in caplog.records]
        assert line == "run_many was interrupted after 0 of 3 requests; 3 rollouts go on"
        # A fleet that ends by itself is not interrupted.
        service.seconds = 0.0
        service.status = lambda *_: "failed"
        with pytest.raises(FleetStoppedError):
            await client.rollouts.run_many(P, requests, fail_fast=True).run()
    assert len(caplog.records) == 1


async def test_the_next_page_is_on_its_way_while_one_is_read(server: FaultServer) -> None:
    cursors: list[str | None] = []

    def choose(request: Seen) -> faults.Fault:
        if request.path.endswith(P):
            return faults.when(lambda: cursors == [None, "next"])
        cursors.append(request.query.get("cursor"))
        return faults.answer({"items": [{"id": "a"}, {"id": "b"}], "next_cursor": "next"})

    server.play(choose=choose)
    async with client_of(server) as client, client.iter_rollouts(P, prefetch=True) as items:
        await anext(items)
        # The server answers this call when it has the request for the next page.
        assert await client.get_pool(P) == {"ok": True}


def test_a_call_that_ends_as_the_alarm_rings_is_not_disturbed() -> None:
    async def run() -> list[Any]:
        problems: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        alarm, answered = AsyncAlarm(), loop.create_future()

        async def wait() -> str:
            await answered
            return "answer"

        call = asyncio.create_task(alarm.call(wait))
        await asyncio.sleep(0)
        answered.set_result(None)
        alarm.ring()
        assert await call == "answer"
        # The loop has run the callbacks of the alarm.
        await asyncio.sleep(0)
        return problems

    assert asyncio.run(run()) == []


@pytest.mark.parametrize("is_rung", [False, True])
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_the_alarm_takes_for_its_own_only_what_nobody_cancelled(
    is_rung: bool, is_cancelled: bool
) -> None:
    """Closing a connection cancels the future that a task waits for, and not the task."""

    async def run() -> BaseException | None:
        alarm, answered = AsyncAlarm(), asyncio.get_running_loop().create_future()

        async def wait() -> None:
            await answered

        call = asyncio.create_task(alarm.call(wait))
        await asyncio.sleep(0)
        if is_rung:
            alarm.ring()
        (call if is_cancelled else answered).cancel()
        [end] = await asyncio.gather(call, return_exceptions=True)
        return end

    is_own = is_rung and not is_cancelled
    assert isinstance(asyncio.run(run()), TimeoutError if is_own else asyncio.CancelledError)


@pytest.mark.parametrize("library", ["sockets"], indirect=True)
async def test_over_http_2_a_cancelled_call_breaks_no_other(
    tmp_path: Path, supplied: ModuleType
) -> None:
    """Cancel calls at each of their steps, also in the middle of a write."""
    with tls_backend(tmp_path) as backend:
        async with supplied.AsyncClient(http2=True, verify=backend.trusting()) as http:
            client = AsyncContainerPoolsClient(
                api_key=KEY, base_url=backend.url, http_client=http, max_retries=0, timeout=60
            )
            pool_id = (await client.create_pool({"name": "shared"}))["id"]
            for steps in range(60):
                cancelled = asyncio.create_task(client.get_pool(pool_id))
                for _ in range(steps):
                    await asyncio.sleep(0)
                cancelled.cancel()
                assert (await client.get_pool(pool_id))["name"] == "shared", steps
            connections = http._transport._pool.connections
            assert len(connections) == 1
