"""The service as a whole."""

from __future__ import annotations

from .. import pool_rows, rollout_rows
from ..calls import Call, Reply, reply
from ..definitions import TARGETS


async def get_queue_status(call: Call) -> Reply:
    with call.backend.store.reading() as db:
        queued, running = rollout_rows.count_unfinished(db)
        capacity = pool_rows.total_concurrency(db)
    return reply({"queued": queued, "running": running, "capacity": capacity})


async def get_capabilities(call: Call) -> Reply:
    return reply(
        {
            "targets": list(TARGETS),
            "features": {
                "echo": True,
                "event_resume": True,
                "idempotency_keys": True,
                "sync_mode": True,
                "validate": True,
            },
            "version": call.backend.contract.version,
        }
    )
