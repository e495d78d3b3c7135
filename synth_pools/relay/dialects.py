"""Formats of calls: chat completions, responses and completions, as messages of a chat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = Mapping[str, Any]
# An answer may claim any index.
_MOST_CHOICES = 1000
_GROWING = {"content", "text", "arguments", "input", "refusal", "reasoning_content", "reasoning"}
_ARGUMENTS = ("arguments", "input", "action", "operation")


@dataclass(slots=True)
class Choice:
    """Answer of a model, of which a call may have several."""

    message: Json
    finish_reason: str | None = None
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass(slots=True)
class ModelAnswer:
    """Content of an answer.

    Attributes:
        choices: The choices.
        model: The model that the server names.
        response_id: The id that a later call goes on from.
        usage: The tokens under the names of ATIF, and `cost_usd` where the server says it.
        prompt_token_ids: The ids of the prompt.
        error: The error that it has in spite of its status.
    """

    choices: list[Choice] = field(default_factory=list)
    model: str | None = None
    response_id: str | None = None
    usage: dict[str, float] = field(default_factory=dict)
    prompt_token_ids: list[int] = field(default_factory=list)
    error: str | None = None


class Dialect(NamedTuple):
    """Format of the calls of one path: their messages, answers, and answers made of events."""

    messages: Callable[[Json], list[Json]]
    read: Callable[[Json], ModelAnswer]
    fold: Callable[[Iterable[Json]], dict[str, Any]]


def _type_of(part: Json) -> str:
    return f"[{part.get('type')}]"


def content_text(content: Any, describe: Callable[[Json], str] = _type_of) -> str:
    """Return the text of a message's content; parts that are no text are named by their type.

    Args:
        content: The content.
        describe: Returns what takes the place of a part that is no text.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else json.dumps(content)
    parts = [part if isinstance(part, Mapping) else {"text": part} for part in content]
    texts = (part.get("text", part.get("refusal")) for part in parts)
    return "".join(
        describe(part) if text is None else str(text)
        for part, text in zip(parts, texts, strict=True)
    )


