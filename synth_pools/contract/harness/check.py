"""Checks: what a report calls a judgement by, before there is anything that makes it."""

from __future__ import annotations

from dataclasses import dataclass

from synth_pools.contract.document import Document
from synth_pools.contract.results import Clause
from synth_pools.contract.selections import Selection, select


@dataclass(frozen=True, slots=True)
class Check:
    """One check of behaviour.

    Attributes:
        id: Its id in reports, "subject.claim".
        clause: The clause of openapi.yaml that it rests on.
        subjects: The operations that it speaks about: ids, and selections of the document's.
    """

    id: str
    clause: Clause
    subjects: tuple[str | Selection, ...]

    def operations(self, document: Document) -> tuple[str, ...]:
        """Return the ids of the operations that it speaks about."""
        return select(document, *self.subjects)
