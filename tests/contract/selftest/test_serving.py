"""Correct backends that are served in an unusual way, or slowly: none of them departs."""

from __future__ import annotations

import pytest

from synth_pools.contract import run_contract
from tests.contract.selftest.serving import WAYS
from tests.contract.selftest.watched import KEY


@pytest.mark.system
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
def test_a_correct_backend_conforms(way: str) -> None:
    # Behind a slow line the generated requests would take an hour, and wait for nothing.
    slow = ("schema", "model", "client") if way.endswith("a request") else ()
    with WAYS[way]() as url:
        report = run_contract(url, api_key=KEY, seed=1, profile="quick", skip=slow)
    told = [f"{group.first.check}: {group.first.got}" for group in report.groups]
    assert (told, report.obstacles, report.exit_code) == ([], (), 0)
