"""Detection of repeated events in a second reading of a stream."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pools._client.events.position import Position, event_name, is_final

Sent = tuple[dict[str, Any], str]


def story(kinds: list[str], *, ids: str, sequences: bool) -> list[Sent]:
    """Events as a service keeps them; `ids`: in the envelope, in the stream, or none."""
    events = []
    for number, kind in enumerate(kinds, start=1):
        event: dict[str, Any] = {"event": kind}
        if ids == "envelope":
            event["id"] = f"e{number}"
        if sequences:
            event["sequence"] = number
        events.append((event, f"e{number}" if ids == "stream" else ""))
    return events


def identity(sent: Sent) -> str:
    return sent[1] or str(sent[0].get("id", ""))


@given(
    st.lists(st.sampled_from(["agent", "reward", "verifier"]), min_size=1, max_size=12),
    st.sampled_from(["envelope", "stream", ""]),
    st.booleans(),
    st.sampled_from(["after", "at", "start"]),
    st.lists(st.integers(0, 12), max_size=6),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_whatever_breaks_each_event_comes_once_and_in_order(
    kinds: list[str],
    ids: str,
    sequences: bool,
    resumes: str,
    breaks: list[int],
    beats: list[bool],
) -> None:
    """`resumes`: where the service begins when it is asked to go on after an event."""
    stored = story(kinds, ids=ids, sequences=sequences)
    position = Position()
    got: list[dict[str, Any]] = []
    for connection, length in enumerate([*breaks, len(stored)]):
        start = 0
        if connection:
            position.reconnected()
            known = [identity(sent) for sent in stored]
            if position.cursor is not None and resumes != "start":
                start = known.index(position.cursor) + (resumes == "after")
        for (event, stream_id), beat in zip(stored[start : start + length], beats, strict=False):
            if beat:
                position.is_new({"event": "heartbeat"}, "", "message")
            if position.is_new(event, stream_id, "message"):
                got.append(event)
    position.reconnected()
    start = 0
    if position.cursor is not None and resumes != "start":
        start = [identity(sent) for sent in stored].index(position.cursor) + (resumes == "after")
    got += [event for event, stream_id in stored[start:] if position.is_new(event, stream_id, "")]
    assert got == [event for event, _ in stored]
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
    told = [position.is_new(event, name, "") for event, name in ((a, "1"), (b, ""), (c, ""))]
    assert told == [False, False, False]


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
