"""Trajectories in answers of containers: checked, stored as artifacts, and read by steps."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from synth_pools.backend.domain.validation import trajectory_fault
from synth_pools.container import Container, Result, Rollout, Trajectory
from tests.backend.artifacts.test_extraction import items, run_answer
from tests.support.backend_server import Server

CALL = {"tool_call_id": "c1", "function_name": "pull", "arguments": {}}
FULL: dict[str, Any] = {
    "schema_version": "ATIF-v1.8",
    "session_id": "s",
    "agent": {"name": "door", "version": "1", "model_name": "m", "tool_definitions": [{}]},
    "steps": [
        {"step_id": 1, "source": "user", "message": "Open.", "timestamp": "2026-01-01T00:00:00Z"},
        {
            "step_id": 2,
            "source": "agent",
            "message": [
                {"type": "text", "text": "I see:"},
                {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}},
            ],
            "model_name": "m",
            "reasoning_effort": 0.5,
            "reasoning_content": None,
            "tool_calls": [CALL],
            "observation": {"results": [{"source_call_id": "c1", "content": None}, {}]},
            "metrics": {"prompt_token_ids": [1], "logprobs": [-1, -0.5], "cost_usd": 0},
            "llm_call_count": 1,
            "extra": {"reward": 1},
        },
        {"step_id": 3, "source": "agent", "message": "", "llm_call_count": 0},
    ],
    "final_metrics": {"total_steps": 3, "total_cost_usd": None},
    "subagent_trajectories": [
        {
            "trajectory_id": name,
            "agent": {"name": "n", "version": "1"},
            "steps": [{"step_id": 1, "source": "user", "message": "x"}],
        }
        for name in ("a", "b")
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The full trajectory with another value at a place."""
    trajectory = copy.deepcopy(FULL)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place: Any = trajectory
    for part in parents:
        place = place[part]
    place[last] = value
    return trajectory


def read(server: Server, rollout: dict[str, Any], query: str = "") -> dict[str, Any]:
    document: dict[str, Any] = server.get(f"/v1/rollouts/{rollout['id']}/trajectory{query}")
    return document


@pytest.mark.parametrize("status", ["completed", "failed", "timeout"])
def test_a_trajectory_is_an_artifact_and_is_read_by_steps(server: Server, status: str) -> None:
    artifact = {"name": "trajectory.json", "content": "mine", "artifact_type": "trajectory"}
    answer = {"status": status, "artifact": [artifact], "trajectory": FULL}
    rollout = run_answer(server, answer)
    assert read(server, rollout) == FULL
    for query, numbers in (
        ("1", [1]),
        ("2..3", [2, 3]),
        ("2..", [2, 3]),
        ("..2", [1, 2]),
        ("2..2", [2]),
        ("7", []),
        ("7..", []),
    ):
        part = read(server, rollout, f"?step={query}")
        assert [step["step_id"] for step in part["steps"]] == numbers, query
        assert {**part, "steps": FULL["steps"]} == FULL
    stored = items(server, rollout)[1]
    assert (stored["artifact_type"], stored["metadata"]) == ("trajectory", {})
    assert stored["content_type"] == "application/json"
    assert "trajectory" not in stored
    url = f"/v1/rollouts/{rollout['id']}/artifacts/{stored['artifact_id']}"
    assert json.loads(server.send("GET", url).content) == FULL


def test_a_large_trajectory_leaves_the_result(server: Server) -> None:
    large = changed("steps/1/message", "x" * 400_000)
    rollout = run_answer(server, {"status": "completed", "trajectory": large})
    stub = rollout["result"]["trajectory"]
    assert (stub["content"], stub["size_bytes"]) == (None, items(server, rollout)[0]["size_bytes"])
    assert read(server, rollout) == large
    assert read(server, rollout, "?step=2")["steps"] == large["steps"][1:2]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("agent", {"name": "n"}, "version"),
        ("steps", [], "steps"),
        ("steps/0/step_id", 0, "steps[0].step_id"),
        ("steps/2/step_id", 4, "steps[2].step_id is 4, and not 3"),
        ("steps/0/message", None, "steps[0].message"),
        ("steps/0/source", "tool", "steps[0].source"),
        ("steps/0/metrics", {}, "steps[0].metrics"),
        ("steps/0/timestamp", "yesterday", "steps[0].timestamp"),
        ("steps/0/reward", 1, "reward"),
        ("steps/2/metrics", {}, "steps[2].metrics"),
        ("steps/1/tool_calls/0/arguments", "{}", "steps[1].tool_calls[0].arguments"),
        ("steps/1/observation/results/0/source_call_id", "c2", "'c2'"),
        ("steps/1/metrics/logprobs", ["x"], "logprobs[0]"),
        ("subagent_trajectories/1/trajectory_id", "a", "subagent_trajectories"),
        ("subagent_trajectories/0/steps/0/step_id", 2, "subagent_trajectories[0].steps[0]"),
        ("schema_version", "ATIF-v2.0", "schema_version"),
    ],
)
def test_what_is_no_atif_is_found(path: str, value: Any, problem: str) -> None:
    assert trajectory_fault(FULL) is None
    fault = trajectory_fault(changed(path, value))
    assert fault is not None
    assert problem in fault


