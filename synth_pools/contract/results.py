"""What a run of the contract kit finds, as plain data.

Everything here is frozen: layers of the kit run side by side and hand these around.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What one check says about one operation."""

    HELD = "held"
    DEPARTED = "departed"
    NOT_OFFERED = "not_offered"
    NOT_REACHED = "not_reached"

    @property
    def weight(self) -> int:
        """Orders outcomes for a cell that sums up several checks: the highest one is shown."""
        return _WEIGHTS[self]


# A cell that held once and could not be reached another time has been seen to hold.
_WEIGHTS = {
    Outcome.NOT_REACHED: 0,
    Outcome.NOT_OFFERED: 1,
    Outcome.HELD: 2,
    Outcome.DEPARTED: 3,
}


class Column(StrEnum):
    """The columns of the verdict's table."""

    STATUS = "status"
    SCHEMA = "schema"
    ERRORS = "errors"
    AUTH = "auth"
    BEHAVIOUR = "behaviour"


class Layer(StrEnum):
    PREFLIGHT = "preflight"
    SCHEMA = "schema"
    SCENARIO = "scenario"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Clause:
    """The place in openapi.yaml that a check rests on, and what it demands there."""

    section: str
    demand: str

    def __str__(self) -> str:
        return f"{self.section}: {self.demand}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it was sent, with the key masked, and what came back.

    `status` is None where no answer came; `trouble` then says why. A stream's body is what was read
    of it before it ended or was left.
    """

    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: bytes | None = None
    status: int | None = None
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    elapsed: float = 0.0
    trouble: str | None = None
    operation: str | None = None

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        for key, value in self.response_headers:
            if key.lower() == wanted:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Departure:
    """One way in which the backend does not do what the document says.

    `exchange` is the request that shows it; `before` are the requests that lead up to it.
    Departures with the same `cause` are one entry of the report.
    """

    check: str
    operation: str
    clause: Clause
    expected: str
    got: str
    exchange: Exchange | None
    layer: Layer
    column: Column
    before: tuple[Exchange, ...] = ()
    cause: str = ""

    @property
    def group(self) -> str:
        return self.cause or f"{self.check}|{self.operation}|{self.expected}"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check says about one operation; `departures` is empty unless it departed."""

    check: str
    operation: str
    column: Column
    outcome: Outcome
    layer: Layer
    note: str = ""
    departures: tuple[Departure, ...] = ()

    @property
    def proves(self) -> bool:
        """Whether it was found to hold; that there is somebody to ask proves nothing yet."""
        contact = self.layer is Layer.PREFLIGHT and self.column is not Column.AUTH
        return self.outcome is Outcome.HELD and not contact


@dataclass(frozen=True, slots=True)
class LayerResult:
    """What a layer hands back. `reached` counts answers by operation and status.

    `obstacle` says what kept the layer from judging, in one line; it is no departure.
    """

    outcomes: tuple[CheckOutcome, ...] = ()
    reached: Mapping[tuple[str, int], int] = field(default_factory=dict)
    requests: int = 0
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class DepartureGroup:
    """Departures with one cause: the first of them stands for all."""

    first: Departure
    count: int
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict of a whole run.

    `documented` maps every operation to the statuses that openapi.yaml lists for it ("200", "5XX").
    """

    url: str
    seed: int
    profile: str
    run_id: str
    started_at: str
    duration: float
    operations: tuple[str, ...]
    routes: Mapping[str, str]
    documented: Mapping[str, tuple[str, ...]]
    outcomes: tuple[CheckOutcome, ...]
    reached: Mapping[tuple[str, int], int]
    requests: int
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def departures(self) -> tuple[Departure, ...]:
        return tuple(d for outcome in self.outcomes for d in outcome.departures)

    @property
    def exit_code(self) -> int:
        """0 conforms, 1 departures, 2 could not be judged; a departure outweighs an obstacle."""
        if any(outcome.outcome is Outcome.DEPARTED for outcome in self.outcomes):
            return 1
        return 0 if self.judged and not self.obstacles else 2

    @property
    def judged(self) -> bool:
        """Whether anything was found to hold."""
        return any(outcome.proves for outcome in self.outcomes)

    @property
    def groups(self) -> tuple[DepartureGroup, ...]:
        """Departures by cause, in the order in which they were found."""
        found: dict[str, list[Departure]] = {}
        for departure in self.departures:
            found.setdefault(departure.group, []).append(departure)
        return tuple(
            DepartureGroup(same[0], len(same), tuple(dict.fromkeys(d.operation for d in same)))
            for same in found.values()
        )

    def cell(self, operation: str, column: Column) -> Outcome | None:
        """The mark of one cell of the table; None where no check speaks about it."""
        return heaviest(
            o.outcome for o in self.outcomes if o.operation == operation and o.column is column
        )

    def counts(self) -> Counter[Outcome]:
        return Counter(outcome.outcome for outcome in self.outcomes)

    @property
    def conforming_operations(self) -> int:
        """Operations with something held and nothing departed."""
        seen: dict[str, Outcome | None] = {}
        for name in self.operations:
            seen[name] = heaviest(o.outcome for o in self.outcomes if o.operation == name)
        return sum(1 for worst in seen.values() if worst is Outcome.HELD)

    def statuses_reached(self, operation: str) -> tuple[int, ...]:
        return tuple(sorted(status for name, status in self.reached if name == operation))

    def statuses_missed(self, operation: str) -> tuple[str, ...]:
        """Documented statuses of an operation that no answer had."""
        seen = self.statuses_reached(operation)
        return tuple(
            documented
            for documented in self.documented.get(operation, ())
            if not any(status_matches(documented, status) for status in seen)
        )

    @property
    def summary(self) -> str:
        """The last line of the verdict."""
        checks = sum(1 for o in self.outcomes if o.outcome in (Outcome.HELD, Outcome.DEPARTED))
        of = f"{self.conforming_operations} of {len(self.operations)} operations"
        tail = f"{checks} checks, {len(self.groups)} departures"
        if self.exit_code == 0:
            return f"conforms: {of}, {tail}"
        if self.exit_code == 1:
            return f"departs: {of} conform, {tail}"
        why = self.obstacles[0] if self.obstacles else "nothing could be checked"
        return f"could not be judged: {why}"


def heaviest(outcomes: Iterable[Outcome]) -> Outcome | None:
    return max(outcomes, key=lambda outcome: outcome.weight, default=None)


def status_matches(documented: str, status: int) -> bool:
    """Whether a status is the documented one, where "5XX" stands for a hundred of them."""
    if documented.upper().endswith("XX"):
        return status // 100 == int(documented[0])
    return documented == str(status)
