"""The event-stream decoder, by the HTML standard."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pools import StreamDecodeError
from synth_pools._client.events.sse import EventStreamDecoder


def decode(*chunks: bytes | str, limit: int | None = None) -> list[tuple[str, str, str]]:
    decoder = EventStreamDecoder(max_event_size=limit) if limit else EventStreamDecoder()
    return [
        (event.event, event.data, event.id) for chunk in chunks for event in decoder.feed(chunk)
    ]


def data(*chunks: bytes | str) -> list[str]:
    return [event[1] for event in decode(*chunks)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending(end: str) -> None:
    stream = f"id: 1{end}event: a{end}data: x{end}data:y{end}{end}data: z{end}{end}".encode()
    expected = [("a", "x\ny", "1"), ("message", "z", "1")]
    assert decode(stream) == expected
    assert decode(*(bytes([byte]) for byte in stream)) == expected


def test_an_event_does_not_wait_for_the_line_feed_that_may_follow() -> None:
    decoder = EventStreamDecoder()
    assert [event.data for event in decoder.feed(b"data: x\r\n\r")] == ["x"]
    assert list(decoder.feed(b"\n")) == []
    assert [event.data for event in decoder.feed(b"data: y\r\r")] == ["y"]


def test_events_of_a_live_stream_that_come_alone_and_whole() -> None:
    chunks = ("data: x\n\n", "event: a\nid: 7\ndata: y\n\n", "data: z\n\n")
    expected = [("message", "x", ""), ("a", "y", "7"), ("message", "z", "7")]
    assert decode(*chunks) == expected
    # A chunk that looks like a complete event may be the last part of one.
    assert data("data: x\n\n", "data: a\n", "data: b\n\n") == ["x", "a\nb"]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("data: x\n\n", ["x"]),
        ("data:x\n\n", ["x"]),
        ("data:  x \n\n", [" x "]),
        ("data\n\n", [""]),
        ("data:\n\n", [""]),
        ("data:\ndata:\n\n", ["\n"]),
        ("data: a: b\n\n", ["a: b"]),
        ("\ufeffdata: x\n\n", ["x"]),
        ("\ufeff\ufeffdata: x\n\n", []),
        (": a comment\n:\n\ndata: x\n\n", ["x"]),
        ("data: x\n: in the middle\ndata: y\n\n", ["x\ny"]),
        ("\n\n\n\ndata: x\n\n\n\n\ndata: y\n\n", ["x", "y"]),
        ("event: only\nid: 1\n\n", []),
        ("unknown: 1\nDATA: no\ndata : no\n data: no\ndata: x\n\n", ["x"]),
        ("data: unfinished", []),
        ("data: unfinished\n", []),
        ("data: x\n\ndata: unfinished\n", ["x"]),
        ("data: a\u2028b\u2029c\x85d\x0be\n\n", ["a\u2028b\u2029c\x85d\x0be"]),
        ("", []),
    ],
)
def test_fields(stream: str, expected: list[str]) -> None:
    assert data(stream) == expected
    assert data(stream.encode()) == expected


def test_the_type_holds_for_one_event_and_the_id_until_the_next() -> None:
    stream = "event: a\nid: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\nid: 9\n\ndata: w\n\n"
    assert decode(stream) == [
        ("a", "x", "1"),
        ("message", "y", "1"),
        ("message", "z", ""),
        ("message", "w", "9"),
    ]


def test_an_id_with_a_null_character_is_ignored() -> None:
    assert decode("id: 1\ndata: x\n\nid: 2\0\ndata: y\n\n")[1] == ("message", "y", "1")


def test_the_id_of_an_unfinished_event_does_not_count() -> None:
    decoder = EventStreamDecoder()
    list(decoder.feed("id: 1\ndata: x\n\nid: 2\ndata: y\n"))
    assert decoder.last_event_id == "1"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("", None),
        ("data: x\n\n", None),
        ("data: x\n\n: a comment", None),
        ("id: 2\nevent: a\ndata: x\ndata: y\n", ("a", "x\ny", "2")),
        ("data: x\r\n", ("message", "x", "")),
        ("data: x", ("message", "x", "")),
        ("event: a\n", ("message", "", "")),
        ("dat", ("message", "", "")),
        ("retry: 9\nid: 3\n", None),
        # The end may have cut the id: the event is asked for again.
        ("data: x\nid: 12", ("message", "", "")),
        ("data: x\nid: 12\n", ("message", "x", "12")),
    ],
)
def test_the_event_that_the_end_has_cut(stream: str, expected: tuple[str, str, str] | None) -> None:
    decoder = EventStreamDecoder()
    list(decoder.feed(stream))
    assert decoder.end() == expected
    assert decoder.end() is None


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("3000", 3000),
        ("0", 0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_retry(value: str, milliseconds: int | None) -> None:
    decoder = EventStreamDecoder()
    assert list(decoder.feed(f"retry: {value}\n\n")) == []
    assert decoder.retry == milliseconds


def test_a_character_cut_across_chunks_stays_whole() -> None:
    stream = "data: ü€😀\n\n".encode()
    for cut in range(len(stream)):
        assert data(stream[:cut], stream[cut:]) == ["ü€😀"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert data(b"data: a\xffb\n\n") == ["a\ufffdb"]


def collect(chunks: list[str], events: list[str]) -> None:
    decoder = EventStreamDecoder(max_event_size=10)
    for chunk in chunks:
        for event in decoder.feed(chunk):
            events.append(event.data)  # noqa: PERF401 - what was seen before an error is the point


def test_events_are_limited_in_size() -> None:
    fits = "data: 4567"
    assert len(decode(f"{fits}\n\n{fits}\n\n", limit=10)) == 2
    for stream in (
        f"{fits}\n\ndata: 45678\n\n",
        f"{fits}\n\ndata: 45678",
        f"{fits}\n\n:34567890\n:\n",
    ):
        for size in (1, 3, 1000):
            chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
            events: list[str] = []
            with pytest.raises(StreamDecodeError, match="larger than 10"):
                collect(chunks, events)
            assert events == ["4567"], "what came before is not lost"


def test_the_limit_is_64_mebi() -> None:
    decoder = EventStreamDecoder()
    block = b"x" * (1024 * 1024)
    list(decoder.feed(b"data: "))
    for _ in range(63):
        list(decoder.feed(block))
    with pytest.raises(StreamDecodeError):
        list(decoder.feed(block))


def test_a_large_event_in_small_chunks_takes_linear_time() -> None:
    chunk = b"x" * 1024
    decoder = EventStreamDecoder()
    started = time.perf_counter()
    list(decoder.feed(b"data: "))
    for _ in range(8 * 1024):
        list(decoder.feed(chunk))
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 8 * 1024 * 1024
    assert time.perf_counter() - started < 60, "quadratic time would be minutes"


def by_the_standard(text: str) -> list[tuple[str, str, str]]:
    """Decode by the wording of the standard, line by line, the whole stream at once."""
    events = []
    kind, lines, event_id = "", list[str](), ""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for line in text.split("\n")[:-1]:
        if not line:
            if lines:
                events.append((kind or "message", "\n".join(lines), event_id))
            kind, lines = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            lines.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            event_id = value
    return events


PIECES = st.sampled_from(
    [
        *("data", "id", "event", "retry", ":", " ", "\n", "\r", "\r\n", "\n\n", "x", "7", "\0"),
        *("ü", "😀", "\u2028", "\ufeff", "data: {}\n", ": heartbeat\n\n", "id: 1\n"),
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=40), st.lists(st.integers(0, 200), max_size=8))
def test_any_cut_of_any_stream_gives_the_same_events(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    raw = text.encode()
    expected = by_the_standard(text)
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    assert decode(raw) == expected
    assert decode(*(raw[a:b] for a, b in pairwise(places))) == expected
    assert decode(*(bytes([byte]) for byte in raw)) == expected
    assert decode(*text) == expected


@pytest.mark.parametrize(
    "chunks",
    [
        ("data: x\r", "\ndata: y\r\n\r\n"),
        ("data: x\r", "\n", "data: y\n", "\n"),
        ("data: x\r\ndata: y\r", "\n", "\n"),
        ("data: x\ndata: y\r", "\n\r", "\n"),
    ],
)
def test_a_line_feed_belongs_to_the_carriage_return_before_it_alone(chunks: tuple[str]) -> None:
    assert data(*chunks) == ["x\ny"]
