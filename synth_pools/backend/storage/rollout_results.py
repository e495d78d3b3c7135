"""Results of rollouts, as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synth_pools.backend.domain import json_text
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage.artifacts import ContentRow
from synth_pools.backend.storage.contents.store import Content


# Made for each rollout: a frozen one takes three times as long.
@dataclass(slots=True)
class RolloutResult:
    """Result of a rollout, every document as JSON text."""

    status: str
    result: str = "null"
    metrics: str = '{"outcome_reward":null}'
    reward: str = "null"
    error: str = "null"
    usage: str = "{}"
    artifacts: str = "[]"
    # What is to be on disk before this is written, and what then names it.
    contents: tuple[Content, ...] = ()
    content_rows: tuple[ContentRow, ...] = ()
    # Room for a large one.
    reserved: Reservation | None = None

    def last_words(self) -> str:
        """Return the data of the last event, as JSON text."""
        if self.status == "failed":
            return f'{{"status":"failed","error":{self.error}}}'
        return f'{{"status":"{self.status}","outcome_reward":{self.reward}}}'

    def give_room_back(self) -> None:
        """Give back the room of a large one, which is stored."""
        if self.reserved is not None:
            self.reserved.release()


def failure(code: str, message: str, details: dict[str, Any] | None = None) -> RolloutResult:
    """Build the result of a rollout that failed."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return RolloutResult("failed", error=json_text.dumps(error))
