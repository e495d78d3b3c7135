"""Ways in which a fleet ends before its requests do."""

from __future__ import annotations

from typing import Any

from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.options import FleetOptions
from synth_pools._client.fleet.outcomes import RolloutOutcome
from synth_pools.errors import BudgetReachedError, FleetStoppedError


def budget_error(
    reached: str | None, options: FleetOptions, count: int
) -> BudgetReachedError | None:
    """Return the error of a fleet that left requests at its budget; None if it left none."""
    if reached is None:
        return None
    text = f"the budget {reached} is reached"
    if spent := options.budget.spent():
        text += f": {spent} were spent"
    if options.journal_path is not None:
        text += "; with its journal the fleet goes on once the budget is raised"
    return BudgetReachedError(text, index=count, reason=None)


def stopped(why: str, outcome: RolloutOutcome) -> FleetStoppedError:
    """Return the error of a fleet that one outcome has stopped."""
    reason = outcome.error if outcome.rollout is None else f"the rollout is {outcome.status}"
    return FleetStoppedError(
        f"the fleet stopped at its request {outcome.index} ({why}): {reason}",
        index=outcome.index,
        reason=outcome.error,
    )


def may_pass(error: Exception | None) -> bool:
    """Return True for an error of the service that may pass with time."""
    return error is not None and classify_error(error)[0] not in (
        ErrorCategory.PERMANENT,
        ErrorCategory.SERVER_ERROR,
    )


def request_count(requests: Any, options: FleetOptions) -> int | None:
    """Return the number of requests; None if it is unknown."""
    if options.total is not None:
        return options.total * options.repeats
    try:
        return len(requests) * options.repeats
    except TypeError:
        return None
