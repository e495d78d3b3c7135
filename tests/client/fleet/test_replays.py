"""Usage of requests that a journal says of, in the budget of the run that goes on with it."""

from __future__ import annotations

from pathlib import Path

from synth_pools._client.fleet.budget import Budget
from synth_pools._client.fleet.journal import AdmissionRecord, OutcomeRecord
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.fleet.replays import count_earlier
from synth_pools._client.fleet.usage import Usage

HERE = ("pool", "http://127.0.0.1:1")


def test_a_budget_counts_the_attempts_before_that_of_a_crash(tmp_path: Path) -> None:
    stopped = {"rollout_id": "rollout_1", "status": "cancelled"}
    spent: Usage = {"cost_usd": 1.0}
    opened = JournalFile(tmp_path / "run.jsonl", *HERE)
    opened.append(
        AdmissionRecord(0, 1, "s", "rollout_0", spent),
        # Stopped, and not started again: it has spent more than at its admission.
        AdmissionRecord(1, 1, "s", "rollout_1", spent),
        OutcomeRecord(1, 1, "s", stopped, None, final=False, usage={"cost_usd": 2.0}),
        OutcomeRecord(2, 0, "s", stopped, None, final=False, usage=spent),
        AdmissionRecord(2, 2, "s", "rollout_2", {"cost_usd": 4.0}),
        AdmissionRecord(3, 0, "s", "rollout_3"),
    )
    opened.close()
    again = JournalFile(tmp_path / "run.jsonl", *HERE)
    budget = Budget(max_cost_usd=7, max_tokens=None, max_seconds=None, on_budget="finish")
    count_earlier(again, budget, None)
    again.close()
    assert (budget.reached(), budget.spent()) == ("max_cost_usd=7", "$7")
