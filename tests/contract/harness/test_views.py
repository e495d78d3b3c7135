"""Views: a resource as each operation shows it, and how far a list is searched for it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.views import in_list, of_pool, of_rollout, of_task, readers
from synth_pools.contract.harness.waits import Rollout
from synth_pools.contract.http.client import ABSENT
from synth_pools.contract.results import Outcome
from tests.contract.harness.sessions import answering, asked, context
from tests.support.faults import answer


def _items(*items: Any, after: str | None = None) -> Any:
    return answer({"items": list(items), "next_cursor": after})


def _thing(name: str, second: int = 0) -> dict[str, Any]:
    return {"id": name, "created_at": f"2026-11-20T09:30:{second:02}Z"}


def test_a_pool_a_task_and_a_rollout_as_each_operation_shows_them() -> None:
    pool, rollout = {**_thing("p"), "tasks": [{"id": "t", "x": 1}]}, _thing("r", 5)
    answers = {
        "get_pool": answer(pool),
        "list_pools": _items(_thing("o"), _thing("p")),
        "list_tasks": _items({"id": "o"}, {"id": "t", "x": 2}),
        "get_rollout": answer(rollout),
        "get_global_rollout": answer({**rollout, "odd": 1}),
        "list_rollouts": _items(_thing("o", 9), rollout),
        "list_global_rollouts": _items(_thing("o", 9), _thing("old", 1), after="1"),
    }
    with answering(answers) as (run, server):
        ctx = context(run)
        assert [(name, view) for name, view, _ in of_pool(ctx, "p")] == [
            ("get_pool", pool),
            ("list_pools", _thing("p")),
        ]
        of_pool(ctx, "p", "paused")
        assert [sent.query.get("state") for sent in asked(server, "list_pools")] == [None, "paused"]
        assert [(name, view) for name, view, _ in of_task(ctx, "p", "t")] == [
            ("list_tasks", {"id": "t", "x": 2}),
            ("get_pool", {"id": "t", "x": 1}),
        ]
        assert readers(ctx, Rollout("p", "r"), "RolloutUsage") == (
            ("get_rollout_usage", {"pool_id": "p", "rollout_id": "r"}),
            ("get_global_rollout_usage", {"rollout_id": "r"}),
        )
        views = of_rollout(ctx, Rollout("p", "r"))
        assert [(name, view) for name, view, _ in views] == [
            ("get_rollout", rollout),
            ("get_global_rollout", {**rollout, "odd": 1}),
            ("list_rollouts", rollout),
            ("list_global_rollouts", ABSENT),
        ]
        # The page has an older item.
        assert len(asked(server, "list_global_rollouts")) == 1
        for name, _, response in views:
            assert response.exchange.operation == name


def _looked_for(pages: list[Any], since: str | None) -> tuple[Any, int]:
    with answering({"list_pools": pages}) as (run, server):
        _, view, _ = in_list(context(run), "list_pools", {}, {}, "p", since)
        return view, len(asked(server, "list_pools"))


def test_it_is_not_looked_for_among_older_ones() -> None:
    # An older item in the middle tells nothing: several are created at the same time.
    pages = [
        _items(_thing("a", 9), _thing("b", 3), _thing("c", 5), after="1"),
        _items(_thing("d", 5), _thing("e", 4), after="2"),
        _items(_thing("p", 5)),
    ]
    assert _looked_for(pages[:], "2026-11-20T09:30:05Z") == (ABSENT, 2)
    assert _looked_for(pages[:], "2026-11-20T09:30:04Z") == (_thing("p", 5), 3)
    assert _looked_for(pages[:], None) == (_thing("p", 5), 3)
    assert _looked_for([_items(_thing("p", 5), after="1"), *pages], None) == (_thing("p", 5), 1)
    assert _looked_for([_items(after="0"), *pages], None) == (_thing("p", 5), 4)


def test_nothing_is_said_of_one_that_so_many_came_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module(in_list.__module__), "_MOST_PAGES", 2)
    pages = [_items(_thing(name, 9), after=name) for name in "abc"]
    with pytest.raises(InconclusiveError, match="not among the newest 2") as raised:
        _looked_for([*pages, _items(_thing("p"))], None)
    assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "list_pools")
