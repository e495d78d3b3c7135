"""Trajectories that the SDK writes, of episodes with any end."""

from __future__ import annotations

import json
import math
import threading
from typing import Any

import pytest

from synth_pools.container import Container, EpisodeError, Result, Rollout, Trajectory
from synth_pools.container.trajectory import LARGEST_ANSWER


def container_of(function: Any) -> Container:
    container = Container("words")
    container.rollout(function)
    return container


def report(rollout: Rollout) -> None:
    rollout.step("user", "Open the door.")
    rollout.step(
        message=None,
        tool_calls=[{"id": "c1", "function": {"name": "open", "arguments": '{"door": 2}'}}],
        observation=[{"source_call_id": "c1", "content": {"is_open": True}}],
        reward=0.5,
        model_name="m",
        metrics={
            "prompt_tokens": 4,
            "completion_tokens": 2,
            "cost_usd": 0.25,
            "prompt_token_ids": [1, 2, 3, 4],
            "completion_token_ids": [5, 6],
            "logprobs": [-0.1, -math.inf],
            "seconds": 0.5,
        },
        extra={"attempt": 1},
    )


def test_steps_become_a_trajectory_events_and_usage() -> None:
    def play(rollout: Rollout) -> float:
        report(rollout)
        return 1

    played = container_of(play).test(rollout_id="r1")
    trajectory = played.answer["trajectory"]
    times = [step.pop("timestamp") for step in trajectory["steps"]]
    assert times == sorted(times)
    assert trajectory == {
        "schema_version": "ATIF-v1.8",
        "session_id": "r1",
        "agent": {"name": "words", "version": "unknown", "model_name": "m"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "Open the door."},
            {
                "step_id": 2,
                "source": "agent",
                "message": "",
                "model_name": "m",
                "tool_calls": [
                    {"tool_call_id": "c1", "function_name": "open", "arguments": {"door": 2}}
                ],
                "metrics": {
                    "prompt_tokens": 4,
                    "completion_tokens": 2,
                    "cost_usd": 0.25,
                    "prompt_token_ids": [1, 2, 3, 4],
                    "completion_token_ids": [5, 6],
                    "logprobs": [-0.1, -9999.0],
                    "extra": {"seconds": 0.5},
                },
                "extra": {"attempt": 1, "reward": 0.5},
                "observation": {
                    "results": [{"content": '{"is_open": true}', "source_call_id": "c1"}]
                },
            },
        ],
        "final_metrics": {
            "total_prompt_tokens": 4,
            "total_completion_tokens": 2,
            "total_cost_usd": 0.25,
            "total_steps": 2,
        },
        "extra": {"reward": 1.0},
    }
    assert played.usage == {"input_tokens": 4, "output_tokens": 2, "cost_usd": 0.25}
    assert [event["step_id"] for event in played.events] == [1, 2]
    assert played.events[1]["tool_calls"] == [{"function_name": "open", "arguments": '{"door": 2}'}]
    assert played.events[1]["reward"] == 0.5
    assert "prompt_token_ids" not in json.dumps(played.events)


@pytest.mark.parametrize("end", [EpisodeError("No action."), RuntimeError("broken"), None])
def test_an_episode_that_fails_or_is_stopped_has_its_steps(end: Exception | None) -> None:
    def play(rollout: Rollout) -> None:
        report(rollout)
        if end is not None:
            raise end
        while not rollout.is_cancelled:
            threading.Event().wait(0.01)

    limits = {} if end else {"timeout_seconds": 2}
    played = container_of(play).test(limits=limits)
    assert played.status == ("failed" if end else "timeout")
    assert len(played.answer["trajectory"]["steps"]) == 2
    assert "extra" not in played.answer["trajectory"]


def test_a_result_brings_a_trajectory_of_its_own() -> None:
    brought = Trajectory("solver", "2", model_name="m")
    brought.add("user", "Hello.")
    atif = brought.to_dict()
    played = container_of(lambda _: Result(1, trajectory=atif)).test()
    assert played.answer["trajectory"] == atif
    played = container_of(lambda _: Result(1, trajectory=brought)).test()
    assert played.answer["trajectory"]["agent"]["name"] == "solver"
    assert "trajectory" not in container_of(lambda _: 1).test().answer


