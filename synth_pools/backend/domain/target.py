"""Targets of rollouts: a container over HTTP, or the built-in echo target."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Probe = Literal["health", "info", "metadata", "task_info", "program", "taskset"]

# Callback for the data of an agent event, which is stored before it returns.
Report = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ContainerOrigin:
    """Origin of a container that the backend started."""

    # `local`, `ray`, or the engine of its image.
    launcher: str
    # Name of the machine.
    node: str
    image_digest: str | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a rollout after a position, with rising `sequence` numbers."""

    events: list[dict[str, Any]]
    has_more: bool


# Callback for a page of events that comes before the answer of a rollout, None for one that has to
# be asked for; it returns False if no more are accepted.
TakePage = Callable[[EventPage | None], bool]


# Not frozen: creating a frozen one takes three times as long.
@dataclass(slots=True)
class Answer:
    """JSON object from a target, parsed and raw, and the bytes sent and received for it."""

    document: dict[str, Any]
    raw: bytes
    sent: int = 0
    received: int = 0
    # HTTP status.
    status: int = 200
    # Memory of a large answer, whose `document` has only the fields of its state.
    reserved: object | None = None

    @property
    def is_whole(self) -> bool:
        """True if the document is the complete answer."""
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
        # True if no connection was made, so that the request was not sent.
        self.nobody_listens = nobody_listens
        # The answer of a container that was too slow, once it was told to stop.
        self.last: Answer | None = None


class Target(Protocol):
    """Target that runs rollouts and answers queries about itself."""

    async def probe(self, probe: Probe, query: bytes = b"") -> Answer:
        """Ask the target about itself; `query` is that of the URL, as it was sent."""
        ...

    async def execute(self, body: bytes, limit_seconds: float, query: bytes = b"") -> Answer:
        """Run a rollout in the target's own format; for `query` see `probe`."""
        ...

    async def run(
        self, payload: dict[str, Any], limit_seconds: float, report: Report, take: TakePage
    ) -> Answer:
        """Run a rollout of a pool; raise `TargetError` with `container_timeout` at the limit."""
        ...

    async def look_up(self, rollout_id: str) -> Answer | None:
        """Return the state of a rollout that was sent earlier; None if it keeps no states."""
        ...

    def keeps_events(self) -> bool | None:
        """Return whether it reports events of running rollouts; None if that is unknown."""
        ...

    async def read_events(self, rollout_id: str, after: int, limit: int) -> EventPage | None:
        """Return the events after a position; None if it knows no events of this rollout."""
        ...

    def lacks_events(self) -> None:
        """Note that the target must not be asked for events for a while."""

    async def terminate(self, rollout_id: str) -> None:
        """Ask it to give up a rollout; never raises."""
