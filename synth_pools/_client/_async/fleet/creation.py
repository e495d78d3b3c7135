"""Creation of a fleet's rollouts: together where the service takes them together, else alone.

Nobody waits for a batch to grow: a few creations are on their way at a time, and those that come
meanwhile go together with the next. A batch that may have arrived is sent again as it was, under
the same key, until it is answered; whatever happens, each of its requests has one rollout.
"""

from __future__ import annotations

import copy
import dataclasses
import uuid
from enum import Enum
from typing import Any

from synth_pools._client._async.facade.service import AsyncServiceOperations
from synth_pools._client._async.fleet.fleet_journal import AsyncFleetJournal
from synth_pools._client._async.fleet.scope import AsyncRolloutScope
from synth_pools._client.fleet.batch_answers import (
    MOST_REQUESTS,
    Answer,
    has_no_batches,
    is_refused,
    may_be_in_batch,
    read_answers,
)
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.journal import AnswerRecord, BatchRecord
from synth_pools._client.fleet.outcomes import rollout_id_of
from synth_pools._client.runtime.async_.concurrency import AsyncCondition, AsyncWorkerGroup
from synth_pools.errors import SynthPoolsError

# None is said of what is to be created alone.
_Told = Answer | None

# Some of them may hang.
_MOST_TURNS = 4

# Where connections break early, the answer to a large batch never comes through whole. The first
# ones are small, and grow to twice the size with each answer; a lost answer halves the next ones,
# and from then on each answer adds one request.
_FIRST_REQUESTS = 8
_LEAST_REQUESTS = 2


class CreationBatch:
    """Rollouts that are created together.

    Attributes:
        record: What they are.
        is_stored: Whether that is in the journal, if there is one.
        is_asked_for: Whether it is on its way.
        is_looked_for: The same after the end of the fleet.
        members: The requests that are still to hear of it.
        answers: What it was answered, by request, with None for what is to be created alone; None
            before that.
        failures: How often it was sent in vain.
        failure: What the last of these ended with.
        waiting: Notified when something changes, by request.
    """

    __slots__ = (
        "answers",
        "failure",
        "failures",
        "is_asked_for",
        "is_looked_for",
        "is_stored",
        "members",
        "record",
        "waiting",
    )

    def __init__(self, record: BatchRecord, members: set[int], *, is_stored: bool) -> None:
        self.record = record
        self.members = members
        self.is_stored = is_stored
        self.is_asked_for = False
        self.is_looked_for = False
        self.answers: dict[int, _Told] | None = None
        self.failures = 0
        self.failure: SynthPoolsError | None = None
        self.waiting: dict[int, AsyncCondition] = {}

    def notify(self) -> None:
        """Wake all that wait. The lock must be held."""
        for condition in self.waiting.values():
            condition.notify_all()


@dataclasses.dataclass(slots=True)
class InFlight:
    """A request that is under way.

    Attributes:
        index: Which one it is.
        request: The request.
        group: The caller's request that it repeats.
        sha: Its digest.
        key: The idempotency key of its present attempt; empty before the first one.
        rollout_id: Its rollout; None as long as it is not known to have one.
        is_alone: Whether it is, or may have been, created alone.
        batch: The batch that it is, or was, created in; None for none.
    """

    index: int
    request: Any
    group: int
    sha: str
    key: str = ""
    rollout_id: str | None = None
    is_alone: bool = False
    batch: CreationBatch | None = None


class _Turn(Enum):
    SEND = "send it, with all that wait"
    ASK = "the same, once it is known whether there are batches"


@dataclasses.dataclass(slots=True)
class _Candidate:
    item: InFlight
    changed: AsyncCondition


