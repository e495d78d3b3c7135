"""Creation, replay, validation and cancellation of rollouts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from synth_pools.backend.domain.errors import ApiError, conflict
from synth_pools.backend.domain.validation import Contract
from synth_pools.backend.rollouts.admissions import Admission, AdmissionRequest
from synth_pools.backend.rollouts.capacity import AdmissionControl
from synth_pools.backend.rollouts.end_waiters import EndWaiter
from synth_pools.backend.rollouts.event_feed import RolloutNotifier
from synth_pools.backend.rollouts.placement import Placement
from synth_pools.backend.rollouts.pool_queue import Place
from synth_pools.backend.rollouts.runner import Runner
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.database import Database, Row, Snapshot, Transaction
from synth_pools.backend.storage.idempotency import BatchKey, IdempotencyKey
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.rollout_changes import cancel_rollouts
from synth_pools.backend.storage.rollouts import find_rollout

# How many rollouts of an archived pool one transaction cancels.
_CANCELLED_AT_ONCE = 200

# How many rollouts of a batch start where they are admitted; others have their turn then.
_STARTED_AT_ONCE = 32

# The field of a request that is at fault, by the code of the error.
_FIELDS = {
    "pool_not_found": "pool_id",
    "pool_not_active": "pool_id",
    "pool_archived": "pool_id",
    "task_not_found": "task_id",
}


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One rollout of a batch, validated on its own.

    Attributes:
        request: What is stored as the request of the rollout.
        placed: The same with the pool of the batch, where it names none itself.
        fault: Why the schema refuses it; None if it is valid.
        key: The Idempotency-Key of the item; None if the batch has none.
    """

    request: dict[str, Any]
    placed: dict[str, Any]
    fault: ApiError | None
    key: IdempotencyKey | None


