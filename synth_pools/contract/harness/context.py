"""Scenarios: what they are, and the hands they are given.

A scenario is a function of a Context that speaks about some operations. It demands; it never
asserts: a demand that is not met becomes a departure that names the operation and the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from synth_pools.contract.collector import departure
from synth_pools.contract.exceptions import EndScenario, LackError
from synth_pools.contract.harness.waits import wait_until_active
from synth_pools.contract.http.client import ABSENT, Answer, Stream, at
from synth_pools.contract.http.sse import SseReader
from synth_pools.contract.results import Clause, Column, Exchange, Layer, Outcome
from synth_pools.contract.rules.verdict import excerpt, show
from synth_pools.contract.session import World

_TRAIL = 12


@dataclass(frozen=True, slots=True)
class Scenario:
    id: str
    clause: Clause
    operations: tuple[str, ...]
    play: Callable[[Context], None]
    needs: str | None = None
    reads_only: bool = False
    slow: bool = False
    alone: bool = False


REGISTRY: dict[str, Scenario] = {}


def scenario(
    id: str,  # noqa: A002 - that is its name in every report
    section: str,
    demand: str,
    *operations: str,
    needs: str | None = None,
    reads_only: bool = False,
    slow: bool = False,
    alone: bool = False,
) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
    """Register a scenario.

    `needs` is "live" (rollouts that last as long as is wanted), "containers" (our own), or a
    feature. What is `slow` runs along with the others, what is `alone` waits until they are done.
    """

    def register(play: Callable[[Context], None]) -> Callable[[Context], None]:
        if id in REGISTRY:
            raise ValueError(f"two scenarios are called {id}")
        REGISTRY[id] = Scenario(
            id, Clause(section, demand), operations, play, needs, reads_only, slow, alone
        )
        return play

    return register


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, true and 1 are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and (one is ABSENT) == (other is ABSENT)


class Context:
    """One scenario's view of the backend: it keeps the trail of requests for the departures."""

    def __init__(self, world: World, item: Scenario, layer: Layer = Layer.SCENARIO) -> None:
        self.world = world
        self.scenario = item
        self.layer = layer
        self.random = Random(f"{world.options.seed}:{item.id}")
        self.trail: list[Exchange] = []
        self.judged: set[str] = set()
        self.departures = 0
        self._names = 0

    # Requests

    def call(self, operation: str, ids: Mapping[str, str] | None = None, **how: Any) -> Answer:
        answer = self.world.probe.call(operation, ids, **how)
        self._note(answer.exchange)
        return answer

    def stream(
        self,
        operation: str,
        ids: Mapping[str, str],
        *,
        until: Callable[[SseReader], bool] = lambda _: False,
        limit: float | None = None,
        **how: Any,
    ) -> Stream:
        stream = self.world.probe.stream(
            operation, ids, until=until, limit=limit or self.world.patience, **how
        )
        self._note(stream.exchange)
        if stream.status != 200:
            self._wrong_status(Answer(stream.exchange), operation, (200,), None, None)
            raise EndScenario
        return stream

    def raw(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        operation: str | None,
    ) -> Answer:
        """A request that is no operation's, or not as an operation wants it."""
        probe = self.world.probe
        exchange = probe.patiently(lambda: probe.send(method, url, headers, body, operation))
        self._note(exchange)
        return Answer(exchange)

    def want(
        self,
        status: int | tuple[int, ...],
        operation: str,
        ids: Mapping[str, str] | None = None,
        *,
        because: str | None = None,
        code: str | None = None,
        clause: Clause | None = None,
        **how: Any,
    ) -> Answer:
        """Send a request whose answer the rest of the scenario builds on."""
        answer = self.call(operation, ids, **how)
        if not self.expect(answer, status, operation, because=because, code=code, clause=clause):
            raise EndScenario
        return answer

    def try_(
        self,
        status: int | tuple[int, ...],
        operation: str,
        ids: Mapping[str, str] | None = None,
        *,
        because: str | None = None,
        code: str | None = None,
        clause: Clause | None = None,
        **how: Any,
    ) -> Answer:
        """The same where the scenario can go on with any answer."""
        answer = self.call(operation, ids, **how)
        self.expect(answer, status, operation, because=because, code=code, clause=clause)
        return answer

    # Verdicts

    def expect(
        self,
        answer: Answer,
        status: int | tuple[int, ...],
        operation: str,
        *,
        because: str | None = None,
        code: str | None = None,
        clause: Clause | None = None,
    ) -> bool:
        """Whether the status, and the code where the answer has one, are the demanded ones."""
        wanted = (status,) if isinstance(status, int) else status
        if answer.status == 501 and 501 not in wanted:
            raise LackError(Outcome.NOT_OFFERED, operation, "the server answers 501")
        if answer.status not in wanted:
            self._wrong_status(answer, operation, wanted, because, clause)
            return False
        errors = min(wanted) >= 400
        self._held(operation, Column.ERRORS if errors else Column.STATUS)
        told = answer.at("error", "code")
        if code is not None and told is not ABSENT:
            return self.judge(
                operation,
                told == code,
                f"error.code {code}",
                show(told),
                answer,
                column=Column.ERRORS,
                clause=clause,
            )
        return True

    def judge(
        self,
        operation: str,
        ok: bool,
        expected: str,
        got: str,
        answer: Answer | Stream | None,
        *,
        column: Column = Column.BEHAVIOUR,
        clause: Clause | None = None,
        cause: str = "",
    ) -> bool:
        if ok:
            self._held(operation, column)
            return True
        self.judged.add(operation)
        self.departures += 1
        exchange = answer.exchange if answer else None
        self.world.findings.departed(
            departure(
                self.scenario.id,
                operation,
                clause or self.scenario.clause,
                expected,
                got,
                self.layer,
                column,
                exchange,
                self._before(exchange),
                cause,
            )
        )
        return False

    def equal(
        self,
        operation: str,
        what: str,
        wanted: Any,
        came: Any,
        answer: Answer | Stream | None,
        *,
        clause: Clause | None = None,
    ) -> bool:
        return self.judge(
            operation,
            same(wanted, came),
            f"{what} is {_shown(wanted)}",
            difference(wanted, came),
            answer,
            clause=clause,
        )

    def witnesses(
        self,
        writer: str,
        wrote: Answer,
        told: Iterable[tuple[str, bool, Answer]],
        expected: str,
        got: str,
    ) -> bool:
        """Judge a change by those who read it.

        Where none of the others sees it the writer is wrong, whatever its own answer says; where
        some see it, those who do not are.
        """
        heard = list(told)
        others = [ok for reader, ok, _ in heard if reader != writer]
        if others and not any(others):
            return self.judge(writer, False, expected, got, wrote)
        self.judge(writer, True, expected, "", wrote)
        good = True
        for reader, ok, answer in heard:
            good &= self.judge(reader, ok, expected, excerpt(answer.exchange), answer)
        return good

    def alike(self, what: str, told: Iterable[tuple[str, Any, Answer]]) -> bool:
        """Judge accounts of one thing: those who stand alone are wrong; of two, either may be."""
        heard = list(told)
        best = max(heard, key=lambda one: sum(same(one[1], value) for _, value, _ in heard))
        agreeing = sum(same(best[1], value) for _, value, _ in heard)
        good = True
        for operation, value, answer in heard:
            others = best if value is not best[1] else next(o for o in heard if o[0] != operation)
            ok = same(best[1], value) and (agreeing * 2 > len(heard) or agreeing == len(heard))
            good &= self.judge(
                operation,
                ok,
                f"{what}, as {others[0]} tells it",
                difference(others[1], value),
                answer,
                cause=f"{self.scenario.id}|{what}",
            )
        return good

    def lack(self, operation: str, note: str, outcome: Outcome = Outcome.NOT_REACHED) -> None:
        self.judged.add(operation)
        self.world.findings.lacking(
            outcome, self.scenario.id, operation, Column.BEHAVIOUR, self.layer, note
        )

    # Things to work with

    def name(self, subject: str = "") -> str:
        """An id of ours that no other scenario uses."""
        self._names += 1
        slug = self.scenario.id.replace("_", "-")
        return self.world.pool_id("-".join(filter(None, (slug, subject, str(self._names)))))

    def pool(self, subject: str = "", **more: Any) -> str:
        """A new pool, active; its id."""
        return str(self.made(self.world.pool_body("x", **self._named(subject), **more)).at("id"))

    def live_pool(self, subject: str = "", **more: Any) -> str:
        body = self.world.live_pool_body("x", **self._named(subject), **more)
        if body is None:
            raise LackError(
                Outcome.NOT_REACHED,
                "create_rollout",
                "needs a slow rollout: the server has no echo target and is not on this machine",
            )
        return str(self.made(body).at("id"))

    def made(self, body: Mapping[str, Any]) -> Answer:
        """Create a pool from a body and wait until it admits rollouts."""
        self.world.made_pool(str(body.get("pool_id") or body.get("id")))
        answer = self.want(201, "create_pool", json=body)
        created = answer.at("id")
        if not isinstance(created, str):
            raise EndScenario
        self.world.made_pool(created)
        if answer.at("status") != "active":
            wait_until_active(self, created)
        return answer

    def _named(self, subject: str) -> dict[str, str]:
        name = self.name(subject)
        return {"pool_id": name, "name": name}

    # Keeping track

    def _note(self, exchange: Exchange) -> None:
        self.world.findings.saw(exchange, self.layer, self._before(exchange))
        self.trail.append(exchange)

    def _before(self, exchange: Exchange | None) -> tuple[Exchange, ...]:
        steps: list[Exchange] = []
        for step in self.trail:
            if step is exchange:
                break
            if step.method != "GET":
                steps.append(step)
        return tuple(steps[-_TRAIL:])

    def _held(self, operation: str, column: Column) -> None:
        self.judged.add(operation)
        self.world.findings.held(self.scenario.id, operation, column, self.layer)

    def _wrong_status(
        self,
        answer: Answer,
        operation: str,
        wanted: tuple[int, ...],
        because: str | None,
        clause: Clause | None,
    ) -> None:
        listed = " or ".join(map(str, wanted))
        self.judge(
            operation,
            False,
            f"{listed}{f': {because}' if because else ''}",
            excerpt(answer.exchange),
            answer,
            column=Column.ERRORS if min(wanted) >= 400 else Column.STATUS,
            clause=clause,
            cause=self._status_cause(operation, wanted, answer.status),
        )

    def _status_cause(self, operation: str, wanted: tuple[int, ...], status: int | None) -> str:
        """One for all who wanted the same; one that is not listed shares it with the schema's."""
        known = self.world.document.operations[operation]
        if status is not None and known.answer(status) is None:
            return f"schema.status|{operation}|{status}"
        return f"status|{operation}|{wanted}|{status}"


def difference(wanted: Any, came: Any, where: str = "") -> str:
    """Where two JSON values part, in one line."""
    if isinstance(wanted, dict) and isinstance(came, dict):
        for key in wanted.keys() | came.keys():
            if not same(at(wanted, key), at(came, key)):
                return difference(at(wanted, key), at(came, key), f"{where}/{key}")
    elif isinstance(wanted, list) and isinstance(came, list) and len(wanted) == len(came):
        for index, (one, other) in enumerate(zip(wanted, came, strict=True)):
            if not same(one, other):
                return difference(one, other, f"{where}/{index}")
    if where:
        return f"at {where}: {_shown(came)} instead of {_shown(wanted)}"
    return _shown(came)


def _shown(value: Any) -> str:
    return "nothing" if value is ABSENT else show(value)
