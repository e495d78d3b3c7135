"""Responses: their kinds, and how each of them is sent over ASGI."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.types import Receive, Send

from synth_pools.backend.api.disconnects import unless_disconnected
from synth_pools.backend.domain import json_text
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage.event_logs import Subject

# Size of one piece of a large body: two of them are in memory for a client that does not read.
PIECE_BYTES = 64 * 1024


# Not frozen: creating a frozen one takes three times as long.
@dataclass(slots=True)
class JSONResponse:
    """Response whose body is JSON text."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    # Memory of a large body, if it was reserved before the body was made.
    reserved: Reservation | None = None


@dataclass(frozen=True, slots=True)
class TextResponse:
    """Response for a path that is no operation of openapi.yaml."""

    body: bytes
    content_type: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BytesResponse:
    """Response in a format other than JSON, sent while it is made."""

    status: int
    headers: dict[str, str]
    chunks: AsyncGenerator[bytes, None]
    # Memory reserved until the last chunk is sent.
    reserved: Reservation | None = None


@dataclass(frozen=True, slots=True)
class EventStreamResponse:
    """Stream of server-sent events."""

    subject: Subject
    pieces: AsyncGenerator[bytes, None]


Response = JSONResponse | BytesResponse | EventStreamResponse


def json_response(document: Any, status: int = 200) -> JSONResponse:
    """Respond with a document, serialized as JSON."""
    return JSONResponse(status, json_text.dumps(document).encode("ascii"))


def created_response(document: Any, *path: str) -> JSONResponse:
    """Respond with a new object and its location; `path` has the segments below `/v1`."""
    # Relative to the address of its list, since a proxy may serve the API below a prefix.
    location = "/".join(quote(segment, safe="") for segment in path[-2:])
    body = json_text.dumps(document).encode("ascii")
    return JSONResponse(201, body, {"location": location})


def json_text_response(document: str, status: int = 200) -> JSONResponse:
    """Respond with a document that is JSON text already."""
    return JSONResponse(status, document.encode("ascii"))


async def send_json(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send a response with a body of known length.

    Args:
        send: The response's ASGI channel.
        status: The status.
        headers: The headers.
        body: The body.
    """
    await send(_start(status, {**headers, "content-length": str(len(body))}))
    await send({"type": "http.response.body", "body": body})


async def send_large(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, on_taken: Callable[[], None]
) -> None:
    """Send a large body in pieces, each after the client has taken the previous one.

    Args:
        send: The response's ASGI channel.
        status: The status.
        headers: The headers.
        body: The body.
        on_taken: Called after each piece.
    """
    await send(_start(status, {**headers, "content-length": str(len(body))}))
    sent_bytes = 0
    for piece in in_pieces(body):
        sent_bytes += len(piece)
        continuation = {"more_body": sent_bytes < len(body)}
        await send({"type": "http.response.body", "body": piece, **continuation})
        on_taken()


def in_pieces(body: bytes) -> Iterator[bytes]:
    """Split a body into pieces of limited size."""
    if len(body) <= PIECE_BYTES:
        yield body
        return
    for begin in range(0, len(body), PIECE_BYTES):
        yield body[begin : begin + PIECE_BYTES]


async def send_stream(
    receive: Receive,
    send: Send,
    headers: Mapping[str, str],
    chunks: AsyncGenerator[bytes, None],
    status: int = 200,
) -> None:
    """Send chunks as they are made.

    Args:
        receive: The request's ASGI channel, watched for a disconnect.
        send: The response's ASGI channel.
        headers: The response's headers.
        chunks: The body; closed at once if the client disconnects.
        status: The response's status.

    Raises:
        ClientDisconnectedError: The client disconnected before the end.
    """
    await send(_start(status, headers))

    async def send_chunks() -> None:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    await unless_disconnected(receive, send_chunks())


def _start(status: int, headers: Mapping[str, str]) -> dict[str, object]:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
