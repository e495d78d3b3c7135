"""OpenAI-compatible server for tests, of which the name of a model is its script.

- `say:TEXT` says it; `seq:["a", "b"]` says one text a turn, and repeats the last one.
- `tool:NAME:{ARGUMENTS}` calls a tool until there is an answer of it, then says "done".
- `calls:["NAME:{ARGUMENTS}", "text"]` calls tools and says texts, one a turn.
- `cost:DOLLARS:SCRIPT` says that a call has cost as much.
- `slow:SECONDS:SCRIPT` waits before it answers, or until the server ends.
- `fail:STATUS` refuses each call; `fail:STATUS:COUNT:SCRIPT` the first calls alone.
- `odd:TEXT` answers a text that is no completion; `cut` breaks the connection in the middle.

The prefix of a provider, as in `openai/say:TEXT`, is ignored.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tests.support.recording import Recorded, RecordingServer, Reply

# Each prompt has this many tokens of a cache, which `prompt_tokens` includes.
CACHED_TOKENS = 1


def token_ids(value: Any) -> list[int]:
    """Return the ids of the tokens of a text: a word is a token."""
    return [sum(word.encode()) % 50_000 for word in str(value).split()] or [0]


class ScriptedModels(RecordingServer):
    """Server of scripted models, until the end of its `with` block; `requests` are the calls."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._ending = threading.Event()
        self._failures: Counter[str] = Counter()

    @property
    def base_url(self) -> str:
        """The address that clients are given, `/v1` at its end."""
        return f"{self.url}/v1"

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """The bodies of the calls, in order."""
        return [request.json for request in list(self.requests) if request.method == "POST"]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        super().__exit__(kind, error, traceback)

    def _answer(self, request: Recorded) -> Reply | None:
        if request.path.endswith("/models"):
            model = {"id": "say:hi", "object": "model", "created": 0, "owned_by": "tests"}
            return Reply.json({"object": "list", "data": [model]})
        if request.method != "POST" or not request.path.endswith("/chat/completions"):
            return _error(404, f"{request.method} {request.path} is not scripted")
        body = request.json
        return self._play(_script_of(body["model"]), body)

    def _play(self, script: str, body: dict[str, Any]) -> Reply | None:
        kind, _, rest = script.partition(":")
        if kind == "slow":
            seconds, _, script = rest.partition(":")
            self._ending.wait(float(seconds))
            return self._play(script or "say:late", body)
        if kind == "cost":
            dollars, _, script = rest.partition(":")
            return self._play(script, {**body, "cost": float(dollars)})
        if kind == "fail":
            status, _, rest = rest.partition(":")
            count, _, after = rest.partition(":")
            self._failures[body["model"]] += 1
            if not count or self._failures[body["model"]] <= int(count):
                return _error(int(status), "scripted")
            return self._play(after, body)
        if kind == "odd":
            return Reply(body=rest.encode())
        if kind == "cut":
            return Reply(body=b'{"id": "chat', cut=True)
        return _completion(body, _message(kind, rest, body["messages"]))


def _script_of(model: str) -> str:
    while "/" in model.partition(":")[0]:
        model = model.partition("/")[2]
    return model


def _message(kind: str, rest: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    turn = sum(message["role"] == "assistant" for message in messages)
    if kind == "tool":
        is_answered = any(message["role"] == "tool" for message in messages)
        return _said("done") if is_answered else _called(rest, turn)
    if kind in ("seq", "calls"):
        texts = json.loads(rest)
        text = texts[min(turn, len(texts) - 1)]
        # The name of a function, and an object.
        return _called(text, turn) if kind == "calls" and ":{" in text else _said(text)
    return _said(rest if kind == "say" else "default")


def _said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _called(text: str, turn: int) -> dict[str, Any]:
    name, _, arguments = text.partition(":")
    function = {"name": name, "arguments": arguments or "{}"}
    call = {"id": f"call_{turn}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _completion(body: dict[str, Any], message: dict[str, Any]) -> Reply:
    prompt = [token for item in body["messages"] for token in token_ids(item.get("content"))]
    output = token_ids(message["content"] or message.get("tool_calls"))
    usage = {
        "prompt_tokens": len(prompt),
        "completion_tokens": len(output),
        "total_tokens": len(prompt) + len(output),
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    }
    if "cost" in body:
        usage["cost"] = body["cost"]
    head: dict[str, Any] = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
    if body.get("logprobs"):
        tokens: list[dict[str, Any]] = [
            {"token": f"token_id:{token}", "logprob": -0.5, "bytes": None, "top_logprobs": []}
            for token in output
        ]
        choice["logprobs"] = {"content": tokens}
    if body.get("return_token_ids"):
        choice["token_ids"] = output
        head["prompt_token_ids"] = prompt
    if body.get("stream"):
        asks_usage = (body.get("stream_options") or {}).get("include_usage")
        last: dict[str, Any] = {"delta": {}, "finish_reason": reason}
        last |= {name: choice[name] for name in ("logprobs", "token_ids") if name in choice}
        return Reply.live(_chunks(head, message, last, usage if asks_usage else None))
    return Reply.json({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def _chunks(
    head: dict[str, Any],
    message: dict[str, Any],
    last: dict[str, Any],
    usage: dict[str, Any] | None,
) -> Iterator[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if calls := message.get("tool_calls"):
        numbered = [{"index": index, **call} for index, call in enumerate(calls)]
        deltas = [{"role": "assistant", "content": None, "tool_calls": numbered}]
    else:
        deltas += [{"content": text} for text in message["content"].splitlines(keepends=True)]
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas
    ]
    choices.append([{"index": 0, **last}])
    if usage is not None:
        choices.append([])
    for part in choices:
        used = None if part else usage
        chunk = {**head, "object": "chat.completion.chunk", "choices": part, "usage": used}
        yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _error(status: int, message: str) -> Reply:
    problem = {"message": message, "type": "server_error", "code": None}
    # Clients that try again do so at once.
    return Reply.json({"error": problem}, status, retry_after="0")
