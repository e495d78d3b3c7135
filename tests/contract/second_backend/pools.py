"""Operations on pools, their tasks and their containers, and on the service."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.responses import Response

from tests.contract.second_backend.calls import Call, answer, operation
from tests.contract.second_backend.containers import container_key
from tests.contract.second_backend.document import body_faults, targets, version
from tests.contract.second_backend.problems import Problem, invalid, invalid_field
from tests.contract.second_backend.state import Pool, Task, merged, pool_definition, task_definition

_GET_WHAT = ("health", "info", "metadata", "task_info", "program", "taskset")


@operation("list_pools")
async def list_pools(call: Call) -> Response:
    state = call.query.get("state")
    pools = [pool for pool in call.store.pools.values() if pool.owner == call.owner]
    if state is not None and call.keeps("lists.state"):
        pools = [pool for pool in pools if pool.state == state]
    elif call.keeps("pools.archived_left_out"):
        pools = [pool for pool in pools if pool.state != "archived"]
    return call.page(pools, "pools", state)


@operation("create_pool")
async def create_pool(call: Call) -> Response:
    chosen = call.same_ids("id", "pool_id")
    definition = pool_definition(call.body, call.keeps)
    _check_pool(call, definition)
    store = call.store
    pool_id = chosen or store.new_id("pool")
    if pool_id in store.pools and (
        store.pools[pool_id].state != "archived" or call.keeps("pools.id_taken_for_ever")
    ):
        archived = store.pools[pool_id].state == "archived" and call.keeps("pools.says_archived")
        how = " and is archived" if archived else ""
        raise Problem("pool_exists", f"Pool {pool_id!r} exists already{how}.")
    now = store.clock.now()
    pool = Pool(pool_id, call.owner, definition, now, now, store.number(), call.keeps)
    _set_tasks(call, pool, call.body.get("tasks") or [])
    store.pools[pool_id] = pool
    return answer(pool.shown(), 201, Location=_location(call, "pools", pool_id))


@operation("get_pool")
async def get_pool(call: Call) -> Response:
    return answer(call.pool().shown())


@operation("replace_pool")
async def replace_pool(call: Call) -> Response:
    pool = call.changeable_pool()
    call.same_ids("id", "pool_id", path=pool.id)
    definition = pool_definition(call.body, call.keeps)
    if not call.keeps("put.resets"):
        definition = {**pool.definition, **definition}
    _check_pool(call, definition)
    _set_tasks(call, pool, call.body.get("tasks") or [])
    return _changed_pool(call, pool, definition)


@operation("update_pool")
async def update_pool(call: Call) -> Response:
    pool = call.changeable_pool()
    call.same_ids("id", "pool_id", path=pool.id)
    patch = pool_definition(call.body, call.keeps, patch=True)
    definition = merged(pool.definition, patch, call.keeps)
    faults = body_faults("PoolDefinition", definition)
    if faults:
        raise invalid(faults)
    _check_pool(call, definition)
    if "tasks" in call.body and call.keeps("patch.tasks"):
        _set_tasks(call, pool, call.body["tasks"] or [])
    return _changed_pool(call, pool, definition)


@operation("delete_pool")
async def delete_pool(call: Call) -> Response:
    pool = call.pool()
    if pool.state != "archived" or not call.keeps("pools.delete_again"):
        pool.state = "archived"
        pool.updated_at = pool.archived_at = call.store.clock.now()
        for rollout in [*pool.waiting, *pool.running] if call.keeps("pools.delete_cancels") else []:
            call.backend.runner.cancel(rollout)
    return answer(pool.shown())


@operation("pause_pool")
async def pause_pool(call: Call) -> Response:
    return _moved(call, "active", "paused", call.keeps("pause.pauses"))


@operation("resume_pool")
async def resume_pool(call: Call) -> Response:
    return _moved(call, "paused", "active", call.keeps("pause.resumes"))


@operation("get_pool_urls")
async def get_pool_urls(call: Call) -> Response:
    pool = call.pool()
    here = call.url("v1", "pools", pool.id)
    first = pool.urls[0] if pool.urls else None
    urls = pool.urls if call.keeps("urls.in_order") else pool.urls[::-1]
    return answer(
        {
            "id": pool.id,
            "pool_id": pool.id,
            "pool_url": here,
            "rollouts_url": f"{here}/rollouts",
            "container_url": first,
            "container_urls": urls if call.keeps("urls.all_containers") else urls[:1],
            "container_rollout_url": f"{here}/container/rollout",
            "task_urls": [
                {
                    "task_id": task.id,
                    "container_url": task.container_url
                    or (first if call.keeps("urls.task_of_pool") else None),
                    "container_rollout_url": call.url("v1", "pools", pool.id, "tasks", task.id)
                    + "/container/rollout",
                }
                for task in pool.tasks.values()
            ],
        }
    )


_SUMMED = ("input_tokens", "output_tokens", "cost_usd")


def _sums(reported: list[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    sums: dict[str, Any] = {"rollouts": len(reported)}
    for name in _SUMMED:
        amounts = [usage[name] for _, usage in reported if name in usage]
        sums[name] = sum(amounts) if amounts else None
    return sums


@operation("get_pool_metrics")
async def get_pool_metrics(call: Call) -> Response:
    pool = call.pool()
    states = [rollout.state for rollout in call.store.rollouts.values() if rollout.pool is pool]
    completed, failed = states.count("completed"), states.count("failed")
    cancelled = states.count("cancelled")
    of = completed + failed + (0 if call.keeps("metrics.success_rate") else cancelled)
    never = None if call.keeps("metrics.no_rate_yet") else 0
    all_rollouts = [rollout for rollout in call.store.rollouts.values() if rollout.pool is pool]
    reported = [(it.task_id, it.reported()) for it in all_rollouts]
    reported = [it for it in reported if not it[1].keys().isdisjoint(_SUMMED)]
    return answer(
        {
            "id": pool.id,
            "pool_id": pool.id,
            "active_rollouts": states.count("running"),
            "queued_rollouts": states.count("queued") if call.keeps("metrics.queued") else 0,
            "completed_rollouts": completed,
            "failed_rollouts": failed if call.keeps("metrics.failed") else failed + cancelled,
            "cancelled_rollouts": cancelled if call.keeps("metrics.cancelled") else 0,
            "success_rate": completed / of if of else never,
            "capacity": pool.capacity,
            "concurrency": pool.concurrency,
            "usage": _sums(reported),
            "task_usage": [
                {"task_id": task_id, **_sums([it for it in reported if it[0] == task_id])}
                for task_id, _ in Counter(task_id for task_id, _ in reported).most_common()
            ],
            "containers": [
                call.backend.containers.shown(url)
                for url in sorted(
                    pool.urls, reverse=not call.keeps("metrics.in_order"), key=pool.urls.index
                )
            ],
        }
    )


@operation("list_tasks")
async def list_tasks(call: Call) -> Response:
    pool = call.pool()
    tasks = sorted(pool.tasks.values(), key=lambda task: -task.number)
    if not call.keeps("tasks.newest_first"):
        tasks.reverse()
    return call.listed([task.shown(pool) for task in tasks], "tasks")


@operation("create_task")
async def create_task(call: Call) -> Response:
    pool = call.changeable_pool()
    chosen = call.same_ids("id", "task_id")
    definition = task_definition(call.body)
    _check_url(call, definition.get("container_url"))
    task = _new_task(call, chosen, definition)
    if task.id in pool.tasks and call.keeps("tasks.id_taken"):
        raise Problem("task_exists", f"Pool {pool.id!r} has a task {task.id!r} already.")
    pool.tasks[task.id] = task
    pool.updated_at = task.created_at
    return answer(task.shown(pool), 201, Location=_location(call, "tasks", task.id))


@operation("update_task")
async def update_task(call: Call) -> Response:
    pool = call.changeable_pool()
    task = call.task(pool)
    call.same_ids("id", "task_id", path=task.id)
    definition = task_definition(call.body)
    if not call.keeps("put.resets_tasks"):
        definition = {**task.definition, **definition}
    return _changed_task(call, pool, task, definition)


@operation("patch_task")
async def patch_task(call: Call) -> Response:
    pool = call.changeable_pool()
    task = call.task(pool)
    call.same_ids("id", "task_id", path=task.id)
    patch = task_definition(call.body, patch=True)
    definition = merged(task.definition, patch, call.keeps)
    return _changed_task(call, pool, task, definition)


@operation("delete_task")
async def delete_task(call: Call) -> Response:
    pool = call.changeable_pool()
    task = call.task(pool)
    pool.updated_at = task.updated_at = call.store.clock.now()
    if call.keeps("tasks.deleted_are_gone"):
        del pool.tasks[task.id]
    call.backend.runner.task_deleted(pool, task.id)
    return answer(task.shown(pool, "archived" if call.keeps("tasks.seen_archived") else "active"))


@operation(*(f"get_{whose}_container_{part}" for whose in ("pool", "task") for part in _GET_WHAT))
async def get_container(call: Call) -> Response:
    pool = call.pool()
    name = call.operation.path.rpartition("/")[2]
    containers = call.backend.containers
    return answer(await containers.ask(pool, _container(call, pool), name, call.raw_query))


@operation("execute_pool_container_rollout", "execute_task_container_rollout")
async def execute_rollout(call: Call) -> Response:
    pool = call.pool()
    url = _container(call, pool)
    if call.keeps("direct.active_pool"):
        admits(call, pool)
    containers = call.backend.containers
    return answer(await containers.run_direct(pool, url, call.raw, call.raw_query))


@operation("list_image_releases")
async def list_image_releases(call: Call) -> Response:
    call.pool()
    return call.listed([], "releases")


@operation("get_queue_status")
async def get_queue_status(call: Call) -> Response:
    pools = [pool for pool in call.store.pools.values() if pool.owner == call.owner]
    states = [rollout.state for rollout in call.store.rollouts.values() if rollout.pool in pools]
    some = [pool for pool in pools if pool.state == "active" or not call.keeps("queue.capacity")]
    return answer(
        {
            "queued": states.count("queued") if call.keeps("queue.queued") else 0,
            "running": states.count("running") if call.keeps("queue.running") else 0,
            "capacity": sum(pool.concurrency for pool in some),
        }
    )


@operation("get_capabilities")
async def get_capabilities(call: Call) -> Response:
    offered = (
        "artifact_downloads",
        "async_submission",
        "batch",
        "container_probes",
        "container_urls",
        "echo",
        "event_pages",
        "event_resume",
        "idempotency_keys",
        "pause",
        "replay",
        "runs",
        "shares",
        "start_rates",
        "support_bundle",
        "sync_mode",
        "validate",
    )
    features = {
        **{name: call.offers(name) for name in offered},
        "deployments": False,
        "image_releases": False,
        "images": False,
        "processes": False,
        "ray": False,
    }
    return answer({"targets": targets(), "features": features, "version": version()})


def admits(call: Call, pool: Pool) -> None:
    """Refuse rollouts in a pool that is not active.

    Raises:
        Problem: It is archived, or not active.
    """
    if pool.state == "archived":
        code = "pool_archived" if call.keeps("pools.archived_code") else "pool_not_active"
        raise Problem(code, f"Pool {pool.id!r} is archived.")
    if pool.state != "active" and call.keeps("pools.active_admits"):
        raise Problem("pool_not_active", f"Pool {pool.id!r} is {pool.state}.")


def _moved(call: Call, before: str, after: str, moves: bool) -> Response:
    pool = call.changeable_pool()
    if pool.state == before and moves:
        pool.state = after
        pool.updated_at = call.store.clock.now()
        call.backend.runner.schedule(pool)
    return answer(pool.shown())


def _changed_pool(call: Call, pool: Pool, definition: dict[str, Any]) -> Response:
    pool.definition = definition
    if call.keeps("pools.updated_at"):
        pool.updated_at = call.store.clock.now()
    if not call.keeps("pools.created_at"):
        pool.created_at = pool.updated_at
    call.backend.runner.schedule(pool)
    return answer(pool.shown())


def _changed_task(call: Call, pool: Pool, task: Task, definition: dict[str, Any]) -> Response:
    _check_url(call, definition.get("container_url"))
    task.definition = definition
    now = call.store.clock.now()
    pool.updated_at = now
    task.updated_at = now if call.keeps("tasks.updated_at") else task.updated_at
    return answer(task.shown(pool))


def _location(call: Call, kind: str, new_id: str) -> str:
    relative = f"{kind}/{quote(new_id, safe=':')}" if call.keeps("locations.lead_there") else kind
    here = call.operation.path.format(**call.path)
    return relative if call.keeps("locations.relative") else f"{here.rpartition('/')[0]}/{relative}"


def _check_pool(call: Call, definition: dict[str, Any]) -> None:
    _check_url(call, definition.get("container_url"))
    for url in definition.get("container_urls") or []:
        _check_url(call, url)
    config = definition.get("config") or {}
    process = config.get("process")
    if process is not None and process.get("launcher") == "ray" and call.keeps("ray.not_allowed"):
        raise Problem("ray_not_allowed", "This server knows no Ray cluster.")
    if process is not None and call.keeps("processes.not_allowed"):
        raise Problem("processes_not_allowed", "This server starts no processes.")
    if config.get("image") is not None and call.keeps("images.not_allowed"):
        raise Problem("images_not_allowed", "This server starts no images.")
    if config.get("container_key_env") is not None and call.keeps("keys.allowed_names"):
        container_key(config)


def _check_url(call: Call, address: str | None) -> None:
    if address is None:
        return
    try:
        url = urlsplit(address)
        # Reading an invalid port raises.
        fits = bool(url.hostname) and "@" not in url.netloc and url.port is not False
    except ValueError:
        fits = False
    if not fits:
        message = "A container's address must have a host, a port below 65536 and no userinfo."
        if call.keeps("urls.uncallable_403"):
            raise Problem("forbidden_container_url", message)
        raise invalid_field(["body", "container_url"], message, "format")


def _new_task(call: Call, chosen: str | None, definition: dict[str, Any]) -> Task:
    now = call.store.clock.now()
    task_id = chosen or call.store.new_id("task")
    return Task(task_id, definition, now, now, call.store.number())


def _set_tasks(call: Call, pool: Pool, bodies: list[dict[str, Any]]) -> None:
    """Give a pool these tasks, or none if one is refused."""
    tasks: dict[str, Task] = {}
    for place, body in enumerate(bodies):
        ids = {body[name] for name in ("id", "task_id") if body.get(name) is not None}
        if len(ids) > 1:
            raise Problem("id_mismatch", f"The ids of task {place} are not equal.")
        definition = task_definition(body)
        _check_url(call, definition.get("container_url"))
        task = _new_task(call, next(iter(ids), None), definition)
        if task.id in tasks:
            raise Problem("task_exists", f"Two tasks have the id {task.id!r}.")
        before = pool.tasks.get(task.id)
        if before is not None and call.keeps("tasks.keep_created_at"):
            task.created_at = before.created_at
            task.number = before.number if call.keeps("tasks.same_age") else task.number
        tasks[task.id] = task
    removed = [task_id for task_id in pool.tasks if task_id not in tasks]
    if not call.keeps("pools.tasks_in_order"):
        tasks = dict(sorted(tasks.items(), key=lambda item: item[1].number))
    pool.tasks = tasks
    for task_id in removed:
        call.backend.runner.task_deleted(pool, task_id)


def _container(call: Call, pool: Pool) -> str | None:
    first = pool.urls[0] if pool.urls else None
    if "task_id" in call.path:
        return call.task(pool).container_url or first
    return first
