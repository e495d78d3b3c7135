"""Containers on other machines, kept alive by leases and called through relays."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes.launcher import ContainerEnd, LaunchError
from synth_pools.backend.processes.output import OutputSink
from synth_pools.backend.processes.ports import HOST
from synth_pools.backend.processes.ray_cluster.wire import (
    BACKEND_LEASE_SECONDS,
    BEAT_SECONDS,
    HANDSHAKE_SECONDS,
    Frame,
    Purpose,
    greet,
    read_frame,
    write_frame,
)
from synth_pools.backend.processes.relay import Connection, Relay

_AGAIN_SECONDS = 0.25
# Time added to the supervisor's own limit: two rounds of its search for processes.
_END_SECONDS = 5.0


class RemoteContainer:
    """Container on another machine, from the start of its supervisor to its own end.

    Args:
        name: The name of its actor.
        node: The name of the machine.
        address: The address of the supervisor.
        token: The shared secret.
        output: The receiver of its output.
    """

    def __init__(
        self, name: str, node: str, address: tuple[str, int], token: bytes, output: OutputSink
    ) -> None:
        self.name = name
        self.origin = ContainerOrigin("ray", node)
        # Its process runs on another machine.
        self.pid: int | None = None
        self._node = node
        self._address = address
        self._token = token
        self._output = output
        self._relay = Relay(self._connect)
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = loop.create_future()
        self._end: asyncio.Future[ContainerEnd] = loop.create_future()
        # True once its supervisor has ended everything.
        self.has_ended_in_order = False
        # Set once its processes have ended, or are out of reach.
        self._is_over = asyncio.Event()
        self._supervision: asyncio.StreamWriter | None = None
        self._answered_at = loop.time()
        self._task = asyncio.create_task(self._supervise(), name="synth-pools-supervision")

    @property
    def has_exited(self) -> bool:
        return self._end.done()

    async def exited(self, limit_seconds: float | None = None) -> bool:
        await asyncio.wait([self._end], timeout=limit_seconds)
        return self._end.done()

    async def read_end(self) -> ContainerEnd:
        return await asyncio.shield(self._end)

    async def start(self, port: int) -> None:
        """Wait for its start, and open a loopback port that leads to it.

        Args:
            port: The port.

        Raises:
            LaunchError: The container cannot be started.
            OSError: The start failed; another try may succeed.
        """
        await asyncio.shield(self._started)
        await self._relay.open(HOST, port)

    async def end(self, patience_seconds: float) -> None:
        """End the container and its descendants; if cancelled, kill them at once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_seconds + _END_SECONDS
        try:
            # The connection may be lost just now: repeat the request.
            while not self._is_over.is_set() and loop.time() < deadline:
                self._request_end(patience_seconds)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._is_over.wait()
        except BaseException:
            self._request_end(0.0)
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Give up the lease; the container ends without it."""
        self._relay.close()
        self._task.cancel()
        self._lose("was given up")

    def _request_end(self, patience_seconds: float) -> None:
        if self._supervision is not None:
            write_frame(self._supervision, Frame.END, str(patience_seconds).encode())

    async def _connect(self) -> Connection:
        return await self._call(Purpose.CALL)

    async def _call(self, purpose: Purpose) -> Connection:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                await greet(reader, writer, self._token, purpose)
            except BaseException:
                writer.transport.abort()
                raise
        return reader, writer

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self._is_over.is_set():
                try:
                    async with asyncio.timeout_at(self._answered_at + BACKEND_LEASE_SECONDS):
                        connection = await self._call(Purpose.SUPERVISION)
                except ConnectionRefusedError:
                    self._lose(f"was lost: its supervisor on {self._node} has ended")
                except OSError:
                    if loop.time() >= self._answered_at + BACKEND_LEASE_SECONDS:
                        seconds = f"{BACKEND_LEASE_SECONDS:g} seconds"
                        self._lose(f"was lost: {self._node} has not answered for {seconds}")
                    await asyncio.sleep(_AGAIN_SECONDS)
                else:
                    await self._follow(*connection)
        except BaseException:
            self._lose("was given up")
            raise

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Follow the supervisor until the connection breaks or its lease has passed."""
        self._supervision = writer
        beats = asyncio.create_task(self._beat(writer))
        loop = asyncio.get_running_loop()
        self._answered_at = loop.time()
        try:
            while not self._is_over.is_set():
                async with asyncio.timeout_at(self._answered_at + BACKEND_LEASE_SECONDS):
                    kind, data = await read_frame(reader)
                self._answered_at = loop.time()
                self._take(kind, data)
        except OSError:
            return
        finally:
            beats.cancel()
            self._supervision = None
            # Not aborted: the last frame, which may be END, must still arrive.
            writer.close()

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            write_frame(writer, Frame.BEAT)
            await asyncio.sleep(BEAT_SECONDS)

    def _take(self, kind: Frame, data: bytes) -> None:
        if kind is Frame.OUTPUT:
            self._output.feed(data)
        elif kind is Frame.STARTED and not self._started.done():
            digest = json.loads(data)["image_digest"]
            self.origin = ContainerOrigin("ray", self._node, digest)
            self._started.set_result(None)
        elif kind is Frame.FAILED and not self._started.done():
            self._fail(json.loads(data))
        elif kind is Frame.EXITED and not self._end.done():
            self._output.flush()
            end = ContainerEnd(**json.loads(data))
            self._output.end(end.exit_code)
            self._end.set_result(end)
        elif kind is Frame.ENDED:
            self.has_ended_in_order = True
            self._lose("was ended")

    def _fail(self, failure: Mapping[str, Any]) -> None:
        self._output.flush()
        message, code = failure["message"], failure["final_code"]
        self._started.set_exception(
            OSError(message) if code is None else LaunchError(code, message)
        )
        # Avoid a warning if no caller waits for the start.
        self._started.exception()

    def _lose(self, words: str) -> None:
        """Note that the container has ended, or is out of reach."""
        self._is_over.set()
        self._relay.close()
        if not self._started.done():
            self._fail({"message": f"it {words}", "final_code": None})
        if not self._end.done():
            self._output.flush()
            self._output.end(None)
            self._end.set_result(ContainerEnd(None, words))
