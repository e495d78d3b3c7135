"""Rollouts, in both families: each handler serves the operation under a pool and the global one.

The one under a pool has a `pool_id` in its path, and sees no rollout of another pool.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from synth_pools.backend.rollouts.event_feed import follow
from synth_pools.backend.rollouts.lookups import cancel
from synth_pools.backend.storage import events as stored_events
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.cursors import page_document
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.rollouts import find_rollout, rollout_document, usage_document

from ..messages import EventStreamResponse, Request, Response, reply, reply_text
from ..pagination import read_page


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
