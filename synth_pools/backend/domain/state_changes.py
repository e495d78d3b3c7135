"""Changes of state of pools and rollouts, and their lines in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_log = logging.getLogger("synth_pools.backend.states")

# Fields of the log for the current request: its id, and the name of its key. Empty outside of
# requests, such as at the end of a rollout.
ORIGIN: ContextVar[Mapping[str, str]] = ContextVar(
    "synth_pools_origin", default=MappingProxyType({})
)


@dataclass(frozen=True, slots=True)
class PoolChange:
    """Change of state of a pool."""

    pool_id: str
    status: str
    # Error code of a failure.
    code: str | None = None


# Not frozen: creating a frozen one takes three times as long.
@dataclass(slots=True)
class RolloutChange:
    """Change of state of a rollout."""

    pool_id: str
    rollout_id: str
    status: str
    # JSON text, as it is stored.
    trace: str = "null"
    # True if the rollout was admitted before and waits again.
    is_put_back: bool = False
    # Name of the key that created it; None for a key without a name.
    created_by: str | None = None
    # Number of the attempt, at a start and at the end of a started rollout.
    attempt: int | None = None
    # Error code of a failure.
    code: str | None = None
    # At a start and an end: seconds from admission to the first start; at an end also the seconds
    # from then on.
    queue_seconds: float | None = None
    run_seconds: float | None = None
    # At an end, or `reported` after a cancellation: the tokens read and written and the cost, as
    # texts; None where none is reported.
    figures: tuple[str | None, str | None, str | None] = (None, None, None)

    @property
    def is_end(self) -> bool:
        """True for the last change of a rollout."""
        return self.status not in ("queued", "running")


def write_line(change: PoolChange | RolloutChange, origin: Mapping[str, str]) -> None:
    """Write one line of the log: ids and states, never contents of requests or answers."""
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
            "created_by": change.created_by,
            "attempt": change.attempt,
            "code": change.code,
            "queue_seconds": change.queue_seconds,
            "run_seconds": change.run_seconds,
        }
    fields.update(origin)
    noun = "pool" if isinstance(change, PoolChange) else "rollout"
    # Not `_log.log`, which looks up the calling line of code, at twice the cost.
    record = logging.getLogRecordFactory()(
        _log.name, level, __file__, 0, "%s %s", (noun, change.status), None
    )
    vars(record).update(line_fields(fields))
    _log.handle(record)


def line_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `extra` of a log record with these fields, except for None."""
    return {"fields": {name: value for name, value in fields.items() if value is not None}}
