# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/event_stream.py

"""Event stream of a rollout or a pool: an iterator that resumes until its subject ends."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from synth_pools._client._sync.transport import Transport
from synth_pools._client.events.position import (
    TERMINAL_EVENTS,
    PoolPosition,
    Position,
    broken_stream,
    event_name,
    is_final,
    is_pool_over,
)
from synth_pools._client.events.sse import EventStreamDecoder
from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.http.request_builder import Call
from synth_pools._client.http.retry import RETRIED_STATUSES, SHORTEST_RETRY_AFTER
from synth_pools._client.http.sync_.engine import Closeable, IncomingResponse
from synth_pools._client.runtime.sync_.interrupts import Interrupt
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ClientClosedError,
    ResponseDecodeError,
    StreamDecodeError,
    SynthPoolsError,
)
from synth_pools_api.operations import OperationId

_EXCERPT = 200
_NO_CONTENT = 204
# A connection that lives this long is not a failed attempt, even if it carried no event.
_ALIVE_SECONDS = 10.0
# Longest pause after new events; random, so that streams do not all reconnect at once.
_PROMPT_SECONDS = 0.1
_LONGEST_SERVER_PAUSE = 60.0
# Seconds without an event, though with heartbeats, after which the last event may have got lost.
_LOOK_SECONDS = 60.0
_SHORTEST_SECONDS = 0.05


class _Subject(NamedTuple):
    """Subject of the events of a stream, and the signs of its end.

    Attributes:
        word: Name of the subject, for messages.
        look: Operation whose answer shows whether the subject has ended.
        path: Replacement for ``/events`` in the path, for that operation.
        has_ended: Checks that answer for the end of the subject.
        last: Types of the event that ends the stream.
    """

    word: str
    look: OperationId
    path: str
    has_ended: Callable[[dict[str, Any]], bool]
    last: frozenset[str]


_SUBJECTS: dict[str, _Subject] = {
    "stream_rollout_events": _Subject(
        "rollout", "get_rollout_summary", "/summary", is_final, TERMINAL_EVENTS
    ),
    "stream_global_rollout_events": _Subject(
        "rollout", "get_global_rollout_summary", "/summary", is_final, TERMINAL_EVENTS
    ),
    "stream_pool_events": _Subject("pool", "get_pool", "", is_pool_over, frozenset()),
}


class EventStream(Closeable):
    """Events of a rollout or a pool, in order, each one the service's own JSON object.

    The request is sent when the first event is read. A stream that breaks is resumed after its last
    event, so that no event is repeated or missing. It ends with the rollout's last event, or when
    the pool is archived and all of its rollouts have ended. The connection is released when the
    stream ends, is closed or is dropped, and at the end of a ``with`` block around it.

    Attributes:
        cursor: Position after the last event, from which another stream can go on; None before the
            first event.

    Iterating raises:
        APIStatusError: The service answered with an error.
        APIConnectionError: The connection could not be made.
        StreamBrokenError: The stream broke, and ``max_retries`` attempts to resume it brought
            nothing new. Its ``cursor`` is the position to go on from.
        StreamTimeoutError: The same, after ``stream_idle_timeout`` seconds of silence; the service
            sends a heartbeat every 15 seconds.
        ResponseDecodeError: The answer is not an event stream.
        StreamDecodeError: An event is not JSON, or larger than 64 MiB.
        ClientClosedError: The client is closed.
    """

    __slots__ = ("_events", "_interrupt", "_position")

    def __init__(
        self,
        transport: Transport,
        operation: OperationId,
        call: Call,
        *,
        until: float | None = None,
        longest_pause: float | None = None,
    ) -> None:
        # `until`: time at which the stream ends at the latest, by the transport's clock.
        # `longest_pause`: if the next attempt must wait as long or longer, the stream is broken.
        self._interrupt = Interrupt()
        cursor = call.get("params", {}).get("cursor")
        cursor = cursor or call.get("headers", {}).get("Last-Event-ID")
        is_of_pool = operation == "stream_pool_events"
        self._position = position = PoolPosition(cursor) if is_of_pool else Position(cursor)
        reader = _Reader(
            transport, operation, call, position, until, longest_pause, self._interrupt
        )
        self._events = reader.events()

    @property
    def cursor(self) -> str | None:
        return self._position.cursor

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # The generator instead of the stream saves a call for each event.
        return self._events

    def __next__(self) -> dict[str, Any]:
        return self._events.__next__()

    def close(self) -> None:
        """End the stream, also for a task that reads it, and release its connection.

        Can be repeated.
        """
        try:
            self._events.close()
        except (RuntimeError, ValueError):
            # Another task waits for an event; it ends the stream and releases the connection.
            self._interrupt.stop()


def _whole_object(text: str) -> dict[str, Any] | None:
    """Decode a JSON object; return None for incomplete or other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# `json.loads` without its search for white space around the value, which events rarely have.
