"""`synth-pools export` of what a relay has recorded of agents: conversations, and why they end."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.container import Container, Rollout
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.recording import Recorded, RecordingServer, Reply

# To read certificates for each call would take longer than all else here.
HTTP = httpx.Client(verify=False, trust_env=False, timeout=60)
CONTAINER = Container("talks")
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@CONTAINER.rollout
def play(rollout: Rollout) -> float:
    """Hold a conversation that begins with an example, and two calls beside it."""

    def ask(*messages: dict[str, Any]) -> dict[str, Any]:
        body = {"model": "m", "messages": list(messages)}
        answer = HTTP.post(f"{rollout.model_url}/chat/completions", json=body).raise_for_status()
        message: dict[str, Any] = answer.json()["choices"][0]["message"]
        return message

    example = [user("a?"), {"role": "assistant", "content": "a!"}]
    first = ask(*example, user("look"))
    assert first["content"] == "<think>Hm.</think>"
    ask(user("aside"))
    # It sends no thoughts back.
    result = {"role": "tool", "tool_call_id": "c", "content": "a door"}
    ask(*example, user("look"), {**first, "content": None}, result)
    return 1


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answered(request: Recorded) -> Reply:
    """Call a tool where that was asked for, and cut an answer off once it was used."""
    messages = request.json["messages"]
    message: dict[str, Any] = {"role": "assistant", "content": "I see a do"}
    reason = "length"
    if messages[-1]["content"] == "look":
        message = {"role": "assistant", "content": "<think>Hm.</think>", "tool_calls": [CALL]}
        reason = "tool_calls"
    elif messages[-1]["content"] == "aside":
        message, reason = {"role": "assistant", "content": "yes"}, "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason, "token_ids": [7]}
    ids = [len(item["content"] or "") for item in messages]
    usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
    return Reply.json({"choices": [choice], "prompt_token_ids": ids, "usage": usage})


@pytest.fixture(scope="module")
def journal(backend: LocalBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    with (
        RecordingServer(answered) as server,
        CONTAINER.running() as url,
        backend.client() as client,
    ):
        pool = client.create_pool({"name": "talks", "container_url": url})["id"]
        policy = {"model": "m", "inference_url": f"{server.url}/v1"}
        [outcome] = client.rollouts.run_many(pool, [{"policy": policy}], journal=path)
        assert outcome.reward == 1, outcome
        yield path


def test_fine_tuning_has_a_line_for_each_conversation(command: Command, journal: Path) -> None:
    done = command("export", journal, "--format", "sft")
    assert done.stderr == ""
    aside, talk = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(message["role"], message["content"]) for message in aside["messages"]] == [
        ("user", "aside"), ("assistant", "yes"),
    ]  # fmt: skip
    assert [(message["role"], message["content"]) for message in talk["messages"]] == [
        ("user", "a?"), ("assistant", "a!"), ("user", "look"), ("assistant", "<think>Hm.</think>"),
        ("tool", "a door"), ("assistant", "I see a do"),
    ]  # fmt: skip
    assert [message.get("weight") for message in talk["messages"]] == [None, 0, *[None] * 4]
    assert aside["rollout_id"] == talk["rollout_id"]


def test_inspect_has_the_last_conversation_and_all_calls(
    command: Command, journal: Path, tmp_path: Path
) -> None:
    log = tmp_path / "run.eval"
    assert command("export", journal, "--format", "inspect", "--out", log).returncode == 0
    with zipfile.ZipFile(log) as archive:
        [name] = [name for name in archive.namelist() if name.startswith("samples/")]
        sample = json.loads(archive.read(name))
    assert [message["role"] for message in sample["messages"]] == [
        "user", "assistant", "user", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert [message.get("source") for message in sample["messages"]] == [
        None, "input", None, "generate", None, "generate",
    ]  # fmt: skip
    # An event that goes on from no event before it has all that was said.
    assert [len(event["input"]) for event in sample["events"]] == [3, 1, 5]
    choices = [event["output"]["choices"][0] for event in sample["events"]]
    assert [choice["stop_reason"] for choice in choices] == ["tool_calls", "stop", "max_tokens"]
    assert sample["output"]["choices"] == choices[-1:]
    ids = {message["id"] for event in sample["events"] for message in event["input"]}
    assert ids >= {message["id"] for message in sample["messages"][:-1]}


def test_skyrl_is_told_why_each_sequence_ends(command: Command, journal: Path) -> None:
    done = command("export", journal, "--format", "skyrl")
    assert json.loads(done.stdout)["stop_reasons"] == ["stop", "stop", "length"]
