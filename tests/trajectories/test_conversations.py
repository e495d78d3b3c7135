"""Conversations in trajectories, as a relay records them from agents of many habits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from synth_pools.container import Container, Rollout, Trajectory
from synth_pools.trajectories.conversations import conversations, finish_reason
from synth_pools.trajectories.messages import step_messages
from tests.support.conversations import chat_messages
from tests.support.recording import RecordingServer, Reply
from tests.support.scripted_models import ScriptedModels

# To read certificates for each call would take longer than all else here.
HTTP = httpx.Client(verify=False, trust_env=False, timeout=60)
LOOK = 'calls:["look:{\\"at\\": 1}", "seen"]'


@pytest.fixture(scope="module")
def models() -> Iterator[ScriptedModels]:
    with ScriptedModels() as server:
        yield server


class Agent:
    """Agent that calls models over the address of its rollout."""

    def __init__(self, rollout: Rollout) -> None:
        self._url = f"{rollout.model_url}/chat/completions"

    def ask(self, model: str, *messages: dict[str, Any], status: int = 200) -> dict[str, Any]:
        answer = HTTP.post(self._url, json={"model": model, "messages": list(messages)})
        assert answer.status_code == status, answer.text
        message: dict[str, Any] = answer.json()["choices"][0]["message"] if status == 200 else {}
        return message


def played(models: ScriptedModels, play: Callable[[Agent], object]) -> dict[str, Any]:
    container = Container("habits")

    @container.rollout
    def run(rollout: Rollout) -> float:
        play(Agent(rollout))
        return 1

    answer = container.test(policy={"inference_url": models.base_url, "model": "m"})
    assert answer.status == "completed", answer.detail
    trajectory: dict[str, Any] = answer.answer["trajectory"]
    return trajectory


def said(trajectory: dict[str, Any]) -> list[list[tuple[str, Any]]]:
    return [
        [(message["role"], message["content"]) for step in steps for message in step_messages(step)]
        for steps in conversations(trajectory)
    ]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said_by(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def result(text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "call_0", "content": text}


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: {**answer, "content": "I look."},
        lambda answer: {**answer, "content": "<think>Hm.</think> \n"},
        lambda answer: {
            **answer,
            "tool_calls": [
                {**answer["tool_calls"][0], "function": {"name": "look", "arguments": '{"at":1}'}}
            ],
        },
    ],
)
def test_results_stay_with_a_call_that_is_sent_back_changed(
    models: ScriptedModels, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    def play(agent: Agent) -> None:
        answer = agent.ask(LOOK, user("go"))
        agent.ask(LOOK, user("go"), change(answer), result("a door"))

    trajectory = played(models, play)
    messages = chat_messages(trajectory)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "look", "arguments": {"at": 1}}
    assert messages[2] == {**result("a door"), "name": "look"}
    assert not any(step.get("is_copied_context") for step in trajectory["steps"])


@pytest.mark.parametrize("back", ["b", " b\n", "<think>a</think>\n\nb", "a</think>b"])
def test_an_answer_that_is_sent_back_without_its_thoughts_is_the_same(
    models: ScriptedModels, back: str
) -> None:
    def play(agent: Agent) -> None:
        agent.ask("say:<think>a</think>\n\nb", user("go"))
        agent.ask("say:c", user("go"), said_by(back), user("on"))

    assert said(played(models, play)) == [
        [("user", "go"), ("assistant", "<think>a</think>\n\nb"), ("user", "on"), ("assistant", "c")]
    ]


def test_an_answer_that_was_rewritten_begins_another_conversation(models: ScriptedModels) -> None:
    def play(agent: Agent) -> None:
        agent.ask("say:long", user("go"))
        agent.ask("say:c", user("go"), said_by("short"), user("on"))

    trajectory = played(models, play)
    assert said(trajectory) == [
        [("user", "go"), ("assistant", "long")],
        [("user", "go"), ("assistant", "short"), ("user", "on"), ("assistant", "c")],
    ]
    assert [message.get("weight") for message in chat_messages(trajectory)] == [None, 0, None, None]


def test_examples_are_context(models: ScriptedModels) -> None:
    example = [user("a"), {**said_by(""), "tool_calls": [CALL]}, result("x"), said_by("b")]
    trajectory = played(models, lambda agent: agent.ask("say:d", *example, user("c")))
    messages = chat_messages(trajectory)
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "a"), ("assistant", ""), ("tool", "x"), ("assistant", "b"), ("user", "c"),
        ("assistant", "d"),
    ]  # fmt: skip
    assert [message.get("weight") for message in messages] == [None, 0, None, 0, None, None]


CALL = {"id": "call_0", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def test_conversations_at_a_time_are_apart(models: ScriptedModels) -> None:
    # Some servers number calls of tools, so that their ids are the same in each conversation.
    def play(agent: Agent) -> None:
        answers = [agent.ask(LOOK, user(name)) for name in "ab"]
        for name, answer in zip("ab", answers, strict=True):
            agent.ask(LOOK, user(name), answer, result(f"door {name}"))

    trajectory = played(models, play)
    assert said(trajectory) == [
        [("user", name), ("assistant", ""), ("tool", f"door {name}"), ("assistant", "seen")]
        for name in "ab"
    ]
    after = [step.get("extra", {}).get("after_step") for step in trajectory["steps"]]
    assert after == [None, None, 0, None, 2, 4]


def test_results_of_two_attempts_are_apart(models: ScriptedModels) -> None:
    def play(agent: Agent) -> None:
        answer = agent.ask(LOOK, user("go"))
        for text in ("a door", "a wall"):
            sent = [user("go"), answer, result(text)]
            answers = [agent.ask(LOOK, *sent)]
            agent.ask("say:end", *sent, *answers, user("on"))

    trajectory = played(models, play)
    assert said(trajectory) == [
        [
            ("user", "go"), ("assistant", ""), ("tool", text), ("assistant", "seen"),
            ("user", "on"), ("assistant", "end"),
        ]
        for text in ("a door", "a wall")
    ]  # fmt: skip
    assert chat_messages(trajectory)[1]["weight"] == 0


def test_a_conversation_that_begins_with_a_result_has_it(models: ScriptedModels) -> None:
    def play(agent: Agent) -> None:
        agent.ask(LOOK, user("go"))
        agent.ask("say:b", result("a door"))

    assert said(played(models, play)) == [
        [("user", "go"), ("assistant", "")],
        [("user", "a door"), ("assistant", "b")],
    ]


def test_what_failed_is_no_conversation(models: ScriptedModels) -> None:
    def play(agent: Agent) -> None:
        agent.ask("fail:500", user("a"), status=500)
        agent.ask("say:b", user("a"))
        agent.ask("fail:500", user("a"), said_by("b"), user("c"), status=500)

    assert said(played(models, play)) == [[("user", "a"), ("assistant", "b"), ("user", "c")]]


def test_results_go_to_a_call_rather_than_to_its_copy() -> None:
    trajectory = Trajectory()
    call = {**said_by(""), "tool_calls": [CALL]}
    trajectory.add_message(user("go"))
    trajectory.add_message(call)
    trajectory.add_message(call, is_copied_context=True)
    trajectory.add_message(result("a door"))
    steps = trajectory.to_dict()["steps"]
    assert ["observation" in step for step in steps] == [False, True, False]


@pytest.mark.parametrize("steps", [[], [{"step_id": 1, "source": "user", "message": "a"}]])
def test_what_has_no_answer_is_one_conversation(steps: list[dict[str, Any]]) -> None:
    assert conversations({"steps": steps}) == [steps]


@pytest.mark.parametrize("after", [5, -1, "1", None])
def test_an_odd_step_to_go_on_from_is_that_before(after: Any) -> None:
    steps = [
        {"step_id": 1, "source": "user", "message": "a"},
        {"step_id": 2, "source": "agent", "message": "b", "extra": {"after_step": after}},
    ]
    assert conversations({"steps": steps}) == [steps]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("length", "length"), ("completed", "stop"), ("incomplete", "length"), ("x", "x"), (3, None)],
)
def test_reasons_have_the_words_of_chat_completions(reason: Any, expected: str | None) -> None:
    step = {"source": "agent", "message": "", "extra": {"finish_reason": reason}}
    assert finish_reason(step) == expected


def test_a_response_that_is_incomplete_tells_why() -> None:
    item = {"type": "message", "role": "assistant", "content": [{"text": "a"}]}
    details = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    container = Container("cut")

    @container.rollout
    def play(rollout: Rollout) -> float:
        HTTP.post(f"{rollout.model_url}/responses", json={"input": "go"}).raise_for_status()
        return 1

    with RecordingServer(Reply.json({"id": "r", "output": [item], **details})) as server:
        answer = container.test(policy={"inference_url": f"{server.url}/v1"}).answer
    assert finish_reason(answer["trajectory"]["steps"][-1]) == "content_filter"
