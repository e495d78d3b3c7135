"""Trajectory of an episode: its steps in ATIF 1.8, the trajectory format of Harbor."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from synth_pools.container.atif import (
    TOTALS,
    content_of,
    metrics_of,
    object_of,
    plain_of,
    results_of,
    time_of,
    tool_calls_of,
    write_value,
)

SCHEMA_VERSION = "ATIF-v1.8"
# A pool takes no larger answer of a container.
LARGEST_ANSWER = 64 * 1024 * 1024
# Room for the final metrics and notes.
_FOOT = 1024

_SOURCES = {"assistant": "agent", "developer": "system"}


@dataclass(slots=True)
class _Step:
    number: int
    source: str
    text: str
    extra: str
    results: list[str]
    call_ids: Collection[str]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.text) + len(self.extra) + sum(map(len, self.results)) + 60

    def write(self) -> str:
        text = self.text
        if self.results:
            text = f'{text[:-1]},"observation":{{"results":[{",".join(self.results)}]}}}}'
        return f'{text[:-1]},"extra":{self.extra}}}' if self.extra else text


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
        self._callers: dict[str, _Step] = {}
        self._size = 0
        self._document = ""
        self._count = 0
        self._totals: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Trajectory({self.agent_name!r}, {self._count} steps)"

    def __len__(self) -> int:
        return 1 if self._document else self._count

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
        after: int | None = None,
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
            after: The step that its conversation goes on from, 0 for the start of another, which
                becomes `extra.after_step`; None for the step before.
            extra: Further fields.

        Returns:
            The step. Beyond 64 MiB it is not stored, but counted.

        Raises:
            ValueError: The source is another word.
        """
        source = _SOURCES.get(source, source)
        if source not in ("agent", "user", "system"):
            raise ValueError(f"The source of a step is agent, user or system, and not {source!r}.")
        more = {} if extra is None else object_of(extra)
        if reward is not None:
            more["reward"] = plain_of(reward)
        fields = {
            "model_name": None if model_name is None else str(model_name),
            "reasoning_content": None if reasoning_content is None else str(reasoning_content),
            "tool_calls": None if tool_calls is None else tool_calls_of(tool_calls),
            "metrics": None if metrics is None else metrics_of(metrics),
        }
        fields = {name: value for name, value in fields.items() if value}
        if source != "agent":
            # ATIF has them for the agent alone.
            more, fields = more | fields, {}
        step: dict[str, Any] = {
            "step_id": 0,
            "timestamp": time_of(timestamp, more),
            "source": source,
            "message": content_of(message),
            **fields,
        }
        if is_copied_context:
            step["is_copied_context"] = True
        least = 1 if fields.keys() & {"metrics", "reasoning_content"} else 0
        if isinstance(llm_call_count, int) and llm_call_count >= least:
            step["llm_call_count"] = int(llm_call_count)
        elif llm_call_count is not None:
            more["llm_call_count"] = plain_of(llm_call_count)
        call_ids = [call["tool_call_id"] for call in step.get("tool_calls", ())]
        results = [] if observation is None else results_of(observation, call_ids)
        text = write_value(step).removeprefix('{"step_id":0,')
        with self._lock:
            if after is not None and after != self._count:
                more["after_step"] = after
            self._count += 1
            step["step_id"] = self._count
            for name in TOTALS.values():
                if name in step.get("metrics", ()):
                    self._totals[name] = self._totals.get(name, 0) + step["metrics"][name]
            if self.model_name is None:
                self.model_name = step.get("model_name")
            if not self._is_closed and len(self._steps) == self._count - 1:
                text = f'{{"step_id":{self._count},{text}'
                extra_text = write_value(more) if more else ""
                written = list(map(write_value, results))
                stored = _Step(self._count, source, text, extra_text, written, call_ids)
                if self._size + stored.size <= LARGEST_ANSWER:
                    self._size += stored.size
                    self._steps.append(stored)
                    for call_id in call_ids:
                        # Results belong to the call rather than to a copy of it.
                        if not is_copied_context or call_id not in self._callers:
                            self._callers[call_id] = stored
        if results:
            step["observation"] = {"results": results}
        return step | ({"extra": more} if more else {})

    def observe(
        self,
        content: Any,
        call_id: str | None = None,
        *,
        reward: float | None = None,
        step_id: int | None = None,
    ) -> dict[str, Any] | None:
        """Add an observation to the step that called a tool, or to the last one.

        Args:
            content: A text or any value; None for the reward alone.
            call_id: The id of the tool call that it answers.
            reward: The reward of the step.
            step_id: The step, where several may have called by this id.

        Returns:
            The step, with this observation alone; None where it is not stored.
        """
        with self._lock:
            if self._is_closed or len(self._steps) < self._count:
                return None
            step = self._steps[(step_id or 0) - 1] if self._steps else None
            if call_id is not None and (
                not step_id or step is None or call_id not in step.call_ids
            ):
                step = self._callers.get(call_id, step)
            result = {"source_call_id": call_id, "content": content}
            [result] = results_of([result], () if step is None else step.call_ids)
            if step is None:
                extra = result.get("extra")
                return self.add("user", result["content"], extra=extra, reward=reward)
            text, extra_text = "" if content is None else write_value(result), step.extra
            if reward is not None:
                extra_text = write_value({**json.loads(extra_text or "{}"), "reward": reward})
            growth = len(text) + 1 + len(extra_text) - len(step.extra)
            if self._size + growth > LARGEST_ANSWER:
                return None
            self._size += growth
            step.size += growth
            step.results += [text] if text else []
            step.extra = extra_text
            observed: dict[str, Any] = {"step_id": step.number, "source": step.source}
            observed |= {"message": "", "observation": {"results": [result] if text else []}}
            return observed if reward is None else observed | {"extra": {"reward": reward}}

    def is_answered(self, call_id: str) -> bool:
        """Return whether the step that called a tool by this id has an observation of it."""
        text = f'"source_call_id":{write_value(call_id)}'
        with self._lock:
            step = self._callers.get(call_id)
            return step is not None and any(text in result for result in step.results)

    def replace(self, document: Mapping[str, Any]) -> None:
        """Have an object in ATIF, of another recorder, in place of the steps.

        Args:
            document: The object, which is written as it is.
        """
        self._document = write_value(document)

    def add_message(self, message: Mapping[str, Any], **fields: Any) -> dict[str, Any] | None:
        """Add a message of a chat, as OpenAI has them.

        Args:
            message: Its `role`, `content` and `tool_calls`; the `tool_call_id` of a tool's answer
                leads to the step that it belongs to.
            fields: Further arguments of `add`.

        Returns:
            The step. For a tool's answer it is that of the call, with this observation alone, or
            None where that is not stored.
        """
        content, role = message.get("content"), message.get("role", "user")
        if role in ("tool", "function"):
            call_id, after = message.get("tool_call_id"), fields.get("after")
            if after == 0:
                # Nothing in its conversation has called it.
                return self.add("user", content, extra={"unknown_call_id": call_id}, after=after)
            return self.observe("" if content is None else content, call_id, step_id=after)
        if role == "assistant":
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            fields.setdefault(
                "reasoning_content", reasoning if isinstance(reasoning, str) else None
            )
            fields.setdefault("tool_calls", message.get("tool_calls"))
        return self.add(role, content, **fields)

    @property
    def usage(self) -> dict[str, float]:
        """Sums of all steps, as `usage` of a rollout has them."""
        with self._lock:
            sums = self._totals
            return {name: sums[total] for name, total in TOTALS.items() if total in sums}

    def to_dict(self) -> dict[str, Any]:
        """Return the trajectory in ATIF."""
        document: dict[str, Any] = json.loads(self.to_json())
        return document

    def to_json(self, limit_bytes: int = LARGEST_ANSWER) -> str:
        """Write the trajectory in ATIF, as ASCII.

        Args:
            limit_bytes: The most bytes; further steps are left out, and `notes` says so. Another
                recorder's object is always complete.
        """
        if self._document:
            return self._document
        tools = plain_of(self.tool_definitions)
        agent = {
            "name": str(self.agent_name),
            "version": str(self.agent_version),
            "model_name": None if self.model_name is None else str(self.model_name),
            "tool_definitions": list(map(object_of, tools)) if isinstance(tools, list) else None,
        }
        head = {
            "schema_version": SCHEMA_VERSION,
            "session_id": self.session_id,
            "agent": {name: value for name, value in agent.items() if value},
            "extra": self.extra,
        }
        text = write_value({name: value for name, value in head.items() if value})
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
        return f'{text[:-1]},"steps":[{",".join(stored)}],{write_value(foot)[1:]}'

    def close(self) -> None:
        """Drop all steps, and store no more."""
        with self._lock:
            self._is_closed, self._steps, self._callers, self._document = True, [], {}, ""


def usage_of(trajectory: Trajectory | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the usage that a trajectory tells: its sums, or the final metrics of an object."""
    if isinstance(trajectory, Trajectory):
        return trajectory.usage
    metrics = trajectory.get("final_metrics") if isinstance(trajectory, Mapping) else None
    sums = metrics if isinstance(metrics, Mapping) else {}
    usage = {name: sums.get(f"total_{total}") for name, total in TOTALS.items()}
    return {name: amount for name, amount in usage.items() if amount is not None}
