"""Results of rollouts in their stored form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.state_changes import RolloutChange
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage.artifacts import ContentRow
from synth_pools.backend.storage.contents.store import Content
from synth_pools.backend.storage.database import Transaction

# A rollout gets an answer once, even if several ask its container. The figures are texts.
_STORE = """
UPDATE rollouts SET result = ?, usage = ?, artifacts = ?,
    input_tokens = CAST(CAST(? AS TEXT) AS BIGINT),
    output_tokens = CAST(CAST(? AS TEXT) AS BIGINT),
    cost_usd = CAST(CAST(? AS TEXT) AS DOUBLE PRECISION), updated_at = ?
WHERE id = ? AND status = 'cancelled' AND result = 'null' RETURNING seq, pool_id
"""

# Sums of rewards and of costs that are no larger are finite, as are those of their squares.
_LARGEST = 1e140


# Not frozen: a frozen one takes three times as long to create, for each rollout.
@dataclass(slots=True)
class RolloutResult:
    """Result of a rollout, every document as JSON text."""

    status: str
    result: str = "null"
    metrics: str = '{"outcome_reward":null}'
    reward: str = "null"
    error: str = "null"
    usage: str = "{}"
    # The tokens read and written and the cost, as texts; None for a figure that is not reported.
    figures: tuple[str | None, str | None, str | None] = (None, None, None)
    artifacts: str = "[]"
    # Data of the container's last events, stored with the end.
    agent_events: Sequence[str] = ()
    # Contents that must be on disk before the result is written, and the rows that name them.
    contents: tuple[Content, ...] = ()
    content_rows: tuple[ContentRow, ...] = ()
    # Reserved memory of a large result.
    reserved: Reservation | None = None

    def last_event_data(self) -> str:
        """Return the data of the last event, as JSON text."""
        if self.status == "failed":
            return f'{{"status":"failed","error":{self.error}}}'
        return f'{{"status":"{self.status}","outcome_reward":{self.reward}}}'

    def release_memory(self) -> None:
        """Release the reserved memory of a large result once it is stored."""
        if self.reserved is not None:
            self.reserved.release()


def column_text(value: float) -> str:
    """Return a finite number for a column that is summed; one that is too large becomes smaller."""
    return str(max(-_LARGEST, min(value, _LARGEST)))


def failure(code: str, message: str, details: dict[str, Any] | None = None) -> RolloutResult:
    """Build the result of a rollout that failed."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return RolloutResult("failed", error=json_text.dumps(error))


def store_last_answer(tx: Transaction, rollout_id: str, result: RolloutResult) -> None:
    """Store what the container of a cancelled rollout has answered; others stay as they are."""
    if result.result == "null":
        return
    values = (result.result, result.usage, result.artifacts, *result.figures, tx.now(), rollout_id)
    row = tx.execute(_STORE, values).fetchone()
    if row is None:
        return
    if result.content_rows:
        artifact_rows.insert(tx, row["seq"], result.content_rows)
    tx.changed(RolloutChange(row["pool_id"], rollout_id, "reported", figures=result.figures))
