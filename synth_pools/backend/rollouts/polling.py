"""Polling of a container for a rollout until it ends.

It is for rollouts of pools with asynchronous submission, and for rollouts that were sent before the
backend restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from synth_pools.backend.domain.target import Answer, Target, TargetError
from synth_pools.backend.domain.validation import is_answer
from synth_pools.backend.resources.byte_budget import timeout

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# Time limit of even a late poll, since the rollout may have ended in time.
_SHORTEST_LIMIT = 1.0

# Failed polls in a row after which the container is given up: it may have been restarted together
# with the backend, and come up a little later.
_TRIES = 6

_PENDING = frozenset(
    {"accepted", "created", "in_progress", "paused", "pending", "queued", "running", "starting"}
    | {"submitted"}
)


async def follow(target: Target, rollout_id: str, limit_seconds: float) -> Answer | None:
    """Return the answer at the end of the rollout; None if the container does not know it.

    Args:
        target: The container.
        rollout_id: The rollout.
        limit_seconds: The longest wait; raised to a minimum of one second.

    Raises:
        TargetError: `container_timeout` if the rollout has not ended in time, else the error of
            the last of several failed polls.
    """
    try:
        async with timeout(max(limit_seconds, _SHORTEST_LIMIT)):
            return await _follow(target, rollout_id)
    except TimeoutError:
        error = TargetError(
            "container_timeout",
            f"The rollout did not end on its container within {limit_seconds:g} seconds.",
            {"timeout_seconds": limit_seconds},
        )
    end = await last_look(target, rollout_id, error)
    if end is None:
        raise error
    return end


async def last_look(target: Target, rollout_id: str, error: TargetError) -> Answer | None:
    """Return the end of a rollout whose time is over, if its container has it; else None.

    A container that still runs it is told to stop; what it then answers becomes `error.last`.

    Args:
        target: The container.
        rollout_id: The rollout.
        error: The error so far; there is no look unless it is `container_timeout`.
    """
    if error.code != "container_timeout":
        return None
    with contextlib.suppress(TargetError, TimeoutError):
        async with timeout(_SHORTEST_LIMIT):
            answer = await target.look_up(rollout_id)
        if answer is not None and _is_about(answer.document, rollout_id):
            if not is_pending(answer):
                return answer
            async with timeout(_SHORTEST_LIMIT):
                await target.terminate(rollout_id)
                error.last = await _follow(target, rollout_id)
    return None


async def _follow(target: Target, rollout_id: str) -> Answer | None:
    pause = _FIRST_PAUSE
    tries = _TRIES
    while True:
        try:
            answer = await target.look_up(rollout_id)
        except TargetError as error:
            # A silent container may be busy with this very rollout: many cannot do both at once.
            tries = _TRIES if error.code == "container_timeout" else tries - 1
            if tries == 0:
                raise
        else:
            if answer is None or not _is_about(answer.document, rollout_id):
                return None
            if not is_pending(answer):
                return answer
            tries = _TRIES
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_accepted(answer: Answer) -> bool:
    """Return True if a container has accepted a rollout that has not ended.

    If the document has no state, the status 202 is enough.
    """
    return is_pending(answer) or (
        answer.status == 202 and not is_answer("get_rollout", answer.document)
    )


def is_pending(answer: Answer) -> bool:
    """Return True if a container says that a rollout has not ended yet."""
    status = answer.document.get("status")
    return isinstance(status, str) and status.lower() in _PENDING


def _is_about(document: dict[str, Any], rollout_id: str) -> bool:
    """Return True for a state of this rollout; False for a page that is served at any path."""
    has_id = document.get("rollout_id", rollout_id) == rollout_id
    return has_id and is_answer("get_rollout", document)
