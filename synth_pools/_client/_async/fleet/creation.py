"""Creation of a fleet's rollouts, in batches if the service has them.

No creation waits for a batch to grow: a few are sent at a time, and requests that arrive meanwhile
form the next batch. A batch that the service may have received is sent again, unchanged and under
the same key, until it is answered. So each of its requests has exactly one rollout.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import uuid
from collections.abc import Callable
from enum import Enum
from typing import Any

from synth_pools._client._async.facade.service import AsyncServiceOperations
from synth_pools._client._async.fleet.creation_batch import CreationBatch, InFlight, RequestAnswer
from synth_pools._client._async.fleet.fleet_journal import AsyncFleetJournal
from synth_pools._client._async.fleet.scope import AsyncRolloutScope
from synth_pools._client.fleet.batch_answers import (
    MOST_REQUESTS,
    is_refused,
    may_be_in_batch,
    read_answers,
)
from synth_pools._client.fleet.budget import Budget
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.journal import AnswerRecord, BatchRecord
from synth_pools._client.fleet.options import completed
from synth_pools._client.fleet.outcomes import rollout_id_of
from synth_pools._client.http.retry import has_no_operation, offers
from synth_pools._client.runtime.async_.concurrency import AsyncCondition, AsyncWorkerGroup
from synth_pools.errors import NotRepeatedError, SynthPoolsError

_LOG = logging.getLogger("synth_pools")

# More than one, because a creation may hang.
_MOST_TURNS = 4

# A service that fails this often when it is asked for its features is one without batches.
_MOST_QUESTIONS = 3

# If connections break early, the answer to a large batch never arrives complete. So the first
# batches are small and double with each answer. A lost answer halves the next batch; from then on
# each answer adds one request.
_FIRST_REQUESTS = 8
_LEAST_REQUESTS = 2


class _Turn(Enum):
    SEND = "send it together with all waiting requests"
    ASK = "first ask whether the service has batches"


@dataclasses.dataclass(slots=True)
class _Candidate:
    item: InFlight
    changed: AsyncCondition


class AsyncRolloutCreator:
    """Creator of a fleet's rollouts.

    Args:
        scope: The operations of the fleet.
        group: The workers that create rollouts.
        journal: Journal that stores each batch before it is sent; None for none.
        budget: Budget; once it is reached, nothing more is sent that was not sent before.
        mark: Returns a mark of the moment, as the watches of the fleet number them.
    """

    def __init__(
        self,
        scope: AsyncRolloutScope,
        group: AsyncWorkerGroup,
        journal: AsyncFleetJournal | None,
        budget: Budget,
        mark: Callable[[], int],
    ) -> None:
        self._mark = mark
        self._budget = budget
        self._scope = scope
        self._group = group
        self._journal = journal
        self._lock = AsyncCondition()
        # Creations in progress, and the ones that wait for a turn, oldest first.
        self._turns = 0
        self._candidates: dict[int, _Candidate] = {}
        self._batches: dict[str, CreationBatch] = {}
        # None before the service was asked.
        self._has_batches: bool | None = None
        self._is_asking = False
        # True if the last batch that is over has an answer.
        self._is_proven = False
        self._failed_questions = 0
        self._most_requests = _FIRST_REQUESTS
        self._has_lost_answers = False

    def take_up(self, item: InFlight) -> None:
        """Restore what an earlier run may have sent for a request without an admission."""
        journal = self._journal
        if journal is None or item.index >= journal.file.reach:
            return
        entries = journal.file.entries
        record = entries.batch(item.index)
        if record is None:
            item.is_alone = True
            self._scope.note_lost(item.key)
            return
        with self._lock:
            batch = self._batches.get(record.key)
            if batch is None:
                members = {index for index in record.indices if entries.batch(index) is record}
                batch = self._batches[record.key] = CreationBatch(
                    record, members, is_stored=True, is_sent=True
                )
                self._scope.note_lost(record.key)
            item.batch = batch

    async def create(self, item: InFlight) -> dict[str, Any]:
        """Start a rollout; a repeated call for the same request returns the same rollout.

        Raises:
            SynthPoolsError: The creation failed, alone or with its batch. A failed batch keeps the
                request.
            NotStartedError: The budget is reached.
        """
        turn = await self._turn(item) if item.batch is None and self._may_join(item) else None
        if turn is None:
            return await self._create(item)
        try:
            if turn is _Turn.ASK:
                await self._ask_for_batches()
            self._collect(item)
            return await self._create(item)
        finally:
            self._pass_on()

    async def wait_for_sender(self, item: InFlight) -> None:
        """Wait while the worker of another request sends the batch of this one again.

        Raises:
            SynthPoolsError: That worker has given up.
        """
        batch = item.batch
        if batch is None:
            return
        with self._lock:
            while batch.answers is None and batch.sender not in (None, item.index):
                self._group.check()
                await self._wait(batch, item.index)
            if batch.is_given_up and batch.failure is not None:
                raise copy.copy(batch.failure)

    async def find(self, item: InFlight, scope: AsyncRolloutScope) -> dict[str, Any] | None:
        """Return the rollout of a request after the end of the fleet; None if there can be none."""
        batch = item.batch
        key = item.key if batch is None else batch.record.key
        if self._scope.is_lost(key):
            scope.note_lost(key)
        if batch is None:
            return await scope.create(item.request, item.key) if item.is_alone else None
        with self._lock:
            while batch.is_being_resolved:
                await self._wait(batch, item.index)
            answers = batch.answers
            batch.is_being_resolved = answers is None
        if answers is None:
            # Sent again: a worker may still wait for an answer that never arrives.
            try:
                answers = batch.answers = await self._ask(batch, scope)
            finally:
                with self._lock:
                    batch.is_being_resolved = False
                    batch.notify()
        answer = answers.get(item.index)
        return answer if isinstance(answer, dict) else None

    def leave(self, item: InFlight) -> None:
        """Remove a request from its batch."""
        batch = item.batch
        if batch is None:
            return
        item.batch = None
        with self._lock:
            batch.members.discard(item.index)
            if batch.sender == item.index and batch.answers is None:
                batch.sender, batch.is_given_up = None, True
                batch.notify()
            if not batch.members:
                self._batches.pop(batch.record.key, None)
                if batch.answers is None and self._is_proven:
                    # Its requests may be at fault: a small batch shows whether others succeed.
                    self._has_batches, self._is_proven = True, False
                    self._resize(_LEAST_REQUESTS)

    def wake(self) -> None:
        """Wake all waiting requests, so that they see the end of the fleet."""
        with self._lock:
            self._notify_all()
            for batch in self._batches.values():
                batch.notify()

    def _may_join(self, item: InFlight) -> bool:
        if item.is_alone or self._has_batches is False:
            return False
        return may_be_in_batch(item.request, has_pool=self._scope.pool_id is not None)

    async def _turn(self, item: InFlight) -> _Turn | None:
        """Wait for the creations before this one.

        Returns:
            Its turn; None if it is in a batch or is created alone.
        """
        candidate, has_waited = _Candidate(item, self._lock.sibling()), False
        with self._lock:
            self._candidates[item.index] = candidate
            try:
                while not self._may_go_on(item):
                    has_waited = True
                    self._group.check()
                    await candidate.changed.wait_at_most(None)
                self._group.check()
                if item.batch is not None or self._has_batches is False:
                    return None
                if self._has_batches is None and has_waited:
                    # The service did not say whether it has batches.
                    return None
                # The first request does not ask about batches: it may be the only one.
                self._is_asking = self._has_batches is None and self._turns > 0
                self._turns += 1
                return _Turn.ASK if self._is_asking else _Turn.SEND
            except BaseException:
                self._candidates.pop(item.index, None)
                self._notify_next()
                raise
            finally:
                self._candidates.pop(item.index, None)

    def _may_go_on(self, item: InFlight) -> bool:
        if item.batch is not None or self._has_batches is False:
            return True
        return self._turns < _MOST_TURNS if self._has_batches else not self._is_asking

    def _pass_on(self) -> None:
        with self._lock:
            self._turns -= 1
            self._notify_next()

    def _notify_next(self) -> None:
        """Wake the oldest candidate if a turn is free. The lock must be held."""
        if self._turns < _MOST_TURNS and self._candidates:
            next(iter(self._candidates.values())).changed.notify()

    def _collect(self, item: InFlight) -> None:
        """Form a batch of this request and all waiting ones; do nothing if none waits."""
        with self._lock:
            others = [*self._candidates.values()][: self._most_requests - 1]
            if not (others and self._has_batches):
                return
            items = [item, *(candidate.item for candidate in others)]
            record = BatchRecord(
                uuid.uuid4().hex,
                tuple(member.index for member in items),
                tuple(member.sha for member in items),
                tuple(completed(member.request, self._scope.fields) for member in items),
            )
            members = set(record.indices)
            batch = CreationBatch(record, members, is_stored=self._journal is None)
            self._batches[record.key] = batch
            for member in items:
                member.batch = batch
            for candidate in others:
                del self._candidates[candidate.item.index]
                candidate.changed.notify()
            self._notify_next()

    async def _ask_for_batches(self) -> None:
        """Ask whether the service has batches; without an answer a later request asks again."""
        operations = AsyncServiceOperations._on(self._scope.transport)
        has_batches: bool | None = None
        try:
            has_batches = offers(await operations.get_capabilities(), "batch")
        except Exception as error:  # noqa: BLE001 - a caller-supplied client may raise anything
            category, _ = classify_error(error)
            self._failed_questions += category is ErrorCategory.SERVER_ERROR
            if category is ErrorCategory.PERMANENT or self._failed_questions >= _MOST_QUESTIONS:
                has_batches = False
        finally:
            with self._lock:
                self._is_asking = False
                self._has_batches = has_batches
                if not has_batches:
                    self._notify_all()

    def _notify_all(self) -> None:
        for candidate in self._candidates.values():
            candidate.changed.notify_all()

    async def _create(self, item: InFlight) -> dict[str, Any]:
        if item.batch is not None:
            answer = await self._answer(item.batch, item.index)
            if isinstance(answer, dict):
                item.mark = item.batch.mark or item.mark
                return answer
            self.leave(item)
            if answer is not None:
                raise await self._scope.explained(item.request, answer)
        if not self._scope.is_lost(item.key):
            self._budget.check()
        if not item.is_alone:
            item.is_alone, item.mark = True, self._mark()
        return await self._scope.create(item.request, item.key)

    async def _answer(self, batch: CreationBatch, index: int) -> RequestAnswer:
        """Return a batch's answer to a request; the first caller sends the batch."""
        with self._lock:
            failures = batch.failures
            while batch.is_being_sent and batch.failures == failures:
                self._group.check()
                await self._wait(batch, index)
            self._group.check()
            if batch.answers is not None:
                return batch.answers.get(index)
            if batch.failures != failures and batch.failure is not None:
                raise copy.copy(batch.failure)
            if not batch.is_sent:
                self._budget.check()
                batch.mark = self._mark()
            batch.is_sent = batch.is_being_sent = True
            batch.sender = index
        answers: dict[int, RequestAnswer] | None = None
        failure: SynthPoolsError | None = None
        try:
            answers = await self._ask(batch, self._scope)
            return answers.get(index)
        except SynthPoolsError as error:
            failure = copy.copy(error)
            raise
        finally:
            with self._lock:
                batch.is_being_sent = False
                batch.answers = answers or batch.answers
                if failure is not None:
                    batch.failures += 1
                    batch.failure = failure
                batch.notify()

    def _resize(self, most_requests: int) -> None:
        self._most_requests = min(max(most_requests, _LEAST_REQUESTS), MOST_REQUESTS)

    async def _wait(self, batch: CreationBatch, index: int) -> None:
        """Wait until something changes about a batch. The lock must be held."""
        batch.waiting[index] = condition = self._lock.sibling()
        try:
            await condition.wait_at_most(None)
        finally:
            del batch.waiting[index]

    async def _ask(
        self, batch: CreationBatch, scope: AsyncRolloutScope
    ) -> dict[int, RequestAnswer]:
        """Send a batch, store its answer in the journal, and return it."""
        record, journal = batch.record, self._journal
        if journal is not None and not batch.is_stored:
            await journal.append(record)
            batch.is_stored = True
        try:
            answers = await self._send(record, scope)
        except SynthPoolsError as error:
            category = classify_error(error)[0]
            with self._lock:
                if has_no_operation(error) or category is ErrorCategory.SERVER_ERROR:
                    # If they are created one by one, fewer requests fail.
                    self._has_batches = False
                    self._notify_all()
                if category is ErrorCategory.CONNECTION_LOST:
                    self._has_lost_answers = True
                    self._resize(self._most_requests // 2)
            if not is_refused(error):
                raise
            answers = [None] * len(record.requests)
        else:
            with self._lock:
                self._take_account(answers)
        if journal is not None:
            ids = tuple(
                rollout_id_of(answer) if isinstance(answer, dict) else None for answer in answers
            )
            await journal.append(AnswerRecord(record.key, ids))
        return dict(zip(record.indices, answers, strict=True))

    async def _send(self, record: BatchRecord, scope: AsyncRolloutScope) -> list[RequestAnswer]:
        """Send a batch, once more if its answer is not one to each request, and return it."""
        answers: list[RequestAnswer] = []
        for _ in range(2):
            try:
                document = await scope.create_batch(record.requests, record.key)
            except NotRepeatedError as error:
                if not answers:
                    raise
                return [copy.copy(error) if answer is None else answer for answer in answers]
            answers, is_exact = read_answers(
                document, len(record.requests), *scope.place_of_creation()
            )
            if is_exact:
                break
            scope.note_lost(record.key)
        return answers

    def _take_account(self, answers: list[RequestAnswer]) -> None:
        """Size the next batches by the answer to one. The lock must be held."""
        unclear = answers.count(None)
        if unclear:
            _LOG.warning(
                "run_many: the service does not say what became of %d of the %d requests of a "
                "batch: they are sent one by one",
                unclear,
                len(answers),
            )
            self._resize(len(answers) - unclear)
        else:
            growth = 1 if self._has_lost_answers else self._most_requests
            self._resize(self._most_requests + growth)
        self._has_batches = self._is_proven = unclear < len(answers)
        if not self._has_batches:
            self._notify_all()
