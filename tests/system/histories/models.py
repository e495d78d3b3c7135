"""Sequential models of a pool and of a rollout, by openapi.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.system.histories.checker import Model, Operation

_FINAL = {"completed", "failed", "cancelled"}
_NEXT = {
    "queued": {"queued", "running", *_FINAL},
    "running": {"running", *_FINAL},
    **{status: {status} for status in _FINAL},
}


class PoolState(NamedTuple):
    """State of a pool; None before its creation."""

    name: str
    concurrency: int
    status: str


def _pool_step(state: PoolState | None, operation: Operation) -> Iterator[PoolState | None]:
    if operation.answer is None:
        # It may have got lost on its way there.
        yield state
        status, observed = None, None
    else:
        status, observed = operation.answer
    new: PoolState | None
    if operation.name == "create":
        name, concurrency = operation.argument
        new = state or PoolState(name, concurrency, "active")
        expected = 201 if state is None else 409
    elif state is None:
        new, expected = None, 404
    else:
        new, expected = _changed(state, operation)
    if status in (expected, None) and observed in (new, None):
        yield new


def _changed(state: PoolState, operation: Operation) -> tuple[PoolState, int]:
    """Return what becomes of a pool, and the status of the answer."""
    match operation.name:
        case "get":
            return state, 200
        case "delete":
            return state._replace(status="archived"), 200
        case "admit":
            return state, 202 if state.status == "active" else 409
    if state.status == "archived":
        return state, 409
    match operation.name:
        case "patch":
            return state._replace(**operation.argument), 200
        case "pause":
            return state._replace(status="paused"), 200
        case "resume":
            return state._replace(status="active"), 200
    raise AssertionError(operation.name)


class RolloutState(NamedTuple):
    """State of the rollout of one idempotency key; without an id before its creation."""

    rollout_id: str | None = None
    status: str = "queued"
    # The final fields, once an answer had them.
    result: str | None = None
    events: tuple[str, ...] = ()


class RolloutSeen(NamedTuple):
    """Fields of a rollout in an answer; None for missing ones."""

    rollout_id: str
    status: str | None = None
    result: str | None = None
    events: tuple[str, ...] | None = None


def _rollout_step(state: RolloutState, operation: Operation) -> Iterator[RolloutState]:
    if operation.answer is None:
        yield state
        if operation.name == "cancel" and state.rollout_id and state.status not in _FINAL:
            yield state._replace(status="cancelled")
        return
    http_status, observed = operation.answer
    if state.rollout_id is None:
        # Only the answer to a creation has the id.
        if operation.name != "create":
            return
        state = state._replace(rollout_id=observed.rollout_id)
    if observed.rollout_id != state.rollout_id:
        return
    events = state.events if observed.events is None else observed.events
    # Events that a reader has seen stay, and more can only follow.
    if events[: len(state.events)] != state.events:
        return
    if operation.name == "cancel" and http_status == 409:
        statuses = {"completed", "failed"} & _NEXT[state.status]
    else:
        statuses = {observed.status} & _NEXT[state.status]
    for status in statuses:
        if observed.events is not None and _is_ended(events) != (status in _FINAL):
            continue
        if state.result is None or observed.result in (None, state.result):
            yield RolloutState(state.rollout_id, status, observed.result or state.result, events)


def _is_ended(events: tuple[str, ...]) -> bool:
    return bool(events) and events[-1].split()[1].removeprefix("rollout.") in _FINAL


POOL: Model[PoolState | None] = Model(None, _pool_step)
ROLLOUT: Model[RolloutState] = Model(RolloutState(), _rollout_step)
