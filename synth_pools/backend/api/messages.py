"""What a handler is given, and what it gives back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive

from ..domain import json_text
from ..domain.openapi import Operation
from ..services import Services
from ..storage.events import Event


@dataclass(frozen=True, slots=True)
class Request:
    """One request whose every part has been found to be what openapi.yaml asks for."""

    services: Services
    operation: Operation
    # Path, query and header parameters by name; those that were not sent are absent.
    parameters: dict[str, Any]
    # None where there is none; the bytes are those that were sent.
    body: Any
    raw_body: bytes
    base_url: str
    receive: Receive

    def path(self, name: str) -> str:
        return str(self.parameters[name])


@dataclass(frozen=True, slots=True)
class JSONResponse:
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class TextResponse:
    """For what is no operation of openapi.yaml."""

    body: bytes
    content_type: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class BytesResponse:
    """What is no JSON; sent as it is made."""

    status: int
    headers: dict[str, str]
    chunks: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class EventStreamResponse:
    rollout_id: str
    # An empty list is a sign of life.
    events: AsyncGenerator[list[Event], None]


Response = JSONResponse | BytesResponse | EventStreamResponse
Handler = Callable[[Request], Awaitable[Response]]


def json_response(document: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(status, json_text.dumps(document).encode("ascii"))


def json_text_response(document: str, status: int = 200) -> JSONResponse:
    """An answer that is JSON text already."""
    return JSONResponse(status, document.encode("ascii"))
