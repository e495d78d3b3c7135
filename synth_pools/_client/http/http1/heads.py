"""Heads of requests and answers as HTTP/1.1 sends them: no I/O, the same for both variants.

The head of an answer is read line by line, and a line that two parsers could read differently is
refused, because it can mix up answers. The parser of http.client accepts them, and takes
longer for a head than the system takes for the whole exchange.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from synth_pools._client.http import URL
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    ResponseHeaders,
    refused,
)

LONGEST_LINE = 65_536
# Limit for one answer, with all of its hints (103).
MOST_LINES = 1000

# A header, or the empty line after the last one. White space around a value is not part of it.
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0\v\f]*)\r?\n|\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n\0\v\f]*)?\r?\n")
_TARGET = re.compile(r"/[!-~]*")
_PORTS = {"http": 80, "https": 443}
_LENGTH = re.compile(r"[0-9]{1,18}")
_ZERO = ord("0")
# The limit of http.client.
_MOST_HEADERS = 100
_STATUSES_WITHOUT_BODY = frozenset({204, 304})


class RequestEncoder:
    """Encoder of the requests to one service.

    Attributes:
        host: Name or address of its host.
        port: Its port.
        is_secure: Whether its connections use TLS.
    """

    def __init__(self, base_url: str) -> None:
        url = URL(base_url)
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or _PORTS[url.scheme]
        self.is_secure = url.scheme == "https"
        self._host_header = url.netloc.decode("ascii")
        self._origin_length = len(f"{url.scheme}://{self._host_header}")

    def headers_of(self, request: OutgoingRequest) -> dict[str, str]:
        """Return the headers that are sent with a request, without the key."""
        return request.connection_headers(self._host_header)

    def encode(self, request: OutgoingRequest, key: str) -> bytes:
        """Encode a request. The result contains the key, so no variable may hold it.

        Raises:
            ExchangeError: A header cannot be sent.
        """
        headers = request.connection_headers(self._host_header)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        target = request.url[self._origin_length :] or "/"
        if not (
            _TARGET.fullmatch(target)
            and lines.isascii()
            and lines.count("\r") == lines.count("\n") == len(headers)
            and "\0" not in lines
        ):
            raise ExchangeError("LocalProtocolError", "a header cannot be sent", sent=False)
        head = f"{request.method} {target} HTTP/1.1\r\n{lines}Authorization: Bearer "
        return f"{head}{key}\r\n\r\n".encode() + (request.content or b"")


class AnswerHead(NamedTuple):
    """Head of an answer.

    Attributes:
        status: Its status.
        headers: Its headers.
        length: Length of the body; None if it is known only at the end of the body.
        is_chunked: Whether the body is sent in chunks.
        ends_connection: Whether the connection ends with the answer.
    """

    status: int
    headers: ResponseHeaders
    length: int | None
    is_chunked: bool
    ends_connection: bool


def read_answer_head(
    read: Callable[[int], bytes], line_limit: int = MOST_LINES
) -> tuple[AnswerHead | None, int]:
    """Read one head, up to the empty line after it.

    Args:
        read: Reads a line, or the given number of bytes of it.
        line_limit: Most lines that it may have.

    Returns:
        The head, or None for a hint, after which another head follows; and the rest of the limit.

    Raises:
        ExchangeError: It is malformed.
    """
    line = read(LONGEST_LINE)
    line_limit -= 1
    if _STATUS_LINE.fullmatch(line) is None or line_limit <= 0:
        raise refused(_problem(line, "status line"))
    status, is_older = int(line[9:12]), line[7] == _ZERO
    pairs: list[tuple[str, str]] = []
    while True:
        line = read(LONGEST_LINE)
        line_limit -= 1
        header = HEADER_LINE.fullmatch(line)
        if header is None or line_limit <= 0 or len(pairs) > _MOST_HEADERS:
            raise refused(_problem(line, "header"))
        name, value = header.groups()
        if name is None:
            break
        pairs.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))
    if status >= 200:
        return _checked(status, ResponseHeaders(pairs), is_older=is_older), line_limit
    if status == 101:
        raise refused("the protocol was switched, unasked")
    return None, line_limit


def check_beginning(data: bytes) -> None:
    """Refuse the first bytes of a head early if no head can begin with them.

    Raises:
        ExchangeError: They cannot become a head.
    """
    end = data.find(b"\n", 0, LONGEST_LINE) + 1
    if (end or len(data) >= LONGEST_LINE) and _STATUS_LINE.fullmatch(data, 0, end) is None:
        raise refused(_problem(data[: end or LONGEST_LINE], "status line"))
    if len(data) - data.rfind(b"\n") > LONGEST_LINE or data.count(b"\n") > _MOST_HEADERS + 1:
        raise refused("the head has no end, or one of its lines has none")


def _problem(line: bytes, part: str) -> str:
    """Explain why a line of a head is refused."""
    if not line:
        return "the connection ended without an answer" if part != "header" else "the head is cut"
    if not line.endswith(b"\n"):
        return "the head is cut, or one of its lines is too long"
    form = HEADER_LINE if part == "header" else _STATUS_LINE
    if form.fullmatch(line) is not None:
        return "the head has no end"
    return f"no {part} is like this: {line[:60]!r}"


def _checked(status: int, headers: ResponseHeaders, *, is_older: bool) -> AnswerHead:
    """Return a head, unless its headers contradict each other about its body."""
    length_header, coding = headers.get("content-length"), headers.get("transfer-encoding")
    length: int | None = None
    if coding is not None:
        if length_header is not None:
            raise refused("the answer has both a length and chunks")
        if coding.lower() != "chunked":
            raise refused("the answer has a transfer encoding that nobody asked for")
    elif length_header is not None:
        lengths = {text.strip() for text in length_header.split(",")}
        text = lengths.pop()
        if lengths or _LENGTH.fullmatch(text) is None:
            raise refused("the answer has no length that can be read, or two of them")
        length = int(text)
    if status in _STATUSES_WITHOUT_BODY:
        length, coding = 0, None
    options = headers.get("connection", "").lower()
    ends = "close" in options or (is_older and "keep-alive" not in options)
    ends = ends or (length is None and coding is None)
    return AnswerHead(status, headers, length, coding is not None, ends)
