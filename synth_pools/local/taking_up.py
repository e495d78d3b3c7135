"""Asking a container for a rollout that it was sent before the backend restarted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .targets import Answer, Target, TargetError

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

# How often in a row a container may answer nonsense, or nobody answer, before it is given up: it
# may have been restarted together with the backend, and then come up a little later.
_TRIES = 6

_PENDING = frozenset(
    {"accepted", "created", "in_progress", "pending", "queued", "running", "starting", "submitted"}
)


async def take_up(target: Target, rollout_id: str, limit_seconds: float) -> Answer | None:
    """Its answer once the rollout has ended there; None where it does not know it (any more).

    `TargetError` with `container_timeout` where it has not ended after this time.
    """
    deadline = time.monotonic() + limit_seconds
    pause = _FIRST_PAUSE
    tries = _TRIES
    while True:
        try:
            answer = await target.look_up(rollout_id)
        except TargetError as error:
            # One that is silent may be busy with this very rollout: many cannot do both at once.
            tries = _TRIES if error.code == "container_timeout" else tries - 1
            if tries == 0:
                return None
        else:
            if answer is None or not _is_about(answer.document, rollout_id):
                return None
            if not _is_pending(answer.document.get("status")):
                return answer
            tries = _TRIES
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TargetError(
                "container_timeout",
                "After a restart of the backend the rollout did not end within its time limit.",
                {"timeout_seconds": limit_seconds},
            )
        await asyncio.sleep(min(pause, remaining))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _is_pending(status: object) -> bool:
    return isinstance(status, str) and status in _PENDING


def _is_about(document: dict[str, Any], rollout_id: str) -> bool:
    """Whether it is the state of this rollout, not some page that is there for any path."""
    return document.get("rollout_id", rollout_id) == rollout_id and any(
        isinstance(document.get(key), str) for key in ("status", "success_status")
    )
