"""Ids of tasks, from the names that frameworks have for them."""

from __future__ import annotations

import pytest

from synth_pools.environments.adapter import with_task_ids


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["s1", 2, "HumanEval/3"], ["s1", "2", "HumanEval-3"]),
        # Two of the same id, an optional one, and one that has nothing of an id.
        (["a/b", "a b"], ["0", "1"]),
        ([None, "b"], ["0", "1"]),
        (["..", "b"], ["0", "1"]),
        (["x" * 200], ["x" * 128]),
        ([], []),
    ],
)
def test_names_become_ids_that_a_pool_takes(names: list[object], ids: list[str]) -> None:
    assert with_task_ids(names, names) == dict(zip(ids, names, strict=True))
