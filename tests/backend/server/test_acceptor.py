"""Accepting of clients where files are short, where they leave meanwhile, and at the end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from synth_pools.backend.server.acceptor import Acceptor
from synth_pools.backend.server.thread import loop_factory
from tests.support.backend_server import logged_by

LIMIT = 60.0

pytestmark = pytest.mark.usefixtures("loop_name")


class Listener(socket.socket):
    """A listening socket with planned failures."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[int] = []
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.bind(("127.0.0.1", 0))
        self.listen()

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        self.was_asked.set()
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


class Echo(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop has another class

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        accepted = self.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self.transport.write(data)


def run(scene: Callable[[Listener, Acceptor], Awaitable[None]]) -> list[str]:
    """Run a scene in the event loop; return what that complains of."""
    complaints: list[str] = []

    async def limited() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        with Listener() as listener:
            acceptor = Acceptor(listener, Echo)
            try:
                async with asyncio.timeout(LIMIT):
                    await scene(listener, acceptor)
            finally:
                acceptor.close()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(limited())
    return complaints


async def echoed(listener: Listener) -> None:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_clients_wait_while_files_are_short(number: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(listener: Listener, acceptor: Acceptor) -> None:
        listener.failures = [number, number]
        await asyncio.gather(*(echoed(listener) for _ in range(100)))

    with caplog.at_level(logging.INFO, "synth_pools"):
        assert run(scene) == []
    assert logged_by(caplog, "synth_pools.backend.server") == []


def test_a_client_that_left_keeps_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(listener: Listener, acceptor: Acceptor) -> None:
        listener.failures = [errno.ECONNABORTED]
        await echoed(listener)

    with caplog.at_level(logging.INFO, "synth_pools"):
        assert run(scene) == []
    assert logged_by(caplog, "synth_pools.backend.server") == []


def test_a_failure_is_told_and_passes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_pools.backend.server.acceptor._FAILURE_SECONDS", 0.01)

    async def scene(listener: Listener, acceptor: Acceptor) -> None:
        listener.failures = [errno.EPERM]
        await echoed(listener)

    assert run(scene) == []
    [record] = logged_by(caplog, "synth_pools.backend.server")
    assert "no client can be accepted" in record.getMessage()


def test_one_that_is_closed_while_files_are_short_stays_closed() -> None:
    async def scene(listener: Listener, acceptor: Acceptor) -> None:
        listener.failures = [errno.EMFILE] * 1000
        with socket.create_connection(listener.getsockname()):
            await listener.was_asked.wait()
            acceptor.close()
            acceptor.close()
            requested = listener.asked
            await asyncio.sleep(0.1)
            assert listener.asked == requested
            assert listener.fileno() == -1

    assert run(scene) == []


def test_who_was_accepted_stays_when_it_closes() -> None:
    async def scene(listener: Listener, acceptor: Acceptor) -> None:
        with socket.create_connection(listener.getsockname()) as client:
            client.setblocking(False)
            await listener.was_asked.wait()
            acceptor.close()
            await acceptor.wait_connected()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"x")
            assert await loop.sock_recv(client, 1) == b"x"

    assert run(scene) == []


def test_clients_that_reset_at_once_harm_nobody() -> None:
    async def scene(listener: Listener, acceptor: Acceptor) -> None:
        for _ in range(100):
            with socket.create_connection(listener.getsockname()) as client:
                # Closed with a reset instead of an end.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await echoed(listener)
        await acceptor.wait_connected()

    assert run(scene) == []
