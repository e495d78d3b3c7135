"""Handlers of image releases; and of deployments, which need projects that this backend lacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from synth_pools.backend.api.disconnects import unless_disconnected
from synth_pools.backend.api.handlers.pools import apply_after_commit, check_start
from synth_pools.backend.api.pagination import later_name, list_document, read_sized, whole_list
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, created_response, json_response
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import image_of
from synth_pools.backend.domain.errors import ApiError, conflict
from synth_pools.backend.domain.releases import bound_image
from synth_pools.backend.processes.launcher import IMAGE
from synth_pools.backend.storage.database import Snapshot, Transaction
from synth_pools.backend.storage.image_releases import (
    bind_release,
    delete_release,
    find_release,
    insert_release,
    release_document,
    releases_of,
    size_of_releases,
    unbind_release,
)
from synth_pools.backend.storage.pools import Pool, check_containers, find_pool, find_task


async def list_image_releases(request: Request) -> Response:
    pool_id = request.path("pool_id")
    size = await request.services.database.read(
        lambda db: size_of_releases(db, find_pool(db, pool_id).id)
    )
    if not request.services.settings.allow_images:
        return whole_list(request, "releases", [])
    copies = 1 if later_name(request, "releases") is None else 2

    def load(db: Snapshot) -> str:
        items = [release_document(row) for row in releases_of(db, find_pool(db, pool_id).id)]
        return json_text.dumps(list_document(request, "releases", items))

    return await read_sized(request, copies * size, load)


async def create_image_release(request: Request) -> Response:
    services, definition = request.services, dict(request.body)
    pool = await _offered_pool(request)
    pool.require_changeable()
    if definition["source_kind"] != "image_ref":
        raise _not_offered("builds no images: push the image, and name it as image_ref")
    # The archive belongs to a kind that is built.
    definition.pop("archive_base64", None)
    image = bound_image(None, definition, definition.get("image_ref") or "")
    try:
        pools_update = services.contract.operations["update_pool"]
        services.contract.check_body(pools_update, {"config": {"image": image}})
    except ApiError as error:
        raise conflict(IMAGE, f"No container can be started from it: {error.message}") from None
    launcher = (image_of(pool.view) or {}).get("launcher")
    reference, digest = await unless_disconnected(
        request.receive, services.processes.pin_image(image["image"], launcher)
    )

    def work(tx: Transaction) -> dict[str, Any]:
        current = find_pool(tx, pool.id)
        current.require_changeable()
        return release_document(insert_release(tx, pool.id, definition, reference, digest))

    document = await services.database.write(work)
    return created_response(
        document, "pools", pool.id, "runtime_image_releases", document["release_id"]
    )


async def get_image_release(request: Request) -> Response:
    pool = await _offered_pool(request)
    return json_response(
        await request.services.database.read(
            lambda db: release_document(find_release(db, pool.id, request.path("release_id")))
        )
    )


async def delete_image_release(request: Request) -> Response:
    pool_id = (await _offered_pool(request)).id
    return await _write(
        request,
        lambda tx: release_document(
            delete_release(tx, find_pool(tx, pool_id), request.path("release_id"))
        ),
    )


async def bind_image_release(request: Request) -> Response:
    """Bind the task of the path, or the only one of the pool."""
    expected_id = request.parameters.get("expected_release_id")
    return await _change(request, partial(bind_release, expected_id=expected_id))


async def unbind_image_release(request: Request) -> Response:
    """Unbind the task of the path, or the only one of the pool."""
    return await _change(request, unbind_release)


async def _change(request: Request, change: Callable[..., tuple[str, Pool]]) -> Response:
    pool_id, services = (await _offered_pool(request)).id, request.services
    task_id, release_id = request.parameters.get("task_id"), request.path("release_id")

    def work(tx: Transaction) -> dict[str, Any]:
        pool = find_pool(tx, pool_id)
        pool.require_changeable()
        bound_id, changed = change(tx, pool, task_id, release_id)
        for definition in (changed.definition, *changed.task_definitions.values()):
            check_start(services, definition)
        apply_after_commit(tx, services, check_containers(tx, changed))
        return {"pool_id": pool.id, "task_id": bound_id, "release_id": release_id}

    return await _write(request, work)


async def _write(request: Request, work: Callable[[Transaction], dict[str, Any]]) -> Response:
    return json_response(await request.services.database.write(work))


async def _offered_pool(request: Request) -> Pool:
    """Return the pool; raise 404 for an unknown pool or task, 501 without permission for images."""

    def find(db: Snapshot) -> Pool:
        pool = find_pool(db, request.path("pool_id"))
        if "task_id" in request.parameters:
            find_task(db, pool.id, request.path("task_id"))
        return pool

    pool = await request.services.database.read(find)
    if not request.services.settings.allow_images:
        raise _not_offered("has no image releases unless it is started with --allow-images")
    return pool


async def refuse_deployments(request: Request) -> Response:
    """Answer 404 for an unknown pool, and 501 otherwise; a deployment may come before its task."""
    await request.services.database.read(lambda db: find_pool(db, request.path("pool_id")))
    raise _not_offered("has no deployments, since it has no projects: change the pool or its task")


def _not_offered(reason: str) -> ApiError:
    return ApiError(501, "not_implemented", f"This backend {reason}.", retryable=False)
