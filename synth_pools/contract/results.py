"""Results of a run as plain data.

All of them are frozen, because layers of the kit share them between threads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """Outcome of one check of one operation."""

    HELD = "held"
    KNOWN = "known"
    DEPARTED = "departed"
    NOT_OFFERED = "not_offered"
    NOT_REACHED = "not_reached"

    @property
    def weight(self) -> int:
        """Rank of the outcome; a cell shows the outcome of the highest rank."""
        return _BY_WEIGHT.index(self)


# A check that held once counts as held, even if it could not be reached another time.
_BY_WEIGHT = (
    *(Outcome.NOT_REACHED, Outcome.NOT_OFFERED),
    *(Outcome.HELD, Outcome.KNOWN, Outcome.DEPARTED),
)


class Column(StrEnum):
    """Columns of the report's table."""

    STATUS = "status"
    SCHEMA = "schema"
    ERRORS = "errors"
    AUTH = "auth"
    BEHAVIOUR = "behaviour"


class Layer(StrEnum):
    """Layers of the kit, by the requests that they send."""

    PREFLIGHT = "preflight"
    SCHEMA = "schema"
    SCENARIO = "scenario"
    CLIENT = "client"
    TRAFFIC = "traffic"


_CHECKED = (Outcome.HELD, Outcome.KNOWN, Outcome.DEPARTED)
# Beginning of the note of a check that waits for an operation.
NEEDS = "needs "
# Columns by the harm of a departure, the worst first.
_HARMS = (Column.BEHAVIOUR, Column.STATUS, Column.SCHEMA, Column.ERRORS)
_BODY = re.compile(r"(?=[\[{<])")
# Bodies in JSON that have no fields.
_SCALAR = re.compile(rb'\s*(?:-?[\d.eE+-]+|"[^"]*"|true|false|null|\[\s*\])\s*')


@dataclass(frozen=True, slots=True)
class Clause:
    """Clause of the document that a check rests on.

    Attributes:
        section: The section, operation or schema.
        demand: The demand.
        ids: The ids of sentences instead of these, as in "Pages#94c3#c09d, PoolList.items#c4e8".
    """

    section: str = ""
    demand: str = ""
    ids: str = ""

    def __str__(self) -> str:
        return f"{self.section}: {self.demand}"


@dataclass(frozen=True, slots=True)
class ClauseLine:
    """Sentence of the document that a check judges: its id, its line, its words."""

    id: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class LongBody:
    """Long body, as its repeated parts.

    Attributes:
        parts: Its parts in order, each with the number of its repetitions in a row.
        size: Its size in bytes.
        left_out: The number of bytes at its end that no part covers.
    """

    parts: tuple[tuple[bytes, int], ...]
    size: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as it was sent, with the key masked, and its response.

    Attributes:
        method: The HTTP method.
        url: The URL.
        request_headers: The headers that the kit set.
        request_body: The body that was sent.
        status: The status; None without a response.
        response_headers: The headers of the response.
        response_body: The body; of a stream, the bytes read before it ended or was closed.
        elapsed: Seconds from the request to the end of the response.
        trouble: The reason why there is no response, or not all of it.
        operation: The id of the addressed operation.
        late: Whether the time limit is the trouble.
        began: When it was sent, on the monotonic clock; 0 if that is unknown.
    """

    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: bytes | LongBody | None = None
    status: int | None = None
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    elapsed: float = 0.0
    trouble: str | None = None
    operation: str | None = None
    late: bool = False
    began: float = 0.0

    def header(self, name: str) -> str | None:
        """Return a header of the response, whatever the case of its name."""
        values = (value for key, value in self.response_headers if key.lower() == name.lower())
        return next(values, None)


@dataclass(frozen=True, slots=True)
class Departure:
    """One way in which the backend does not do what the document says.

    Attributes:
        check: The id of the check.
        operation: The operation that departs.
        clause: The clause that it departs from.
        expected: The demand in words.
        got: The observation in words.
        exchange: The request that shows it.
        layer: The layer that found it.
        column: The column of the report's table.
        before: The requests that lead up to it.
        cause: The key of the defect; departures with one cause are one entry of the report.
        about: The error code, status or field that it is about.
        over: The key by which departures of several operations also become one entry.
        times: The number of times that it was observed.
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
    about: str = ""
    over: str = ""
    times: int = 1

    @property
    def group(self) -> str:
        """Key of the report's entry that it belongs to."""
        return self.cause or f"{self.check}|{self.operation}|{self.expected}"

    @property
    def harm(self) -> int:
        """Rank of its harm, 0 being the worst."""
        if self.column is Column.AUTH:
            return 0
        body = self.exchange.request_body if self.exchange else None
        if isinstance(body, bytes) and _SCALAR.fullmatch(body):
            # No client sends it.
            return 2 + len(_HARMS)
        status = self.exchange.status if self.exchange else 0
        if status is None or (status >= 500 and status != 501):
            return 1
        return 2 + _HARMS.index(self.column)

    @property
    def title(self) -> str:
        """Observation and demand in one line."""
        # The text before the JSON or HTML of a response.
        observed = _BODY.split(self.got, maxsplit=1)[0].rstrip(" :") or self.got
        return f"{shorten(observed, 90)}; expected {shorten(self.expected, 90)}"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """Result of one check of one operation; only a departed one has departures.

    `of_rule` tells of a check that a rule makes on every answer.
    """

    check: str
    operation: str
    column: Column
    outcome: Outcome
    layer: Layer
    note: str = ""
    departures: tuple[Departure, ...] = ()
    of_rule: bool = False

    @property
    def proves(self) -> bool:
        """True if the check held, and is one that the run is about.

        Of the first contact only checks of keys count. Each answer on the way of a scenario is
        judged, too, also where the scenario itself judged nothing.
        """
        contact = self.layer is Layer.PREFLIGHT and self.column is not Column.AUTH
        on_the_way = self.layer is Layer.SCENARIO and self.of_rule
        is_judged = self.outcome in (Outcome.HELD, Outcome.KNOWN)
        return is_judged and not contact and not on_the_way


