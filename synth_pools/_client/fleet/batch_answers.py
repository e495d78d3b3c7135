"""Answers to batches of a fleet, request by request. Pure, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from synth_pools._client.arguments import encode_json
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.outcomes import rollout_id_of
from synth_pools._client.http.error_mapping import status_error
from synth_pools._client.http.retry import has_no_operation
from synth_pools.errors import APIStatusError, DecodeError, RequestValidationError, SynthPoolsError

# A service accepts 1,000, but a lost answer costs each of them a further request.
MOST_REQUESTS = 100
_MOST_BYTES = 32 * 1024

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


def read_answers(
    document: Any, count: int, url: str, path: str
) -> tuple[list[Answer | None], bool]:
    """Read the answer to each request of a batch: its rollout, or its error.

    Args:
        document: The answer to the batch.
        count: Number of the requests.
        url: URL that creates a single rollout, for errors.
        path: Path of that URL, for errors.

    Returns:
        The answers, and whether the document is one to each request and nothing else. An answer is
        None for a request that the document does not answer, or answers twice, and where it names
        one rollout for several requests.
    """
    items = document.get("items") if isinstance(document, dict) else None
    items = items if isinstance(items, list) else []
    # Without an index, a place in a list of another length says nothing.
    has_places = len(items) == count
    answers: dict[int, Answer | None] = {}
    owners: dict[str, int] = {}
    unclear: set[int] = set()
    for place, item in enumerate(items):
        index = item.get("index", place if has_places else None) if isinstance(item, dict) else None
        if type(index) is not int or not 0 <= index < count:
            continue
        answer = _answer(item, url, path)
        if isinstance(answer, dict):
            owner = owners.setdefault(rollout_id_of(answer), index)
            if owner != index:
                unclear |= {owner, index}
        if index in answers:
            unclear.add(index)
        answers[index] = answer
    clear = [None if index in unclear else answers.get(index) for index in range(count)]
    return clear, has_places and None not in clear


def _answer(item: dict[str, Any], url: str, path: str) -> Answer | None:
    rollout, error, status = item.get("rollout"), item.get("error"), item.get("status")
    if isinstance(rollout, dict):
        try:
            rollout_id_of(rollout)
        except DecodeError:
            return None
        return rollout
    if not isinstance(error, dict) or not isinstance(status, int) or not 400 <= status <= 599:
        return None
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
    return has_no_operation(error) or classify_error(error)[0] is ErrorCategory.PERMANENT