def _object(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def objects_in(value: Any) -> list[Json]:
    """Return the objects of a list; none of any other value."""
    # Those of JSON are of this type, which is asked for faster than others are.
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def tools_of(body: Json) -> list[Json]:
    """Return the tools of a call as chat completions have them."""
    tools = []
    for tool in objects_in(body.get("tools")):
        if tool.get("type") == "function" and "function" not in tool:
            function = {name: value for name, value in tool.items() if name != "type"}
            tool = {"type": "function", "function": function}
        tools.append(tool)
    return tools


def _numbers(value: Any) -> list[Any]:
    # Some servers have a list for each choice.
    value = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    values = value if isinstance(value, list) else []
    return values if set(map(type, values)) <= {int, float} else []


def _chat_messages(body: Json) -> list[Json]:
    return objects_in(body.get("messages"))


def _completion_messages(body: Json) -> list[Json]:
    prompt = body.get("prompt")
    texts = prompt if isinstance(prompt, list) else [prompt]
    if texts and isinstance(texts[0], int):
        texts = [json.dumps(texts)]
    return [{"role": "user", "content": content_text(text)} for text in texts]


def _response_messages(body: Json) -> list[Json]:
    messages: list[Json] = []
    if text := body.get("instructions"):
        messages.append({"role": "system", "content": content_text(text)})
    if isinstance(body.get("input"), str):
        return [*messages, {"role": "user", "content": body["input"]}]
    return messages + _messages_of_items(objects_in(body.get("input")))


def _messages_of_items(items: Iterable[Json]) -> list[Json]:
    """Return the messages of items; what a model says between two of others is one message."""
    messages: list[Json] = []
    answer: dict[str, Any] | None = None
    for item in items:
        kind, role = str(item.get("type", "message")), item.get("role")
        if kind.endswith("_call_output") or (kind == "message" and role != "assistant"):
            answer = None
            content = item.get("output", item.get("content"))
            call_id = item.get("call_id", item.get("id"))
            messages.append({"role": role or "tool", "content": content, "tool_call_id": call_id})
            continue
        if answer is None:
            answer = {"role": "assistant", "content": "", "reasoning": "", "tool_calls": []}
            messages.append(answer)
        text = content_text(item.get("content"))
        if "call_id" in item:
            # A function, or a tool such as a shell that the client runs.
            arguments = next((item[name] for name in _ARGUMENTS if name in item), None)
            name = item.get("name", kind.removesuffix("_call"))
            call = {"id": item["call_id"], "name": name, "arguments": arguments}
            answer["tool_calls"].append(call)
        elif kind == "reasoning":
            answer["reasoning"] += content_text(item.get("summary")) or text
        else:
            # Tools that the server runs itself are named.
            answer["content"] += text if kind == "message" else f"[{kind}]"
    return messages


def _answer(answer: Json) -> ModelAnswer:
    usage = _object(answer.get("usage"))
    details = _object(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    amounts = {
        "prompt_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
        "completion_tokens": usage.get("completion_tokens", usage.get("output_tokens")),
        "cached_tokens": details.get("cached_tokens"),
        "cost_usd": usage.get("cost"),
    }
    amounts = {
        name: value
        for name, value in amounts.items()
        if type(value) in (int, float) and 0 <= value < float("inf")
    }
    error = answer.get("error")
    return ModelAnswer(
        model=answer.get("model"),
        response_id=answer.get("id"),
        usage=amounts,
        error=json.dumps(error, ensure_ascii=False) if error else None,
    )


def _choices_answer(answer: Json) -> ModelAnswer:
    result = _answer(answer)
    extension = _object(answer.get("sglext"))
    prompt_ids = answer.get("prompt_token_ids") or extension.get("input_ids")
    for choice in objects_in(answer.get("choices")):
        added = _object(choice.get("provider_specific_fields"))
        prompt_ids = prompt_ids or choice.get("prompt_token_ids") or added.get("prompt_token_ids")
        ids = choice.get("token_ids") or choice.get("response_token_ids") or added.get("token_ids")
        logprobs = _object(choice.get("logprobs"))
        values = [item.get("logprob") for item in objects_in(logprobs.get("content"))]
        message = _object(choice.get("message") or {"content": choice.get("text")})
        content = message.get("content") or message.get("refusal")
        result.choices.append(
            Choice(
                {**message, "role": "assistant", "content": content},
                choice.get("finish_reason"),
                _numbers(ids or extension.get("output_ids")),
                _numbers(values or logprobs.get("token_logprobs")),
            )
        )
    result.prompt_token_ids = _numbers(prompt_ids)
    return result


def _response_answer(answer: Json) -> ModelAnswer:
    result = _answer(answer)
    items = [item for item in objects_in(answer.get("output")) if item.get("role") != "user"]
    messages = [item for item in _messages_of_items(items) if item["role"] == "assistant"]
    reason = _object(answer.get("incomplete_details")).get("reason") or answer.get("status")
    # It broke off.
    reason = None if reason == "in_progress" else reason
    result.choices = [Choice(message, reason) for message in messages[:1]]
    return result


class _Texts(list[str]):
    """Pieces of a text, of which there may be thousands."""


def _merge(total: dict[str, Any], part: Json) -> None:
    """Add the piece of a choice to what is there: texts, lists and calls of tools grow."""
    for name, value in part.items():
        former = total.get(name)
        if value is None:
            total.setdefault(name, None)
        elif name in _GROWING and isinstance(value, str):
            if isinstance(former, _Texts):
                former.append(value)
            else:
                total[name] = _Texts([value])
        elif name == "tool_calls":
            calls = total[name] = former or []
            for call in objects_in(value):
                index = call.get("index")
                # Some servers send each call as a whole, and no place.
                index = index if isinstance(index, int) else len(calls)
                while len(calls) <= min(index, _MOST_CHOICES):
                    calls.append({})
                _merge(calls[index], call)
        elif isinstance(value, dict):
            total[name] = former or {}
            _merge(total[name], value)
        elif isinstance(value, list):
            # That of an event stays as it is.
            total[name] = former or []
            total[name] += value
        else:
            total[name] = value


def _joined(value: Any) -> Any:
    """Return what was merged, with each text as a whole."""
    if isinstance(value, _Texts):
        return "".join(value)
    if isinstance(value, dict):
        return {
            name: list(map(_joined, item)) if name == "tool_calls" else _joined(item)
            for name, item in value.items()
        }
    return value


def _fold_choices(events: Iterable[Json]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        for part in objects_in(event.get("choices")):
            index = part.get("index", 0)
            if len(choices) < _MOST_CHOICES or index in choices:
                piece = {**part, "message": part.get("delta")} if "delta" in part else part
                _merge(choices.setdefault(index, {}), piece)
        if extension := event.get("sglext"):
            _merge(answer.setdefault("sglext", {}), extension)
        for name in ("id", "model", "usage", "prompt_token_ids", "error"):
            if event.get(name) is not None:
                answer[name] = event[name]
    return {**answer, "choices": [_joined(choices[index]) for index in sorted(choices)]}


def _fold_response(events: Iterable[Json]) -> dict[str, Any]:
    items: list[Any] = []
    texts: list[str] = []
    answer: dict[str, Any] = {}
    for event in events:
        answer = dict(event.get("response") or answer)
        kind = event.get("type")
        if kind == "response.output_text.delta":
            texts.append(str(event.get("delta")))
        elif kind == "response.output_item.done":
            items.append(event.get("item"))
            texts.clear()
        elif kind == "error":
            answer["error"] = event
    if not answer.get("output"):
        # It broke off.
        text = {"type": "message", "role": "assistant", "content": "".join(texts)}
        answer["output"] = [*items, text] if texts else items
    return answer


DIALECTS = {
    "chat/completions": Dialect(_chat_messages, _choices_answer, _fold_choices),
    "completions": Dialect(_completion_messages, _choices_answer, _fold_choices),
    "responses": Dialect(_response_messages, _response_answer, _fold_response),
}
