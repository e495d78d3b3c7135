"""Handlers of image releases and deployments, which this backend does not offer.

It builds no images, and has no projects.
"""

from __future__ import annotations

from synth_pools.backend.api.pagination import whole_list
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.storage.database import Snapshot
from synth_pools.backend.storage.pools import find_pool, find_task


async def list_image_releases(request: Request) -> Response:
    await request.services.database.read(lambda db: find_pool(db, request.path("pool_id")))
    return whole_list(request, "releases", [])


async def refuse(request: Request) -> Response:
    """Answer 404 for an unknown pool or task, and 501 otherwise."""

    def find(db: Snapshot) -> None:
        pool = find_pool(db, request.path("pool_id"))
        if "task_id" in request.parameters:
            find_task(db, pool.id, request.path("task_id"))

    await request.services.database.read(find)
    raise ApiError(
        501,
        "not_implemented",
        "This backend has no image releases: give the pool a container_url, or config.process.",
        retryable=False,
    )


async def refuse_deployments(request: Request) -> Response:
    """Answer 404 for an unknown pool, and 501 otherwise; a deployment may come before its task."""
    await request.services.database.read(lambda db: find_pool(db, request.path("pool_id")))
    raise ApiError(
        501,
        "not_implemented",
        "This backend has no deployments, since it has no projects: change the pool or its task.",
        retryable=False,
    )
