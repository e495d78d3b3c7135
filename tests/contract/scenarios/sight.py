"""Single scenarios against a backend with a fault, and what they have to see of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.results import Report
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import Fault
from tests.contract.faults.proxy import FaultProxy

KEY = "sight-key-0123456789"

# The scenario that is for a fault, the operation that the fault is in, and what it does.
Planted = tuple[str, str, dict[str, Any]]


def judged(backend: LocalBackend, fault: Fault | None, *only: str) -> Report:
    """Judge a backend with a fault by some scenarios alone."""
    with FaultProxy(backend.url, fault, KEY) as proxy:
        return run_contract(
            proxy.url, api_key=KEY, seed=1, profile="quick", only=only, skip=("schema",)
        )


def judged_right(backend: LocalBackend, *only: str) -> Report:
    """Judge a backend without a fault, in which nothing may be seen."""
    report = judged(backend, None, *only)
    assert report.exit_code == 0, [(one.first.check, one.first.got) for one in report.groups]
    return report


def each(faults: Sequence[Planted]) -> pytest.MarkDecorator:
    """Run a test for each fault."""
    return pytest.mark.parametrize(
        ("scenario", "operation", "how"),
        faults,
        ids=[f"{number}-{scenario}-{name}" for number, (scenario, name, _) in enumerate(faults)],
    )


def seen(
    backend: LocalBackend, scenario: str, operation: str, how: dict[str, Any]
) -> tuple[Report, set[str]]:
    """Judge a backend with a fault, which its scenario sees.

    Returns:
        The report, and the operations that it names.
    """
    fault = Fault("sight", "sight", (operation,), (operation,), **how)
    report = judged(backend, fault, scenario)
    assert report.exit_code == 1, report.summary
    assert {group.first.check for group in report.groups} >= {scenario}
    return report, {name for group in report.groups for name in group.operations}
