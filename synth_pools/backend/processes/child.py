"""A child process in a session of its own, with its output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

import psutil

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes.discovery import ProcessIdentity, tagger
from synth_pools.backend.processes.launcher import ContainerEnd
from synth_pools.backend.processes.output import OutputSink
from synth_pools.backend.resources.open_files import limit_restorer

P = ParamSpec("P")
T = TypeVar("T")

_READ_SECONDS = 0.5

# What uvloop says where another loop is just starting a program, which it does not wait for.
_OTHER_LOOP = "Racing with another loop"
_OTHER_SECONDS = 0.01
# The start of a program blocks its loop: however slow a machine is, none takes that long.
_LONGEST_OTHER_SECONDS = 20.0


class Child:
    """A child process; made by `spawn`, to be closed once it has exited."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, protocol: _Protocol, known: ProcessIdentity
    ) -> None:
        self._transport = transport
        self._exited = protocol.exited
        self._all_read = protocol.all_read
        self.output = protocol.output
        self.pid = transport.get_pid()
        self._protocol = protocol
        self._known = known

    @classmethod
    async def spawn(
        cls,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        marker: str | None,
        output: OutputSink,
    ) -> Child:
        """Start a process in a session of its own.

        Args:
            arguments: The program and its arguments.
            env: Its whole environment.
            cwd: Its working directory; None for ours.
            marker: The marker in its environment, by which it is found again; None for the command
                of an engine, whose containers are found by their labels.
            output: Where what it writes goes.

        Raises:
            OSError: There is no such program, or it cannot be run.
            ValueError: An argument or a variable is none that a process can have.
        """
        tag = None if marker is None else tagger(marker)
        transport, protocol = await beside_others(
            lambda: asyncio.get_running_loop().subprocess_exec(
                partial(_Protocol, output),
                *arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                # So that a signal reaches its children too, and ^C in our terminal does not.
                start_new_session=True,
                preexec_fn=_one_after_the_other(tag, limit_restorer()),
            )
        )
        protocol.exited.add_done_callback(lambda _: output.end(transport.get_returncode()))
        pid = transport.get_pid()
        is_tagged = tag is not None
        known = ProcessIdentity(
            pid, _started(pid), marker or "", is_child=True, is_tagged=is_tagged
        )
        return cls(transport, protocol, known)

    @property
    def known(self) -> ProcessIdentity:
        return replace(self._known, ended=self._protocol.exited_at)

    @property
    def origin(self) -> ContainerOrigin:
        return ContainerOrigin("local", platform.node())

    async def read_end(self) -> ContainerEnd:
        """Read how it ended, with the last of its output."""
        await self.read_rest()
        code = self.exit_code or 0
        words = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        return ContainerEnd(code, words)

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs, negative for the signal that ended it."""
        return self._transport.get_returncode() if self._exited.done() else None

    @property
    def has_exited(self) -> bool:
        return self._exited.done()

    async def exited(self, limit_seconds: float | None = None) -> bool:
        """Wait for the exit, at most so many seconds; True if it has exited."""
        await asyncio.wait([self._exited], timeout=limit_seconds)
        return self._exited.done()

    async def read_rest(self) -> None:
        """Read the last output of a process that has exited; a child of its may write for ever."""
        await asyncio.wait([self._all_read], timeout=_READ_SECONDS)

    def signal(self, number: int) -> None:
        """Signal its group; not once it has exited, when the number may be another's."""
        if not self._exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        self._transport.close()


class _Protocol(asyncio.SubprocessProtocol):
    def __init__(self, output: OutputSink) -> None:
        self.output = output
        # In seconds since 1970.
        self.exited_at: float | None = None
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.all_read: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd  # both of its streams are one
        self.output.feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        del fd, exc
        self.output.flush()
        if not self.all_read.done():
            self.all_read.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited_at = clock.unix_time()
            self.exited.set_result(None)


async def beside_others(
    start: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Start a program, once no other event loop of this process is starting one.

    Args:
        start: Starts it, or raises.
        args: Passed to `start`.
        kwargs: The same.

    Raises:
        RuntimeError: Another one went on starting programs.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LONGEST_OTHER_SECONDS
    while True:
        try:
            return await start(*args, **kwargs)
        except RuntimeError as error:
            if _OTHER_LOOP not in str(error) or loop.time() > deadline:
                raise
        await asyncio.sleep(_OTHER_SECONDS)


def _one_after_the_other(*functions: Callable[[], None] | None) -> Callable[[], None] | None:
    given = [function for function in functions if function is not None]

    def call() -> None:
        for function in given:
            function()

    return call if given else None


def _started(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        # It is over already, and nobody will have to find it.
        return clock.unix_time()
