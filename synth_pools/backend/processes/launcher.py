"""The interface of launchers: what starts the containers of pools, wherever that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes.failures import ProcessFailure
from synth_pools.backend.processes.output import OutputSink

Spec = TypeVar("Spec", contravariant=True)
Run = TypeVar("Run", bound="Started")


class LaunchError(Exception):
    """A container that cannot be started, and will not be by trying again.

    Args:
        code: The code of the pool's error.
        message: What is wrong and what to do, in one line.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = ProcessFailure(message, code=code, is_final=True)


@dataclass(frozen=True, slots=True)
class StartOrder:
    """Order to start one container.

    Attributes:
        pool_id: Its pool.
        port: The loopback port at which it will be called.
        key: The key of the pool's containers.
        output: Where what it writes goes.
    """

    pool_id: str
    port: int
    key: str | None
    output: OutputSink


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """End of a container.

    Attributes:
        exit_code: Its exit code; negative for the signal that ended it, None where nobody knows.
        words: Words for how it ended, to follow its name.
        is_final: Whether another start would end in the same way.
    """

    exit_code: int | None
    words: str
    is_final: bool = False


class Started(Protocol):
    """A container that was started, until its launcher has ended it."""

    @property
    def pid(self) -> int | None:
        """Its process on this machine; None where there is none that stands for it."""

    @property
    def origin(self) -> ContainerOrigin: ...

    @property
    def has_exited(self) -> bool: ...

    async def exited(self, limit_seconds: float | None = None) -> bool:
        """Wait for its end, at most so many seconds; True if it has ended."""
        ...

    async def read_end(self) -> ContainerEnd:
        """Read how one that has ended did so, with the last of its output."""
        ...


class Launcher(Protocol[Spec, Run]):
    """A way to start containers.

    Attributes:
        noun: What one of them is called in messages.
        is_remote: Whether a start is the work of other machines.
    """

    noun: str
    is_remote: bool

    async def prepare(
        self, spec: Spec, open_output: Callable[[], OutputSink]
    ) -> Callable[[StartOrder], Awaitable[Run]]:
        """Prepare what a spec needs, which may take long, and return the function that starts one.

        The function raises `OSError` or `ValueError` where this time it was not possible.

        Args:
            spec: What is to be started.
            open_output: Opens the output of the container that is to follow, for progress.

        Raises:
            LaunchError: It cannot be started.
        """
        ...

    async def remember(self, started: Run) -> None:
        """Store what the next run of the backend needs to end it, if this one cannot."""

    async def end(self, started: Sequence[Run]) -> None:
        """End containers with all that they started; if cancelled, at once."""


AnyLauncher = Launcher[Any, Any]
