"""Scenarios and their registry.

A scenario is a function of a `Context` that speaks about some operations. It states expectations
and never asserts: one that is not met becomes a departure, which names the operation and the
request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.results import Clause
from synth_pools.contract.selections import Selection

Play = Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class Scenario(Check):
    """Check that a function plays.

    Attributes:
        play: The function that judges the operations.
        needs: The preconditions, of which the first that is not met is told: "live" (rollouts that
            last as long as is wanted), "containers" (stub containers of the kit), "other_key" or
            "restart" (the options), or a feature of the server.
        reads_only: Whether it changes nothing, so that a read-only run can play it.
        slow: Whether it waits for a clock, so that it runs along with the layers after it.
        alone: Whether it must run when no other scenario does.
        smoke: Whether it is one of those that are played for every commit.
    """

    play: Play
    needs: tuple[str, ...] = ()
    reads_only: bool = False
    slow: bool = False
    alone: bool = False
    smoke: bool = False


REGISTRY: dict[str, Scenario] = {}


def scenario(
    id: str,  # noqa: A002 - that is its name in every report
    *operations: str | Selection,
    clauses: str = "",
    needs: str | tuple[str, ...] = (),
    reads_only: bool = False,
    slow: bool = False,
    alone: bool = False,
) -> Callable[[Play], Play]:
    """Register the decorated function as a scenario.

    Args:
        id: The id of the scenario.
        *operations: The operations that it speaks about: ids, and selections of the document's,
            which name the operations that it gets later, too. Without `clauses`, a section of
            openapi.yaml and a demand in words stand before them.
        clauses: The ids of the sentences that it judges, the main one first, as in
            "Pages#94c3#c09d, PoolList.items#c4e8".
        needs: See `Scenario`; one of them by itself.
        reads_only: See `Scenario`.
        slow: See `Scenario`.
        alone: See `Scenario`.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        ValueError: Another scenario has the id, or it names no clause.
    """
    clause = Clause(ids=clauses)
    if not clauses:
        if len(operations) < 3:
            raise ValueError(f"{id} names no clause: write clauses=, or a section and a demand")
        section, demand = map(str, operations[:2])
        clause, operations = Clause(section, demand), operations[2:]

    def register(play: Play) -> Play:
        if id in REGISTRY:
            raise ValueError(f"two scenarios are called {id}")
        all_needs = (needs,) if isinstance(needs, str) else needs
        REGISTRY[id] = Scenario(id, clause, operations, play, all_needs, reads_only, slow, alone)
        return play

    return register
