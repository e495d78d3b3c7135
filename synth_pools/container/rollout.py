"""Rollout that a function plays: its request, and what the function reports of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from synth_pools.container.encoding import artifact_json, write_json

_MOST_EVENTS = 100_000
_MOST_EVENT_BYTES = 64 * 1024 * 1024
_LONGEST_LOG = 1024 * 1024
_PAGE_BYTES = 4 * 1024 * 1024


class EpisodeError(Exception):
    """Episode that could not be played: its rollout fails with this sentence, and has no score.

    Args:
        message: One sentence that says why.
        status: `failed`, or `timeout` where a limit of time, turns or tokens ended the episode.
    """

    def __init__(self, message: str, status: Literal["failed", "timeout"] = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.status = status

    def __reduce__(self) -> tuple[type[EpisodeError], tuple[str, str]]:
        return type(self), (self.message, self.status)


@dataclass(frozen=True, slots=True)
class Result:
    """End of an episode that was played.

    Args:
        reward: The reward; None for `rollout.reward`, as it is then.
        usage: `input_tokens`, `output_tokens`, `cost_usd` and others of the complete episode; None
            for the sum of what was reported.
        metrics: Further numbers, added to `rollout.metrics`.
        artifacts: Contents by name, added to the reported ones.
        extra: Further fields of the answer, which stay in `result` of the rollout.
    """

    reward: float | None = None
    usage: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


class Reports:
    """Reports of a function about its rollout so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_cancelled = False
        self._is_closed = False
        self.events: list[str] = []
        self._event_bytes = 0
        self.artifacts: dict[str, str] = {}
        self.usage: dict[str, float] = {}
        self._log: deque[str] = deque()
        self._log_length = 0
        self._is_log_cut = False

    @property
    def byte_count(self) -> int:
        """Size of all events."""
        return self._event_bytes

    @property
    def log(self) -> str:
        """The end of what the rollout has printed."""
        with self._lock:
            text = "".join(self._log)
        return f"[... the beginning is cut off]\n{text}" if self._is_log_cut else text

    def close(self) -> None:
        """Take no more reports."""
        with self._lock:
            self._is_closed = True

    def _is_open(self) -> bool:
        # A function in a thread cannot be interrupted: it stops at its next report.
        if self.is_cancelled:
            raise asyncio.CancelledError("the rollout was cancelled")
        return not self._is_closed

    def add_event(self, data: dict[str, Any]) -> None:
        data["created_at"] = datetime.now(UTC).isoformat()
        # Written here, so that the function may change it afterwards.
        text = write_json({name: value for name, value in data.items() if name != "sequence"})
        with self._lock:
            if not self._is_open() or self._is_full():
                return
            self._event_bytes += len(text)
            if self._is_full():
                text = write_json({"truncated": True, "created_at": data["created_at"]})
            self.events.append(f'{{"sequence":{len(self.events) + 1},{text[1:]}')

    def _is_full(self) -> bool:
        return len(self.events) >= _MOST_EVENTS or self._event_bytes > _MOST_EVENT_BYTES

    def add_artifact(self, name: str, text: str) -> None:
        with self._lock:
            if self._is_open():
                self.artifacts[name] = text

    def add_usage(self, amounts: Mapping[str, float | None]) -> None:
        with self._lock:
            if not self._is_open():
                return
            for name, amount in amounts.items():
                if amount is not None:
                    self.usage[name] = self.usage.get(name, 0) + amount

    def add_log(self, text: str) -> None:
        with self._lock:
            if self._is_closed or not text:
                return
            self._log.append(text[-_LONGEST_LOG:])
            self._log_length += len(self._log[-1])
            self._is_log_cut |= len(text) > _LONGEST_LOG
            while self._log_length > _LONGEST_LOG:
                self._log_length -= len(self._log.popleft())
                self._is_log_cut = True

    def page(self, after: int, limit: int) -> tuple[list[str], bool]:
        """Return events after a position, and whether there are more."""
        events = self.events[after : after + limit]
        size = 0
        for count, text in enumerate(events):
            size += len(text)
            if size > _PAGE_BYTES and count:
                events = events[:count]
                break
        return events, after + len(events) < len(self.events)


class Rollout:
    """Rollout to play, handed to the function of a container.

    All of it may be used from any thread.

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
        reward: The reward so far, to be set by the function.
        metrics: Numbers so far, such as `steps`, to be changed by the function.
    """

    def __init__(
        self,
        rollout_id: str,
        request: Mapping[str, Any],
        report: Reports,
        task: Mapping[str, Any],
        deadline: float | None,
    ) -> None:
        self.id = rollout_id
        self.request = dict(request)
        self.task_id: str | None = self.request.get("task_id")
        self.task = dict(task)
        self.seed: int | None = self.request.get("seed")
        self.env: dict[str, Any] = self.request.get("env") or {}
        self.policy: dict[str, Any] = self.request.get("policy") or {}
        self.params: dict[str, Any] = self.request.get("params") or {}
        self.limits: dict[str, Any] = self.request.get("limits") or {}
        self.deadline = deadline
        self.reward: float | None = None
        self.metrics: dict[str, Any] = {}
        self._report = report

    def __repr__(self) -> str:
        return f"Rollout({self.id!r}, task_id={self.task_id!r}, seed={self.seed!r})"

    @property
    def remaining(self) -> float | None:
        """Seconds until the episode is stopped, at least 0; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def is_cancelled(self) -> bool:
        """True once the rollout was cancelled, or its time is over."""
        return self._report.is_cancelled

    def event(self, data: Mapping[str, Any]) -> None:
        """Report an event, which readers of the rollout's stream see at once.

        Args:
            data: Any object; `sequence` and `created_at` are added to it.

        Raises:
            asyncio.CancelledError: The rollout was cancelled.
        """
        self._report.add_event(dict(data))

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
            content: A text, bytes, the path of a file as a `Path`, or any value, which becomes
                JSON.
            content_type: The media type; None for that of its name or content.
            artifact_type: A word to find it by.
            metadata: Anything else.

        Raises:
            OSError: The file cannot be read.
            asyncio.CancelledError: The rollout was cancelled.
        """
        text = artifact_json(name, content, content_type, artifact_type, metadata)
        self._report.add_artifact(name, text)

    def usage(self, **amounts: float | None) -> None:
        """Add to the usage, for example after each call of a model.

        Args:
            amounts: `input_tokens`, `output_tokens`, `cost_usd` and others by their names; None
                is passed over.

        Raises:
            asyncio.CancelledError: The rollout was cancelled.
        """
        self._report.add_usage(amounts)
