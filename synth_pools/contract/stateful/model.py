"""Model of the backend: pools, tasks and rollouts in the simplest form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import dictionaries, lists

from synth_pools.contract.harness.waits import Rollout
from synth_pools.contract.http.client import at
from synth_pools.contract.rules.verdict import same_json

_leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "ü🌍"])
_names = st.sampled_from("abc")
objects = st.dictionaries(
    _names,
    st.recursive(
        _leaves,
        # Imported by name, since hypothesis searches all modules for the name of one.
        lambda inner: lists(inner, max_size=2) | dictionaries(_names, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)
picks = st.integers(0, 5)


@dataclass(slots=True)
class PoolModel:
    """A pool as it should be."""

    id: str
    fields: dict[str, Any]
    archived: bool = False
    paused: bool = False
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    rollouts: list[RolloutModel] = field(default_factory=list)

    @property
    def shown_as(self) -> str | None:
        """The status that it must have; None if any status of a usable pool is right."""
        if self.archived:
            return "archived"
        return "paused" if self.paused else None


@dataclass(slots=True)
class RolloutModel:
    """A rollout as it should be; `status` is "open" until it has ended."""

    rollout: Rollout
    request: dict[str, Any]
    status: str


def merge(target: Any, patch: Any) -> Any:
    """Merge a JSON patch into a value according to RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def configs(tasks: Any) -> dict[str, Any]:
    """Return the configurations of tasks by id."""
    items = tasks if isinstance(tasks, list) else []
    return {str(at(task, "task_id")): at(task, "task_config") for task in items}


def matches(model: RolloutModel, view: Any) -> bool:
    """Return True if a view of a rollout agrees with its model."""
    status = at(view, "status")
    in_state = status in ("queued", "running") if model.status == "open" else status == model.status
    return in_state and same_json(model.request, at(view, "request"))