@dataclass(frozen=True, slots=True)
class LayerResult:
    """Result of one layer.

    Attributes:
        outcomes: The outcomes of its checks.
        reached: The number of responses by operation and status.
        requests: The number of requests.
        obstacle: The reason, other than a departure, that kept the layer from judging.
        note: A remark on the layer, in one line.
    """

    outcomes: tuple[CheckOutcome, ...] = ()
    reached: Mapping[tuple[str, int], int] = field(default_factory=dict)
    requests: int = 0
    obstacle: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DepartureGroup:
    """Departures with one cause: the first of them stands for all."""

    departures: tuple[Departure, ...]

    @property
    def first(self) -> Departure:
        """Departure that the entry shows in full."""
        return self.departures[0]

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(departure.times for departure in self.departures)

    @property
    def operations(self) -> tuple[str, ...]:
        """Operations that depart, each once."""
        return tuple(dict.fromkeys(departure.operation for departure in self.departures))

    @property
    def rank(self) -> tuple[int, int, bool]:
        """Place of the entry in a report: by harm, width, and whether a scenario tells more."""
        is_fact = self.first.check.startswith("facts.")
        return self.first.harm, -len(self.operations), is_fact

    @property
    def places(self) -> tuple[DepartureGroup, ...]:
        """Places of the cause: observations in the same words are one place."""
        by_title: dict[str, list[Departure]] = {}
        for departure in self.departures:
            by_title.setdefault(departure.title, []).append(departure)
        return tuple(DepartureGroup(tuple(same)) for same in by_title.values())