def test_a_rollout_with_another_trajectory_completes_and_says_what_is_wrong(server: Server) -> None:
    rollout = run_answer(
        server, {"status": "completed", "trajectory": changed("steps/2/step_id", 4)}
    )
    assert rollout["status"] == "completed"
    problem = "steps[2].step_id is 4, and not 3"
    assert items(server, rollout)[0]["metadata"] == {"problem": problem}
    response = server.send("GET", f"/v1/rollouts/{rollout['id']}/trajectory")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "artifact_not_found")
    assert problem in response.json()["error"]["message"]


@pytest.mark.parametrize("trajectory", [None, [], "text", 5])
def test_what_is_no_object_stays_in_the_result(server: Server, trajectory: Any) -> None:
    rollout = run_answer(server, {"status": "completed", "trajectory": trajectory})
    assert rollout["result"]["trajectory"] == trajectory
    assert items(server, rollout) == []
    response = server.send("GET", f"/v1/rollouts/{rollout['id']}/trajectory")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "artifact_not_found")


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("0", 'query.step: "0" does not match'),
        ("0..2", ', as "3..5" does'),
        ("..0", ', as "3..5" does'),
        ("a", ', as "3..5" does'),
        ("3..2", "query.step: 2 is before 3; a range is as 3..5"),
    ],
)
def test_steps_that_cannot_be_are_refused(server: Server, step: str, says: str) -> None:
    url = f"/v1/rollouts/any/trajectory?step={step}"
    refused = server.refused("GET", url, 422, "validation_failed")
    assert says in refused["error"]["message"]
    assert refused["error"]["message"].count("query.step") == 1


# Python writes the first of them, a pool reads neither.
@pytest.mark.parametrize("levels", [700, 2000])
def test_what_the_sdk_writes_of_anything_is_atif(server: Server, levels: int) -> None:
    container = Container("odd")

    @container.rollout
    def play(rollout: Rollout) -> Result:
        deep: Any = []
        for _ in range(levels):
            deep = [deep]
        rollout.step("user", None, model_name="m", metrics={"prompt_tokens": 2})
        rollout.step("agent", "\ud83d", tool_calls=[{"id": "c"}, "x", None, 4], extra={"d": deep})
        rollout.step(observation=[{"source_call_id": "none", "content": {1, 2}}], reward=1e400)
        rollout.step(metrics={"prompt_token_ids": ["a"], "logprobs": [1], "cost_usd": "much"})
        rollout.step(message=[{"type": "image_url", "image_url": {"url": "data:image/png;,"}}])
        rollout.step(timestamp="never", llm_call_count=0, metrics={"prompt_tokens": 1})
        return Result(1)

    with container.running() as url:
        rollout = server.run(server.pool(container_url=url))
    assert rollout["status"] == "completed", rollout["error"]
    [stored, *_] = [item for item in items(server, rollout) if item["kind"] == "trajectory"]
    assert stored["metadata"] == {}
    assert len(read(server, rollout)["steps"]) == 6


def test_a_trajectory_that_a_result_brings_is_checked_like_another(server: Server) -> None:
    container = Container("own")
    container.rollout(lambda _: Result(1, trajectory=Trajectory("a").to_dict()))
    with container.running() as url:
        rollout = server.run(server.pool(container_url=url))
    assert "steps" in items(server, rollout)[0]["metadata"]["problem"]
