"""Checks: what a report calls a judgement by, before there is anything that makes it."""

from __future__ import annotations

from dataclasses import dataclass

from synth_pools.contract.results import Clause


@dataclass(frozen=True, slots=True)
class Check:
    """One check of behaviour.

    Attributes:
        id: Its id in reports, "subject.claim".
        clause: The clause of openapi.yaml that it rests on.
        operations: The operations that it speaks about, by their ids.
    """

    id: str
    clause: Clause
    operations: tuple[str, ...]
