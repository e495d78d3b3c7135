"""Servers of backend, containers and relay: between two requests, and at their end."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from uvicorn import Config

from synth_pools.backend.server.listener import base_url, open_listening_socket
from synth_pools.backend.server.thread import ServerThread
from synth_pools.container import Container
from synth_pools.container.serving import listen, serve_container
from synth_pools.relay import ModelRelay, relay_server
from synth_pools.serving import SleepingServer, address_of

LIMIT = 60


class RecordingLoop(asyncio.SelectorEventLoop):
    """Event loop that records after how many seconds it is to wake."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []

    def call_at(  # type: ignore[override]
        self, when: float, *args: Any, **options: Any
    ) -> asyncio.TimerHandle:
        self.delays.append(when - self.time())
        return super().call_at(when, *args, **options)

    def call_later(  # type: ignore[override]
        self, delay: float, *args: Any, **options: Any
    ) -> asyncio.TimerHandle:
        timer = super().call_later(delay, *args, **options)
        # On a busy machine time passes before it is made.
        self.delays[-1] = delay
        return timer


@contextlib.asynccontextmanager
async def backend() -> AsyncIterator[str]:
    with open_listening_socket("127.0.0.1", 0) as listener:
        thread = ServerThread(Starlette, listener)
        serving = asyncio.create_task(thread._serve())
        yield base_url(listener)
        assert thread._server is not None
        thread._server.should_exit = True
        await asyncio.wait_for(serving, LIMIT)


@contextlib.asynccontextmanager
async def container() -> AsyncIterator[str]:
    definition = Container("idle")
    definition.rollout(print)
    started: asyncio.Future[SleepingServer] = asyncio.get_running_loop().create_future()
    with listen("127.0.0.1", 0, {}) as listener:
        serving = asyncio.create_task(serve_container(definition, listener, started.set_result))
        server = await started
        yield address_of(listener)
        server.should_exit = True
        await asyncio.wait_for(serving, LIMIT)


@pytest.mark.parametrize("serve", [backend, container, lambda: relay_server(ModelRelay())])
def test_it_wakes_once_a_second_at_most(
    serve: Callable[[], AbstractAsyncContextManager[str]],
) -> None:
    async def delays() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, RecordingLoop)
        async with serve() as url, httpx.AsyncClient(trust_env=False, timeout=LIMIT) as http:
            await http.get(f"{url}/health")
            # The connection of the client has timers, too.
            loop.delays.clear()
            await http.get(f"{url}/health")
            await asyncio.to_thread(time.sleep, 0.5)
            return loop.delays[:]

    with asyncio.Runner(loop_factory=RecordingLoop) as runner:
        result = runner.run(delays())
    assert [delay for delay in result if delay < 0.99] == []


@pytest.mark.parametrize("serve", [backend, container])
async def test_answers_have_the_date_of_their_request(
    serve: Callable[[], AbstractAsyncContextManager[str]],
) -> None:
    async with serve() as url, httpx.AsyncClient(trust_env=False, timeout=LIMIT) as http:
        for _ in range(2):
            begin = int(time.time())
            answer = await http.get(f"{url}/health")
            date = parsedate_to_datetime(answer.headers["date"]).timestamp()
            assert begin <= date <= time.time()
            await asyncio.sleep(1 - time.time() % 1)


def test_it_ends_by_another_thread_and_not_twice() -> None:
    with open_listening_socket("127.0.0.1", 0) as listener:
        server = SleepingServer(Config(Starlette(), lifespan="off", log_config=None))

        async def end() -> None:
            serving = asyncio.create_task(server.serve([listener]))
            async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as http:
                await http.get(base_url(listener))
            await asyncio.to_thread(setattr, server, "should_exit", True)
            await asyncio.wait_for(serving, LIMIT)

        asyncio.run(end())
    server.should_exit = True


_PROGRAM = """
import asyncio, signal, threading
from synth_pools.container import Container, episodes

episodes._READ_SECONDS = 0
container = Container("idle")

@container.rollout
async def play(rollout):
    await asyncio.sleep(0.2)
    # The system may choose a thread other than that of Python's handlers.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    await asyncio.sleep(600)

container.serve(port=0, drain_seconds=0)
"""


def test_a_signal_wakes_it_whichever_thread_the_system_chose(tmp_path: Path) -> None:
    file = tmp_path / "container.py"
    file.write_text(_PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            url = running.stdout.readline().strip().removeprefix("idle: ")
            body = {"rollout_id": "a", "submission_mode": "async"}
            answer = httpx.post(f"{url}/rollouts", json=body, trust_env=False, timeout=LIMIT)
            assert answer.status_code < 300
            assert running.wait(LIMIT) == 0
        finally:
            running.kill()
