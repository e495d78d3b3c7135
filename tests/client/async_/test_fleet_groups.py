"""Groups of a fleet's outcomes, as rows, text, HTML and a data frame."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient
from synth_pools._client._async.fleet.fleet import AsyncFleet
from tests.client.async_.fleet_ends import gather
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer

pytestmark = pytest.mark.one_library

REWARDS = (1.0, 0.0, 0.5, 0.25)


async def ended(
    server: FaultServer, client: AsyncContainerPoolsClient, seeds: list[Any], **options: Any
) -> AsyncFleet:
    def choose(request: Seen) -> Fault:
        body = request.json or {}
        if not request.path.endswith("/rollouts"):
            return answer({"reward": REWARDS[int(request.path.split("r_")[1][0])]})
        index, task_id = body["env"]["index"], body["task_id"]
        status = "failed" if index == 3 else "completed"
        return answer({"id": f"r_{index}", "status": status, "task_id": task_id})

    server.play(choose=choose)
    requests = [
        {"seed": seed, "task_id": "<b>" if index < 3 else "last", "env": {"index": index}}
        for index, seed in enumerate(seeds)
    ]
    fleet = client.rollouts.run_many("pool_1", requests, in_order=True, **options)
    await gather(fleet)
    return fleet


async def test_outcomes_are_grouped_by_task_seed_and_group(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = await ended(server, fleet_client, [7, {"x": 1}, 7, 1])
    tasks = fleet.to_dicts(by="task")
    error = tasks[0].pop("standard_error")
    assert math.isclose(error, 0.5 / math.sqrt(3))
    assert tasks[0] == {
        "task_id": "<b>",
        "results": 3,
        "completed": 3,
        "failed": 0,
        "rewards": 3,
        "mean_reward": 0.5,
        "mean_seconds": None,
    }
    assert (tasks[1]["task_id"], tasks[1]["completed"], tasks[1]["failed"]) == ("last", 0, 1)
    assert (tasks[1]["mean_reward"], tasks[1]["standard_error"]) == (0.25, None)
    # A seed that is an object has a group, too.
    assert [(row["seed"], row["results"]) for row in fleet.to_dicts(by="seed")] == [
        (7, 2),
        ({"x": 1}, 1),
        (1, 1),
    ]
    assert [row["group"] for row in fleet.to_dicts(by="group")] == [0, 1, 2, 3]
    lines = fleet.table(by="group").splitlines()
    assert lines[0].split()[:4] == ["group", "results", "completed", "failed"]
    assert lines[1].split() == ["0", "1", "1", "0", "1", "1"]
    assert lines[5].startswith("4/4 rollouts")
    unknown: Any = "pool"
    for call in (fleet.to_dicts, fleet.table, fleet.to_pandas):
        with pytest.raises(ValueError, match=r"by='pool': .* by task, group, seed"):
            call(by=unknown)


async def test_a_data_frame_has_the_rows(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    pytest.importorskip("pandas")
    fleet = await ended(server, fleet_client, [7, 8, 9, 1])
    frame = fleet.to_pandas()
    assert list(frame.columns) == list(fleet.to_dicts()[0])
    assert list(frame["seed"]) == [7, 8, 9, 1]
    assert frame.groupby("task_id")["reward"].mean().to_dict() == {"<b>": 0.5, "last": 0.25}
    assert list(fleet.to_pandas(by="task")["mean_reward"]) == [0.5, 0.25]


async def test_a_missing_pandas_is_said_with_its_installation(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = await ended(server, fleet_client, [7])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas") as raised:
        fleet.to_pandas()
    assert raised.value.name == "pandas"


async def test_a_notebook_shows_the_counts_and_the_last_outcomes(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = await ended(server, fleet_client, [7, 8, 9, 1], repeats=3)
    html = fleet._repr_html_()
    assert html.startswith("<p>12/12 rollouts")
    assert "<p>the last 10 of 12:</p>" in html
    assert html.count("<tr>") == 11
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    empty = await ended(server, fleet_client, [])
    assert "<table" not in empty._repr_html_()
    assert empty.table(by="task").startswith("0")
