# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/pool_watch.py

"""Watches of a fleet: one event stream for each pool says which of its rollouts have ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from synth_pools._client._sync.facade.pool_events import PoolEventOperations
from synth_pools._client._sync.fleet.retrying_caller import BROKEN_SHARE, RetryingCaller
from synth_pools._client._sync.transport import Transport
from synth_pools._client.events.position import TERMINAL_EVENTS, event_type, is_final
from synth_pools._client.events.sse import EventStreamDecoder, ServerSentEvent
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.http.retry import backoff
from synth_pools._client.http.sync_.engine import IncomingResponse
from synth_pools._client.runtime.sync_.concurrency import Condition, WorkerGroup
from synth_pools._client.runtime.sync_.interrupts import Interrupt
from synth_pools.errors import DecodeError, SynthPoolsError

_LOG = logging.getLogger("synth_pools")

# Each holds a connection, and of threads one: what runs on more pools is followed one by one.
_MOST_WATCHES = 64
# A stream says at once where it begins; one that does not is held back on its way.
_FIRST_BLOCK_SECONDS = 10.0
# Attempts that do not bring even that, before the first that does.
_MOST_FAILURES = 3
# What was looked at in doubt, and had not ended: what it is asked for may lag behind the stream,
# which has told its end to nobody. It is looked at again, more and more seldom.
_FIRST_DOUBT_SECONDS = 5.0
_LONGEST_DOUBT_SECONDS = 60.0
_NOT_IMPLEMENTED = 501
# A service may refuse what it does not know.
_REFUSALS = (400, 422)
# Of texts of events with rollouts that nobody follows yet: their ids may be on their way.
_MOST_EARLY_CHARACTERS = 4 * 1024 * 1024


class PoolWatches:
    """The watches of a fleet, by pool.

    What happens is numbered, so that a rollout whose end came before anyone knew its id is noticed
    without keeping the ids of others.

    Args:
        transport: How to ask.
        caller: Makes the calls of the fleet.
        workers: The workers that wait.
        fail: Called with what must end the fleet.

    Attributes:
        mark: Returns the number of now, for `PoolWatch.following` of what is asked for later.
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
        """Return the watch of a pool; None where it has none, or none any more."""
        if not isinstance(pool_id, str):
            return None
        with self.lock:
            watch = self._watches.get(pool_id)
            if watch is None:
                if len(self._watches) >= _MOST_WATCHES:
                    return None
                watch = self._watches[pool_id] = PoolWatch(self, pool_id)
        return None if watch.is_over else watch

    def wake(self) -> None:
        """Wake all that wait, so that they see that the fleet ends."""
        with self.lock:
            for watch in self._watches.values():
                watch.wake()

    def abandon(self) -> None:
        """End the streams without waiting: nobody waits for them any more."""
        self.readers.abandon()

    def stop(self) -> None:
        """End the streams, and return when their readers are gone, or after a while."""
        self.readers.stopping = True
        for watch in list(self._watches.values()):
            watch.interrupt.stop()
        self.readers.stop()


class EndedRollout(NamedTuple):
    """A rollout as it ended, and its summary; None where it has to be asked for."""

    rollout: dict[str, Any]
    summary: dict[str, Any] | None


class FollowedRollout:
    """A rollout that workers wait for.

    Attributes:
        changed: Notified when there is reason to look at it.
        has_ended: Whether its last event has come.
        ended: What that event told; None where it has to be asked for.
        may_have_ended: Whether its last event may have been missed.
        doubts: How often it was looked at since that may be.
        waiting: How many wait for it.
    """

    __slots__ = ("changed", "doubts", "ended", "has_ended", "may_have_ended", "waiting")

    def __init__(self, changed: Condition, ended: EndedRollout | None) -> None:
        self.changed = changed
        self.ended = ended
        self.has_ended = ended is not None
        self.may_have_ended = False
        self.doubts = 0
        self.waiting = 0

    def doubt(self) -> float | None:
        """Return the seconds after which to look at it again; None where nothing was missed."""
        if not self.doubts:
            return None
        return min(_FIRST_DOUBT_SECONDS * 2.0 ** min(self.doubts - 1, 10), _LONGEST_DOUBT_SECONDS)


