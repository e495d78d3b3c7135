"""Correct backends that are served in an unusual way, or slowly: none of them departs."""

from __future__ import annotations

import pytest

from tests.contract.selftest.serving import SLOW_WAYS, STRANGE_WAYS, WAYS, try_way

# Where generated requests meet what is served in another way; elsewhere scenarios are enough.
_WHOLE = ("processes and small limits",)
# In others there is all of it: processes in that one, limits that nobody meets in the rest.
_COVERED = ("processes allowed",)


@pytest.mark.system
@pytest.mark.timeout(900)
# `make contract-selftest` has the patience for all of them.
@pytest.mark.parametrize(
    "way", [way for way in WAYS if way not in (*SLOW_WAYS, *STRANGE_WAYS, *_COVERED)]
)
def test_a_correct_backend_conforms(way: str) -> None:
    tried = try_way(way, 1, () if way in _WHOLE else ("schema", "client", "model"))
    assert tried.exit_code == 0, tried.said
