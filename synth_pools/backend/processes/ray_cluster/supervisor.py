"""Supervisor of one container: a program on a node of a cluster.

    python -m synth_pools.backend.processes.ray_cluster.supervisor FD

FD is a socket to the actor that reserves the container's resources in the cluster. The actor writes
the order, reads the supervisor's address, and notices the supervisor's end. The supervisor ends its
container at once if the actor ends, or if the backend is silent until the lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import socket
import sys
from collections.abc import Mapping
from typing import Any

from synth_pools.backend.processes.launcher import LaunchError, Started, StartOrder
from synth_pools.backend.processes.ports import HOST, Ports
from synth_pools.backend.processes.ray_cluster.actor import ENDED
from synth_pools.backend.processes.ray_cluster.node_launchers import NodeLauncher, node_launcher
from synth_pools.backend.processes.ray_cluster.wire import (
    HANDSHAKE_SECONDS,
    HUNG_UP_SECONDS,
    SUPERVISOR_LEASE_SECONDS,
    Frame,
    Purpose,
    read_frame,
    receive,
    write_document,
    write_frame,
)
from synth_pools.backend.processes.relay import join

# Time limit for the backend's first connection.
_FIRST_LEASE_SECONDS = 30.0
_LAST_WORD_SECONDS = 2.0

# Maximum number of connections that are still in the handshake.
_MOST_GREETINGS = 128

_CHUNK_BYTES = 64 * 1024
_KEPT_BYTES = 1024 * 1024
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 40


class NodeSupervisor:
    """Supervisor of one container, until its backend, the actor or the lease ends it.

    Args:
        order: The backend's order, with the token of callers.
        actor: The socket of the actor.
    """

    def __init__(self, order: Mapping[str, Any], actor: socket.socket) -> None:
        self._order = order
        self._actor = actor
        self._to_actor: asyncio.StreamWriter | None = None
        self._token = bytes.fromhex(order["token"])
        self._launcher: NodeLauncher = node_launcher(order)
        self._ports = Ports()
        self._port = 0
        self._started: Started | None = None
        loop = asyncio.get_running_loop()
        # Set to end the container: the time until it is killed.
        self._patience: asyncio.Future[float] = loop.create_future()
        self._heard_at = loop.time() + _FIRST_LEASE_SECONDS - SUPERVISOR_LEASE_SECONDS
        self._is_supervised = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._backend: asyncio.StreamWriter | None = None
        # Frames to repeat on a new connection.
        self._news: list[tuple[Frame, dict[str, Any]]] = []
        self.output = _Output(self)
        self._connections: set[asyncio.Task[None]] = set()
        self._greetings = 0

    async def run(self) -> None:
        """Listen, start the container once the backend has connected, and end it."""
        server = await asyncio.start_server(self._take, self._order["host"], 0)
        place = {"port": server.sockets[0].getsockname()[1], "hostname": platform.node()}
        tasks = [
            asyncio.create_task(self._watch_actor(place)),
            asyncio.create_task(self._watch_lease()),
        ]
        container = asyncio.create_task(self._keep_container())
        patience = 0.0
        try:
            patience = await self._patience
        finally:
            server.close()
            container.cancel()
            await asyncio.wait([container])
            if self._started is not None:
                await self._launcher.end(self._started, patience)
        self._tell(Frame.ENDED, {})
        if self._to_actor is not None:
            self._to_actor.write(ENDED)
        for writer in filter(None, (self._backend, self._to_actor)):
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_LAST_WORD_SECONDS):
                    writer.close()
                    await writer.wait_closed()
        for task in (*tasks, *self._connections):
            task.cancel()

    async def _keep_container(self) -> None:
        await self._is_supervised.wait()
        self._port = self._ports.acquire()
        key = self._order["key"]
        order = StartOrder(self._order["pool_id"], self._port, key, self.output)
        try:
            started = self._started = await self._launcher.start(order)
        except LaunchError as error:
            failure = error.failure
            self._tell(Frame.FAILED, {"message": failure.message, "final_code": failure.code})
            return
        except (OSError, ValueError) as error:
            self._tell(Frame.FAILED, {"message": str(error), "final_code": None})
            return
        self._tell(Frame.STARTED, {"image_digest": started.origin.image_digest})
        await started.exited()
        end = await started.read_end()
        self._tell(
            Frame.EXITED, {"exit_code": end.exit_code, "words": end.words, "is_final": end.is_final}
        )

    def finish(self, patience: float) -> None:
        """End the container, and kill it after a time; only the first call counts."""
        if not self._patience.done():
            self._patience.set_result(patience)

    async def _watch_actor(self, place: Mapping[str, Any]) -> None:
        self._actor.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self._actor)
        self._to_actor = writer
        with contextlib.suppress(OSError):
            writer.write(f"{json.dumps(place)}\n".encode())
            await reader.read()
        self.finish(0.0)

    async def _watch_lease(self) -> None:
        loop = asyncio.get_running_loop()
        while (remaining := self._heard_at + SUPERVISOR_LEASE_SECONDS - loop.time()) > 0:
            # The backend may send a frame meanwhile.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._hung_up.wait()
            self._hung_up.clear()
        self.finish(0.0)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._greetings >= _MOST_GREETINGS:
            writer.transport.abort()
            return
        self._greetings += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            try:
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    purpose = await receive(reader, writer, self._token)
            finally:
                self._greetings -= 1
            if purpose is Purpose.CALL:
                inner = await asyncio.open_connection(HOST, self._port)
                await join((reader, writer), inner)
            else:
                await self._follow(reader, writer)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        former, self._backend = self._backend, writer
        if former is not None:
            former.transport.abort()
        for kind, document in self._news:
            write_document(writer, kind, document)
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._is_supervised.set()
        try:
            while True:
                kind, data = await read_frame(reader)
                self._heard_at = loop.time()
                if kind is Frame.END:
                    self.finish(float(data))
                write_frame(writer, Frame.BEAT)
                self.output.pass_on()
        finally:
            # The backend may have another connection by now.
            if self._backend is writer:
                shorter = loop.time() + HUNG_UP_SECONDS - SUPERVISOR_LEASE_SECONDS
                self._heard_at = min(self._heard_at, shorter)
                self._hung_up.set()

    def _tell(self, kind: Frame, document: dict[str, Any]) -> None:
        self.output.pass_on(is_last=True)
        self._news.append((kind, document))
        if self._backend is not None:
            write_document(self._backend, kind, document)

    def send_output(self, data: bytes, *, is_last: bool) -> bool:
        """Send output to the backend; False if the connection is full or lost."""
        writer = self._backend
        if writer is None or writer.is_closing():
            return False
        if not is_last and writer.transport.get_write_buffer_size() > _KEPT_BYTES:
            return False
        for at in range(0, len(data), _CHUNK_BYTES):
            write_frame(writer, Frame.OUTPUT, data[at : at + _CHUNK_BYTES])
        return True


class _Output:
    """Output of the container, stored until the backend takes it; excess old output is dropped."""

    def __init__(self, supervisor: NodeSupervisor) -> None:
        self._supervisor = supervisor
        self._waiting = bytearray()
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        self._waiting += data
        del self._waiting[:-_KEPT_BYTES]
        self._tail += data
        del self._tail[:-_TAIL_BYTES]
        self.pass_on()

    def flush(self) -> None:
        self.pass_on()

    def end(self, exit_code: int | None) -> None:
        del exit_code  # another frame reports the end
        self.pass_on()

    def last_lines(self) -> list[str]:
        return self._tail.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]

    def pass_on(self, *, is_last: bool = False) -> None:
        """Send the stored output, if the backend can take it now."""
        if self._waiting and self._supervisor.send_output(bytes(self._waiting), is_last=is_last):
            self._waiting.clear()


def _main(descriptor: int) -> None:
    """Run the supervisor in a detached process.

    A Ray worker kills its children when it ends, but the supervisor must still end its container.
    """
    if os.fork():
        os._exit(0)
    actor = socket.socket(fileno=descriptor)
    with actor.makefile("rb") as lines:
        order = lines.readline()
    if order:
        asyncio.run(_run(json.loads(order), actor))


async def _run(order: Mapping[str, Any], actor: socket.socket) -> None:
    await NodeSupervisor(order, actor).run()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
