"""Handlers of the event streams of rollouts (under their pool and globally) and of pools."""

from __future__ import annotations

from synth_pools.backend.api.handlers.rollouts import read_rollout
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import EventStreamResponse, Response, json_text_response
from synth_pools.backend.rollouts.event_feed import follow_events
from synth_pools.backend.storage.database import Row, Snapshot
from synth_pools.backend.storage.event_logs import (
    EventLog,
    PoolLog,
    RolloutLog,
    pool_event_page,
    resume_position,
    rollout_event_page,
)
from synth_pools.backend.storage.events import encode_position
from synth_pools.backend.storage.pools import find_pool

_EVENTS_OF_A_PAGE = 200


async def stream_rollout_events(request: Request) -> Response:
    def read(db: Snapshot, rollout: Row) -> tuple[str, int, str | None]:
        position = resume_position(
            rollout["last_sequence"], _cursors(request), request.parameters.get("after_sequence")
        )
        page = None
        if _wants_page(request):
            page = rollout_event_page(db, rollout, position, *_page_limits(request))
        return rollout["id"], position, page

    rollout_id, position, page = await read_rollout(request, read)
    if page is not None:
        return json_text_response(page)
    return _stream(request, RolloutLog(rollout_id), position)


async def stream_pool_events(request: Request) -> Response:
    def read(db: Snapshot) -> tuple[PoolLog, int, str | None]:
        pool = find_pool(db, request.path("pool_id"))
        log = PoolLog.of(
            pool,
            request.parameters.get("types"),
            with_rollouts=request.parameters.get("include") == "rollout",
        )
        start = request.parameters.get("start", "earliest")
        position = log.position(db, _cursors(request), start)
        page = None
        if _wants_page(request):
            page = pool_event_page(db, pool, log, position, *_page_limits(request))
        return log, position, page

    log, position, page = await request.services.database.read(read)
    if page is not None:
        return json_text_response(page)
    return _stream(request, log, position, encode_position(log.cursor(position)))


def _stream(
    request: Request, log: EventLog, position: int, opening: bytes = b""
) -> EventStreamResponse:
    services = request.services
    pieces = follow_events(
        services.database,
        services.notifier,
        log,
        position,
        services.settings.heartbeat_seconds,
        opening,
    )
    return EventStreamResponse(log.subject, pieces)


def _cursors(request: Request) -> tuple[str | None, str | None]:
    return request.parameters.get("cursor"), request.parameters.get("Last-Event-ID")


def _wants_page(request: Request) -> bool:
    return request.parameters.get("format") == "json"


def _page_limits(request: Request) -> tuple[int, int]:
    limit = request.parameters.get("limit", _EVENTS_OF_A_PAGE)
    return limit, request.services.settings.max_page_bytes
