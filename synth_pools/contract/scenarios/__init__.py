"""Scenarios: one module per subject, one function per clause of openapi.yaml."""

from __future__ import annotations

import importlib
import pkgutil

from synth_pools.contract.harness.registry import REGISTRY, Scenario


def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, in a fixed order: by module, then as they stand in it."""
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")
    # Modules that were imported earlier must not change the order.
    return tuple(sorted(REGISTRY.values(), key=lambda one: one.play.__module__))
