"""What a rollout used."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ..domain.clock import now, seconds_between


def usage_document(rollout: sqlite3.Row) -> dict[str, Any]:
    seconds = 0.0
    if rollout["started_at"] is not None:
        seconds = seconds_between(rollout["started_at"], rollout["finished_at"] or now())
    return {
        "id": rollout["id"],
        "rollout_id": rollout["id"],
        "pool_id": rollout["pool_id"],
        "wall_time_sec": seconds,
        "sandbox_minutes": round(seconds / 60, 6),
        "llm_input_tokens": None,
        "llm_output_tokens": None,
        "bytes_uploaded": 0,
        "bytes_downloaded": 0,
        "cost_usd": None,
        "provider_costs": {},
        **json.loads(rollout["usage"]),
    }
