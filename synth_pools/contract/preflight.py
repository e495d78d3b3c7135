"""First contact with a backend: arguments, features, a rollout that ends, refused keys."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.exceptions import (
    InconclusiveError,
    StopScenarioError,
    UnjudgeableError,
    UnreachableError,
)
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check, Expectation, Status
from synth_pools.contract.harness.scope import FOR_CONTAINERS, lacking, offered_operations
from synth_pools.contract.harness.waits import Rollout, rollout_id, wait_for
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.http.reproduce import KEY, MASKED, NEARLY
from synth_pools.contract.options import Profile, is_within
from synth_pools.contract.results import Clause, Column, Layer, Outcome
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.session import Session

# A wrong argument is reported within ten seconds: the first silence ends the first contact.
_CONTACT_SECONDS = 8.0
# Operations without parameters, each with a field by which its answer is recognised.
_MARKS = {"get_capabilities": "features", "list_pools": "items", "get_queue_status": "queued"}
_FIRST_OPERATIONS = tuple(_MARKS)
_ACCESS_CHECK = "auth.refused"
ACCESS = Clause("Authentication", "a missing or wrong key is 401, on every operation")
# Deletions come last, since a backend that does not check keys executes them.
_LAST = ("delete_task", "delete_pool")


def checked_url(url: str, version: str = "/v1") -> str:
    """Return the base URL without a trailing slash and without the version of an API.

    Raises:
        UnjudgeableError: It is no URL, or holds a user, a query or a fragment.
    """
    text = url.strip()
    # A key may have been given in place of a URL: it is not shown.
    description = f"{text!r}" if "://" in text else "what was given as URL"
    no_url = UnjudgeableError(f"{description} is no URL: give one like http://127.0.0.1:8080")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise no_url from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise no_url
    if parts.username is not None:
        raise UnjudgeableError("the URL holds a user or a key: give the key with --api-key")
    if parts.query or parts.fragment:
        raise UnjudgeableError("the URL has a query or a fragment: give the base URL alone")
    return text.rstrip("/").removesuffix(version)


def checked_key(key: str | None) -> str:
    """Return the API key without surrounding white space.

    Raises:
        UnjudgeableError: There is no key, or it cannot be a key.
    """
    if key is None or not key.strip():
        raise UnjudgeableError("no API key: give --api-key or set SYNTH_API_KEY")
    text = key.strip()
    if text.lower().startswith("bearer "):
        raise UnjudgeableError("the API key begins with 'Bearer': give the key alone")
    if "://" in text:
        raise UnjudgeableError("the API key is a URL: are URL and key in each other's place?")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UnjudgeableError("the API key holds spaces or characters that a header cannot carry")
    return text


def check_names(names: Sequence[str], ids: Sequence[str], families: Collection[str] = ()) -> None:
    """Refuse unknown names of checks, which would silently select nothing or skip nothing.

    Args:
        names: The names.
        ids: The ids of the scenarios.
        families: First parts of further checks, whose names are not known before they run.

    Raises:
        UnjudgeableError: There is no such check.
    """
    for name in names:
        is_known = any(is_within(check, name) for check in ids)
        if not is_known and name.split(".")[0] not in families:
            subjects = sorted({check.split(".")[0] for check in (*ids, *families)})
            raise UnjudgeableError(
                f"no check is called {name!r}: there are {', '.join(subjects)}, "
                "and those that begin so"
            )


# Operations that the first scenarios need.
_FIRST_STEPS = "get_capabilities, then create_pool, get_pool, delete_pool and create_rollout"


def first_contact(session: Session) -> None:
    """Make sure that the URL is a backend of this API and the key works; learn its features.

    Raises:
        UnjudgeableError: It is no such backend, or the key is refused.
    """
    responses: dict[str, Response] = {}
    for operation in _first_operations(session):
        try:
            responses[operation] = session.http.call(operation, limit=_CONTACT_SECONDS)
        except UnreachableError as error:
            raise UnjudgeableError(
                f"nobody answers at {session.base_url} ({error}): is the backend running there?"
            ) from None
        if responses[operation].status is None:
            break
    recognised = any(_recognised(operation, response) for operation, response in responses.items())
    if session.options.offered and not _refused(responses):
        session.document.narrow(offered_operations(session))
        recognised = bool(session.document.operations)
        responses = {id_: responses[id_] for id_ in responses if id_ in session.document.operations}
    if not recognised and responses:
        raise UnjudgeableError(_what_it_is(session, responses))
    if not session.document.operations:
        raise UnjudgeableError(
            f"no operation of the document is at {session.base_url}: begin with {_FIRST_STEPS}"
        )
    for response in responses.values():
        session.collector.record(response.exchange, Layer.PREFLIGHT)
    clause = Clause("Authentication", "a right key is accepted by every operation")
    check = Check("preflight.contact", clause, _FIRST_OPERATIONS)
    ctx = Context(session, check, Layer.PREFLIGHT)
    for operation, response in responses.items():
        try:
            ctx.expect.status(response, Status(200, "the key is right"), operation)
        except InconclusiveError as lack:
            ctx.expect.inconclusive(lack.operation, lack.note, lack.outcome)
    capabilities = responses.get("get_capabilities")
    features = capabilities.at("features") if capabilities else None
    session.features = features if isinstance(features, dict) else {}


def _first_operations(session: Session) -> tuple[str, ...]:
    """Return operations without parameters; a backend may lack the usual ones."""
    existing = session.document.operations
    usual = tuple(name for name in _FIRST_OPERATIONS if name in existing)
    simple = (op.id for op in existing.values() if op.method == "GET" and "{" not in op.path)
    return usual or tuple(simple)[:3]


def _recognised(operation: str, response: Response) -> bool:
    mark = _MARKS.get(operation)
    return response.status == 200 and (mark is None or response.at(mark) is not ABSENT)


def _refused(responses: Mapping[str, Response]) -> bool:
    statuses = {response.status for response in responses.values()}
    return None in statuses or (bool(statuses) and statuses <= {401, 403})


def _what_it_is(session: Session, responses: dict[str, Response]) -> str:
    first = next(iter(responses.values()))
    statuses = {response.status for response in responses.values()}
    if None in statuses:
        trouble = next(a.exchange.trouble for a in responses.values() if a.status is None)
        return f"{session.base_url} does not answer as an HTTP server would ({trouble})"
    if statuses <= {401, 403}:
        return (
            f"the key is refused ({first.status}) at {session.base_url}: "
            "give the right one with --api-key or SYNTH_API_KEY"
        )
    return (
        f"{session.base_url} is no Container Pools API: GET /v1/capabilities answers "
        f"{excerpt(first.exchange, 120)}; give the base URL of a backend, or --offered to see how "
        "far one is that is not finished"
    )


def prove(session: Session) -> Rollout | None:
    """Create a pool, a task and a rollout, and wait for the rollout's end.

    Returns:
        The rollout; None if a departure or a missing operation prevented it.

    Raises:
        UnjudgeableError: The rollout did not end, and nothing departs.
    """
    clause = Clause("Rollouts: states", "a rollout is admitted, runs and ends")
    operations = ("create_pool", "create_task", "create_rollout", "get_rollout")
    check = Check("preflight.rollout", clause, operations)
    ctx = Context(session, check, Layer.PREFLIGHT)
    if needs := lacking(session.document, ("create_pool", "create_rollout", "get_rollout")):
        for operation in ctx.operations:
            ctx.expect.inconclusive(operation, needs)
        return None
    name = session.pool_id("preflight")
    body = session.pool_body("preflight")
    _require_permission(ctx, body)
    pool: dict[str, str] = {"pool_id": name}
    try:
        ctx.resources.create_pool(body)
        request: dict[str, Any] = session.rollout_body()
        if "create_task" in session.document.operations:
            response = ctx.require(201, "create_task", pool, json={"task_id": "task-1"})
            request.setdefault("task_id", "task-1")
        began = time.monotonic()
        response = ctx.require((202, 200), "create_rollout", pool, json=request)
        rollout = Rollout(name, rollout_id(response))
        wait_for(ctx, rollout, FINAL)
        session.proven = True
        session.patience = max(session.patience, 10 * (time.monotonic() - began))
    except StopScenarioError:
        return None
    except InconclusiveError as lack:
        raise UnjudgeableError(
            f"{lack.note}: a rollout that ends is needed; give --rollout-request, --pool-request "
            "or --container-url for one"
        ) from None
    return rollout


def _require_permission(ctx: Context, body: dict[str, Any]) -> None:
    """Distinguish a refusal by policy, which the caller can resolve, from a departure."""
    body = {**body, "pool_id": ctx.resources.name("allowed")}
    response = ctx.session.http.call("create_pool", json=body)
    if response.status == 201:
        ctx.session.register_pool(str(response.at("id")))
    elif response.status in (401, 402, 403, 409, 501):
        raise UnjudgeableError(
            f"no pool can be made: {excerpt(response.exchange, 120)}; "
            "use a key that may, or give --pool-request"
        )


def try_containers(session: Session, urls: dict[str, str]) -> None:
    """Use stub containers if the backend's policy lets it reach them."""
    if lacking(session.document, FOR_CONTAINERS):
        return
    body = {**session.pool_body("containers"), "container_url": urls["good"]}
    response = session.http.call("create_pool", json=body)
    if response.status == 201:
        session.register_pool(str(response.at("id")))
        pool = {"pool_id": str(response.at("id"))}
        health = session.http.call("get_pool_container_health", pool)
        # With other statuses the container was reached; scenarios judge them.
        if health.status not in (403, 502, 504):
            session.containers = urls


