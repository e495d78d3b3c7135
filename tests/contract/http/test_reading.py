"""Reading what backends send: event streams, answers without an end, keys that must not be kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import UnreachableError
from synth_pools.contract.harness.expectations import difference
from synth_pools.contract.http.client import ABSENT, HttpClient, at
from synth_pools.contract.http.sse import SseReader
from synth_pools.contract.options import ApiKey
from synth_pools.contract.rules.verdict import same_json
from synth_pools.spec import load_spec

_DOCUMENT = Document(load_spec())
_KEY = "reading-key-0123456789"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_messages_whatever_the_chunks_and_line_ends(size: int, ending: str) -> None:
    lines = ["\ufeff: hello", "id: 1", "event: a", "data: x", "data:  y ü", "", "retry: 5", "",
             "data", "", ": again", "event: b", "data: {}", "", "data: lost"]  # fmt: skip
    raw = ending.join(lines).encode()
    reader = SseReader()
    for start in range(0, len(raw), size):
        reader.feed(raw[start : start + size])
    told = [(m.id, m.event, m.data, m.data_lines) for m in reader.messages]
    assert told == [("1", "a", "x\n y ü", 2), ("1", "message", "", 1), ("1", "b", "{}", 1)]
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


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"data: {}\n\n")
        handler.wfile.flush()
        time.sleep(0.05)


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def _tell_the_key(handler: BaseHTTPRequestHandler) -> None:
    body = str(handler.headers["authorization"]).encode()
    handler.send_response(200)
    handler.send_header("x-key", body.decode())
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_an_answer_without_an_end_is_cut() -> None:
    with _server(_drip) as http:
        began = time.monotonic()
        answer = http.call("get_queue_status", limit=0.5)
        assert time.monotonic() - began < 5
    assert answer.exchange.trouble == "the answer did not end within 0 s"
    assert answer.json is ABSENT


def test_a_stream_without_an_end_is_left() -> None:
    with _server(_drip) as http:
        stream = http.stream("stream_global_rollout_events", {"rollout_id": "x"}, limit=0.5)
    assert not stream.ended
    assert stream.reader.messages


def test_a_stream_is_left_when_enough_was_seen() -> None:
    with _server(_drip) as http:
        stream = http.stream(
            "stream_global_rollout_events",
            {"rollout_id": "x"},
            until=lambda reader: len(reader.messages) >= 2,
        )
    assert len(stream.reader.messages) >= 2


def test_no_answer_is_told_as_such() -> None:
    with _server(_hang_up) as http:
        answer = http.call("get_queue_status")
    assert answer.status is None
    assert "disconnected" in str(answer.exchange.trouble)


def test_nobody_there() -> None:
    http = HttpClient("http://127.0.0.1:9", ApiKey(_KEY), _DOCUMENT)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        http.call("get_queue_status")


def test_the_key_is_nowhere_in_what_is_kept() -> None:
    with _server(_tell_the_key) as http:
        answer = http.call("get_queue_status")
        assert _KEY not in repr(http)
    assert answer.status == 200
    assert _KEY not in repr(answer)


def test_the_key_stays_in_its_process() -> None:
    import copy
    import pickle

    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(ApiKey(_KEY))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([1, {"a": None}], [1.0, {"a": None}], True),
        ({"a": None}, {}, False),
        (None, ABSENT, False),
        (ABSENT, ABSENT, True),
        ("1", 1, False),
    ],
)
def test_equal_as_json(one: Any, other: Any, equal: bool) -> None:
    assert same_json(one, other) is equal


def test_where_two_values_part() -> None:
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "at /a/1/b: 3 instead of 2"
    assert difference({"a": 1}, {}) == "at /a: nothing instead of 1"
    assert at({"a": [{"b": 1}]}, "a", 0, "b") == 1
    assert at({"a": [{"b": 1}]}, "a", 5, "b") is ABSENT


@contextmanager
def _server(behave: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[HttpClient]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                behave(self)
            except OSError:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    http = HttpClient(f"http://127.0.0.1:{server.server_port}", ApiKey(_KEY), _DOCUMENT)
    try:
        yield http
    finally:
        http.close()
        server.shutdown()
        server.server_close()
