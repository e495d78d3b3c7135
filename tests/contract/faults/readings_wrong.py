"""Faults of servers that read a sentence of the document in another way than clients do."""

from __future__ import annotations

from collections.abc import Callable

from tests.contract.faults.fault import Answering, Fault, Passing, error_response, query_of, seen_by
from tests.contract.faults.wire import Request, Response, header


def _has_key(request: Request) -> bool:
    return header(request.headers, "idempotency-key") is not None


def _names_position(request: Request) -> bool:
    return "cursor" in query_of(request)


def _is_sync(request: Request) -> bool:
    body = request.json()
    return isinstance(body, dict) and body.get("mode") == "sync"


def _refused_where(is_used: Callable[[Request], bool]) -> Answering:
    """Refuse a request of a feature that the server lacks."""

    async def before(request: Request, passing: Passing) -> Response | None:
        return error_response(422, "validation_failed") if is_used(request) else None

    return before


FEATURES = [
    seen_by(check, operation, f"{name}_refused", before=_refused_where(is_used), backend="plain")
    for check, operation, name, is_used in (
        ("idempotency.not_offered", "create_rollout", "lacking_keys", _has_key),
        ("events.not_resumed", "stream_rollout_events", "lacking_resumption", _names_position),
        ("rollouts.sync_not_offered", "create_global_rollout", "lacking_sync_mode", _is_sync),
    )
]

FAULTS: list[Fault] = [*FEATURES]
