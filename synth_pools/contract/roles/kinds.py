"""Kinds of scenarios, played for every resource that has the roles that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import Scenario
from synth_pools.contract.results import Clause
from synth_pools.contract.roles.reading import alike, etags, ids, pages, ranges, streams
from synth_pools.contract.roles.subject import OPERATION_ROLES, Resource
from synth_pools.contract.roles.views import Subject
from synth_pools.contract.roles.writing import (
    cancels,
    deletes,
    idempotency,
    merges,
    refusals,
    replaces,
)

Kind = Callable[[Context, Subject, Resource], None]


@dataclass(frozen=True, slots=True)
class _Need:
    """Kind with the roles that it needs."""

    play: Kind
    roles: tuple[str, ...]
    alone: bool = False


KINDS = {
    "alike": _Need(alike, ("read",)),
    "cancel": _Need(cancels, ("cancel", "read", "state", "cancelled")),
    "deletion": _Need(deletes, ("delete",)),
    "etags": _Need(etags, ("read",)),
    "idempotency": _Need(idempotency, ("idempotency",)),
    "ids": _Need(ids, ("read",)),
    "merges": _Need(merges, ("change", "merges", "read")),
    "pages": _Need(pages, ("list",)),
    "ranges": _Need(ranges, ("download",)),
    # It counts, so nothing else may be made meanwhile.
    "refusals": _Need(refusals, ("create",), alone=True),
    "replaces": _Need(replaces, ("replace", "body", "read")),
    "streams": _Need(streams, ("events",)),
}


def subject_scenarios(subject: Subject) -> Iterator[Scenario]:
    """Iterate over the scenarios of all kinds for the resources that have their roles."""
    for resource in subject.values():
        for kind, need in KINDS.items():
            if not all(getattr(resource, role) for role in need.roles):
                continue
            judged = (getattr(resource, role) for role in need.roles if role in OPERATION_ROLES)
            clause = Clause(resource.name, (need.play.__doc__ or "").rstrip("."))
            yield Scenario(
                f"{kind}.{resource.name}",
                clause,
                tuple(dict.fromkeys((resource.create, *judged))),
                partial(_play, need.play, subject, resource),
                alone=need.alone,
            )


def _play(play: Kind, subject: Subject, resource: Resource, ctx: Context) -> None:
    play(ctx, subject, resource)
