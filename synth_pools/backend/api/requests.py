"""Requests: reading of head, body and JSON, each within its limits."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from starlette.types import Receive, Scope

from synth_pools.backend.api.disconnects import ClientDisconnectedError
from synth_pools.backend.containers.url_policy import IpAddress, plain
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError, bad_request, no_room, payload_too_large
from synth_pools.backend.domain.openapi import Body, Operation
from synth_pools.backend.domain.validation import read_fields, read_query
from synth_pools.backend.limits import Limits
from synth_pools.backend.resources.byte_budget import ByteBudget, NoRoomError, Reservation, timeout
from synth_pools.backend.resources.workers import Workers
from synth_pools.backend.server.messages import Receiving
from synth_pools.backend.services import Services

_VERSIONS = frozenset({"1.0", "1.1", "2", "3"})
JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_MERGE_PATCH = "application/merge-patch+json"
# Headers whose value is a list, which a client or a proxy may send in parts.
_LISTS = frozenset({b"prefer", b"if-none-match"})
# Parsing holds the interpreter's lock: a megabyte of escapes takes up to 30 milliseconds.
_MOST_IN_A_THREAD = 1024 * 1024
# Bytes of the colon, the space and the line end of a header.
_BETWEEN = 4
_HOST = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._~-]+))(?::[0-9]{1,5})?"
)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


@dataclass(slots=True)
class Request:
    """Request, every part of it validated against openapi.yaml."""

    services: Services
    operation: Operation
    # Path, query and header parameters by name; parameters that were not sent are absent.
    parameters: dict[str, Any]
    # None without a body; `raw_body` has its bytes.
    body: Any
    raw_body: bytes
    base_url: str
    receive: Receive
    # As it was sent, without the question mark.
    query: bytes = b""
    # The name of the caller's key: "" for a key without a name.
    key_name: str = ""
    # Memory reserved for a large body.
    reserved: Reservation | None = None

    def forget_body(self) -> None:
        """Release the memory of the body, which is no longer needed."""
        self.body, self.raw_body = None, b""
        if self.reserved is not None:
            self.reserved.release()

    def path(self, name: str) -> str:
        return str(self.parameters[name])


def headers_of(scope: Scope) -> dict[str, str]:
    """Index the headers by lower-case name; of several with one name, take the first or join."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        text = value.decode("latin-1")
        first = headers.setdefault(name.decode("latin-1"), text)
        if name in _LISTS and first is not text:
            headers[name.decode("latin-1")] = f"{first}, {text}"
    return headers


def check_head(scope: Scope, most_bytes: int) -> None:
    """Refuse an unknown version of HTTP and a head that is too large.

    The parser counts a head only while it is incomplete, so not a head in one packet.

    Args:
        scope: The ASGI scope.
        most_bytes: The limit on the request line and the headers together.

    Raises:
        ApiError: 400 for the version, 431 for the size.
    """
    if scope["http_version"] not in _VERSIONS:
        raise bad_request("The version of HTTP is none that is spoken here.")
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value) + _BETWEEN
    if size > most_bytes:
        message = f"The line and the headers of the request are larger than {most_bytes} bytes."
        raise ApiError(431, "headers_too_large", message, headers={"connection": "close"})


def base_url_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """Build the base URL under which the client reached the backend, or the proxy before it."""
    host = headers.get("host")
    if host is None:
        address, port = scope.get("server") or ("127.0.0.1", None)
        host = f"[{address}]" if ":" in address else address
        if port is not None:
            host = f"{host}:{port}"
    scheme = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    if scheme not in ("http", "https"):
        scheme = scope["scheme"]
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix if _PREFIX.fullmatch(prefix) else ''}"


