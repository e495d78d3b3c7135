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
from synth_pools._client.http.retry import RETRIED_STATUSES
from synth_pools._client.http.sync_.engine import IncomingResponse
from synth_pools._client.runtime.sync_.interrupts import Interrupt
from synth_pools._client.runtime.sync_.io import Closeable
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
# A connection that lives this long is no failed attempt, even if the rollout had nothing to say.
_ALIVE_SECONDS = 10.0
# After something new came it goes on at once, yet not for all streams of a service in one moment.
_PROMPT_SECONDS = 0.1
_LONGEST_ASKED_SECONDS = 60.0
_SHORTEST_SECONDS = 0.05


class _Subject(NamedTuple):
    """Subject of the events of a stream, and how its end is known.

    Attributes:
        word: The subject, for messages.
        look: The operation that says whether it has ended.
        path: What its path ends with, in the place of ``/events``.
        has_ended: Whether what it answers is of one that has ended.
        last: The types of events that are the last one.
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
    """The events of a rollout or a pool, in order, each one the service's own JSON object.

    The request is sent when the first event is asked for. A stream that breaks is taken up again
    after the last event that was seen, so that none comes twice and none is missing; it ends with
    the rollout's last event, or once the pool is archived and all of its rollouts have ended. The
    connection is given back when the stream ends, when it is closed, when a ``with`` block around
    it is left, and when it is dropped.

    Attributes:
        cursor: Where another stream goes on after the last event; None before the first one.

    Iterating raises:
        APIStatusError: The service answered with an error.
        APIConnectionError: The connection could not be made.
        StreamBrokenError: The stream broke, and ``max_retries`` attempts to take it up again
            brought nothing new. Its ``cursor`` is where to go on.
        StreamTimeoutError: The same, because nothing came for ``stream_idle_timeout`` seconds;
            the service sends a heartbeat every 15 seconds.
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
    ) -> None:
        # `until`: when it ends although the rollout does not, by the transport's clock.
        self._interrupt = Interrupt()
        cursor = call.get("params", {}).get("cursor")
        cursor = cursor or call.get("headers", {}).get("Last-Event-ID")
        of_pool = operation == "stream_pool_events"
        self._position = position = PoolPosition(cursor) if of_pool else Position(cursor)
        reader = _Reader(transport, operation, call, position, until, self._interrupt)
        self._events = reader.events()

    @property
    def cursor(self) -> str | None:
        return self._position.cursor

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # Not itself: a loop over it would come here for each event only to be passed on.
        return self._events

    def __next__(self) -> dict[str, Any]:
        return self._events.__next__()

    def close(self) -> None:
        """End the stream and give its connection back, for whoever reads it too.

        Can be repeated.
        """
        try:
            self._events.close()
        except (RuntimeError, ValueError):
            # Somebody waits for its next event. It ends for them, and they give it back.
            self._interrupt.stop()


# `json.loads` without its search for white space around the value: nearly no event has any.
_decode = json.JSONDecoder().raw_decode


