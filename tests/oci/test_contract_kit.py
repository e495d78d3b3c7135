"""The contract kit on pools of images, on a real engine: no false alarm, and faults are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.results import Outcome, Report
from tests.contract.faults.fault import Altering, Fault, answers, status_becomes
from tests.contract.faults.proxy import FaultProxy
from tests.support.backend_server import KEY, Server
from tests.support.oci import EngineUnderTest

Small = Callable[..., dict[str, Any]]
_RELEASES = ("create_image_release", "get_image_release", "delete_image_release")


def judged(server: Server, image: dict[str, Any] | None, fault: Fault | None = None) -> Report:
    """Check a backend that starts images, with the scenarios for images."""
    with FaultProxy(server.url, fault, KEY) as proxy:
        only = ("pool_images", "images")
        return run_contract(proxy.url, api_key=KEY, seed=1, image=image, only=only)


@pytest.mark.timeout(600)
def test_pools_of_an_image_keep_the_contract(
    small: Small, allowing: Server, engine: EngineUnderTest
) -> None:
    report = judged(allowing, small())
    assert report.exit_code == 0, [(group.first.check, group.first.got) for group in report.groups]
    holder = {
        (outcome.check, outcome.operation)
        for outcome in report.outcomes
        if outcome.outcome is Outcome.HELD
    }
    assert {
        ("pool_images.started", "get_pool_metrics"),
        ("pool_images.started", "create_rollout"),
        ("pool_images.started", "delete_pool"),
        ("pool_images.unavailable", "get_pool"),
        *(("images.lifecycle", name) for name in _RELEASES),
        *(
            ("images.bound", f"{verb}{task}_image_release")
            for verb in ("bind", "unbind")
            for task in ("", "_task")
        ),
        ("images.unavailable", "create_image_release"),
    } <= holder


@pytest.mark.timeout(600)
def test_without_an_image_it_says_what_to_give(allowing: Server, engine: EngineUnderTest) -> None:
    report = judged(allowing, None)
    notes = {outcome.note for outcome in report.outcomes if outcome.check == "pool_images.started"}
    assert notes == {"needs --image, with an image whose containers serve rollouts"}


def _code_becomes(value: Any) -> Any:
    error = value.get("error")
    return {**value, "error": {**error, "code": "process_not_healthy"}} if error else value


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("check", "operation", "after"),
    [
        ("pool_images.unavailable", "get_pool", answers(_code_becomes)),
        ("images.bound", "delete_image_release", status_becomes(409, 200)),
        (
            "pool_images.started",
            "get_pool_metrics",
            answers(
                lambda value: {
                    **value,
                    "containers": [
                        {**container, "launcher": "local"} for container in value["containers"]
                    ],
                }
            ),
        ),
    ],
)
def test_its_faults_are_seen(
    check: str,
    operation: str,
    after: Altering,
    small: Small,
    allowing: Server,
    engine: EngineUnderTest,
) -> None:
    fault = Fault("images", "images", (operation,), (operation,), after=after)
    report = judged(allowing, small(), fault)
    assert report.exit_code == 1, report.summary
    assert {(group.first.check, group.first.operation) for group in report.groups} == {
        (check, operation)
    }
