"""Scenarios: one module per subject, one function per clause of openapi.yaml."""

from __future__ import annotations

import importlib
import pkgutil

from synth_pools.contract.harness.registry import REGISTRY, Scenario
from synth_pools.contract.options import is_within


def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, in a fixed order: by module, then as they stand in it."""
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")
    # Modules that were imported earlier must not change the order.
    return tuple(sorted(REGISTRY.values(), key=lambda one: one.play.__module__))


# Scenarios that take little time and see most of what a commit breaks.
_SMOKE = (
    "service.capabilities", "pools.created", "pools.defaults", "pools.taken_id", "pools.patch",
    "pools.replace", "pools.deleted", "pools.urls", "pools.id_mismatch", "tasks",
    "rollouts", "cancel", "events.order", "events.endings", "pages.pools", "states.seen_alike",
    "states.concurrency", "states.final", "states.pool_deleted", "idempotency", "errors.path",
    "errors.slash", "batch", "replay.again", "validate", "pause.refused", "placement", "races",
    "downloads.content", "outcomes.trouble", "metrics.counts",
)  # fmt: skip


def smoke_scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios for every commit."""
    return tuple(one for one in all_scenarios() if any(is_within(one.id, name) for name in _SMOKE))
