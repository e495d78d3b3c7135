"""Rollouts, in both families: each handler serves the operation under a pool and the global one.

The one under a pool has a `pool_id` in its path, and sees no rollout of another pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.rollouts.event_feed import follow, until_final
from synth_pools.backend.rollouts.lookups import cancel
from synth_pools.backend.rollouts.service import (
    admit,
    admit_again,
    admit_batch,
    faults_of,
    items_of,
)
from synth_pools.backend.storage import events as stored_events
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.cursors import page_document
from synth_pools.backend.storage.idempotency import BatchKey, IdempotencyKey
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.rollouts import (
    FINAL,
    find_rollout,
    rollout_document,
    usage_document,
)

from ..disconnects import unless_disconnected
from ..messages import EventStreamResponse, Request, Response, reply, reply_text
from ..pagination import read_page

# To judge this much may take long enough for others to notice.
_LARGE = 64 * 1024


async def list_rollouts(call: Request) -> Response:
    pool_id = call.parameters.get("pool_id")
    scope = "rollouts" if pool_id is None else f"rollouts of {pool_id}"
    page = read_page(call, scope, rollouts.STATES)
    with call.services.database.reading() as db:
        if pool_id is not None:
            find_pool(db, pool_id)
        if page is None:
            return reply_text(page_document([], None))
        return page.filled(
            lambda before, limit: rollouts.list_rollouts(db, pool_id, page.state, before, limit),
            rollout_document,
            lambda row: row,
        )


async def create_rollout(call: Request) -> Response:
    pool_id = call.parameters.get("pool_id")
    key = _key(call, pool_id or "", call.body)
    is_large = len(call.raw_body) > _LARGE
    rollout = await admit(call.services, pool_id, call.body, key, is_large=is_large)
    return await _answer(call, rollout, key)


async def replay_rollout(call: Request) -> Response:
    rollout_id = call.path("rollout_id")
    key = _key(call, rollout_id, None)
    return await _answer(call, await admit_again(call.services, rollout_id, key), key)


async def validate_rollout(call: Request) -> Response:
    errors, pool_id = faults_of(call.services, call.body)
    return reply({"valid": not errors, "errors": errors, "pool_id": pool_id})


async def create_rollout_batch(call: Request) -> Response:
    if len(call.raw_body) > _LARGE:
        key, items = await asyncio.to_thread(_batch, call)
    else:
        key, items = _batch(call)
    results = await admit_batch(call.services, items, key)
    told = ",".join(_item(index, result) for index, result in enumerate(results))
    ids = [result["id"] for result in results if not isinstance(result, ApiError)]
    references = ",".join(f'{{"id":"{one}","rollout_id":"{one}"}}' for one in ids)
    return reply_text(
        f'{{"items":[{told}],"rollouts":[{references}],"admitted":{len(ids)},'
        f'"refused":{len(results) - len(ids)}}}'
    )


async def get_rollout(call: Request) -> Response:
    with _found(call) as (_, rollout):
        return reply_text(rollout_document(rollout))


async def cancel_rollout(call: Request) -> Response:
    rollout = await cancel(call.services, call.parameters.get("pool_id"), call.path("rollout_id"))
    return reply_text(rollout_document(rollout))


async def get_rollout_usage(call: Request) -> Response:
    with _found(call) as (_, rollout):
        pass
    return reply(usage_document(rollout))


async def get_rollout_summary(call: Request) -> Response:
    with _found(call) as (db, rollout):
        last_event = stored_events.read_last(db, rollout)
    return reply_text(rollouts.summary_document(rollout, last_event))


async def stream_rollout_events(call: Request) -> Response:
    with _found(call) as (_, rollout):
        pass
    seen_ids = (call.parameters.get("cursor"), call.parameters.get("Last-Event-ID"))
    position = stored_events.resume_position(
        rollout["last_sequence"], seen_ids, call.parameters.get("after_sequence")
    )
    services = call.services
    heartbeat = services.settings.heartbeat_seconds
    events = follow(services.database, services.notifier, rollout["id"], position, heartbeat)
    return EventStreamResponse(rollout["id"], events)


@contextlib.contextmanager
def _found(call: Request) -> Iterator[tuple[sqlite3.Connection, sqlite3.Row]]:
    """The rollout that the path names, under its pool where the path names one."""
    pool_id = call.parameters.get("pool_id")
    with call.services.database.reading() as db:
        if pool_id is not None:
            find_pool(db, pool_id)
        yield db, find_rollout(db, call.path("rollout_id"), pool_id)


def _key(call: Request, place: str, body: Any) -> IdempotencyKey | None:
    if "Idempotency-Key" not in call.parameters:
        return None
    scope = f"{call.operation.id}:{place}"
    return IdempotencyKey.of(scope, call.parameters["Idempotency-Key"], body)


def _batch(call: Request) -> tuple[BatchKey | None, list[Any]]:
    body = call.body
    key = None
    if "Idempotency-Key" in call.parameters:
        key = BatchKey(call.operation.id, call.parameters["Idempotency-Key"], body)
    requests = [*(body.get("rollouts") or ()), *(body.get("requests") or ())]
    return key, items_of(call.services, body.get("pool_id"), requests, key)


def _item(index: int, result: sqlite3.Row | ApiError) -> str:
    if isinstance(result, ApiError):
        error = json_text.dumps(result.item())
        return f'{{"index":{index},"status":{result.status},"rollout":null,"error":{error}}}'
    rollout = rollout_document(result)
    return f'{{"index":{index},"status":202,"rollout":{rollout},"error":null}}'


async def _answer(call: Request, rollout: sqlite3.Row, key: IdempotencyKey | None) -> Response:
    """The rollout as it was admitted or, where it says so, once it has ended."""
    services = call.services
    if rollout["mode"] != "sync" or _stopped_waiting(call, key):
        return reply_text(rollout_document(rollout), 202)
    waiting = until_final(
        services.database, services.notifier, rollout["id"], services.settings.sync_wait_seconds
    )
    await unless_disconnected(call.receive, waiting)
    with services.database.reading_once() as db:
        rollout = find_rollout(db, rollout["id"])
    # After that: whoever stopped waiting meanwhile was answered 202, and so are all others.
    stopped = _stopped_waiting(call, key)
    has_ended = rollout["status"] in FINAL
    if key is not None and not has_ended:
        await key.note_stopped_waiting(services.database)
    return reply_text(rollout_document(rollout), 200 if has_ended and not stopped else 202)


def _stopped_waiting(call: Request, key: IdempotencyKey | None) -> bool:
    if key is None:
        return False
    with call.services.database.reading_once() as db:
        return key.stopped_waiting(db)
