"""The parser of event streams: line ends, byte-order marks, chunks and cut streams."""

from __future__ import annotations

import pytest

from synth_pools.contract.http.sse import SseReader, read_messages


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_messages_whatever_the_chunks_and_line_ends(size: int, ending: str) -> None:
    lines = ["\ufeff: hello", "id: 1", "event: a", "data: x", "data:  y ü", "", "retry: 5", "",
             "data", "", ": again", "event: b", "data: {}", "", "data: lost"]  # fmt: skip
    raw = ending.join(lines).encode()
    reader = SseReader()
    for start in range(0, len(raw), size):
        reader.feed(raw[start : start + size])
    actual = [(m.id, m.event, m.data, m.data_lines) for m in reader.messages]
    assert actual == [("1", "a", "x\n y ü", 2), ("1", "message", "", 1), ("1", "b", "{}", 1)]
    assert reader.comments == 2
    assert not reader.complete


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_a_whole_stream_is_complete(ending: bytes) -> None:
    reader = SseReader()
    reader.feed(b'id: 1\ndata: {"a": 1}\n\n'.replace(b"\n", ending))
    assert reader.complete
    assert reader.messages[0].envelope == {"a": 1}


@pytest.mark.parametrize("data", ["no json", "[1]", "[" * 100_000])
def test_an_envelope_that_is_none(data: str) -> None:
    reader = SseReader()
    reader.feed(f"data: {data}\n\n".encode())
    assert reader.messages[0].envelope == {}


def test_messages_end_with_a_blank_line() -> None:
    body = b"id: 1\r\nevent: agent\r\ndata: a\r\ndata: b\r\n\r\ndata: cut off"
    (message,) = read_messages(body)
    assert (message.id, message.event, message.data) == ("1", "agent", "a\nb")


def test_the_position_is_the_last_id_of_whatever_block() -> None:
    reader = SseReader()
    reader.feed(b"")
    assert (reader.position, reader.opening, reader.complete) == (None, None, True)
    reader.feed(b"id: 0\n\nid: 1\n\ndata: a\n\nid: 2\n\n")
    # The id before the first message stands for where the stream begins.
    assert (reader.position, reader.opening) == ("2", "0")
    (message,) = reader.messages
    assert (message.id, message.written) == ("1", {"data": "a"})
    reader.feed(b"id: 3\n")
    assert reader.complete
    reader.feed(b"event: a\n")
    assert not reader.complete
    reader.feed(b"\nda")
    assert not reader.complete
    assert [message.data for message in reader.messages] == ["a"]


def test_an_id_with_more_is_no_opening() -> None:
    reader = SseReader()
    reader.feed(b"id: 1\nevent: a\n\n")
    assert (reader.opening, reader.messages) == (None, [])
    late = SseReader()
    late.feed(b"data: a\n\nid: 1\n\n")
    assert late.opening is None
