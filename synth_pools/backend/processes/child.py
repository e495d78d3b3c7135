"""Child processes, each in a new session, with their output."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import subprocess
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ParamSpec, TypeVar

import psutil

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes.discovery import ProcessIdentity, tagger
from synth_pools.backend.processes.launcher import ContainerEnd
from synth_pools.backend.processes.output import OutputSink
from synth_pools.backend.resources.open_files import limit_restorer

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_READ_SECONDS = 0.5
# EX_CONFIG of sysexits.h, the status of a program that would end in the same way again.
_CANNOT_START = 78

# Text of uvloop's error while another event loop is starting a program.
_OTHER_LOOP = "Racing with another loop"
_OTHER_SECONDS = 0.01
# Time limit for other loops: a start blocks its loop for less, even on a slow machine.
_LONGEST_OTHER_SECONDS = 20.0


class Child:
    """Child process, started by `spawn`; close it after its exit."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, protocol: _Protocol, identity: ProcessIdentity
    ) -> None:
        self._transport = transport
        self._exited = protocol.exited
        self._all_read = protocol.all_read
        self.output = protocol.output
        self.pid = transport.get_pid()
        self._protocol = protocol
        self._known = identity

    @classmethod
    async def spawn(
        cls,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        marker: str | None,
        output: OutputSink,
    ) -> Child:
        """Start a process in a new session.

        Args:
            arguments: The program and its arguments.
            env: The complete environment.
            cwd: The working directory; None for that of this process.
            marker: The marker in the environment, to find the process again; None for the
                command of an engine, because labels find its containers.
            output: The receiver of its output.

        Raises:
            OSError: There is no such program, or it cannot be run.
            ValueError: An argument or a variable is invalid.
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
                # A signal to the group then reaches its children too; ^C in our terminal does not.
                start_new_session=True,
                preexec_fn=_in_turn(tag, limit_restorer()),
            )
        )
        protocol.exited.add_done_callback(lambda _: output.end(transport.get_returncode()))
        pid = transport.get_pid()
        is_tagged = tag is not None
        identity = ProcessIdentity(
            pid, _started(pid), marker or "", is_child=True, is_tagged=is_tagged
        )
        return cls(transport, protocol, identity)

    @property
    def identity(self) -> ProcessIdentity:
        return replace(self._known, ended_at=self._protocol.exited_at)

    @property
    def origin(self) -> ContainerOrigin:
        return ContainerOrigin("local", platform.node())

    async def read_end(self) -> ContainerEnd:
        """Read the last output, and describe the end."""
        await self.read_rest()
        code = self.exit_code or 0
        words = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        return ContainerEnd(code, words, is_final=code == _CANNOT_START)

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs, negative if a signal ended it."""
        return self._transport.get_returncode() if self._exited.done() else None

    @property
    def has_exited(self) -> bool:
        return self._exited.done()

    async def exited(self, limit_seconds: float | None = None) -> bool:
        """Wait for the exit; True if it has exited within the limit."""
        await asyncio.wait([self._exited], timeout=limit_seconds)
        return self._exited.done()

    async def read_rest(self) -> None:
        """Read the last output after the exit, for a short time: descendants may go on writing."""
        await asyncio.wait([self._all_read], timeout=_READ_SECONDS)

    def signal(self, number: int) -> None:
        """Signal its group, unless it has exited: its id may belong to a new process by then."""
        if not self._exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        self._transport.close()


class _Protocol(asyncio.SubprocessProtocol):
    def __init__(self, output: OutputSink) -> None:
        self.output = output
        # Seconds since 1970.
        self.exited_at: float | None = None
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.all_read: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd  # both streams share one pipe
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


async def start_whole(start: Coroutine[Any, Any, T], end: Callable[[T], Awaitable[None]]) -> T:
    """Start a program; if cancelled meanwhile, end it with all that it has started by then.

    Args:
        start: Starts the program.
        end: Ends it.
    """
    starting = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        try:
            await end(await asyncio.shield(starting))
        except Exception:  # noqa: BLE001 - the cancellation is what its caller waits for
            _log.debug("what was being started did not start, or has ended", exc_info=True)
        raise


async def beside_others(
    start: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Start a program once no other event loop of this process is starting one.

    Args:
        start: Starts the program, or raises.
        args: Passed to `start`.
        kwargs: Passed to `start`.

    Raises:
        RuntimeError: Other event loops were starting programs until the time limit.
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


def _in_turn(*functions: Callable[[], None] | None) -> Callable[[], None] | None:
    calls = [function for function in functions if function is not None]

    def call() -> None:
        for function in calls:
            function()

    return call if calls else None


def _started(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        # It has exited already, and need not be found again.
        return clock.unix_time()