async def read_body(
    receive: Receive, headers: Mapping[str, str], limits: Limits, room: ByteBudget
) -> tuple[bytes, Reservation | None]:
    """Read the entire body.

    Args:
        receive: The request's ASGI channel.
        headers: The request's headers by lower-case name.
        limits: The largest size of a body, and the longest time for it.
        room: Room for large bodies.

    Returns:
        The body, and the room reserved for it; None for a small body.

    Raises:
        ApiError: 413 if it is too large, 400 if it did not arrive in time, 503 if there is no room.
        ClientDisconnectedError: The client disconnected before the end of the body.
    """
    limit, limit_seconds = limits.max_body_bytes, limits.body_timeout_seconds
    declared = headers.get("content-length", "")
    expected = int(declared) if declared.isdecimal() else limit
    if expected > limit:
        raise payload_too_large(limit)
    if expected <= json_text.LARGE and isinstance(receive, Receiving):
        body = receive.take_whole()
        if body is not None:
            return body, None
    chunks: list[bytes] = []
    size = 0
    reserved: Reservation | None = None
    try:
        async with timeout(limit_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnectedError
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise payload_too_large(limit)
                chunks.append(chunk)
                if reserved is None and size > json_text.LARGE:
                    try:
                        reserved = await room.reserve(expected, limits.room_wait_seconds)
                    except NoRoomError:
                        error = no_room(limits.room_wait_seconds)
                        # The rest of the body is not read.
                        error.headers["connection"] = "close"
                        raise error from None
                if not message.get("more_body", False):
                    if reserved is not None:
                        reserved.shrink(size)
                    return b"".join(chunks), reserved
    except TimeoutError:
        error = bad_request(f"The body did not arrive within {limit_seconds:g} seconds.")
        # The rest of the body would be read as another request.
        error.headers["connection"] = "close"
        raise error from None


async def parse_body(
    raw: bytes,
    headers: Mapping[str, str],
    limits: Limits,
    workers: Workers,
    *,
    is_patch: bool = False,
) -> Any:
    """Parse a body, which must not be empty.

    Args:
        raw: The body.
        headers: The request's headers by lower-case name.
        limits: The greatest depth and number of values.
        workers: Processes that parse bodies which would block the event loop.
        is_patch: True if the body may be declared as a JSON merge patch.

    Returns:
        The JSON value.

    Raises:
        ApiError: 415 if it is not declared as JSON, 413 if it holds too many values, 400 if it is
            not valid JSON.
    """
    media_type = _media_type(headers)
    if media_type != JSON and not (is_patch and media_type == _MERGE_PATCH):
        raise ApiError(415, "unsupported_media_type", f"The body must be {JSON}.")
    loads = partial(json_text.loads, raw, limits.max_depth, limits.max_body_values)
    try:
        if len(raw) <= json_text.LARGE:
            return loads()
        if len(raw) <= _MOST_IN_A_THREAD:
            return await asyncio.to_thread(loads)
        return await workers.run(json_text.loads, *loads.args)
    except json_text.TooLargeJsonError:
        raise ApiError(
            413,
            "payload_too_large",
            f"The body holds more than {limits.max_body_values} JSON values: send fewer at a time, "
            "as one text, or start the backend with a larger --max-body-values.",
        ) from None
    except json_text.BrokenJsonError as error:
        raise bad_request(f"The body is no JSON: {error}.") from None


def read_other_body(raw: bytes, headers: Mapping[str, str], body: Body) -> dict[str, Any] | None:
    """Read a body that is no JSON: a form as an object; None for bytes.

    Raises:
        ApiError: 415 if it is declared as another type than that of the operation.
    """
    if _media_type(headers) != body.media_type:
        raise ApiError(415, "unsupported_media_type", f"The body must be {body.media_type}.")
    return read_fields(read_query(raw), body.shape) if body.media_type == _FORM else None


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def check_host(scope: Scope, headers: Mapping[str, str], allowed_hosts: Collection[str]) -> None:
    """Refuse a host name that is neither allowed nor a name of this machine.

    Args:
        scope: The ASGI scope, which has the address that the client connected to.
        headers: The request's headers by lower-case name.
        allowed_hosts: Further names, in lower case.

    Raises:
        ApiError: 403 `forbidden_host`; 400 for a header that names no host.
    """
    header = headers.get("host")
    if header is None:
        # HTTP/1.0, which no browser speaks.
        return
    name = _name(header)
    if name == "localhost" or name.endswith(".localhost") or name in allowed_hosts:
        return
    # The address of the connection itself, whatever a proxy says.
    server_host = str((scope.get("server") or ("127.0.0.1",))[0])
    if not _is_same_host(name, server_host):
        raise ApiError(
            403,
            "forbidden_host",
            f"This backend does not answer to the name {name[:255]!r}: call it by its address, or "
            "start it with that name among --allowed-hosts.",
        )


@lru_cache(maxsize=256)
def _is_same_host(name: str, server_host: str) -> bool:
    try:
        address, server_address = ipaddress.ip_address(name), ipaddress.ip_address(server_host)
    except ValueError:
        return False
    return address == server_address or (_is_loopback(address) and _is_loopback(server_address))


def _is_loopback(address: IpAddress) -> bool:
    # Python versions differ on whether ::ffff:127.0.0.1 is a loopback address.
    return address.is_loopback and plain(address) is address


def _name(header: str) -> str:
    """Parse the host in `host`, `host:port`, `[address]` or `[address]:port`."""
    match = _HOST.fullmatch(header)
    if match is None:
        raise bad_request("The header Host names no host.")
    return (match["address"] or match["name"]).lower().removesuffix(".")