class _Reader:
    """Reader of a stream over one connection after the other.

    Only its generator refers to it, and only the stream to that: a stream that is dropped ends its
    connection.
    """

    def __init__(
        self,
        transport: Transport,
        operation: OperationId,
        call: Call,
        position: Position,
        until: float | None,
        interrupt: Interrupt,
    ) -> None:
        self._transport = transport
        self._interrupt = interrupt
        self._operation: OperationId = operation
        self._subject = _SUBJECTS[operation]
        self._call = call
        self._until = until
        self._position = position
        self._connected = False
        # Since the last one that brought something new.
        self._failed_attempts = 0
        # The server's own wish for the time between two attempts.
        self._asked: float | None = None
        # How long the connection may be silent for the end not to be missed; 0 if there is none.
        self._patience = 0.0
        self._was_final = False

    def events(self) -> Generator[dict[str, Any], None]:
        # No loop over `Attempts`, which count until the first that succeeds: here a connection
        # hands out events before it fails, these make the next one the first again, and it may fail
        # by an end without an error, or end in time without counting.
        position, subject = self._position, self._subject
        while not self._interrupt.is_stopped and not self._is_late(_SHORTEST_SECONDS):
            before, heard, late = position.events, False, False
            failure: SynthPoolsError | None = None
            opened = self._transport.clock()
            try:
                response = self._open()
            except (APIConnectionError, APIStatusError) as error:
                failure = error
            except TimeoutError:
                return
            else:
                broken: ExchangeError | None = None
                decoder, stream_id = EventStreamDecoder(), ""
                try:
                    with self._interrupt.reading(response):
                        for chunk in response.chunks():
                            for kind, text, own in decoder.feed(chunk):
                                try:
                                    value, end = _decode(text)
                                    if end != len(text):
                                        value = json.loads(text)
                                except (ValueError, RecursionError):
                                    problem = text
                                else:
                                    if own != stream_id and position.steady:
                                        # What most events are, at ten thousand of them in a second.
                                        stream_id = position.cursor = own
                                        position.text = text
                                        position.events += 1
                                    else:
                                        own, stream_id = "" if own == stream_id else own, own
                                        if not position.is_new(value, own, kind):
                                            continue
                                    # Before it is handed out: whoever gets it may change it.
                                    last = event_name(value, kind) in subject.last
                                    yield value
                                    if last:
                                        response.finish()
                                        return
                                    continue
                                if problem.strip():
                                    raise _no_json(self._transport, problem)
                            heard = True
                            if not subject.last and decoder.last_event_id:
                                # A position without an event moves a reader of a pool, too.
                                stream_id = position.cursor = decoder.last_event_id
                            if self._patience and self._is_late(self._patience):
                                late = True
                                break
                except ExchangeError as error:
                    broken = error
                finally:
                    response.close()
                if self._interrupt.is_stopped and not self._transport.is_closed:
                    return
                if decoder.retry is not None:
                    self._asked = min(decoder.retry / 1000, _LONGEST_ASKED_SECONDS)
                if broken is not None:
                    late = bool(self._patience) and broken.cause == "ReadTimeout"
                    failure = self._transport.stream_error(self._call, broken)
                # 204 is how an event stream says: do not come back.
                elif not late and (response.status_code == _NO_CONTENT or self._is_all(before)):
                    return
            if late:
                continue
            if self._interrupt.is_stopped and not self._transport.is_closed:
                return
            alive = heard and self._transport.clock() - opened > _ALIVE_SECONDS
            if position.events > before or (alive and not isinstance(failure, APITimeoutError)):
                self._failed_attempts = 0
            self._pause(failure, prompt=position.events > before)

    def _open(self) -> IncomingResponse:
        transport, limit = self._transport, None
        if self._until is not None:
            # Half of the time that is left: whether a silence lasts beyond the end is seen before.
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

    def _is_all(self, before: int) -> bool:
        """Check that a stream that ended without a last event was read to its end."""
        subject = self._subject
        url = self._call["url"].removesuffix("/events") + subject.path
        transport = self._transport
        if self._until is not None:
            left = max(_SHORTEST_SECONDS, self._until - transport.clock())
            limit = min(left, transport.config.deadline or left)
            transport = transport.with_config(dataclasses.replace(transport.config, deadline=limit))
        try:
            summary = transport.request(subject.look, {"method": "get", "url": url})
        except (APIConnectionError, APIStatusError, ResponseDecodeError):
            return False
        if not isinstance(summary, dict) or not subject.has_ended(summary):
            return False
        at_last = self._position.is_at(summary.get("last_event"))
        if at_last is None and self._position.events == before:
            # Only what was asked for after the end can show that there is nothing more.
            at_last = self._was_final or not self._transport.config.max_retries
        self._was_final = True
        return bool(at_last)

    def _pause(self, failure: SynthPoolsError | None, *, prompt: bool) -> None:
        """Wait for the next attempt, or raise if there is none."""
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
        wait = transport.retry_wait(self._operation, failure, self._failed_attempts)
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
        if self._asked is not None:
            wait = max(self._asked, getattr(failure, "retry_after", None) or 0.0)
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
        """Check that the end comes within so many seconds."""
        return self._until is not None and self._transport.clock() + seconds > self._until


def _can_be_header(cursor: str) -> bool:
    return cursor.isascii() and cursor.isprintable() and cursor == cursor.strip()


def _no_json(transport: Transport, data: str) -> StreamDecodeError:
    excerpt = transport.config.api_key.redact(data[:_EXCERPT])
    return StreamDecodeError(
        f"an event of the stream is not JSON; it begins with {excerpt!r}", excerpt=excerpt
    )
