"""Heads that are read without h11 are read as h11 reads them."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synth_pools.backend.server.simple_heads import (
    PlainRequest,
    PlainResponse,
    read_request,
    read_response,
)

REQUEST = (
    b"POST /v1/pools/p/rollouts?a=b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAccept: */*\r\n"
    b"Content-Length: 2\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 08:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-length: 2\r\ncontent-type: application/json\r\n\r\n"
)

# Pieces of heads, right and wrong, and what may stand between them.
_LINES = st.sampled_from(
    [
        b"host: a",
        b"Host:a:1",
        b"HOST:  b ",
        b"content-length: 2",
        b"Content-Length:2 ",
        b"content-length: 02",
        b"content-length: +2",
        b"content-length: 2, 2",
        b"content-length: 99999999999999999999999",
        b"content-length: \xb2",
        b"transfer-encoding: chunked",
        b"Transfer-Encoding: identity",
        b"connection: close",
        b"connection: Keep-Alive",
        b"connection: keep-alive, close",
        b"expect: 100-continue",
        b"upgrade: h2c",
        b"content-encoding: gzip",
        b"x:",
        b"x: \t ",
        b"x: a\tb  c",
        b"x: \x7f",
        b"x: \xff",
        b"x: \x00",
        b"x: a\rb",
        b"x : a",
        b" folded",
        b"\tfolded",
        b": a",
        b"nothing",
        b"(: a",
        b"",
    ]
)
_ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n"])
_REQUEST_LINES = st.sampled_from(
    [b"GET / HTTP/1.1"] * 8
    + [
        b"POST * HTTP/1.1",
        b"get http://a/ HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET / HTTP/1.1 ",
        b"GET / http/1.1",
        b" GET / HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"",
    ]
)
_STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 8
    + [
        b"HTTP/1.1 404 ",
        b"HTTP/1.1 500",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 Switching",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 999 X",
        b"HTTP/1.1 0200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200 \xff",
        b"HTTP/1.1 200 a\x00",
        b"",
    ]
)


@st.composite
def heads(draw: st.DrawFn, first: st.SearchStrategy[bytes]) -> bytes:
    lines = [draw(first), *draw(st.lists(_LINES, max_size=5))]
    text = b"".join(line + draw(_ENDS) for line in lines) + draw(_ENDS)
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.binary(max_size=2)) + text[place + draw(st.integers(0, 2)) :]
    return text


def check(head: PlainRequest | PlainResponse, event: object, parser: h11.Connection) -> None:
    """The body is as long, and the connection goes on after it."""
    assert isinstance(event, h11.Request | h11.Response)
    assert event.http_version == b"1.1"
    left = head.body_bytes
    while left:
        size = min(left, 1000)
        parser.receive_data(b"x" * size)
        if head.body_bytes > 10_000:
            return  # such a one is not sent to the end here
        body = parser.next_event()
        assert isinstance(body, h11.Data)
        assert len(body.data) == size
        left -= size
    assert isinstance(parser.next_event(), h11.EndOfMessage)
    assert parser.their_state is h11.DONE


@settings(max_examples=2000)
@given(heads(_REQUEST_LINES))
@example(REQUEST)
@example(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
def test_requests_are_what_h11_takes_them_for(data: bytes) -> None:
    head = read_request(data)
    if head is None:
        return
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data[: head.end])
    event = parser.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (head.method, head.target)
    assert list(event.headers) == head.fields
    assert not parser.they_are_waiting_for_100_continue
    check(head, event, parser)


@settings(max_examples=2000)
@given(heads(_STATUS_LINES), st.sampled_from(["GET", "POST"]))
@example(RESPONSE, "GET")
def test_responses_are_what_h11_takes_them_for(data: bytes, method: str) -> None:
    head = read_response(data)
    if head is None:
        return
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data[: head.end])
    event = parser.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == head.status
    assert all(name != b"content-encoding" for name, _ in event.headers)
    check(head, event, parser)


def test_what_is_plain_is_read_here() -> None:
    request = read_request(REQUEST + b"{}")
    assert request is not None
    assert (request.method, request.target, request.body_bytes, request.end) == (
        b"POST",
        b"/v1/pools/p/rollouts?a=b",
        2,
        len(REQUEST),
    )
    assert (b"content-type", b"application/json") in request.fields
    assert read_response(RESPONSE + b"{}") == PlainResponse(200, 2, len(RESPONSE))


@pytest.mark.parametrize("length", range(0, len(REQUEST), 7))
def test_what_is_not_whole_is_not_read(length: int) -> None:
    assert read_request(REQUEST[:length]) is None
    assert read_response(RESPONSE[: min(length, len(RESPONSE) - 1)]) is None


@pytest.mark.parametrize(
    "line",
    [
        b"transfer-encoding: chunked",
        b"content-length: 2",
        b"connection: close",
        b"expect: 100-continue",
        b"upgrade: h2c",
        b"host: second",
        b"x: \x80",
    ],
)
def test_what_is_more_than_plain_is_left_to_h11(line: bytes) -> None:
    assert read_request(REQUEST[:-2] + line + b"\r\n\r\n") is None
