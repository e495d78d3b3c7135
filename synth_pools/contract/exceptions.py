"""How a scenario stops before its end."""

from __future__ import annotations

from synth_pools.contract.results import Outcome


class EndScenario(Exception):  # noqa: N818 - an end, not an error
    """What follows rests on something that was not so, and has been told."""


class LackError(Exception):
    """An operation could not be judged."""

    def __init__(self, outcome: Outcome, operation: str, note: str) -> None:
        super().__init__(note)
        self.outcome = outcome
        self.operation = operation
        self.note = note
