"""Pools of scenarios: their unique names, and the wait until they are active."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import OURS, Session
from tests.contract.harness.sessions import answering, asked, context, session
from tests.support.faults import answer


def _pool(status: str) -> Any:
    return answer({"id": "made", "status": status})


def _made(status: str, pool_id: Any = "made") -> Any:
    return answer({"id": pool_id, "status": status}, 201)


def test_names_are_this_runs_and_each_is_another_one() -> None:
    resources = context(session()).resources
    names = [resources.name(), resources.name("x"), resources.name()]
    assert names == [f"contract-kit-0a1b2c3d-a-b-{tail}" for tail in ("1", "x-2", "3")]
    assert all(OURS.match(name) for name in names)


def test_a_pool_is_registered_and_waited_for_until_it_is_active() -> None:
    pools = [_pool("building"), _pool("active"), _pool("building")]
    with answering({"create_pool": _made("building"), "get_pool": pools}) as (run, server):
        assert context(run).resources.pool("x", capacity=2) == "made"
        (sent,) = (request.json for request in asked(server, "create_pool"))
        assert len(asked(server, "get_pool")) == 2
    assert (sent["pool_id"], sent["name"]) == (run.pool_id("a-b-x-1"),) * 2
    assert sent["capacity"] == 2
    assert run.created.remaining() == (sent["pool_id"], "made")


def test_a_pool_that_is_active_at_once_is_not_asked_for() -> None:
    with answering({"create_pool": _made("active")}) as (run, server):
        resources = context(run).resources
        resources.create_pool({"id": "under its other name"})
        assert asked(server, "get_pool") == []
    assert run.created.remaining() == ("under its other name", "made")


@pytest.mark.parametrize("answered", [_made("active", None), answer({"id": "made"}, 409)])
def test_a_pool_that_is_not_made_ends_the_scenario(answered: Any) -> None:
    with answering({"create_pool": answered}) as (run, _), pytest.raises(StopScenarioError):
        context(run).resources.pool()
    # The pool may exist all the same.
    assert len(run.created.remaining()) == 1


@pytest.mark.parametrize("status", ["failed", "archived", "building"])
def test_a_pool_that_does_not_become_active_shows_nothing(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "allowance", lambda _, seconds: seconds)
    # A failed pool stays failed.
    later = _pool("active") if status != "building" else _pool("building")
    answers = {"create_pool": _made("building"), "get_pool": [_pool(status), later]}
    with answering(answers) as (run, _):
        run.patience = 0.05
        with pytest.raises(InconclusiveError, match=f"the pool was {status} and") as raised:
            context(run).resources.pool()
    assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "create_pool")


def test_a_live_pool_is_on_the_echo_target_or_there_is_none() -> None:
    with answering({"create_pool": _made("active")}) as (run, server):
        resources = context(run).resources
        with pytest.raises(InconclusiveError, match="needs a slow rollout") as info:
            resources.live_pool()
        assert (info.value.outcome, info.value.operation) == (Outcome.NOT_REACHED, "create_rollout")
        run.features = {"echo": True}
        assert resources.live_pool("x", capacity=2) == "made"
        (sent,) = (request.json for request in asked(server, "create_pool"))
    assert (sent["pool_id"], sent["container_url"], sent["capacity"]) == (
        run.pool_id("a-b-x-2"),
        None,
        2,
    )
