"""Rule for patches and moves between states: what the body does not name stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from synth_pools.contract.rules.listings import FactAnswer, ResourceKey, StatedDefinition
from synth_pools.contract.rules.verdict import (
    Doubt,
    moment,
    request_json,
    same_json,
    same_time,
    show,
)
from synth_pools.contract.selections import moves_pool, reads

# Fields of which one may follow from another one.
_TOGETHER = (
    {"metadata", "pool_metadata"},
    {"config", "pool_config", "target", "backend", "capacity", "concurrency"}
    | {"container_url", "container_urls"},
)
# Tasks have fields that follow from their pool.
_WHOLE = frozenset({"id", "pool_id", "task_id", "tasks"})
# Operations that change no definition.
_OTHER_TAGS = ("rollouts", "containers")
# States of a pool that it enters by a request alone.
_REQUESTED = ("paused", "archived")
# Fields of a pool that no move from one state to another changes.
_UNMOVED = ("name", "target", "backend", "config", "metadata", "tasks", "capacity", "concurrency")


@dataclass(slots=True)
class _Definitions:
    """Latest definitions of a pool and its tasks.

    Attributes:
        latest: Each as the latest change answered it, else as it was read last.
        changed: When the latest change had come.
        doubts: Doubts about answers that differ from what was there.
        unclear: Answers that state another state than that of a pool that was paused before.
    """

    latest: dict[ResourceKey, StatedDefinition] = field(default_factory=dict)
    changed: float = 0.0
    doubts: list[Doubt] = field(default_factory=list)
    unclear: list[tuple[FactAnswer, str, Doubt]] = field(default_factory=list)


class Definitions:
    """Definitions of pools and tasks, as far as no other change can have come between."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """Begin without definitions.

        Args:
            names: The fields that callers define, by the kind of resource.
        """
        self._names = names
        self._pools: dict[tuple[bool, str], _Definitions] = defaultdict(_Definitions)

    def change(self, answer: FactAnswer) -> None:
        """Forget what a change of a pool may have made untrue, and give it to its answer."""
        operation, exchange = answer.operation, answer.exchange
        if reads(operation) or "pool_id" not in answer.ids or operation.tag in _OTHER_TAGS:
            return
        pool = self._pools[answer.as_other, answer.ids["pool_id"]]
        # Answers come in any order: this change may have come before one that was compared.
        for doubt in pool.doubts:
            doubt.is_founded |= exchange.began < doubt.until
        answer.before, pool.latest = pool.latest, {}
        pool.unclear.clear()
        # A change without an answer may yet come.
        end = exchange.began + exchange.elapsed if exchange.status else float("inf")
        answer.is_first = exchange.began >= pool.changed
        pool.changed = max(pool.changed, end)

    def read(self, answer: FactAnswer, subject: ResourceKey, resource: Mapping[str, Any]) -> None:
        """Compare the answer to a patch with what was there, and remember it."""
        exchange, operation = answer.exchange, answer.operation
        pool = self._pools[answer.as_other, str(resource.get("pool_id"))]
        is_read = reads(operation)
        former = (pool.latest if is_read else answer.before).get(subject)
        if former is None or former.known_at > exchange.began:
            pass
        elif is_read:
            if exchange.began >= pool.changed and former.fields != resource:
                names = self._names[subject[1]]
                pool.doubts += self._compare("facts.stored", answer, names, former, resource)
        elif operation.method == "PATCH":
            patch = request_json(exchange)
            own_names = {*patch, *_WHOLE} if isinstance(patch, dict) else {*_WHOLE}
            for group in _TOGETHER:
                own_names |= group if own_names & group else set()
            names = [name for name in operation.body_fields if name not in own_names]
            pool.doubts += self._compare("facts.patched", answer, names, former, resource)
        elif moves_pool(operation):
            states = {former.fields.get("status"), resource.get("status")}
            stay = (*_UNMOVED, "updated_at") if states == {"paused"} else _UNMOVED
            pool.doubts += self._compare("facts.patched", answer, stay, former, resource)
        # A read may be late: the answer of a change counts for more.
        is_due = subject not in pool.latest or pool.latest[subject].is_read
        if exchange.began >= pool.changed and is_due if is_read else answer.is_first:
            pool.latest[subject] = StatedDefinition(
                resource, exchange.began + exchange.elapsed, is_read
            )

    def judge_figures(
        self, answer: FactAnswer, subject: ResourceKey, figures: Mapping[str, Any]
    ) -> None:
        """Compare what figures of a pool repeat of its definition."""
        pool = self._pools[answer.as_other, subject[2]]
        former = pool.latest.get(subject)
        if former is not None and answer.exchange.began >= max(pool.changed, former.known_at):
            names = [name for name in self._names["Pool"] if name in figures]
            pool.doubts += self._compare("facts.stored", answer, names, former, figures)

    def judge_state(
        self, answer: FactAnswer, subject: ResourceKey, page: Mapping[str, Any]
    ) -> None:
        """Compare the state of a pool beside its events or lines with that of the pool."""
        pool, exchange = self._pools[answer.as_other, subject[2]], answer.exchange
        stated = pool.latest.get(subject)
        if stated is None or exchange.began < max(pool.changed, stated.known_at):
            return
        expected, actual = stated.fields.get("status"), page.get("status")
        doubt = Doubt(exchange.began + exchange.elapsed, stated.is_read)
        if expected != actual and expected == "paused" and actual not in _REQUESTED:
            # It may have failed and come back, unless it is paused still.
            pool.unclear.append((answer, str(actual), doubt))
        elif expected in _REQUESTED or actual in _REQUESTED:
            _judge_state(answer, pool, str(expected), str(actual), doubt)

    def confirm_state(
        self, answer: FactAnswer, subject: ResourceKey, pool_read: Mapping[str, Any]
    ) -> None:
        """Judge the answers before a read of a paused pool, which was paused all the time."""
        pool = self._pools[answer.as_other, subject[2]]
        if not pool.unclear or not reads(answer.operation):
            return
        is_paused = pool_read.get("status") == "paused"
        for earlier, actual, doubt in pool.unclear:
            if is_paused and answer.exchange.began >= doubt.until:
                judged = replace(earlier, results=answer.results)
                _judge_state(judged, pool, "paused", actual, doubt)
        pool.unclear.clear()

    def _compare(
        self,
        check: str,
        answer: FactAnswer,
        names: Iterable[str],
        former: StatedDefinition,
        resource: Mapping[str, Any],
    ) -> Iterator[Doubt]:
        until = answer.exchange.began + answer.exchange.elapsed
        for name in names:
            if name in former.fields:
                expected, actual = former.fields[name], resource.get(name)
                demand = f"{name}, which nothing has changed, stays: {show(expected)}"
                met = same_json(expected, actual) or same_time(moment(expected), moment(actual))
                cause = f"{check}|{answer.operation.id}|{name}"
                doubt = Doubt(until, former.is_read)
                answer.judge(check, demand, met, show(actual), cause, doubt)
                if not met:
                    yield doubt


def _judge_state(
    answer: FactAnswer, pool: _Definitions, expected: str, actual: str, doubt: Doubt
) -> None:
    demand, met = f"status is that of the pool: {expected}", actual == expected
    answer.judge("facts.state", demand, met, show(actual), "facts.state", doubt)
    if not met:
        pool.doubts.append(doubt)
