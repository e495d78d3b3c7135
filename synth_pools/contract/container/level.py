"""Levels of the checks of a container, and the registry of their scenarios."""

from __future__ import annotations

import importlib
from enum import StrEnum
from functools import partial

from synth_pools.contract.harness import registry
from synth_pools.contract.harness.registry import Scenario


class CheckLevel(StrEnum):
    """Levels in their order; the first word of a check's id."""

    ANSWERS = "answers"
    PROTOCOL = "protocol"
    ROLLOUTS = "rollouts"
    LOAD = "load"


_SCENARIOS: dict[str, Scenario] = {}
scenario = partial(registry.scenario, registry=_SCENARIOS)

# The sentences that rules judge, as `rules.clauses` has them for openapi.yaml.
CLAUSES = {
    "preflight.contact": "info#6df2",
    "schema": """
        get_info#90f9, RolloutState#e237, KnownRollout#7430, Health.healthy#689d, EventPage#9925
    """,
}


def container_scenarios() -> tuple[Scenario, ...]:
    """Return all scenarios of containers, by level and by place in the module."""
    for level in CheckLevel:
        importlib.import_module(f"synth_pools.contract.container.{level}")
    items = _SCENARIOS.values()
    return tuple(item for level in CheckLevel for item in items if level_of(item.id) is level)


def level_of(check: str) -> CheckLevel:
    """Return the level of a scenario's id."""
    return CheckLevel(check.partition(".")[0])
