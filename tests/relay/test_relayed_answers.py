"""Answers and messages of kinds that a relay has to tell apart: pictures, tools, and failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pools.relay.streams import PassingStream
from tests.relay.test_passing import HTTP, chat, completion, events
from tests.relay.test_recording import ask, user
from tests.support.backend_server import eventually
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.relays import Running


def test_pictures_are_told_apart(session: Running) -> None:
    def look(url: str) -> dict[str, Any]:
        parts = [
            {"type": "text", "text": "what?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        return {"role": "user", "content": parts}

    first, second = look("data:image/png;base64,AA"), look("data:image/png;base64,BB")
    ask(session, 'seq:["a", "b"]', [first])
    ask(session, 'seq:["a", "b"]', [second])
    ask(session, 'seq:["a", "b"]', [first, {"role": "assistant", "content": "a"}, second])
    contents = [message["content"] for message, _ in session.steps.added]
    assert contents == [first["content"], "a", second["content"], "a", second["content"], "b"]
    assert [call["extra"].get("after_call") for call in session.steps.calls] == [None, 0, 1]


def test_tools_that_a_client_runs_are_calls(odd: RecordingServer, relay: Running) -> None:
    patch = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "+ a door"}
    shell = {"type": "local_shell_call", "call_id": "c2", "action": {"command": ["ls"]}}
    search = {"type": "web_search_call", "id": "w1", "status": "completed"}
    results = [
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        {"type": "local_shell_call_output", "id": "c2", "output": "a b"},
    ]
    answer: dict[str, Any] = {"id": "r1", "status": "completed", "output": [search, patch, shell]}
    odd.reply_with(Reply.json(answer))
    session = relay.session_of(f"{odd.url}/v1")
    url = f"{session.base_url}/responses"
    tools = [{"type": "function", "name": "look", "parameters": {}}, {"type": "web_search"}]
    HTTP.post(url, json={"model": "m", "input": "go", "tools": tools})
    function = {"type": "function", "function": {"name": "look", "parameters": {}}}
    assert session.steps.tool_definitions == [function, tools[1]]
    turn = [user("go"), *answer["output"], *results]
    odd.reply_with(Reply.json({**answer, "output": [{"type": "message", "content": "ok"}]}))
    HTTP.post(url, json={"model": "m", "input": turn})
    messages = [message for message, _ in session.steps.added]
    roles = ["user", "assistant", "tool", "tool", "assistant"]
    assert [message["role"] for message in messages] == roles
    assert messages[1]["content"] == "[web_search_call]"
    assert messages[1]["tool_calls"] == [
        {"id": "c1", "name": "patch", "arguments": "+ a door"},
        {"id": "c2", "name": "local_shell", "arguments": {"command": ["ls"]}},
    ]
    answers = [(message["tool_call_id"], message["content"]) for message in messages[2:4]]
    assert answers == [("c1", "done"), ("c2", "a b")]


def test_a_conversation_that_the_server_keeps_goes_on(odd: RecordingServer, relay: Running) -> None:
    message = {"type": "message", "role": "assistant", "content": "ho"}
    odd.reply_with(lambda request: Reply.json({"id": len(request.body), "output": [message]}))
    session = relay.session_of(f"{odd.url}/v1")
    for conversation in ("c1", "c2", {"id": "c1"}, None, None):
        body = {"model": "m", "input": "x", "conversation": conversation}
        HTTP.post(f"{session.base_url}/responses", json=body)
    after = [call["extra"].get("after_call") for call in session.steps.calls]
    assert after == [None, 0, 1, 0, 0]


def test_calls_of_tools_in_a_stream_need_no_place(odd: RecordingServer, relay: Running) -> None:
    calls = [
        {"index": None, "id": f"c{number}", "function": {"name": "look", "arguments": "{}"}}
        for number in (1, 2)
    ]
    deltas = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
    last = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    odd.reply_with(Reply.events(events(*deltas, last)))
    session = relay.session_of(f"{odd.url}/v1")
    ask(session, "m", [user("a")], stream=True)
    sampled = session.steps.added[-1][0]["tool_calls"]
    assert [call["id"] for call in sampled] == ["c1", "c2"]
    assert session.session.tokens == 7


def test_a_server_that_refuses_arguments_is_still_asked_for_usage(
    odd: RecordingServer, relay: Running
) -> None:
    def answer(request: Recorded) -> Reply:
        if "logprobs" in request.json:
            return Reply.json({"message": "Extra inputs are not permitted."}, 422)
        last = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
        chunks = [
            {"choices": [{"delta": {}}]},
            *([last] if "stream_options" in request.json else []),
        ]
        return Reply.events(events(*chunks))

    odd.reply_with(answer)
    session = relay.session_of(f"{odd.url}/v1", "strict")
    for count in (1, 2):
        ask(session, "m", [user("a")], stream=True)
        assert (session.session.tokens, len(odd.requests)) == (7 * count, 1 + count)


_HALF: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": "ha"}}]}
_LAST: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
_BEGUN: dict[str, Any] = {"type": "response.created", "response": {"status": "in_progress"}}
_CALLED: dict[str, Any] = {
    "type": "response.output_item.done",
    "item": {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
}
_SAID = {"type": "response.output_text.delta", "delta": "ha"}
_OVERLOADED = {"error": {"message": "overloaded", "code": 529}}


@pytest.mark.parametrize(
    ("chunks", "says"),
    [
        ([_HALF, _OVERLOADED], "overloaded"),
        ([_HALF, {**_LAST, **_OVERLOADED}], "overloaded"),
        ([_HALF], "the stream ends before its answer"),
        ([_BEGUN, _SAID], "the stream ends before its answer"),
        ([_BEGUN, _CALLED, _SAID, {"type": "error", "message": "overloaded"}], "overloaded"),
        ([_BEGUN, _SAID, {"type": "response.failed", "response": _OVERLOADED}], "overloaded"),
    ],
)
def test_a_stream_that_fails_is_no_answer(
    odd: RecordingServer, relay: Running, chunks: list[Any], says: str
) -> None:
    pieces = [events(chunk).removesuffix(b"data: [DONE]\n\n") for chunk in chunks]
    odd.reply_with(Reply.events(*pieces))
    session = relay.session_of(f"{odd.url}/v1")
    is_chat = "choices" in chunks[0]
    path, body = ("chat/completions", chat()) if is_chat else ("responses", {"input": "x"})
    answer = HTTP.post(f"{session.base_url}/{path}", json={**body, "stream": True})
    assert answer.is_success
    [(message, fields)] = session.steps.added[1:]
    assert fields["is_copied_context"]
    assert says in fields["extra"]["error"]["message"]
    assert message["content"] == "ha"
    assert session.session.turns == 0
    if _CALLED in chunks:
        assert message["tool_calls"][0]["name"] == "look"


def test_an_error_with_the_status_of_a_success_is_told(
    odd: RecordingServer, relay: Running
) -> None:
    odd.reply_with(Reply.json(_OVERLOADED))
    session = relay.session_of(f"{odd.url}/v1")
    assert ask(session, "m", [user("a")]) == _OVERLOADED
    assert "overloaded" in session.steps.calls[0]["extra"]["error"]["message"]


def test_what_a_model_refuses_with_is_its_answer(odd: RecordingServer, relay: Running) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    odd.reply_with(Reply.json({**completion(), "choices": [choice]}))
    session = relay.session_of(f"{odd.url}/v1")
    ask(session, "m", [user("a")])
    assert session.steps.texts[-1] == ("assistant", "I will not.")


def test_usage_counts_although_the_client_has_gone_with_the_answer(
    odd: RecordingServer, relay: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take longer than usual for the rest of the answer.
    monkeypatch.setattr("synth_pools.relay.app._USAGE_SECONDS", 60.0)
    has_gone = threading.Event()

    def stream() -> Iterator[bytes]:
        yield events({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]})[:-14]
        has_gone.wait(60)
        yield events({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})

    odd.reply_with(lambda _: Reply.live(stream()))
    session = relay.session_of(f"{odd.url}/v1")
    url = f"{session.base_url}/chat/completions"
    with HTTP.stream("POST", url, json=chat(stream=True)) as answer:
        next(answer.iter_raw())
    has_gone.set()
    eventually(lambda: len(session.steps.calls) == 1)
    assert session.session.tokens == 7
    assert session.steps.calls[0]["extra"].get("error") is None


@pytest.mark.parametrize("options", [{"include_usage": "false"}, {"include_usage": 0}])
def test_usage_is_asked_for_whatever_else_is_said_of_it(
    odd: RecordingServer, relay: Running, options: dict[str, Any]
) -> None:
    session = relay.session_of(f"{odd.url}/v1")
    odd.reply_with(Reply.events(events({"choices": []})))
    body = chat(stream=True, stream_options=options)
    HTTP.post(f"{session.base_url}/chat/completions", json=body)
    assert odd.last.json["stream_options"] == {"include_usage": True}


def test_usage_counts_behind_an_answer_too_long_to_be_recorded(
    odd: RecordingServer, relay: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_pools.relay.streams.LARGEST_READ", 2000)
    session = relay.session_of(f"{odd.url}/v1")
    url = session.base_url
    part = {"choices": [{"index": 0, "delta": {"content": "a" * 100}}]}
    usage = {"prompt_tokens": 3, "completion_tokens": 90}
    odd.reply_with(Reply.events(events(*[part] * 30, {"choices": [], "usage": usage})))
    HTTP.post(f"{url}/chat/completions", json=chat(stream=True))
    assert session.session.tokens == 93
    response = {"id": "r", "usage": {"input_tokens": 3, "output_tokens": 4}, "output": []}
    delta = {"type": "response.output_text.delta", "delta": "a" * 100}
    last = {"type": "response.completed", "response": response}
    odd.reply_with(Reply.events(events(*[delta] * 30, last)))
    HTTP.post(f"{url}/responses", json={"model": "m", "input": "a", "stream": True})
    assert session.session.tokens == 100


def test_a_stream_without_events_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth_pools.relay.streams.LARGEST_READ", 2000)
    for names in (set[str](), {"usage"}):
        stream = PassingStream(names)
        passed = b"".join(stream.feed(b"data: " + b"a" * 500) for _ in range(20))
        assert len(stream.rest) <= 2000
        assert passed + (stream.rest if names else b"") == (b"data: " + b"a" * 500) * 20
