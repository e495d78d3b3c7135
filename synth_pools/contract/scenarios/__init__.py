"""Scenarios: one module or folder for each subject, which is the first word of the ids."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.harness.registry import REGISTRY, Scenario
from synth_pools.contract.options import is_within


def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, ordered by module and by place in the module."""
    for module in sorted(
        module.name for module in pkgutil.walk_packages(__path__, prefix=f"{__name__}.")
    ):
        importlib.import_module(module)
    # Modules that were imported earlier must not change the order.
    return tuple(sorted(REGISTRY.values(), key=lambda scenario: scenario.play.__module__))


def load_scenarios(files: Iterable[Path]) -> None:
    """Load scenarios from files and from installed packages.

    A package names a module with scenarios as an entry point of the group
    `synth_pools.contract_scenarios`.

    Raises:
        UnjudgeableError: One of them cannot be loaded.
    """
    loaders: list[tuple[str, Callable[[], object]]] = [
        (point.value, point.load) for point in entry_points(group=_GROUP)
    ]
    loaders += [(str(file), partial(_run_file, file.absolute())) for file in files]
    for name, load in loaders:
        try:
            load()
        except Exception as error:  # noqa: BLE001 - somebody else's code
            line = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UnjudgeableError(f"the scenarios of {name} cannot be loaded: {line}") from None


def _run_file(file: Path) -> None:
    name = f"contract_scenarios_of_{file}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


_GROUP = "synth_pools.contract_scenarios"
# Quick scenarios that find most faults of a commit.
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
    return tuple(
        scenario
        for scenario in all_scenarios()
        if any(is_within(scenario.id, name) for name in _SMOKE)
    )
