"""Removes what runs of the kit made, and nothing else."""

from __future__ import annotations

import time

from synth_pools.contract.http.client import BusyError, Probe, StoppedError, UnreachableError, at
from synth_pools.contract.session import OURS, Ledger

_SECONDS = 20.0
_PAGES = 1_000


def remove_made(probe: Probe, ledger: Ledger, limit: float = _SECONDS) -> int:
    """Archive the pools of this run; how many are left over."""
    deadline = time.monotonic() + limit
    for pool_id in ledger.left():
        if time.monotonic() > deadline:
            break
        try:
            answer = probe.call("delete_pool", {"pool_id": pool_id}, limit=10.0)
        except (BusyError, StoppedError, UnreachableError):
            break
        # 404: it was registered before it was made, and then was not made.
        if answer.status in (200, 404):
            ledger.gone(pool_id)
    return len(ledger.left())


def remove_leftovers(probe: Probe) -> tuple[int, int]:
    """Archive the pools of earlier runs, told by their names; how many went, how many did not."""
    found: dict[str, None] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        query = {"limit": 100} if cursor is None else {"limit": 100, "cursor": cursor}
        answer = probe.call("list_pools", query=query)
        items = answer.at("items")
        for pool in items if isinstance(items, list) else []:
            name, pool_id = at(pool, "name"), at(pool, "pool_id")
            ours = any(isinstance(text, str) and OURS.match(text) for text in (name, pool_id))
            if isinstance(pool_id, str) and ours and at(pool, "status") != "archived":
                found[pool_id] = None
        following = answer.at("next_cursor")
        if not isinstance(following, str) or following == cursor:
            break
        cursor = following
    gone = 0
    for pool_id in found:
        gone += probe.call("delete_pool", {"pool_id": pool_id}).status == 200
    return gone, len(found) - gone