class RolloutService:
    """Admit rollouts and cancel them.

    Args:
        database: Where rollouts are stored.
        scheduler: Told of what was admitted and cancelled, after the commit.
        runner: Says how a rollout is begun that does not have to wait.
        capacity: Decides whether one more rollout may wait.
        contract: Validates the items of a batch and what `validate` is asked about.
        notifier: Told of what was admitted and cancelled, after the commit.
    """

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        runner: Runner,
        capacity: AdmissionControl,
        contract: Contract,
        notifier: RolloutNotifier,
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._runner = runner
        self._capacity = capacity
        self._contract = contract
        self._notifier = notifier
        self._cancelling: set[asyncio.Task[None]] = set()

    async def create(
        self,
        pool_id: str | None,
        request: dict[str, Any],
        key: IdempotencyKey | None,
        end: EndWaiter,
        *,
        is_large: bool,
    ) -> Row:
        """Admit one rollout, or find the one that the same key admitted before.

        Args:
            pool_id: The pool of the path; None to go by the request.
            request: A body that satisfies the schema.
            key: The Idempotency-Key; None if there is none.
            end: Waits for the end of the rollout from then on.
            is_large: Whether the request takes too long to store for the event loop.

        Returns:
            The row of the rollout.

        Raises:
            ApiError: The backend stops or is full, there is no such pool or task, the pool is not
                active, or the key was used with another body.
        """
        self._capacity.require_open()
        [place] = await self._hold_places([request if pool_id is None else {"pool_id": pool_id}])

        settled = None if place is None else partial(self._scheduler.give_up, place)
        return await self._database.write_together(
            self._create_all,
            (AdmissionRequest(pool_id, request, key, place=place), end),
            inline=not is_large,
            settled=settled,
        )

    def _create_all(
        self, asked: Sequence[tuple[Transaction, tuple[AdmissionRequest, EndWaiter]]]
    ) -> list[Row | ApiError]:
        admission = self._admission(asked[0][0])
        results = admission.admit_all([(tx, request) for tx, (request, _) in asked])
        for (tx, (_, end)), result in zip(asked, results, strict=True):
            if not isinstance(result, ApiError):
                tx.after_commit(partial(end.attach, result))
        return results

    async def replay(self, rollout_id: str, key: IdempotencyKey | None, end: EndWaiter) -> Row:
        """Admit a new rollout with the request, pool and task of an earlier one.

        Args:
            rollout_id: The rollout to repeat.
            key: The Idempotency-Key; None if there is none.
            end: Waits for the end of the new rollout from then on.

        Returns:
            The row of the new rollout, or of the one that the same key admitted before.

        Raises:
            ApiError: As `create`, or there is no such rollout.
        """
        self._capacity.require_open()

        def work(tx: Transaction) -> Row:
            # First, since that one is answered also when the one that it repeats is forgotten.
            rollout = None if key is None else key.existing(tx)
            if rollout is None:
                original = find_rollout(tx, rollout_id)
                request = json.loads(original["request"])
                rollout = self._admission(tx).admit(
                    AdmissionRequest(original["pool_id"], request, key, replay_of=rollout_id)
                )
            tx.after_commit(partial(end.attach, rollout))
            return rollout

        return await self._database.write(work)

    def batch_items(
        self, pool_id: str | None, requests: Sequence[dict[str, Any]], key: BatchKey | None
    ) -> list[BatchItem]:
        """Validate each request of a batch as a creation of its own; callable in any thread.

        Args:
            pool_id: The pool of those that name none; None if the batch names none.
            requests: The requests in the order of the batch.
            key: The Idempotency-Key of the batch; None if there is none.

        Returns:
            One item for each request, for `create_batch`.
        """
        return [
            BatchItem(
                request,
                placed := _with_pool(request, pool_id),
                self._schema_fault(placed),
                None if key is None else key.of_item(index, placed),
            )
            for index, request in enumerate(requests)
        ]

    async def create_batch(
        self, items: Sequence[BatchItem], key: BatchKey | None
    ) -> list[Row | ApiError]:
        """Admit each item that can be admitted, all in one transaction.

        After a crash all that were admitted are there, or none is.

        Args:
            items: What `batch_items` returned.
            key: The Idempotency-Key of the batch; None if there is none.

        Returns:
            For each item the row of its rollout, or why it has none.

        Raises:
            ApiError: The backend stops, or the key was used with another batch.
        """
        self._capacity.require_open()
        places = await self._hold_places([None if item.fault else item.placed for item in items])

        def work(tx: Transaction) -> list[Row | ApiError]:
            is_reserved = key is None or key.is_reserved(tx)
            asked = [
                item.fault
                or AdmissionRequest(None, item.placed, item.key, stored=item.request, place=place)
                for item, place in zip(items, places, strict=True)
            ]
            results = self._admission(tx).admit_all([(tx, one) for one in asked])
            admitted = next((one for one in results if not isinstance(one, ApiError)), None)
            if key is not None and not is_reserved and admitted is not None:
                key.reserve(tx, admitted["id"])
            return results

        def give_up() -> None:
            for place in filter(None, places):
                self._scheduler.give_up(place)

        return await self._database.write(work, settled=give_up)

    async def validate(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        """Tell what a creation would refuse in a request; a full queue is no fault of it.

        Args:
            request: Any JSON object.

        Returns:
            The faults, and the id of the pool that would get it; one of the two is empty.

        Raises:
            ApiError: The database cannot be read.
        """
        fault = self._schema_fault(request)
        if fault is not None and fault.fields is not None:
            return [dict(one) for one in fault.fields], None
        try:
            pool = await self._database.read(lambda db: Placement(db).pool_for(None, request))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            place = ["body", _FIELDS[error.code]] if error.code in _FIELDS else ["body"]
            return [{"loc": place, "msg": error.message, "type": error.code}], None
        return [], pool.id

    async def cancel(self, pool_id: str | None, rollout_id: str) -> Row:
        """Cancel a rollout; one that is cancelled already stays as it is.

        Args:
            pool_id: The pool that it must be of; None for any.
            rollout_id: The rollout.

        Returns:
            The row of the rollout as it is now.

        Raises:
            ApiError: There is no such pool or rollout, or the rollout has ended otherwise.
        """

        def work(tx: Transaction) -> Row:
            if pool_id is not None:
                find_pool(tx, pool_id)
            rollout = find_rollout(tx, rollout_id, pool_id)
            if rollout["status"] == "cancelled":
                return rollout
            if rollout["status"] in rollouts.FINAL:
                raise conflict(
                    "rollout_finished",
                    f"Rollout {rollout_id!r} has {rollout['status']} already.",
                    rollout_id=rollout_id,
                )
            [cancelled] = self._cancel(tx, [rollout])
            return cancelled

        return await self._database.write(work)

    async def cancel_all(self, pool_id: str) -> None:
        """Cancel every rollout of an archived pool that has not ended, some at a time.

        Others write in between. It goes on where the caller is cancelled; what a stop leaves over
        is cancelled at the next start.

        Args:
            pool_id: The pool, to which nothing is admitted any more.
        """
        task = asyncio.create_task(self._cancel_all(pool_id))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelled)
        await asyncio.shield(task)

    async def _cancel_all(self, pool_id: str) -> None:
        def work(tx: Transaction) -> int:
            found = rollouts.unfinished_of_pool(tx, pool_id, _CANCELLED_AT_ONCE)
            self._cancel(tx, found)
            return len(found)

        while await self._database.write_until_stored(work):
            pass

    def _cancelled(self, task: asyncio.Task[None]) -> None:
        self._cancelling.discard(task)
        if not task.cancelled():
            # Whoever waits is told; where nobody does, the next start goes on.
            task.exception()

    async def _hold_places(self, requests: Sequence[dict[str, Any] | None]) -> list[Place | None]:
        """Hold a place for each request that need not wait, which its admission then takes.

        Args:
            requests: The requests in the order in which they are admitted; None for one that is
                refused.

        Returns:
            The places, all of which are given up in the end.
        """
        places: list[Place | None] = [None] * len(requests)
        full: set[str] = set()
        for index, likely in enumerate(await self._likely_pools(requests[:_STARTED_AT_ONCE])):
            if likely is not None and likely[0] not in full:
                places[index] = self._scheduler.hold_place(*likely)
                if places[index] is None:
                    # Nor does any that comes after it overtake this one.
                    full.add(likely[0])
        return places

    async def _likely_pools(
        self, requests: Sequence[dict[str, Any] | None]
    ) -> Sequence[tuple[str, int | None] | None]:
        """Return the pool that each is to get, and its places where several may start there."""
        only = requests[0] if len(requests) == 1 else None
        if only is not None and only.get("pool_id") is not None:
            return [(only["pool_id"], None)]

        def place(db: Snapshot) -> Sequence[tuple[str, int | None] | None]:
            placement = Placement(db)
            found: list[tuple[str, int | None] | None] = [None] * len(requests)
            for index, request in enumerate(requests):
                if request is not None:
                    # Where it can go nowhere, its admission says why.
                    with contextlib.suppress(ApiError):
                        pool = placement.pool_for(None, request)
                        placement.placed(pool)
                        found[index] = (pool.id, pool.concurrency)
            return found

        try:
            return await self._database.read(place)
        except ApiError:
            return [None] * len(requests)

    def _admission(self, tx: Transaction) -> Admission:
        return Admission(tx, self._scheduler, self._runner, self._capacity, self._notifier)

    def _cancel(self, tx: Transaction, found: Sequence[Row]) -> list[Row]:
        ended = cancel_rollouts(tx, found)

        def tell() -> None:
            for row in ended:
                self._scheduler.stop(row["pool_id"], [row["id"]])
                self._notifier.notify_end(row)

        tx.after_commit(tell)
        return ended

    def _schema_fault(self, request: dict[str, Any]) -> ApiError | None:
        contract = self._contract
        try:
            contract.check_body(contract.operations["create_global_rollout"], request)
        except ApiError as error:
            return error
        return None


def _with_pool(request: dict[str, Any], pool_id: str | None) -> dict[str, Any]:
    if pool_id is None or request.get("pool_id") is not None:
        return request
    return {**request, "pool_id": pool_id}
