"""Responses with content: all of it, a range of it, or 304 if the client has it already.

The bytes come from a container: browsers must save them, and never show them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any
from urllib.parse import quote

from synth_pools.backend.api.responses import BytesResponse
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage.contents.store import in_executor

_ONE_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.IGNORECASE)
_CACHING = "private, no-cache"
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def archive_response(
    name: str,
    pieces: Iterator[bytes],
    size: int | None = None,
    reserved: Reservation | None = None,
    executor: Executor | None = None,
) -> BytesResponse:
    """Respond with an archive, as a file to be saved.

    Args:
        name: The file's name for the client.
        pieces: The archive's bytes; each piece is made in a thread after the previous one was sent.
        size: The size in bytes, if it is known before the first piece.
        reserved: Memory reserved until the last piece is sent.
        executor: The threads in which pieces are made; None for the event loop's executor.
    """
    headers = _headers("application/zip", name)
    if size is not None:
        headers["content-length"] = str(size)
    return BytesResponse(200, headers, in_threads(pieces, executor), reserved)


def content_response(
    parameters: Mapping[str, Any],
    sha256: str,
    size: int,
    name: str,
    pieces: Callable[[int, int], Iterator[bytes]],
    reserved: Reservation | None = None,
    executor: Executor | None = None,
) -> BytesResponse:
    """Respond with content, or with the range of it that the request's headers select.

    Args:
        parameters: The request's parameters; `Range`, `If-Range` and `If-None-Match` are read.
        sha256: The content's hash, which is its entity tag.
        size: The content's bytes.
        name: The file's name for the client.
        pieces: Yields the bytes from `start` to before `end`.
        reserved: Memory reserved until the last piece is sent.
        executor: The threads in which pieces are read; None for the event loop's executor.

    Raises:
        ApiError: 416 for a range that begins after the end.
    """
    etag = f'"{sha256}"'
    if _is_known(parameters.get("If-None-Match"), etag):
        return BytesResponse(304, {"etag": etag, "cache-control": _CACHING}, in_threads(iter(())))
    headers = {**_headers("application/octet-stream", name), "etag": etag, "accept-ranges": "bytes"}
    selected = None
    # Only a strong entity tag counts: it guarantees equal bytes.
    if parameters.get("If-Range", etag) == etag:
        selected = byte_range(parameters.get("Range"), size)
    start, end = selected or (0, size)
    headers["content-length"] = str(end - start)
    if selected is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if selected is None else 206
    return BytesResponse(status, headers, in_threads(pieces(start, end), executor), reserved)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Parse a `Range` header of one range.

    Args:
        header: The header's value.
        size: The content's bytes.

    Returns:
        `[start, end)`; None for an invalid header or several ranges, which get the full content.

    Raises:
        ApiError: 416 for a range that begins after the end.
    """
    match = _ONE_RANGE.fullmatch((header or "").strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1]:
        start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
        if end <= start and match[2]:
            return None
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= size:
        raise ApiError(
            416,
            "range_not_satisfiable",
            f"The content has {size} bytes; the range begins after them.",
            headers={"content-range": f"bytes */{size}"},
        )
    return start, min(end, size)


async def in_threads(
    pieces: Iterator[bytes], executor: Executor | None = None
) -> AsyncGenerator[bytes, None]:
    """Make each piece in a thread, after the previous one was sent."""
    while True:
        piece = await in_executor(executor, next, pieces, None)
        if piece is None:
            return
        yield piece


def _is_known(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or etag in _TAG.findall(header)


def _headers(kind: str, name: str) -> dict[str, str]:
    # Both forms: a plain one for older clients, and an encoded one that can spell any name.
    plain, encoded = re.sub(r"[^A-Za-z0-9 ._-]", "_", name), quote(name, safe="")
    return {
        "content-type": kind,
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": _CACHING,
    }
