"""Clauses lead to their lines in openapi.yaml."""

from __future__ import annotations

import pytest

from synth_pools.contract.clauses.places import Places
from synth_pools.contract.document import specification_text
from synth_pools.contract.fuzzing.checks import CHECKS
from tests.contract.harness.sessions import DOCUMENT

_TEXT = specification_text(None)
_LINES = _TEXT.splitlines()
_PLACES = Places(_TEXT)


def test_every_clause_of_the_kit_has_a_line() -> None:
    sections = {check.clause.section for check in CHECKS.values()}
    sections |= {f"Errors, {operation.route}" for operation in DOCUMENT.operations.values()}
    sections |= {"Authentication", "GET /v1/pools/{pool_id}, Pool.tasks"}
    assert {section for section in sections if _PLACES.line(section) is None} == set()


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("Pages", "    ## Pages"),
        ("Events: resume", "      *Resume.* "),
        ("Rollouts: the two families", "      ## Rollouts: the two families"),
        ("update_pool", "      operationId: update_pool"),
        ("Rollout", "    Rollout:"),
        ("IdempotencyKey", "    IdempotencyKey:"),
        ("GET /v1/pools, Pool", "    Pool:"),
        ("Errors, GET /v1/queue/status", "    get:"),
    ],
)
def test_the_line_says_what_was_looked_for(section: str, text: str) -> None:
    line = _PLACES.line(section)
    assert line is not None
    assert _LINES[line - 1].startswith(text)


def test_another_document_may_have_no_such_place() -> None:
    assert Places("openapi: 3.1.0\npaths: {}\n").line("Pages") is None


def test_only_what_is_below_components_is_one() -> None:
    places = Places(
        "servers:\n  schemas:\n    Pool:\n"
        "components:\n  schemas:\n    Pool:\n  examples:\n    Task:\n"
        "tags:\n  schemas:\n    Rollout:\n"
    )
    assert [places.line(name) for name in ("Pool", "Task", "Rollout")] == [6, None, None]
