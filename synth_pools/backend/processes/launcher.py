"""The interface of launchers, which start the containers of pools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes.output import OutputSink

Spec = TypeVar("Spec", contravariant=True)
Run = TypeVar("Run", bound="Started")

NOT_HEALTHY = "process_not_healthy"
IMAGE = "image_unavailable"


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """Reason why a process does not run, as the API reports it."""

    message: str
    # Exit code of a process that ended by itself; negative for a signal.
    exit_code: int | None = None
    # The last lines of its output.
    output: tuple[str, ...] = ()
    code: str = NOT_HEALTHY
    # True if another try would end in the same way.
    is_final: bool = False

    @property
    def pool_error(self) -> dict[str, Any]:
        details = {"output": list(self.output), "exit_code": self.exit_code}
        return {"code": self.code, "message": self.message, "details": details}


class LaunchError(Exception):
    """A container cannot be started, and another try would not help.

    Args:
        code: The code of the pool's error.
        message: The fault and the remedy, in one line.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = ProcessFailure(message, code=code, is_final=True)


@dataclass(frozen=True, slots=True)
class StartOrder:
    """Order to start one container."""

    pool_id: str
    # Loopback port at which the container will be called.
    port: int
    # Key of the pool's containers.
    key: str | None
    output: OutputSink


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """End of a container."""

    # Negative for a signal, None if it is unknown.
    exit_code: int | None
    # Description of the end; in a message it follows the name of the container.
    words: str
    # True if another start would end in the same way.
    is_final: bool = False


class Started(Protocol):
    """Started container, until its launcher has ended it."""

    @property
    def pid(self) -> int | None:
        """Process id on this machine; None for a container without one."""
        ...

    @property
    def origin(self) -> ContainerOrigin: ...

    @property
    def has_exited(self) -> bool: ...

    async def exited(self, limit_seconds: float | None = None) -> bool:
        """Wait for its end; True if it has ended within the limit."""
        ...

    async def read_end(self) -> ContainerEnd:
        """Read the last output after its end, and describe the end."""
        ...


class Launcher(Protocol[Spec, Run]):
    """Launcher of containers of one kind.

    Attributes:
        noun: The word for a container in messages.
        is_remote: True if other machines start the containers.
    """

    noun: str
    is_remote: bool

    async def prepare(
        self, spec: Spec, open_output: Callable[[], OutputSink]
    ) -> Callable[[StartOrder], Awaitable[Run]]:
        """Prepare a spec, which may take long, and return a function that starts its containers.

        The function raises `OSError` or `ValueError` if another try may succeed.

        Args:
            spec: The spec of the containers.
            open_output: Opens the output of the next container, to report progress.

        Raises:
            LaunchError: No container of the spec can be started.
        """
        ...

    async def remember(self, started: Run) -> None:
        """Store a container, so that the next run of the backend can end it."""

    async def end(self, started: Sequence[Run]) -> None:
        """End containers and their descendants; if cancelled, kill them at once."""


AnyLauncher = Launcher[Any, Any]
