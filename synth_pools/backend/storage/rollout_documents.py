"""Documents of rollouts in answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.clock import seconds_between
from synth_pools.backend.storage.events import Event
from synth_pools.backend.storage.statements import Row

# Columns from which the document of a rollout is built, and beside them those of its summary.
DOCUMENT_COLUMNS = (
    *("id", "pool_id", "task_id", "status", "mode", "request", "result", "metrics", "reward"),
    *("error", "trace_correlation_id", "replay_of", "created_by", "created_at", "started_at"),
    *("finished_at", "updated_at", "run", "labels"),
)
SUMMARY_COLUMNS = ("usage",)

# The columns of any size.
LARGE_COLUMNS = ("request", "result", "metrics", "error")

# Names in a summary of what `usage` holds.
_REPORTED = {
    "input_tokens": "llm_input_tokens",
    "output_tokens": "llm_output_tokens",
    "cost_usd": "cost_usd",
}


def rollout_document(row: Row | Mapping[str, Any]) -> str:
    """Return the rollout as JSON text, joined from stored texts without parsing them."""
    return (
        f'{{"id":"{row["id"]}","rollout_id":"{row["id"]}","pool_id":"{row["pool_id"]}",'
        f'"task_id":{_text(row["task_id"])},"status":"{row["status"]}","state":"{row["status"]}",'
        f'"mode":"{row["mode"]}","request":{row["request"]},"result":{row["result"]},'
        f'"metrics":{row["metrics"]},"score":{row["reward"]},"error":{row["error"]},'
        f'"trace_correlation_id":{row["trace_correlation_id"]},'
        f'"run":{_text(row["run"])},"labels":{row["labels"]},'
        f'"replay_of":{_text(row["replay_of"])},"created_by":{_text(row["created_by"])},'
        f'"created_at":"{row["created_at"]}","started_at":{_text(row["started_at"])},'
        f'"finished_at":{_text(row["finished_at"])},"updated_at":"{row["updated_at"]}"}}'
    )


def summary_document(row: Row | Mapping[str, Any], last_event: Event | None) -> str:
    """Return the summary of a rollout as JSON text."""
    started, finished = row["started_at"], row["finished_at"]
    queue_seconds = "null" if started is None else seconds_between(row["created_at"], started)
    run_seconds = (
        "null" if started is None or finished is None else seconds_between(started, finished)
    )
    return (
        f'{{"id":"{row["id"]}","rollout_id":"{row["id"]}","pool_id":"{row["pool_id"]}",'
        f'"status":"{row["status"]}","state":"{row["status"]}","score":{row["reward"]},'
        f'"reward":{row["reward"]},'
        f'"last_event":{"null" if last_event is None else last_event.envelope()},'
        f'"timing":{{"created_at":"{row["created_at"]}","started_at":{_text(started)},'
        f'"finished_at":{_text(finished)},"queue_seconds":{queue_seconds},'
        f'"run_seconds":{run_seconds}}},"error":{row["error"]},'
        f'"usage":{_reported_usage(row["usage"])}}}'
    )


def with_rollout(event: Event, row: Mapping[str, Any]) -> Event:
    """Return the last event of a rollout, extended by the rollout and its summary."""
    rollout, summary = rollout_document(row), summary_document(row, event)
    return replace(event, more=f',"rollout":{rollout},"summary":{summary}')


def _reported_usage(stored: str) -> str:
    """Return as JSON text what the container reported; null for nothing."""
    usage = json.loads(stored)
    reported = {name: usage.get(column) for name, column in _REPORTED.items()}
    reported = {name: value for name, value in reported.items() if value is not None}
    reported |= usage.get("more", {})
    return json_text.dumps(reported) if reported else "null"


def usage_document(rollout: Row, now: str) -> dict[str, Any]:
    """Return the usage of a rollout in an answer, as of a moment if it still runs."""
    seconds = 0.0
    if rollout["started_at"] is not None:
        seconds = seconds_between(rollout["started_at"], rollout["finished_at"] or now)
    stored = json.loads(rollout["usage"])
    # Only the summary has it.
    stored.pop("more", None)
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
        **stored,
    }


def _text(value: str | None) -> str:
    # Ids and timestamps need no escapes in JSON, and names of runs are stored with theirs.
    return "null" if value is None else f'"{value}"'
