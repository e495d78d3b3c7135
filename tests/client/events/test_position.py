"""Detection of repeated events in a second reading of a stream."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pools import APIConnectionError, APITimeoutError, StreamTimeoutError
from synth_pools._client.events.position import (
    PoolPosition,
    Position,
    broken_stream,
    event_name,
    event_type,
    is_final,
)

Sent = tuple[dict[str, Any], str]


def story(kinds: list[str], *, ids: str, sequences: bool) -> list[Sent]:
    """Make events of a service; `ids`: in the envelope, in the stream, or none."""
    events = []
    for number, kind in enumerate(kinds, start=1):
        event: dict[str, Any] = {"event": kind}
        if ids == "envelope":
            event["id"] = f"e{number}"
        if sequences:
            event["sequence"] = number
        events.append((event, f"e{number}" if ids == "stream" else ""))
    return events


def identity(event: Sent) -> str:
    return event[1] or str(event[0].get("id", ""))


@given(
    st.lists(st.sampled_from(["agent", "reward", "verifier"]), min_size=1, max_size=12),
    st.sampled_from(["envelope", "stream", ""]),
    st.booleans(),
    st.sampled_from(["after", "at", "start"]),
    st.lists(st.integers(0, 12), max_size=6),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_whatever_breaks_each_event_comes_once_and_in_order(
    kinds: list[str], ids: str, sequences: bool, resumes: str, breaks: list[int], beats: list[bool]
) -> None:
    """`resumes`: position at which the service resumes after an event."""
    stored = story(kinds, ids=ids, sequences=sequences)
    position = Position()
    received: list[dict[str, Any]] = []
    for connection, length in enumerate([*breaks, len(stored)]):
        start = 0
        if connection:
            position.reconnected()
            expected = [identity(stored_event) for stored_event in stored]
            if position.cursor is not None and resumes != "start":
                start = expected.index(position.cursor) + (resumes == "after")
        for (event, stream_id), beat in zip(stored[start : start + length], beats, strict=False):
            if beat:
                position.is_new({"event": "heartbeat"}, "", "message")
            if position.is_new(event, stream_id, "message"):
                received.append(event)
    position.reconnected()
    start = 0
    if position.cursor is not None and resumes != "start":
        start = [identity(stored_event) for stored_event in stored].index(position.cursor) + (
            resumes == "after"
        )
    received += [
        event for event, stream_id in stored[start:] if position.is_new(event, stream_id, "")
    ]
    assert received == [event for event, _ in stored]
    assert position.is_at(stored[-1][0]) or not (ids == "envelope" or sequences)


def test_events_without_ids_between_those_with() -> None:
    a, b, c, d = ({"event": "agent", "n": number} for number in range(4))
    position = Position()
    assert position.is_new(a, "1", "")
    assert position.is_new(b, "", "")
    assert position.is_new(c, "", "")
    position.reconnected()
    assert position.cursor == "1"
    assert [position.is_new(event, "", "") for event in (b, c, d)] == [False, False, True]
    position.reconnected()
    results = [position.is_new(event, name, "") for event, name in ((a, "1"), (b, ""), (c, ""))]
    assert results == [False, False, False]


def test_a_long_life_keeps_nothing_but_a_position() -> None:
    position = Position("e0")
    numbers = count(1)
    for _ in range(1000):
        number = next(numbers)
        assert position.is_new({"sequence": number}, f"e{number}", "agent")
    assert (position.cursor, position.events) == ("e1000", 1000)


@pytest.mark.parametrize("event", [None, 3, "text", [1], {"event": 5}, {"sequence": True}])
def test_events_of_any_shape(event: Any) -> None:
    position = Position()
    assert position.is_new(event, "", "odd")
    assert event_name(event, "odd") == "odd"
    position.reconnected()
    assert not position.is_new(event, "", "odd")


def test_what_is_final() -> None:
    assert is_final({"status": "completed"})
    assert is_final({"state": "failed"})
    assert not is_final({"status": "running"})
    assert not is_final({"status": ["completed"]})
    assert not is_final({})


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("agent", '{"event": "reward"}', "agent"),
        ("message", '{"event": "reward"}', "reward"),
        ("message", "{}", "message"),
        ("message", "{", "message"),
        ("message", "[" * 100_000, "message"),
    ],
)
def test_the_type_of_an_event_that_was_not_decoded(kind: str, data: str, expected: str) -> None:
    assert event_type(kind, data) == expected


def numbered(*numbers: int) -> list[dict[str, Any]]:
    return [{"sequence": number} for number in numbers]


@pytest.mark.parametrize(
    ("before", "again", "new"),
    [
        # Without ids the numbers decide.
        (numbered(1, 2), numbered(1, 2, 3), [False, False, True]),
        (numbered(0), numbered(0, 1), [False, True]),
        ([{"seq": 1}], [{"seq": 1}, {"seq": 2}], [False, True]),
        # Numbers that do not rise are ignored: the places decide.
        (numbered(2, 1), numbered(2, 1, 2), [False, False, True]),
        (numbered(2, 2), numbered(2, 2, 2), [False, False, True]),
        (numbered(1, 2), [{"x": 1}, {"x": 2}, {"x": 3}], [False, False, True]),
        ([{"x": 1}], [*numbered(1), {"x": 2}], [False, True]),
        # A text in place of a number.
        ([{"sequence": True}], [{"sequence": 1}, {"sequence": 1}], [False, True]),
        ([{"sequence": "1"}], [{"sequence": 1}, {"sequence": 1}], [False, True]),
        ([{"event": "heartbeat"}], [{"x": 1}], [True]),
        # Events after a new one are new, and a heartbeat before it does not count.
        (numbered(1), [{"event": "heartbeat"}, *numbered(2, 2)], [False, True, True]),
        # The last event of a rollout is new with any number, and so are events after it.
        (numbered(5), [{"event": "rollout.failed", "sequence": 1}, *numbered(2)], [True, True]),
        # An id that is not a text does not count.
        ([{"id": 7}], [{"id": 7}, {"id": 7}], [False, True]),
        ([{"id": ""}], [{"id": ""}, {"id": ""}], [False, True]),
        # Resumed at the first event, at the last one, and after it.
        ([{"id": "a"}, {"id": "b"}], [{"id": "a"}, {"id": "b"}, {"id": "c"}], [False, False, True]),
        ([{"id": "a"}, {"id": "b"}], [{"id": "b"}, {"id": "c"}, {"id": "b"}], [False, True, True]),
        ([{"id": "a"}], [{"id": "b"}, {"id": "a"}], [True, True]),
    ],
)
def test_what_is_new_after_a_break(
    before: list[dict[str, Any]], again: list[dict[str, Any]], new: list[bool]
) -> None:
    position = Position()
    assert all(position.is_new(event, "", "message") for event in before)
    position.reconnected()
    assert [position.is_new(event, "", "message") for event in again] == new
    assert position.events == len(before) + sum(new)


def test_a_second_break_begins_anew() -> None:
    """The service resumes first at the start, then after the position."""
    position = Position()
    assert all(position.is_new({"id": name}, "", "message") for name in "abc")
    position.reconnected()
    assert not position.is_new({"id": "a"}, "", "message")
    position.reconnected()
    assert position.is_new({"id": "d"}, "", "message")
    position.reconnected()
    # Events without an id are counted from the last one with an id.
    assert position.is_new({"x": 1}, "", "message")


def test_places_are_counted_from_the_last_id() -> None:
    position = Position()
    events = [{"x": 1}, {"x": 2}, {"id": "a"}, {"x": 3}]
    assert all(position.is_new(event, "", "message") for event in events)
    position.reconnected()
    assert [position.is_new({"x": x}, "", "message") for x in (3, 4)] == [False, True]


def test_events_with_ids_of_the_stream_need_no_look() -> None:
    position = Position()
    assert not position.steady
    position.is_new({"id": "a"}, "", "message")
    assert position.steady
    position.is_new({"x": 1}, "", "message")
    assert not position.steady
    position.is_new({}, "b", "message")
    assert position.steady
    position.reconnected()
    assert not position.steady


def note_unread(position: Position, cursor: str, text: str) -> None:
    """Note an event like a reader on the fast path."""
    position.cursor, position.text = cursor, text
    position.events += 1


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "3", '{"x": 1}'])
def test_the_number_of_an_event_that_was_noted_counts(text: str) -> None:
    position = Position()
    position.is_new({"sequence": 1}, "a", "message")
    note_unread(position, "b", '{"sequence": 2}')
    assert position.is_at({"sequence": 2}) is True
    assert position.is_at({"sequence": 1}) is False
    # An event without a number, or an unreadable one, changes nothing.
    note_unread(position, "c", text)
    position.reconnected()
    assert position.text == ""
    assert not position.is_new({"sequence": 2}, "", "message")
    assert position.is_new({"sequence": 3}, "", "message")
    note_unread(position, "d", '{"sequence": 9}')
    # After a repeated number, numbers are ignored.
    assert position.is_new({"sequence": 5}, "", "message")
    position.reconnected()
    assert not position.is_new({"sequence": 10}, "", "message")


@pytest.mark.parametrize(
    ("before", "event", "is_at"),
    [
        ([], {"id": "a", "sequence": 1}, None),
        ([{"id": "a"}], {"id": "a"}, True),
        ([{"id": "a"}], {"id": "b"}, False),
        ([{"id": "a"}], {"x": 1}, None),
        # After an event with an id, a number decides, if there is one.
        ([{"id": "a"}, {"x": 1}], {"id": "a"}, None),
        ([{"id": "a"}, {"event": "heartbeat"}], {"id": "a"}, True),
        ([{"id": "a", "sequence": 1}, {"sequence": 2}], {"id": "a", "sequence": 1}, False),
        ([{"sequence": 1}, {"id": "a"}, {"x": 1}], {"sequence": 1}, True),
        ([{"x": 1}], {"sequence": 1}, None),
    ],
)
def test_whether_a_reader_is_at_an_event(
    before: list[dict[str, Any]], event: dict[str, Any], is_at: bool | None
) -> None:
    position = Position()
    for item in before:
        position.is_new(item, "", "message")
    assert position.is_at(event) is is_at


@pytest.mark.parametrize(
    ("kind", "cursor", "events", "attempts", "place"),
    [
        (APIConnectionError, None, 0, 1, "(before the first event)"),
        (APIConnectionError, "e3", 0, 1, "(before the first event, the last one 'e3')"),
        (
            APITimeoutError,
            "e3",
            4,
            2,
            "(after 4 events, the last one 'e3'; 1 attempts to go on brought nothing new)",
        ),
    ],
)
def test_a_broken_stream_says_where(
    kind: type[APIConnectionError], cursor: str | None, events: int, attempts: int, place: str
) -> None:
    url = "http://127.0.0.1/v1/rollouts/1/events"
    failure = kind("no answer", method="GET", url=url, path="/v1/x", cause="ReadError", sent=False)
    error = broken_stream(failure, cursor=cursor, events=events, attempts=attempts)
    assert str(error) == f"no answer {place}"
    assert isinstance(error, StreamTimeoutError) is (kind is APITimeoutError)
    assert (error.cursor, error.events, error.sent) == (cursor, events, True)
    assert (error.method, error.path, error.cause) == ("GET", "/v1/x", "ReadError")
    assert str(error.request.url) == url


def test_the_position_in_a_pool_is_the_last_id_that_was_named() -> None:
    position = PoolPosition(None)
    assert position.is_new({}, "c1", "rollout.queued")
    assert position.cursor == "c1"
    # The same event again, and an event without an id.
    assert not position.is_new({}, "c1", "rollout.queued")
    assert position.is_new({}, "", "rollout.started")
    assert (position.cursor, position.events) == ("c1", 2)
