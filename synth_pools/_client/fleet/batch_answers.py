"""Answers to batches of a fleet, request by request. Pure, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from synth_pools._client.arguments import encode_json
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.outcomes import rollout_id_of
from synth_pools._client.http.error_mapping import status_error
from synth_pools.errors import APIStatusError, DecodeError, RequestValidationError, SynthPoolsError

# A service accepts 1,000, but a lost answer costs each of them a further request.
MOST_REQUESTS = 100
_MOST_BYTES = 32 * 1024
_NO_SUCH_OPERATION = frozenset({404, 405, 501})

Answer = dict[str, Any] | SynthPoolsError


def may_be_in_batch(request: Any, *, has_pool: bool) -> bool:
    """Check that a request has the same effect in a batch as alone.

    Args:
        request: The request.
        has_pool: True if the path names the pool. Then a request that names a pool is refused.
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
    """Return the answer to each request of a batch: its rollout or its error.

    Args:
        document: The answer to the batch.
        requests: The requests of the batch.
        url: URL that creates a single rollout, for errors.
        path: Path of that URL, for errors.

    Raises:
        DecodeError: The answer does not cover each request.
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
    """Check that an error refuses a batch for good."""
    if not isinstance(error, APIStatusError) or error.code == "idempotency_conflict":
        return False
    return has_no_batches(error) or classify_error(error)[0] is ErrorCategory.PERMANENT


def has_no_batches(error: SynthPoolsError) -> bool:
    """Check that an error means that the service does not know the operation."""
    return isinstance(error, APIStatusError) and error.status_code in _NO_SUCH_OPERATION