def check_access(session: Session, rollout: Rollout | None) -> None:
    """Expect every operation to refuse requests without a key and with wrong ones.

    Args:
        session: The run.
        rollout: A rollout of the run, whose ids are used; None if there is none.
    """
    check = Check(_ACCESS_CHECK, ACCESS, tuple(session.document.operations))
    ctx = Context(session, check, Layer.PREFLIGHT)
    ids = _ids(session, rollout)
    absent = session.not_offered()
    ways = 0 if session.options.profile is Profile.SMOKE else _WAYS
    ordered = sorted(session.document.operations.values(), key=lambda op: op.id in _LAST)
    for number, operation in enumerate(ordered):
        if session.options.read_only and operation.method != "GET":
            continue
        if operation.id in absent:
            ctx.expect.inconclusive(operation.id, absent[operation.id], Outcome.NOT_OFFERED)
            continue
        attempts = [(ids, *row) for row in _defects(operation, number, ways)]
        if operation.id_names and rollout is not None and ways:
            unknown = _ids(session, None)
            attempts += [
                (unknown, f"{defect}, at unknown ids", way) for defect, way in _MISSING.items()
            ]
        for addressed, defect, (headers, query) in attempts:
            if session.http.is_right(headers.get("authorization", "")):
                # A key without lower-case letters equals its upper-case form.
                continue
            try:
                response = _ask(ctx, operation, addressed, headers, query)
            except InconclusiveError as lack:
                ctx.expect.inconclusive(operation.id, lack.note)
                continue
            if response.status == 501:
                # A missing operation refuses every caller.
                continue
            cause = f"{_ACCESS_CHECK}|{response.status}"
            demand = f"401: {defect}"
            expectation = Expectation(operation.id, demand, response, Column.AUTH, cause=cause)
            ctx.expect.that(expectation, response.status == 401, excerpt(response.exchange))


