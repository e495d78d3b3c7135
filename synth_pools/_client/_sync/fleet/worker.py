# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/worker.py

"""Worker of a fleet: brings requests from their admission to their outcome."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import OrderedDict
from typing import Any

from synth_pools._client._sync.fleet.cancellation import with_last_answer
from synth_pools._client._sync.fleet.creation import RolloutCreator
from synth_pools._client._sync.fleet.creation_batch import InFlight
from synth_pools._client._sync.fleet.fleet_journal import FleetJournal
from synth_pools._client._sync.fleet.pool_watch import PoolWatches
from synth_pools._client._sync.fleet.retrying_caller import BROKEN_SHARE, RetryingCaller
from synth_pools._client._sync.fleet.scope import RolloutScope
from synth_pools._client.arguments import validate_pool_rollout_request
from synth_pools._client.events.position import TERMINAL_EVENTS, event_type, is_final
from synth_pools._client.events.sse import EventStreamDecoder
from synth_pools._client.fleet import journal_errors
from synth_pools._client.fleet.budget import NotStartedError
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.journal import AdmissionRecord, OutcomeRecord, Run
from synth_pools._client.fleet.options import FleetOptions
from synth_pools._client.fleet.outcomes import (
    EndedRollout,
    RolloutOutcome,
    rollout_error,
    rollout_id_of,
)
from synth_pools._client.fleet.replays import replayed_outcome
from synth_pools._client.fleet.usage import added, usage_of_rollout
from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.http.retry import backoff
from synth_pools._client.runtime.sync_.concurrency import WorkerGroup
from synth_pools.errors import (
    AuthenticationError,
    ClientClosedError,
    ConflictError,
    DecodeError,
    JournalError,
    NotFoundError,
    SynthPoolsError,
)

_FAILED = frozenset({"failed", "error"})
_CANCELLED = "cancelled"
# States in which a rollout that was stopped at the budget is started again.
_REPEATED = _FAILED | {_CANCELLED}
# Failed attempts in a row to open a stream, after which the rollout is only polled.
_MOST_FAILURES = 3
# Seconds between reads of a rollout whose stream is open: its last event may get lost.
_LOOK_SECONDS = 60.0
# Rollouts of which the worker remembers the requests: twice as many as may be in flight.
_MOST_OWNERS = 20_000


class FleetWorker:
    """Worker for the requests of one fleet; any number at a time.

    Attributes:
        in_flight: Requests that are under way, by index.
    """

    def __init__(
        self,
        scope: RolloutScope,
        group: WorkerGroup,
        caller: RetryingCaller,
        creator: RolloutCreator,
        watches: PoolWatches,
        run: Run,
        journal: FleetJournal | None,
        options: FleetOptions,
    ) -> None:
        self._scope = scope
        self._group = group
        self._caller = caller
        self._creator = creator
        self._watches = watches
        self._run = run
        self._journal = journal
        self._retries = options.retries
        self._budget = options.budget
        self._prices = options.price_list
        # False as long as the service refuses the API key of every request.
        self._is_let_in = False
        # Indices of requests by the ids of their rollouts, the latest ones last.
        self._owners = OrderedDict[str, int]()
        self.in_flight: dict[int, InFlight] = {}

    def replay(self, item: InFlight) -> RolloutOutcome | None:
        """Return the outcome of a request in an earlier run; None without one.

        Raises:
            JournalError: An earlier run had another request at its index.
        """
        journal, index = self._journal, item.index
        if journal is None or index > journal.file.entries.highest:
            return None
        entries = journal.file.entries
        ending = journal.ending(index)
        admission, batch = entries.admission(index), entries.batch(index)
        shas = [former.sha for former in (ending, admission) if former is not None]
        shas += [] if batch is None else [batch.sha(index)]
        if any(sha != item.sha for sha in shas):
            raise journal.file.mismatch(f"its request {index} has other fields: give the same ones")
        if ending is None:
            return None
        return replayed_outcome(ending, item.request, item.group, self._prices)

    def run(self, item: InFlight) -> RolloutOutcome:
        """Run a request to its end, or resume it where an earlier run stopped.

        Raises:
            NotStartedError: The budget is reached, and it was not started.
        """
        admission: AdmissionRecord | None = None
        if self._journal is not None:
            admission = self._journal.file.entries.admission(item.index)
        if admission is None:
            self._budget.check()
            item.key = self._run.key(item.index, 0)
            self._creator.take_up(item)
        # An interrupted request stays in flight, so that the end of the fleet may cancel it.
        self.in_flight[item.index] = item
        try:
            outcome = self._run_item(item, admission)
        except NotStartedError:
            self._creator.leave(item)
            del self.in_flight[item.index]
            raise
        self._creator.leave(item)
        del self.in_flight[item.index]
        return outcome

    def cancel(self, item: InFlight, scope: RolloutScope) -> None:
        """Cancel a request in flight; without a rollout id, find the rollout by its key."""
        if not item.key:
            return
        if item.rollout_id is None:
            try:
                rollout = self._creator.find(item, scope)
            except AuthenticationError:
                if self._is_let_in:
                    raise
                # A refused API key has created nothing.
                return
            if rollout is None:
                return
            item.rollout_id = rollout_id_of(rollout)
        # A rollout that has just ended or been removed does not run any more.
        with contextlib.suppress(ConflictError, NotFoundError):
            scope.cancel(item.rollout_id)

    def stop(self, item: InFlight, scope: RolloutScope) -> None:
        """Cancel the rollout of a request at the budget; a later run starts another one."""
        item.is_stopped = True
        stopped = {"rollout_id": item.rollout_id, "status": "cancelled"}
        # Written first: after a crash nobody else can tell why it is cancelled.
        self._write(OutcomeRecord(item.index, item.attempt, item.sha, stopped, None, final=False))
        self.cancel(item, scope)

    def _stop_new(self, item: InFlight) -> None:
        try:
            self._caller.call(lambda: self.stop(item, self._scope))
        except SynthPoolsError as error:
            # Otherwise it goes on to its end.
            if isinstance(error, AuthenticationError | ClientClosedError | JournalError):
                raise

    def _run_item(self, item: InFlight, admission: AdmissionRecord | None) -> RolloutOutcome:
        index, sha = item.index, item.sha
        attempt = 0 if admission is None else admission.attempt
        item.rollout_id = None if admission is None else admission.rollout_id
        rollout: dict[str, Any] | None = None
        state: Any = None
        was_stopped = False
        if admission is not None:
            item.usage = admission.usage or {}
            journal = self._journal
            was_stopped = journal is not None and journal.file.stopped(index) is not None
        try:
            while True:
                try:
                    rollout = self._once(item, attempt)
                except NotStartedError:
                    if rollout is None:
                        raise
                    # Only the repetition was not started.
                    attempt, item.is_stopped = attempt - 1, True
                    break
                state = rollout.get("status", rollout.get("state"))
                self._count(item, rollout)
                may_retry = state in _FAILED and attempt < self._retries
                if not (may_retry or (was_stopped and state == _CANCELLED)):
                    break
                if self._budget.reached() is not None:
                    item.is_stopped = True
                    break
                was_stopped = False
                attempt += 1
                item.rollout_id = None
                # After a crash a run derives its key from the number of the attempt.
                item.is_alone = True
                if admission is not None and attempt == admission.attempt + 1:
                    # The earlier run may have sent it.
                    self._scope.note_lost(self._run.key(index, attempt))
        except (AuthenticationError, ClientClosedError, JournalError, NotStartedError):
            # Every other request would fail, too, so these errors end the fleet.
            raise
        except Exception as error:  # noqa: BLE001 - a request may be any object, and raise anything
            self._group.check()
            category, _ = classify_error(error)
            # After any other error a later run with this journal tries the request again.
            final = category in (ErrorCategory.PERMANENT, ErrorCategory.SERVER_ERROR)
            stored = journal_errors.to_json(error)
            spent = item.usage or None
            request = item.request if final and sha else None
            self._write(OutcomeRecord(index, attempt, sha, None, stored, final, spent, request))
            return RolloutOutcome(
                index, item.request, None, error, attempt + 1, group=item.group, spent=spent
            )
        # A rollout may complete in spite of its cancellation.
        item.is_stopped = item.is_stopped and state in _REPEATED
        spent = None if item.usage == usage_of_rollout(rollout) else item.usage
        final = not item.is_stopped
        self._write(OutcomeRecord(index, attempt, sha, rollout, None, final=final, usage=spent))
        error_of_rollout = rollout_error(rollout)
        return RolloutOutcome(
            index,
            item.request,
            rollout,
            error_of_rollout,
            attempt + 1,
            group=item.group,
            spent=spent,
        )

    def _count(self, item: InFlight, rollout: dict[str, Any]) -> None:
        """Count what an ended attempt has used."""
        usage = usage_of_rollout(rollout)
        if self._prices is not None:
            usage = self._prices.estimated(usage, item.request, rollout)
        item.usage = added(item.usage, usage)
        self._budget.count(item.index, item.usage, is_final=False)

    def _once(self, item: InFlight, attempt: int) -> dict[str, Any]:
        """Run one rollout to its end, and return it with its summary."""
        scope, caller = self._scope, self._caller
        item.key, item.attempt = self._run.key(item.index, attempt), attempt
        rollout: dict[str, Any] = {}
        item.mark = self._watches.mark()
        if item.rollout_id is None:
            validate_pool_rollout_request(item.request, context="run_many")
            if item.request.get("mode") != "sync" and (watch := self._watches.of(scope.pool_id)):
                watch.open_early()
            pool = item.request.get("pool_id") if scope.pool_id is None else None
            rollout = caller.call(
                lambda: self._create(item),
                creates=lambda: item.batch is None,
                prepare=lambda: self._creator.wait_for_sender(item),
                pool_id=pool if isinstance(pool, str) else None,
            )
            item.rollout_id = self._own(rollout_id_of(rollout), item.index)
            if item.batch is None:
                # The journal already has the answer to each batch.
                admission = AdmissionRecord(
                    item.index, attempt, item.sha, item.rollout_id, item.usage or None
                )
                self._write(admission)
            self._creator.leave(item)
            # A rollout that an earlier run created may have ended since.
            is_new = self._journal is None or item.index >= self._journal.file.reach
        else:
            self._own(item.rollout_id, item.index)
            is_new = False
        rollout_id = item.rollout_id
        if not (is_new or is_final(rollout)):
            rollout = caller.call(lambda: scope.get(rollout_id))
        summary: dict[str, Any] | None = None
        if not is_final(rollout) and self._budget.cancels and self._budget.reached():
            self._stop_new(item)
        if not is_final(rollout):
            pool_id = scope.pool_id or rollout.get("pool_id")
            rollout, summary = self._follow(rollout_id, pool_id, item.mark)
        if item.is_stopped and self._budget.reports_usage is not False:
            rollout, summary = with_last_answer(rollout, scope, caller), None
        if summary is None:
            summary = caller.call(lambda: scope.summary(rollout_id))
        return {**rollout, "summary": summary}

    def _own(self, rollout_id: str, index: int) -> str:
        """Return the id of a request's rollout, which no other request may have."""
        owner = self._owners.setdefault(rollout_id, index)
        if len(self._owners) > _MOST_OWNERS:
            self._owners.popitem(last=False)
        if owner != index:
            raise DecodeError(
                f"the service named the rollout {rollout_id} for the requests {owner} and {index}"
            )
        return rollout_id

    def _create(self, item: InFlight) -> dict[str, Any]:
        try:
            rollout = self._creator.create(item)
        except (AuthenticationError, NotStartedError):
            raise
        except Exception:
            self._is_let_in = True
            raise
        self._is_let_in = True
        return rollout

    def _follow(self, rollout_id: str, pool_id: object, mark: int) -> EndedRollout:
        """Read a rollout whenever the watch of its pool asks for it, until it has ended."""
        scope, caller, watch = self._scope, self._caller, self._watches.of(pool_id)
        alone: _FollowedAlone | None = None
        caller.followed.add(rollout_id)
        try:
            if watch is not None:
                with watch.following(rollout_id, mark) as followed:
                    while watch.wait(followed):
                        has_ended = followed.has_ended
                        if followed.ended_rollout is not None:
                            return followed.ended_rollout
                        if has_ended:
                            rollout = caller.call(lambda: scope.get(rollout_id))
                        else:
                            alone = alone or _FollowedAlone(rollout_id)
                            rollout = self._look(alone)
                        if is_final(rollout):
                            return EndedRollout(rollout, None)
                        if has_ended:
                            # The state of the rollout lags behind its events.
                            break
            alone = alone or _FollowedAlone(rollout_id)
            return EndedRollout(self._follow_alone(alone), None)
        finally:
            caller.followed.discard(rollout_id)

    def _look(self, alone: _FollowedAlone) -> dict[str, Any]:
        """Read a rollout that may have ended; return an empty object if that fails for now."""
        scope, now = self._scope, self._scope.transport.clock()
        try:
            rollout = self._caller.call(lambda: scope.get(alone.rollout_id), is_look=True)
        except (AuthenticationError, ClientClosedError, NotFoundError):
            raise
        except SynthPoolsError:
            # Its last event may still arrive.
            alone.unseen_since = unseen_since = alone.unseen_since or now
            if not self._caller.is_open or now - unseen_since >= self._caller.patience:
                raise
            return {}
        alone.unseen_since = None
        return rollout

    def _follow_alone(self, alone: _FollowedAlone) -> dict[str, Any]:
        """Follow the events of a rollout, and poll it when they end or do not exist."""
        scope, idle_polls = self._scope, 0
        while True:
            if alone.failures < _MOST_FAILURES:
                events_before = alone.events
                rollout = self._watch(alone)
                if is_final(rollout):
                    return rollout
                idle_polls = 0 if alone.events > events_before else idle_polls
            rollout = self._caller.call(lambda: scope.get(alone.rollout_id))
            if is_final(rollout):
                return rollout
            idle_polls += 1
            pause = backoff(idle_polls, scope.transport.random)
            is_watched = alone.failures < _MOST_FAILURES
            self._caller.sleep(pause * (BROKEN_SHARE if is_watched else 1.0))

    def _watch(self, alone: _FollowedAlone) -> dict[str, Any]:
        """Read the rollout's events until its last one, or until the stream breaks.

        Returns:
            The rollout, if it has ended without its last event; else an empty object.
        """
        transport = self._scope.transport
        operation, call = self._scope.events(alone.rollout_id, alone.cursor)
        try:
            response = self._caller.call_aside(lambda: transport.open_stream(operation, dict(call)))
        except SynthPoolsError as error:
            is_possible = classify_error(error)[0] is not ErrorCategory.PERMANENT
            alone.failures = alone.failures + 1 if is_possible else _MOST_FAILURES
            return {}
        alone.failures = 0
        decoder, look_at = EventStreamDecoder(), transport.clock() + _LOOK_SECONDS
        try:
            with self._group.reading(response):
                for chunk in response.chunks():
                    # Closing a shared connection does not end its reader.
                    self._group.check()
                    for event in decoder.feed(chunk):
                        alone.events += 1
                        if event_type(event.event, event.data) in TERMINAL_EVENTS:
                            response.finish()
                            return {}
                    alone.cursor = decoder.last_event_id or alone.cursor
                    if transport.clock() >= look_at:
                        # Its last event may have got lost.
                        rollout = self._look(alone)
                        if is_final(rollout):
                            return rollout
                        look_at = transport.clock() + _LOOK_SECONDS
        except (ExchangeError, DecodeError):
            pass
        finally:
            response.close()
        return {}

    def _write(self, record: AdmissionRecord | OutcomeRecord) -> None:
        if self._journal is not None:
            self._journal.append(record)


@dataclasses.dataclass(slots=True)
class _FollowedAlone:
    """Position of a worker in the events of one rollout.

    Attributes:
        rollout_id: Id of the rollout.
        cursor: Position after the last event.
        events: Number of events.
        failures: Attempts to open the stream that failed in a row.
        unseen_since: Time since which the rollout cannot be read; None after a success.
    """

    rollout_id: str
    cursor: str | None = None
    events: int = 0
    failures: int = 0
    unseen_since: float | None = None
