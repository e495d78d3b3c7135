"""Faults: their form, and their building blocks."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from synth_pools.contract.document import Document, Operation
from synth_pools.spec import load_spec
from tests.contract.faults.wire import Request, Response, without

Ask = Callable[[Request], Awaitable[Response]]
Blocks = AsyncIterator[bytes]
Answering = Callable[[Request, "Passing"], Awaitable[Response | None]]
Altering = Callable[[Request, Response, "Passing"], Awaitable[Response]]
Streaming = Callable[[Request, Blocks, "Passing"], Blocks]

# Keys of two organisations, of backends that have some.
KEY = "watched-key-0123456789"
OTHER_KEY = "another-key-0123456789"
CONTAINER_KEY = "key-of-containers-0123456789"
DOCUMENT = Document(load_spec())
_NUMBERS = itertools.count()
_ROUTES: dict[str, list[Operation]] = {}
for _operation in DOCUMENT.operations.values():
    _ROUTES.setdefault(_operation.method, []).append(_operation)


@dataclass(slots=True)
class Passing:
    """A request on its way through the proxy, with the memory of the fault."""

    operation: str
    ids: dict[str, str]
    memory: dict[Any, Any]
    key: str
    ask: Ask


async def _untouched(request: Request, response: Response, passing: Passing) -> Response:
    return response


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name.
        kind: Its kind, for the table.
        operations: The operations of which the kit has to name one.
        on: The operations whose requests it sees.
        before: A hook that may change the request, or answer in the backend's place.
        after: A hook that changes the response.
        stream: A hook that changes the blocks of an event stream.
        backend: The backend behind the proxy: "local"; "second", which two organisations use;
            "processes", which may start some; "small", whose queues are short; "plain", which
            lacks features.
        check: The check that has to see it; "" where any may.
        rule: The rule that reports it while that check runs; "" where the check itself does.
    """

    name: str
    kind: str
    operations: tuple[str, ...]
    on: tuple[str, ...]
    before: Answering | None = None
    after: Altering = _untouched
    stream: Streaming | None = None
    backend: str = "local"
    check: str = ""
    rule: str = ""


def addressed(request: Request) -> tuple[str, dict[str, str]]:
    """Return the operation of a request and the ids in its path; "" where it addresses none."""
    for operation in _ROUTES.get(request.method, ()):
        ids = operation.ids(request.path)
        if ids is not None:
            return operation.id, ids
    return "", {}


def seen_by(check: str, operation: str, name: str, **hooks: Any) -> Fault:
    """Build the fault of one operation that one check has to see.

    Args:
        check: The id of the check, whose first word becomes the kind.
        operation: The id of the operation.
        name: The name of the fault.
        **hooks: Further attributes of `Fault`.
    """
    kind = check.partition(".")[0].replace("_", " ")
    return Fault(name, kind, (operation,), (operation,), check=check, **hooks)


# Building blocks of faults.


def answers(
    change: Callable[[Any], Any], *, statuses: tuple[int, ...] = (200, 201, 202)
) -> Altering:
    """Change the JSON of responses with these statuses."""

    async def after(request: Request, response: Response, passing: Passing) -> Response:
        value = response.json()
        if response.status not in statuses or value is None:
            return response
        return response.with_json(change(value))

    return after


def each_item(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    """Apply the change of one resource to a list of them as well."""

    def of(value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("items"), list):
            return {**value, "items": [change(item) for item in value["items"]]}
        return change(value)

    return of


def dropped(*names: str) -> Callable[[dict[str, Any]], Any]:
    return each_item(lambda thing: {k: v for k, v in thing.items() if k not in names})


def renamed(old: str, new: str) -> Callable[[dict[str, Any]], Any]:
    return each_item(lambda thing: {new if k == old else k: v for k, v in thing.items()})


def put(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Set a field to a value, or to a function of the old one."""
    new_value = value if callable(value) else lambda _: value
    return each_item(
        lambda thing: {**thing, name: new_value(thing.get(name))} if name in thing else thing
    )


def status_becomes(old: int, new: int) -> Altering:
    async def after(request: Request, response: Response, passing: Passing) -> Response:
        if response.status == old:
            response.status = new
        return response

    return after


def header_lost(name: str, *, statuses: Callable[[int], bool] = lambda _: True) -> Altering:
    async def after(request: Request, response: Response, passing: Passing) -> Response:
        if statuses(response.status):
            response.headers = without(response.headers, name)
        return response

    return after


def query_lost(*names: str) -> Answering:
    """Forward the request without some of its query."""

    async def before(request: Request, passing: Passing) -> None:
        pairs = parse_qsl(request.query, keep_blank_values=True)
        remaining = [(name, value) for name, value in pairs if name not in names]
        request.target = request.path + (f"?{urlencode(remaining)}" if remaining else "")

    return before


def request_header_lost(name: str) -> Answering:
    async def before(request: Request, passing: Passing) -> None:
        request.headers = without(request.headers, name)

    return before


def query_of(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.query, keep_blank_values=True))


def json_response(status: int, value: Any, **headers: str) -> Response:
    # No two answers of a run have one id.
    request_id = f"req_fault_{next(_NUMBERS)}"
    pairs = [("content-type", "application/json"), ("x-request-id", request_id)]
    pairs += [(name.replace("_", "-"), text) for name, text in headers.items()]
    return Response(status, pairs, json.dumps(value).encode())


def error_response(status: int, code: str, message: str = "no") -> Response:
    return json_response(status, {"detail": message, "error": {"code": code, "message": message}})


def html_response(status: int) -> Response:
    body = b"<!doctype html><html><body><h1>Something went wrong</h1></body></html>"
    return Response(status, [("content-type", "text/html; charset=utf-8")], body)


def sibling(request: Request, method: str, path: str, value: Any = None) -> Request:
    """Build another request by the same caller."""
    headers = [(k, v) for k, v in request.headers if k.lower() in ("authorization", "host")]
    if value is None:
        return Request(method, path, headers)
    headers.append(("content-type", "application/json"))
    return Request(method, path, headers, json.dumps(value).encode())


async def blocks_of(pieces: AsyncIterator[bytes]) -> Blocks:
    """Split an event stream in blocks, each with the blank line that ends it."""
    buffer = b""
    async for piece in pieces:
        buffer += piece
        while b"\n\n" in buffer:
            block, _, buffer = buffer.partition(b"\n\n")
            yield block + b"\n\n"
    if buffer:
        yield buffer


def event_type(block: bytes) -> str | None:
    match = re.search(rb"^event: ?(.*)$", block, re.MULTILINE)
    return match.group(1).decode() if match else None


def event_json(block: bytes) -> dict[str, Any]:
    match = re.search(rb"^data: ?(.*)$", block, re.MULTILINE)
    value = json.loads(match.group(1)) if match else {}
    return value if isinstance(value, dict) else {}


def event_block(envelope: dict[str, Any]) -> bytes:
    data = json.dumps(envelope)
    return f"id: {envelope['id']}\nevent: {envelope['event']}\ndata: {data}\n\n".encode()


def is_terminal(block: bytes) -> bool:
    return event_type(block) in ("rollout.completed", "rollout.failed", "rollout.cancelled")
