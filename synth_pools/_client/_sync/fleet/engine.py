# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/engine.py

"""Engine of a fleet: its workers, their shared state, and its end."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections import deque
from typing import Any

from synth_pools._client._sync.fleet.cancellation import (
    CANCEL_SECONDS,
    cancel_requests,
    log_early_end,
)
from synth_pools._client._sync.fleet.creation import RolloutCreator
from synth_pools._client._sync.fleet.creation_batch import InFlight
from synth_pools._client._sync.fleet.fleet_journal import FleetJournal, open_journal
from synth_pools._client._sync.fleet.pool_watch import PoolWatches
from synth_pools._client._sync.fleet.retrying_caller import RetryingCaller
from synth_pools._client._sync.fleet.scope import RolloutScope
from synth_pools._client._sync.fleet.worker import FleetWorker
from synth_pools._client._sync.transport import Transport
from synth_pools._client.fleet.budget import NotStartedError
from synth_pools._client.fleet.endings import budget_error, may_pass, request_count, stopped
from synth_pools._client.fleet.journal import Run, digest
from synth_pools._client.fleet.options import FleetOptions
from synth_pools._client.fleet.outcomes import (
    FleetProgress,
    OutcomeCounter,
    RolloutOutcome,
    snapshot,
)
from synth_pools._client.fleet.progress_bar import ProgressBar
from synth_pools._client.fleet.replays import count_earlier
from synth_pools._client.runtime.sync_.concurrency import (
    Condition,
    RequestSource,
    WorkerGroup,
    call_back,
    ends_silently,
)
from synth_pools._client.runtime.sync_.io import in_thread
from synth_pools.errors import FleetStoppedError, SynthPoolsError

# Least limit of the outcomes that wait for an earlier one, in a fleet that reports in order.
_LEAST_AHEAD = 256
# Bounds the memory of an endless fleet.
_MOST_ROWS = 100_000
# Time for the last outcomes of the workers once the patience of a fleet is over.
_LAST_OUTCOMES_SECONDS = 1.0
# A stream keeps the time for the rollouts that it follows.
_LONGEST_SILENCE_SECONDS = 60.0

_LOG = logging.getLogger("synth_pools")


class FleetEngine:
    """Workers of a fleet and their shared state. It holds no reference to the fleet."""

    def __init__(
        self, transport: Transport, pool_id: str | None, requests: Any, options: FleetOptions
    ) -> None:
        self._options = options
        self._pool_id = pool_id
        self._source = RequestSource(requests, "requests", snapshot, options.repeats)
        config = transport.config
        # The transport does not retry: the retrying caller does, for all calls together.
        self._transport = transport.with_config(
            dataclasses.replace(
                config,
                max_retries=0,
                idempotency_key=None,
                stream_idle_timeout=min(config.stream_idle_timeout, _LONGEST_SILENCE_SECONDS),
            )
        )
        self._scope = RolloutScope(self._transport, pool_id)
        self._tries = config.max_retries
        self._group = WorkerGroup()
        # A reader of outcomes waits for a change, a worker for room to take one more request.
        self._changed = Condition()
        self._room = self._changed.sibling()
        self._counter = OutcomeCounter(request_count(requests, options), transport.clock)
        self._ready: deque[RolloutOutcome] = deque()
        self._waiting: dict[int, RolloutOutcome | None] = {}
        self._next_index = 0
        self._workers = 0
        self._unreported = 0
        ahead = 2 * options.max_in_flight
        self._most_unreported = max(ahead, _LEAST_AHEAD) if options.in_order else ahead
        self._failure: BaseException | None = None
        self._fatal = False
        self._is_capped = False
        # Time at which the fleet ends even with requests in flight.
        self._until: float | None = None
        self._ending = False
        # The limit that was reached before all requests had ended, and whether that cancelled any.
        self._reached: str | None = None
        self._is_cancelled = False
        # Highest request of the journal.
        self._highest = -1
        self._worker: FleetWorker | None = None
        self._caller: RetryingCaller | None = None
        self._creator: RolloutCreator | None = None
        self._watches: PoolWatches | None = None
        self._journal: FleetJournal | None = None
        self._bar = ProgressBar(transport.clock) if options.progress is True else None
        self.rows: deque[dict[str, Any]] = deque(maxlen=_MOST_ROWS)
        self.started = False
        self.closed = False

    def progress(self) -> FleetProgress:
        return self._counter.progress(len(self._worker.in_flight) if self._worker else 0)

    def next(self) -> RolloutOutcome | None:
        """Return the next outcome; None after the last one."""
        if self.closed:
            return None
        if not self.started:
            self._start()
        if self._wait_for_outcome():
            self._cancel_at_budget()
            self._wait_for_outcome()
        with self._changed:
            outcome = self._ready.popleft() if self._ready and not self._fatal else None
            if outcome is not None:
                self._unreported -= 1
                self._room.notify()
        if outcome is None:
            count = self._source.taken
            failure = self._failure or budget_error(self._reached, self._options, count)
            if failure is not None:
                raise failure
            return None
        self._report(outcome)
        return outcome

    def _wait_for_outcome(self) -> bool:
        """Wait for an outcome or the end; return True once the rollouts have to be cancelled."""
        budget = self._options.budget
        with self._changed:
            while self._workers and not (self._ready or self._fatal or self._group.stopping):
                if self._must_cancel() and not self._is_cancelled:
                    return True
                limit = None if self._until is None else self._until - self._transport.clock()
                if limit is not None and limit <= 0:
                    break
                if budget.cancels and not self._is_cancelled:
                    seconds = (limit, budget.remaining_seconds)
                    limit = min((s for s in seconds if s is not None), default=None)
                self._changed.wait_at_most(limit)
        return False

    def close(self, *, interrupted: bool = False) -> None:
        """Stop the workers, and leave or cancel the requests in flight."""
        if self.closed:
            return
        self.closed = True
        self._counter.stop()
        if problem := self._options.budget.problem(self.progress().completed):
            _LOG.warning("run_many: %s", problem)
        try:
            self._stop_workers()
            if self._worker is not None:
                self._leave(self._worker, interrupted)
        finally:
            if self._journal is not None:
                self._journal.file.close()
            if self._bar is not None:
                self._bar.close(self.progress())

    def abandon(self) -> None:
        """Stop the workers without waiting, safe in a finalizer; the last worker cleans up."""
        self._group.abandon()
        if self._watches is not None:
            self._watches.abandon()

    def _start(self) -> None:
        self.started = True
        self._transport.check_open()
        options = self._options
        self._caller = RetryingCaller(
            self._group,
            self._transport,
            limit=options.max_in_flight,
            tries=self._tries + options.retries,
            patience=options.patience,
        )
        run = Run(uuid.uuid4().hex, self._pool_id, self._transport.config.base_url)
        self._journal = open_journal(options, self._scope, self._caller, self._counter.total)
        if self._journal is not None:
            run = self._journal.file.run
            self._highest = self._journal.file.entries.highest
            if options.budget.sums_usage:
                in_thread(count_earlier, self._journal.file, options.budget, options.price_list)
        options.budget.start(self._transport.clock)
        self._watches = PoolWatches(self._transport, self._caller, self._group, self._fail)
        self._creator = RolloutCreator(
            self._scope, self._group, self._journal, options.budget, self._watches.mark
        )
        self._worker = FleetWorker(
            self._scope,
            self._group,
            self._caller,
            self._creator,
            self._watches,
            run,
            self._journal,
            options,
        )
        self._counter.start()
        # The number of workers may be 0 in spite of a start: this one may have ended already.
        if not self._start_worker():
            raise FleetStoppedError(
                "the fleet stopped before its first request: the system has no more threads",
                index=0,
                reason=None,
            )

    def _start_worker(self) -> bool:
        """Start one more worker if the limits allow it; without a free thread the others go on."""
        with self._changed:
            if self._workers >= self._options.max_in_flight or self._ending:
                return False
            self._workers += 1
        started = False
        try:
            started = self._group.start(self._work, self._worker_failed_to_start)
        finally:
            if not started:
                with self._changed:
                    self._workers -= 1
        return started

    def _work(self) -> None:
        """Take requests until there are no more."""
        try:
            while self._may_take():
                numbered_request = self._source.take()
                if numbered_request is None:
                    self._end_of_requests()
                    return
                self._run(*numbered_request)
        except BaseException as error:
            if not self._group.stopping:
                self._fail(error)
            elif isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        finally:
            self._worker_ended()

    def _worker_failed_to_start(self) -> None:
        """Record the end of a worker before its first request."""
        if not self._group.stopping:
            self._fail(GeneratorExit())
        self._worker_ended()

    def _worker_ended(self) -> None:
        with self._changed:
            self._workers -= 1
            self._changed.notify_all()
        if not self._workers and self._watches is not None:
            self._watches.abandon()
        # Nothing else closes the journal of an abandoned fleet.
        if not self._workers and self._group.stopping and self._journal is not None:
            self._journal.file.close()

    def _may_take(self) -> bool:
        with self._room:
            while not self._ending and self._unreported >= self._most_unreported:
                self._group.check()
                self._room.wait_at_most(None)
            self._group.check()
            self._unreported += not self._ending
            return not self._ending

    def _end_of_requests(self) -> None:
        if self._journal is not None and self._journal.file.entries.highest >= self._source.taken:
            many, few = self._journal.file.entries.highest + 1, self._source.taken
            raise self._journal.file.mismatch(f"it has {many} requests or more, and here are {few}")
        with self._changed:
            self._end()
            self._unreported -= 1

    def _end(self) -> None:
        """Take no more requests. The lock must be held."""
        self._ending = True
        self._room.notify_all()
        self._changed.notify_all()

    def _run(self, index: int, request: Any) -> None:
        assert self._worker is not None  # noqa: S101 - workers start after it
        assert self._caller is not None  # noqa: S101
        self._check_connections(request)
        sha = "" if self._journal is None else digest(request)
        item = InFlight(index, request, index // self._options.repeats, sha)
        outcome = self._worker.replay(item)
        if outcome is None:
            # Another worker takes the next request meanwhile.
            self._start_worker()
            try:
                outcome = self._worker.run(item)
            except NotStartedError:
                self._leave_out(index)
                return
            self._options.budget.count(index, outcome.usage, is_final=True)
            if item.is_stopped:
                self._reached = self._reached or self._options.budget.reached()
            self._cancel_at_budget()
        with self._changed:
            if outcome.rollout is None and not self._caller.is_open and may_pass(outcome.error):
                self._failure = self._failure or stopped("nothing gets through", outcome)
                self._until = self._until or self._transport.clock() + _LAST_OUTCOMES_SECONDS
                self._end()
            self._put(index, outcome)

    def _leave_out(self, index: int) -> None:
        """Leave out a request that the budget does not allow; what the journal has is reported."""
        if self._journal is not None:
            self._journal.note_requests(index + 1)
        with self._changed:
            self._reached = self._reached or self._options.budget.reached()
            self._unreported -= 1
            self._room.notify()
            self._put(index, None)
            if index >= self._highest:
                self._end()

    def _put(self, index: int, outcome: RolloutOutcome | None) -> None:
        """Make an outcome ready, in order if the caller said so. The lock must be held."""
        self._waiting[index] = outcome
        indices = [index]
        if self._options.in_order:
            indices = []
            while self._next_index in self._waiting:
                indices.append(self._next_index)
                self._next_index += 1
        ready = (self._waiting.pop(place) for place in indices)
        self._ready.extend(outcome for outcome in ready if outcome is not None)
        self._changed.notify_all()

    def _check_connections(self, request: Any) -> None:
        """Log once if rollouts with mode sync need more connections than there are."""
        most, most_in_flight = self._transport.most_calls, self._options.max_in_flight
        is_sync = isinstance(request, dict) and request.get("mode") == "sync"
        if is_sync and most_in_flight > most and not self._is_capped:
            self._is_capped = True
            _LOG.warning(
                "run_many: %d rollouts with mode sync run at a time, not max_in_flight=%d: each "
                "holds one of the client's connections",
                most,
                most_in_flight,
            )

    def _report(self, outcome: RolloutOutcome) -> None:
        options = self._options
        self._counter.add(outcome)
        self.rows.append(outcome.to_dict())
        if options.on_result is not None:
            call_back(options.on_result, outcome)
        if self._bar is not None:
            self._bar(self.progress())
        elif callable(options.progress):
            call_back(options.progress, self.progress())
        is_failure = not (outcome.ok or outcome.replayed or self._is_cancelled)
        if options.fail_fast and is_failure:
            self._stop_for(outcome)

    def _stop_for(self, outcome: RolloutOutcome) -> None:
        """Stop the fleet after a failed outcome, the last one that it reports."""
        with self._changed:
            self._failure = stopped("fail_fast", outcome)
            self._end()
        self._stop_workers()
        self._ready.clear()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._failure is None:
                self._failure = _raisable(error, self._source.taken)
            # An error of the caller's iterable is raised after the outcomes of its requests.
            is_ordinary = isinstance(error, Exception) or ends_silently(error)
            self._fatal = self._fatal or isinstance(error, SynthPoolsError) or not is_ordinary
            self._end()

    def _stop_workers(self) -> None:
        self._group.stopping = True
        with self._changed:
            self._end()
        for waiter in (self._caller, self._creator, self._watches):
            if waiter is not None:
                waiter.wake()
        self._group.stop()
        if self._watches is not None:
            self._watches.stop()

    def _leave(self, worker: FleetWorker, interrupted: bool) -> None:
        if self._options.on_interrupt == "cancel":
            remaining = self._cancel_in_flight(worker)
            log_early_end(self._options, self.progress(), remaining, interrupted)
        elif interrupted:
            remaining = [item for item in worker.in_flight.values() if item.key]
            log_early_end(self._options, self.progress(), remaining, interrupted)

    def _cancel_in_flight(self, worker: FleetWorker) -> list[InFlight]:
        """Cancel the requests in flight, `max_in_flight` at a time; return the rest."""
        scope = self._patient_scope()
        return cancel_requests(
            worker.in_flight, lambda item: worker.cancel(item, scope), self._options.max_in_flight
        )

    def _cancel_at_budget(self) -> None:
        """Cancel the rollouts in flight once the budget is reached, if the caller said so."""
        worker = self._worker
        with self._changed:
            if worker is None or self._is_cancelled or not self._must_cancel():
                return
            self._is_cancelled = True
        # A rollout that is being created is stopped by its worker.
        items = {i: item for i, item in dict(worker.in_flight).items() if item.rollout_id}
        scope = self._patient_scope()
        cancel_requests(items, lambda item: worker.stop(item, scope), self._options.max_in_flight)

    def _must_cancel(self) -> bool:
        budget = self._options.budget
        return budget.cancels and budget.reached() is not None

    def _patient_scope(self) -> RolloutScope:
        config = dataclasses.replace(
            self._transport.config, max_retries=self._tries, deadline=CANCEL_SECONDS
        )
        return self._scope.by(self._transport.with_config(config))


def _raisable(error: BaseException, count: int) -> BaseException:
    """Return the error to raise after an error ended a worker."""
    if not ends_silently(error):
        return error
    # Such an error would end the caller's loop silently.
    return FleetStoppedError(
        f"the fleet stopped after {count} requests: {type(error).__name__} came from them, "
        "or ended one of its workers",
        index=count,
        reason=None,
    )
