"""Handlers of the service: queue and capabilities."""

from __future__ import annotations

from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, json_response
from synth_pools.backend.domain.definitions import DEFAULT_TARGET
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
    "runs",
    "shares",
    "start_rates",
    "support_bundle",
    "sync_mode",
    "trajectories",
    "validate",
)

_STARTED_TARGETS = ("harbor", "openenv")


async def get_queue_status(request: Request) -> Response:
    (queued, running), capacity = await request.services.database.read(
        lambda db: (rollouts.count_unfinished(db), pools.total_concurrency(db))
    )
    return json_response({"queued": queued, "running": running, "capacity": capacity})


async def get_capabilities(request: Request) -> Response:
    settings = request.services.settings
    # It deploys to them with processes and images of their containers.
    starts = settings.allow_processes or settings.allow_images or settings.ray is not None
    return json_response(
        {
            "targets": [*(_STARTED_TARGETS if starts else ()), DEFAULT_TARGET],
            "features": {
                **dict.fromkeys(_FEATURES, True),
                "deployments": False,
                "image_releases": settings.allow_images,
                "images": settings.allow_images,
                "processes": settings.allow_processes,
                "ray": settings.ray is not None,
            },
            "scopes": request.services.keys.scopes_of(request.key_name),
            "version": request.services.contract.version,
        }
    )
