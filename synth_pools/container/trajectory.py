"""Trajectory of an episode: its steps in ATIF 1.8, the trajectory format of Harbor."""

from __future__ import annotations

import json
import math
import mimetypes
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from synth_pools.container.encoding import write_json

SCHEMA_VERSION = "ATIF-v1.8"
# A pool takes no larger answer of a container.
LARGEST_ANSWER = 64 * 1024 * 1024
# Room for the final metrics and notes.
_FOOT = 1024

# In the event of a step.
_LONGEST_SHOWN = 2000
_MOST_SHOWN = 20

_SOURCES = {"assistant": "agent", "developer": "system"}
_AGENT_ONLY = ("model_name", "reasoning_content", "tool_calls", "metrics")
_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens")
_TOTALS = (*_COUNTS, "cost_usd")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_OTHER_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "cached_input_tokens": "cached_tokens",
}
_USAGE_NAMES = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
# vLLM writes this for a probability of 0, which JSON cannot.
_LOWEST_LOGPROB = -9999.0


@dataclass(slots=True)
class _Step:
    text: str
    results: list[str]
    call_ids: frozenset[str]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.text) + sum(map(len, self.results)) + 40

    def write(self) -> str:
        if not self.results:
            return self.text
        return f'{self.text[:-1]},"observation":{{"results":[{",".join(self.results)}]}}}}'


