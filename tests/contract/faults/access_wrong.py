"""Faults of keys, of the checking of requests, and of idempotency."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from synth_pools.spec import load_spec
from tests.contract.faults.fault import (
    Answering,
    Fault,
    Passing,
    html_response,
    query_of,
    request_header_lost,
    sibling,
    status_becomes,
)
from tests.contract.faults.wire import Request, Response, header, without

_ROLLOUT_KEYS = frozenset(load_spec()["components"]["schemas"]["RolloutRequest"]["properties"])


async def _any_key(request: Request, passing: Passing) -> Response | None:
    """Accept any key, and none."""
    request.headers = [
        *without(request.headers, "authorization"),
        ("authorization", f"Bearer {passing.key}"),
    ]
    return None


async def _any_key_but_none(request: Request, passing: Passing) -> Response | None:
    if header(request.headers, "authorization") is not None:
        await _any_key(request, passing)
    return None


async def _html_401(request: Request, response: Response, passing: Passing) -> Response:
    return html_response(401) if response.status == 401 else response


def _mended(mend: Callable[[dict[str, Any]], dict[str, Any]]) -> Answering:
    """Repair the body before it can be refused."""

    async def before(request: Request, passing: Passing) -> Response | None:
        body = request.json()
        if isinstance(body, dict):
            request.body = json.dumps(mend(body)).encode()
        return None

    return before


def _clamped(body: dict[str, Any]) -> dict[str, Any]:
    value = body.get("concurrency")
    if isinstance(value, int) and not isinstance(value, bool):
        return {**body, "concurrency": min(max(value, 1), 10_000)}
    return body


async def _limit_clamped(request: Request, passing: Passing) -> Response | None:
    limit = query_of(request).get("limit")
    if limit is not None and not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1000):
        request.target = request.path
    return None


async def _first_of_key(request: Request, response: Response, passing: Passing) -> Response:
    """Answer a key with another body by the first rollout."""
    key = header(request.headers, "idempotency-key")
    admitted = passing.memory.setdefault("made", {})
    if key is None:
        return response
    if response.status in (200, 202):
        admitted[key] = response.json()
    elif response.status == 409 and key in admitted:
        return Response(202, response.headers, json.dumps(admitted[key]).encode())
    return response


async def _one_key_for_all(request: Request, passing: Passing) -> Response | None:
    """Treat all keys as one, as long as the body is the same."""
    key = header(request.headers, "idempotency-key")
    if key is not None:
        same = f"k{hash(request.body)}"
        request.headers = [*without(request.headers, "idempotency-key"), ("Idempotency-Key", same)]
    return None


async def _existing_for_taken(request: Request, response: Response, passing: Passing) -> Response:
    """Answer the creation of a taken id by the existing pool."""
    body = request.json()
    if response.status != 409 or not isinstance(body, dict):
        return response
    pool_id = body.get("pool_id") or body.get("id")
    there = await passing.ask(sibling(request, "GET", f"/v1/pools/{pool_id}"))
    if there.status == 200:
        there.status = 201
        return there
    return response


ACCESS = [
    Fault("get_pool_without_key", "auth", ("get_pool",), ("get_pool",), before=_any_key),
    Fault(
        "wrong_key_reads_rollouts",
        "auth",
        ("list_rollouts",),
        ("list_rollouts",),
        before=_any_key_but_none,
    ),
    Fault("delete_without_key", "auth", ("delete_task",), ("delete_task",), before=_any_key),
    Fault(
        "events_without_key",
        "auth",
        ("stream_global_rollout_events",),
        ("stream_global_rollout_events",),
        before=_any_key,
    ),
    Fault(
        "missing_key_is_404",
        "auth",
        ("create_global_rollout",),
        ("create_global_rollout",),
        after=status_becomes(401, 404),
    ),
    Fault(
        "missing_key_in_html", "auth", ("get_capabilities",), ("get_capabilities",), after=_html_401
    ),
]

VALIDATION = [
    Fault(
        "misspelt_rollout_keys_pass",
        "validation",
        ("create_rollout",),
        ("create_rollout",),
        before=_mended(lambda body: {k: v for k, v in body.items() if k in _ROLLOUT_KEYS}),
    ),
    Fault(
        "limits_of_lists_pass",
        "validation",
        ("list_pools", "list_rollouts", "list_global_rollouts"),
        ("list_pools", "list_rollouts", "list_global_rollouts"),
        before=_limit_clamped,
    ),
    Fault(
        "concurrency_is_clamped",
        "validation",
        ("create_pool", "replace_pool"),
        ("create_pool", "replace_pool"),
        before=_mended(_clamped),
    ),
    Fault(
        "long_names_are_cut",
        "validation",
        ("replace_pool",),
        ("replace_pool",),
        before=_mended(
            lambda body: (
                {**body, "name": body["name"][:255]} if isinstance(body.get("name"), str) else body
            )
        ),
    ),
]

IDEMPOTENCY = [
    Fault(
        "idempotency_key_ignored",
        "idempotency",
        ("create_rollout",),
        ("create_rollout",),
        before=request_header_lost("idempotency-key"),
    ),
    Fault(
        "idempotency_key_ignored_globally",
        "idempotency",
        ("create_global_rollout",),
        ("create_global_rollout",),
        before=request_header_lost("idempotency-key"),
    ),
    Fault(
        "other_body_with_the_same_key_passes",
        "idempotency",
        ("create_rollout",),
        ("create_rollout",),
        after=_first_of_key,
    ),
    Fault(
        "other_keys_give_the_same_rollout",
        "idempotency",
        ("create_rollout",),
        ("create_rollout",),
        before=_one_key_for_all,
    ),
    Fault(
        "taken_id_has_two_winners",
        "concurrency",
        ("create_pool",),
        ("create_pool",),
        after=_existing_for_taken,
    ),
]

FAULTS = [*ACCESS, *VALIDATION, *IDEMPOTENCY]
