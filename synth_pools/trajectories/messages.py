"""Messages of a chat from a trajectory, and the sums of its models."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

_SUMS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd")


def own_steps(trajectory: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the steps without copies of another trajectory's, which are not trained on."""
    return (step for step in trajectory["steps"] if not step.get("is_copied_context"))


def results_in(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of a step's observation."""
    results: list[Mapping[str, Any]] = (step.get("observation") or {}).get("results") or []
    return results


def step_messages(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a step, as OpenAI has them, but with arguments of tools as objects.

    Observations that answer no call are messages of the user. Answers that are copies have the
    `weight` 0.
    """
    role = "assistant" if step["source"] == "agent" else step["source"]
    message: dict[str, Any] = {"role": role, "content": _content_of(step["message"])}
    if step.get("reasoning_content"):
        message["reasoning_content"] = step["reasoning_content"]
    if calls := step.get("tool_calls") or ():
        message["tool_calls"] = [
            {
                "id": call["tool_call_id"],
                "type": "function",
                "function": {"name": call["function_name"], "arguments": call["arguments"]},
            }
            for call in calls
        ]
    if role == "assistant" and step.get("is_copied_context"):
        message["weight"] = 0
    messages = [message]
    names = {call["tool_call_id"]: call["function_name"] for call in calls}
    for result in results_in(step):
        content, call_id = _content_of(result.get("content")), result.get("source_call_id")
        if call_id is None:
            messages.append({"role": "user", "content": content})
        else:
            answer = {"role": "tool", "tool_call_id": call_id, "name": names.get(call_id, "")}
            messages.append({**answer, "content": content})
    return messages


def _content_of(content: Any) -> Any:
    if not isinstance(content, list):
        return content or ""
    return [
        {"type": "image_url", "image_url": {"url": part["source"]["path"]}}
        if part["type"] == "image"
        else part
        for part in content
    ]


def model_usage(trajectory: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    """Sum the metrics of the steps, for each model."""
    usage: dict[str, Any] = defaultdict(Counter)
    default = trajectory["agent"].get("model_name")
    for step in own_steps(trajectory):
        metrics = step.get("metrics") or {}
        sums = {name: metrics[name] for name in _SUMS if metrics.get(name) is not None}
        if sums:
            usage[str(step.get("model_name") or default or "unknown")].update(sums)
    return usage


def as_text(content: Any) -> str:
    """Return the content of a message as a text; media are their paths."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(
        part["text"]
        if part.get("text") is not None
        else json.dumps(part.get("source", part.get("image_url")))
        for part in parts
    )
