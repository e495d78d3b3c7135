"""Closing a client wakes the calls that wait for its network, and streams can be ended elsewhere.

Every time limit is a minute here, so that a call which is not woken cannot pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    ClientClosedError,
    ConfigurationError,
    ContainerPoolsClient,
)
from synth_pools._client._async import connections as async_connections
from synth_pools._client._sync import connections
from synth_pools._client.http.messages import PoolLimits
from synth_pools._client.runtime.sync_.concurrency import WorkerGroup
from tests.support import faults
from tests.support.contents import serving
from tests.support.fault_server import FaultServer, Seen
from tests.support.leaks import KEY, count_threads
from tests.support.ports import full_listener
from tests.support.surface import P, R
from tests.support.tls_backend import tls_backend
from tests.support.variants import HTTP_LIBRARIES, send_through

LIMIT = 60.0
ONE = b'id: 1\nevent: agent\ndata: {"event": "agent", "sequence": 1}\n\n'


@pytest.fixture(autouse=True, params=HTTP_LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    send_through(request.param, monkeypatch)


class Background:
    """Call in a thread."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - the test checks it
            self.result = error

    def end(self) -> Any:
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "it was not woken"
        return self.result


def patient(url: str, **options: Any) -> ContainerPoolsClient:
    return ContainerPoolsClient(api_key=KEY, base_url=url, timeout=60, **options)


def until_it_waits() -> None:
    """Give a thread the time to begin its wait; the test passes in either order."""
    time.sleep(0.2)


WAITS = {
    "the head": faults.stall(),
    "the rest of the head": faults.stall_at(20),
    "the body": faults.stall_at(len(faults.OK) - 4),
    "the next attempt": faults.answer({}, 503, Retry_After="30"),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("deadline", [None, 50])
def test_closing_wakes_calls(server: FaultServer, name: str, deadline: float | None) -> None:
    server.play(WAITS[name])
    client = patient(server.url, deadline=deadline)
    call = Background(lambda: client.create_pool({"name": "x"}))
    server.wait_for(1)
    until_it_waits()
    client.close()
    assert isinstance(call.end(), ClientClosedError)


@pytest.mark.parametrize("library", ["sockets"], indirect=True)
def test_closing_wakes_a_call_that_connects() -> None:
    with full_listener() as url:
        client = patient(url, max_retries=0)
        call = Background(lambda: client.get_pool(P))
        until_it_waits()
        assert call.result is None
        client.close()
        assert isinstance(call.end(), ClientClosedError)


def test_connecting_has_a_limit() -> None:
    with (
        full_listener() as url,
        patient(url, max_retries=0) as client,
        pytest.raises(APITimeoutError),
    ):
        client.with_options(timeout=0.2).get_pool(P)


def test_closing_wakes_calls_that_wait_for_a_connection(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 4.0))
    server.play(faults.stall())
    client = patient(server.url)
    calls = [Background(lambda: client.get_pool(P)) for _ in range(3)]
    server.wait_for(1)
    until_it_waits()
    client.close()
    for call in calls:
        assert isinstance(call.end(), ClientClosedError)
    assert len(server.requests) == 1


def test_closing_wakes_readers(server: FaultServer) -> None:
    server.play(faults.events([ONE], end="stall"))
    client = patient(server.url)
    streams = [client.stream_rollout_events(P, R) for _ in range(3)]
    assert [next(stream)["sequence"] for stream in streams] == [1, 1, 1]
    readers = [Background(lambda stream=stream: next(stream)) for stream in streams]  # type: ignore[misc]
    until_it_waits()
    client.close()
    for reader in readers:
        assert isinstance(reader.end(), ClientClosedError)


def test_closing_wakes_a_download(server: FaultServer, tmp_path: Any) -> None:
    server.play(faults.chunked([b"x"], end="stall"))
    client = patient(server.url)
    call = Background(lambda: client.agent_rollouts.download_artifact(R, "a", tmp_path / "a"))
    server.wait_for(1)
    until_it_waits()
    client.close()
    assert isinstance(call.end(), ClientClosedError)


