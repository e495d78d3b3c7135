"""The client of the kit: limits, broken connections, and keys that its records must not show."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from synth_pools.contract.exceptions import UnreachableError
from synth_pools.contract.http.client import ABSENT, HttpClient
from synth_pools.contract.options import ApiKey
from tests.contract.http.behaving import DOCUMENT, KEY, behaving


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    pace = threading.Event()
    # Until the client hangs up, which ends the thread with an OSError.
    while not pace.wait(0.05):
        handler.wfile.write(b"data: {}\n\n")
        handler.wfile.flush()


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def _empty(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(int(handler.headers.get("content-length") or 0))
    handler.send_response(200)
    handler.send_header("content-length", "2")
    handler.end_headers()
    handler.wfile.write(b"{}")


def _busy_once() -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer 503 at first, and an empty object from then on."""
    statuses = iter((503, 429))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(next(statuses, 200))
        handler.send_header("retry-after", "0")
        handler.send_header("content-length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    return answer


def _tell_the_key(handler: BaseHTTPRequestHandler) -> None:
    body = str(handler.headers["authorization"]).encode()
    handler.send_response(200)
    handler.send_header("x-key", body.decode())
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_an_answer_without_an_end_is_cut() -> None:
    with behaving(_drip) as http:
        answer = http.call("get_queue_status", limit=2.0)
    assert answer.exchange.trouble == "the answer did not end within 2 s"
    assert answer.exchange.late
    assert answer.json is ABSENT


def test_answers_of_a_busy_server_are_handed_on_before_the_request_is_sent_again() -> None:
    statuses: list[int | None] = []
    with behaving(_busy_once()) as http:
        http.on_busy = lambda exchange: statuses.append(exchange.status)
        answer = http.call("get_queue_status")
    assert (answer.status, statuses) == (200, [503, 429])


@pytest.mark.parametrize(
    ("placeholder", "sent"),
    [
        ("${SYNTH_API_KEY%?}", KEY[:-1]),
        ("${SYNTH_API_KEY#?}", KEY[1:]),
        ("${SYNTH_API_KEY^^}", KEY.upper()),
    ],
)
def test_keys_that_are_nearly_right_are_sent_and_shown_nowhere(placeholder: str, sent: str) -> None:
    keys: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        keys.append(str(handler.headers["authorization"]))
        _tell_the_key(handler)

    with behaving(answer) as http:
        exchange = http.call("get_queue_status", authorization=f"Bearer {placeholder}").exchange
    assert keys == [f"Bearer {sent}"]
    assert sent not in repr(exchange)
    assert KEY not in repr(exchange)


def test_a_stream_without_an_end_is_left() -> None:
    with behaving(_drip) as http:
        stream = http.stream("stream_global_rollout_events", {"rollout_id": "x"}, limit=2.0)
    assert not stream.complete
    assert stream.late
    assert stream.reader.messages


def test_a_stream_is_left_when_enough_was_seen() -> None:
    with behaving(_drip) as http:
        stream = http.stream(
            "stream_global_rollout_events",
            {"rollout_id": "x"},
            until=lambda reader: len(reader.messages) >= 2,
        )
    assert len(stream.reader.messages) >= 2
    assert not stream.late


def test_a_stream_that_a_busy_server_refused_first_has_not_ended() -> None:
    refuse, refused = _busy_once(), threading.Semaphore(2)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (refuse if refused.acquire(blocking=False) else _drip)(handler)

    with behaving(answer) as http:
        stream = http.stream(
            "stream_global_rollout_events",
            {"rollout_id": "x"},
            until=lambda reader: bool(reader.messages),
        )
    assert stream.exchange.status == 200
    assert not stream.complete


def test_no_answer_is_told_as_such() -> None:
    with behaving(_hang_up) as http:
        answer = http.call("get_queue_status")
    assert answer.status is None
    assert "disconnected" in str(answer.exchange.trouble)


def test_a_request_is_sent_again_where_the_server_had_closed_the_connection() -> None:
    hang_up = threading.Semaphore(1)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (_hang_up if hang_up.acquire(blocking=False) else _empty)(handler)

    with behaving(answer) as http:
        assert http.call("create_rollout", {"pool_id": "x"}, json={}).status == 200


def test_nobody_there() -> None:
    http = HttpClient("http://127.0.0.1:9", ApiKey(KEY), DOCUMENT)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        http.call("get_queue_status")


def test_the_key_is_nowhere_in_what_is_kept() -> None:
    with behaving(_tell_the_key) as http:
        answer = http.call("get_queue_status")
        assert KEY not in repr(http)
    assert answer.status == 200
    assert KEY not in repr(answer)


def test_the_key_stays_in_its_process() -> None:
    import copy
    import pickle

    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(ApiKey(KEY))
