"""Exceptions of the contract kit."""

from __future__ import annotations

from synth_pools.contract.results import NEEDS, Outcome, Report


class UnjudgeableError(Exception):
    """The backend cannot be judged; the message tells the reason and the remedy, in one line."""


class MissingOperationError(KeyError):
    """The backend lacks an operation that is needed.

    Attributes:
        operation: The operation's id.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation

    def __str__(self) -> str:
        return f"{NEEDS}{self.operation}"


class InterruptedRunError(KeyboardInterrupt):
    """The run was interrupted.

    Attributes:
        report: The results until then.
    """

    def __init__(self, report: Report) -> None:
        super().__init__("interrupted")
        self.report = report


class UnreachableError(Exception):
    """No server answers at the address."""


class BusyError(Exception):
    """The server answers 429 or 503 for longer than the kit waits."""


class StoppedError(Exception):
    """The run was asked to stop."""


class StopScenarioError(Exception):
    """An expectation that the rest of the scenario builds on was not met; it is recorded."""


class InconclusiveError(Exception):
    """An operation could not be judged.

    Attributes:
        outcome: NOT_OFFERED or NOT_REACHED.
        operation: The operation's id.
        note: The reason, in one line.
    """

    def __init__(self, outcome: Outcome, operation: str, note: str) -> None:
        super().__init__(note)
        self.outcome = outcome
        self.operation = operation
        self.note = note
