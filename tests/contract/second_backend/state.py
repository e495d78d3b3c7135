"""Pools, tasks and rollouts, in memory."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.second_backend.artifacts import Artifact
from tests.contract.second_backend.events import EventLog
from tests.contract.second_backend.rules import Rules

# The system's source gives other threads a turn each time, and the kit has many.
_IDS = random.Random()
FINAL = ("completed", "failed", "cancelled")
DEFAULT_TIMEOUT = 600.0
# Names under which containers report the same figure.
_INPUT = ("llm_input_tokens", "input_tokens", "prompt_tokens")
_OUTPUT = ("llm_output_tokens", "output_tokens", "completion_tokens")
_COST = ("cost_usd", "total_cost_usd")
_ALIASES = {"pool_config": "config", "pool_metadata": "metadata"}
_STAMPS = {"status", "created_at", "updated_at"}
# Fields of a body that the server decides, or that are stored elsewhere.
_NOT_OF_POOLS = {"id", "pool_id", "tasks"}
_NOT_OF_TASKS = {"id", "task_id", "pool_id"}


class Clock:
    """UTC times, each later than all before, so that changes have an order."""

    def __init__(self) -> None:
        self._last = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last


def text_of(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Task:
    id: str
    definition: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    number: int

    @property
    def container_url(self) -> str | None:
        return self.definition.get("container_url")

    def shown(self, pool: Pool, status: str = "active") -> dict[str, Any]:
        keeps = pool.keeps
        return {
            **(self.definition if keeps("tasks.unknown_fields") else {}),
            "id": self.id,
            "task_id": self.id if keeps("tasks.two_ids") else self.id.upper(),
            "pool_id": pool.id,
            "backend": self.definition.get("backend")
            or (pool.backend if keeps("tasks.backend_of_pool") else "none"),
            "task_config": self.definition.get("task_config") or {},
            "task_metadata": self.definition.get("task_metadata") or {},
            "container_url": self.container_url,
            "status": status,
            "created_at": text_of(self.created_at),
            "updated_at": text_of(self.updated_at),
        }


@dataclass
class Pool:
    id: str
    owner: str
    definition: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    number: int
    keeps: Rules
    state: str = "active"
    archived_at: datetime | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    waiting: list[Rollout] = field(default_factory=list)
    running: list[Rollout] = field(default_factory=list)
    # Starts of the shares that wait, and of the last one that started.
    shares: dict[str, float] = field(default_factory=dict)
    level: float = 0.0
    # Times of the starts.
    starts: list[datetime] = field(default_factory=list)
    first_telemetry: Any = None

    def telemetry(self, mode: str) -> Any:
        """Return what is sent with a rollout of a mode; None for nothing."""
        is_sent = mode == "sync" or self.keeps("containers.telemetry")
        sent = self.config.get("telemetry") if is_sent else None
        self.first_telemetry = self.first_telemetry or sent
        return sent if self.keeps("containers.telemetry_changes") else self.first_telemetry

    def is_due(self, now: datetime) -> bool:
        """Return True if the rate of the pool admits a start."""
        rate = self.config.get("max_starts_per_second")
        if not rate or not self.keeps("queue.start_rate"):
            return True
        if rate < 1 and not self.keeps("queue.slow_rate"):
            rate = 1
        number, seconds = (int(rate), 1.0) if rate >= 1 else (1, 1 / rate)
        latest = self.starts[-number:]
        return len(latest) < number or (now - latest[0]).total_seconds() > seconds

    def may_start(self) -> bool:
        """Return True if its state and its places admit a start."""
        if self.state == "archived":
            return False
        full = len(self.running) >= self.concurrency and self.keeps("queue.concurrency")
        paused = self.state != "active" and self.keeps("pause.queue_waits")
        return not (full or paused)

    def started(self, share: str) -> float:
        """Return what the starts of a share count; one that begins to wait is level."""
        return self.shares.get(share, self.level if self.keeps("queue.late_share") else 0.0)

    def weight(self, priority: int) -> float:
        """Return what a start of a priority counts."""
        return 1.25**-priority if priority > 0 or self.keeps("queue.low_priority") else 1.0

    @property
    def name(self) -> str:
        return str(self.definition.get("name") or self.id)

    @property
    def target(self) -> str:
        from_backend = self.definition.get("backend")
        targets = ("harbor", "openenv", "horizons", "horizons_private", "arbitrary")
        fallback = from_backend if from_backend in targets else "arbitrary"
        if not self.keeps("pools.target_of_backend"):
            fallback = "arbitrary"
        return str(self.definition.get("target") or fallback)

    @property
    def backend(self) -> str:
        default = self.target if self.keeps("pools.backend_of_target") else "arbitrary"
        return str(self.definition.get("backend") or default)

    @property
    def config(self) -> dict[str, Any]:
        return self.definition.get("config") or {}

    @property
    def capacity(self) -> int:
        return int(self.definition.get("capacity") or 1)

    @property
    def concurrency(self) -> int:
        default = 8 if self.keeps("pools.default_concurrency") else 1
        return int(self.definition.get("concurrency") or default)

    @property
    def load(self) -> float:
        return (len(self.waiting) + len(self.running)) / self.concurrency

    @property
    def urls(self) -> list[str]:
        """Return the addresses of its containers, each once."""
        first = self.definition.get("container_url")
        addresses = [first] if first else []
        return list(dict.fromkeys([*addresses, *(self.definition.get("container_urls") or [])]))

    def shown(self) -> dict[str, Any]:
        metadata = self.definition.get("metadata") or {}
        same = self.keeps("pools.same_state")
        return {
            **(self.definition if self.keeps("pools.unknown_fields") else {}),
            "id": self.id,
            "pool_id": self.id,
            "name": self.name,
            "target": self.target,
            "backend": self.backend,
            "status": self.state if same else "active",
            "state": self.state,
            "config": self.config,
            "pool_config": self.config if self.keeps("pools.two_configs") else {},
            "metadata": metadata,
            "pool_metadata": metadata,
            "tasks": [task.shown(self) for task in self.tasks.values()],
            "capacity": self.capacity,
            "concurrency": self.concurrency,
            "container_url": self.definition.get("container_url"),
            "container_urls": self.definition.get("container_urls") or [],
            "error": None,
            "created_at": text_of(self.created_at),
            "updated_at": text_of(self.updated_at),
            "archived_at": text_of(self.archived_at) if self.keeps("pools.archived_at") else None,
        }


@dataclass
class Rollout:
    id: str
    pool: Pool
    request: dict[str, Any]
    mode: str
    created_at: datetime
    updated_at: datetime
    number: int
    events: EventLog
    replay_of: str | None = None
    state: str = "queued"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    result: dict[str, Any] | None = None
    reward: float | None = None
    error: dict[str, Any] | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    container_url: str | None = None
    # Time since when it waits for an unreachable container.
    away_since: datetime | None = None
    # Reason for which it was put back into the queue.
    refused: dict[str, Any] | None = None
    uploaded: int = 0
    downloaded: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Task[None] | None = None

    @property
    def task_id(self) -> str | None:
        return self.request.get("task_id")

    @property
    def timeout(self) -> float:
        keeps = self.pool.keeps
        limits = self.request.get("limits") or {}
        own_limit = limits.get("timeout_seconds")
        is_read = keeps("time_limit.beside_limits") if limits else keeps("time_limit.of_pool")
        pools = self.pool.config.get("timeout_seconds") if is_read else None
        if not keeps("time_limit.own_wins"):
            return float(pools or own_limit or DEFAULT_TIMEOUT)
        return float(own_limit or pools or DEFAULT_TIMEOUT)

    @property
    def attempts(self) -> int:
        return int((self.request.get("limits") or {}).get("max_attempts") or 1)

    def seconds(self, now: datetime) -> float:
        """Return the seconds that it has run."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or now) - self.started_at).total_seconds()

    def shown(self) -> dict[str, Any]:
        keeps = self.pool.keeps
        return {
            "id": self.id,
            "rollout_id": self.id,
            "pool_id": self.pool.id,
            "task_id": self.task_id if keeps("rollouts.task_id") else None,
            "status": self.state,
            "state": self.state,
            "mode": self.mode,
            "request": self.request,
            "result": self.result,
            "metrics": {"outcome_reward": self.reward},
            "score": self.reward if keeps("rollouts.score") else None,
            "error": self.error,
            "trace_correlation_id": self.request.get("trace_correlation_id")
            if keeps("rollouts.trace")
            else None,
            "run": self.request.get("run") if keeps("rollouts.run") else None,
            "labels": (self.request.get("labels") or {}) if keeps("rollouts.run") else {},
            "replay_of": self.replay_of,
            "created_at": text_of(self.created_at),
            "started_at": text_of(self.started_at),
            "finished_at": text_of(self.finished_at),
            "updated_at": text_of(self.updated_at),
        }

    def summary(self) -> dict[str, Any]:
        keeps = self.pool.keeps
        started, finished = self.started_at, self.finished_at
        queued = (started - self.created_at).total_seconds() if started else None
        ran = (finished - started).total_seconds() if started and finished else None
        last = self.events.items[-1] if keeps("summary.last_event") else self.events.items[0]
        return {
            "id": self.id,
            "rollout_id": self.id,
            "pool_id": self.pool.id,
            "status": self.state,
            "state": self.state,
            "score": self.reward,
            "reward": self.reward if keeps("summary.reward") else None,
            "last_event": last,
            "timing": {
                "created_at": text_of(self.created_at),
                "started_at": text_of(started),
                "finished_at": text_of(finished),
                "queue_seconds": queued if keeps("summary.queue_seconds") else 0,
                "run_seconds": ran if keeps("summary.run_seconds") else 0,
            },
            "error": self.error if keeps("summary.error") else None,
            "usage": self.reported() or None,
        }

    def reported(self) -> dict[str, Any]:
        """Return what the container reports, without what it does not report."""
        keeps = self.pool.keeps
        reports = _reports(self.result or {}) if keeps("usage.reported") else []
        figures = {
            "input_tokens": _count(reports, *_INPUT),
            "output_tokens": _count(reports, *_OUTPUT),
            "cached_input_tokens": _count(reports, "cached_input_tokens", "cached_tokens"),
            "cost_usd": _number(reports, *_COST),
        }
        aliases = {*figures, *_INPUT, *_OUTPUT, *_COST, "cached_tokens"}
        result = self.result or {}
        parts = (result.get("usage"), (result.get("summary") or {}).get("usage"))
        numbers = [
            (name, value)
            for name, value in (next(filter(None, parts), {}) if reports else {}).items()
            if is_number(value) and name not in aliases and len(name) <= 64
        ]
        others = dict(numbers[:32]) if keeps("summary.usage_numbers") else {}
        return {**_given(figures), **others}

    def usage(self, now: datetime) -> dict[str, Any]:
        keeps = self.pool.keeps
        seconds = self.seconds(now) if keeps("usage.wall_time") else 0
        reports = _reports(self.result or {}) if keeps("usage.reported") else []
        return {
            "id": self.id,
            "rollout_id": self.id,
            "pool_id": self.pool.id,
            "wall_time_sec": seconds,
            "sandbox_minutes": seconds / 60 if keeps("usage.minutes") else seconds,
            "llm_input_tokens": _count(reports, *_INPUT),
            "llm_output_tokens": _count(reports, *_OUTPUT),
            "bytes_uploaded": self.uploaded if keeps("usage.bytes") else 0,
            "bytes_downloaded": self.downloaded if keeps("usage.bytes") else 0,
            "cost_usd": _number(reports, *_COST),
            "provider_costs": next(
                (costs for it in reports if isinstance(costs := it.get("provider_costs"), dict)), {}
            ),
        }


