"""What is read of an HTTP request before anyone looks at what it means."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope

from ..domain import json_text
from ..domain.errors import (
    bad_request,
    headers_too_large,
    payload_too_large,
    unsupported_media_type,
)
from ..limits import Limits
from .disconnects import ClientDisconnectedError

_VERSIONS = frozenset({"1.0", "1.1", "2", "3"})
# A colon, a space and the end of the line.
_BETWEEN = 4


def headers_of(scope: Scope) -> dict[str, str]:
    """By lower-case name, the first of several."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers


def check_head(scope: Scope, most_bytes: int) -> None:
    """Refuse what the parser let through: a version of the future, and a head that came at once."""
    if scope["http_version"] not in _VERSIONS:
        raise bad_request("The version of HTTP is none that is spoken here.")
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size += sum(len(name) + len(value) + _BETWEEN for name, value in scope["headers"])
    if size > most_bytes:
        raise headers_too_large(most_bytes)


def base_url_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """Where the client found us, so that URLs in answers lead it back to the same place."""
    host = headers.get("host")
    if host is None:
        address, port = scope.get("server") or ("127.0.0.1", None)
        host = f"[{address}]" if ":" in address else address
        if port is not None:
            host = f"{host}:{port}"
    return f"{scope['scheme']}://{host}"


async def read_body(receive: Receive, headers: Mapping[str, str], limits: Limits) -> bytes:
    limit, limit_seconds = limits.max_body_bytes, limits.body_timeout_seconds
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise payload_too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limit_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnectedError
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise payload_too_large(limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        error = bad_request(f"The body did not arrive within {limit_seconds:g} seconds.")
        # Nothing that still comes could be told from another request.
        error.headers["connection"] = "close"
        raise error from None


async def parse_body(raw: bytes, headers: Mapping[str, str], max_depth: int) -> Any:
    """The JSON value of a body that is not empty."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise unsupported_media_type()
    try:
        return await json_text.loads_politely(raw, max_depth)
    except json_text.BrokenJsonError as error:
        raise bad_request(f"The body is no JSON: {error}.") from None
