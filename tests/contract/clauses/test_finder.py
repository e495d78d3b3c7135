"""A departure shows the sentence that it breaks."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.document import specification_text
from synth_pools.contract.results import Clause, Column, Departure, Layer
from synth_pools.contract.rules.clauses import CLAUSES
from synth_pools.contract.scenarios import all_scenarios
from tests.contract.faults.fault import DOCUMENT

_FINDER = ClauseFinder(specification_text(None), CLAUSES)
_SCENARIOS = {scenario.id: scenario.clause for scenario in all_scenarios()}


def _departure(check: str, operation: str, expected: str, **changed: Any) -> Departure:
    fields: dict[str, Any] = {
        "clause": _SCENARIOS.get(check, Clause()),
        "got": "something else",
        "exchange": None,
        "layer": Layer.SCENARIO,
        "column": Column.BEHAVIOUR,
        **changed,
    }
    return Departure(check=check, operation=operation, expected=expected, **fields)


def _body(operation: str, route: str, schema: str, got: str) -> Departure:
    clause = Clause(route, f"200 has a body of the schema {schema}")
    return _departure("schema.body", operation, schema, clause=clause, got=got)


@pytest.mark.parametrize(
    ("departure", "sentence"),
    [
        (
            _departure("pages.moving", "list_pools", "every item comes"),
            "Every item that existed when the first page was read",
        ),
        (
            _departure("pools.taken_id", "create_pool", "409", about="pool_exists"),
            "Returns 409 `pool_exists` if the id is taken.",
        ),
        (
            _departure("values.limits", "create_rollout", "422", about="pool_archived"),
            "`pool_archived` | 409 |",
        ),
        (
            _departure("pools.deleted", "get_pool", "archived_at", about="archived_at"),
            "When it was archived, in UTC;",
        ),
        (
            _departure("schema.code", "get_pool", "404 with the code pool_not_found"),
            "Returns 404 `pool_not_found` if it does not exist.",
        ),
        (
            _body("get_rollout_summary", "GET /v1", "RolloutSummary", 'reward: "x" is no number'),
            "The rollout's `metrics.outcome_reward`.",
        ),
        (
            _body("list_pools", "GET /v1", "PoolList", 'items/0: "name" is a required property'),
            "A name for people.",
        ),
        (
            _body("get_rollout_summary", "GET /v1", "RolloutSummary", "the whole: 1 is no object"),
            "A rollout in short.",
        ),
        (
            _departure(
                "agree.id",
                "get_task",
                "x",
                clause=Clause("GET /v1, Task", "id and task_id carry the same value"),
            ),
            "The id of the task, the same value as `id`",
        ),
        (_departure("echo.name", "create_pool", "x"), "Creates a pool with the tasks of `tasks`"),
    ],
)
def test_a_departure_breaks_one_sentence(departure: Departure, sentence: str) -> None:
    (lines,) = _FINDER.find([departure]).values()
    assert [line.text for line in lines if line.text.startswith(sentence)], lines
    assert len(lines) == 1


def test_a_clause_of_its_own_goes_before_that_of_the_scenario() -> None:
    explicit = Clause(ids="Identifiers#252e")
    (broken,) = _FINDER.broken(_departure("pages.moving", "get_pool", "404", clause=explicit))
    assert broken.text == "An unknown id is 404."


def test_every_scenario_has_a_sentence_for_each_of_its_operations() -> None:
    for scenario in all_scenarios():
        for operation in scenario.operations(DOCUMENT):
            (broken,) = _FINDER.broken(_departure(scenario.id, operation, "x"))
            only = len(_FINDER.index.resolve(scenario.clause.ids)) == 1
            assert only or _FINDER.is_near(broken, operation), (scenario.id, operation, broken.id)
