"""Errors that keep the engine of generated requests from judging, and how a run reports them."""

from __future__ import annotations

import pytest

from synth_pools.contract.fuzzing import runner
from synth_pools.contract.fuzzing.engine import TIME_IS_UP, EngineProblem
from synth_pools.contract.fuzzing.targeting import RequestTarget, RequestTargeting, RequestTargets
from synth_pools.contract.results import LayerResult, Outcome
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import session

TARGETS = RequestTargets(*(RequestTarget(pool) for pool in ("read", "pools", "tasks", "archived")))


def drive(monkeypatch: pytest.MonkeyPatch, *problems: EngineProblem) -> tuple[LayerResult, Session]:
    monkeypatch.setattr(runner, "run_in_process", lambda *_, **__: iter(problems))
    targeting = RequestTargeting("mark", TARGETS, frozenset())
    monkeypatch.setattr(runner, "make_targeting", lambda _: targeting)
    run = session()
    return runner.run_fuzzing(run), run


def test_the_first_problem_of_no_operation_is_the_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [EngineProblem(None, text, network=False) for text in ("one", TIME_IS_UP, "other")]
    result, _ = drive(monkeypatch, *problems)
    assert result == LayerResult(
        obstacle="generated requests: one", note=f"generated requests: {TIME_IS_UP}"
    )


def test_one_of_an_operation_leaves_that_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    result, run = drive(monkeypatch, EngineProblem("get_pool", "no such example", network=False))
    assert result == LayerResult()
    outcomes = [cell for cell in run.collector.result().outcomes if cell.operation == "get_pool"]
    assert [(cell.outcome, cell.note) for cell in outcomes] == [
        (Outcome.NOT_REACHED, "no such example")
    ]
