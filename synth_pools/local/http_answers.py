"""Reading one HTTP/1.1 answer from bytes as they come, whatever they are."""

from __future__ import annotations

import re

_MOST_HEAD_BYTES = 100 * 1024
_MOST_LINE_BYTES = 16 * 1024

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class BrokenAnswerError(Exception):
    """What came is no whole answer, or more than is taken; the request may have been carried out.

    `too_large` tells the two apart.
    """

    def __init__(self, cause: str, *, too_large: bool = False) -> None:
        super().__init__(cause)
        self.too_large = too_large


class Answering:
    """One answer on its way: `status`, `body` and `keeps_open` count once `feed` returned True."""

    def __init__(self, most_bytes: int) -> None:
        self.status = 0
        self.body = bytearray()
        self.keeps_open = True
        self._most_bytes = most_bytes
        self._received = bytearray()
        # How much of that was looked through in vain for the end of the headers.
        self._searched = 0
        # Bytes of the body that are still to come; None where the end of the connection ends it.
        self._remaining: int | None = 0
        self._is_chunked = False
        # Of a chunked body: whether the line end after a chunk, and the lines after all, are next.
        self._after_chunk = self._in_trailers = False

    @property
    def what_is_missing(self) -> str:
        if not self.status:
            return "the connection ended before an answer came"
        return "the connection ended in the middle of the answer"

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; True at the end of the answer."""
        self._received += data
        if not self.status and not self._read_head():
            return False
        if self._is_chunked:
            return self._read_chunks()
        self._take(len(self._received) if self._remaining is None else self._remaining)
        return self._remaining == 0 and self._ended()

    def ends_with_connection(self) -> bool:
        """Whether an answer that has no other end is complete when the connection ends."""
        self.keeps_open = False
        return bool(self.status) and self._remaining is None and not self._is_chunked

    def _ended(self) -> bool:
        if self._received:
            # More than was asked for: whatever it is, it belongs to no later call.
            self.keeps_open = False
        return True

    def _read_head(self) -> bool:
        while True:
            end = _HEAD_END.search(self._received, self._searched)
            if (len(self._received) if end is None else end.start()) > _MOST_HEAD_BYTES:
                raise BrokenAnswerError("the headers are too large", too_large=True)
            if end is None:
                self._searched = max(0, len(self._received) - 3)
                return False
            lines = bytes(self._received[: end.start()]).split(b"\n")
            del self._received[: end.end()]
            self._searched = 0
            started = _STATUS_LINE.fullmatch(lines[0].removesuffix(b"\r"))
            if started is None:
                raise BrokenAnswerError("the answer is no HTTP/1.1")
            status = int(started[2])
            if status == 101:
                raise BrokenAnswerError("the container changed the protocol, unasked")
            if status >= 200:
                self.status = status
                self._read_headers(lines[1:], is_http_1_0=started[1] == b"0")
                return True
            # What came was merely an announcement of the answer.

    def _read_headers(self, lines: list[bytes], *, is_http_1_0: bool) -> None:
        headers: dict[bytes, bytes] = {}
        for line in lines:
            found = _HEADER.fullmatch(line.removesuffix(b"\r"))
            if found is None:
                raise BrokenAnswerError("the answer has a header that is none")
            name, value = found[1].lower(), found[2]
            headers[name] = headers[name] + b"," + value if name in headers else value
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BrokenAnswerError("the answer is compressed, unasked")
        closing = b"close" in headers.get(b"connection", b"").lower()
        self.keeps_open = not (closing or is_http_1_0)
        self._choose_end(headers)

    def _choose_end(self, headers: dict[bytes, bytes]) -> None:
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
        if self.status in (204, 304):
            self._remaining = 0
        elif coding is not None:
            if coding.lower() != b"chunked":
                raise BrokenAnswerError("the answer has a transfer-encoding that is not known")
            self._is_chunked = True
            if length is not None:
                # Two ends: others may have believed the other one.
                self.keeps_open = False
        elif length is not None:
            length, *others = {text.strip() for text in length.split(b",")}
            if others or not _LENGTH.fullmatch(length):
                raise BrokenAnswerError("the answer has a length that is no number")
            self._remaining = int(length)
            self._check_size(self._remaining)
        else:
            self._remaining = None

    def _take(self, size: int) -> None:
        """Move so many bytes, as far as they are there, to the body."""
        received = self._received
        if len(received) <= size:
            piece, self._received = received, bytearray()
        else:
            piece = received[:size]
            del received[:size]
        self._check_size(len(self.body) + len(piece))
        self.body += piece
        if self._remaining is not None:
            self._remaining -= len(piece)

    def _read_chunks(self) -> bool:
        while True:
            if self._remaining:
                self._take(self._remaining)
                if self._remaining:
                    return False
                self._after_chunk = True
            line = self._next_line()
            if line is None:
                return False
            if self._in_trailers:
                if not line:
                    return self._ended()
            elif self._after_chunk:
                if line:
                    raise BrokenAnswerError("a chunk is longer than it says")
                self._after_chunk = False
            else:
                found = _CHUNK_LINE.fullmatch(line)
                if found is None:
                    raise BrokenAnswerError("a chunk has a length that is no number")
                self._remaining = int(found[1], 16)
                self._check_size(len(self.body) + self._remaining)
                self._in_trailers = self._remaining == 0

    def _next_line(self) -> bytes | None:
        end = self._received.find(b"\n")
        if max(end, 0 if end >= 0 else len(self._received)) > _MOST_LINE_BYTES:
            raise BrokenAnswerError("a line between chunks is too long", too_large=True)
        if end < 0:
            return None
        line = bytes(self._received[:end]).removesuffix(b"\r")
        del self._received[: end + 1]
        return line

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            raise BrokenAnswerError(f"more than {self._most_bytes} bytes", too_large=True)
