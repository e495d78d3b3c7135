"""Scope of a run: the operations that a backend has so far."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from synth_pools.contract.document import Document, Operation
from synth_pools.contract.exceptions import MissingOperationError, UnjudgeableError
from synth_pools.contract.http.client import ABSENT, HttpClient, Response
from synth_pools.contract.session import Session

# Probed last, since they remove resources that the other probes need.
_LAST = ("delete_run", "delete_task", "delete_pool")
_SECONDS = 10.0
# Operations that show whether a backend reaches the kit's own containers.
FOR_CONTAINERS = ("create_pool", "get_pool_container_health")


def chosen_operations(
    document: Document, included: Iterable[str], excluded: Iterable[str]
) -> frozenset[str]:
    """Return the ids of operations that are chosen by id, tag or path.

    Args:
        document: The document.
        included: The chosen operations; all operations if empty.
        excluded: The operations to leave out.

    Raises:
        UnjudgeableError: A name belongs to no operation, or no operation remains.
    """
    chosen = _named(document, included) or frozenset(document.operations)
    remaining = chosen - _named(document, excluded)
    if not remaining:
        raise UnjudgeableError("no operation is left to judge")
    return remaining


def _named(document: Document, names: Iterable[str]) -> frozenset[str]:
    chosen: set[str] = set()
    for name in names:
        same = {
            operation.id
            for operation in document.operations.values()
            if name in (operation.id, operation.tag)
            or (name.startswith("/") and f"{operation.path}/".startswith(f"{name.rstrip('/')}/"))
        }
        if not same:
            raise UnjudgeableError(f"no operation, tag or path of the document is called {name!r}")
        chosen |= same
    return frozenset(chosen)


def offered_operations(session: Session) -> frozenset[str]:
    """Send a request to every operation, and return the ids of the operations that exist.

    An operation does not exist if the answer is 501 or 405, or the 404 of an unknown path. Unknown
    ids may get the same 404, so the run first creates resources. A read-only run only probes GET:
    if any of these operations exists, all other operations count as existing.
    """
    http, operations = session.http, session.document.operations
    url = http.url("/v1/no-such-path-of-the-contract-kit", {})
    unknown = _form(Response(http.send("GET", url, http.authorized(), None, None, _SECONDS)))
    ids = _resources(session)
    existing: set[str] = set()
    for operation in sorted(operations.values(), key=lambda op: op.id in _LAST):
        if session.options.read_only and operation.method != "GET":
            continue
        response = _ask(http, operation, ids)
        if response.status in (None, 405, 501):
            continue
        if response.status != 404 or _form(response) != unknown:
            existing.add(operation.id)
    if session.options.read_only and existing:
        existing |= {operation.id for operation in operations.values() if operation.method != "GET"}
    return frozenset(existing)


def _resources(session: Session) -> Mapping[str, str]:
    """Create a pool, a task and a rollout where possible, and return their ids."""
    name = session.pool_id("offered")
    ids = {"pool_id": name, "task_id": "t", "rollout_id": name, "artifact_path": "artifact"}
    ids["run"] = name
    if session.options.read_only or lacking(session.document, ("create_pool", "create_rollout")):
        return ids
    session.register_pool(name)
    body = {**session.pool_body("offered"), "tasks": [{"task_id": "t"}]}
    if session.http.call("create_pool", json=body, limit=_SECONDS).status in (404, 405, 501):
        session.created.discard(name)
        return ids
    pool = {"pool_id": name}
    # A backend without runs may refuse the field.
    for run in ({"run": name}, {}):
        body = session.rollout_body(**run)
        created = session.http.call("create_rollout", pool, json=body, limit=_SECONDS)
        if created.status != 422:
            break
    rollout = created.at("rollout_id")
    return {**ids, "rollout_id": rollout} if isinstance(rollout, str) else ids


def _ask(http: HttpClient, operation: Operation, ids: Mapping[str, str]) -> Response:
    """Send a request that an existing operation refuses, unless it takes no body."""
    path_ids = operation.own_ids(ids)
    body: Any = [] if operation.method in ("POST", "PUT", "PATCH") else ABSENT
    if operation.streams:
        stream = http.stream(operation.id, path_ids, limit=_SECONDS, until=lambda _: True)
        return Response(stream.exchange)
    return http.call(operation.id, path_ids, json=body, limit=_SECONDS)


def _form(response: Response) -> Any:
    """Return what tells 404s apart: the error code, or the form of the body."""
    code = response.at("error", "code")
    if isinstance(code, str):
        return response.status, code
    text = response.exchange.response_body[:2_000].decode("utf-8", "replace")
    try:
        keys = sorted(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        keys = []
    # Ids and paths differ from one request to the next.
    return response.status, keys, re.sub(r"['\"][^'\"]*['\"]|/\S+|[\w.:-]*\d[\w.:-]*", "*", text)


def lacking(document: Document, operations: Collection[str]) -> str:
    """Return a note on the first missing operation; "" if the backend has all of them."""
    missing = (name for name in operations if name not in document.operations)
    return next((str(MissingOperationError(name)) for name in missing), "")
