# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/cancellation.py

"""Cancellation of a fleet's requests in flight."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from synth_pools._client._sync.fleet.creation_batch import InFlight
from synth_pools._client._sync.fleet.retrying_caller import RetryingCaller
from synth_pools._client._sync.fleet.scope import RolloutScope
from synth_pools._client.fleet.options import FleetOptions
from synth_pools._client.fleet.outcomes import FleetProgress, rollout_id_of
from synth_pools._client.runtime.sync_.concurrency import WorkerGroup
from synth_pools._client.runtime.sync_.io import Function
from synth_pools.errors import SynthPoolsError

CANCEL_SECONDS = 30.0
# A service asks a container for its last answer that long.
_LAST_ANSWER_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_MOST_NAMES = 10

_LOG = logging.getLogger("synth_pools")


def cancel_requests(
    items: Mapping[int, InFlight], cancel: Function[[InFlight], None], most: int
) -> list[InFlight]:
    """Cancel requests, some at a time; return the ones that could not be cancelled.

    Args:
        items: The requests, by index.
        cancel: Cancels one.
        most: Most requests at a time.
    """
    remaining = dict(items)
    pending = deque(remaining)
    group = WorkerGroup()

    def work() -> None:
        while not group.stopping:
            try:
                index = pending.popleft()
                cancel(remaining[index])
            except IndexError:
                return
            except SynthPoolsError:
                continue
            del remaining[index]

    try:
        for _ in range(min(len(remaining), most)):
            if not group.start(work, lambda: None):
                break
        group.join(CANCEL_SECONDS)
    finally:
        group.abandon()
    return list(remaining.values())


def with_last_answer(
    rollout: dict[str, Any], scope: RolloutScope, caller: RetryingCaller
) -> dict[str, Any]:
    """Return a rollout; wait a while for what the container of a cancelled one tells last."""
    rollout_id, clock = rollout_id_of(rollout), scope.transport.clock
    is_cancelled = rollout.get("status", rollout.get("state")) == "cancelled"
    # A rollout that never started has used nothing.
    until = clock() + (_LAST_ANSWER_SECONDS if is_cancelled and rollout.get("started_at") else 0)
    # Many may wait for containers that never answer.
    pause = _FIRST_PAUSE
    with contextlib.suppress(SynthPoolsError):
        while rollout.get("result") is None and clock() < until:
            caller.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            rollout = caller.call(lambda: scope.get(rollout_id), is_look=True)
    return rollout


def log_early_end(
    options: FleetOptions, progress: FleetProgress, remaining: list[InFlight], interrupted: bool
) -> None:
    """Log on one line which rollouts go on after an early end."""
    words = []
    if interrupted:
        many = progress.done if progress.total is None else f"{progress.done} of {progress.total}"
        words.append(f"run_many was interrupted after {many} requests")
    if options.on_interrupt == "cancel" and remaining:
        words.append(
            f"{len(remaining)} rollouts could not be cancelled and go on: {_names(remaining)}"
        )
    elif remaining:
        words.append(f"{len(remaining)} rollouts go on")
    if words and options.journal_path is not None:
        words.append(f"to resume, make the same call with journal={str(options.journal_path)!r}")
    if words:
        _LOG.warning("; ".join(words))


def _names(items: list[InFlight]) -> str:
    """Return the ids of rollouts, of many the first ones."""
    names = [item.rollout_id or f"the one with the key {item.key}" for item in items[:_MOST_NAMES]]
    return ", ".join(names) + (", ..." if len(items) > len(names) else "")
