"""Answers to the requests of a batch."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools._client.fleet.batch_answers import read_answers
from synth_pools.errors import APIStatusError

ERROR = {"code": "odd", "message": "no"}


def answers(*items: Any) -> list[Any]:
    result, is_exact = read_answers({"items": list(items)}, len(items), "http://x/v1", "/v1")
    assert is_exact == (None not in result)
    return result


def ids(count: int, *items: Any) -> list[Any]:
    """Return the ids of the rollouts for a batch of a number of requests."""
    document = {"items": list(items)}
    result, is_exact = read_answers(document, count, "http://x/v1", "/v1")
    assert is_exact == (None not in result and len(items) == count)
    return [None if value is None else value["id"] for value in result]  # type: ignore[index]


def item(rollout_id: str, **fields: Any) -> dict[str, Any]:
    return {"rollout": {"id": rollout_id, "status": "queued"}, **fields}


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
        {"rollout": {"id": 7, "rollout_id": ""}},
        {"status": 399, "error": ERROR},
        {"status": 600, "error": ERROR},
        {"status": "400", "error": ERROR},
        {"status": 400, "error": "no"},
    ],
)
def test_what_says_neither_is_no_answer(item: Any) -> None:
    assert answers(item) == [None]
    rollout = {"id": "r"}
    assert answers({"rollout": rollout}, item) == [rollout, None]


@pytest.mark.parametrize("document", [None, [], {}, {"items": {}}, {"items": []}])
def test_what_has_no_items_answers_nothing(document: Any) -> None:
    assert read_answers(document, 2, "http://x/v1", "/v1") == ([None, None], False)


def test_an_item_says_whose_it_is() -> None:
    assert ids(3, item("c", index=2), item("a", index=0), item("b", index=1)) == ["a", "b", "c"]
    assert ids(2, item("a"), item("b")) == ["a", "b"]
    assert ids(3, item("c", index=2)) == [None, None, "c"]
    assert ids(2, item("a", index=0), item("b", index=1), item("c", index=2)) == ["a", "b"]


@pytest.mark.parametrize("index", [-1, 2, True, "1", 1.0, None])
def test_what_is_no_place_in_the_batch_is_none(index: Any) -> None:
    assert ids(2, item("a", index=0), item("b", index=index)) == ["a", None]


def test_without_an_index_a_list_of_another_length_says_nothing() -> None:
    assert ids(3, item("a"), item("b")) == [None] * 3
    assert ids(1, item("a"), item("b")) == [None]


def test_what_is_answered_twice_is_not_answered() -> None:
    assert ids(3, item("a", index=0), item("b", index=1), item("c", index=1)) == ["a", None, None]
    assert ids(3, item("a", index=0), item("b", index=1), item("a", index=2)) == [None, "b", None]
