"""Rows of queries beside what other operations answer."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.scenarios.queries import is_same_value

_TIME = "2026-11-30T12:00:00.123456Z"


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (_TIME, "2026-11-30T12:00:00.123456Z", True),
        (_TIME, "2026-11-30 12:00:00.123", True),
        (_TIME, "2026-11-30 12:00:00.123456 UTC", True),
        (_TIME, "2026-11-30 12:00:00.123456+00", True),
        (_TIME, "2026-11-30T12:00:00Z", True),
        ("2026-11-30T12:00:00.100000Z", "2026-11-30 12:00:00.1", True),
        (_TIME, "2026-11-30 12:00:00.133", False),
        (_TIME, "2026-11-30 13:00:00.123456", False),
        (_TIME, None, False),
        (_TIME, "today", False),
        (None, None, True),
        (None, "2026-11-30 12:00:00", False),
    ],
)
def test_a_time_has_several_texts(expected: Any, actual: Any, same: bool) -> None:
    assert is_same_value("started_at", expected, actual) is same