class AsyncRolloutCreator:
    """Creator of a fleet's rollouts.

    Args:
        scope: The operations of the fleet.
        group: The workers that create.
        journal: Where batches are kept before they are sent; None for none.
    """

    def __init__(
        self,
        scope: AsyncRolloutScope,
        group: AsyncWorkerGroup,
        journal: AsyncFleetJournal | None,
    ) -> None:
        self._scope = scope
        self._group = group
        self._journal = journal
        self._lock = AsyncCondition()
        # Creations that are on their way, and those that wait for that, the oldest first.
        self._turns = 0
        self._candidates: dict[int, _Candidate] = {}
        self._batches: dict[str, CreationBatch] = {}
        # Whether the service has batches; None before it was asked.
        self._has_batches: bool | None = None
        self._is_asking = False
        self._most_requests = _FIRST_REQUESTS
        self._has_lost_answers = False

    def take_up(self, item: InFlight) -> None:
        """Find out what an earlier run may have done about a request without an admission."""
        journal = self._journal
        if journal is None or item.index >= journal.file.reach:
            return
        entries = journal.file.entries
        record = entries.batch(item.index)
        if record is None:
            item.is_alone = True
            return
        with self._lock:
            batch = self._batches.get(record.key)
            if batch is None:
                members = {one for one in record.indices if entries.batch(one) is record}
                batch = self._batches[record.key] = CreationBatch(record, members, is_stored=True)
            item.batch = batch

    async def create(self, item: InFlight) -> dict[str, Any]:
        """Start a rollout; repeated for the same request, return the same one.

        Raises:
            SynthPoolsError: What its creation alone would have raised, or what that of its batch
                failed with; then it stays in there.
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

    async def find(self, item: InFlight, scope: AsyncRolloutScope) -> dict[str, Any] | None:
        """Return the rollout of a request after the end of the fleet; None if there can be none.

        Args:
            item: The request, whose rollout is not known.
            scope: The operations to ask with.
        """
        batch = item.batch
        if batch is None:
            return await scope.create(item.request, item.key) if item.is_alone else None
        with self._lock:
            while batch.is_looked_for:
                await self._wait(batch, item.index)
            answers = batch.answers
            batch.is_looked_for = answers is None
        if answers is None:
            # Whoever asked for it as a worker may still wait for an answer that never comes.
            try:
                answers = batch.answers = await self._ask(batch, scope)
            finally:
                with self._lock:
                    batch.is_looked_for = False
                    batch.notify()
        answer = answers.get(item.index)
        return answer if isinstance(answer, dict) else None

    def leave(self, item: InFlight) -> None:
        """Forget a request that has ended."""
        batch = item.batch
        if batch is None:
            return
        item.batch = None
        with self._lock:
            batch.members.discard(item.index)
            if not batch.members:
                self._batches.pop(batch.record.key, None)

    def wake(self) -> None:
        """Wake all that wait, so that they see that the fleet ends."""
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
            Its turn; None if it needs none: it is in a batch, or is to be created alone.
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
                    # Whether there are any cannot be told.
                    return None
                # The first one of all asks for nothing: it may be the only one.
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
        """Wake the oldest one if there is a turn for it. The lock must be held."""
        if self._turns < _MOST_TURNS and self._candidates:
            next(iter(self._candidates.values())).changed.notify()

    def _collect(self, item: InFlight) -> None:
        """Put all that wait into a batch with this one; leave it alone where it is."""
        with self._lock:
            others = [*self._candidates.values()][: self._most_requests - 1]
            if not (others and self._has_batches):
                return
            items = [item, *(candidate.item for candidate in others)]
            record = BatchRecord(
                uuid.uuid4().hex,
                tuple(one.index for one in items),
                tuple(one.sha for one in items),
                tuple(one.request for one in items),
            )
            members = set(record.indices)
            batch = CreationBatch(record, members, is_stored=self._journal is None)
            self._batches[record.key] = batch
            for one in items:
                one.batch = batch
            for candidate in others:
                del self._candidates[candidate.item.index]
                candidate.changed.notify()
            self._notify_next()

    async def _ask_for_batches(self) -> None:
        """Ask whether the service has batches; where that cannot be told, others ask again."""
        operations = AsyncServiceOperations._on(self._scope.transport)
        has_batches: bool | None = None
        try:
            features = (await operations.get_capabilities()).get("features")
            has_batches = isinstance(features, dict) and features.get("batch") is True
        except Exception as error:  # noqa: BLE001 - a caller-supplied client may raise anything
            if classify_error(error)[0] in (ErrorCategory.PERMANENT, ErrorCategory.SERVER_ERROR):
                has_batches = False
        finally:
            with self._lock:
                self._is_asking = False
                self._has_batches = has_batches
                if not has_batches:
                    self._notify_all()

    def _do_without_batches(self) -> None:
        with self._lock:
            self._has_batches = False
            self._notify_all()

    def _notify_all(self) -> None:
        for candidate in self._candidates.values():
            candidate.changed.notify_all()

    async def _create(self, item: InFlight) -> dict[str, Any]:
        if item.batch is not None:
            answer = await self._answer(item.batch, item.index)
            if isinstance(answer, dict):
                return answer
            self.leave(item)
            if answer is not None:
                raise await self._scope.explained(item.request, answer)
        item.is_alone = True
        return await self._scope.create(item.request, item.key)

    async def _answer(self, batch: CreationBatch, index: int) -> _Told:
        """Return what a batch was answered about a request; whoever comes first sends it."""
        with self._lock:
            failures = batch.failures
            while batch.is_asked_for and batch.failures == failures:
                self._group.check()
                await self._wait(batch, index)
            self._group.check()
            if batch.answers is not None:
                return batch.answers.get(index)
            if batch.failures != failures and batch.failure is not None:
                raise copy.copy(batch.failure)
            batch.is_asked_for = True
        answers: dict[int, _Told] | None = None
        failure: SynthPoolsError | None = None
        try:
            answers = await self._ask(batch, self._scope)
            return answers.get(index)
        except SynthPoolsError as error:
            failure = copy.copy(error)
            raise
        finally:
            with self._lock:
                batch.is_asked_for = False
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

    async def _ask(self, batch: CreationBatch, scope: AsyncRolloutScope) -> dict[int, _Told]:
        """Send a batch, and return its answer once that is kept."""
        record, journal = batch.record, self._journal
        if journal is not None and not batch.is_stored:
            await journal.append(record)
            batch.is_stored = True
        found: list[_Told] = []
        try:
            document = await scope.create_batch(record.requests, record.key)
        except SynthPoolsError as error:
            if has_no_batches(error) or classify_error(error)[0] is ErrorCategory.SERVER_ERROR:
                # Whatever it is that it cannot do, one by one it fails at less.
                self._do_without_batches()
            if classify_error(error)[0] is ErrorCategory.CONNECTION_LOST:
                self._has_lost_answers = True
                self._resize(self._most_requests // 2)
            if not is_refused(error):
                raise
            found.extend([None] * len(record.requests))
        else:
            growth = 1 if self._has_lost_answers else self._most_requests
            self._resize(self._most_requests + growth)
            found.extend(read_answers(document, record.requests, *scope.place_of_creation()))
        if journal is not None:
            ids = tuple(rollout_id_of(one) if isinstance(one, dict) else None for one in found)
            await journal.append(AnswerRecord(record.key, ids))
        return dict(zip(record.indices, found, strict=True))
