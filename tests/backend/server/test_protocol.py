"""Bad HTTP is refused in the error schema, or its connection closed, without harm to others."""

from __future__ import annotations

import contextlib
import logging
import socket

import pytest

from tests.support.backend_server import KEY, Server
from tests.support.raw_http import Nonsense, answer_to, judge, nonsense


@pytest.mark.parametrize("row", nonsense(KEY), ids=lambda row: str(row.name))
def test_bytes_that_are_no_good_http(
    server: Server, row: Nonsense, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert judge(row, answer_to(server.port, row.sent)) is None
    server.get("/v1/capabilities")
    assert [record for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert KEY not in caplog.text


@pytest.mark.parametrize("has_length", [False, True])
@pytest.mark.parametrize("lengths_first", [False, True])
def test_a_body_of_two_lengths_is_the_last_of_its_connection(
    server: Server, has_length: bool, lengths_first: bool
) -> None:
    head = f"HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n".encode()
    lengths = [b"content-length: 4\r\n"] if has_length else []
    chunked = [b"Transfer-Encoding: chunked\r\n"]
    fields = b"".join(lengths + chunked if lengths_first else chunked + lengths)
    first = b"POST /v1/rollouts:validate " + head + b"content-type: application/json\r\n" + fields
    # A reader of the length takes the rest for another request.
    second = b"GET /v1/capabilities " + head + b"connection: close\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), 10) as wire:
        wire.sendall(first + b"\r\n2\r\n{}\r\n0\r\n\r\n" + second)
        with contextlib.suppress(ConnectionResetError):
            while chunk := wire.recv(65536):
                answer += chunk
    assert answer.count(b"HTTP/1.1 200") == (1 if has_length else 2)
    assert answer.lower().count(b"connection: close") == 1
