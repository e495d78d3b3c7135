# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/waiters.py

"""Waits for pools and rollouts: by an event stream if the service has one, else by polling."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from synth_pools._client._sync.event_stream import EventStream
from synth_pools._client._sync.transport import Transport
from synth_pools._client.arguments import format_seconds
from synth_pools._client.events.position import is_final
from synth_pools._client.http.request_builder import Call
from synth_pools._client.http.retry import RETRIED_STATUSES
from synth_pools._client.runtime.sync_.concurrency import call_back
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    NotFoundError,
    PoolFailedError,
    ResponseDecodeError,
    StreamBrokenError,
    SynthPoolsError,
    WaitTimeoutError,
)
from synth_pools_api.operations import OperationId

_SHORTEST_INTERVAL = 0.2
_LONGEST_INTERVAL = 10.0
# About ten minutes with the pauses: a wait survives a longer outage than a call.
_PATIENT_RETRIES = 150
_NO_STREAMS = frozenset({404, 405, 406, 501})
# Pause before the next attempt to read events, from which on the rollout is asked for first.
_LONG_PAUSE = 1.0
# Most attempts to read the events of an ended rollout, and the time left for its summary.
_MOST_ATTEMPTS = 4
_SUMMARY_SECONDS = 5.0
_LOST_POOL = frozenset({"failed", "archived", "deleted"})
# Lines of a process's output in the error of its pool.
_LINES_SHOWN = 20
_LONGEST_LINE = 200
_CANCEL_SECONDS = 10.0
# A service may ask for a pause of a minute, which does not fit into a shorter wait.
_LAST_RETRY_SECONDS = 61.0


@dataclasses.dataclass(frozen=True, slots=True)
class RolloutPath:
    """Path of a rollout, with the operations on it.

    Attributes:
        url: Path of the rollout.
        is_global: True if its operations do not name its pool.
    """

    url: str
    is_global: bool

    @property
    def name(self) -> str:
        """The rollout, for messages."""
        return f"rollout {unquote(self.url.rpartition('/')[2])!r}"

    @property
    def get(self) -> OperationId:
        return "get_global_rollout" if self.is_global else "get_rollout"

    @property
    def cancel(self) -> OperationId:
        return "cancel_global_rollout" if self.is_global else "cancel_rollout"

    @property
    def summary(self) -> OperationId:
        return "get_global_rollout_summary" if self.is_global else "get_rollout_summary"

    @property
    def events(self) -> OperationId:
        return "stream_global_rollout_events" if self.is_global else "stream_rollout_events"


@dataclasses.dataclass(slots=True)
class _Progress:
    """Position after the last event that was read."""

    cursor: str | None = None
    events: int = 0


class Waiter:
    """Wait with one time limit for all of its calls.

    Args:
        transport: Transport of its calls.
        timeout: Seconds; None for no limit.
    """

    def __init__(self, transport: Transport, timeout: float | None) -> None:
        config, self._streams = transport.config, transport
        if config.max_retries:
            patient = max(config.max_retries, _PATIENT_RETRIES)
            transport = transport.with_config(dataclasses.replace(config, max_retries=patient))
        self._transport = transport
        self._timeout = timeout
        self._until = None if timeout is None else transport.clock() + timeout
        self._interval = _SHORTEST_INTERVAL
        self.last: dict[str, Any] | None = None

    def request(self, operation: OperationId, call: Call, problem: str) -> dict[str, Any]:
        """Make a call within the remaining time."""
        transport, remaining = self._transport, self._remaining()
        if remaining is not None:
            self._check_time(remaining, problem)
            config = transport.config
            deadline = remaining if config.deadline is None else min(remaining, config.deadline)
            transport = transport.with_config(dataclasses.replace(config, deadline=deadline))
        try:
            return transport.request(operation, call)
        except (APIConnectionError, APIStatusError) as error:
            remaining = self._remaining()
            is_temporary = transport.retry_wait(operation, error, 1, call=call) is not None
            if remaining is None or remaining > _LAST_RETRY_SECONDS or not is_temporary:
                raise
            failure = error
        raise self._timed_out(problem, failure)

    def create(self, operation: OperationId, call: Call) -> dict[str, Any]:
        """Start a rollout."""
        self.last = self.request(operation, call, "the rollout was not admitted")
        return self.last

    def _summary(self, path: RolloutPath) -> dict[str, Any]:
        """Get a rollout's summary."""
        call: Call = {"method": "get", "url": f"{path.url}/summary"}
        return self.request(path.summary, call, f"there was no summary of {path.name}")

    def until_active(self, call: Call, pool_id: str) -> dict[str, Any]:
        """Wait for a pool to be active."""
        problem = f"pool {pool_id!r} was not active"
        while True:
            pool = self.last = self.request("get_pool", dict(call), problem)
            state = pool.get("status", pool.get("state"))
            if state in ("active", "ready"):
                return pool
            if (failure := lost_pool(pool, pool_id)) is not None:
                raise failure
            self._sleep(problem)

    def until_final(
        self, path: RolloutPath, on_event: Callable[[dict[str, Any]], Any] | None = None
    ) -> dict[str, Any]:
        """Wait for a rollout to end, and pass its events to `on_event`."""
        problem = f"{path.name} had not ended"
        progress, has_stream, stream_at = _Progress(), True, 0.0
        attempts = 0 if on_event is None else _MOST_ATTEMPTS
        self.last = self._look(path, problem)
        while attempts or not is_final(self.last):
            if has_stream and self._transport.clock() >= stream_at:
                failure: SynthPoolsError | None = None
                try:
                    self._follow(path, progress, on_event)
                except StreamBrokenError as error:
                    progress.cursor, failure = error.cursor, error
                except APIConnectionError as error:
                    failure = error
                except APIStatusError as error:
                    if error.status_code in RETRIED_STATUSES:
                        failure = error
                        stream_at = self._transport.clock() + (error.retry_after or 0.0)
                    elif error.status_code not in _NO_STREAMS:
                        raise
                    has_stream = error.status_code not in _NO_STREAMS
                except ResponseDecodeError:
                    has_stream = False
                if failure is None:
                    attempts = 0
            # The state of the rollout decides whether to follow its events again.
            if not is_final(self.last):
                self.last = self._look(path, problem)
            if is_final(self.last):
                remaining = self._remaining()
                has_time = remaining is None or remaining > _SUMMARY_SECONDS
                attempts = attempts - 1 if attempts and has_time else 0
            if attempts or not is_final(self.last):
                self._sleep(problem)
        return self.last

    def finish(
        self,
        path: RolloutPath,
        *,
        cancel_on_timeout: bool,
        on_event: Callable[[dict[str, Any]], Any] | None = None,
        with_summary: bool = False,
    ) -> dict[str, Any]:
        """Wait for a rollout to end, and return it, with its summary on request."""
        try:
            rollout = self.until_final(path, on_event)
            return {**rollout, "summary": self._summary(path)} if with_summary else rollout
        except WaitTimeoutError as error:
            if not cancel_on_timeout or (self.last is not None and is_final(self.last)):
                raise
            failure = error
        try:
            self._cancel(path)
        except SynthPoolsError as error:
            failure.add_note(f"it could not be cancelled: {error}")
        failure.last = self.last
        raise failure

    def _cancel(self, path: RolloutPath) -> None:
        """Cancel a rollout after its wait timed out, unless it has ended."""
        limited = dataclasses.replace(self._transport.config, deadline=_CANCEL_SECONDS)
        call: Call = {
            "method": "post",
            "url": f"{path.url}/cancel",
            "json": {},
            "headers": {"Content-Type": "application/json"},
        }
        try:
            self.last = self._transport.with_config(limited).request(path.cancel, call)
        except (ConflictError, NotFoundError):
            return

    def _look(self, path: RolloutPath, problem: str) -> dict[str, Any]:
        return self.request(path.get, {"method": "get", "url": path.url}, problem)

    def _follow(
        self,
        path: RolloutPath,
        progress: _Progress,
        on_event: Callable[[dict[str, Any]], Any] | None,
    ) -> None:
        # Without ids a new stream begins with the first event: skip the events already read.
        skipped = progress.events if progress.cursor is None else 0
        params = {} if progress.cursor is None else {"cursor": progress.cursor}
        call: Call = {"method": "get", "url": f"{path.url}/events", "params": params}
        with EventStream(
            self._streams, path.events, call, until=self._until, longest_pause=_LONG_PAUSE
        ) as stream:
            for event in stream:
                self._interval = _SHORTEST_INTERVAL
                if skipped:
                    skipped -= 1
                    continue
                progress.events += 1
                if on_event is not None:
                    call_back(on_event, event)

    def _sleep(self, problem: str) -> None:
        remaining = self._remaining()
        if remaining is not None:
            self._check_time(remaining, problem)
        interval = self._interval * (0.5 + self._transport.random())
        self._interval = min(_LONGEST_INTERVAL, self._interval * 1.5)
        self._transport.sleep(interval if remaining is None else min(interval, remaining))

    def _remaining(self) -> float | None:
        return None if self._until is None else self._until - self._transport.clock()

    def _check_time(self, remaining: float, problem: str) -> None:
        if remaining <= 0:
            raise self._timed_out(problem, None)

    def _timed_out(self, problem: str, failure: SynthPoolsError | None) -> WaitTimeoutError:
        limit = "" if self._timeout is None else f" within {format_seconds(self._timeout)} s"
        text = f"{problem}{limit}"
        if self.last is not None:
            text += f"; it was {self.last.get('status', self.last.get('state'))} when last seen"
        if failure is not None:
            text += f"; then: {failure}"
        return WaitTimeoutError(text, last=self.last)


def lost_pool(pool: dict[str, Any], pool_id: str) -> PoolFailedError | None:
    """Return the error of a pool that cannot become active by itself, else None."""
    state = pool.get("status", pool.get("state"))
    if state not in _LOST_POOL:
        return None
    error = pool.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    why = f": {message}" if isinstance(message, str) and message else ""
    details = error.get("details") if isinstance(error, dict) else None
    output = details.get("output") if isinstance(details, dict) else None
    if isinstance(output, list) and output:
        why += f"\nThe last lines of its output:{''.join(map(_shown, output[-_LINES_SHOWN:]))}"
    return PoolFailedError(f"pool {pool_id!r} is {state}{why}", pool=pool)


def _shown(line: object) -> str:
    # Control characters in the output must not reach the terminal.
    plain = "".join(char if char.isprintable() else " " for char in str(line))
    return f"\n  {plain[:_LONGEST_LINE]}"


def wait_for_rollout(
    transport: Transport, path: RolloutPath, *, timeout: float | None, cancel_on_timeout: bool
) -> dict[str, Any]:
    """Wait for a rollout to end. The arguments are already checked."""
    waiter = Waiter(transport, timeout)
    return waiter.finish(path, cancel_on_timeout=cancel_on_timeout)