@dataclass(frozen=True, slots=True)
class Report:
    """Report of a whole run.

    Attributes:
        url: The base URL of the backend.
        seed: The seed, which repeats the run.
        profile: The profile, "quick" or "full".
        run_id: The mark of everything that the run created.
        started_at: The start of the run, ISO 8601 in UTC.
        duration: Seconds that the run took.
        operations: The ids of all operations of the document.
        routes: Method and path of each operation.
        documented: The statuses that the document lists for each operation, as "200" and "5XX".
        outcomes: The outcomes of all checks.
        reached: The number of responses by operation and status.
        requests: The number of requests.
        obstacles: The reasons why the backend could not be judged.
        notes: Remarks on the run itself.
        read_only: Whether only GET was sent.
        seconds: The seconds that scenarios and layers took, by their ids.
        absent: The operations of the document that the backend does not have yet.
        lines: The lines of the document by the sections that departures rest on.
        clauses: The sentences of the document that departures break, by their groups.
        document: The name of the document.
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
    seconds: Mapping[str, float] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    clauses: Mapping[str, tuple[ClauseLine, ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    document: str = "openapi.yaml"

    @property
    def departures(self) -> tuple[Departure, ...]:
        """All departures, in the order in which they were found."""
        return tuple(d for outcome in self.outcomes for d in outcome.departures)

    @property
    def exit_code(self) -> int:
        """Exit code: 0 conforms, 1 departs, 2 not judged; a departure outweighs obstacles."""
        if any(outcome.outcome is Outcome.DEPARTED for outcome in self.outcomes):
            return 1
        return 0 if self.judged and not self.obstacles else 2

    @property
    def judged(self) -> bool:
        """True if any check held."""
        return any(outcome.proves for outcome in self.outcomes)

    @property
    def groups(self) -> tuple[DepartureGroup, ...]:
        """Departures by cause, the most harmful first, and of these the widest."""
        by_cause: dict[str, list[Departure]] = {}
        for departure in self.departures:
            by_cause.setdefault(departure.group, []).append(departure)
        # Several operations may share a defect, such as a wrong status for an unknown id.
        entries: dict[str, list[Departure]] = {}
        for key, same in by_cause.items():
            entries.setdefault(f"over|{same[0].over}" if same[0].over else key, []).extend(same)
        groups = [DepartureGroup(tuple(same)) for same in entries.values()]
        return tuple(sorted(groups, key=lambda group: group.rank))

    def cell(self, operation: str, column: Column) -> Outcome | None:
        """Return the outcome of one cell of the table; None if no check judges it."""
        return heaviest(
            o.outcome for o in self.outcomes if o.operation == operation and o.column is column
        )

    def counts(self) -> Counter[Outcome]:
        """Count the checks by outcome."""
        return Counter(outcome.outcome for outcome in self.outcomes)

    @property
    def conforming_operations(self) -> int:
        """Number of operations with a check that held and none that departed."""
        heaviest_outcomes = (
            heaviest(o.outcome for o in self.outcomes if o.operation == name)
            for name in self.operations
        )
        return sum(outcome is Outcome.HELD for outcome in heaviest_outcomes)

    def statuses_reached(self, operation: str) -> tuple[int, ...]:
        """Return the statuses of all responses of an operation."""
        return tuple(sorted(status for name, status in self.reached if name == operation))

    def statuses_missed(self, operation: str) -> tuple[str, ...]:
        """Return the documented statuses of an operation that no response had."""
        reached = self.statuses_reached(operation)
        return tuple(
            documented
            for documented in self.documented.get(operation, ())
            if not any(status_matches(documented, status) for status in reached)
        )

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """The checks that wait for a missing operation, by that operation."""
        waiting: dict[str, dict[str, None]] = {}
        for outcome in self.outcomes:
            if outcome.outcome is Outcome.NOT_REACHED and outcome.note.startswith(NEEDS):
                needed = outcome.note.removeprefix(NEEDS)
                if needed in self.absent:
                    waiting.setdefault(needed, {})[outcome.check] = None
        ranked = sorted(waiting.items(), key=lambda item: -len(item[1]))
        return {name: tuple(checks) for name, checks in ranked}

    @property
    def summary(self) -> str:
        """The last line of the verdict."""
        checks = sum(1 for o in self.outcomes if o.outcome in _CHECKED)
        conforming = f"{self.conforming_operations} of {len(self.operations)} operations"
        tail = f"{checks} checks, {len(self.groups)} departures"
        if self.exit_code == 0:
            return f"conforms: {conforming}, {tail}"
        if self.exit_code == 1:
            return f"departs: {conforming} conform, {tail}"
        return f"could not be judged: {self.obstacle}"

    @property
    def obstacle(self) -> str:
        """The first reason why the backend could not be judged; "" if it was."""
        if self.obstacles or self.judged or self.departures:
            return next(iter(self.obstacles), "")
        waiting = (o.note for o in self.outcomes if o.outcome is Outcome.NOT_REACHED and o.note)
        return ": ".join(filter(None, ("nothing could be checked", next(waiting, ""))))


def heaviest(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the outcome of the highest rank; None if there are no outcomes."""
    return max(outcomes, key=lambda outcome: outcome.weight, default=None)


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of characters, the last of which is an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def status_matches(documented: str, status: int) -> bool:
    """Return True if a status is the documented one, or in a documented range like "5XX"."""
    if documented.upper().endswith("XX"):
        return status // 100 == int(documented[0])
    return documented == str(status)
