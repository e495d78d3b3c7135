"""Bytes that are no valid HTTP, and the statuses that may answer them, or a closed connection.

No bytes may cause a status of 500, an answer that is not of the error schema, or a line of the log.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

CLOSED = 0
_LIMIT = 60.0


@dataclass(frozen=True)
class Nonsense:
    name: str
    sent: bytes
    # Statuses that are right; CLOSED for no answer at all.
    right: tuple[int, ...]


def nonsense(key: str) -> list[Nonsense]:
    """The table, with a key that lets it in."""
    authorization = f"authorization: Bearer {key}\r\n".encode()
    host = b"host: localhost\r\n"
    get = b"GET /v1/pools HTTP/1.1\r\n" + host + authorization
    post = (
        b"POST /v1/pools HTTP/1.1\r\n"
        + host
        + authorization
        + b"content-type: application/json\r\n"
    )
    chunked = post + b"transfer-encoding: chunked\r\n"

    def table() -> list[tuple[str, bytes, tuple[int, ...]]]:
        return [
            # The line.
            ("no line at all", b"\r\n\r\n", (400, CLOSED)),
            ("one word", b"GET\r\n\r\n", (400,)),
            ("two words", b"GET /v1/pools\r\n\r\n", (400,)),
            ("a version of the future", b"GET / HTTP/9.9\r\n" + host + b"\r\n", (400,)),
            ("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
            ("a version in words", b"GET / HTTP/one\r\n" + host + b"\r\n", (400,)),
            ("a space in the path", b"GET /v1/po ols HTTP/1.1\r\n" + host + b"\r\n", (400,)),
            ("a NUL in the path", b"GET /v1/\0 HTTP/1.1\r\n" + host + b"\r\n", (400,)),
            ("bytes above 127 in the path", b"GET /v1/\xff HTTP/1.1\r\n" + host + b"\r\n", (400,)),
            ("a method that is none", b"G(T / HTTP/1.1\r\n" + host + b"\r\n", (400,)),
            (
                "a TLS handshake",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
                (400,),
            ),
            ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", (400, CLOSED)),
            ("zeros", b"\0" * 4096, (400,)),
            ("bytes of every value", bytes(range(256)) * 8, (400,)),
            # The target.
            ("no host", b"GET /v1/pools HTTP/1.1\r\n" + authorization + b"\r\n", (400,)),
            ("two hosts", get + b"host: other\r\n\r\n", (400,)),
            ("an empty host", b"GET / HTTP/1.1\r\nhost:\r\n" + authorization + b"\r\n", (400,)),
            ("a host that is none", b"GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", (400, 403)),
            ("a host of somebody", b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n", (403,)),
            ("a whole URL as path", b"GET http://a.example/ HTTP/1.1\r\n" + host + b"\r\n", (404,)),
            ("an asterisk", b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n", (404, 405)),
            ("a tunnel", b"CONNECT a.example:443 HTTP/1.1\r\n" + host + b"\r\n", (404, 405)),
            ("a way up", b"GET /v1/../../etc/passwd HTTP/1.1\r\n" + host + b"\r\n", (401, 404)),
            (
                "half an escape",
                b"GET /v1/pools/%f HTTP/1.1\r\n" + host + authorization + b"\r\n",
                (404,),
            ),
            # Headers.
            ("a header without a colon", get + b"nothing\r\n\r\n", (400,)),
            ("a header without a name", get + b": x\r\n\r\n", (400,)),
            ("a space before the colon", get + b"name : x\r\n\r\n", (400,)),
            ("a folded header", get + b"a: b\r\n c\r\n\r\n", (200, 400)),
            ("a NUL in a header", get + b"a: \0\r\n\r\n", (400,)),
            ("a bare CR in a header", get + b"a: b\rc: d\r\n\r\n", (400,)),
            (
                "headers that are too long",
                get + b"a: " + b"x" * 70_000 + b"\r\n\r\n",
                (431, CLOSED),
            ),
            ("too many headers", get + b"a: b\r\n" * 20_000 + b"\r\n", (431, CLOSED)),
            (
                "a path that is too long",
                b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
                (431, CLOSED),
            ),
            ("an upgrade", get + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", (200, 426)),
            ("HTTP/2 by upgrade", get + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n", (200,)),
            # The length of the body.
            ("two lengths", post + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", (400,)),
            ("a length and chunks", chunked + b"content-length: 2\r\n\r\n0\r\n\r\n", (400, 422)),
            ("a negative length", post + b"content-length: -1\r\n\r\n", (400,)),
            ("a length in hex", post + b"content-length: 0x2\r\n\r\n{}", (400,)),
            (
                "a length of 30 digits",
                post + b"content-length: " + b"9" * 30 + b"\r\n\r\n",
                (400, 413),
            ),
            ("an encoding of transfer", post + b"transfer-encoding: gzip\r\n\r\n", (400, 501)),
            ("two of them", post + b"transfer-encoding: gzip, chunked\r\n\r\n", (400, 501)),
            ("a chunk of no size", chunked + b"\r\nxyz\r\n{}\r\n", (400, CLOSED)),
            ("a chunk of negative size", chunked + b"\r\n-1\r\n{}\r\n", (400, CLOSED)),
            ("a chunk longer than it says", chunked + b"\r\n1\r\n{}\r\n0\r\n\r\n", (400, CLOSED)),
            ("a chunk size without end", chunked + b"\r\n" + b"1" * 70_000, (400, 431, CLOSED)),
            ("a chunk of 2**64", chunked + b"\r\nffffffffffffffffff\r\n{", (400, CLOSED)),
            ("a bad trailer", chunked + b"\r\n2\r\n{}\r\n0\r\nnothing\r\n\r\n", (400, CLOSED)),
            ("a bad chunk behind a whole answer", _behind(get), (200, 400)),
            # The body.
            ("no JSON", post + b"content-length: 1\r\n\r\n{", (400,)),
            ("JSON in a codec", _with_body(post, "{}".encode("utf-16")), (400,)),
            ("a body that is compressed", _with_body(post, b"\x1f\x8b\x08" + b"\0" * 20), (400,)),
            ("brackets", _with_body(post, b"[" * 100_000), (400,)),
            ("a number of a million digits", _with_body(post, b"1" * 1_000_000), (400,)),
            ("a number beyond all doubles", _with_body(post, b'{"a":1e999}'), (400,)),
            ("not a number", _with_body(post, b'{"name":NaN}'), (400,)),
        ]

    return [Nonsense(*row) for row in table()]


def _with_body(head: bytes, body: bytes) -> bytes:
    return head + f"content-length: {len(body)}\r\n\r\n".encode() + body


def _behind(get: bytes) -> bytes:
    """A request that is answered before its body is looked at, and then has a bad one."""
    return get + b"transfer-encoding: chunked\r\n\r\n" + b"nonsense\r\n" * 3


def answer_to(port: int, sent: bytes) -> bytes:
    """Read until the connection ends."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), _LIMIT) as wire:
        try:
            wire.sendall(sent)
            wire.shutdown(socket.SHUT_WR)
            while chunk := wire.recv(65536):
                received += chunk
        except OSError:
            # Reset while we were still sending: a closed door too.
            pass
    return received


def judge(row: Nonsense, received: bytes) -> str | None:
    """Describe the problem of an answer; None if it is right."""
    if not received:
        return None if CLOSED in row.right else "no answer"
    status = int(received.split(b" ", 2)[1])
    if status not in row.right:
        return f"status {status}: {received[:300]!r}"
    if status >= 400:
        head, _, body = received.partition(b"\r\n\r\n")
        if b"x-request-id: " not in head:
            return f"no request id: {head!r}"
        error = json.loads(body.partition(b"HTTP/1.1 ")[0])
        if not (error["detail"] and error["error"]["code"] and error["error"]["request_id"]):
            return f"no error of the schema: {body!r}"
    return None
