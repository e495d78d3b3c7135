"""Outcomes and usage of requests that ended in an earlier run, from its journal."""

from __future__ import annotations

from typing import Any

from synth_pools._client.fleet import journal_errors
from synth_pools._client.fleet.budget import Budget
from synth_pools._client.fleet.journal import OutcomeRecord
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.fleet.outcomes import RolloutOutcome, rollout_error
from synth_pools._client.fleet.prices import Prices
from synth_pools._client.fleet.usage import Usage, usage_of_rollout


def replayed_outcome(
    ending: OutcomeRecord, request: Any, group: int, prices: Prices | None
) -> RolloutOutcome:
    """Return the outcome of a request that has ended in an earlier run."""
    rollout = ending.rollout
    error: Exception | None = None
    if ending.error is not None:
        error = journal_errors.from_json(ending.error)
    elif rollout is not None:
        error = rollout_error(rollout)
    return RolloutOutcome(
        ending.index,
        request,
        rollout,
        error,
        ending.attempt + 1,
        replayed=True,
        group=group,
        spent=_usage_of(ending, request, prices),
    )


def count_earlier(file: JournalFile, budget: Budget, prices: Prices | None) -> None:
    """Count in a budget what the requests of a journal have used.

    Raises:
        JournalError: The journal cannot be read.
    """
    for index in range(file.entries.highest + 1):
        ending = file.ending(index)
        record = file.stopped(index) if ending is None else ending
        if record is not None:
            usage = _usage_of(record, None, prices)
            budget.count(index, usage, is_final=ending is not None)
        admission = file.entries.admission(index)
        # Attempts before that under way.
        if admission and admission.usage and (not record or record.attempt < admission.attempt):
            budget.count(index, admission.usage, is_final=False)


def _usage_of(record: OutcomeRecord, request: Any, prices: Prices | None) -> Usage:
    usage = usage_of_rollout(record.rollout) if record.usage is None else record.usage
    return usage if prices is None else prices.estimated(usage, request, record.rollout)
