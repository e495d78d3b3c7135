"""Keys of servers and agents, which are in nothing that a relay records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.relay.test_passing import HTTP, chat, events
from tests.relay.test_recording import ask, user
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.relays import Running
from tests.support.scripted_models import ScriptedModels


def test_keys_are_not_recorded(session: Running) -> None:
    headers = {"authorization": "Bearer of-the-client"}
    body = {**chat(), "model": "say:ho"}
    HTTP.post(f"{session.base_url}/chat/completions", json=body, headers=headers)
    texts = f"{session.steps.added}{session.session!r}{session.session.upstream!r}"
    for secret in ("of-the-client", "sk-upstream", session.session.token):
        assert secret not in texts


@pytest.mark.parametrize("is_json", [True, False])
def test_keys_that_are_repeated_are_not_recorded(
    odd: RecordingServer, relay: Running, is_json: bool
) -> None:
    key = "sk-up/stream-1"
    session = relay.session_of(f"{odd.url}/v1", key)
    secrets = (key, session.session.token, "of-the-client")
    # The last is cut where errors are.
    texts = [f"Incorrect API key provided: {', '.join(secrets)}.", "x" * 1995 + key]

    def repeat(_: Recorded) -> Reply:
        text = texts[len(odd.requests) % 2]
        body = json.dumps({"error": {"message": text}}).replace("/", "\\/") if is_json else text
        return Reply(401, body.encode(), {"Content-Type": "text/plain"})

    odd.reply_with(repeat)
    headers = {"authorization": "Bearer of-the-client"}
    url = f"{session.base_url}/chat/completions"
    for _ in range(2):
        answer = HTTP.post(url, json=chat(texts[0]), headers=headers)
        # The client gets the body as it is.
        assert answer.content == repeat(odd.last).body
    assert "***, ***, ***" in session.steps.calls[1]["extra"]["error"]["message"]
    assert "***, ***, ***" in session.steps.added[0][0]["content"]
    call = {"id": "c1", "function": {"name": "f", "arguments": json.dumps({"key": key})}}
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": part, "tool_calls": calls}}]}
        for part, calls in ((key[:6], [{**call, "index": 0}]), (key[6:], None))
    ]
    odd.reply_with(Reply.events(events(*parts)))
    tools = [{"type": "function", "function": {"name": "f", "description": key}}]
    ask(session, "m", [user(key)], stream=True, tools=tools)
    assert session.steps.texts[-2:] == [("user", "***"), ("assistant", "***")]
    recorded = f"{session.steps.added}{session.steps.tool_definitions}"
    for secret in (*secrets, "sk-up"):
        assert secret not in recorded


@pytest.mark.parametrize("key", ["sk-upstream", "sk-up/stream"])
def test_a_key_is_masked_in_any_spelling(relay: Running, models: ScriptedModels, key: str) -> None:
    session = relay.session_of(models.base_url, key)
    spelt = json.dumps({"key": key}).replace("s", "\\u0073").replace("/", "\\/")
    for text in (key, spelt, json.dumps(spelt), "a\\b"):
        ask(session, "say:ho", [user(text)])
    texts = [text for role, text in session.steps.texts if role == "user"]
    assert texts == ["***", '{"key": "***"}', json.dumps('{"key": "***"}'), "a\\b"]


def test_a_word_in_the_place_of_a_key_is_no_secret(session: Running) -> None:
    for word in ("anything", "EMPTY"):
        url = f"{session.base_url}/chat/completions"
        HTTP.post(url, json=chat(f"say {word}"), headers={"authorization": f"Bearer {word}"})
        assert session.steps.added[-2][0]["content"] == f"say {word}"
