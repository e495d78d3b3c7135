"""Handlers of rollouts; each serves the operation under a pool and the global one.

The operation under a pool has a `pool_id` in its path, and sees no rollout of another pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from synth_pools.backend.api.disconnects import unless_disconnected
from synth_pools.backend.api.pagination import Page, read_page, read_sized
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, json_response, json_text_response
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.errors import ApiError, conflict, invalid, not_found
from synth_pools.backend.rollouts.admission.idempotency import BatchKey, IdempotencyKey
from synth_pools.backend.rollouts.admission.service import BatchItem
from synth_pools.backend.rollouts.notifier import EndWaiter
from synth_pools.backend.storage import events as stored_events
from synth_pools.backend.storage import rollouts, runs
from synth_pools.backend.storage.cursors import ListPosition, page_document
from synth_pools.backend.storage.database import Row, Snapshot
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.retention import forget_run
from synth_pools.backend.storage.rollout_documents import (
    rollout_document,
    summary_document,
    usage_document,
)
from synth_pools.backend.storage.rollout_lists import find, find_briefly
from synth_pools.backend.storage.rollout_queries import FILTERS, RolloutQuery
from synth_pools.backend.storage.rollouts import FINAL, find_head, find_rollout

_T = TypeVar("_T")

# Validating a larger body would delay other requests.
_LARGE_BODY_BYTES = 64 * 1024


async def list_rollouts(request: Request) -> Response:
    pool_id = request.parameters.get("pool_id")
    query = _list_query(request)
    scope = "rollouts" if pool_id is None else f"rollouts of {pool_id}"
    if query.filters.keys() - {"pool_id", "state"} or query.sort != "created" or query.is_ascending:
        scope += f" by {json_text.dumps([query.filters, query.sort, query.is_ascending])}"
    page = read_page(request, scope, "rollouts", rollouts.STATES)
    if pool_id is not None:
        await request.services.database.read_once(partial(find_pool, pool_id=pool_id))
    if not isinstance(page, Page):
        return page

    database = request.services.database
    items = await database.read(lambda db: find_briefly(db, query, page.after, page.wanted))
    if items is None:
        items = await database.read_apart(lambda db: find(db, query, page.after, page.wanted))
    return await page.filled(items, lambda db, seqs: rollouts.list_rollouts(db, seqs, page.state))


def _list_query(request: Request) -> RolloutQuery:
    """Return the filters and the order of a list; raise 422 for a time that does not exist."""
    parameters = request.parameters
    filters = {name: parameters[name] for name in FILTERS if name in parameters}
    for name in ("run", "label", "task_id", "error_code"):
        if name in filters:
            filters[name] = json_text.escaped(filters[name])
    for name in ("created_after", "created_before"):
        if name in filters:
            try:
                filters[name] = clock.normalized(filters[name])
            except ValueError:
                message = "no such time; write one as 2026-11-20T09:30:00Z"
                raise invalid(
                    [{"loc": ["query", name], "msg": message, "type": "value_error"}]
                ) from None
    is_ascending = parameters.get("direction") == "asc"
    return RolloutQuery(filters, parameters.get("sort", "created"), is_ascending)


async def create_rollout(request: Request) -> Response:
    pool_id = request.parameters.get("pool_id")
    key = await _idempotency_key(request, pool_id or "", request.body)
    is_large = len(request.raw_body) > _LARGE_BODY_BYTES
    with request.services.notifier.end_waiter() as end:
        rollout = await request.services.admission.create(
            pool_id, request.body, key, end, created_by=request.key_name or None, is_large=is_large
        )
        return await _creation_response(request, rollout, end)


async def replay_rollout(request: Request) -> Response:
    rollout_id = request.path("rollout_id")
    key = await _idempotency_key(request, rollout_id, None)
    with request.services.notifier.end_waiter() as end:
        rollout = await request.services.admission.replay(
            rollout_id, key, end, request.key_name or None
        )
        return await _creation_response(request, rollout, end)


async def validate_rollout(request: Request) -> Response:
    errors, pool_id = await request.services.admission.validate(request.body)
    return json_response({"valid": not errors, "errors": errors, "pool_id": pool_id})


async def create_rollout_batch(request: Request) -> Response:
    if len(request.raw_body) > _LARGE_BODY_BYTES:
        key, items = await asyncio.to_thread(_read_batch, request)
    else:
        key, items = _read_batch(request)
    results = await request.services.admission.create_batch(items, key, request.key_name or None)
    items_text = ",".join(_batch_item(index, result) for index, result in enumerate(results))
    ids = [result["id"] for result in results if not isinstance(result, ApiError)]
    references = ",".join(
        f'{{"id":"{rollout_id}","rollout_id":"{rollout_id}"}}' for rollout_id in ids
    )
    return json_text_response(
        f'{{"items":[{items_text}],"rollouts":[{references}],"admitted":{len(ids)},'
        f'"refused":{len(results) - len(ids)}}}'
    )


async def get_rollout(request: Request) -> Response:
    rollout_id, size = await read_rollout(
        request, lambda db, rollout: (rollout["id"], rollouts.size_of(db, rollout["id"]))
    )
    return await read_sized(
        request, size, lambda db: rollout_document(find_rollout(db, rollout_id))
    )


async def cancel_rollout(request: Request) -> Response:
    rollout = await request.services.cancellation.cancel(
        request.parameters.get("pool_id"), request.path("rollout_id")
    )
    return await _row_response(rollout, 200)


async def get_rollout_usage(request: Request) -> Response:
    rollout = await read_rollout(request, lambda _, rollout: rollout)
    return json_response(usage_document(rollout, request.services.database.now()))


async def get_rollout_summary(request: Request) -> Response:
    text = await read_rollout(
        request, lambda db, rollout: summary_document(rollout, stored_events.read_last(db, rollout))
    )
    return json_text_response(text)


async def read_rollout(request: Request, work: Callable[[Snapshot, Row], _T]) -> _T:
    """Return the value that `work` reads from the rollout of the path.

    Args:
        request: The request.
        work: Called with the connection and the rollout without its large fields.

    Raises:
        ApiError: 404 if there is no such rollout, or not in the pool of the path.
    """
    return await request.services.database.read(lambda db: work(db, rollout_of_path(request, db)))


def rollout_of_path(request: Request, db: Snapshot) -> Row:
    """Return the rollout of the path without its large fields; raise 404 as `read_rollout` does."""
    pool_id = request.parameters.get("pool_id")
    if pool_id is not None:
        find_pool(db, pool_id)
    return find_head(db, request.path("rollout_id"), pool_id)


async def _row_response(rollout: Row, status: int) -> Response:
    """Respond with a rollout that has been read."""
    if len(rollout["request"]) + len(rollout["result"]) <= json_text.LARGE:
        return json_text_response(rollout_document(rollout), status)
    text = await asyncio.to_thread(rollout_document, rollout)
    return json_text_response(text, status)


async def _idempotency_key(request: Request, place: str, body: Any) -> IdempotencyKey | None:
    if "Idempotency-Key" not in request.parameters:
        return None
    scope = f"{_scope(request)}:{place}"
    key = request.parameters["Idempotency-Key"]
    if len(request.raw_body) > _LARGE_BODY_BYTES:
        return await asyncio.to_thread(IdempotencyKey.of, scope, key, body)
    return IdempotencyKey.of(scope, key, body)


def _scope(request: Request) -> str:
    # Neither names of keys nor ids of operations have an @.
    prefix = f"{request.key_name}@" if request.key_name else ""
    return prefix + request.operation.id


def _read_batch(request: Request) -> tuple[BatchKey | None, list[BatchItem]]:
    body = request.body
    key = None
    if "Idempotency-Key" in request.parameters:
        key = BatchKey(_scope(request), request.parameters["Idempotency-Key"], body)
    requests = [*(body.get("rollouts") or ()), *(body.get("requests") or ())]
    return key, request.services.admission.batch_items(body.get("pool_id"), requests, key)


def _batch_item(index: int, result: Row | ApiError) -> str:
    if isinstance(result, ApiError):
        error = json_text.dumps(result.item())
        return f'{{"index":{index},"status":{result.status},"rollout":null,"error":{error}}}'
    rollout = rollout_document(result)
    status = _creation_status(result)
    return f'{{"index":{index},"status":{status},"rollout":{rollout},"error":null}}'


async def _creation_response(request: Request, rollout: Row, end: EndWaiter) -> Response:
    """Respond with the rollout as it is or, in sync mode, at its end."""
    services = request.services
    request.forget_body()
    if rollout["mode"] == "sync":
        waiting = end.wait(services.settings.sync_wait_seconds)
        final = await unless_disconnected(request.receive, waiting)
        if final is None:
            find = partial(find_rollout, rollout_id=rollout["id"])
            final = await services.database.read_once(find)
        rollout = final
    return await _row_response(rollout, _creation_status(rollout))


def _creation_status(rollout: Row) -> int:
    return 200 if rollout["status"] in FINAL else 202


async def list_runs(request: Request) -> Response:
    label = request.parameters.get("label")
    scope = "runs" if label is None else f"runs of {label}"
    page = read_page(request, scope, "runs", ())
    if not isinstance(page, Page):
        return json_text_response(page_document([], None))
    database, before = request.services.database, page.after and page.after.seq
    list_positions = partial(runs.list_positions, before=before, limit=page.wanted, label=label)
    # Labels are in no index.
    seqs = await (database.read if label is None else database.read_apart)(list_positions)
    cursor = None
    if len(seqs) > page.limit:
        seqs = seqs[: page.limit]
        cursor = request.services.cursors.issue(scope, ListPosition(seqs[-1]))
    # Runs may be large: they are summed apart.
    items = await database.read_apart(lambda db: runs.read_runs(db, seqs))
    return json_text_response(page_document(items, cursor))


async def get_run(request: Request) -> Response:
    name, run = request.path("run"), await _find_run(request)
    size = len(run.document) + run.configuration_bytes
    return await read_sized(
        request, size, lambda db: runs.with_configuration(db, name, run.document)
    )


async def delete_run(request: Request) -> Response:
    name, run = request.path("run"), await _find_run(request)
    if run.unfinished_count:
        message = f"Rollouts of the run that are queued or running: {run.unfinished_count}."
        raise conflict("run_active", message)
    services = request.services
    await forget_run(services.database, services.contents, json_text.escaped(name), run.last_seq)
    return json_text_response(run.document)


async def _find_run(request: Request) -> runs.RunSums:
    """Return the run of the path, summed apart; raise 404 if there is none."""
    name = request.path("run")
    run = await request.services.database.read_apart(lambda db: runs.find_run(db, name))
    if run is None:
        raise not_found(f"There is no run {name!r}: none of the rollouts has this name.")
    return run
