"""Outcomes of a fleet: errors, rows, and groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, JournalError, NotFoundError, RolloutFailedError
from tests.client.async_.fleet_ends import gather, seeds
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer
from tests.support.fleet_service import FleetService

pytestmark = pytest.mark.one_library

P = "pool_1"


async def test_a_failed_rollout_has_an_error_and_a_row(
    server: FaultServer, service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    failed = {
        "id": "rollout_x",
        "status": "failed",
        "task_id": "seven",
        "error": {"code": "container_failed", "message": "It gave up."},
    }

    def choose(request: Seen) -> Fault:
        if not request.path.endswith("/rollouts"):
            return answer({"reward": 0.5, "timing": {"run_seconds": 2.5}})
        if request.json["seed"] == 2:
            return answer({}, 404)
        if request.json["seed"] == 0:
            return answer({"id": "r", "status": "completed"})
        return answer(failed if request.json["seed"] == 1 else {"id": "c", "status": "cancelled"})

    server.play(choose=choose)
    fleet = fleet_client.rollouts.run_many(P, seeds(4), in_order=True)
    completed, bad, nowhere, cancelled = await gather(fleet)
    assert completed.error is None
    assert (completed.reward, completed.seconds, completed.seed, completed.rollout_id) == (
        0.5,
        2.5,
        0,
        "r",
    )
    assert isinstance(bad.error, RolloutFailedError)
    assert (bad.error.code, bad.error.message) == ("container_failed", "It gave up.")
    assert str(bad.error) == "It gave up. (container_failed)"
    assert (bad.error.status, bad.error.rollout_id) == ("failed", "rollout_x")
    assert (bad.task_id, bad.rollout_id, bad.status) == ("seven", "rollout_x", "failed")
    assert str(cancelled.error) == "the rollout is cancelled"
    assert isinstance(nowhere.error, NotFoundError)
    assert (nowhere.reward, nowhere.seconds, nowhere.rollout_id) == (None, None, None)
    rows = fleet.to_dicts()
    assert [row["failure"] for row in rows] == [
        None,
        "container_failed",
        "NotFoundError",
        "cancelled",
    ]
    assert all(not isinstance(value, dict | list) for row in rows for value in row.values())
    assert (rows[1]["seed"], rows[1]["reward"], rows[1]["message"]) == (1, 0.5, str(bad.error))
    lines = fleet.table().splitlines()
    assert lines[0].split() == [
        *("index", "task_id", "seed", "status", "reward", "seconds", "failure")
    ]
    assert lines[2].split() == ["1", "seven", "1", "failed", "0.5", "2.5", "container_failed"]
    # Numbers are right-aligned, words left-aligned.
    assert lines[2].index("1") == lines[0].index("index") + len("inde")
    assert lines[2].index("seven") == lines[0].index("task_id")
    assert lines[2].index("0.5") + len("0.5") == lines[0].index("reward") + len("reward")
    assert lines[5].startswith("4/4 rollouts, ")
    assert "2 failed, 1 errors, mean reward 0.5 ± 0" in lines[5]
    assert lines[6] == "failures: 1 NotFoundError, 1 cancelled, 1 container_failed"
    progress = fleet.progress
    assert (progress.rewards, progress.mean_reward, progress.standard_error) == (3, 0.5, 0.0)
    assert "4/4 rollouts" in repr(fleet)


async def test_repeats_are_groups(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    def fleet(repeats: int = 3, **options: Any) -> Any:
        return fleet_client.rollouts.run_many(
            P, iter(seeds(5)), repeats=repeats, in_order=True, total=5, **options
        )

    for replayed in (False, True):
        running = fleet(journal=tmp_path / "run.jsonl")
        outcomes = await gather(running)
        assert [outcome.group for outcome in outcomes] == [n for n in range(5) for _ in range(3)]
        assert [outcome.seed for outcome in outcomes] == [outcome.group for outcome in outcomes]
        assert [outcome.index for outcome in outcomes] == list(range(15))
        assert {outcome.replayed for outcome in outcomes} == {replayed}
        assert (running.progress.total, running.progress.done) == (15, 15)
    assert set(service.seeds.values()) == {3}
    with pytest.raises(JournalError):
        await gather(fleet(repeats=2, journal=tmp_path / "run.jsonl"))
