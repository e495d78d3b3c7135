"""Fields of a step in ATIF 1.8, of any value that a program has for them."""

from __future__ import annotations

import json
import math
import mimetypes
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from synth_pools.container.encoding import write_json

# In the event of a step.
_LONGEST_SHOWN = 2000
_MOST_SHOWN = 20

# Figures of steps that are summed, by their names in the usage of a rollout.
TOTALS = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "cached_input_tokens": "cached_tokens",
    "cost_usd": "cost_usd",
}
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
# vLLM writes this for a probability of 0, which JSON cannot.
_LOWEST_LOGPROB = -9999.0


def content_of(value: Any) -> str | list[dict[str, Any]]:
    """Return the content of a message or an observation as ATIF has it: a text, or parts."""
    if value is None or isinstance(value, str):
        return value or ""
    value = plain_of(value)
    if isinstance(value, list) and value and all(map(_is_part, value)):
        parts = [_part(part) for part in value]
        if all(part["type"] == "text" for part in parts):
            return "".join(part["text"] for part in parts)
        return parts
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def time_of(value: datetime | str | None, extra: dict[str, Any]) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is not None:
        try:
            return datetime.fromisoformat(value).isoformat()
        except (TypeError, ValueError):
            extra["timestamp"] = plain_of(value)
    return datetime.now(UTC).isoformat()


def step_event(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event that tells a step in few words, without token ids."""
    short = {"type": "step", "step_id": step["step_id"], "source": step["source"]}
    short["message"] = _cut(step["message"])
    for name in ("model_name", "reasoning_content"):
        if name in step:
            short[name] = _cut(step[name])
    if "tool_calls" in step:
        short["tool_calls"] = [
            {"function_name": _cut(call["function_name"]), "arguments": _cut(call["arguments"])}
            for call in step["tool_calls"][:_MOST_SHOWN]
        ]
    if "observation" in step:
        results = step["observation"]["results"][:_MOST_SHOWN]
        short["observation"] = [_cut(result["content"]) for result in results]
    metrics = step.get("metrics", {})
    short |= {name: metrics[name] for name in TOTALS.values() if name in metrics}
    if "reward" in step.get("extra", ()):
        short["reward"] = step["extra"]["reward"]
    return short


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    source = part.get("source")
    source = source if isinstance(source, dict) else {}
    is_image = part["type"] == "image" and source.get("media_type") in _IMAGES
    is_audio = part["type"] == "audio" and str(source.get("media_type")).startswith("audio/")
    if is_image and source.keys() == {"media_type", "path"}:
        return {"type": "image", "source": source}
    if is_audio and source.keys() - {"duration_sec"} == {"media_type", "path"}:
        return {"type": "audio", "source": source}
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    if part["type"] in ("image_url", "input_image") and isinstance(url, str):
        kind = mimetypes.guess_type(url)[0]
        if kind in _IMAGES:
            return {"type": "image", "source": {"media_type": kind, "path": url}}
    return {"type": "text", "text": json.dumps(part, ensure_ascii=False)}


def tool_calls_of(calls: Iterable[Any]) -> list[dict[str, Any]]:
    written = []
    for number, call in enumerate(map(object_of, calls), 1):
        function = call.get("function", call.get("custom"))
        function = function if isinstance(function, dict) else {"name": function}
        call_id = call.get("tool_call_id") or call.get("call_id") or call.get("id")
        name = call.get("function_name") or function.get("name") or call.get("name")
        arguments = call.get("arguments", function.get("arguments", function.get("input")))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                arguments = {"_raw": arguments}
        if not isinstance(arguments, dict):
            arguments = {} if arguments is None else {"_raw": arguments}
        fields = {
            "tool_call_id": str(call_id or f"call_{number}"),
            "function_name": str(name or ""),
            "arguments": arguments,
        }
        if isinstance(call.get("extra"), dict):
            fields["extra"] = call["extra"]
        written.append(fields)
    return written


def results_of(observation: Any, call_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Write an observation; ids that no call of the step has are left beside the content."""
    if isinstance(observation, Mapping) and "results" in observation:
        observation = observation["results"]
    is_list = isinstance(observation, list | tuple)
    if not is_list or not all(
        isinstance(item, Mapping) and "content" in item for item in observation
    ):
        return [{"content": content_of(observation)}]
    results = []
    for item in observation:
        result: dict[str, Any] = {"content": content_of(item["content"])}
        extra = object_of(item.get("extra") or {})
        call_id = item.get("source_call_id") or item.get("tool_call_id")
        if call_id is not None and call_id in call_ids:
            result["source_call_id"] = call_id
        elif call_id is not None:
            extra["unknown_call_id"] = plain_of(call_id)
        if isinstance(references := item.get("subagent_trajectory_ref"), list):
            result["subagent_trajectory_ref"] = plain_of(references)
        results.append(result | ({"extra": extra} if extra else {}))
    return results


def metrics_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in dict(metrics).items():
        field_name = TOTALS.get(name, name)
        item = _FIELDS[field_name](value) if field_name in _FIELDS else None
        if item is not None and field_name not in fields:
            fields[field_name] = item
        elif name == "extra" and isinstance(value, Mapping):
            extra |= object_of(value)
        elif value is not None:
            extra[str(name)] = plain_of(value)
    return fields | ({"extra": extra} if extra else {})


def _amount(value: Any, types: tuple[type, ...] = (int, float)) -> float | None:
    value = plain_of(value)
    return value if type(value) in types and value >= 0 else None


def _ids(value: Any) -> list[int] | None:
    value = value if isinstance(value, list) else plain_of(value)
    return value if isinstance(value, list) and set(map(type, value)) <= {int} else None


def _logprobs(value: Any) -> list[float] | None:
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, list | tuple) or not set(map(type, value)) <= {int, float}:
        return None
    if not all(item < math.inf for item in value):
        return None
    return [max(float(item), _LOWEST_LOGPROB) for item in value]


_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(TOTALS.values(), partial(_amount, types=(int,))),
    "cost_usd": _amount,
    "prompt_token_ids": _ids,
    "completion_token_ids": _ids,
    "logprobs": _logprobs,
}


def plain_of(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    return json.loads(write_json(value))


def object_of(value: Any) -> dict[str, Any]:
    value = plain_of(value)
    return value if isinstance(value, dict) else {"value": value}


def write_value(value: Any) -> str:
    text = write_json(value)
    if "\\ud" not in text:
        return text
    # Most readers refuse lone surrogates.
    text = json.dumps(json.loads(text), ensure_ascii=False)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.dumps(json.loads(text), separators=(",", ":"))
