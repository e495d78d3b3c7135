"""Rule for patches and moves between states: what the body does not name stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.contract.rules.listings import FactAnswer, ResourceKey
from synth_pools.contract.rules.verdict import request_json, same_json, show
from synth_pools.contract.selections import moves_pool, reads

# Fields of which one may follow from another one.
_TOGETHER = (
    {"metadata", "pool_metadata"},
    {"config", "pool_config", "target", "backend", "capacity", "concurrency"}
    | {"container_url", "container_urls"},
)
# Tasks have fields that follow from their pool.
_WHOLE = frozenset({"id", "pool_id", "task_id", "tasks"})
# Fields of a pool that no move from one state to another changes.
_UNMOVED = ("name", "target", "backend", "config", "metadata", "tasks", "capacity", "concurrency")


@dataclass(slots=True)
class _Definitions:
    """Latest definitions of a pool and its tasks.

    Attributes:
        latest: Each as it was read last, and when that answer had come.
        changed: When the latest change had come.
    """

    latest: dict[ResourceKey, tuple[Mapping[str, Any], float]] = field(default_factory=dict)
    changed: float = 0.0


class Definitions:
    """Definitions of pools and tasks, as far as no other change can have come between."""

    def __init__(self) -> None:
        self._pools: dict[tuple[bool, str], _Definitions] = defaultdict(_Definitions)

    def change(self, answer: FactAnswer) -> None:
        """Forget what a change of a pool may have made untrue, and give it to its answer."""
        operation, exchange = answer.operation, answer.exchange
        if reads(operation) or "pool_id" not in answer.ids:
            return
        pool = self._pools[answer.as_other, answer.ids["pool_id"]]
        answer.before, pool.latest = pool.latest, {}
        # A change without an answer may yet come.
        end = exchange.began + exchange.elapsed if exchange.status else float("inf")
        answer.is_first = exchange.began >= pool.changed
        pool.changed = max(pool.changed, end)

    def read(self, answer: FactAnswer, subject: ResourceKey, resource: Mapping[str, Any]) -> None:
        """Compare the answer to a patch with what was there, and remember it."""
        exchange, operation = answer.exchange, answer.operation
        pool = self._pools[answer.as_other, str(resource.get("pool_id"))]
        former, known_at = answer.before.get(subject, ({}, float("inf")))
        if known_at <= exchange.began and operation.method == "PATCH":
            patch = request_json(exchange)
            own_names = {*patch, *_WHOLE} if isinstance(patch, dict) else {*_WHOLE}
            for group in _TOGETHER:
                own_names |= group if own_names & group else set()
            names = [name for name in operation.body_fields if name not in own_names]
            self._compare(answer, names, former, resource)
        elif known_at <= exchange.began and moves_pool(operation):
            self._compare(answer, _UNMOVED, former, resource)
        if exchange.began >= pool.changed if reads(operation) else answer.is_first:
            pool.latest[subject] = resource, exchange.began + exchange.elapsed

    def _compare(
        self,
        answer: FactAnswer,
        names: Iterable[str],
        former: Mapping[str, Any],
        resource: Mapping[str, Any],
    ) -> None:
        for name in names:
            if name in former:
                demand = f"{name}, which the request does not name, stays: {show(former[name])}"
                met = same_json(former[name], resource.get(name))
                cause = f"facts.patched|{answer.operation.id}|{name}"
                answer.judge("facts.patched", demand, met, show(resource.get(name)), cause)
