"""Comparison of the client's outcomes, the backend's storage and the containers' records."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth_pools._client.fleet.outcomes import RolloutOutcome
from synth_pools.backend.storage.data_dir import FILE_NAME


@dataclass
class Verdict:
    """Figures for people, and every departure in words."""

    requested: int = 0
    outcomes: int = 0
    stored: int = 0
    lost: int = 0
    runs: int = 0
    run_again: int = 0
    attempts: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def expect(self, holds: object, words: str) -> None:
        if not holds:
            self.wrong.append(words)


def read_attempts(data_dir: Path) -> dict[str, int]:
    """Count the attempts of each rollout, as the backend has stored them."""
    with contextlib.closing(sqlite3.connect(data_dir / FILE_NAME)) as database:
        [answer] = database.execute("PRAGMA integrity_check").fetchone()
        assert answer == "ok", answer
        return dict(database.execute("SELECT id, attempt FROM rollouts"))


def compare(
    outcomes: Sequence[RolloutOutcome],
    requested: int,
    stored: Mapping[str, Mapping[str, Any]],
    attempts: Mapping[str, int],
    ran: Mapping[str, int],
) -> Verdict:
    verdict = Verdict(
        requested=requested,
        outcomes=len(outcomes),
        stored=len(stored),
        runs=sum(ran.values()),
        run_again=sum(runs > 1 for runs in ran.values()),
        attempts=sum(attempts.values()),
    )
    verdict.lost = requested - len(
        {outcome.index for outcome in outcomes if outcome.rollout is not None}
    )
    indices = sorted(outcome.index for outcome in outcomes)
    verdict.expect(
        indices == list(range(requested)), f"{requested} requests, {len(indices)} outcomes"
    )
    reported = {
        outcome.rollout["id"]: outcome for outcome in outcomes if outcome.rollout is not None
    }
    verdict.expect(len(reported) == requested, f"{requested} requests, {len(reported)} rollouts")
    verdict.expect(set(reported) == set(stored), "the backend has other rollouts than the client")
    verdict.expect(set(ran) == set(stored), "the containers ran other rollouts than these")
    for outcome in outcomes:
        verdict.statuses[outcome.status] += 1
        if outcome.rollout is None:
            verdict.wrong.append(f"{outcome.index}: {outcome.error!r}")
            continue
        rollout_id = outcome.rollout["id"]
        _compare_one(
            verdict,
            outcome,
            stored.get(rollout_id, {}),
            attempts.get(rollout_id, 0),
            ran.get(rollout_id, 0),
        )
    return verdict


def _compare_one(
    verdict: Verdict, outcome: RolloutOutcome, stored: Mapping[str, Any], attempts: int, runs: int
) -> None:
    reported, request = outcome.rollout, outcome.request
    assert reported is not None
    name = f"{outcome.index} ({reported['id']})"
    verdict.expect(outcome.ok, f"{name} is {outcome.status}: {reported['error']}")
    verdict.expect(stored.get("request") == request, f"{name} has another request")
    verdict.expect(stored.get("status") == reported["status"], f"{name}: told {reported['status']}")
    reward = reported["metrics"]["outcome_reward"]
    verdict.expect(reward == request["seed"], f"{name} has the outcome of another one")
    # An attempt may end before its container hears of it; none runs without being an attempt.
    verdict.expect(1 <= runs <= attempts, f"{name} ran {runs} times in {attempts} attempts")
    most = request["limits"]["max_attempts"]
    verdict.expect(attempts <= most, f"{name} had {attempts} attempts of {most}")
