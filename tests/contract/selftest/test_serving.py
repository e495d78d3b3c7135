"""Correct backends that are served unusually or slowly: none departs."""

from __future__ import annotations

import pytest

from tests.contract.selftest.serving import SLOW_WAYS, STORE_WAYS, STRANGE_WAYS, WAYS, try_way

# Ways that also concern generated requests; elsewhere scenarios are enough.
_WHOLE = ("processes and small limits",)
# Ways contained in others: processes in the one above, limits that no other run reaches.
_COVERED = ("processes allowed",)


@pytest.mark.system
@pytest.mark.timeout(900)
# `make contract-selftest` tries all of them.
@pytest.mark.parametrize(
    "way", [way for way in WAYS if way not in (*SLOW_WAYS, *STORE_WAYS, *STRANGE_WAYS, *_COVERED)]
)
def test_a_correct_backend_conforms(way: str) -> None:
    tried = try_way(way, 1, () if way in _WHOLE else ("schema", "client", "model"))
    assert tried.exit_code == 0, tried.details
