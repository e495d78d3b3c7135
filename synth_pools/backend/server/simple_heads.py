"""Heads of HTTP/1.1 messages as nearly everybody writes them, read at a fraction of h11's cost.

Whatever is not plainly one of these is left to h11, which reads it or refuses it. What is read here
h11 reads in the same way, so that nothing ever depends on who has read it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_FIELDS = rb"(?:" + _TOKEN + rb":[\t -~]*+\r\n)*+\r\n"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([!-~]++) HTTP/1\.1\r\n(?=(" + _FIELDS + rb"))")
_RESPONSE = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [\t -~]*+\r\n(?=(" + _FIELDS + rb"))")

# Where one of these is given, how long the body is or what follows it is for h11 to say.
_NOT_SIMPLE = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"content-encoding"})
_OF_FRAMING = _NOT_SIMPLE | {b"connection", b"content-length", b"host"}
_FORWARDED = b"x-forwarded-"
_WITHOUT_BODY = frozenset({204, 304})
_MOST_DIGITS = 15

Field = tuple[bytes, bytes]


class PlainRequest(NamedTuple):
    """Head of a request whose connection goes on after it.

    Attributes:
        method: The method.
        target: What is asked for.
        fields: The headers, their names in lower case.
        body_bytes: The length of its body.
        end: Where its body begins.
        is_forwarded: Whether a proxy says in it for whom.
    """

    method: bytes
    target: bytes
    fields: list[Field]
    body_bytes: int
    end: int
    is_forwarded: bool


class PlainResponse(NamedTuple):
    """Head of a response that says how long its body is, and whose connection goes on after it.

    Attributes:
        status: The status.
        body_bytes: The length of its body.
        end: Where its body begins.
    """

    status: int
    body_bytes: int
    end: int


def read_request(data: bytes) -> PlainRequest | None:
    """Read the head of a request.

    Args:
        data: Bytes that begin with it.

    Returns:
        The head; None where it is not whole, or not plain.
    """
    found = _REQUEST.match(data)
    if found is None:
        return None
    method, target, fields_text = found.groups()
    framing = _read_fields(fields_text)
    if framing is None or framing.hosts != 1 or method == b"CONNECT":
        return None
    is_forwarded = _FORWARDED in fields_text.lower()
    return PlainRequest(
        method, target, framing.fields, framing.body_bytes or 0, found.end(3), is_forwarded
    )


def read_response(data: bytes) -> PlainResponse | None:
    """Read the head of a response to a GET or POST.

    Args:
        data: Bytes that begin with it.

    Returns:
        The head; None where it is not whole, or not plain.
    """
    found = _RESPONSE.match(data)
    if found is None:
        return None
    status = int(found[1])
    framing = _read_fields(found[2])
    if framing is None or framing.body_bytes is None or status in _WITHOUT_BODY:
        return None
    return PlainResponse(status, framing.body_bytes, found.end(2))


class _Framing(NamedTuple):
    fields: list[Field]
    hosts: int
    body_bytes: int | None


def _read_fields(text: bytes) -> _Framing | None:
    """Return the headers and what they say of the body; None where they are for h11 to read."""
    fields: list[Field] = []
    hosts, body_bytes = 0, None
    # The last two lines are empty.
    for line in text.split(b"\r\n")[:-2]:
        written, _, value = line.partition(b":")
        name, value = written.lower(), value.strip(b" \t")
        fields.append((name, value))
        if name not in _OF_FRAMING:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            if body_bytes is not None or not value.isdigit() or len(value) > _MOST_DIGITS:
                return None
            body_bytes = int(value)
        elif name != b"connection" or value != b"keep-alive":
            return None
    return _Framing(fields, hosts, body_bytes)
