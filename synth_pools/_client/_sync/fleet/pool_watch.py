# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/pool_watch.py

"""Watches of a fleet: one event stream for each pool reports the ends of its rollouts."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from synth_pools._client._sync.facade.pool_events import PoolEventOperations
from synth_pools._client._sync.facade.pools import PoolOperations
from synth_pools._client._sync.fleet.retrying_caller import BROKEN_SHARE, RetryingCaller
from synth_pools._client._sync.transport import Transport
from synth_pools._client.events.position import TERMINAL_EVENTS, event_type
from synth_pools._client.events.sse import EventStreamDecoder, ServerSentEvent
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.fleet.outcomes import EndedRollout, read_last_event
from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.http.retry import backoff
from synth_pools._client.http.sync_.engine import IncomingResponse
from synth_pools._client.runtime.sync_.concurrency import Condition, WorkerGroup
from synth_pools._client.runtime.sync_.interrupts import Interrupt
from synth_pools.errors import DecodeError, SynthPoolsError

_LOG = logging.getLogger("synth_pools")

# Each watch holds a connection and a thread. Rollouts on more pools are followed one by one.
_MOST_WATCHES = 64
# A stream sends its first block at once, but the network may delay it.
_FIRST_BLOCK_SECONDS = 10.0
# Attempts without a first block after which the pool is treated as one without a stream.
_MOST_FAILURES = 3
# Time after which a stream that has begun before is tried again for new rollouts.
_RENEWAL_SECONDS = 60.0
# The state of a rollout may lag behind the stream, so a rollout that may have ended is read again
# at growing intervals. Events may get lost, so every rollout is read at the longest ones.
_FIRST_DOUBT_SECONDS = 5.0
_LONGEST_DOUBT_SECONDS = 60.0
_NOT_IMPLEMENTED = 501
# After these errors of another call the stream alone is not at fault.
_NOT_THROUGH = (ErrorCategory.OVERLOADED, ErrorCategory.UNAVAILABLE, ErrorCategory.CONNECTION_LOST)
# A service may refuse parameters that it does not know.
_REFUSALS = (400, 422)
# Bounds the memory of events of rollouts whose ids may arrive later.
_MOST_EARLY_CHARACTERS = 4 * 1024 * 1024


class PoolWatches:
    """The watches of a fleet, by pool.

    Events and calls are numbered in one sequence. So a watch notices that a rollout ended before
    its id arrived, without storing the ids of all other rollouts.

    Args:
        transport: Sender of the calls.
        caller: Makes the calls of the fleet.
        workers: The workers that wait.
        fail: Called with an error that must end the fleet.

    Attributes:
        mark: Returns the next number, for a later call of `PoolWatch.following`.
    """

    def __init__(
        self,
        transport: Transport,
        caller: RetryingCaller,
        workers: WorkerGroup,
        fail: Callable[[BaseException], None],
    ) -> None:
        self.transport = transport
        self.caller = caller
        self.workers = workers
        self.readers = WorkerGroup()
        self.fail = fail
        self.lock = Condition()
        self.mark = itertools.count(1).__next__
        self._watches: dict[str, PoolWatch] = {}

    def of(self, pool_id: object) -> PoolWatch | None:
        """Return the watch of a pool; None if it has none or its watch is over."""
        if not isinstance(pool_id, str):
            return None
        with self.lock:
            watch = self._watches.get(pool_id)
            if watch is not None and watch.may_be_renewed():
                watch = self._watches[pool_id] = PoolWatch(self, pool_id)
            if watch is None:
                if len(self._watches) >= _MOST_WATCHES:
                    return None
                watch = self._watches[pool_id] = PoolWatch(self, pool_id)
        return None if watch.is_over else watch

    def wake(self) -> None:
        """Wake all waiting workers, so that they see the end of the fleet."""
        with self.lock:
            for watch in self._watches.values():
                watch.wake()

    def abandon(self) -> None:
        """End the streams without waiting for their readers."""
        self.readers.abandon()

    def stop(self) -> None:
        """End the streams, and wait a limited time for their readers."""
        self.readers.stopping = True
        for watch in list(self._watches.values()):
            watch.interrupt.stop()
        self.readers.stop()


@dataclass(slots=True, eq=False)
class FollowedRollout:
    """Rollout that workers wait for.

    Attributes:
        changed: Notified when a worker should read the rollout.
        ended_rollout: Content of its last event; None if it has not arrived, or held no rollout.
        has_ended: True once that event has arrived.
        may_have_ended: True if its last event may have been missed.
        since: Time since which it is followed.
        pause: Seconds until it is read although nothing is reported; 0 while it need not be.
        waiting: Number of waiting workers.
    """

    changed: Condition
    ended_rollout: EndedRollout | None
    has_ended: bool = field(init=False)
    may_have_ended: bool = False
    since: float = field(default_factory=lambda: time.monotonic())
    pause: float = 0.0
    waiting: int = 0

    def __post_init__(self) -> None:
        self.has_ended = self.ended_rollout is not None

    def doubt(self) -> None:
        """Have it read now, and again at growing intervals. The lock must be held."""
        self.may_have_ended = True
        self.pause = 0.0
        self.changed.notify_all()


class PoolWatch:
    """Watch of one pool. Its stream is opened before the first rollout is created.

    A worker reads a rollout after its last event, unless that event holds the rollout itself, after
    each start of the stream, which does not contain earlier ends, and after a minute, because
    events may get lost. If it has not ended, the worker reads it again after a pause, because the
    state of a rollout may lag behind the stream. Without such a stream the watch is over, and its
    rollouts are followed one by one.

    Attributes:
        interrupt: Interrupts the reader while it waits.
        is_over: True if the service has no such stream.
    """

    def __init__(self, watches: PoolWatches, pool_id: str) -> None:
        self._watches = watches
        self._pool_id = pool_id
        self._rollouts: dict[str, FollowedRollout] = {}
        # Ended rollouts that are not followed, with the length of each event.
        self._early: OrderedDict[str, tuple[EndedRollout, int]] = OrderedDict()
        self._early_characters = 0
        self._include: Literal["rollout"] | None = "rollout"
        self._cursor: str | None = None
        self._is_read = False
        self._is_live = False
        # Mark of the last start of the stream or the last dropped end. A rollout with an earlier
        # mark may have ended unnoticed. 0 before the first start.
        self._blind_until = 0
        self._ended = 0
        self._failures = 0
        self._look_at = 0.0
        self._over_since = 0.0
        self.interrupt = Interrupt()
        self.is_over = False

    @contextlib.contextmanager
    def following(self, rollout_id: str, mark: int) -> Iterator[FollowedRollout]:
        """Follow a rollout while the block lasts.

        Args:
            rollout_id: Id of the rollout.
            mark: Mark from before its end.
        """
        with self._watches.lock:
            rollout = self._rollouts.get(rollout_id)
            if rollout is None:
                ended_rollout, length = self._early.pop(rollout_id, (None, 0))
                self._early_characters -= length
                rollout = FollowedRollout(self._watches.lock.sibling(), ended_rollout)
                self._rollouts[rollout_id] = rollout
            rollout.waiting += 1
            if self._is_live and self._blind_until > mark:
                rollout.doubt()
        try:
            self.open()
            yield rollout
        finally:
            with self._watches.lock:
                rollout.waiting -= 1
                if not rollout.waiting:
                    del self._rollouts[rollout_id]

    def open_early(self) -> None:
        """Open the stream before a rollout is created, unless it has failed or begun before."""
        if not (self._failures or self._blind_until):
            self.open()

    def open(self) -> None:
        """Open the stream, unless it is; it stays open while a rollout is followed."""
        with self._watches.lock:
            started, self._is_read = self._is_read or self.is_over, True
        if started:
            return
        try:
            started = self._watches.readers.start(self._read, self._give_up)
        finally:
            if not started:
                self._give_up()

    def wait(self, rollout: FollowedRollout) -> bool:
        """Wait until a rollout should be read.

        Returns:
            False if this watch is over and will not report the end of the rollout.
        """
        watches = self._watches
        with watches.lock:
            until: float | None = None
            while not (rollout.has_ended or rollout.may_have_ended or self.is_over):
                watches.workers.check()
                if until is None and rollout.pause:
                    # Random, so that the reads of all rollouts are spread over time.
                    share = 0.75 + watches.transport.random() / 2
                    until = time.monotonic() + rollout.pause * share
                remaining = None if until is None else until - time.monotonic()
                if remaining is not None and remaining <= 0:
                    break
                rollout.changed.wait_at_most(remaining)
            watches.workers.check()
            if rollout.has_ended:
                return True
            pause = max(2 * rollout.pause, _FIRST_DOUBT_SECONDS)
            rollout.pause = min(pause, _LONGEST_DOUBT_SECONDS)
            rollout.may_have_ended = False
            return not self.is_over

    def wake(self) -> None:
        """Wake all waiting workers. The lock must be held."""
        for rollout in self._rollouts.values():
            rollout.changed.notify_all()

    def may_be_renewed(self) -> bool:
        """Check that it is over, but had begun, and that a minute has passed since."""
        has_begun = bool(self._blind_until)
        return has_begun and self.is_over and time.monotonic() > self._over_since + _RENEWAL_SECONDS

    def _give_up(self) -> None:
        with self._watches.lock:
            self._over_since = time.monotonic()
            self.is_over = True
            self._is_live = False
            self.wake()

    def _read(self) -> None:
        """Read the stream, reconnecting while a rollout is followed."""
        watches, silent, is_idle, goes_on = self._watches, 0, False, True
        try:
            while goes_on:
                ended_before = self._ended
                stream = self._open()
                if stream is not None:
                    self._listen(stream)
                elif self._failures >= _MOST_FAILURES:
                    return
                self._look_around()
                silent = 1 if self._ended > ended_before else silent + 1
                share = 1.0 if stream is None else BROKEN_SHARE
                if goes_on := self._goes_on():
                    watches.caller.sleep(backoff(silent, watches.transport.random) * share)
                    goes_on = self._goes_on()
            is_idle = True
        except Exception as error:  # noqa: BLE001 - the calls of the workers fail with it, too
            kind = type(error).__name__
            _LOG.debug("run_many: the events of pool %r cannot be read: %s", self._pool_id, kind)
        except BaseException as error:
            if watches.readers.stopping or not isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            watches.fail(error)
        finally:
            if not is_idle:
                self._give_up()

    def _goes_on(self) -> bool:
        self._watches.readers.check()
        with self._watches.lock:
            self._is_read = bool(self._rollouts)
            return self._is_read

    def _open(self) -> _OpenStream | None:
        """Open the stream and read its first block; None if that failed."""
        transport = self._watches.transport
        operations = PoolEventOperations._on(transport)
        operation, call = operations._pool_events_call(
            self._pool_id, self._cursor, "latest", sorted(TERMINAL_EVENTS), self._include
        )
        is_late = False

        def begin() -> _OpenStream:
            response = transport.open_stream(operation, dict(call))
            try:
                decoder = EventStreamDecoder()
                for chunk in response.chunks():
                    events = list(decoder.feed(chunk))
                    # With a caller's HTTP client this thread goes on after the time limit.
                    if is_late:
                        break
                    if events or decoder.last_event_id:
                        return _OpenStream(response, decoder, events)
                failure = ExchangeError("EndOfStream", "the stream ended before its first block")
            except ExchangeError as error:
                failure = error
            except BaseException:
                response.close()
                raise
            response.close()
            raise transport.stream_error(call, failure)

        try:
            with self.interrupt:
                return transport.call_within(_FIRST_BLOCK_SECONDS, begin)
        except TimeoutError:
            # A stream that is held back on its way does not begin later, either.
            is_late, is_possible = True, bool(self._blind_until)
        except SynthPoolsError as error:
            status = getattr(error, "status_code", None)
            if self._include is not None and status in _REFUSALS:
                self._include = None
                return self._open()
            is_possible = not (
                classify_error(error)[0] is ErrorCategory.PERMANENT
                or isinstance(error, DecodeError)
                or status == _NOT_IMPLEMENTED
            )
        if not is_possible:
            self._failures = _MOST_FAILURES
        # Before there is a rollout, its creation shows whether the service can be reached.
        elif not self._rollouts or self._gets_through():
            self._failures += 1
        return None

    def _gets_through(self) -> bool:
        """Check that another call reaches the service, which then refuses the stream alone."""
        watches, pools = self._watches, PoolOperations._on(self._watches.transport)
        try:
            watches.caller.call(lambda: pools.get_pool(self._pool_id), is_look=True)
        except SynthPoolsError as error:
            if not watches.caller.is_open:
                raise
            return classify_error(error)[0] not in _NOT_THROUGH
        return True

    def _listen(self, stream: _OpenStream) -> None:
        """Read one connection to its end."""
        watches, (response, decoder, events) = self._watches, stream
        try:
            with watches.readers.reading(response):
                self._begin()
                self._take(events)
                self._cursor = decoder.last_event_id or self._cursor
                for chunk in response.chunks():
                    # Closing a shared connection does not end its reader.
                    watches.readers.check()
                    self._take(decoder.feed(chunk))
                    self._cursor = decoder.last_event_id or self._cursor
                    # Heartbeats keep the time.
                    self._look_around()
        except ExchangeError:
            pass
        finally:
            self._is_live = False
            response.close()

    def _begin(self) -> None:
        """Have all rollouts read once: the stream does not repeat earlier events."""
        with self._watches.lock:
            self._failures = 0
            self._is_live = True
            self._blind_until = self._watches.mark()
            for rollout in self._rollouts.values():
                rollout.doubt()

    def _look_around(self) -> None:
        """Have the rollouts read now and then that are followed for long."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LONGEST_DOUBT_SECONDS / 12
        with self._watches.lock:
            # In the order of their ages. Few last as long, so that few need a timer.
            for rollout in self._rollouts.values():
                if now - rollout.since < _LONGEST_DOUBT_SECONDS / 4:
                    break
                if not rollout.pause:
                    rollout.pause = _LONGEST_DOUBT_SECONDS
                    rollout.changed.notify_all()

    def _take(self, events: Iterable[ServerSentEvent]) -> None:
        for event in events:
            if event_type(event.event, event.data) not in TERMINAL_EVENTS:
                continue
            rollout_id, ended_rollout = read_last_event(event.data, self._pool_id)
            with self._watches.lock:
                rollout = self._rollouts.get(rollout_id)
                if rollout is None:
                    # It may be a rollout of this fleet whose id arrives later.
                    self._keep(rollout_id, ended_rollout, len(event.data))
                else:
                    self._ended += 1
                    rollout.ended_rollout = ended_rollout
                    rollout.has_ended = True
                    rollout.changed.notify_all()

    def _keep(self, rollout_id: str, ended_rollout: EndedRollout | None, length: int) -> None:
        """Store an ended rollout that is not followed yet, within the memory limit."""
        is_missing = ended_rollout is None
        if ended_rollout is not None:
            _, former = self._early.pop(rollout_id, (None, 0))
            self._early[rollout_id] = ended_rollout, length
            self._early_characters += length - former
        while self._early_characters > _MOST_EARLY_CHARACTERS:
            _, (_, former) = self._early.popitem(last=False)
            self._early_characters -= former
            is_missing = True
        if is_missing:
            self._blind_until = self._watches.mark()


class _OpenStream(NamedTuple):
    response: IncomingResponse
    decoder: EventStreamDecoder
    events: list[ServerSentEvent]
