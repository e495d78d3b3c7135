"""Handlers of the tasks of a pool."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from synth_pools.backend.api.handlers.pools import apply_after_commit
from synth_pools.backend.api.pagination import later_name, list_document, read_sized
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, created_response, json_response
from synth_pools.backend.containers.url_policy import check_container_url
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import (
    named_id,
    patched_task,
    require_same_id,
    task_definition,
)
from synth_pools.backend.storage import pools
from synth_pools.backend.storage.database import Snapshot, Transaction
from synth_pools.backend.storage.pools import (
    Pool,
    find_pool,
    find_task,
    task_document,
    task_documents,
)


async def list_tasks(request: Request) -> Response:
    pool_id = request.path("pool_id")
    copies = 1 if later_name(request, "tasks") is None else 2
    size = copies * await request.services.database.read(
        lambda db: pools.size_of_pool(db, find_pool(db, pool_id).id)
    )

    def load(db: Snapshot) -> str:
        tasks = task_documents(db, find_pool(db, pool_id))[::-1]
        # A body that names existing tasks again gives them other places in the pool.
        tasks.sort(key=lambda task: task["created_at"], reverse=True)
        return json_text.dumps(list_document(request, "tasks", tasks))

    return await read_sized(request, size, load)


async def create_task(request: Request) -> Response:
    task_id = named_id(request.body, "task_id", "id")
    definition = task_definition(request.body)
    _check_address(request, definition)

    def work(tx: Transaction) -> dict[str, Any]:
        pool = _changeable_pool(tx, request)
        row = pools.insert_task(tx, pool.id, task_id, definition)
        _touch(tx, request, pool.id)
        return task_document(row, pool)

    document = await request.services.database.write(work)
    return created_response(document, "pools", document["pool_id"], "tasks", document["id"])


async def update_task(request: Request) -> Response:
    return await _change_task(request, lambda _: task_definition(request.body))


async def patch_task(request: Request) -> Response:
    return await _change_task(request, lambda current: patched_task(current, request.body))


async def delete_task(request: Request) -> Response:
    def work(tx: Transaction) -> dict[str, Any]:
        pool = _changeable_pool(tx, request)
        task = find_task(tx, pool.id, request.path("task_id"))
        document = task_document(task, pool, status="archived")
        document["updated_at"] = pools.delete_task(tx, pool.id, task["id"])
        if task["id"] in pool.releases:
            # Containers of its own end with it.
            apply_after_commit(tx, request.services, pools.update_pool(tx, pool, pool.definition))
        _touch(tx, request, pool.id)
        return document

    return json_response(await request.services.database.write(work))


def _changeable_pool(tx: Transaction, request: Request) -> Pool:
    pool = find_pool(tx, request.path("pool_id"))
    pool.require_changeable()
    return pool


async def _change_task(
    request: Request, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Response:
    require_same_id(request.body, request.path("task_id"), "task_id", "id")
    _check_address(request, request.body)

    def work(tx: Transaction) -> dict[str, Any]:
        pool = _changeable_pool(tx, request)
        task = find_task(tx, pool.id, request.path("task_id"))
        definition = change(json.loads(task["definition"]))
        row = pools.update_task(tx, pool.id, task["id"], definition)
        _touch(tx, request, pool.id)
        return task_document(row, pool)

    return json_response(await request.services.database.write(work))


def _touch(tx: Transaction, request: Request, pool_id: str) -> None:
    pools.touch_pool(tx, pool_id)
    pool = find_pool(tx, pool_id)
    if (checked := pools.check_containers(tx, pool)) is not pool:
        apply_after_commit(tx, request.services, checked)


def _check_address(request: Request, definition: dict[str, Any]) -> None:
    url = definition.get("container_url")
    if url is not None:
        check_container_url(url, request.services.settings)