_decode = json.JSONDecoder().raw_decode


class _Reader:
    """Reader of a stream over successive connections.

    Only its generator refers to it, and only the stream refers to the generator, so that a dropped
    stream ends its connection.
    """

    def __init__(
        self,
        transport: Transport,
        operation: OperationId,
        call: Call,
        position: Position,
        until: float | None,
        longest_pause: float | None,
        interrupt: Interrupt,
    ) -> None:
        self._transport = transport
        self._interrupt = interrupt
        self._operation: OperationId = operation
        self._subject = _SUBJECTS[operation]
        self._call = call
        self._until = until
        self._longest_pause = longest_pause
        self._position = position
        self._connected = False
        # Attempts that failed since the last success.
        self._failed_attempts = 0
        # Pause between attempts that the server asks for, in seconds.
        self._server_pause: float | None = None
        # Seconds of silence after which `until` is checked; 0 for no such check.
        self._patience = 0.0
        self._was_final = False

    def events(self) -> Generator[dict[str, Any], None]:
        # `Attempts` does not fit: it counts until the first success. Here a connection may
        # yield events before it fails, which restarts the count. It may also end without an error,
        # or at `until`, which does not count as a failure.
        position, subject = self._position, self._subject
        while not self._interrupt.is_stopped and not self._is_late(_SHORTEST_SECONDS):
            old_count, received, is_late, is_cut = position.events, False, False, False
            failure: SynthPoolsError | None = None
            opened_at = self._transport.clock()
            try:
                response = self._open()
            except (APIConnectionError, APIStatusError) as error:
                failure = error
            except TimeoutError:
                return
            else:
                stream_failure: ExchangeError | None = None
                decoder, stream_id = EventStreamDecoder(), ""
                count, look_at = old_count, opened_at + _LOOK_SECONDS
                try:
                    with self._interrupt.reading(response):
                        for chunk in response.chunks():
                            for kind, text, event_id in decoder.feed(chunk):
                                try:
                                    try:
                                        value, end = _decode(text)
                                    except ValueError:
                                        value, end = {}, -1
                                    if end != len(text):
                                        value = json.loads(text)
                                except (ValueError, RecursionError):
                                    problem = text
                                else:
                                    if event_id != stream_id and position.steady:
                                        # A short path for ten thousand events a second.
                                        stream_id = position.cursor = event_id
                                        position.text = text
                                        position.events += 1
                                    else:
                                        new_id = "" if event_id == stream_id else event_id
                                        stream_id = event_id
                                        if not position.is_new(value, new_id, kind):
                                            continue
                                    # Read before the yield: the receiver may change the event.
                                    last = event_name(value, kind) in subject.last
                                    yield value
                                    if last:
                                        response.finish()
                                        return
                                    continue
                                if problem.strip():
                                    raise _no_json(self._transport, problem)
                            received = True
                            if not subject.last and decoder.last_event_id:
                                # A pool's stream may advance its position without an event.
                                stream_id = position.cursor = decoder.last_event_id
                            if self._patience and self._is_late(self._patience):
                                is_late = True
                                break
                            now = self._transport.clock()
                            if position.events > count or not subject.last:
                                count, look_at = position.events, now + _LOOK_SECONDS
                            elif now >= look_at:
                                if self._summary() is not None:
                                    break
                                look_at = self._transport.clock() + _LOOK_SECONDS
                        else:
                            event = decoder.end()
                            rest = None if event is None else _whole_object(event.data)
                            is_cut = event is not None and rest is None
                            if event is not None and rest is not None:
                                new_id = "" if event.id == stream_id else event.id
                                if position.is_new(rest, new_id, event.event):
                                    last = event_name(rest, event.event) in subject.last
                                    yield rest
                                    if last:
                                        return
                except ExchangeError as error:
                    stream_failure = error
                finally:
                    response.close()
                if self._interrupt.is_stopped and not self._transport.is_closed:
                    return
                if decoder.retry is not None:
                    seconds = min(decoder.retry / 1000, _LONGEST_SERVER_PAUSE)
                    self._server_pause = seconds if seconds >= SHORTEST_RETRY_AFTER else None
                if stream_failure is not None:
                    is_late = bool(self._patience) and stream_failure.cause == "ReadTimeout"
                    failure = self._transport.stream_error(self._call, stream_failure)
                # The status 204 asks readers of an event stream not to reconnect.
                elif not (is_late or is_cut) and (
                    response.status_code == _NO_CONTENT or self._is_all(old_count)
                ):
                    return
            if is_late:
                continue
            if self._interrupt.is_stopped and not self._transport.is_closed:
                return
            alive = received and self._transport.clock() - opened_at > _ALIVE_SECONDS
            if position.events > old_count or (alive and not isinstance(failure, APITimeoutError)):
                self._failed_attempts = 0
            self._pause(failure, prompt=position.events > old_count)

    def _open(self) -> IncomingResponse:
        transport, limit = self._transport, None
        if self._until is not None:
            # Half of the remaining time, so that silence is noticed before the end.
            limit = max(_SHORTEST_SECONDS, self._until - transport.clock())
            self._patience = max(_SHORTEST_SECONDS, limit / 2)
            if self._patience < transport.config.stream_idle_timeout:
                transport = transport.with_config(
                    dataclasses.replace(transport.config, stream_idle_timeout=self._patience)
                )
            else:
                self._patience = 0.0
        call, cursor = self._call, self._position.cursor
        if self._connected:
            self._position.reconnected()
            if cursor is not None:
                call = {**call, "params": {**call.get("params", {}), "cursor": cursor}}
                if _can_be_header(cursor):
                    call["headers"] = {**call.get("headers", {}), "Last-Event-ID": cursor}
        with self._interrupt:
            response = transport.call_within(
                limit,
                transport.open_stream,
                self._operation,
                call,
                attempt=self._failed_attempts + 1,
            )
        self._connected = True
        return response

    def _summary(self) -> dict[str, Any] | None:
        """Return the summary of the subject if it has ended; None if that is not known."""
        subject = self._subject
        url = self._call["url"].removesuffix("/events") + subject.path
        transport = self._transport
        if self._until is not None:
            remaining = max(_SHORTEST_SECONDS, self._until - transport.clock())
            limit = min(remaining, transport.config.deadline or remaining)
            transport = transport.with_config(dataclasses.replace(transport.config, deadline=limit))
        try:
            summary = transport.request(subject.look, {"method": "get", "url": url})
        except (APIConnectionError, APIStatusError, ResponseDecodeError):
            return None
        return summary if isinstance(summary, dict) and subject.has_ended(summary) else None

    def _is_all(self, old_count: int) -> bool:
        """Check that a stream that ended without a last event was read to its end."""
        summary = self._summary()
        if summary is None:
            return False
        is_at_end = self._position.is_at(summary.get("last_event"))
        if is_at_end is None and self._position.events == old_count:
            # Only a connection opened after the end shows that no event is missing.
            is_at_end = self._was_final or not self._transport.config.max_retries
        self._was_final = True
        return bool(is_at_end)

    def _pause(self, failure: SynthPoolsError | None, *, prompt: bool) -> None:
        """Wait before the next attempt, or raise if no further one is allowed."""
        self._failed_attempts += 1
        transport, position = self._transport, self._position
        if isinstance(failure, ClientClosedError):
            raise failure
        if not isinstance(failure, APIConnectionError | APIStatusError):
            word = self._subject.word
            failure = APIConnectionError(
                f"GET {self._call['url']} -> the event stream ended before its {word} did",
                method="GET",
                url=transport.config.base_url + self._call["url"],
                path=self._call["url"],
                cause="EndOfStream",
                sent=True,
            )
        wait = transport.retry_wait(
            self._operation, failure, self._failed_attempts, remaining=self._longest_pause
        )
        if wait is None:
            status = getattr(failure, "status_code", None)
            if not self._connected or (status is not None and status not in RETRIED_STATUSES):
                raise failure
            raise broken_stream(
                failure,
                cursor=position.cursor,
                events=position.events,
                attempts=self._failed_attempts,
            )
        if self._server_pause is not None:
            wait = max(self._server_pause, getattr(failure, "retry_after", None) or 0.0)
        elif prompt:
            wait = transport.random() * _PROMPT_SECONDS
        if self._until is not None:
            wait = min(wait, max(0.0, self._until - transport.clock()))
        transport.observer.retrying(
            self._call, failure, self._failed_attempts, wait, transport.config.max_retries
        )
        with self._interrupt:
            transport.sleep(wait)

    def _is_late(self, seconds: float) -> bool:
        """Check that `until` is less than ``seconds`` away."""
        return self._until is not None and self._transport.clock() + seconds > self._until


def _can_be_header(cursor: str) -> bool:
    return cursor.isascii() and cursor.isprintable() and cursor == cursor.strip()


def _no_json(transport: Transport, data: str) -> StreamDecodeError:
    excerpt = transport.config.api_key.redact(data[:_EXCERPT])
    return StreamDecodeError(
        f"an event of the stream is not JSON; it begins with {excerpt!r}", excerpt=excerpt
    )
