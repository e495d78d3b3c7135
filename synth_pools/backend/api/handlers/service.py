"""Handlers of the service: queue and capabilities."""

from __future__ import annotations

from synth_pools.backend.api.disconnects import turn_unless_disconnected, unless_disconnected
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import PIECE_BYTES, JSONResponse, Response, json_response
from synth_pools.backend.domain.definitions import DEFAULT_TARGET
from synth_pools.backend.domain.errors import ApiError, conflict
from synth_pools.backend.storage import pools, rollouts
from synth_pools.backend.storage.queries import QueryLimits, QueryRefusedError

_STARTED_TARGETS = ("harbor", "openenv")
_MOST_ROWS = 10_000


async def get_queue_status(request: Request) -> Response:
    (queued, running), capacity = await request.services.database.read(
        lambda db: (rollouts.count_unfinished(db), pools.total_concurrency(db))
    )
    return json_response({"queued": queued, "running": running, "capacity": capacity})


async def get_capabilities(request: Request) -> Response:
    settings, contract = request.services.settings, request.services.contract
    features = contract.document["components"]["schemas"]["Features"]["properties"]
    # It deploys to them with processes and images of their containers.
    starts = settings.allow_processes or settings.allow_images or settings.ray is not None
    return json_response(
        {
            "targets": [*(_STARTED_TARGETS if starts else ()), DEFAULT_TARGET],
            "features": {
                # All that openapi.yaml names, but for these.
                **dict.fromkeys(features, True),
                "deployments": False,
                "image_releases": settings.allow_images,
                "images": settings.allow_images,
                "processes": settings.allow_processes,
                "query": request.services.queries is not None,
                "ray": settings.ray is not None,
            },
            "scopes": request.services.keys.scopes_of(request.key_name),
            "version": contract.version,
        }
    )


async def run_query(request: Request) -> Response:
    services, settings = request.services, request.services.settings
    queries = services.queries
    if queries is None:
        raise ApiError(
            501,
            "not_implemented",
            "A PostgreSQL database is queried by a user of its own: start the backend with "
            "--query-store.",
        )
    sql, rows = request.body["sql"], request.body.get("limit", _MOST_ROWS)
    limits = QueryLimits(rows, settings.max_page_bytes, settings.max_query_seconds)
    # One at a time: each takes a processor.
    async with turn_unless_disconnected(request.receive, services.turn(services.query_turns)):
        try:
            answer = queries.answer(sql, limits)
            document = await unless_disconnected(request.receive, answer)
        except QueryRefusedError as error:
            reason = str(error).removesuffix(".")
            raise conflict("query_refused", f"The query is refused: {reason}.") from None
        # During its turn: one answer at most waits for room.
        size = len(document)
        reserved = await services.room_to_send(size) if size > PIECE_BYTES else None
    return JSONResponse(200, document.encode("ascii"), reserved=reserved)
