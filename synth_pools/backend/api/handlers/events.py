"""Handlers of the event streams of rollouts (under their pool and globally) and of pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from synth_pools.backend.api.disconnects import turn_unless_disconnected
from synth_pools.backend.api.handlers.rollouts import rollout_of_path
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import EventStreamResponse, Response, json_text_response
from synth_pools.backend.rollouts.event_feed import follow_events
from synth_pools.backend.storage.database import Snapshot
from synth_pools.backend.storage.event_logs import (
    MEDIUM_LOOK,
    SHORT_LOOK,
    EventLog,
    PageLimits,
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
    def read(db: Snapshot, limits: PageLimits) -> tuple[RolloutLog, int, str | None]:
        rollout = rollout_of_path(request, db)
        position = resume_position(
            rollout["last_sequence"], _cursors(request), request.parameters.get("after_sequence")
        )
        page = None
        if _wants_page(request):
            page = rollout_event_page(db, rollout, position, limits)
        return RolloutLog(rollout["id"]), position, page

    return await _respond(request, read)


async def stream_pool_events(request: Request) -> Response:
    def read(db: Snapshot, limits: PageLimits) -> tuple[PoolLog, int, str | None]:
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
            page = pool_event_page(db, pool, log, position, limits)
        return log, position, page

    return await _respond(request, read)


async def _respond(
    request: Request, read: Callable[[Snapshot, PageLimits], tuple[EventLog, int, str | None]]
) -> Response:
    """Respond with a stream of events, or with a page, which is read in turn if it is long.

    Args:
        request: The request.
        read: Reads a log, its position, and a page if the request is for one.
    """
    services = request.services
    limits = PageLimits(
        request.parameters.get("limit", _EVENTS_OF_A_PAGE), services.settings.max_page_bytes
    )
    short, medium = replace(limits, look=SHORT_LOOK), replace(limits, look=MEDIUM_LOOK)
    log, position, page = await services.database.read(lambda db: read(db, short))
    if page is None and _wants_page(request):
        async with turn_unless_disconnected(request.receive, services.turn(services.reading_turns)):
            _, _, page = await services.database.read(lambda db: read(db, medium))
            if page is None:
                _, _, page = await services.database.read_apart(lambda db: read(db, limits))
    if page is not None:
        return json_text_response(page)
    opening = encode_position(log.cursor(position)) if isinstance(log, PoolLog) else b""
    return _stream(request, log, position, opening)


def _stream(request: Request, log: EventLog, position: int, opening: bytes) -> EventStreamResponse:
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
