"""Answers of containers, as far down as they are looked at."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.backend.containers.answers import _sequence
from synth_pools.backend.domain.validation import cut


@pytest.mark.parametrize(
    ("value", "outline"),
    [
        ({"a": {"b": 1}, "c": "x"}, {"a": {"b": 1}, "c": "x"}),
        ({"a": {"b": {"c": 1}, "d": [1]}}, {"a": {"b": {}, "d": []}}),
        ([[[1]], 2], [[[]], 2]),
    ],
)
def test_what_is_further_down_is_left_out(value: Any, outline: Any) -> None:
    assert cut(value, 2) == outline


@pytest.mark.parametrize(
    ("sequence", "place"),
    [(0, 0), (7, 7), (2**63 - 1, 2**63 - 1), (2**63, -1), (True, -1), ("7", -1), (None, -1)],
)
def test_the_place_of_an_event_is_one_that_can_be_stored(sequence: Any, place: int) -> None:
    assert _sequence({"sequence": sequence}) == place
