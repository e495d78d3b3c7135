"""Answers to the requests of a batch."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools import DecodeError
from synth_pools._client.fleet.batch_answers import read_answers
from synth_pools.errors import APIStatusError

ERROR = {"code": "odd", "message": "no"}


def answers(*items: Any) -> list[Any]:
    return read_answers({"items": list(items)}, [{}] * len(items), "http://x/v1/rollouts", "/v1")


def test_each_is_its_rollout_or_its_error() -> None:
    rollout = {"id": "r", "rollout_id": "r", "status": "queued"}
    rollout_answer, *errors = answers(
        {"rollout": rollout}, {"status": 400, "error": ERROR}, {"status": 599, "error": ERROR}
    )
    assert rollout_answer == rollout
    assert all(isinstance(error, APIStatusError) for error in errors)
    assert [error.status_code for error in errors] == [400, 599]


@pytest.mark.parametrize(
    "item",
    [
        7,
        {},
        # A rollout without an id.
        {"rollout": {"status": "queued"}},
        {"status": 399, "error": ERROR},
        {"status": 600, "error": ERROR},
        {"status": "400", "error": ERROR},
        {"status": 400, "error": "no"},
    ],
)
def test_what_says_neither_is_refused(item: Any) -> None:
    with pytest.raises(DecodeError):
        answers(item)


@pytest.mark.parametrize("document", [None, [], {}, {"items": {}}, {"items": []}])
def test_what_does_not_answer_each_is_refused(document: Any) -> None:
    with pytest.raises(DecodeError, match="asked for 1 rollouts"):
        read_answers(document, [{}], "http://x/v1/rollouts", "/v1")
