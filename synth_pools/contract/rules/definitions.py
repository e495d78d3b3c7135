"""Rule for patches: what the body does not name stays as it was before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.contract.rules.listings import FactAnswer, ResourceKey
from synth_pools.contract.rules.verdict import request_json, same_json, show
from synth_pools.contract.selections import reads

# Fields of which one may follow from another one.
_TOGETHER = (
    {"metadata", "pool_metadata"},
    {"config", "pool_config", "target", "backend", "capacity", "concurrency"}
    | {"container_url", "container_urls"},
)
_WHOLE = frozenset({"id", "pool_id", "task_id", "tasks"})


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
        if operation.method == "PATCH" and known_at <= exchange.began:
            patch = request_json(exchange)
            self._compare(answer, patch if isinstance(patch, dict) else {}, former, resource)
        if exchange.began >= pool.changed if reads(operation) else answer.is_first:
            pool.latest[subject] = resource, exchange.began + exchange.elapsed

    def _compare(
        self,
        answer: FactAnswer,
        patch: Mapping[str, Any],
        former: Mapping[str, Any],
        resource: Mapping[str, Any],
    ) -> None:
        own_names = {*patch, *_WHOLE}
        for group in _TOGETHER:
            own_names |= group if own_names & group else set()
        for name in answer.operation.body_fields:
            if name in former and name not in own_names:
                demand = f"{name}, which the patch does not name, stays: {show(former[name])}"
                met = same_json(former[name], resource.get(name))
                cause = f"facts.patched|{answer.operation.id}|{name}"
                answer.judge("facts.patched", demand, met, show(resource.get(name)), cause)
