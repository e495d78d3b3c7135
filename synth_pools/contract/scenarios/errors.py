"""Scenarios of errors: the status and the schema of every refusal."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from synth_pools.contract.document import Operation
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import NOT_FOUND, offered, small_body
from synth_pools.contract.harness.waits import run_rollout
from synth_pools.contract.http.client import Response, is_loopback_url
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import Clause, Column, Exchange, Outcome
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.selections import addresses_resource, every, reads, takes_body

# Ids of resources that these scenarios do not create.
_OTHER_IDS = ("artifact_path", "release_id")
_MEGABYTE = 1024 * 1024
# Far more than the 4,300 digits that Python reads as an integer.
_DIGITS = 20_000
_HEAD_BYTES = (20_000, 80_000, 300_000, 1_000_000)
_NO_HTTP = b"\x16\x03\x01 no HTTP\r\n\r\n"
_MISSING = Status(422, "the body is missing")


def _operations(ctx: Context) -> list[tuple[Operation, dict[str, str]]]:
    """Return the operations of the scenario, each with ids of existing resources."""
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id)
    ids = {**rollout.ids, "task_id": "t"}
    return [(operation, operation.own_ids(ids)) for operation in offered(ctx)]


def _send(
    ctx: Context, name: str, ids: dict[str, str], body: bytes, media_type: str = "application/json"
) -> Response:
    return ctx.call(name, ids, content=body, headers={"content-type": media_type})


@scenario("errors.broken_json", takes_body, clauses="responses BadRequest#7e33")
def errors_broken_json(ctx: Context) -> None:
    broken = (
        b'{"name": ', b"{'name': 'x'}", b'{"name": "x"} tail', b'{"a": NaN}', b'"\xff\xfe"',
        b'{"name": "x", "a": 1e999}', b'{"name": "x", "a": ' + b"1" * _DIGITS + b"}",
    )  # fmt: skip
    for operation, ids in _operations(ctx):
        for body in broken:
            response = _send(ctx, operation.id, ids, body)
            ctx.expect.status(response, Status(400, "the body is no JSON"), operation.id)


@scenario(
    "errors.media_type", takes_body, clauses="responses UnsupportedMediaType#c9f0, Errors#0c11"
)
def errors_media_type(ctx: Context) -> None:
    for operation, ids in _operations(ctx):
        for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
            response = _send(ctx, operation.id, ids, b'{"name": "x"}', wrong)
            ctx.expect.status(response, Status(415, f"the body is {wrong}"), operation.id)
    body = json.dumps(ctx.session.pool_body("x", name=ctx.resources.name(), pool_id=None)).encode()
    response = _send(ctx, "create_pool", {}, body, "Application/JSON; charset=utf-8")
    if ctx.expect.status(response, Status(201, "parameters are allowed"), "create_pool"):
        ctx.session.register_pool(str(response.at("id")))


@scenario("errors.invalid", takes_body, clauses="responses Invalid#c83f#019a, ErrorDetail#a028")
def errors_invalid(ctx: Context) -> None:
    for operation, ids in _operations(ctx):
        if operation.body_required:
            response = ctx.call(operation.id, ids)
            ctx.expect.status(response, _MISSING, operation.id)
        for wrong in ([], ["x"], "text", 5, True, *([None] * operation.body_required)):
            response = ctx.call(operation.id, ids, json=wrong)
            ctx.expect.status(response, Status(422, "the body is no object"), operation.id)


@scenario(
    "errors.too_large",
    takes_body,
    clauses="Errors#2c54#f230, ErrorBody#ce26, responses PayloadTooLarge#9c7d",
)
def errors_too_large(ctx: Context) -> None:
    body = b'{"name": "' + b"x" * (17 * _MEGABYTE) + b'"}'
    for operation, ids in _operations(ctx):
        response = _send(ctx, operation.id, ids, body)
        if response.status in (200, 201, 202, 409, 422):
            # A server sets its own limits; this one has read the body.
            ctx.expect.inconclusive(operation.id, "the server takes a body of 17 MiB")
            continue
        ctx.expect.status(response, Status(413, "the body has 17 MiB"), operation.id)


@scenario("errors.too_deep", "create_pool", "create_rollout", clauses="responses BadRequest#7e33")
def errors_too_deep(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool()}
    deep = b"[" * 100_000 + b"]" * 100_000
    for operation, ids, body in (
        ("create_pool", {}, b'{"name": "x", "metadata": {"deep": ' + deep + b"}}"),
        ("create_rollout", pool, b'{"metadata": {"deep": ' + deep + b"}}"),
    ):
        response = _send(ctx, operation, ids, body)
        # A server that can read the body may accept it.
        ctx.expect.status(response, (201, 202, 200, 400), operation)
        if operation == "create_pool" and response.status == 201:
            ctx.session.register_pool(str(response.at("id")))


@scenario("errors.method", every, clauses="Errors#2c54#b4a1")
def errors_method(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    ids = {**dict.fromkeys(_OTHER_IDS, "nothing"), **run_rollout(ctx, pool_id).ids, "task_id": "t"}
    refused = Status(405, "the path has no such method")
    methods: dict[str, dict[str, str]] = {}
    for operation in offered(ctx):
        methods.setdefault(operation.path, {})[operation.method] = operation.id
    documented = {(op.path, op.method) for op in ctx.session.document.every.values()}
    for path, id_by_method in methods.items():
        for wrong in ("PUT", "PATCH", "DELETE", "POST", "GET", "OPTIONS"):
            if (path, wrong) in documented:
                continue
            url = ctx.session.http.url(path, ids)
            headers = {"authorization": MASKED, "content-type": "application/json"}
            body = None if wrong in ("GET", "DELETE", "OPTIONS") else b"{}"
            response = ctx.raw(wrong, url, headers, body, None)
            allowed = (response.exchange.header("allow") or "").upper().replace(" ", "").split(",")
            expected = f"Allow names {', '.join(sorted(id_by_method))}"
            for name in id_by_method.values():
                if not ctx.expect.status(response, refused, name):
                    # The same defect would show for every operation of the path.
                    break
                ctx.judge(name, response, column=Column.ERRORS).that(
                    expected, id_by_method.keys() <= set(allowed), ", ".join(allowed)
                )


@scenario("errors.head", reads, clauses="Errors#b4a1")
def errors_head(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    ids = {**dict.fromkeys(_OTHER_IDS, "nothing"), **run_rollout(ctx, pool_id).ids, "task_id": "t"}
    for operation in offered(ctx):
        # Their status depends on a container.
        if operation.tag == "containers":
            continue
        url = ctx.session.http.url(operation.path, ids)
        response = ctx.raw("HEAD", url, {"authorization": MASKED}, None, None)
        if response.status == 405:
            allow = response.exchange.header("allow") or ""
            ctx.judge(operation.id, response).that("Allow names GET", "GET" in allow.upper(), allow)
            continue
        get = 200
        if not operation.streams:
            get = ctx.call(operation.id, operation.own_ids(ids)).status or 200
        ctx.expect.status(response, Status((405, get), "HEAD is answered as GET"), operation.id)
        length = len(response.exchange.response_body)
        ctx.judge(operation.id, response).equal("the length of the body", 0, length)


@scenario("errors.path", "list_pools", "get_pool", clauses="Errors#2c54#972d, ErrorBody#ce26")
def errors_path(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    for name, tail in (
        ("list_pools", "/v1/no-such-path"),
        ("list_pools", "/v1"),
        ("get_pool", f"/v1/pools/{pool_id}/no-such-path"),
        ("get_pool", f"/v1/pools/{pool_id}/container/no-such-path"),
    ):
        url = ctx.session.base_url + tail
        response = ctx.raw("GET", url, {"authorization": MASKED}, None, None)
        ctx.expect.status(response, Status(404, "there is no such path"), name)


@scenario("errors.not_http", "list_pools", clauses="Errors#dcc8", reads_only=True)
def errors_not_http(ctx: Context) -> None:
    base = urlsplit(ctx.session.base_url)
    if not is_loopback_url(ctx.session.base_url) or base.scheme != "http":
        note = "what is between the kit and the server would answer"
        raise InconclusiveError(Outcome.NOT_REACHED, "list_pools", note)
    exchange = Exchange("GET", ctx.session.base_url, request_body=_NO_HTTP)
    limit = ctx.session.allowance(ctx.session.patience)
    try:
        with socket.create_connection((base.hostname or "", base.port or 80), limit) as connection:
            connection.sendall(_NO_HTTP)
            connection.settimeout(limit)
            actual = HTTPResponse(connection)
            actual.begin()
            exchange = replace(
                exchange,
                status=actual.status,
                response_headers=tuple(actual.getheaders()),
                response_body=actual.read(_MEGABYTE),
            )
    except (OSError, HTTPException) as error:
        note = f"the connection is closed without an answer: {type(error).__name__}"
        raise InconclusiveError(Outcome.NOT_REACHED, "list_pools", note) from None
    ctx.expect.record(exchange, judged=False)
    if Response(exchange).at("error", "code") != "bad_request":
        # Servers such as nginx and uvicorn do so before the backend reads anything.
        note = f"bytes that are no HTTP request are answered in another way: {excerpt(exchange)}"
        ctx.expect.inconclusive("list_pools", note)


@scenario("errors.long_head", "list_pools", clauses="Errors#f2c6, Limits#0487", reads_only=True)
def errors_long_head(ctx: Context) -> None:
    if not is_loopback_url(ctx.session.base_url):
        note = "what is between the kit and the server would answer"
        raise InconclusiveError(Outcome.NOT_REACHED, "list_pools", note)
    refused = Status(431, "the headers are too long", code="headers_too_large")
    for size in _HEAD_BYTES:
        headers = {"authorization": MASKED, "x-contract-kit": "x" * size}
        response = ctx.raw("GET", ctx.session.http.url("/v1/pools", {}), headers, None, None)
        if response.status is None:
            note = "the connection is closed without an answer"
            raise InconclusiveError(Outcome.NOT_REACHED, "list_pools", note)
        if response.status != 200:
            ctx.expect.status(response, refused, "list_pools")
            return
    ctx.expect.inconclusive("list_pools", "the server takes a head of a megabyte")


@scenario(
    "errors.slash", "get_pool", "get_global_rollout", "get_rollout", clauses="Identifiers#97b7"
)
def errors_slash(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id)
    for tail in ("tasks", "metrics", "urls", "rollouts"):
        ctx.check(Status(404, "no pool is called so"), "get_pool", {"pool_id": f"{pool_id}/{tail}"})
    refused = Status(404, "no rollout is called so")
    for tail in ("summary", "usage", "events") if ctx.has("get_global_rollout") else ():
        ctx.check(refused, "get_global_rollout", {"rollout_id": f"{rollout.id}/{tail}"})
    ids = {"pool_id": pool_id, "rollout_id": f"{rollout.id}/usage"}
    ctx.check(refused, "get_rollout", ids)


@scenario("errors.trailing_slash", every, clauses="Errors#972d#2c54")
def errors_trailing_slash(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    ids = {**dict.fromkeys(_OTHER_IDS, "nothing"), **run_rollout(ctx, pool_id).ids, "task_id": "t"}
    for operation in offered(ctx):
        # An empty text may be a path of an artifact; a stream may not end.
        if operation.path.endswith("/artifacts") or operation.streams:
            continue
        url = ctx.session.http.url(f"{operation.path}/", ids)
        headers = {"authorization": MASKED, "content-type": "application/json"}
        body = json.dumps(small_body(ctx, operation)).encode() if takes_body(operation) else None
        response = ctx.raw(operation.method, url, headers, body, None)
        refused = Status((404, 405), "a path with a slash at its end is another one")
        ctx.expect.status(response, refused, operation.id)


_UNKNOWN = Clause(ids="Identifiers#252e")
_NO_KEY = Clause(ids="Authentication#fd47, Errors#f584")


@scenario(
    "errors.unknown_ids",
    addresses_resource,
    clauses="""
        get_pool#5b16, update_task#ed29, RolloutRequest.task_id#8544#6087, Errors#db6d#bb8d#6d46,
        Authentication#fd47, Errors#f584
    """,
)
def errors_unknown_ids(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    nobody = ctx.session.pool_id("nobody")
    ids = {**dict.fromkeys(_OTHER_IDS, "nothing"), "pool_id": pool_id, "task_id": "t"}
    for operation in offered(ctx):
        for name, code in NOT_FOUND.items():
            if name not in operation.id_names:
                continue
            # The other ids exist, except that of the rollout.
            unknown = operation.own_ids({**ids, "rollout_id": nobody, name: nobody})
            refused = Status(404, "there is no such thing", code=code, clause=_UNKNOWN)
            ctx.check(refused, operation.id, unknown, json=small_body(ctx, operation))
        unknown = {**dict.fromkeys(operation.id_names, nobody)}
        nameless = Status(401, "no key was sent, whatever the path names", clause=_NO_KEY)
        body = small_body(ctx, operation)
        ctx.check(nameless, operation.id, unknown, json=body, authorization=None)
