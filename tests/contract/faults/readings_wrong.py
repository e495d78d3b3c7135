"""Faults of servers that read a sentence of the document in another way than clients do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contract.faults.fault import (
    DOCUMENT,
    Altering,
    Answering,
    Fault,
    Passing,
    answers,
    dropped,
    error_response,
    header_lost,
    query_of,
    seen_by,
)
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


async def _status_of_first(request: Request, response: Response, passing: Passing) -> Response:
    """Answer a repetition with the status of the first response."""
    if response.status == 200 and not _is_sync(request):
        response.status = 202
    return response


def _each_admitted(**changed: Any) -> Altering:
    def change(batch: Any) -> Any:
        items = [
            item if item["rollout"] is None else {**item, **changed} for item in batch["items"]
        ]
        return {**batch, "items": items}

    return answers(change)


async def _mode_of_batch(request: Request, response: Response, passing: Passing) -> Response:
    """Say of the rollouts of a batch that nobody waited for them."""
    body = response.json()
    for item in body.get("items", []) if response.status == 200 else []:
        if item["rollout"] is not None:
            item["rollout"]["mode"] = "async"
    return response.with_json(body)


_BATCH = "create_rollout_batch"
CREATIONS = [
    seen_by("idempotency.replay", operation, f"{operation}_again_202", after=_status_of_first)
    for operation in ("create_rollout", "create_global_rollout")
] + [
    seen_by("replay.key", "replay_rollout", "replay_rollout_again_202", after=_status_of_first),
    seen_by(
        "batch.key",
        _BATCH,
        "batch_always_202",
        after=_each_admitted(status=202),
        rule="agree.creation",
    ),
    seen_by("batch.no_waiting", _BATCH, "batch_always_200", after=_each_admitted(status=200)),
    seen_by("batch.no_waiting", _BATCH, "batch_mode_async", after=_mode_of_batch),
]


def _envelope(**changed: Any) -> Altering:
    def change(body: Any) -> Any:
        return {**body, "error": {**body["error"], **changed}}

    return answers(change, statuses=(404, 409, 429))


ERRORS = [
    Fault(
        "errors_without_a_code",
        "errors",
        ("get_pool",),
        ("", *DOCUMENT.operations),
        after=answers(dropped("error"), statuses=tuple(range(400, 600))),
        check="ids.exact",
        rule="schema.coded",
    ),
    seen_by(
        "ids.exact",
        "get_pool",
        "missing_pool_retryable",
        after=_envelope(retryable=True),
        rule="schema.retryable",
    ),
    seen_by(
        "full.queue",
        "create_rollout",
        "full_queue_in_other_units",
        after=_envelope(retry_after_ms=10**9),
        backend="small",
        rule="errors.retry_after",
    ),
    seen_by(
        "processes.warming",
        "create_rollout",
        "warming_without_retry_after",
        after=header_lost("retry-after"),
        backend="processes",
        rule="schema.retry_after",
    ),
    seen_by(
        "processes.warming",
        "create_rollout",
        "warming_not_retryable",
        after=_envelope(retryable=False),
        backend="processes",
    ),
]

FAULTS: list[Fault] = [*FEATURES, *CREATIONS, *ERRORS]
