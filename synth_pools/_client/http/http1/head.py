"""Heads of answers over HTTP/1.1: no I/O, the same for both variants.

A head is taken line by line, and a line that two readers could read differently is refused: that is
how answers get mixed up. http.client's parser takes such lines, and takes longer for a head than
the system for the whole exchange.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from synth_pools._client.http.messages import ResponseHeaders, refused

LONGEST_LINE = 65_536
# Of one answer, those of all its hints (103) included.
MOST_LINES = 1000

# A header, or the empty line after the last one. White space at both ends belongs to no value.
HEADER_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0\v\f]*)\r?\n|\r?\n",
)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n\0\v\f]*)?\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_ZERO = ord("0")
# As many as http.client takes.
_MOST_HEADERS = 100
_NO_BODY = frozenset({204, 304})


class AnswerHead(NamedTuple):
    """Head of an answer.

    Attributes:
        status: Its status.
        headers: What came.
        length: Length of the body; None if only its end shows it.
        is_chunked: Whether the body comes in chunks.
        ends_connection: Whether the connection ends with it.
    """

    status: int
    headers: ResponseHeaders
    length: int | None
    is_chunked: bool
    ends_connection: bool


def read_answer_head(
    read: Callable[[int], bytes], left: int = MOST_LINES
) -> tuple[AnswerHead | None, int]:
    """Read one head, to the empty line behind it.

    Args:
        read: Reads a line, or that many bytes of it.
        left: Most lines that it may have.

    Returns:
        The head, None for that of a hint, which another one follows; and how many lines are left.

    Raises:
        ExchangeError: It is not as it must be.
    """
    line = read(LONGEST_LINE)
    left -= 1
    if _STATUS_LINE.fullmatch(line) is None or left <= 0:
        raise refused(_problem(line, "status line"))
    status, is_older = int(line[9:12]), line[7] == _ZERO
    pairs: list[tuple[str, str]] = []
    while True:
        line = read(LONGEST_LINE)
        left -= 1
        header = HEADER_LINE.fullmatch(line)
        if header is None or left <= 0 or len(pairs) > _MOST_HEADERS:
            raise refused(_problem(line, "header"))
        name, value = header.groups()
        if name is None:
            break
        pairs.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))
    if status >= 200:
        return _checked(status, ResponseHeaders(pairs), is_older=is_older), left
    if status == 101:
        raise refused("the protocol was switched, unasked")
    return None, left


def check_beginning(data: bytes) -> None:
    """Refuse what is not the beginning of a head, before all of that has come.

    Raises:
        ExchangeError: It cannot become one.
    """
    end = data.find(b"\n", 0, LONGEST_LINE) + 1
    if (end or len(data) >= LONGEST_LINE) and _STATUS_LINE.fullmatch(data, 0, end) is None:
        raise refused(_problem(data[: end or LONGEST_LINE], "status line"))
    if len(data) - data.rfind(b"\n") > LONGEST_LINE or data.count(b"\n") > _MOST_HEADERS + 1:
        raise refused("the head has no end, or one of its lines has none")


def _problem(line: bytes, what: str) -> str:
    """Say why a line of a head is refused."""
    if not line:
        return "the connection ended without an answer" if what != "header" else "the head is cut"
    if not line.endswith(b"\n"):
        return "the head is cut, or one of its lines is too long"
    form = HEADER_LINE if what == "header" else _STATUS_LINE
    if form.fullmatch(line) is not None:
        return "the head has no end"
    return f"no {what} is like this: {line[:60]!r}"


def _checked(status: int, headers: ResponseHeaders, *, is_older: bool) -> AnswerHead:
    """Return a head that was parsed, unless it says two things about its body."""
    said, coding = headers.get("content-length"), headers.get("transfer-encoding")
    length: int | None = None
    if coding is not None:
        if said is not None:
            raise refused("the answer has both a length and chunks")
        if coding.lower() != "chunked":
            raise refused("the answer has a transfer encoding that nobody asked for")
    elif said is not None:
        values = {each.strip() for each in said.split(",")}
        text = values.pop()
        if values or _LENGTH.fullmatch(text) is None:
            raise refused("the answer has no length that can be read, or two of them")
        length = int(text)
    if status in _NO_BODY:
        length, coding = 0, None
    wishes = headers.get("connection", "").lower()
    ends = "close" in wishes or (is_older and "keep-alive" not in wishes)
    ends = ends or (length is None and coding is None)
    return AnswerHead(status, headers, length, coding is not None, ends)
