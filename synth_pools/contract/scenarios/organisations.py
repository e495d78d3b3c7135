"""Scenarios of two organisations: neither finds anything of the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import NOT_FOUND, check_refused, offered, small_body
from synth_pools.contract.harness.views import read_list, readers
from synth_pools.contract.harness.waits import (
    Rollout,
    becomes_true,
    ids_of,
    rollout_id,
    run_rollout,
    start_rollout,
    start_running,
)
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.http.reproduce import MASKED, OTHER_KEY
from synth_pools.contract.results import Outcome
from synth_pools.contract.selections import (
    addresses_resource,
    creates_rollout,
    lists,
    places_rollout,
    reads,
)

_OTHER = f"Bearer {OTHER_KEY}"
# States that lists are filtered by; None for no filter.
_STATES = ("active", "archived", "queued", "running", *FINAL, None)
_COUNTS = ("queued", "running", "capacity")
# Fields of a pool that change with it alone.
_FIELDS = ("status", "name", "metadata", "config", "tasks", "updated_at")
_STREAM_SECONDS = 10.0
_ABSENT = "it is another organisation's"


def _lists_all(operation: Operation) -> bool:
    """Select lists across all resources of the caller, not those below one resource."""
    return lists(operation) and not operation.id_names


def _places_anywhere(operation: Operation) -> bool:
    """Select operations that place a rollout in the pool of the body, or in any pool."""
    return places_rollout(operation) and not operation.id_names


@scenario(
    "organisations.apart",
    addresses_resource,
    _lists_all,
    clauses="Authentication#69f4, responses NotFound#89f2",
    needs="other_key",
)
def organisations_apart(ctx: Context) -> None:
    _require_other_key(ctx)
    rollouts = _in_every_state(ctx)
    _expect_apart(ctx, rollouts, MASKED, _OTHER)
    with _other_pool(ctx) as theirs:
        body = ctx.session.rollout_body()
        response = ctx.require(
            (200, 202), "create_rollout", {"pool_id": theirs}, json=body, authorization=_OTHER
        )
        _expect_apart(ctx, [Rollout(theirs, rollout_id(response))], _OTHER, MASKED)


def _in_every_state(ctx: Context) -> list[Rollout]:
    """Return a rollout that has ended, some that have not, and one of an archived pool."""
    session = ctx.session
    archived = run_rollout(ctx, ctx.resources.pool("archived", tasks=[{"task_id": "t"}]))
    ctx.require(200, "delete_pool", {"pool_id": archived.pool_id})
    if not (session.echo or session.containers):
        return [run_rollout(ctx, ctx.resources.pool(tasks=[{"task_id": "t"}])), archived]
    # Only containers leave artifacts behind.
    more = {"container_url": session.containers["good"]} if session.containers else {}
    pool_id = ctx.resources.live_pool(concurrency=1, tasks=[{"task_id": "t"}], **more)
    completed = run_rollout(ctx, pool_id, task_id="t")
    running = start_running(ctx, pool_id)
    return [completed, running, start_rollout(ctx, pool_id, env={"delay": 600}), archived]


def _expect_apart(ctx: Context, rollouts: list[Rollout], owner: str, stranger: str) -> None:
    """Expect another organisation to see and to change nothing of these rollouts and pools."""
    ids_of_owner = {rollout.id for rollout in rollouts} | {rollout.pool_id for rollout in rollouts}
    for operation in offered(ctx, _lists_all):
        for state in _STATES:
            query = {"limit": 100} if state is None else {"limit": 100, "state": state}
            page = ctx.require(200, operation.id, query=query, authorization=stranger)
            _expect_nothing_of(ctx, ids_of_owner, operation.id, page)
    tried: set[tuple[str, ...]] = set()
    for rollout in rollouts:
        ids = {**_ids_below(ctx, rollout, owner), **rollout.ids}
        before = _read(ctx, rollout, owner)
        for operation in offered(ctx, addresses_resource):
            own_ids = operation.own_ids(ids)
            # Several rollouts have the same pool.
            if (key := (operation.id, *own_ids.values())) in tried:
                continue
            tried.add(key)
            _expect_unknown(ctx, operation, own_ids, ids_of_owner, stranger)
            if reads(operation):
                continue
            after = _read(ctx, rollout, owner)
            subject = "what another organisation asked to change"
            ctx.expect.equal(operation.id, subject, before, after, None)
            before = after


def _expect_unknown(
    ctx: Context, operation: Operation, ids: dict[str, str], secret: set[str], stranger: str
) -> None:
    """Expect 404 of every form of an operation, in words that tell no other id."""
    refused = Status(404, _ABSENT, code=NOT_FOUND[operation.id_names[0]])
    body = small_body(ctx, operation)
    for query in ({}, {"format": "json"}) if operation.streams else ({},):
        response = ctx.check(
            refused,
            operation.id,
            ids,
            query=query,
            json=body,
            authorization=stranger,
            # A stream that is shown may have no end.
            limit=_STREAM_SECONDS if operation.streams else None,
        )
        text = response.exchange.response_body.decode("utf-8", "replace")
        others = [name for name in secret - set(ids.values()) if name in text]
        judge = ctx.judge(operation.id, response)
        judge.that("no id of another organisation", not others, ", ".join(others))


def _ids_below(ctx: Context, rollout: Rollout, owner: str) -> dict[str, str]:
    """Return ids of what belongs to a rollout or its pool; some are of nothing."""
    ids = {"task_id": "t", "artifact_path": "x", "release_id": "x", "operation_id": "x"}
    for reader, own_ids in readers(ctx, rollout, "ArtifactList")[:1]:
        page = ctx.require(200, reader, own_ids, authorization=owner)
        if isinstance(path := page.at("items", 0, "path"), str):
            ids["artifact_path"] = path
    return ids


@scenario(
    "organisations.placement",
    _places_anywhere,
    clauses="Authentication#69f4, responses NotFound#89f2",
    needs="other_key",
)
def organisations_placement(ctx: Context) -> None:
    _require_other_key(ctx)
    # No pool of the other organisation has a task of this name.
    task_id = ctx.resources.name("task")
    pool_id = ctx.resources.pool(tasks=[{"task_id": task_id}])
    pool_not_found = Status(404, _ABSENT, code="pool_not_found")
    unnamed = Status(409, "no pool of the caller fits", code="no_active_pool")
    for operation in offered(ctx):
        body = ctx.session.rollout_body(task_id=task_id)
        for refused, request in ((pool_not_found, {**body, "pool_id": pool_id}), (unnamed, body)):
            check_refused(ctx, operation, {}, request, refused, authorization=_OTHER)
        page = read_list(ctx, "list_rollouts", {"pool_id": pool_id})
        ctx.judge(operation.id, page).field("items", [], "the rollouts in the pool")


@scenario(
    "organisations.keys",
    creates_rollout,
    clauses="Authentication#69f4, parameters IdempotencyKey#957b",
    needs="other_key",
)
def organisations_keys(ctx: Context) -> None:
    _require_other_key(ctx)
    ours = ctx.resources.pool()
    with _other_pool(ctx) as theirs:
        pool, request = {"pool_id": theirs}, ctx.session.rollout_body()
        response = ctx.require(
            (200, 202), "create_rollout", pool, json=request, authorization=_OTHER
        )
        other_rollout = Rollout(theirs, str(response.at("rollout_id")))
        former = {MASKED: run_rollout(ctx, ours), _OTHER: other_rollout}
        for operation in offered(ctx):
            headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}"}
            for authorization, rollout in former.items():
                body = {**ctx.session.rollout_body(), "pool_id": rollout.pool_id}
                content: Any = {"rollouts": [body]} if operation.result == "RolloutBatch" else body
                response = ctx.check(
                    (200, 202),
                    operation.id,
                    operation.own_ids(rollout.ids),
                    json=content if operation.request is not None else ABSENT,
                    headers=headers,
                    authorization=authorization,
                )
                item = at(response.at("items", 0), "rollout")
                created = response.json if item is ABSENT else item
                actual, judge = at(created, "pool_id"), ctx.judge(operation.id, response)
                judge.equal("the pool of the rollout", rollout.pool_id, actual)


@scenario(
    "organisations.cursors",
    _lists_all,
    clauses="list_pools#7c43, list_global_rollouts#4da0, Authentication#69f4",
    needs="other_key",
)
def organisations_cursors(ctx: Context) -> None:
    _require_other_key(ctx)
    rollouts = [run_rollout(ctx, ctx.resources.pool()) for _ in range(2)]
    ours = {rollout.id for rollout in rollouts} | {rollout.pool_id for rollout in rollouts}
    for operation in offered(ctx):
        first = ctx.require(200, operation.id, query={"limit": 1})
        cursor = first.at("next_cursor")
        if not isinstance(cursor, str):
            continue
        query = {"limit": 100, "cursor": cursor}
        page = ctx.call(operation.id, query=query, authorization=_OTHER)
        _expect_nothing_of(ctx, ours, operation.id, page)


@scenario(
    "organisations.runs",
    "delete_run",
    "get_run",
    "list_runs",
    "list_global_rollouts",
    clauses="list_runs#a9ee, get_run#ab1a, list_global_rollouts#4da0, Authentication#69f4",
    needs=("other_key", "runs"),
)
def organisations_runs(ctx: Context) -> None:
    _require_other_key(ctx)
    pool_id = ctx.resources.pool()
    name = f"ours {pool_id}"[:128]
    run_rollout(ctx, pool_id, run=name, labels={"of": name[:255]})
    refused = Status(404, "a run of another organisation", code="not_found")
    for operation in ("delete_run", "get_run"):
        ctx.check(refused, operation, {"run": name}, authorization=_OTHER)
    ctx.check(Status(200, "nobody else deletes it"), "get_run", {"run": name})
    for query in ({"run": name}, {"label": f"of={name}"}):
        page = ctx.require(200, "list_global_rollouts", query=query, authorization=_OTHER)
        ctx.judge("list_global_rollouts", page).field("items", [], "rollouts of others")
    page = ctx.require(200, "list_runs", query={"limit": 100}, authorization=_OTHER)
    observed = [at(item, "name") for item in page.list_at("items")]
    ctx.judge("list_runs", page).that("no run of others", name not in observed, name)


@scenario(
    "organisations.queue",
    "get_queue_status",
    clauses="QueueStatus#ae46",
    needs=("other_key", "live"),
    alone=True,
)
def organisations_queue(ctx: Context) -> None:
    _require_other_key(ctx)
    before = ctx.require(200, "get_queue_status", authorization=_OTHER)
    pool_id = ctx.resources.live_pool(concurrency=1)
    for _ in range(2):
        start_rollout(ctx, pool_id, env={"delay": 600})
    after = before

    def is_unchanged() -> bool:
        nonlocal after
        after = ctx.require(200, "get_queue_status", authorization=_OTHER)
        return all(after.at(field) == before.at(field) for field in _COUNTS)

    # The other organisation may be at work meanwhile.
    becomes_true(ctx, "get_queue_status", is_unchanged)
    for field in _COUNTS:
        ctx.judge("get_queue_status", after).field(field, before.at(field), f"{field} of the other")


def _require_other_key(ctx: Context) -> None:
    """Stop if the server does not know the other key.

    Raises:
        InconclusiveError: The other key is refused.
    """
    if ctx.call("list_pools", authorization=_OTHER).status in (401, 403):
        note = "the key of --other-key is refused"
        raise InconclusiveError(Outcome.NOT_REACHED, "list_pools", note)


def _expect_nothing_of(ctx: Context, ours: set[str], operation: str, page: Response) -> None:
    ids = set(map(str, ids_of(page.list_at("items"))))
    ctx.judge(operation, page).that(
        "nothing of another organisation", not ours & ids, "a pool or a rollout of the first key"
    )


@contextlib.contextmanager
def _other_pool(ctx: Context) -> Iterator[str]:
    """Create a pool with the key of the other organisation; archive it afterwards."""
    name = ctx.resources.name("other")
    body = {**ctx.session.pool_body("x"), "pool_id": name, "name": name}
    ctx.require(201, "create_pool", json=body, authorization=_OTHER)
    try:
        yield name
    finally:
        ctx.call("delete_pool", {"pool_id": name}, authorization=_OTHER)


def _read(ctx: Context, rollout: Rollout, owner: str) -> list[Any]:
    """Return what another organisation could change of a rollout and its pool."""
    path = {"pool_id": rollout.pool_id}
    pool = ctx.require(200, "get_pool", path, authorization=owner)
    page = ctx.require(200, "list_rollouts", path, authorization=owner)
    items = page.list_at("items")
    status = next((at(item, "status") for item in items if at(item, "id") == rollout.id), None)
    is_final = status if status in FINAL or status is None else "open"
    return [*(pool.at(field) for field in _FIELDS), len(items), is_final]
