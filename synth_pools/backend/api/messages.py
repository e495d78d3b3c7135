"""Requests as handlers get them, and the kinds of their responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.types import Receive

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.openapi import Operation
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.services import Services
from synth_pools.backend.storage.event_logs import Subject


@dataclass(slots=True)
class Request:
    """One request, every part of it validated against openapi.yaml."""

    services: Services
    operation: Operation
    # Path, query and header parameters by name; those that were not sent are absent.
    parameters: dict[str, Any]
    # None where there is none; the bytes are those that were sent.
    body: Any
    raw_body: bytes
    base_url: str
    receive: Receive
    # Of a large body.
    reserved: Reservation | None = None

    def forget_body(self) -> None:
        """Give back the memory of the body, which is needed no more."""
        self.body, self.raw_body = None, b""
        if self.reserved is not None:
            self.reserved.release()

    def path(self, name: str) -> str:
        return str(self.parameters[name])


# Made for each rollout: a frozen one takes three times as long.
@dataclass(slots=True)
class JSONResponse:
    """A response whose body is JSON text."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    # Of a large one, where it was reserved before it was made.
    reserved: Reservation | None = None


@dataclass(frozen=True, slots=True)
class TextResponse:
    """A response for a path that is no operation of openapi.yaml."""

    body: bytes
    content_type: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BytesResponse:
    """A response that is no JSON; sent as it is made."""

    status: int
    headers: dict[str, str]
    chunks: AsyncGenerator[bytes, None]
    # Of what it holds until the last of them is sent.
    reserved: Reservation | None = None


@dataclass(frozen=True, slots=True)
class EventStreamResponse:
    """A stream of server-sent events."""

    subject: Subject
    pieces: AsyncGenerator[bytes, None]


Response = JSONResponse | BytesResponse | EventStreamResponse
Handler = Callable[[Request], Awaitable[Response]]


def json_response(document: Any, status: int = 200) -> JSONResponse:
    """Respond with a document, serialized as JSON."""
    return JSONResponse(status, json_text.dumps(document).encode("ascii"))


def created_response(document: Any, *path: str) -> JSONResponse:
    """Respond with what was made, and with where it is: the segments of its path below `/v1`."""
    location = "/".join(("/v1", *(quote(segment, safe="") for segment in path)))
    body = json_text.dumps(document).encode("ascii")
    return JSONResponse(201, body, {"location": location})


def json_text_response(document: str, status: int = 200) -> JSONResponse:
    """Respond with a document that is JSON text already."""
    return JSONResponse(status, document.encode("ascii"))