class Trajectory:
    """Steps of an episode, which may be added from any thread.

    Args:
        agent_name: The name of the agent.
        agent_version: Its version.
        model_name: Its model; None for that of the first step.
        tool_definitions: Its tools, as OpenAI describes functions.
        session_id: The id of the episode.
        extra: Further fields of the trajectory.
    """

    def __init__(
        self,
        agent_name: str = "agent",
        agent_version: str = "unknown",
        *,
        model_name: str | None = None,
        tool_definitions: Iterable[Mapping[str, Any]] | None = None,
        session_id: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.agent_name = agent_name
        self.agent_version = agent_version
        self.model_name = model_name
        self.tool_definitions = tool_definitions
        self.session_id = session_id
        self.extra: dict[str, Any] = dict(extra or {})
        # A finalizer may add a step in the middle of that of its own thread.
        self._lock = threading.RLock()
        self._is_closed = False
        self._steps: list[_Step] = []
        self._size = 0
        self._count = 0
        self._totals: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Trajectory({self.agent_name!r}, {self._count} steps)"

    def __len__(self) -> int:
        return self._count

    def add(
        self,
        source: str = "agent",
        message: Any = "",
        *,
        tool_calls: Iterable[Any] | None = None,
        observation: Any = None,
        reward: float | None = None,
        model_name: str | None = None,
        reasoning_content: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        timestamp: datetime | str | None = None,
        is_copied_context: bool = False,
        llm_call_count: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Add a step.

        Args:
            source: `agent`, `user` or `system`; `assistant` and `developer` are theirs, too.
            message: A text, or content parts as ATIF or OpenAI have them; anything else is written
                as JSON.
            tool_calls: Calls of tools, as ATIF or OpenAI have them.
            observation: What came of it: a text or any value, or a list of results, objects with
                `content` and the `source_call_id` of one of these tool calls.
            reward: The reward of the step, which becomes `extra.reward`.
            model_name: The model that was called.
            reasoning_content: Its reasoning.
            metrics: `prompt_tokens` (with cached ones), `completion_tokens`, `cached_tokens`,
                `cost_usd`, `prompt_token_ids`, `completion_token_ids` and `logprobs`; anything
                else becomes `extra` of the metrics.
            timestamp: The time, also in ISO format; None for now.
            is_copied_context: True for a step that is no part of this episode's own, which is not
                trained on.
            llm_call_count: The number of calls of models in it.
            extra: Further fields.

        Returns:
            The step. Beyond 64 MiB it is not stored, but counted.

        Raises:
            ValueError: The source is another word.
        """
        source = _SOURCES.get(source, source)
        if source not in ("agent", "user", "system"):
            raise ValueError(f"The source of a step is agent, user or system, and not {source!r}.")
        more = {} if extra is None else _object(extra)
        if reward is not None:
            more["reward"] = _plain(reward)
        fields = {
            "model_name": None if model_name is None else str(model_name),
            "reasoning_content": None if reasoning_content is None else str(reasoning_content),
            "tool_calls": None if tool_calls is None else _calls(tool_calls),
            "metrics": None if metrics is None else _metrics(metrics),
        }
        fields = {name: value for name, value in fields.items() if value}
        if source != "agent":
            # ATIF has them for the agent alone.
            more |= {name: fields.pop(name) for name in _AGENT_ONLY if name in fields}
        step: dict[str, Any] = {
            "step_id": 0,
            "timestamp": _time(timestamp, more),
            "source": source,
            "message": content_of(message),
            **fields,
        }
        if is_copied_context:
            step["is_copied_context"] = True
        if llm_call_count is not None:
            step["llm_call_count"] = llm_call_count
        if more:
            step["extra"] = more
        call_ids = [call["tool_call_id"] for call in step.get("tool_calls", ())]
        results = [] if observation is None else _results(observation, call_ids)
        text = _write(step).removeprefix('{"step_id":0,')
        with self._lock:
            self._count += 1
            step["step_id"] = self._count
            for name in _TOTALS:
                if name in step.get("metrics", ()):
                    self._totals[name] = self._totals.get(name, 0) + step["metrics"][name]
            if self.model_name is None:
                self.model_name = step.get("model_name")
            if not self._is_closed and len(self._steps) == self._count - 1:
                text = f'{{"step_id":{self._count},{text}'
                stored = _Step(text, [_write(result) for result in results], frozenset(call_ids))
                if self._size + stored.size <= LARGEST_ANSWER:
                    self._size += stored.size
                    self._steps.append(stored)
        return step | ({"observation": {"results": results}} if results else {})

    def observe(self, content: Any, call_id: str | None = None) -> None:
        """Add an observation to the step that called a tool, or to the last one.

        Args:
            content: A text or any value.
            call_id: The id of the tool call that it answers.
        """
        with self._lock:
            if self._is_closed or len(self._steps) < self._count:
                return
            steps = (step for step in reversed(self._steps) if call_id in step.call_ids)
            step = next(steps, self._steps[-1] if self._steps else None)
            result = {"source_call_id": call_id, "content": content}
            [result] = _results([result], () if step is None else step.call_ids)
            if step is None:
                self.add("user", result["content"], extra=result.get("extra"))
                return
            text = _write(result)
            if self._size + len(text) <= LARGEST_ANSWER:
                self._size += len(text) + 1
                step.size += len(text) + 1
                step.results.append(text)

    def add_message(self, message: Mapping[str, Any], **fields: Any) -> None:
        """Add a message of a chat, as OpenAI has them.

        Args:
            message: Its `role`, `content` and `tool_calls`; the `tool_call_id` of a tool's answer
                leads to the step that it belongs to.
            fields: Further arguments of `add`.
        """
        content, role = message.get("content"), message.get("role", "user")
        if role in ("tool", "function"):
            self.observe(content, message.get("tool_call_id"))
            return
        if role == "assistant":
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            fields.setdefault(
                "reasoning_content", reasoning if isinstance(reasoning, str) else None
            )
            fields.setdefault("tool_calls", message.get("tool_calls"))
        self.add(role, content, **fields)

    @property
    def usage(self) -> dict[str, float]:
        """Sums of all steps, as `usage` of a rollout has them."""
        with self._lock:
            return {_USAGE_NAMES.get(name, name): value for name, value in self._totals.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the trajectory in ATIF."""
        document: dict[str, Any] = json.loads(self.to_json())
        return document

    def to_json(self, limit_bytes: int = LARGEST_ANSWER) -> str:
        """Write the trajectory in ATIF, as ASCII.

        Args:
            limit_bytes: The most bytes; further steps are left out, and `notes` says so.
        """
        tools = _plain(self.tool_definitions)
        agent = {
            "name": str(self.agent_name),
            "version": str(self.agent_version),
            "model_name": None if self.model_name is None else str(self.model_name),
            "tool_definitions": list(map(_object, tools)) if isinstance(tools, list) else None,
        }
        head = {
            "schema_version": SCHEMA_VERSION,
            "session_id": self.session_id,
            "agent": {name: value for name, value in agent.items() if value},
            "extra": self.extra,
        }
        text = _write({name: value for name, value in head.items() if value})
        with self._lock:
            remaining, stored = limit_bytes - len(text) - _FOOT, []
            for step in self._steps:
                remaining -= step.size
                if remaining < 0:
                    break
                stored.append(step.write())
            totals = {f"total_{name}": value for name, value in self._totals.items()}
            foot: dict[str, Any] = {"final_metrics": {**totals, "total_steps": self._count}}
            if len(stored) < self._count:
                foot["notes"] = f"{len(stored)} of {self._count} steps are here, for their size."
        return f'{text[:-1]},"steps":[{",".join(stored)}],{_write(foot)[1:]}'

    def close(self) -> None:
        """Drop all steps, and store no more."""
        with self._lock:
            self._is_closed, self._steps, self._size = True, [], 0


def content_of(value: Any) -> str | list[dict[str, Any]]:
    """Return the content of a message or an observation as ATIF has it: a text, or parts."""
    if value is None or isinstance(value, str):
        return value or ""
    value = _plain(value)
    if isinstance(value, list) and value and all(map(_is_part, value)):
        parts = [_part(part) for part in value]
        if all(part["type"] == "text" for part in parts):
            return "".join(part["text"] for part in parts)
        return parts
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _time(value: datetime | str | None, extra: dict[str, Any]) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is not None:
        try:
            return datetime.fromisoformat(value).isoformat()
        except (TypeError, ValueError):
            extra["timestamp"] = _plain(value)
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
    short |= {name: metrics[name] for name in _TOTALS if name in metrics}
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


def _calls(calls: Iterable[Any]) -> list[dict[str, Any]]:
    written = []
    for number, call in enumerate(map(_object, calls), 1):
        function = call.get("function")
        function = function if isinstance(function, dict) else {"name": function}
        call_id = call.get("tool_call_id") or call.get("call_id") or call.get("id")
        name = call.get("function_name") or function.get("name") or call.get("name")
        arguments = call.get("arguments", function.get("arguments"))
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


def _results(observation: Any, call_ids: Iterable[str]) -> list[dict[str, Any]]:
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
        extra = _object(item.get("extra") or {})
        call_id = item.get("source_call_id") or item.get("tool_call_id")
        if call_id is not None and call_id in call_ids:
            result["source_call_id"] = call_id
        elif call_id is not None:
            extra["unknown_call_id"] = _plain(call_id)
        if isinstance(references := item.get("subagent_trajectory_ref"), list):
            result["subagent_trajectory_ref"] = _plain(references)
        results.append(result | ({"extra": extra} if extra else {}))
    return results


def _metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in dict(metrics).items():
        field_name = _OTHER_NAMES.get(name, name)
        known = _FIELDS[field_name](value) if field_name in _FIELDS else None
        if known is not None and field_name not in fields:
            fields[field_name] = known
        elif name == "extra" and isinstance(value, Mapping):
            extra |= _object(value)
        elif value is not None:
            extra[str(name)] = _plain(value)
    return fields | ({"extra": extra} if extra else {})


def _count(value: Any) -> int | None:
    value = _plain(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None


def _cost(value: Any) -> float | None:
    value = _plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and value >= 0 else None


def _ids(value: Any) -> list[int] | None:
    value = value if isinstance(value, list) else _plain(value)
    return value if isinstance(value, list) and set(map(type, value)) <= {int} else None


def _logprobs(value: Any) -> list[float] | None:
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, list | tuple) or not set(map(type, value)) <= {int, float}:
        return None
    if not all(item < math.inf for item in value):
        return None
    return [max(float(item), _LOWEST_LOGPROB) for item in value]


_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_COUNTS, _count),
    "cost_usd": _cost,
    "prompt_token_ids": _ids,
    "completion_token_ids": _ids,
    "logprobs": _logprobs,
}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    return json.loads(write_json(value))


def _object(value: Any) -> dict[str, Any]:
    value = _plain(value)
    return value if isinstance(value, dict) else {"value": value}


def _write(value: Any) -> str:
    text = write_json(value)
    if "\\ud" not in text:
        return text
    # Half a character is none, in most readers.
    text = json.dumps(json.loads(text), ensure_ascii=False)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.dumps(json.loads(text), separators=(",", ":"))
