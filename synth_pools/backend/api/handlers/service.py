"""The service as a whole."""

from __future__ import annotations

from synth_pools.backend.domain.definitions import TARGETS
from synth_pools.backend.storage import pools, rollouts

from ..messages import Request, Response, reply

_FEATURES = (
    "artifact_downloads",
    "async_submission",
    "batch",
    "container_urls",
    "echo",
    "event_resume",
    "idempotency_keys",
    "pause",
    "replay",
    "support_bundle",
    "sync_mode",
    "validate",
)


async def get_queue_status(call: Request) -> Response:
    with call.services.database.reading() as db:
        queued, running = rollouts.count_unfinished(db)
        capacity = pools.total_concurrency(db)
    return reply({"queued": queued, "running": running, "capacity": capacity})


async def get_capabilities(call: Request) -> Response:
    return reply(
        {
            "targets": list(TARGETS),
            "features": {
                **dict.fromkeys(_FEATURES, True),
                "processes": call.services.settings.allow_processes,
            },
            "version": call.services.contract.version,
        }
    )
