"""Correct backends that are served in an unusual way, or slowly: none of them departs."""

from __future__ import annotations

import pytest

from tests.contract.selftest.serving import SLOW_WAYS, STRANGE_WAYS, WAYS, try_way


@pytest.mark.system
@pytest.mark.timeout(600)
# `make contract-selftest` has the patience for all of them.
@pytest.mark.parametrize("way", [way for way in WAYS if way not in (*SLOW_WAYS, *STRANGE_WAYS)])
def test_a_correct_backend_conforms(way: str) -> None:
    _, exit_code, _, said = try_way(way, seed=1)
    assert exit_code == 0, said
