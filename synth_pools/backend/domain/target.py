"""Targets run rollouts: a container over HTTP, or the echo target that is built in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Probe = Literal["health", "info", "metadata", "task_info", "program", "taskset"]

# Takes the data of an agent event; what it is told is stored before it returns.
Report = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ContainerOrigin:
    """Origin of a container that the backend started.

    Attributes:
        launcher: `local`, or the engine of its image.
        node: The name of the machine.
        image_digest: The digest of the image; None without one.
    """

    launcher: str
    node: str
    image_digest: str | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a rollout after a position, as a target tells them: with a rising `sequence`."""

    events: list[dict[str, Any]]
    has_more: bool


# Made for each rollout: a frozen one takes three times as long.
@dataclass(slots=True)
class Answer:
    """A target's JSON object, parsed and as it came, and the bytes that it took to get it."""

    document: dict[str, Any]
    raw: bytes
    sent: int = 0
    received: int = 0
    # Of HTTP.
    status: int = 200
    # Of a large one: the document has only what tells its state, and this is room for all of it.
    reserved: object | None = None

    @property
    def is_whole(self) -> bool:
        """True if the document has all that was answered."""
        return self.reserved is None


class TargetError(Exception):
    """A target gave no usable answer; `code` is the error code of the rollout."""

    def __init__(
        self,
        code: Literal[
            "container_unreachable",
            "container_timeout",
            "container_http_error",
            "container_bad_response",
            "backend_restarted",
        ],
        message: str,
        details: dict[str, Any],
        status: int | None = None,
        *,
        nobody_listens: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.status = status
        # No connection was made to the address, so that this request was not sent.
        self.nobody_listens = nobody_listens


class Target(Protocol):
    """Runs rollouts and answers questions about itself."""

    async def probe(self, probe: Probe) -> Answer:
        """Ask it something about itself."""
        ...

    async def execute(self, body: bytes, limit_seconds: float) -> Answer:
        """Run a rollout that is given in the target's own terms."""
        ...

    async def run(self, payload: dict[str, Any], limit_seconds: float, report: Report) -> Answer:
        """Run a rollout of a pool; raise `TargetError` with `container_timeout` at the limit."""
        ...

    async def look_up(self, rollout_id: str) -> Answer | None:
        """Return its answer about a rollout that it was sent earlier; None where it keeps none."""
        ...

    def keeps_events(self) -> bool | None:
        """Return whether it tells of rollouts while they run; None where nobody knows yet."""
        ...

    async def read_events(self, rollout_id: str, after: int, limit: int) -> EventPage | None:
        """Return what it tells after a position; None where it tells nothing of this rollout."""
        ...

    def lacks_events(self) -> None:
        """Note that nobody is to ask it for events for a while."""
        ...

    async def terminate(self, rollout_id: str) -> None:
        """Tell it that nobody wants this rollout any more; never raises."""
        ...
