"""Reading operations of the API, answered from the journal of a fleet."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from synth_pools._client.fleet.journal import AdmissionRecord, BadLineError, OutcomeRecord
from synth_pools._client.fleet.journal_reader import JournalReader

_NO_POOL = "no-pool"
_MOST_ITEMS = 1000


class JournalApi:
    """Reading operations of the API, for a journal that may still grow.

    Only the ids of its rollouts and their places are in memory.

    Raises:
        BadLineError: It is no journal.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._reader = JournalReader(path)
        # In the order of the journal.
        self._indices: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        with self._lock:
            self._catch_up()

    def get(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        """Answer a GET of a percent-encoded path; return the status and the document."""
        with self._lock:
            self._catch_up()
            return self._answer(path, query)

    def _answer(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        run = self._reader.run
        parts = [unquote(part) for part in path.strip("/").split("/")[1:]]
        pool = {"status": "recorded", "container_url": run.base_url}
        name = run.pool_id or _NO_POOL
        match parts:
            case ["pools"]:
                return 200, {"items": [{"id": name, "name": name, **pool}], "next_cursor": None}
            case ["pools", str() as pool_id] if pool_id == name:
                return 200, {"id": name, "name": name, **pool}
            case ["pools", str() as pool_id, "rollouts"] if pool_id == name:
                return 200, self._page(query)
            case ["rollouts"]:
                return 200, self._page(query)
            case ["rollouts", str() as rollout_id] if rollout_id in self._indices:
                return 200, self._rollout(self._indices[rollout_id])
        return 404, {"error": {"code": "not_found", "message": "The journal does not have this."}}

    def _catch_up(self) -> None:
        for index in self._reader.new():
            rollout_id = _id_of(self._record(index))
            self._ids[index] = rollout_id
            self._indices[rollout_id] = index

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        limit, cursor = query.get("limit", "100"), query.get("cursor", "0")
        size = min(int(limit), _MOST_ITEMS) if limit.isdecimal() else 100
        start = int(cursor[:18]) if cursor.isdecimal() else 0
        state = query.get("state")
        indices = list(self._ids)[::-1]
        items = [self._rollout(index) for index in indices[start : start + size]]
        following = start + size
        return {
            "items": [item for item in items if state in (None, item["status"])],
            "next_cursor": str(following) if following < len(indices) else None,
        }

    def _rollout(self, index: int) -> dict[str, Any]:
        record = self._record(index)
        pool_id = self._reader.run.pool_id or _NO_POOL
        common: dict[str, Any] = {
            "id": _id_of(record),
            "pool_id": pool_id,
            "request": {},
            "result": None,
        }
        if isinstance(record, AdmissionRecord):
            return {**common, "status": "running"}
        if record.rollout is not None:
            return {**common, **record.rollout}
        error = record.error or {}
        return {
            **common,
            "status": "error",
            "error": {"code": error.get("type", "error"), "message": error.get("text", "")},
        }

    def _record(self, index: int) -> AdmissionRecord | OutcomeRecord:
        record = self._reader.record(index)
        if record is None:
            raise BadLineError(f"its request {index} is not there any more")
        return record


def _id_of(record: AdmissionRecord | OutcomeRecord) -> str:
    if isinstance(record, AdmissionRecord):
        return record.rollout_id
    rollout = record.rollout or {}
    return str(rollout.get("id") or rollout.get("rollout_id") or f"request-{record.index}")
