"""Changes of state of pools and rollouts, and the line of the log that tells of one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger("synth_pools.backend.states")

# Of the request that is being answered here; None where nobody asked, as when a rollout ends.
REQUEST_ID: ContextVar[str | None] = ContextVar("synth_pools_request_id", default=None)


@dataclass(frozen=True, slots=True)
class PoolChange:
    """A pool has got another state."""

    pool_id: str
    status: str
    # Of a failure: its error code.
    code: str | None = None


# Made for each rollout: a frozen one takes three times as long.
@dataclass(slots=True)
class RolloutChange:
    """A rollout has got another state."""

    pool_id: str
    rollout_id: str
    status: str
    # JSON text, as it is stored.
    trace: str = "null"
    # Of one that waits again: it was admitted before.
    is_put_back: bool = False
    # Of a start, and of the end of one that was started: the number of the attempt.
    attempt: int | None = None
    # Of a failure: its error code.
    code: str | None = None
    # How long it waited for its first start, of that and of the end; how long it ran since then.
    queue_seconds: float | None = None
    run_seconds: float | None = None

    @property
    def is_end(self) -> bool:
        """True of the last one of a rollout."""
        return self.status not in ("queued", "running")


def write_line(change: PoolChange | RolloutChange, request_id: str | None) -> None:
    """Write one line of the log: ids and states, never what somebody sent or answered."""
    is_step = isinstance(change, RolloutChange) and not change.is_end
    level = logging.DEBUG if is_step else logging.INFO
    if not _log.isEnabledFor(level):
        return
    if isinstance(change, PoolChange):
        fields: dict[str, Any] = {"pool_id": change.pool_id, "code": change.code}
    else:
        fields = {
            "pool_id": change.pool_id,
            "rollout_id": change.rollout_id,
            "trace_correlation_id": None if change.trace == "null" else json.loads(change.trace),
            "attempt": change.attempt,
            "code": change.code,
            "queue_seconds": change.queue_seconds,
            "run_seconds": change.run_seconds,
        }
    fields["request_id"] = request_id
    noun = "pool" if isinstance(change, PoolChange) else "rollout"
    # Not `_log.log`, which looks for the line of code that called it: that costs as much again.
    record = logging.getLogRecordFactory()(
        _log.name, level, __file__, 0, "%s %s", (noun, change.status), None
    )
    vars(record).update(line_fields(fields))
    _log.handle(record)


def line_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `extra` of a log record that shows these fields; None is left out."""
    return {"fields": {name: value for name, value in fields.items() if value is not None}}