STREAMS = {
    "its next event": faults.events([ONE], end="stall"),
    "its beginning": faults.stall(),
    "its next attempt": faults.answer({}, 503, Retry_After="30"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_ended_from_another_thread(server: FaultServer, name: str) -> None:
    server.play(STREAMS[name])
    with patient(server.url) as client:
        stream = client.stream_rollout_events(P, R)
        expected = [1] if name == "its next event" else []
        events: list[Any] = []
        reader = Background(lambda: events.extend(stream))
        server.wait_for(1)
        server.wait_until(lambda: len(events) == len(expected))
        until_it_waits()
        stream.close()
        reader.end()
        assert [event["sequence"] for event in events] == expected
        stream.close()
        assert list(stream) == []
        # The client goes on.
        server.play()
        assert client.get_pool(P) == {"ok": True}
        # An answer that was read to its end leaves a connection that can be used again.
        limit = 2 if name == "its next attempt" else 1
        server.wait_until(lambda: server.open_connections <= limit)


def test_one_stream_that_is_ended_leaves_the_others_alone(server: FaultServer) -> None:
    more = threading.Event()

    def choose(_: Seen) -> faults.Fault:
        async def act(wire: faults.Wire) -> bool:
            await faults.events([ONE], end="cut")(wire)
            while not more.is_set():
                await wire.nothing(0.01)
            last = b'id: 2\ndata: {"event": "rollout.completed", "sequence": 2}\n\n'
            await wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
            return True

        return act

    server.play(choose=choose)
    with patient(server.url) as client:
        streams = [client.stream_rollout_events(P, R) for _ in range(2)]
        events: list[list[Any]] = [[], []]
        readers = [
            Background(lambda stream=stream, read=read: read.extend(stream))  # type: ignore[misc]
            for stream, read in zip(streams, events, strict=True)
        ]
        server.wait_until(lambda: [len(read) for read in events] == [1, 1])
        until_it_waits()
        streams[0].close()
        readers[0].end()
        assert [event["sequence"] for event in events[0]] == [1]
        more.set()
        readers[1].end()
        assert [event["sequence"] for event in events[1]] == [1, 2]


@pytest.mark.system
def test_expired_deadlines_leave_neither_threads_nor_connections(server: FaultServer) -> None:
    """More calls than connections, over a server that sends single bytes."""
    server.play(faults.dribble(0.02))
    with patient(server.url) as client:
        before = count_threads()
        view = client.with_options(deadline=0.03, max_retries=0)
        for _ in range(300):
            with pytest.raises(Exception, match="deadline"):
                view.get_pool(P)
            assert count_threads() <= before
        server.wait_until(lambda: server.open_connections == 0)
        server.play()
        assert client.get_pool(P) == {"ok": True}


def test_a_deadline_holds_for_the_wait_for_a_connection(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 4.0))
    server.play(faults.stall())
    with patient(server.url) as client:
        first = Background(lambda: client.get_pool(P))
        server.wait_for(1)
        with pytest.raises(Exception, match=r"within the deadline of 0\.2 s"):
            client.with_options(deadline=0.2).get_pool(P)
        client.close()
        assert isinstance(first.end(), ClientClosedError)


def test_a_deadline_holds_for_a_name_that_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    resolved: list[str] = []
    real = socket.getaddrinfo

    def slow(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.example" and not options.get("flags"):
            resolved.append(host)
            release.wait(LIMIT)
            raise socket.gaierror(-2, "not known")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with patient("http://slow.example") as client:
        for _ in range(5):
            with pytest.raises(Exception, match="deadline"):
                client.with_options(deadline=0.1, max_retries=0).get_pool(P)
        # All calls waited for one thread.
        assert resolved == ["slow.example"]
        release.set()
        # The resolution ends, and a call with more time gets its result.
        with pytest.raises(APIConnectionError, match="not known"):
            client.with_options(deadline=LIMIT, max_retries=0).get_pool(P)


@pytest.mark.parametrize("library", ["sockets"], indirect=True)
def test_a_service_that_goes_away_resets_what_it_has_just_accepted() -> None:
    """The server of these tests: a connection that it did not reset would stay silent."""
    for _ in range(30):
        with FaultServer() as server, contextlib.ExitStack() as stack:
            server.play(faults.stall())
            address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
            opened = [stack.enter_context(socket.create_connection(address)) for _ in range(40)]
            server.refuse()
            for connection in opened:
                connection.settimeout(LIMIT)
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(1) == b""


@pytest.mark.parametrize("library", ["sockets"], indirect=True)
def test_over_http_2_one_stream_is_ended_and_not_the_connection(
    tmp_path: Path, supplied: ModuleType
) -> None:
    """End a stream as a stopped fleet does, and as a reader of the last event does."""
    limits: list[dict[str, float]] = []

    def note(request: Any) -> None:
        limits.append(request.extensions["timeout"])

    with (
        tls_backend(tmp_path) as backend,
        supplied.Client(
            http2=True,
            verify=backend.trusting(),
            limits=supplied.Limits(max_connections=1),
            event_hooks={"request": [note]},
        ) as http,
        ContainerPoolsClient(
            api_key=KEY, base_url=backend.url, http_client=http, max_retries=0, timeout=60
        ) as client,
    ):
        pool = client.create_pool({"name": "shared"})
        rollout = client.rollouts.create(pool["id"], {"env": {"delay": 60}})
        url = f"/v1/pools/{pool['id']}/rollouts/{rollout['id']}/events"
        call = {"method": "get", "url": url}
        stream = client.rollouts.events(pool["id"], rollout["id"])
        assert next(stream)["event"] == "rollout.queued"

        group = WorkerGroup()
        response = client._transport.open_stream("stream_rollout_events", dict(call))
        assert response.is_shared
        with group.reading(response):
            group.abandon()
        response.close()
        assert client.get_pool(pool["id"])["name"] == "shared"

        response = client._transport.open_stream("stream_rollout_events", dict(call))
        response.finish()
        response.close()

        # A wait that the deadline of one call ended would end the connection.
        client.with_options(deadline=5).get_pool(pool["id"])
        assert limits[-1]["read"] == 60
        with pytest.raises(ConfigurationError, match="without http2=True"):
            client.rollouts.run_many(pool["id"], [{}])
        client.rollouts.cancel(pool["id"], rollout["id"])
        assert [event["event"] for event in stream][-1] == "rollout.cancelled"


@pytest.mark.parametrize("name", [*WAITS, "a connection"])
def test_closing_wakes_tasks(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.play(WAITS.get(name, faults.stall()))
    if name == "a connection":
        limits = PoolLimits(1, 1, 4.0)
        monkeypatch.setattr(async_connections, "_CALLS", limits)

    async def run() -> list[Any]:
        client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)
        count = 3 if name == "a connection" else 1
        calls = [asyncio.create_task(client.create_pool({"name": "x"})) for _ in range(count)]
        await asyncio.to_thread(server.wait_for, 1)
        await asyncio.to_thread(until_it_waits)
        await client.aclose()
        async with asyncio.timeout(LIMIT):
            return list(await asyncio.gather(*calls, return_exceptions=True))

    for result in asyncio.run(run()):
        assert isinstance(result, ClientClosedError)


def test_a_stream_is_ended_from_another_task(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.play(faults.events([ONE], end="stall"))

    async def run() -> list[Any]:
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=60
        ) as client:
            stream = client.stream_rollout_events(P, R)

            events: list[Any] = []

            async def read() -> None:
                async for event in stream:
                    events.append(event)  # noqa: PERF401 - it is looked at meanwhile

            reader = asyncio.create_task(read())
            await asyncio.to_thread(server.wait_until, lambda: bool(events))
            await asyncio.to_thread(until_it_waits)
            await stream.aclose()
            async with asyncio.timeout(LIMIT):
                await reader
            return events

    assert [event["sequence"] for event in asyncio.run(run())] == [1]


@pytest.mark.parametrize("library", ["sockets"], indirect=True)
def test_expired_deadlines_of_tasks_lose_no_connections(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel calls at each of their steps, many at a time over few connections."""
    limits = PoolLimits(4, 4, 4.0)
    monkeypatch.setattr(async_connections, "_CALLS", limits)
    server.play(faults.answer())

    async def run() -> None:
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=LIMIT
        ) as client:
            for rounds in range(60):
                if rounds % 10 == 0:
                    await asyncio.to_thread(server.kick)
                calls = [asyncio.create_task(client.get_pool(P)) for _ in range(16)]
                for step in range(16):
                    await asyncio.sleep(0)
                    calls[(step * 7 + rounds) % 16].cancel()
                await asyncio.gather(*calls, return_exceptions=True)
            for _ in range(8):
                async with asyncio.timeout(LIMIT):
                    assert await client.get_pool(P) == {"ok": True}

    asyncio.run(run())


def test_closing_wakes_the_download_of_a_task(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without retries: a further attempt would notice that the client is closed."""
    server.play(choose=serving(lambda data: faults.stall_at(100_000, data)))

    async def run() -> Any:
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=60, max_retries=0
        ) as client:
            call = asyncio.create_task(client.agent_rollouts.artifact(R, "a"))
            await asyncio.to_thread(server.wait_for, 1)
            await asyncio.to_thread(until_it_waits)
            await client.aclose()
            async with asyncio.timeout(LIMIT):
                return (await asyncio.gather(call, return_exceptions=True))[0]

    assert isinstance(asyncio.run(run()), ClientClosedError)