# Defects of a key (missing, nearly right, in the wrong place), with the headers and the query that
# are sent.
_MISSING: dict[str, tuple[dict[str, str], str]] = {
    "no key was sent": ({}, ""),
    "the key is wrong": ({"authorization": "Bearer wrong-key-of-the-contract-kit"}, ""),
}
_NEARLY: dict[str, tuple[dict[str, str], str]] = {
    "the key has a letter too many": ({"authorization": f"{MASKED}x"}, ""),
    "the key has a letter too many before it": ({"authorization": f"Bearer x{KEY}"}, ""),
    **{
        f"the key is changed: {changed}": ({"authorization": f"Bearer {changed}"}, "")
        for changed in NEARLY
    },
    "the key comes twice": ({"authorization": f"Bearer {KEY} {KEY}"}, ""),
    "the key is in quotes": ({"authorization": f'Bearer "{KEY}"'}, ""),
    "the key has no scheme": ({"authorization": KEY}, ""),
    "the key is of another scheme": ({"authorization": f"Token {KEY}"}, ""),
    "the scheme is Basic": ({"authorization": "Basic Y29udHJhY3Q6a2l0"}, ""),
    "the scheme has no key": ({"authorization": "Bearer"}, ""),
    "the key is empty": ({"authorization": ""}, ""),
    "the key is in X-API-Key": ({"x-api-key": KEY}, ""),
    "the key is in a cookie": ({"cookie": f"api_key={KEY}; authorization={KEY}"}, ""),
    "the key is in the query": ({}, f"api_key={KEY}&access_token={KEY}&key={KEY}&token={KEY}"),
}
# Operations that are tried with every defect, and the number of defects for each other one.
_IN_EVERY_WAY = ("list_pools", "create_rollout", "get_rollout")
_WAYS = 3


def _defects(
    operation: Operation, number: int, ways: int
) -> list[tuple[str, tuple[dict[str, str], str]]]:
    """Return defects of the key, each with the headers and the query that are sent."""
    nearly = list(_NEARLY.items())
    if operation.id not in _IN_EVERY_WAY:
        first = number * ways % len(nearly)
        nearly = (nearly + nearly)[first : first + ways]
    return [*_MISSING.items(), *nearly]


def _ids(session: Session, rollout: Rollout | None) -> Mapping[str, str]:
    if rollout is None:
        # A wrong key must be refused on an unknown id, too.
        name = session.pool_id("nothing")
        return dict.fromkeys(("pool_id", "task_id", "rollout_id", "artifact_path"), name)
    return {**rollout.ids, "task_id": "task-1", "artifact_path": "artifact"}


def _ask(
    ctx: Context,
    operation: Operation,
    ids: Mapping[str, str],
    headers: Mapping[str, str],
    query: str,
) -> Response:
    body: bytes | None = None
    if operation.method in ("POST", "PUT", "PATCH"):
        fields: dict[str, Any] = {}
        if operation.id in ("create_pool", "replace_pool"):
            fields = {"name": ctx.resources.name("auth")}
        if operation.id == "create_pool":
            fields["pool_id"] = fields["name"]
            ctx.session.register_pool(fields["name"])
        if operation.id == "create_global_rollout":
            fields["pool_id"] = ids["pool_id"]
        body = json.dumps(fields).encode()
        headers = {"content-type": "application/json", **headers}
    url = ctx.session.http.url(operation.path, ids) + (f"?{query}" if query else "")
    return ctx.raw(operation.method, url, headers, body, operation.id)
