"""The ASGI application: routes, keys, bodies, parameters and refusals."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import re
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.contract.second_backend.calls import HANDLERS, Backend, Call, Json
from tests.contract.second_backend.containers import Containers
from tests.contract.second_backend.document import (
    Operation,
    Parameter,
    body_faults,
    operations,
    parameter_faults,
)
from tests.contract.second_backend.problems import Problem, invalid
from tests.contract.second_backend.rules import Rules
from tests.contract.second_backend.runner import Runner
from tests.contract.second_backend.state import Store

# Headers that only a server with the feature reads.
_HEADERS = {"Idempotency-Key": "idempotency_keys"}
_LARGEST_BODY = 16 * 1024 * 1024
_DEEPEST = 200
_HOSTS = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$", re.IGNORECASE)
_PREFIX = re.compile(r"(/[\w~-][\w.~-]*)+$", re.ASCII)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,30}$")


def application(
    keys: Mapping[str, str], broken: tuple[str, ...] = (), lacking: tuple[str, ...] = ()
) -> Starlette:
    """The backend.

    Args:
        keys: The owner of each API key.
        broken: Rules that it does not keep.
        lacking: Optional features that it does not offer.
    """
    keeps = Rules(broken)
    store, containers = Store(keeps), Containers(keeps)
    runner = Runner(store, containers, keeps)
    backend = Backend(keeps, store, containers, runner, frozenset(lacking))

    @contextlib.asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        checks = asyncio.create_task(
            containers.check_for_ever(lambda: list(store.pools.values()), backend.runner.came_back)
        )
        try:
            yield
        finally:
            checks.cancel()
            await backend.runner.close()
            await containers.close()

    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations():
        by_path[operation.path][operation.method] = operation
    routes = [
        Route(path.replace("{artifact_path}", "{artifact_path:path}"), _Path(backend, keys, calls))
        for path, calls in by_path.items()
    ]
    app = Starlette(
        routes=routes,
        lifespan=running,
        exception_handlers={HTTPException: _unknown_path, Exception: _failed},
    )
    app.router.redirect_slashes = False
    app.add_middleware(_Encoded, keys=keys, keeps=keeps)
    return app


class _Encoded:
    """Router that matches the raw path: an encoded slash is a part of an id."""

    def __init__(self, app: Any, keys: Mapping[str, str], keeps: Rules) -> None:
        self._app, self._keys, self._keeps = app, keys, keeps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            parts = scope["raw_path"].decode("latin-1").split("/")
            plain = "/".join(quote(unquote_to_bytes(part), safe=":") for part in parts)
            if not self._keeps("paths.encoded_slash"):
                plain = plain.replace("%2F", "/")
            scope = {**scope, "path": plain}
        await self._app(scope, receive, send)


class _Path:
    """Endpoint of one path, with its operations by method."""

    def __init__(
        self, backend: Backend, keys: Mapping[str, str], by_method: dict[str, Operation]
    ) -> None:
        self._backend, self._keys, self._by_method = backend, keys, by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = f"req_{secrets.token_hex(8)}"
        try:
            response = await self._answer(request)
        except Problem as problem:
            response = refused(problem, request_id)
        if self._backend.keeps("errors.request_id"):
            response.headers["x-request-id"] = request_id
        if request.method == "HEAD":
            start = {"type": "http.response.start", "status": response.status_code}
            await send({**start, "headers": response.raw_headers})
            await send({"type": "http.response.body"})
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        keeps = self._backend.keeps
        _check_host(request)
        size = sum(len(name) + len(value) for name, value in request.headers.raw)
        if size > 4096 and not keeps("errors.least_head"):
            raise Problem("headers_too_large", "The headers are larger than 4096 bytes.")
        owner = _owner(request, self._keys, keeps)
        answers_head = request.method == "HEAD" and "GET" in self._by_method
        if answers_head and not keeps("errors.head"):
            raise Problem("not_found", "This server knows no HEAD.")
        operation = self._by_method.get("GET" if answers_head else request.method)
        if operation is None:
            headers = {"Allow": ", ".join(sorted(self._by_method))} if keeps("errors.allow") else {}
            raise Problem(
                "method_not_allowed", f"{request.method} is not offered here.", headers=headers
            )
        handler = HANDLERS.get(operation.name)
        if handler is None:
            raise Problem("not_implemented", f"This server does not offer {operation.name}.")
        values = _parameters(request, operation, self._backend)
        raw, body = await _body(request, operation, keeps)
        host = request.headers.get("host", "127.0.0.1")
        base = f"{_scheme(request, keeps)}://{host}{_prefix(request, keeps)}"
        return await handler(
            Call(
                self._backend,
                operation,
                owner,
                base,
                values["path"],
                values["query"],
                dict(request.headers),
                body,
                raw,
                request.url.query,
            )
        )


def _scheme(request: Request, keeps: Rules) -> str:
    scheme = request.headers.get("x-forwarded-proto", "").lower()
    is_known = scheme in ("http", "https") and keeps("urls.forwarded_proto")
    return scheme if is_known else request.url.scheme


def _prefix(request: Request, keeps: Rules) -> str:
    prefix = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    is_known = bool(_PREFIX.match(prefix)) and keeps("urls.forwarded_prefix")
    return prefix if is_known else ""


def refused(problem: Problem, request_id: str) -> Response:
    """Answer a refused request."""
    return Json(
        problem.body(request_id),
        status_code=problem.status,
        headers={**problem.headers, "x-request-id": request_id},
    )


def _check_host(request: Request) -> None:
    if not _HOSTS.match(request.headers.get("host", "")):
        raise Problem("forbidden_host", "This server has no such name.")


def _owner(request: Request, keys: Mapping[str, str], keeps: Rules) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    for known_key, owner in keys.items():
        same = hmac.compare_digest(key.encode(), known_key.encode())
        if not keeps("auth.whole_key"):
            same = bool(key) and known_key.startswith(key)
        if same and (scheme.lower() == "bearer" or not keeps("auth.scheme")):
            return owner
    if not keeps("auth.needed_to_read") and request.method == "GET":
        return next(iter(keys.values()))
    headers = {"WWW-Authenticate": "Bearer"} if keeps("auth.challenge") else {}
    raise Problem("unauthorized", "The API key is missing or wrong.", headers=headers)


def _parameters(
    request: Request, operation: Operation, backend: Backend
) -> dict[str, dict[str, Any]]:
    """Return the values of the parameters by their place."""
    keeps = backend.keeps
    values: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    sent_texts: dict[str, list[str]] = defaultdict(list)
    value: Any
    for name, value in parse_qsl(request.url.query, keep_blank_values=True):
        sent_texts[name].append(value)
    names = {parameter.name for parameter in operation.parameters if parameter.place == "query"}
    faults = [
        {"loc": ["query", name], "msg": "is given more than once", "type": "repeated"}
        for name, texts in sent_texts.items()
        if name in names and len(texts) > 1 and keeps("parameters.once")
    ]
    if not keeps("parameters.unknown_ignored"):
        unknown = sorted(sent_texts.keys() - names)
        faults += [{"loc": ["query", name], "msg": "is unknown", "type": "x"} for name in unknown]
    for parameter in operation.parameters:
        if parameter.place == "path":
            value = unquote(request.path_params[parameter.name], errors="replace")
        elif parameter.place == "query":
            texts = sent_texts.get(parameter.name)
            value = _typed(parameter, texts[-1] if texts else None)
        else:
            is_unread = _HEADERS.get(parameter.name) in backend.lacking
            value = None if is_unread else request.headers.get(parameter.name)
        if value is None:
            value = parameter.default
        else:
            wrong = parameter_faults(parameter, value)
            faults += wrong if keeps("parameters.checked") else []
            if wrong and not keeps("parameters.checked"):
                value = parameter.default
        if value is not None:
            values[parameter.place][parameter.name] = value
    if faults:
        raise invalid(faults)
    return values


def _typed(parameter: Parameter, text: str | None) -> Any:
    kind = parameter.schema.get("type")
    if kind == "number" and text and text.isascii():
        with contextlib.suppress(ValueError):
            return float(text)
    return int(text) if kind == "integer" and text and _WHOLE_NUMBER.match(text) else text


async def _body(request: Request, operation: Operation, keeps: Rules) -> tuple[bytes, Any]:
    raw = bytearray()
    too_large = False
    most = _LARGEST_BODY if keeps("bodies.least_bytes") else _LARGEST_BODY // 32
    # Read to the end in any case, so that the client gets the answer.
    async for chunk in request.stream():
        too_large = too_large or len(raw) + len(chunk) > most
        if not too_large:
            raw += chunk
    if operation.body is None or not (raw or too_large or operation.body_required):
        return bytes(raw), {}
    if not (raw or too_large) and keeps("bodies.none_is_invalid"):
        raise invalid([{"loc": ["body"], "msg": "is required", "type": "required"}])
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in operation.media_types and keeps("bodies.media_type"):
        raise Problem("unsupported_media_type", f"The body must be {operation.media_types[0]}.")
    if too_large:
        raise Problem("payload_too_large", f"The body is larger than {most} bytes.")
    body = _parsed(bytes(raw), _DEEPEST if keeps("bodies.least_depth") else _DEEPEST // 5)
    faults = body_faults(operation.body, body)
    if operation.body == "RolloutRequest" and not keeps("rollouts.known_keys"):
        faults = [fault for fault in faults if fault["type"] != "additionalProperties"]
    if faults and (keeps("bodies.checked") or not isinstance(body, dict)):
        raise invalid(faults if keeps("bodies.each_field") else faults[:1])
    return bytes(raw), body


def _parsed(raw: bytes, deepest: int) -> Any:
    try:
        body = json.loads(raw.decode(), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Problem("bad_request", f"The body is not valid JSON: {error}"[:300]) from None
    level, depth = [body], 0
    while level:
        depth += 1
        if depth > deepest:
            raise Problem("bad_request", f"The body nests more than {deepest} deep.")
        level = [
            inner
            for node in level
            if isinstance(node, dict | list)
            for inner in (node.values() if isinstance(node, dict) else node)
        ]
    return body


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number that no double can hold")
    return value


async def _unknown_path(request: Request, _: Exception) -> Response:
    return refused(
        Problem("not_found", f"There is no {request.url.path[:200]!r}."),
        f"req_{secrets.token_hex(8)}",
    )


async def _failed(request: Request, error: Exception) -> Response:
    return refused(
        Problem("internal_error", f"The server failed: {type(error).__name__}."),
        f"req_{secrets.token_hex(8)}",
    )