class PoolWatch:
    """Watch of one pool. Its stream is opened when the first rollout is followed.

    It says when to look at a rollout: after its last event, unless that holds the rollout itself,
    and after each beginning of the stream, since what ended before that may be missing in it. What
    has not ended then is looked at again after a while, since what it is asked for may lag behind
    the stream. Where the service has no such stream it is over, and its rollouts are followed in
    another way.

    Attributes:
        interrupt: Ends the reader in what it waits for.
        is_over: Whether there is no such stream.
    """

    def __init__(self, watches: PoolWatches, pool_id: str) -> None:
        self._watches = watches
        self._pool_id = pool_id
        self._rollouts: dict[str, FollowedRollout] = {}
        # What ended and is not followed, with the length of its text.
        self._early: OrderedDict[str, tuple[EndedRollout, int]] = OrderedDict()
        self._early_characters = 0
        self._include: Literal["rollout"] | None = "rollout"
        self._cursor: str | None = None
        self._is_read = False
        self._is_live = False
        # When the stream last began, or told the end of a rollout that nobody followed: what was
        # asked for before that may have ended unnoticed. 0 before the first beginning.
        self._blind_until = 0
        self._ended = 0
        self._failures = 0
        self.interrupt = Interrupt()
        self.is_over = False

    @contextlib.contextmanager
    def following(self, rollout_id: str, mark: int) -> Iterator[FollowedRollout]:
        """Follow a rollout while the block lasts.

        Args:
            rollout_id: Its id.
            mark: The number of a time before which it had not ended.
        """
        with self._watches.lock:
            rollout = self._rollouts.get(rollout_id)
            if rollout is None:
                ended, length = self._early.pop(rollout_id, (None, 0))
                self._early_characters -= length
                rollout = FollowedRollout(self._watches.lock.sibling(), ended)
                self._rollouts[rollout_id] = rollout
            rollout.waiting += 1
            if self._is_live and self._blind_until > mark:
                rollout.may_have_ended = True
            must_read = not (self._is_read or self.is_over)
            self._is_read = self._is_read or must_read
        try:
            if must_read:
                self._start_reader()
            yield rollout
        finally:
            with self._watches.lock:
                rollout.waiting -= 1
                if not rollout.waiting:
                    del self._rollouts[rollout_id]

    def wait(self, rollout: FollowedRollout) -> bool:
        """Wait until there is reason to look at a rollout.

        Returns:
            False if this watch will not tell its end.
        """
        workers = self._watches.workers
        with self._watches.lock:
            pause, begun = rollout.doubt(), time.monotonic()
            while not (rollout.has_ended or rollout.may_have_ended or self.is_over):
                workers.check()
                left = None if pause is None else begun + pause - time.monotonic()
                if left is not None and left <= 0:
                    rollout.may_have_ended = True
                    break
                rollout.changed.wait_at_most(left)
            workers.check()
            rollout.doubts += rollout.may_have_ended
            rollout.may_have_ended = False
            return rollout.has_ended or not self.is_over

    def wake(self) -> None:
        """Wake all that wait. The lock must be held."""
        for rollout in self._rollouts.values():
            rollout.changed.notify_all()

    def _start_reader(self) -> None:
        started = False
        try:
            started = self._watches.readers.start(self._read, self._give_up)
        finally:
            if not started:
                self._give_up()

    def _give_up(self) -> None:
        with self._watches.lock:
            self.is_over = True
            self._is_live = False
            self.wake()

    def _read(self) -> None:
        """Read the stream, over one connection after the other, while anyone follows a rollout."""
        watches, silent, is_idle = self._watches, 0, False
        try:
            while self._goes_on():
                before = self._ended
                opened = watches.caller.call(self._open)
                if opened is None:
                    return
                self._listen(opened)
                silent = 1 if self._ended > before else silent + 1
                watches.caller.sleep(backoff(silent, watches.transport.random) * BROKEN_SHARE)
            is_idle = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the calls of the workers meet it too
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
        """Open the stream and read its first block; None where there is no such stream."""
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
                    # In a thread of its own, of a caller-supplied client, it may come after all.
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
            is_late = True
            silence = ExchangeError("ReadTimeout", "the stream did not begin in time")
            failure: SynthPoolsError = transport.stream_error(call, silence)
            is_possible = bool(self._blind_until)
        except SynthPoolsError as error:
            if self._include is not None and getattr(error, "status_code", None) in _REFUSALS:
                self._include = None
                return self._open()
            failure = error
            category, _ = classify_error(error)
            if category in (ErrorCategory.OVERLOADED, ErrorCategory.UNAVAILABLE):
                raise
            is_possible = category is not ErrorCategory.PERMANENT and not (
                isinstance(error, DecodeError)
                or getattr(error, "status_code", None) == _NOT_IMPLEMENTED
            )
        self._failures += 1
        if not (is_possible and (self._blind_until or self._failures < _MOST_FAILURES)):
            return None
        raise failure

    def _listen(self, opened: _OpenStream) -> None:
        """Read one connection to its end."""
        watches, (response, decoder, events) = self._watches, opened
        try:
            with watches.readers.reading(response):
                self._begin()
                self._take(events)
                self._cursor = decoder.last_event_id or self._cursor
                for chunk in response.chunks():
                    # A connection that others share is not ended under its reader.
                    watches.readers.check()
                    watches.caller.alive()
                    self._take(decoder.feed(chunk))
                    self._cursor = decoder.last_event_id or self._cursor
        except ExchangeError:
            pass
        finally:
            self._is_live = False
            response.close()

    def _begin(self) -> None:
        """Have all looked at once: their last events may be none of those that follow."""
        with self._watches.lock:
            self._failures = 0
            self._is_live = True
            self._blind_until = self._watches.mark()
            for rollout in self._rollouts.values():
                rollout.may_have_ended = True
                rollout.changed.notify_all()

    def _take(self, events: Iterable[ServerSentEvent]) -> None:
        for event in events:
            if event_type(event.event, event.data) not in TERMINAL_EVENTS:
                continue
            rollout_id, ended = _told(event.data)
            with self._watches.lock:
                rollout = self._rollouts.get(rollout_id)
                if rollout is None:
                    # It may be one of ours whose id is still on its way.
                    self._keep(rollout_id, ended, len(event.data))
                else:
                    self._ended += 1
                    rollout.ended = ended
                    rollout.has_ended = True
                    rollout.changed.notify_all()

    def _keep(self, rollout_id: str, ended: EndedRollout | None, length: int) -> None:
        """Keep what ended for whoever will follow it, as far as there is room."""
        is_missing = ended is None
        if ended is not None:
            _, former = self._early.pop(rollout_id, (None, 0))
            self._early[rollout_id] = ended, length
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


def _told(data: str) -> tuple[str, EndedRollout | None]:
    """Return the rollout of a last event, and how it ended where that tells it."""
    event: Any = None
    try:
        event = json.loads(data)
        rollout_id = event["rollout_id"]
    except (ValueError, RecursionError, TypeError, LookupError):
        rollout_id = None
    if not isinstance(rollout_id, str):
        raise DecodeError("an event of the pool does not name its rollout", excerpt=data[:200])
    rollout, summary = event.get("rollout"), event.get("summary")
    is_whole = all(
        isinstance(one, dict) and one.get("rollout_id", one.get("id")) == rollout_id
        for one in (rollout, summary)
    )
    # What is no end, or of another one, is asked for.
    return rollout_id, EndedRollout(rollout, summary) if is_whole and is_final(rollout) else None
