"""Engine over the sockets of an event loop: requests cut short, paused reads, its pool."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    ClientClosedError,
    SynthPoolsError,
)
from synth_pools._client._async import connections
from synth_pools._client.http.async_.socket_engine import AsyncSocketEngine
from synth_pools._client.http.http1.async_connection import MOST_BUFFERED, AsyncConnection
from synth_pools._client.http.messages import PoolLimits
from synth_pools._client.runtime.async_.interrupts import AsyncTicket
from tests.support import faults
from tests.support.authority import trusted_context
from tests.support.fault_server import FaultServer, Seen
from tests.support.hasty_server import hasty_server
from tests.support.leaks import KEY
from tests.support.ports import LARGE, deaf_listener, full_listener
from tests.support.surface import P
from tests.support.tls_backend import tls_backend
from tests.support.variants import SECURE

LIMIT = 60.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def client_of(url: str, timeout: float | httpx.Timeout = LIMIT) -> AsyncContainerPoolsClient:
    return AsyncContainerPoolsClient(api_key=KEY, base_url=url, timeout=timeout, max_retries=0)


async def engine_of(client: AsyncContainerPoolsClient) -> AsyncSocketEngine:
    engine = await client._transport._connections.engine()
    assert isinstance(engine, AsyncSocketEngine)
    return engine


async def text_of(client: AsyncContainerPoolsClient) -> Any:
    return await client.get_pool(P)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that only the loop changes."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)


async def connection_count(client: AsyncContainerPoolsClient) -> int:
    """Return the number of connections of the pool; each of them is open."""
    engine = await engine_of(client)
    assert all(connection.is_open for connection in engine._all)
    return len(engine._all)


async def acquire(engine: AsyncSocketEngine) -> AsyncConnection:
    """Get an open connection of the pool, as a call does."""
    place = engine._acquire()
    connection = await engine._wait(place, LIMIT) if isinstance(place, AsyncTicket) else place
    if not connection.is_open:
        await connection.open(LIMIT)
    return connection


async def test_a_request_that_nobody_takes() -> None:
    with deaf_listener() as url:
        # A busy machine may need longer than a short limit to connect.
        async with client_of(url, httpx.Timeout(LIMIT, write=0.05)) as client:
            with pytest.raises(APITimeoutError) as caught:
                await client.create_pool({"name": LARGE})
            assert caught.value.cause == "WriteTimeout"
            assert caught.value.sent
            assert await connection_count(client) == 0


@pytest.mark.keeps_connections
async def test_a_large_request_arrives_whole(server: FaultServer) -> None:
    async with client_of(server.url) as client:
        for _ in range(2):
            assert await client.create_pool({"name": LARGE}) == {"ok": True}
        assert server.connections == 1
        assert all(LARGE in request.body.decode() for request in server.requests)


@pytest.mark.keeps_connections
@pytest.mark.parametrize("size", [MOST_BUFFERED - 2, MOST_BUFFERED, 5 * MOST_BUFFERED])
async def test_buffered_bytes_behind_a_body_answer_nothing(server: FaultServer, size: int) -> None:
    """The server sends a second answer behind a body that fills the buffer."""
    body = b'"%s"' % (b"x" * size)
    answer = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with client_of(server.url) as client:
        server.play(faults.raw(answer))
        for _ in range(3):
            assert await text_of(client) == "x" * size
        assert server.connections == 1
        stolen = faults.message(b'{"stolen": true}', 200, faults.JSON)
        server.play([faults.raw(answer + stolen), faults.answer({"own": 1})])
        assert await text_of(client) == "x" * size
        assert await client.get_pool(P) == {"own": 1}
        assert server.connections == 2


@pytest.mark.keeps_connections
async def test_a_slow_reader_pauses_the_sender(server: FaultServer) -> None:
    """Buffer up to a limit for a caller that does not read, and resume with the read."""
    size = 40_000_000
    server.play(faults.flood(size))
    async with client_of(server.url) as client:
        engine = await engine_of(client)
        transport = client._transport
        request = transport._calls.build({"method": "get", "url": "/x"}, None, longest=None)
        response = await engine.send(request, client._config.api_key)
        (connection,) = engine._all
        await until(lambda: connection.is_paused)
        # The loop reads no more than 256 KiB at a time.
        assert len(connection._received) <= MOST_BUFFERED + 262_144
        await response.read(size)
        assert len(response.content) == size
        assert await client.get_pool(P) is not None
        assert server.connections == 1


@pytest.mark.parametrize("size", [MOST_BUFFERED + 2, 1_000_000, 8_000_000])
async def test_a_slow_reader_loses_nothing_when_the_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, size: int
) -> None:
    """Bytes that arrive while reading is paused are read after the end of the connection."""
    answer = faults.message(bytes(size), 200, {"Connection": "close"})
    context = trusted_context(tmp_path, monkeypatch) if library == SECURE else None
    with hasty_server(answer, context, closes=True) as ending_server:
        async with client_of(ending_server.url) as client:
            engine = await engine_of(client)
            request = client._transport._calls.build(
                {"method": "get", "url": "/x"}, None, longest=None
            )
            for _ in range(5):
                response = await engine.send(request, client._config.api_key)
                (connection,) = engine._all
                read_size = 0
                async for piece in response.chunks():
                    read_size += len(piece)
                    if connection.is_paused:
                        # The server sends more, and closes the connection.
                        await asyncio.sleep(0.002)
                assert read_size == size


@pytest.mark.keeps_connections
@pytest.mark.parametrize("gets_a_connection", [True, False])
async def test_a_connection_that_comes_free_as_its_waiter_is_cancelled(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, gets_a_connection: bool
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 60.0))
    async with client_of(server.url) as client:
        engine = await engine_of(client)
        first = await acquire(engine)
        waiting = asyncio.create_task(acquire(engine))
        await asyncio.sleep(0)
        waiting.cancel()
        (engine.release if gets_a_connection else engine.discard)(first)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await connection_count(client) == (1 if gets_a_connection else 0)
        assert await client.get_pool(P) == {"ok": True}
        assert await connection_count(client) == 1


async def test_cancelled_waiters_are_removed(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 60.0))
    async with client_of(server.url) as client:
        engine = await engine_of(client)
        first = await acquire(engine)
        waiting = [asyncio.create_task(acquire(engine)) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(engine._waiting) == 3
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert not engine._waiting
        engine.release(first)
        assert await client.get_pool(P) == {"ok": True}


@pytest.mark.keeps_connections
async def test_a_place_that_does_not_become_free(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 60.0))
    server.play([faults.stall(), faults.answer()])
    async with client_of(server.url) as client:
        first = asyncio.create_task(client.get_pool(P))
        await asyncio.to_thread(server.wait_for, 1)
        with pytest.raises(APITimeoutError, match="stayed in use") as caught:
            await client.with_options(timeout=0.05).get_pool(P)
        assert caught.value.cause == "PoolTimeout"
        assert not caught.value.sent
        # A call that waits longer gets the place of the first one, which fails.
        third = asyncio.create_task(client.get_pool(P))
        engine = await engine_of(client)
        await until(lambda: engine._waiting)
        server.kick()
        assert await third == {"ok": True}
        with pytest.raises(APIConnectionError):
            await first
        assert await connection_count(client) == 1


async def test_tasks_take_turns_over_few_connections(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(2, 2, 60.0))
    script = [faults.answer(), faults.reset(), faults.close(), faults.cut(20)]

    def choose(_: Seen) -> faults.Fault:
        return script[len(server.requests) % len(script)]

    server.play(choose=choose)
    async with client_of(server.url) as client:

        async def call() -> bool:
            try:
                return await client.get_pool(P) == {"ok": True}
            except SynthPoolsError:
                return False

        assert {True, False} == set(await asyncio.gather(*(call() for _ in range(400))))
        assert await connection_count(client) <= 2
        server.play()
        assert all(await asyncio.gather(*(call() for _ in range(50))))


async def test_idle_connections_beyond_the_limit_are_closed(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(8, 2, 60.0))
    server.play(faults.when(lambda: len(server.requests) >= 8))
    async with client_of(server.url) as client:
        assert await asyncio.gather(*(client.get_pool(P) for _ in range(8))) == [{"ok": True}] * 8
        assert await connection_count(client) <= 2
        await asyncio.to_thread(server.wait_until, lambda: server.open_connections <= 2)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_closing_wakes_a_call_that_connects(name: str) -> None:
    with full_listener() as url:
        client = client_of(url.replace("127.0.0.1", name), 60.0)
        call = asyncio.create_task(client.get_pool(P))
        engine = await engine_of(client)
        await until(lambda: any(connection._connecting for connection in engine._all))
        await client.aclose()
        with pytest.raises(ClientClosedError):
            async with asyncio.timeout(LIMIT):
                await call


async def test_a_connection_that_opens_as_the_engine_is_closed(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(server.url)
    engine = await engine_of(client)
    loop = asyncio.get_running_loop()
    create_connection = loop.create_connection

    async def late(*arguments: Any, **options: Any) -> Any:
        connection = await create_connection(*arguments, **options)
        engine._is_closed = True
        return connection

    monkeypatch.setattr(loop, "create_connection", late)
    with pytest.raises(ClientClosedError):
        await client.get_pool(P)
    assert len(engine._all) == 0
    await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)
    await client.aclose()


async def test_a_large_request_arrives_whole_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "x" * 500_000
    with tls_backend(tmp_path) as backend:
        authority = tmp_path / "authority.pem"
        backend.authority.cert_pem.write_to_path(authority)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        async with client_of(backend.url) as client:
            for number in range(3):
                body: dict[str, Any] = {
                    "name": f"p{number}",
                    "target": "arbitrary",
                    "metadata": {"note": note},
                }
                pool = await client.create_pool(body)
                assert pool["metadata"]["note"] == note
            # All three calls used the same connection.
            assert await connection_count(client) == 1
            assert len((await engine_of(client))._all) == 1


@contextmanager
def ending_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, closes_cleanly: bool
) -> Iterator[str]:
    """Run a TLS server whose answer has no length: only a closing alert shows its end."""
    context = trusted_context(folder, monkeypatch)

    def serve() -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False) as wrapped:
            request = b""
            while b"\r\n\r\n" not in request:
                request += wrapped.recv(1000)
            wrapped.sendall(HEAD + b'\r\n{"ok": true}')
            if closes_cleanly:
                wrapped.unwrap().close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(LIMIT)


async def test_a_closing_alert_ends_a_body_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ending_server(tmp_path, monkeypatch, closes_cleanly=True) as url:
        async with client_of(url) as client:
            assert await client.get_pool(P) == {"ok": True}


async def test_a_cut_over_tls_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ending_server(tmp_path, monkeypatch, closes_cleanly=False) as url:
        async with client_of(url) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.get_pool(P)
    assert caught.value.sent
