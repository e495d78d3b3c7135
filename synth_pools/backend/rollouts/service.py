"""Creations of rollouts: one, many, or one once more; and what a creation would say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.errors import ApiError
from ..services import Services
from ..storage import rollouts
from ..storage.database import Transaction
from ..storage.idempotency import BatchKey, IdempotencyKey
from ..storage.rollouts import find_rollout
from .placement import Placement

# Where in a request the cause of a refusal stands.
_PLACES = {
    "pool_not_found": "pool_id",
    "pool_not_active": "pool_id",
    "pool_archived": "pool_id",
    "task_not_found": "task_id",
}


async def admit(
    services: Services,
    pool_id: str | None,
    request: dict[str, Any],
    key: IdempotencyKey | None,
    *,
    is_large: bool,
) -> sqlite3.Row:
    """The rollout of this request: a new one, or the one that the same key made before."""
    services.admission.require_open()

    def work(tx: Transaction) -> sqlite3.Row:
        return _Admitting(tx, services).admit(pool_id, request, key)

    return await services.database.write(work, inline=not is_large)


async def admit_again(
    services: Services, rollout_id: str, key: IdempotencyKey | None
) -> sqlite3.Row:
    """A new rollout with the request, pool and task of this one."""
    services.admission.require_open()

    def work(tx: Transaction) -> sqlite3.Row:
        # First, since that one is answered also when the one that it repeats is forgotten.
        former = None if key is None else key.former(tx)
        if former is not None:
            return former
        original = find_rollout(tx, rollout_id)
        request = json.loads(original["request"])
        return _Admitting(tx, services).admit(original["pool_id"], request, key, rollout_id)

    return await services.database.write(work)


@dataclass(frozen=True, slots=True)
class Item:
    """One rollout of a batch: what is stored, and what decides of its place.

    `fault` is why it is refused whatever the backend is like.
    """

    request: dict[str, Any]
    placed: dict[str, Any]
    fault: ApiError | None
    key: IdempotencyKey | None


def items_of(
    services: Services,
    pool_id: str | None,
    requests: Sequence[dict[str, Any]],
    key: BatchKey | None,
) -> list[Item]:
    """The items of a batch, each judged as a creation of its own would be."""
    return [
        Item(
            request,
            placed := _with_pool(request, pool_id),
            _schema_fault(services, placed),
            None if key is None else key.of_item(index, placed),
        )
        for index, request in enumerate(requests)
    ]


async def admit_batch(
    services: Services, items: Sequence[Item], key: BatchKey | None
) -> list[sqlite3.Row | ApiError]:
    """The rollout of each item, or why it has none.

    In one transaction: after a crash all that were admitted are there, or none is.
    """
    services.admission.require_open()

    def work(tx: Transaction) -> list[sqlite3.Row | ApiError]:
        is_reserved = key is None or key.is_reserved(tx)
        admitting = _Admitting(tx, services)
        results: list[sqlite3.Row | ApiError] = []
        for item in items:
            try:
                if item.fault is not None:
                    raise item.fault
                admitted = admitting.admit(None, item.placed, item.key, stored=item.request)
                if key is not None and not is_reserved:
                    key.reserve(tx, admitted["id"])
                    is_reserved = True
                results.append(admitted)
            except ApiError as error:
                results.append(error)
        return results

    return await services.database.write(work)


def faults_of(
    services: Services, request: dict[str, Any]
) -> tuple[list[dict[str, Any]], str | None]:
    """What a creation would refuse in this request, and else the pool that would get it.

    That there is no room just now is no fault of a request.
    """
    fault = _schema_fault(services, request)
    if fault is not None and fault.fields is not None:
        return [dict(one) for one in fault.fields], None
    try:
        with services.database.reading() as db:
            return [], Placement(db).pool_for(None, request).id
    except ApiError as error:
        if error.status not in (404, 409):
            raise
        place = ["body", _PLACES[error.code]] if error.code in _PLACES else ["body"]
        return [{"loc": place, "msg": error.message, "type": error.code}], None


class _Admitting:
    """Admissions in one transaction."""

    def __init__(self, tx: Transaction, services: Services) -> None:
        self._tx = tx
        self._scheduler = services.scheduler
        self._placing = Placement(tx)
        self._room = services.admission.room(tx)

    def admit(
        self,
        pool_id: str | None,
        request: dict[str, Any],
        key: IdempotencyKey | None,
        replay_of: str | None = None,
        *,
        stored: dict[str, Any] | None = None,
    ) -> sqlite3.Row:
        tx = self._tx
        former = None if key is None else key.former(tx)
        if former is not None:
            return former
        pool = self._placing.pool_for(pool_id, request)
        self._room.take(pool)
        self._placing.placed(pool)
        rollout = rollouts.insert_rollout(
            tx, pool.id, request.get("task_id"), stored or request, replay_of
        )
        if key is not None:
            key.reserve(tx, rollout["id"])
        tx.after_commit(lambda: self._scheduler.enqueue(pool.id, pool.concurrency, [rollout["id"]]))
        return rollout


def _schema_fault(services: Services, request: dict[str, Any]) -> ApiError | None:
    contract = services.contract
    try:
        contract.check_body(contract.operations["create_global_rollout"], request)
    except ApiError as error:
        return error
    return None


def _with_pool(request: dict[str, Any], pool_id: str | None) -> dict[str, Any]:
    if pool_id is None or request.get("pool_id") is not None:
        return request
    return {**request, "pool_id": pool_id}
