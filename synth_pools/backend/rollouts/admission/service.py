"""Creation, replay and validation of rollouts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.validation import Contract
from synth_pools.backend.rollouts.admission.admissions import Admission, AdmissionRequest, Placement
from synth_pools.backend.rollouts.admission.capacity import AdmissionControl
from synth_pools.backend.rollouts.admission.idempotency import BatchKey, IdempotencyKey
from synth_pools.backend.rollouts.notifier import EndWaiter, RolloutNotifier
from synth_pools.backend.rollouts.pool_queue import Place
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.storage.database import Database, Row, Snapshot, Transaction
from synth_pools.backend.storage.rollouts import find_rollout

# Most rollouts of a batch to start at their admission; the rest leaves room for other requests.
_STARTED_AT_ONCE = 32

# The invalid field of a request, by the code of the error.
_FIELDS = {
    "pool_not_found": "pool_id",
    "pool_not_active": "pool_id",
    "pool_archived": "pool_id",
    "task_not_found": "task_id",
}


@dataclass(frozen=True, slots=True)
class BatchItem:
    """Validated request of a batch, with a separate key if the batch has one."""

    # The request as it is stored with the rollout.
    request: dict[str, Any]
    # The request with the pool of the batch, if it names no pool itself.
    placed: dict[str, Any]
    # The error of a request that violates the schema.
    fault: ApiError | None
    key: IdempotencyKey | None


class RolloutAdmission:
    """Admit rollouts.

    Args:
        database: Stores rollouts.
        scheduler: Starts or queues admitted rollouts, after the commit.
        control: Decides whether one more rollout may wait.
        contract: Validates the items of a batch, and the requests of `validate`.
        notifier: Notified of admitted rollouts, after the commit.
        default_seconds: The time limit of a rollout if its request and pool set none.
    """

    def __init__(
        self,
        *,
        database: Database,
        scheduler: Scheduler,
        control: AdmissionControl,
        contract: Contract,
        notifier: RolloutNotifier,
        default_seconds: float,
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._control = control
        self._contract = contract
        self._notifier = notifier
        self._default_seconds = default_seconds

    async def create(
        self,
        pool_id: str | None,
        request: dict[str, Any],
        key: IdempotencyKey | None,
        end: EndWaiter,
        *,
        created_by: str | None = None,
        is_large: bool,
    ) -> Row:
        """Admit one rollout, or find the one that the same key admitted before.

        Args:
            pool_id: The pool in the path; None to choose it by the request.
            request: A body that satisfies the schema.
            key: The Idempotency-Key; None if there is none.
            end: Waits for the end of the rollout from its admission on.
            created_by: The name of the key that creates it; None for a key without a name.
            is_large: True for a request that would block the event loop while it is stored.

        Returns:
            The row of the rollout.

        Raises:
            ApiError: The backend stops or is full, there is no such pool or task, the pool is not
                active, or the key was used with another body.
        """
        self._control.require_open()
        [place] = await self._hold_places([request if pool_id is None else {"pool_id": pool_id}])
        on_settled = None if place is None else partial(self._scheduler.give_up, place)
        return await self._database.write_together(
            self._create_all,
            (AdmissionRequest(pool_id, request, key, place=place, created_by=created_by), end),
            inline=not is_large,
            on_settled=on_settled,
        )

    def _create_all(
        self, creations: Sequence[tuple[Transaction, tuple[AdmissionRequest, EndWaiter]]]
    ) -> list[Row | ApiError]:
        admission = self._admission(creations[0][0])
        results = admission.admit_all([(tx, request) for tx, (request, _) in creations])
        for (tx, (_, end)), result in zip(creations, results, strict=True):
            if not isinstance(result, ApiError):
                tx.after_commit(partial(end.attach, result))
        return results

    async def replay(
        self,
        rollout_id: str,
        key: IdempotencyKey | None,
        end: EndWaiter,
        created_by: str | None = None,
    ) -> Row:
        """Admit a new rollout with the request, pool and task of an earlier one.

        Args:
            rollout_id: The rollout to repeat.
            key: The Idempotency-Key; None if there is none.
            end: Waits for the end of the new rollout from its admission on.
            created_by: The name of the key that creates it; None for a key without a name.

        Returns:
            The row of the new rollout, or of the one that the same key admitted before.

        Raises:
            ApiError: As `create`, or there is no such rollout.
        """
        self._control.require_open()

        def work(tx: Transaction) -> Row:
            # Looked up first, since the key leads to its rollout even if the original is deleted.
            rollout = None if key is None else key.existing(tx)
            if rollout is None:
                original = find_rollout(tx, rollout_id)
                request = json.loads(original["request"])
                rollout = self._admission(tx).admit(
                    AdmissionRequest(
                        original["pool_id"],
                        request,
                        key,
                        replay_of=rollout_id,
                        created_by=created_by,
                    )
                )
            tx.after_commit(partial(end.attach, rollout))
            return rollout

        return await self._database.write(work)

    def batch_items(
        self, pool_id: str | None, requests: Sequence[dict[str, Any]], key: BatchKey | None
    ) -> list[BatchItem]:
        """Validate each request of a batch as a separate creation; callable in any thread.

        Args:
            pool_id: The pool of requests that name none; None if the batch names none.
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
        self, items: Sequence[BatchItem], key: BatchKey | None, created_by: str | None = None
    ) -> list[Row | ApiError]:
        """Admit each item that can be admitted, all in one transaction.

        After a crash either all admitted rollouts are stored, or none is.

        Args:
            items: The items that `batch_items` returned.
            key: The Idempotency-Key of the batch; None if there is none.
            created_by: The name of the key that creates them; None for a key without a name.

        Returns:
            The row of the rollout of each item, or the error of its refusal.

        Raises:
            ApiError: The backend stops, or the key was used with another batch.
        """
        self._control.require_open()
        places = await self._hold_places([None if item.fault else item.placed for item in items])

        def work(tx: Transaction) -> list[Row | ApiError]:
            is_reserved = key is None or key.is_reserved(tx)
            requests = [
                item.fault
                or AdmissionRequest(
                    None,
                    item.placed,
                    item.key,
                    stored=item.request,
                    place=place,
                    created_by=created_by,
                )
                for item, place in zip(items, places, strict=True)
            ]
            results = self._admission(tx).admit_all([(tx, request) for request in requests])
            rollout = next((row for row in results if not isinstance(row, ApiError)), None)
            if key is not None and not is_reserved and rollout is not None:
                key.reserve(tx, rollout["id"])
            return results

        def give_up() -> None:
            for place in filter(None, places):
                self._scheduler.give_up(place)

        return await self._database.write(work, on_settled=give_up)

    async def validate(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        """Return the faults for which a creation would be refused, other than a full queue.

        Args:
            request: Any JSON object.

        Returns:
            The faults, and the id of the pool that would get the rollout; one of the two is empty.

        Raises:
            ApiError: The database cannot be read.
        """
        fault = self._schema_fault(request)
        if fault is not None and fault.fields is not None:
            return [dict(field) for field in fault.fields], None
        try:
            pool = await self._database.read(lambda db: Placement(db).pool_for(None, request))
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            location = ["body", _FIELDS[error.code]] if error.code in _FIELDS else ["body"]
            return [{"loc": location, "msg": error.message, "type": error.code}], None
        return [], pool.id

    async def _hold_places(self, requests: Sequence[dict[str, Any] | None]) -> list[Place | None]:
        """Hold a place for each request that need not wait, until its admission takes it.

        The requests are in the order of their admission, with None for a refused one. The caller
        must give up all places in the end.
        """
        places: list[Place | None] = [None] * len(requests)
        full: set[str] = set()
        for index, likely in enumerate(await self._likely_pools(requests[:_STARTED_AT_ONCE])):
            if likely is not None and likely[0] not in full:
                places[index] = self._scheduler.hold_place(*likely)
                if places[index] is None:
                    # Later requests for this pool do not overtake this one.
                    full.add(likely[0])
        return places

    async def _likely_pools(
        self, requests: Sequence[dict[str, Any] | None]
    ) -> Sequence[tuple[str, int | None] | None]:
        """Return the pool that each request will likely get, and the places of that pool."""
        single = requests[0] if len(requests) == 1 else None
        if single is not None and single.get("pool_id") is not None:
            return [(single["pool_id"], None)]

        def place(db: Snapshot) -> Sequence[tuple[str, int | None] | None]:
            placement = Placement(db)
            likely: list[tuple[str, int | None] | None] = [None] * len(requests)
            for index, request in enumerate(requests):
                if request is not None:
                    # The admission itself reports the error.
                    with contextlib.suppress(ApiError):
                        pool = placement.pool_for(None, request)
                        placement.placed(pool.id)
                        likely[index] = (pool.id, pool.concurrency)
            return likely

        try:
            return await self._database.read(place)
        except ApiError:
            return [None] * len(requests)

    def _admission(self, tx: Transaction) -> Admission:
        return Admission(tx, self._scheduler, self._control, self._notifier, self._default_seconds)

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
