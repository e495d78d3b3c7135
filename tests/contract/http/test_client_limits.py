"""The client of the kit: the requests that it sends, its waits, and how it reads answers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from synth_pools.contract.exceptions import BusyError, StoppedError
from synth_pools.contract.http import client
from synth_pools.contract.http.client import (
    ABSENT,
    CALL_SECONDS,
    Response,
    at,
    client_of,
    is_loopback_url,
)
from synth_pools.contract.http.reproduce import MASKED, OTHER_KEY
from synth_pools.contract.openapi.schemas import read_json
from synth_pools.contract.options import Access, ApiKey
from synth_pools.contract.results import Exchange
from tests.contract.http.behaving import KEY, behaving

_OTHER = "another-key-9876543210"


def _answer(
    handler: BaseHTTPRequestHandler, status: int = 200, body: bytes = b"{}", **headers: str
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Recorder:
    """Server that records requests and always gives the same answer."""

    def __init__(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self._answer = (status, body, headers)

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        self.requests.append((handler.command, handler.path, body))
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        status, answer, headers = self._answer
        _answer(handler, status, answer, **headers)


def test_a_request_is_what_it_is_called_with() -> None:
    recorder = _Recorder(201, b'{"a": [1, {"b": null}]}', x_request_id="req_1")
    with behaving(recorder) as http:
        answer = http.call(
            "create_rollout",
            {"pool_id": "a/b ü"},
            query={"x": ["1", "2"], "y": "a b"},
            json={"name": "ü", "n": 1},
            headers={"x-more": "1"},
        )
        bare = http.call("list_pools", authorization=None, content=b"raw")
    assert recorder.requests[0] == (
        "POST",
        "/v1/pools/a%2Fb%20%C3%BC/rollouts?x=1&x=2&y=a%20b",
        '{"name":"ü","n":1}'.encode(),
    )
    expected = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-more": "1"}
    assert expected.items() <= recorder.headers[0].items()
    assert recorder.requests[1] == ("GET", "/v1/pools", b"raw")
    assert not {"authorization", "content-type"} & recorder.headers[1].keys()
    exchange = answer.exchange
    assert (exchange.method, exchange.operation, exchange.status) == ("POST", "create_rollout", 201)
    assert exchange.url == http.base_url + recorder.requests[0][1]
    assert exchange.request_headers == (
        ("authorization", MASKED),
        ("content-type", "application/json"),
        ("x-more", "1"),
    )
    assert exchange.request_body == recorder.requests[0][2]
    assert (exchange.header("X-Request-Id"), exchange.trouble, exchange.late) == (
        "req_1",
        None,
        False,
    )
    assert 0 < exchange.elapsed < 30
    assert answer.at("a", 1, "b") is None
    assert bare.exchange.request_headers == ()


def test_a_wait_is_longer_where_requests_take_long() -> None:
    with behaving(_Recorder()) as http:
        assert http.call_seconds == CALL_SECONDS
        http.call("list_pools")
        assert 0 < http.round_trip < 20
        http.round_trip = 20.0
        http.call("list_pools")
        # It forgets slowly.
        assert 19 < http.round_trip < 20
        http.round_trip = 2.0
        assert http.call_seconds == CALL_SECONDS + 40
        assert http.allowance(1.0) == 41


def test_what_took_long_in_vain_is_no_round_trip() -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)

    with behaving(silent) as http:
        answer = http.call("list_pools", limit=1.0)
        assert http.round_trip == 0.0
    assert (answer.status, answer.exchange.trouble) == (None, "no answer within 1 s")
    assert answer.exchange.late


def test_silence_in_an_answer_is_told_from_no_answer() -> None:
    def stop_short(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "10")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.rfile.read(1)

    with behaving(stop_short) as http:
        answer = http.call("list_pools", limit=2.0)
    assert (answer.status, answer.exchange.trouble) == (200, "silence")
    assert answer.exchange.late


def test_an_answer_that_is_cut_is_no_lateness() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "10")
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True

    with behaving(cut) as http:
        answer = http.call("list_pools")
        stream = http.stream("stream_global_rollout_events", {"rollout_id": "x"})
    assert answer.status == 200
    assert "RemoteProtocolError" in str(answer.exchange.trouble)
    assert not answer.exchange.late
    assert (stream.status, stream.complete, stream.late) == (200, False, False)


def test_an_answer_is_no_larger_than_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_LARGEST", 3)
    with behaving(_Recorder(body=b"[12]")) as http:
        assert http.call("list_pools").exchange.trouble == "the answer is larger than 3 bytes"
        stream = http.stream("stream_global_rollout_events", {"rollout_id": "x"})
        assert (stream.complete, stream.late) == (False, False)
    with behaving(_Recorder(body=b"[1]")) as http:
        assert http.call("list_pools").json == [1]
        assert http.stream("stream_global_rollout_events", {"rollout_id": "x"}).complete


def test_a_whole_stream_has_ended() -> None:
    recorder = _Recorder(body=b"id: 1\nevent: a\ndata: {}\n\n", content_type="text/event-stream")
    with behaving(recorder) as http:
        stream = http.stream(
            "stream_global_rollout_events",
            {"rollout_id": "x"},
            query={"after_sequence": 2},
            headers={"last-event-id": "1"},
        )
    assert (stream.status, stream.complete, stream.late) == (200, True, False)
    assert [message.event for message in stream.reader.messages] == ["a"]
    assert stream.exchange.response_body == b"id: 1\nevent: a\ndata: {}\n\n"
    assert recorder.requests == [("GET", "/v1/rollouts/x/events?after_sequence=2", b"")]
    expected = {
        "accept": "text/event-stream",
        "last-event-id": "1",
        "authorization": f"Bearer {KEY}",
    }
    assert expected.items() <= recorder.headers[0].items()


def test_a_server_is_not_busy_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    # Shorter than the server asks for.
    monkeypatch.setattr(client, "_BUSY_SECONDS", 5.0)
    busy: list[Exchange] = []
    with behaving(_Recorder(503, retry_after="6")) as http:
        http.on_busy = busy.append
        http.stop = stop = _Stop(pauses=0)
        with pytest.raises(BusyError, match="list_pools answers 503 for 5 s"):
            http.call("list_pools")
    assert stop.waited == []
    assert [exchange.status for exchange in busy] == [503]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, 1.0),
        ({"retry_after": "0"}, 0.1),
        ({"retry_after": "99"}, 10.0),
        ({"retry_after": "soon"}, 1.0),
    ],
)
def test_it_waits_as_long_as_the_server_says_within_bounds(
    headers: dict[str, str], pause: float
) -> None:
    with behaving(_Recorder(429, b"{}", **headers)) as http:
        http.stop = stop = _Stop(pauses=0)
        with pytest.raises(StoppedError):
            http.call("list_pools")
    assert stop.waited == [pause]


def test_nothing_is_sent_after_the_end() -> None:
    recorder = _Recorder()
    with behaving(recorder) as http:
        http.stop.set()
        with pytest.raises(StoppedError):
            http.call("list_pools")
    assert recorder.requests == []


def test_a_request_that_cannot_be_sent_is_no_answer() -> None:
    with behaving(_Recorder()) as http, pytest.raises(httpx.LocalProtocolError):
        http.call("list_pools", headers={"x-more": "a\nb"})


def test_no_redirect_is_followed() -> None:
    recorder = _Recorder(307, location="/v1/pools")
    with behaving(recorder) as http:
        assert http.call("list_pools").status == 307
    assert len(recorder.requests) == 1


def test_what_is_secret_is_sent_and_nowhere_kept() -> None:
    access = Access(headers={"x-way": "way-key-0123456789", "x-short": "short"})
    body = json.dumps([KEY, _OTHER, "way-key-0123456789", "short"]).encode()
    recorder = _Recorder(body=body, x_told=f"{KEY} {_OTHER}")
    with behaving(recorder, access=access, other_key=ApiKey(_OTHER)) as http:
        exchange = http.call("list_pools", authorization=f"Bearer {OTHER_KEY}").exchange
        assert http.is_right(MASKED)
        assert not http.is_right(f"Bearer {OTHER_KEY}")
        assert http.authorized() == {"authorization": MASKED}
        queried = http.call("list_pools", query={"key": KEY}).exchange
    assert recorder.headers[0]["authorization"] == f"Bearer {_OTHER}"
    assert (recorder.headers[0]["x-way"], recorder.headers[0]["x-short"]) == (
        "way-key-0123456789",
        "short",
    )
    # Words too short for a secret stay.
    assert json.loads(exchange.response_body) == ["***", "***", "***", "short"]
    assert exchange.header("x-told") == "*** ***"
    assert exchange.request_headers == (
        ("authorization", f"Bearer {OTHER_KEY}"),
        ("x-way", "***"),
        ("x-short", "***"),
    )
    assert queried.url == f"{http.base_url}/v1/pools?key=***"


def test_a_key_of_eight_letters_is_secret() -> None:
    with behaving(_Recorder(body=b"12345678")) as http:
        http.other_key = ApiKey("12345678")
        assert http.call("list_pools").exchange.response_body == b"***"


def test_without_another_key_none_is_sent() -> None:
    recorder = _Recorder()
    with behaving(recorder) as http:
        http.call("list_pools", authorization=f"Bearer x{OTHER_KEY}")
    assert recorder.headers[0]["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), {"a": [1, None]}),
        (("a", 0), 1),
        (("a", 1), None),
        (("a", -2), 1),
        (("a", 2), ABSENT),
        (("a", -3), ABSENT),
        (("a", "0"), ABSENT),
        (("b",), ABSENT),
        ((0,), ABSENT),
        (("a", 0, "x"), ABSENT),
    ],
)
def test_a_value_at_a_path(path: tuple[str | int, ...], expected: Any) -> None:
    body = {"a": [1, None]}
    assert at(body, *path) == expected
    raw = Exchange("GET", "http://x", status=200, response_body=json.dumps(body).encode())
    assert Response(raw).at(*path) == expected


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000])
def test_what_is_no_json_is_nothing(body: bytes) -> None:
    answer = Response(Exchange("GET", "http://x", response_body=body))
    assert answer.json is ABSENT
    assert not answer.json
    assert repr(answer.json) == "nothing"
    assert answer.at("a") is ABSENT
    assert answer.status is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8:80", True),
        ("[::1]:8080", True),
        ("LOCALHOST", True),
        ("a.localhost.", True),
        ("localhost.example.com", False),
        ("12.7.0.1", False),
        ("[::2]", False),
        ("", False),
    ],
)
def test_hosts_of_this_machine(host: str, expected: bool) -> None:
    assert is_loopback_url(f"http://{host}/v1") is expected


def test_this_machine_needs_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with behaving(_Recorder()) as http:
        assert http.call("list_pools").status == 200


def test_the_client_under_test_goes_the_same_way() -> None:
    recorder = _Recorder()
    with behaving(recorder) as http, client_of(Access(headers={"x-way": "1"})) as way:
        assert isinstance(way, httpx.Client)
        way.get(f"{http.base_url}/v1/pools")
    assert recorder.headers[0]["x-way"] == "1"
    assert isinstance(client_of(Access(), asynchronous=True), httpx.AsyncClient)


class _Stop(threading.Event):
    """End of a run after a number of pauses, each of which takes no time."""

    def __init__(self, pauses: int) -> None:
        super().__init__()
        self.waited: list[float | None] = []
        self._pauses = pauses

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        return len(self.waited) > self._pauses


def test_the_largest_bodies_are_not_remembered() -> None:
    small, long, large = (b'["%s"]' % (b"a" * size) for size in (1, 1_000_000, 3_000_000))
    assert read_json(small) is read_json(small)
    assert read_json(long) is read_json(long)
    assert read_json(large) is not read_json(large)
    assert read_json(large) == ["a" * 3_000_000]
