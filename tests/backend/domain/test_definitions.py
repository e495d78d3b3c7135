"""Tasks in the body of a pool, and errors of requests."""

from __future__ import annotations

import pytest

from synth_pools.backend.domain.definitions import named_tasks
from synth_pools.backend.domain.errors import ApiError


def test_two_tasks_of_one_name_are_refused() -> None:
    with pytest.raises(ApiError) as caught:
        named_tasks([{"task_id": "a"}, {"task_id": "b"}, {"id": "a"}])
    assert (caught.value.status, caught.value.code) == (409, "task_exists")
    # As a traceback in the log shows it.
    assert str(caught.value) == caught.value.message


def test_tasks_without_a_name_are_as_many_as_there_are() -> None:
    assert [name for name, _ in named_tasks([{}, {}, {"task_id": "a"}])] == [None, None, "a"]
