"""Scenarios and their registry.

A scenario is a function of a `Context` that judges some operations. It states expectations and
never asserts: an expectation that is not met becomes a departure, which names the operation and
the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.document import Document, read_specification, specification_text
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.results import Clause
from synth_pools.contract.selections import Selection

# Begins the need of a server that says that it lacks a feature.
WITHOUT = "without "

Play = Callable[[Context], None]


@dataclass(frozen=True, slots=True)
class Scenario(Check):
    """Check that a function carries out.

    Attributes:
        play: The function that judges the operations.
        needs: The preconditions: "live" (rollouts of a chosen duration), "containers" (stub
            containers of the kit), "other_key" or "restart" (the options), a feature of the server,
            or `WITHOUT` and a feature that it lacks. The first unmet one is reported.
        reads_only: Whether it changes nothing, so that a read-only run can include it.
        slow: Whether it waits for time to pass, so that it runs alongside the later layers.
        alone: Whether no other scenario may run meanwhile.
        smoke: Whether it belongs to the profile "smoke".
    """

    play: Play
    needs: tuple[str, ...] = ()
    reads_only: bool = False
    slow: bool = False
    alone: bool = False
    smoke: bool = False


# The id, the clause and the operations of a check.
ListedCheck = tuple[str, Clause, tuple[str, ...]]


def listed_scenarios(
    scenarios: Iterable[Scenario], clauses: Mapping[str, str], name: str = "openapi.yaml"
) -> list[ListedCheck]:
    """Return scenarios as they are listed, by one of the documents of this package.

    Args:
        scenarios: The scenarios.
        clauses: The clauses that rules judge.
        name: The name of the document's file.
    """
    clause_of = ClauseFinder(specification_text(None, name), clauses).clause
    document = Document(read_specification(None, name))
    return [(item.id, clause_of(item.clause), item.operations(document)) for item in scenarios]


REGISTRY: dict[str, Scenario] = {}


def scenario(
    id: str,  # noqa: A002 - the name in every report
    *operations: str | Selection,
    clauses: str = "",
    needs: str | tuple[str, ...] = (),
    reads_only: bool = False,
    slow: bool = False,
    alone: bool = False,
    registry: dict[str, Scenario] = REGISTRY,
) -> Callable[[Play], Play]:
    """Register the decorated function as a scenario.

    Args:
        id: The id of the scenario.
        *operations: The operations that it judges: ids, and selections, which include operations
            that the document gets later. Without `clauses`, a section of openapi.yaml and a demand
            in words come first.
        clauses: The ids of the sentences that it judges, the main one first, as in
            "Pages#94c3#c09d, PoolList.items#c4e8".
        needs: See `Scenario`; a single one may be a string.
        reads_only: See `Scenario`.
        slow: See `Scenario`.
        alone: See `Scenario`.
        registry: The scenarios to which it is added.

    Returns:
        A decorator that returns the function unchanged.

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
        if id in registry:
            raise ValueError(f"two scenarios are called {id}")
        all_needs = (needs,) if isinstance(needs, str) else needs
        registry[id] = Scenario(id, clause, operations, play, all_needs, reads_only, slow, alone)
        return play

    return register
