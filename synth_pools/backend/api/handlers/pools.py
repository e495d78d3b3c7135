"""Handlers of pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from synth_pools.backend.api.disconnects import turn_unless_disconnected
from synth_pools.backend.api.pagination import Page, read_page, read_sized
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, created_response, json_response
from synth_pools.backend.containers.credentials import check_container_key
from synth_pools.backend.containers.members import Member
from synth_pools.backend.containers.url_policy import check_container_url
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import (
    can_be_id,
    container_urls,
    named_id,
    named_tasks,
    patched_pool,
    pool_definition,
    require_same_id,
    starts_containers,
)
from synth_pools.backend.domain.errors import pool_not_active
from synth_pools.backend.limits import LARGEST_PAGE
from synth_pools.backend.services import Services
from synth_pools.backend.storage import pools, rollouts
from synth_pools.backend.storage.database import Snapshot, Transaction
from synth_pools.backend.storage.event_logs import SHORT_LOOK
from synth_pools.backend.storage.pools import Pool, find_pool, move_pool, task_documents
from synth_pools.backend.storage.statements import Row

# Tasks in the metrics of a pool.
_MOST_TASKS = 1000
_LARGEST_SUM = 2.0**62

STATES = frozenset(
    {"created", "uploading", "building", "warming", "active", "paused", "failed", "archived"}
)


async def create_pool(request: Request) -> Response:
    body = request.body
    pool_id = named_id(body, "pool_id", "id")
    definition = pool_definition(body)
    tasks = named_tasks(body.get("tasks") or ())
    _check_containers(request.services, definition, tasks)

    def work(tx: Transaction) -> dict[str, Any]:
        # A pool that starts its containers is active once one of them is healthy.
        status = "warming" if starts_containers(definition) else "active"
        pool = pools.insert_pool(tx, pool_id, definition, status)
        pools.replace_tasks(tx, pool.id, tasks)
        pool = pools.check_containers(tx, pool)
        apply_after_commit(tx, request.services, pool)
        return pool.document(task_documents(tx, pool))

    document = await request.services.database.write(work)
    return created_response(document, "pools", document["id"])


async def list_pools(request: Request) -> Response:
    page = read_page(request, "pools", "pools", STATES)
    if not isinstance(page, Page):
        return page
    before = page.after and page.after.seq
    items = await request.services.database.read(
        lambda db: pools.list_sizes_of_pools(db, page.state, before, page.wanted)
    )
    return await page.filled(items, lambda db, seqs: pools.list_pools(db, seqs, page.state))


async def get_pool(request: Request) -> Response:
    pool_id = request.path("pool_id")

    def load(db: Snapshot) -> str:
        pool = find_pool(db, pool_id)
        return json_text.dumps(pool.document(task_documents(db, pool)))

    return await read_sized(request, await _size_of(request, pool_id), load)


async def _size_of(request: Request, pool_id: str) -> int:
    if not can_be_id(pool_id):
        return 0
    return await request.services.database.read_once(lambda db: pools.size_of_pool(db, pool_id))


async def replace_pool(request: Request) -> Response:
    pool_id = request.path("pool_id")
    require_same_id(request.body, pool_id, "pool_id", "id")
    definition = pool_definition(request.body)
    tasks = named_tasks(request.body.get("tasks") or ())
    _check_containers(request.services, definition, tasks)

    def work(tx: Transaction) -> dict[str, Any]:
        pool = find_pool(tx, pool_id)
        pool.require_changeable()
        return _save(tx, request.services, pool, definition, tasks)

    return json_response(await request.services.database.write(work))


async def update_pool(request: Request) -> Response:
    pool_id, patch = request.path("pool_id"), request.body
    require_same_id(patch, pool_id, "pool_id", "id")
    tasks = named_tasks(patch["tasks"] or ()) if "tasks" in patch else None
    _check_containers(request.services, pool_definition(patch), tasks or [])

    def work(tx: Transaction) -> dict[str, Any]:
        pool = find_pool(tx, pool_id)
        pool.require_changeable()
        definition = patched_pool(pool.definition, patch)
        if "config" in patch or "pool_config" in patch:
            # The stored definition and the patch may contradict each other.
            check_start(request.services, definition)
        return _save(tx, request.services, pool, definition, tasks)

    return json_response(await request.services.database.write(work))


async def delete_pool(request: Request) -> Response:
    pool_id = request.path("pool_id")

    def work(tx: Transaction) -> dict[str, Any]:
        pool = find_pool(tx, pool_id)
        if not pool.is_archived:
            pool = pools.archive_pool(tx, pool)
            archived = pool

            def notify() -> None:
                request.services.scheduler.drop_waiting(pool_id)
                request.services.balancer.forget_pool(pool_id)
                request.services.processes.follow(archived)
                request.services.notifier.notify_pool(pool_id)

            tx.after_commit(notify)
        return pool.document(task_documents(tx, pool))

    document = await request.services.database.write(work)
    await request.services.cancellation.cancel_all(pool_id)
    return json_response(document)


async def pause_pool(request: Request) -> Response:
    def next_status(_: Transaction, pool: Pool) -> str:
        if pool.status not in ("active", "warming", "paused"):
            raise pool_not_active(pool.id, pool.status)
        return "paused"

    return await _change_status(request, next_status)


async def resume_pool(request: Request) -> Response:
    def next_status(tx: Transaction, pool: Pool) -> str:
        if pool.status in ("active", "warming"):
            return pool.status
        pools.require_containers(tx, pool)
        needs_start = starts_containers(pool.definition)
        for definition in (pool.definition, *pool.task_definitions.values()):
            check_start(request.services, definition)
        # A failed pool is tried again, even if it no longer starts containers.
        return "warming" if needs_start or pool.status == "failed" else "active"

    return await _change_status(request, next_status)


async def get_pool_urls(request: Request) -> Response:
    def read(db: Snapshot) -> tuple[Pool, list[dict[str, Any]]]:
        pool = find_pool(db, request.path("pool_id"))
        return pool, task_documents(db, pool)

    pool, tasks = await request.services.database.read(read)
    balancer = request.services.balancer
    pool_url = f"{request.base_url}/v1/pools/{quote(pool.id, safe='')}"
    started = (
        member.url
        for member in balancer.members(pool.id)
        if member.is_process and member.health != "stopped"
    )
    urls = list(dict.fromkeys((*container_urls(pool.view), *started)))
    container_url = urls[0] if urls else None
    task_urls: dict[str, str | None] = {
        task_id: next((member.url for member in balancer.current_members(place)), None)
        for task_id, place in balancer.places(pool.id).items()
    }
    return json_response(
        {
            "id": pool.id,
            "pool_id": pool.id,
            "pool_url": pool_url,
            "rollouts_url": f"{pool_url}/rollouts",
            "container_url": container_url,
            "container_urls": urls,
            "container_rollout_url": f"{pool_url}/container/rollout",
            "task_urls": [
                {
                    "task_id": task["id"],
                    "container_url": task["container_url"]
                    or task_urls.get(task["id"], container_url),
                    "container_rollout_url": (
                        f"{pool_url}/tasks/{quote(task['id'], safe='')}/container/rollout"
                    ),
                }
                for task in tasks
            ],
        }
    )


async def get_pool_logs(request: Request) -> Response:
    pool_id = request.path("pool_id")
    pool = await request.services.database.read_once(lambda db: find_pool(db, pool_id))
    services, parameters = request.services, request.parameters
    limit, most_bytes = parameters.get("limit", LARGEST_PAGE), services.settings.max_page_bytes

    def read(limit: int, most_bytes: int) -> dict[str, Any]:
        return services.processes.logs.page(
            pool_id,
            pool.status,
            parameters.get("cursor"),
            limit,
            most_bytes,
            parameters.get("process"),
        )

    page = read(min(limit, SHORT_LOOK.events), min(most_bytes, SHORT_LOOK.size))
    if not page["has_more"] or len(page["lines"]) == limit:
        return json_response(page)
    async with turn_unless_disconnected(request.receive, services.turn(services.reading_turns)):
        return json_response(read(limit, most_bytes))


async def get_pool_metrics(request: Request) -> Response:
    services = request.services
    balancer, is_shared = services.balancer, services.database.owner is not None

    def count(db: Snapshot) -> tuple[Pool, dict[str, int], dict[str, int], list[Row]]:
        pool = find_pool(db, request.path("pool_id"))
        running = rollouts.running_by_url(db, pool.id) if is_shared else {}
        usage = rollouts.usage_by_task(db, pool.id)
        return pool, rollouts.count_by_status(db, pool.id), running, usage

    # Counting many rollouts takes long, and must not delay other requests.
    async with turn_unless_disconnected(request.receive, services.turn(services.counting_turns)):
        pool, counts, running, usage = await services.database.read_apart(count)
    if is_shared and pool.status != "archived" and not balancer.members(pool.id):
        # Another backend may have created it, and the notice be under way.
        balancer.set_pool(pool.id, pool.definition)
    finished = counts["completed"] + counts["failed"]
    return json_response(
        {
            "id": pool.id,
            "pool_id": pool.id,
            "active_rollouts": counts["running"],
            "queued_rollouts": counts["queued"],
            "completed_rollouts": counts["completed"],
            "failed_rollouts": counts["failed"],
            "cancelled_rollouts": counts["cancelled"],
            "success_rate": counts["completed"] / finished if finished else None,
            "capacity": pool.view["capacity"],
            "concurrency": pool.view["concurrency"],
            "usage": _sums(usage),
            "task_usage": [
                {"task_id": row["task_id"], **_sums([row])} for row in usage[:_MOST_TASKS]
            ],
            "containers": [
                {
                    "url": member.url,
                    "health": member.health,
                    # Rollouts of all backends that share the database.
                    "running_rollouts": running.get(member.url, 0) if is_shared else member.running,
                    "restarts": member.restarts,
                    "last_error": member.last_error,
                    "pid": member.pid,
                    **_origin(member),
                }
                for place in (pool.id, *balancer.places(pool.id).values())
                for member in balancer.members(place)
            ],
        }
    )


def _sums(rows: list[Row]) -> dict[str, Any]:
    sums: dict[str, Any] = {"rollouts": sum(row["rollouts"] for row in rows)}
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        values = [row[name] for row in rows if row[name] is not None]
        # Costs may be any number: a sum of them need not be one.
        total = min(sum(values), _LARGEST_SUM) if values else None
        sums[name] = int(total) if total is not None and name != "cost_usd" else total
    return sums


def _origin(member: Member) -> dict[str, Any]:
    origin = member.origin
    return {
        "launcher": origin and origin.launcher,
        "node": origin and origin.node,
        "image_digest": origin and origin.image_digest,
    }


async def _change_status(
    request: Request, next_status: Callable[[Transaction, Pool], str]
) -> Response:
    services, pool_id = request.services, request.path("pool_id")

    def work(tx: Transaction) -> dict[str, Any]:
        pool = find_pool(tx, pool_id)
        pool.require_changeable()
        status = next_status(tx, pool)
        if status != pool.status:
            pool = move_pool(tx, pool, status)
            tx.after_commit(lambda: services.processes.follow(pool))
        return pool.document(task_documents(tx, pool))

    return json_response(await services.database.write(work))


def _check_containers(
    services: Services, definition: dict[str, Any], tasks: list[tuple[str | None, dict[str, Any]]]
) -> None:
    for number, url in enumerate(definition.get("container_urls") or ()):
        check_container_url(url, services.settings, f"container_urls[{number}]")
    urls = {"container_url": definition.get("container_url")}
    for number, (_, task) in enumerate(tasks):
        urls[f"tasks[{number}].container_url"] = task.get("container_url")
    for name, url in urls.items():
        if url is not None:
            check_container_url(url, services.settings, name)
    check_container_key(definition, services.settings)
    check_start(services, definition)


def check_start(services: Services, definition: Mapping[str, Any]) -> None:
    """Raise an error if the containers of a pool cannot be started."""
    refusal = services.processes.refusal(definition)
    if refusal is not None:
        raise refusal


def _save(
    tx: Transaction,
    services: Services,
    pool: Pool,
    definition: dict[str, Any],
    tasks: list[tuple[str | None, dict[str, Any]]] | None,
) -> dict[str, Any]:
    if tasks is not None:
        pools.replace_tasks(tx, pool.id, tasks)
    pool = pools.check_containers(tx, pools.update_pool(tx, pool, definition))
    apply_after_commit(tx, services, pool)
    return pool.document(task_documents(tx, pool))


def apply_after_commit(tx: Transaction, services: Services, pool: Pool) -> None:
    """Apply the pool's definition to the balancer, scheduler and processes, after the commit."""
    definition = pool.definition

    def notify() -> None:
        services.balancer.set_pool(pool.id, definition)
        services.scheduler.set_concurrency(pool.id, pool.concurrency)
        services.processes.follow(pool)

    tx.after_commit(notify)