@pytest.mark.parametrize("is_object", [False, True])
def test_a_trajectory_that_a_result_brings_is_its_usage(is_object: bool) -> None:
    brought = Trajectory()
    metrics = {"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 4, "cost_usd": 0.25}
    brought.add("agent", "x", metrics=metrics)

    def play(rollout: Rollout) -> Result:
        rollout.usage(output_tokens=9)
        return Result(1, trajectory=brought.to_dict() if is_object else brought)

    assert container_of(play).test().usage == {
        "input_tokens": 5, "output_tokens": 9, "cached_input_tokens": 4, "cost_usd": 0.25,
    }  # fmt: skip


def test_messages_of_a_chat_become_steps() -> None:
    trajectory = Trajectory()
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{"}}
    trajectory.add_message({"role": "developer", "content": [{"type": "text", "text": "Add."}]})
    trajectory.add_message({"role": "assistant", "content": None, "tool_calls": [call]})
    trajectory.add_message({"role": "user", "content": "Wait."})
    trajectory.add_message({"role": "tool", "tool_call_id": "c1", "content": "3"})
    trajectory.add_message({"role": "tool", "tool_call_id": "none", "content": "4"})
    steps = trajectory.to_dict()["steps"]
    assert [step["source"] for step in steps] == ["system", "agent", "user"]
    assert steps[0]["message"] == "Add."
    assert steps[1]["tool_calls"][0]["arguments"] == {"_raw": "{"}
    assert steps[1]["observation"]["results"] == [{"content": "3", "source_call_id": "c1"}]
    # No call has this id: the result is there, and belongs to no call.
    unknown = {"content": "4", "extra": {"unknown_call_id": "none"}}
    assert steps[2]["observation"]["results"] == [unknown]


def test_the_answer_of_a_tool_is_told_by_the_id_of_its_call() -> None:
    trajectory = Trajectory()
    call = {"id": 'a"b', "function": {"name": "look", "arguments": "{}"}}
    trajectory.add_message({"role": "assistant", "content": "", "tool_calls": [call]})
    trajectory.observe('a text with "source_call_id":"a\\"b" in it')
    assert not trajectory.is_answered('a"b')
    trajectory.observe("a door", 'a"b')
    assert trajectory.is_answered('a"b')
    assert not trajectory.is_answered("of nobody")


def test_a_reward_that_comes_later_is_one_of_the_step() -> None:
    trajectory = Trajectory()
    trajectory.add(message="a", tool_calls=[{"id": "c"}], extra={"n": 1})
    trajectory.add("user", "b")
    trajectory.observe("seen", "c", reward=0.5)
    trajectory.observe("felt", reward=2)
    first, second = trajectory.to_dict()["steps"]
    assert (first["extra"], second["extra"]) == ({"n": 1, "reward": 0.5}, {"reward": 2})
    assert first["observation"]["results"] == [{"content": "seen", "source_call_id": "c"}]
    assert second["observation"]["results"] == [{"content": "felt"}]


def test_an_object_of_another_recorder_takes_the_place_of_the_steps() -> None:
    atif = {"agent": {"name": "n", "version": "1"}, "steps": []}

    def play(rollout: Rollout) -> None:
        rollout.step(message="dropped")
        rollout.trajectory.replace(atif)
        raise EpisodeError("No action.")

    assert container_of(play).test().answer["trajectory"] == atif


def test_odd_values_become_a_valid_trajectory() -> None:
    trajectory = Trajectory()
    circle: dict[str, Any] = {}
    circle["self"] = circle
    trajectory.add("agent", "\ud83d half", extra={"circle": circle, "set": {1}, "nan": math.nan})
    trajectory.add("agent", {"any": object()}, tool_calls=["x"], observation=math.inf)
    trajectory.add("user", 5, model_name="m", metrics={"prompt_tokens": 1})
    trajectory.add("agent", metrics={"prompt_tokens": "4", "logprobs": [math.nan], "cost_usd": -1})
    trajectory.add("agent", timestamp="yesterday")
    custom = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "+ a door"}}
    trajectory.add("agent", tool_calls=[custom])
    text = json.dumps(trajectory.to_dict(), ensure_ascii=False)
    text.encode()
    steps = json.loads(text)["steps"]
    assert steps[0]["message"] == "\ufffd half"
    assert steps[2]["message"] == "5"
    assert steps[2]["extra"] == {"model_name": "m", "metrics": {"prompt_tokens": 1}}
    assert steps[3]["metrics"] == {
        "extra": {"prompt_tokens": "4", "logprobs": [None], "cost_usd": -1}
    }
    assert steps[4]["extra"] == {"timestamp": "yesterday"}
    [call] = steps[5]["tool_calls"]
    assert (call["function_name"], call["arguments"]) == ("patch", {"_raw": "+ a door"})
    with pytest.raises(ValueError, match="robot"):
        trajectory.add("robot")


def test_threads_add_steps_with_ids_without_a_gap() -> None:
    trajectory = Trajectory()

    def add() -> None:
        for _ in range(50):
            trajectory.add("agent", "x", tool_calls=[{"id": "c"}])
            trajectory.observe("y", "c")

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps = trajectory.to_dict()["steps"]
    assert [step["step_id"] for step in steps] == list(range(1, 401))
    assert sum(len(step.get("observation", {"results": []})["results"]) for step in steps) == 400


def test_steps_beyond_the_limit_are_counted() -> None:
    trajectory = Trajectory()
    large = "x" * (LARGEST_ANSWER // 3)
    for _ in range(4):
        trajectory.add("agent", large, metrics={"prompt_tokens": 1})
    trajectory.add("agent", "small")
    text = trajectory.to_json()
    assert len(text) <= LARGEST_ANSWER
    document = json.loads(text)
    assert [step["step_id"] for step in document["steps"]] == [1, 2]
    assert document["final_metrics"] == {"total_prompt_tokens": 4, "total_steps": 5}
    assert document["notes"] == "2 of 5 steps are here, for their size."
    assert len(json.loads(trajectory.to_json(len(large) + 5000))["steps"]) == 1


def test_a_step_after_the_end_is_dropped() -> None:
    rollouts: list[Rollout] = []

    def play(rollout: Rollout) -> int:
        rollouts.append(rollout)
        rollout.step(message="a")
        return 1

    played = container_of(play).test()
    rollouts[0].step(message="b")
    rollouts[0].trajectory.add(message="c")
    rollouts[0].trajectory.observe("d")
    assert len(played.answer["trajectory"]["steps"]) == 1
    assert rollouts[0].trajectory.to_dict()["steps"] == []
