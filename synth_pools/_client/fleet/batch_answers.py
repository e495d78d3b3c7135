"""Answers to batches of a fleet, request by request: pure, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from synth_pools._client.arguments import encode_json
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.outcomes import rollout_id_of
from synth_pools._client.http.error_mapping import status_error
from synth_pools.errors import (
    APIStatusError,
    DecodeError,
    RequestValidationError,
    SynthPoolsError,
)

# A service takes 1,000; a lost answer costs all of them one more request.
MOST_REQUESTS = 100
_MOST_BYTES = 32 * 1024
_NO_SUCH_OPERATION = frozenset({404, 405, 501})

Answer = dict[str, Any] | SynthPoolsError


def may_be_in_batch(request: Any, *, has_pool: bool) -> bool:
    """Check that a batch would make of a request what its creation alone makes.

    Args:
        request: The request.
        has_pool: Whether all are for one pool: one that names a pool itself is then refused alone.
    """
    if not isinstance(request, Mapping) or request.get("mode") == "sync":
        return False
    if has_pool and "pool_id" in request:
        return False
    try:
        return len(encode_json(request)) <= _MOST_BYTES
    except RequestValidationError:
        return False


def read_answers(document: Any, requests: Sequence[Any], url: str, path: str) -> list[Answer]:
    """Return what each request of a batch was answered: its rollout, or the error of it alone.

    Args:
        document: The answer to the batch.
        requests: The requests of the batch.
        url: URL at which one alone is created, for errors.
        path: Its path, for errors.

    Raises:
        DecodeError: It does not say what became of each.
    """
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list) or len(items) != len(requests):
        raise DecodeError(
            f"the service was asked for {len(requests)} rollouts and did not say what became of "
            "each",
            excerpt=str(document)[:200],
        )
    return [_answer(item, url, path) for item in items]


def _answer(item: Any, url: str, path: str) -> Answer:
    rollout, error, status = (
        item.get(name) if isinstance(item, dict) else None
        for name in ("rollout", "error", "status")
    )
    if isinstance(rollout, dict):
        rollout_id_of(rollout)
        return rollout
    if not isinstance(error, dict) or not isinstance(status, int) or not 400 <= status <= 599:
        raise DecodeError(
            "the service says neither that it admitted a rollout nor why not",
            excerpt=str(item)[:200],
        )
    return status_error(
        method="POST",
        url=url,
        path=path,
        status_code=status,
        headers=[],
        content=json.dumps({"error": error}).encode(),
    )


def is_refused(error: SynthPoolsError) -> bool:
    """Check that an error says that nothing came of a batch, now or ever."""
    if not isinstance(error, APIStatusError) or error.code == "idempotency_conflict":
        return False
    return has_no_batches(error) or classify_error(error)[0] is ErrorCategory.PERMANENT


def has_no_batches(error: SynthPoolsError) -> bool:
    """Check for the refusal of a service that does not know the operation."""
    return isinstance(error, APIStatusError) and error.status_code in _NO_SUCH_OPERATION
