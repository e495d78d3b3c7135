"""Rollout that a function plays: its request, and what the function reports of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from synth_pools.container.atif import step_event
from synth_pools.container.encoding import write_artifact, write_json
from synth_pools.container.trajectory import Trajectory

if TYPE_CHECKING:
    from synth_pools.serving.masking import Mask

MODEL_LIMITS = ("max_turns", "max_tokens", "max_cost_usd")
_MOST_EVENTS = 100_000
_MOST_EVENT_BYTES = 64 * 1024 * 1024
# A pool takes no larger ones.
_LARGEST_EVENT = 256 * 1024


class EpisodeError(Exception):
    """Episode that could not be played: its rollout fails with this sentence, and has no score.

    Args:
        message: One sentence that says why.
        status: `failed`, or `timeout` where a limit of time, turns or tokens ended the episode.
    """

    def __init__(self, message: str, status: Literal["failed", "timeout"] = "failed") -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Result:
    """End of an episode that was played.

    Args:
        reward: The reward; None for `rollout.reward`, as it is then.
        usage: `input_tokens`, `output_tokens`, `cost_usd` and others of the complete episode; None
            for the sum of what was reported.
        metrics: Further numbers, added to `rollout.metrics`.
        artifacts: Contents by name, added to the reported ones.
        trajectory: The trajectory, a `Trajectory` or an object in ATIF; None for the steps that
            were reported.
        extra: Further fields of the answer, which stay in `result` of the rollout.
    """

    reward: float | None = None
    usage: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    trajectory: Trajectory | Mapping[str, Any] | None = field(default=None, kw_only=True)
    extra: Mapping[str, Any] = field(default_factory=dict)


class Rollout:
    """Rollout to play, handed to the function of a container; it may be used from any thread.

    Attributes:
        id: The id.
        request: The body of the submission.
        task_id: The task; None where none was named.
        task: The metadata of the task, of a container whose tasks have some.
        seed: The seed; None where none was given.
        env: Settings of the environment.
        policy: Settings of the policy.
        params: Further parameters.
        limits: The limits, as they were given.
        deadline: The time, by `time.monotonic()`, at which the episode is stopped; None without
            a limit.
        is_cancelled: True once the rollout was cancelled, or its time is over.
        reward: The reward so far, to be set by the function.
        metrics: Numbers so far, such as `steps`, to be changed by the function.
        trajectory: The steps so far. It may be told the agent's name, version, model and tools.
        refusal: The sentence of the limit that has refused a call of the model; None while none
            has.
    """

    def __init__(
        self,
        rollout_id: str,
        request: Mapping[str, Any],
        task: Mapping[str, Any],
        deadline: float | None,
    ) -> None:
        self.id = rollout_id
        self.request = dict(request)
        self.task_id: str | None = request.get("task_id")
        self.task = dict(task)
        self.seed: int | None = request.get("seed")
        self.env: dict[str, Any] = request.get("env") or {}
        self.policy: dict[str, Any] = request.get("policy") or {}
        self.params: dict[str, Any] = request.get("params") or {}
        self.limits: dict[str, Any] = request.get("limits") or {}
        self.deadline = deadline
        self.is_cancelled = False
        self.reward: float | None = None
        self.metrics: dict[str, Any] = {}
        self.trajectory = Trajectory(session_id=rollout_id)
        self.refusal: str | None = None
        # A finalizer may print or report in the middle of a report of the same thread.
        self._lock = threading.RLock()
        self._is_closed = False
        self._events: list[str] = []
        self._event_bytes = 0
        # Called once for the next event, in the thread that reports it.
        self._on_event: Callable[[], None] | None = None
        self._artifacts: dict[str, str] = {}
        self._usage: dict[str, float] = {}
        # Its calls of models set both: the keys in what is told of its end, and the cost by prices.
        self.mask: Mask | None = None
        self.estimated_usd = 0.0
        self._open_model: Callable[[Rollout, Collection[str]], str] | None = None

    def __repr__(self) -> str:
        return f"Rollout({self.id!r}, task_id={self.task_id!r}, seed={self.seed!r})"

    @property
    def remaining(self) -> float | None:
        """Seconds until the episode is stopped, at least 0; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def limit(self, name: str) -> Any:
        """Return one of the limits; None where it was not given.

        Args:
            name: Its name, such as `max_turns`.

        Raises:
            EpisodeError: It is no number.
        """
        value = self.limits.get(name)
        if value is not None and type(value) not in (int, float):
            raise EpisodeError(f"`limits.{name}` is no number: {write_json(value)}.")
        return value

    @property
    def model_url(self) -> str:
        """Address of the policy's model, an OpenAI-compatible one for this rollout alone.

        Its calls are passed on to `inference_url` of the policy, with the key of the container, and
        become steps and usage. Beyond `max_turns`, `max_tokens` and `max_cost_usd` of the limits
        they are refused.

        Raises:
            EpisodeError: The policy has no address, or a limit is no number.
            asyncio.CancelledError: The rollout was cancelled.
        """
        return self.open_model()

    def open_model(self, limits: Collection[str] = MODEL_LIMITS) -> str:
        """Return `model_url`; at its first use, only these limits are those of its calls."""
        if not self._is_open() or self._open_model is None:
            raise EpisodeError("The rollout has ended, or has no container that records calls.")
        return self._open_model(self, limits)

    def event(self, data: Mapping[str, Any]) -> None:
        """Report an event, which readers of the rollout's stream see within a moment.

        Args:
            data: Any object; `sequence` and `created_at` are added to it.

        Raises:
            asyncio.CancelledError: The rollout was cancelled.
        """
        # Written here, so that the function may change it afterwards.
        data = {**data, "created_at": datetime.now(UTC).isoformat()}
        data.pop("sequence", None)
        text = write_json(data)
        if len(text) > _LARGEST_EVENT:
            text = write_json({"truncated": True, "size_bytes": len(text)})
        with self._lock:
            number = len(self._events) + 1
            if self._is_open() and number <= _MOST_EVENTS and self._event_bytes < _MOST_EVENT_BYTES:
                self._event_bytes += len(text)
                self._events.append(f'{{"sequence":{number},{text[1:]}')
                if self._on_event is not None:
                    on_event, self._on_event = self._on_event, None
                    on_event()

    def step(self, source: str = "agent", message: Any = "", **fields: Any) -> None:
        """Report a step of the trajectory, which readers of the stream see in a short form at once.

        Args:
            source: `agent`, `user` or `system`.
            message: A text, or parts of content.
            fields: `tool_calls`, `observation`, `reward`, `metrics` and the other arguments of
                `Trajectory.add`.

        Raises:
            ValueError: The source is another word.
            asyncio.CancelledError: The rollout was cancelled.
        """
        with self._lock:
            if self._is_open():
                self.event(step_event(self.trajectory.add(source, message, **fields)))

    def artifact(
        self,
        name: str,
        content: Any,
        *,
        content_type: str | None = None,
        artifact_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Report an artifact; a later one of the same name takes its place.

        Args:
            name: Its name; may hold folders: `logs/1.txt`.
            content: A text, bytes, a file as a `Path`, or any value, which becomes JSON.
            content_type: The media type; None for that of its name or content.
            artifact_type: A word to find it by.
            metadata: Anything else.

        Raises:
            OSError: The file cannot be read.
            asyncio.CancelledError: The rollout was cancelled.
        """
        fields = {"content_type": content_type, "artifact_type": artifact_type}
        text = write_artifact(name, content, metadata=metadata, **fields)
        with self._lock:
            if self._is_open():
                self._artifacts[name] = text

    def usage(self, **amounts: float | None) -> None:
        """Add to the usage, for example after each call of a model.

        Args:
            amounts: `input_tokens`, `output_tokens`, `cost_usd` and others by their names; None
                is passed over. Where nothing is added, the sums of the trajectory are the usage.

        Raises:
            asyncio.CancelledError: The rollout was cancelled.
        """
        with self._lock:
            if self._is_open():
                for name, amount in amounts.items():
                    if amount is not None:
                        self._usage[name] = self._usage.get(name, 0) + amount

    def _is_open(self) -> bool:
        # A function in a thread cannot be interrupted: it stops at its next report.
        if self.is_cancelled:
            raise asyncio.CancelledError("the rollout was cancelled")
        return not self._is_closed
