"""Handlers of the service: queue and capabilities."""

from __future__ import annotations

from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, json_response
from synth_pools.backend.domain.definitions import TARGETS
from synth_pools.backend.storage import pools, rollouts

_FEATURES = (
    "artifact_downloads",
    "async_submission",
    "batch",
    "container_probes",
    "container_urls",
    "echo",
    "event_pages",
    "event_resume",
    "event_rollouts",
    "idempotency_keys",
    "pause",
    "pool_events",
    "pool_logs",
    "replay",
    "support_bundle",
    "sync_mode",
    "validate",
)


async def get_queue_status(request: Request) -> Response:
    (queued, running), capacity = await request.services.database.read(
        lambda db: (rollouts.count_unfinished(db), pools.total_concurrency(db))
    )
    return json_response({"queued": queued, "running": running, "capacity": capacity})


async def get_capabilities(request: Request) -> Response:
    return json_response(
        {
            "targets": list(TARGETS),
            "features": {
                **dict.fromkeys(_FEATURES, True),
                "image_releases": False,
                "images": request.services.settings.allow_images,
                "processes": request.services.settings.allow_processes,
                "ray": request.services.settings.ray is not None,
            },
            "version": request.services.contract.version,
        }
    )
