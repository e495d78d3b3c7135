"""Steps that a relay records of calls, and the sessions that they belong to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from synth_pools.relay import EpisodeLimits, ModelPrice
from tests.relay.test_passing import HTTP, chat, completion, events
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.relays import Running
from tests.support.scripted_models import CACHED_TOKENS, ScriptedModels

IDS = {"return_token_ids", "logprobs"}


def ask(session: Running, model: str, messages: list[Any], **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": messages, **fields}
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=body)
    assert answer.is_success, answer.text
    if not fields.get("stream"):
        return dict(answer.json())
    parts = [
        json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")
    ]
    return {"chunks": parts}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_is_recorded_once(session: Running, stream: bool) -> None:
    model = 'calls:["look:{\\"at\\": 1}", "seen"]'
    messages: list[dict[str, Any]] = [{"role": "system", "content": "be brief"}, user("look")]
    function = {"name": "look", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}]
    ask(session, model, messages, stream=stream, tools=tools)
    call = {
        "id": "call_0",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at": 1}'},
    }
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "a door"},
    ]
    ask(session, model, messages, stream=stream, tools=tools)
    added = session.steps.added
    roles = ["system", "user", "assistant", "tool", "assistant"]
    assert [message["role"] for message, _ in added] == roles
    assert added[2][0]["tool_calls"][0]["function"] == call["function"]
    assert added[3][0] == messages[3]
    assert added[4][0]["content"] == "seen"
    assert session.steps.tool_definitions == tools
    first, second = session.steps.calls
    assert first["metrics"]["prompt_tokens"] == 3
    assert first["metrics"]["cached_tokens"] == CACHED_TOKENS
    assert len(first["metrics"]["prompt_token_ids"]) == 3
    assert len(second["metrics"]["completion_token_ids"]) == 1
    assert second["metrics"]["logprobs"] == [-0.5]
    assert (first["model_name"], first["extra"]["finish_reason"]) == (model, "tool_calls")
    assert 0 < first["extra"]["first_byte_seconds"] <= first["extra"]["seconds"]
    assert session.session.turns == 2


def test_conversations_of_one_rollout_are_told_apart(session: Running) -> None:
    model = 'seq:["a", "b"]'
    ask(session, model, [user("one")])
    ask(session, model, [user("two")])
    ask(session, model, [user("one"), {"role": "assistant", "content": "a"}, user("on")])
    assert session.steps.texts == [
        ("user", "one"), ("assistant", "a"), ("user", "two"), ("assistant", "a"),
        ("user", "on"), ("assistant", "b"),
    ]  # fmt: skip
    assert [call["extra"].get("after_call") for call in session.steps.calls] == [None, 0, 1]
    ask(session, model, [user("one"), {"role": "assistant", "content": "a"}, user("on")])
    # The same question once more, and no new message.
    assert session.steps.calls[-1]["extra"]["after_call"] == 1
    assert session.steps.texts[6:] == [("assistant", "b")]


def test_answers_of_others_are_context(session: Running) -> None:
    ask(session, "say:x", [user("a"), {"role": "assistant", "content": "b"}, user("c")])
    copies = [fields["is_copied_context"] for _, fields in session.steps.added[:3]]
    assert copies == [False, True, False]


def test_several_choices_are_steps(odd: RecordingServer, relay: Running) -> None:
    choices = [
        {"index": n, "message": {"content": f"c{n}"}, "token_ids": [n], "finish_reason": "stop"}
        for n in (0, 1)
    ]
    odd.reply_with(Reply.json({**completion(), "choices": choices, "prompt_token_ids": [9]}))
    session = relay.session_of(f"{odd.url}/v1")
    answer = ask(session, "m", [user("a")], n=2)
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["c0", "c1"]
    assert session.steps.texts == [("user", "a"), ("assistant", "c0"), ("assistant", "c1")]
    first, second = session.steps.calls
    assert (first["extra"]["choice"], second["extra"]["choice"]) == (0, 1)
    assert first["metrics"]["completion_token_ids"] == [0]
    assert second["metrics"] == {"completion_token_ids": [1], "prompt_token_ids": [9]}
    assert session.session.turns == 1
    stream = [
        {"choices": [{"index": n, "delta": {"content": t}}]}
        for n, t in ((1, "x"), (0, "y"), (1, "z"))
    ]
    odd.reply_with(Reply.events(events(*stream)))
    ask(session, "m", [user("b")], n=2, stream=True)
    assert session.steps.texts[-2:] == [("assistant", "y"), ("assistant", "xz")]


def test_ids_of_sglang(odd: RecordingServer, relay: Running) -> None:
    odd.reply_with(Reply.json(completion(prompt_token_ids=[1, 2], response_token_ids=[3])))
    session = relay.session_of(f"{odd.url}/v1", "sglang")
    answer = ask(session, "m", [user("a")])
    assert answer == completion()

    def stream(request: Recorded) -> Reply:
        if "return_token_ids" in request.json:
            return Reply.json({"message": "return_token_ids: set stream=false"}, 400)
        assert request.json["return_output_ids_in_sglext"]
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": "a"}}], "sglext": {"output_ids": [3]}},
            {"choices": [{"index": 0, "delta": {"content": "b"}}], "sglext": {"output_ids": [4]}},
            {"choices": [], "sglext": {"input_ids": [1, 2]}},
        ]
        return Reply.events(events(*chunks))

    odd.reply_with(stream)
    for _ in range(2):
        answer = ask(session, "m", [user("a")], stream=True)
        assert all("sglext" not in chunk for chunk in answer["chunks"])
    assert [len(request.json.keys() & {"return_token_ids"}) for request in odd.requests] == [
        1,
        1,
        0,
        0,
    ]
    for call in session.steps.calls[1:]:
        assert call["metrics"] == {"prompt_token_ids": [1, 2], "completion_token_ids": [3, 4]}


def test_refused_arguments_are_dropped_and_remembered(odd: RecordingServer, relay: Running) -> None:
    def refuse(request: Recorded) -> Reply:
        for name, status in (("return_token_ids", 400), ("logprobs", 403)):
            if name in request.json:
                return Reply.json({"error": {"message": f"Unknown parameter: '{name}'."}}, status)
        return Reply.json(completion())

    odd.reply_with(refuse)
    first = relay.session_of(f"{odd.url}/v1", "openai")
    assert ask(first, "m", [user("a")]) == completion()
    assert [set(request.json) & IDS for request in odd.requests] == [IDS, {"logprobs"}, set()]
    assert len(first.steps.calls) == 1
    second = relay.session_of(f"{odd.url}/v1", "openai")
    ask(second, "m", [user("a")])
    assert len(odd.requests) == 4
    # Another model may take them.
    ask(second, "n", [user("a")])
    assert len(odd.requests) == 7


def test_a_refusal_that_names_nothing_is_believed_if_the_call_succeeds_without(
    odd: RecordingServer, relay: Running
) -> None:
    odd.reply_with(
        lambda request: (
            Reply.json({"detail": "extra fields"}, 422)
            if IDS & set(request.json)
            else Reply.json(completion())
        )
    )
    session = relay.session_of(f"{odd.url}/v1", "strict")
    for _ in range(2):
        ask(session, "m", [user("a")])
    assert len(odd.requests) == 3
    odd.reply_with(Reply.json({"detail": "bad messages"}, 400))
    second = relay.session_of(f"{odd.url}/v1", "other")
    for _ in range(2):
        answer = HTTP.post(f"{second.base_url}/chat/completions", json=chat())
        assert (answer.status_code, answer.json()) == (400, {"detail": "bad messages"})
    odd.reply_with(Reply.json(completion()))
    ask(second, "m", [user("a")])
    assert set(odd.last.json) & IDS == IDS


@pytest.mark.parametrize("stream", [False, True])
def test_responses(odd: RecordingServer, relay: Running, stream: bool) -> None:
    def respond(request: Recorded) -> Reply:
        sent = request.json
        item = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at":1}'}
        text = {"type": "output_text", "text": "seen"}
        text_item = {"type": "message", "role": "assistant", "content": [text]}
        items = (
            [text_item]
            if "previous_response_id" in sent
            else [{"type": "reasoning", "summary": []}, item]
        )
        usage: dict[str, Any] = {
            "input_tokens": 7,
            "output_tokens": 2,
            "input_tokens_details": {"cached_tokens": 4},
        }
        body: dict[str, Any] = {
            "id": f"r{len(odd.requests)}",
            "model": "m-1",
            "status": "completed",
        }
        body |= {"output": items, "usage": usage}
        if not sent.get("stream"):
            return Reply.json(body)
        first = {"type": "response.output_text.delta", "delta": "se"}
        return Reply.events(events(first, {"type": "response.completed", "response": body}))

    odd.reply_with(respond)
    session = relay.session_of(f"{odd.url}/v1")
    url = f"{session.base_url}/responses"
    call: dict[str, Any] = {
        "model": "m",
        "input": "go",
        "instructions": "be brief",
        "stream": stream,
    }
    HTTP.post(url, json=call).raise_for_status()
    output = {"type": "function_call_output", "call_id": "c1", "output": "a door"}
    call |= {"input": [output], "previous_response_id": "r1"}
    HTTP.post(url, json=call).raise_for_status()
    assert odd.last.json == call
    roles = [message["role"] for message, _ in session.steps.added]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert session.steps.added[2][0]["tool_calls"][0]["name"] == "look"
    assert session.steps.added[3][0]["tool_call_id"] == "c1"
    assert session.steps.texts[-1] == ("assistant", "seen")
    for step in session.steps.calls:
        assert step["metrics"] == {"prompt_tokens": 7, "completion_tokens": 2, "cached_tokens": 4}


def test_completions(odd: RecordingServer, relay: Running) -> None:
    logprobs = {"token_logprobs": [-0.5], "tokens": ["b"]}
    choice = {
        "index": 0,
        "text": "b",
        "finish_reason": "length",
        "token_ids": [2],
        "logprobs": logprobs,
    }
    odd.reply_with(Reply.json({**completion(), "choices": [choice]}))
    session = relay.session_of(f"{odd.url}/v1")
    HTTP.post(f"{session.base_url}/completions", json={"model": "m", "prompt": "a"})
    assert odd.last.json["logprobs"] == 1
    assert session.steps.texts == [("user", "a"), ("assistant", None)] or session.steps.texts == [
        ("user", "a"), ("assistant", "b"),
    ]  # fmt: skip
    assert session.steps.calls[0]["metrics"]["logprobs"] == [-0.5]


@pytest.mark.parametrize(
    "body", [{"choices": 3}, {"model": [1]}, {"choices": [{"message": 3}]}, {"usage": []}, [], {}]
)
def test_an_odd_answer_is_recorded_as_it_may_be(
    odd: RecordingServer, relay: Running, body: Any
) -> None:
    odd.reply_with(Reply.json(body))
    session = relay.session_of(f"{odd.url}/v1")
    for stream in (False, True):
        answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat(stream=stream))
        assert answer.json() == body
    odd.reply_with(Reply.events(events(body, {"choices": [{"index": [], "delta": 3}]})))
    HTTP.post(f"{session.base_url}/chat/completions", json=chat(stream=True))
    assert len(session.steps.calls) == 3
    assert not session.session.running


def test_who_has_no_token_is_refused(relay: Running, session: Running) -> None:
    paths = ["/v1/models", "/r/x/v1/models", f"/r/{session.session.token}x/v1/models", "/", "/r/"]
    for path in paths:
        answer = HTTP.get(f"{relay.address}{path}", headers={"authorization": "Bearer no"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_an_api_key_leads_to_its_rollout(
    relay: Running, session: Running, models: ScriptedModels, name: str
) -> None:
    token = session.session.token
    value = f"Bearer {token}" if name == "authorization" else token
    url = f"{relay.address}/v1/chat/completions"
    HTTP.post(url, json={**chat(), "model": "say:ho"}, headers={name: value}).raise_for_status()
    assert session.steps.texts == [("user", "hi"), ("assistant", "ho")]
    expected = "Bearer sk-upstream" if name == "authorization" else "sk-upstream"
    assert models.requests[-1].headers[name] == expected
    assert token not in str(models.requests[-1].headers)
    # Servers look at either of two.
    keys = {"authorization": "Bearer sk-1", "api-key": "sk-1", name: value}
    HTTP.post(url, json={**chat(), "model": "say:ho"}, headers=keys).raise_for_status()
    sent = models.requests[-1].headers
    assert (sent["authorization"], sent["api-key"]) == ("Bearer sk-upstream", "sk-upstream")


def test_a_path_leads_nowhere_else(session: Running, models: ScriptedModels) -> None:
    count = len(models.requests)
    for path in ("/v1/%2e%2e/admin", "/v1/a/..%2fb", "/v2/models", "/v1", "/v1/..%5cx"):
        url = httpx.URL(session.base_url).copy_with(
            raw_path=f"/r/{session.session.token}{path}".encode()
        )
        assert HTTP.get(url).status_code == 404
    assert len(models.requests) == count


def test_without_a_key_of_its_own_the_relay_passes_that_of_the_client_on(
    relay: Running, odd: RecordingServer
) -> None:
    session = relay.session_of(f"{odd.url}/v1")
    headers = {"authorization": "Bearer of-the-client"}
    HTTP.get(f"{session.base_url}/models", headers=headers)
    assert odd.last.headers["authorization"] == "Bearer of-the-client"
    headers = {"authorization": f"Bearer {session.session.token}"}
    HTTP.get(f"{session.base_url}/models", headers=headers)
    assert "authorization" not in odd.last.headers


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (EpisodeLimits(max_turns=2), 2),
        (EpisodeLimits(max_tokens=3), 2),
        # A call of a token costs a dollar, and its answer two.
        (EpisodeLimits(max_cost_usd=3.5), 2),
    ],
)
def test_a_limit_ends_the_episode(
    relay: Running, models: ScriptedModels, limits: EpisodeLimits, count: int
) -> None:
    prices = {"say:ho": ModelPrice(1e6, 2e6)}
    session = relay.session_of(models.base_url, "sk-upstream", limits, prices)
    body = {**chat(), "model": "say:ho"}
    url = f"{session.base_url}/chat/completions"
    answers = [HTTP.post(url, json=body) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * count + [400] * (4 - count)
    error = answers[-1].json()["error"]
    [name] = [name for name in ("max_turns", "max_tokens", "max_cost_usd") if getattr(limits, name)]
    assert error["code"] == f"episode_ended_{name}"
    assert answers[-1].headers["x-should-retry"] == "false"
    assert session.steps.added[-1][0] == {"role": "system", "content": error["message"]}
    assert session.steps.added[-1][1]["extra"] == {"limit": name}
    # It is recorded once.
    assert len(session.steps.calls) == count
    assert len(session.steps.added) == 2 * count + 1 - (count - 1)
    cost = [call["metrics"]["cost_usd"] for call in session.steps.calls]
    assert cost == [3.0] * count


def test_a_price_is_never_negative() -> None:
    usage = {"prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 1}
    price = ModelPrice(1e6, 2e6, 0.5e6)
    assert price.cost(usage) == 6 + 2 + 2
    # A server may count them apart.
    assert price.cost({**usage, "cached_tokens": 30}) == 5 + 2


def test_what_a_refused_call_would_have_told_is_recorded_once(
    relay: Running, models: ScriptedModels
) -> None:
    session = relay.session_of(models.base_url, "k", EpisodeLimits(max_turns=1))
    url = f"{session.base_url}/chat/completions"
    body = {**chat(), "model": "tool:look:{}"}
    message = HTTP.post(url, json=body).json()["choices"][0]["message"]
    answer = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "a door"}
    body["messages"] += [message, answer]
    for _ in range(2):
        assert HTTP.post(url, json=body).status_code == 400
    [_, _, result, sentence] = session.steps.texts
    assert result == ("tool", "a door")
    assert sentence == ("system", "The episode was stopped: max_turns is 1.")
    # A body may be anything.
    odd = relay.session_of(models.base_url, "k", EpisodeLimits(max_turns=0))
    refused = HTTP.post(f"{odd.base_url}/chat/completions", json={"messages": [{"role": {}}, 3]})
    assert refused.json()["error"]["code"] == "episode_ended_max_turns"


def test_a_call_that_failed_is_no_turn(relay: Running, models: ScriptedModels) -> None:
    session = relay.session_of(models.base_url, "k", EpisodeLimits(max_turns=1))
    url = f"{session.base_url}/chat/completions"
    bodies = [{**chat(), "model": model} for model in ("fail:500", "say:a", "say:a")]
    assert [HTTP.post(url, json=body).status_code for body in bodies] == [500, 200, 400]
    assert session.steps.texts[:3] == [("user", "hi"), ("assistant", None), ("assistant", "a")]


def test_a_limit_refuses_what_it_cannot_count(odd: RecordingServer, relay: Running) -> None:
    odd.reply_with(Reply.json({"id": "r", "status": "queued", "output": []}))
    limited = relay.session_of(f"{odd.url}/v1", limits=EpisodeLimits(max_cost_usd=0))
    free = relay.session_of(f"{odd.url}/v1")
    background = {"model": "m", "input": "a", "background": True}
    calls: tuple[tuple[str, Any], ...] = (
        ("/responses", background),
        ("//messages/?beta=true", {"model": "m"}),
        ("/batches", {}),
    )
    for path, body in calls:
        answer = HTTP.post(f"{limited.base_url}{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "uncounted_call")
    assert odd.requests == []
    assert all(HTTP.post(f"{free.base_url}{path}", json=body).is_success for path, body in calls)


def test_a_limit_of_turns_holds_for_calls_at_a_time(relay: Running, models: ScriptedModels) -> None:
    session = relay.session_of(models.base_url, "k", EpisodeLimits(max_turns=5))
    url = f"{session.base_url}/chat/completions"
    body = {**chat(), "model": "say:a"}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: HTTP.post(url, json=body), range(20)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(400)) == (5, 15)
    assert session.session.turns == 5
