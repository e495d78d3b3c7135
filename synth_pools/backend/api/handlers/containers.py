"""Handlers of direct calls to the container behind a pool or a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from synth_pools.backend.api.disconnects import unless_disconnected
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import JSONResponse, Response
from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.domain.definitions import (
    container_key_env,
    container_urls,
    starts_containers,
)
from synth_pools.backend.domain.errors import (
    FORBIDDEN,
    ApiError,
    forbidden_container_url,
    not_found,
)
from synth_pools.backend.domain.target import Answer, Probe, Target, TargetError
from synth_pools.backend.domain.validation import raw_answer_is_valid
from synth_pools.backend.storage.database import Snapshot
from synth_pools.backend.storage.pools import Pool, find_pool, find_task, task_document


def prober(probe: Probe) -> Callable[[Request], Awaitable[Response]]:
    """Create the handler of a query about the container."""

    async def handle(request: Request) -> Response:
        pool, lease = await _lease(request, must_be_active=False)
        # Released at once: a query must not make the container seem busy.
        with lease:
            url = lease.url
        target = _target(request, pool, url)
        try:
            answer = await target.probe(probe, request.query)
        except TargetError as error:
            if error.status == 404:
                raise not_found(f"The container does not have /{probe}.") from None
            raise _as_api_error(error) from None
        return await _pass_through(request, answer)

    return handle


async def execute_rollout(request: Request) -> Response:
    request.services.admission_control.require_open()
    pool, lease = await _lease(request, must_be_active=True)
    limit = request.services.runner.limit_seconds(pool, request.body.get("limits"))
    # The call counts as work of the container, although it is not a rollout of the pool.
    with lease:
        target = _target(request, pool, lease.url)
        try:
            answer = await unless_disconnected(
                request.receive, target.execute(request.raw_body, limit, request.query)
            )
        except TargetError as error:
            raise _as_api_error(error) from None
    return await _pass_through(request, answer)


async def _lease(request: Request, *, must_be_active: bool) -> tuple[Pool, Lease]:
    """Lease the task's own container, else the least loaded one of the pool."""
    task_id = request.parameters.get("task_id")

    def find(db: Snapshot) -> tuple[Pool, str | None]:
        pool = find_pool(db, request.path("pool_id"))
        if must_be_active:
            pool.require_active()
        if task_id is None:
            return pool, None
        return pool, task_document(find_task(db, pool.id, task_id), pool)["container_url"]

    pool, own_url = await request.services.database.read(find)
    place = pool.place_of(task_id)
    lease = request.services.balancer.acquire_now(place, direct=True)
    if place != pool.id and own_url is None:
        return pool, lease
    # An archived pool keeps its addresses, but they are not checked.
    lease.move(own_url or lease.url or next(iter(container_urls(pool.view)), None))
    return pool, lease


def _target(request: Request, pool: Pool, url: str | None) -> Target:
    has_own = pool.place_of(request.parameters.get("task_id")) != pool.id
    if url is None and (has_own or starts_containers(pool.view)):
        raise ApiError(
            502, "container_unreachable", "No container of the pool is up.", retryable=True
        )
    try:
        return request.services.runner.target(url, container_key_env(pool.view))
    except TargetError as error:
        raise _as_api_error(error) from None


async def _pass_through(request: Request, answer: Answer) -> Response:
    if answer.is_whole:
        contract = request.services.contract
        is_valid = contract.answer_is_valid(request.operation, 200, answer.document)
    else:
        is_valid = await request.services.workers.run(
            raw_answer_is_valid, request.operation.id, 200, answer.raw
        )
    if not is_valid:
        raise ApiError(
            502,
            "container_error",
            "The container answered an object that does not mean what it should.",
            details={"body": answer.document},
        )
    return JSONResponse(200, answer.raw)


def _as_api_error(error: TargetError) -> ApiError:
    if error.details.get("cause") == FORBIDDEN:
        return forbidden_container_url(error.message)
    if error.code == "container_timeout":
        return ApiError(504, error.code, error.message, details=error.details)
    if error.code == "container_unreachable":
        return ApiError(502, error.code, error.message, details=error.details)
    return ApiError(502, "container_error", error.message, details=error.details)