@dataclass
class Store:
    """All pools and rollouts."""

    keeps: Rules
    clock: Clock = field(default_factory=Clock)
    pools: dict[str, Pool] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    # Each cursor that was issued, with the list that it belongs to and the last number seen.
    cursors: dict[str, tuple[tuple[Any, ...], int]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        return next(self._numbers)

    @staticmethod
    def new_id(kind: str) -> str:
        return f"{kind}_{_IDS.randbytes(16).hex()}"


def pool_definition(body: dict[str, Any], keeps: Rules, *, patch: bool = False) -> dict[str, Any]:
    """Return a pool's body in the shorter spellings, without fields of the server.

    Args:
        body: A pool, or parts of one.
        keeps: The rules.
        patch: Keep nulls, which remove something where parts are merged.
    """
    others = {*_STAMPS, "state", "archived_at", "error"}
    hidden = _NOT_OF_POOLS | others
    definition = {name: value for name, value in body.items() if name not in hidden}
    for longer, shorter in _ALIASES.items():
        if longer not in definition:
            continue
        value = definition.pop(longer)
        null_counts = patch or not keeps("pools.null_not_given")
        wins = shorter not in definition if null_counts else definition.get(shorter) is None
        if wins or not keeps("pools.shorter_wins"):
            definition[shorter] = value
    return definition if patch else _given(definition)


def task_definition(body: dict[str, Any], *, patch: bool = False) -> dict[str, Any]:
    """Return a task's body in the same form."""
    hidden = _NOT_OF_TASKS | _STAMPS
    definition = {name: value for name, value in body.items() if name not in hidden}
    return definition if patch else _given(definition)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def merged(target: Any, patch: Any, keeps: Rules) -> Any:
    """Merge according to RFC 7396."""
    if not isinstance(patch, dict):
        if isinstance(patch, list) and isinstance(target, list) and not keeps("merge.arrays"):
            return [*target, *patch]
        return patch
    result = dict(target) if isinstance(target, dict) and keeps("merge.objects") else {}
    for name, value in patch.items():
        if value is None:
            if keeps("merge.nulls"):
                result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value, keeps)
    return result


def canonical(value: Any) -> Any:
    """Return a text that is equal for equal JSON."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((key, canonical(inner)) for key, inner in value.items())))
    if isinstance(value, list):
        return ("array", tuple(canonical(inner) for inner in value))
    if isinstance(value, bool) or value is None:
        return ("word", str(value))
    return ("number", value) if isinstance(value, int | float) else ("text", value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _reports(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects in which a container's answer may report usage."""
    summary = result.get("summary")
    inner = summary if isinstance(summary, dict) else {}
    places = (result.get("usage"), inner.get("usage"), result.get("metrics"), inner)
    return [place for place in places if isinstance(place, dict)]


def _count(reports: list[dict[str, Any]], *names: str) -> int | None:
    value = _number(reports, *names)
    return None if value is None else int(value)


def _number(reports: list[dict[str, Any]], *names: str) -> float | None:
    values: list[Any] = [report.get(name) for report in reports for name in names]
    return next((value for value in values if is_number(value) and value >= 0), None)
