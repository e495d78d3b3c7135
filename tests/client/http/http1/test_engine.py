"""Engine over sockets of the standard library: requests cut short, its pool."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth_pools import APIConnectionError, APITimeoutError, ContainerPoolsClient, SynthPoolsError
from synth_pools._client._sync import connections
from synth_pools._client.http.http1.connection import Connection
from synth_pools._client.http.messages import ExchangeError, PoolLimits
from synth_pools._client.http.sync_.socket_engine import SocketEngine
from synth_pools._client.runtime.sockets import readiness
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P

LIMIT = 60.0


def client_of(url: str) -> ContainerPoolsClient:
    return ContainerPoolsClient(api_key=KEY, base_url=url, timeout=LIMIT, max_retries=0)


def send(connection: Connection, data: bytes, limit: float) -> bool:
    return connection.begin(data) or connection.send_rest(limit)


def open_connections(client: ContainerPoolsClient) -> int:
    engine = client._transport._connections.engine()
    assert isinstance(engine, SocketEngine)
    return len(engine._all)


def test_what_could_not_be_sent_was_not_sent() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(lambda _: ours)
    connection.open(LIMIT)
    theirs.close()
    with pytest.raises(ExchangeError) as caught:
        send(connection, b"GET / HTTP/1.1\r\n\r\n", LIMIT)
    assert caught.value.cause == "WriteError"
    assert not caught.value.sent
    connection.close()
    with pytest.raises(ExchangeError) as caught:
        send(connection, b"GET / HTTP/1.1\r\n\r\n", LIMIT)
    assert not caught.value.sent


def test_what_was_not_taken_was_sent_in_part() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(lambda _: ours)
    connection.open(LIMIT)
    with theirs, pytest.raises(ExchangeError) as caught:
        send(connection, bytes(20_000_000), 0.05)
    assert caught.value.cause == "WriteTimeout"
    assert caught.value.sent
    connection.close()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_wait_lasts_as_long_as_it_may() -> None:
    """The end of a shorter wait would be reported as that of another limit."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                theirs.send(b"x" * 65_536)
        wait = readiness(theirs)
        for seconds in (0.0009, 0.0019, 0.0105):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                wait(seconds, True)
            assert time.monotonic() - started >= seconds


@pytest.mark.parametrize("has_poll", [True, False])
def test_a_wait_tells_what_may_be_done(monkeypatch: pytest.MonkeyPatch, has_poll: bool) -> None:
    """Windows has no `poll`."""
    if not has_poll:
        monkeypatch.delattr(select, "poll")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wait = readiness(theirs)
        assert wait(0.0, False) == (False, False)
        assert wait(LIMIT, True) == (False, True)
        ours.send(b"x")
        assert wait(LIMIT, False) == (True, False)
        assert wait(LIMIT, True) == (True, True)


@pytest.mark.keeps_connections
@pytest.mark.parametrize("step", ["open", "begin", "send_rest", "read_head", "read_at_once"])
def test_an_interrupt_costs_no_connection(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 60.0))
    with client_of(server.url) as client:
        for _ in range(3):
            with monkeypatch.context() as interrupted:
                interrupted.setattr(Connection, step, interrupt)
                with pytest.raises(KeyboardInterrupt):
                    client.get_pool(P)
            assert open_connections(client) == 0
            server.kick()
        assert client.get_pool(P) == {"ok": True}
        assert open_connections(client) == 1
        server.wait_until(lambda: server.open_connections == 1)


def test_threads_take_turns_over_few_connections(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(2, 2, 60.0))
    script = [faults.answer(), faults.reset(), faults.close(), faults.cut(20)]

    def choose(_: object) -> faults.Fault:
        return script[len(server.requests) % len(script)]

    server.play(choose=choose)
    with client_of(server.url) as client, ThreadPoolExecutor(16) as threads:

        def call(_: int) -> bool:
            try:
                return client.get_pool(P) == {"ok": True}
            except SynthPoolsError:
                return False

        assert {True, False} == set(threads.map(call, range(400)))
        assert open_connections(client) <= 2
        server.play()
        assert all(threads.map(call, range(50)))


def test_a_place_that_does_not_become_free(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(1, 1, 60.0))
    server.play([faults.stall(), faults.answer()])
    with client_of(server.url) as client, ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.get_pool, P)
        server.wait_for(1)
        with pytest.raises(APITimeoutError, match="stayed in use") as caught:
            client.with_options(timeout=0.05).get_pool(P)
        assert caught.value.cause == "PoolTimeout"
        assert not caught.value.sent
        # A call that waits longer gets the place of the first one, which fails.
        third = threads.submit(client.get_pool, P)
        engine = client._transport._connections.engine()
        assert isinstance(engine, SocketEngine)
        server.wait_until(lambda: bool(engine._waiting))
        server.kick()
        assert third.result(LIMIT) == {"ok": True}
        assert isinstance(first.exception(LIMIT), APIConnectionError)


def test_idle_connections_beyond_the_limit_are_closed(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CALLS", PoolLimits(8, 2, 60.0))
    all_are_there = threading.Barrier(8, timeout=LIMIT)

    def call(client: ContainerPoolsClient) -> Callable[[int], object]:
        def get_pool(_: int) -> object:
            all_are_there.wait()
            return client.get_pool(P)

        return get_pool

    server.play(faults.when(lambda: len(server.requests) >= 8))
    with client_of(server.url) as client, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call(client), range(8))) == [{"ok": True}] * 8
        assert open_connections(client) <= 2
        server.wait_until(lambda: server.open_connections <= 2)


def test_a_closed_client_leaves_a_closed_engine(server: FaultServer) -> None:
    with client_of(server.url) as client:
        engine = client._transport._connections.engine()
        assert isinstance(engine, SocketEngine)
        assert not engine.is_closed
    assert engine.is_closed
