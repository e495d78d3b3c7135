"""Scenarios of fields: each field of a definition, in each operation that sets it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from synth_pools.contract.document import Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status, difference
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.samples import Path, RequestFields, put_at, wrong_texts
from synth_pools.contract.harness.subjects import offered, small_body
from synth_pools.contract.harness.views import of_pool, of_task, read_list
from synth_pools.contract.harness.waits import run_rollout, side_by_side
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.options import Profile
from synth_pools.contract.results import Clause, Column, shorten
from synth_pools.contract.rules.verdict import same_json, show
from synth_pools.contract.selections import creates_rollout, may_find_nothing, reads

_POOLS = ("create_pool", "replace_pool", "update_pool")
_TASKS = ("create_task", "update_task", "patch_task")
_ROLLOUTS = ("create_rollout", "create_global_rollout", "create_rollout_batch")
# Fields that a server's policy may refuse with any value.
_BY_POLICY = ("process", "container_key_env")
# Pairs of spellings of one field.
_TWINS = {"target": "backend", "config": "pool_config", "metadata": "pool_metadata"}
_TWINS |= {longer: shorter for shorter, longer in _TWINS.items()}


@scenario(
    "fields.refused",
    *_POOLS,
    *_TASKS,
    *_ROLLOUTS,
    clauses="""
        responses Invalid#c83f, patch_task#51a8#a808, update_task responses 200#787f,
        ErrorDetailItem#906f, ProcessEnvironment#a98e#0127#c898#f5c8, ErrorDetailItem.loc#4909#0bdc,
        Identifiers#93d9, Errors#55f6, Limits#d3c0
    """,
)
def fields_refused(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    ids = {"pool_id": pool_id, "task_id": "t"}
    before = ctx.require(200, "get_pool", {"pool_id": pool_id})
    absent = ctx.session.not_offered()
    for name in (*_POOLS, *_TASKS, *_ROLLOUTS):
        operation = ctx.session.document.operations.get(name)
        if operation is None or name in absent:
            continue
        fields = _fields(ctx, name)
        base = {"name": ctx.resources.name()} if name in ("create_pool", "replace_pool") else {}
        path_ids = operation.own_ids(ids)
        # Bounds and nested fields are tried in one operation for each kind of body.
        creates = name in ("create_pool", "create_task", "create_rollout")
        calls = [
            partial(_refused, ctx, name, path_ids, path, wrong, put_at(base, path, wrong))
            for path in fields.paths()
            if creates or len(path) == 1
            for wrong in fields.wrong(path, base, 2 if creates else 1)
        ]
        side_by_side(ctx, calls)
        if "tasks" in fields.names:
            # The rule for places expects the index of the second one.
            body = {**base, "tasks": [{"task_id": "a"}, {"task_id": 5}]}
            _refused(ctx, name, path_ids, ("tasks", "task_id"), 5, body)
        if creates:
            _refused_together(ctx, name, path_ids, fields, base)
    after = ctx.require(200, "get_pool", {"pool_id": pool_id})
    label = "the pool after refused changes"
    ctx.judge("update_pool", after).equal(label, before.json, after.json)
    page = read_list(ctx, "list_rollouts", {"pool_id": pool_id})
    ctx.judge("create_rollout", page).field("items", [], "what was created")


def _refused(
    ctx: Context, name: str, ids: dict[str, str], path: Path, wrong: Any, body: dict[str, Any]
) -> None:
    response = ctx.call(name, ids, json=body)
    field = ".".join(path)
    allowed: tuple[int, ...] = (422, 403) if path[-1] in _BY_POLICY else (422,)
    why = f"{field!r} is wrong"
    if not ctx.expect.status(response, Status(allowed, why), name):
        ctx.session.register_pool(str(response.at("id")))
        return
    detail = response.at("detail")
    if response.status == 422 and isinstance(detail, list):
        ctx.judge(name, response, column=Column.ERRORS).that(
            f"detail names {field!r}",
            any(_names(item, path) for item in detail),
            f"{shorten(show(detail), 160)} for {shorten(show(wrong), 40)}",
        )


def _refused_together(
    ctx: Context, name: str, ids: dict[str, str], fields: RequestFields, base: dict[str, Any]
) -> None:
    """Expect detail to name the first and the last wrong field of one body."""
    wrong = {
        field: values[0]
        for field in fields.names
        if field not in _BY_POLICY and (values := fields.wrong((field,), base, 1))
    }
    pair = [*wrong][:1] + [*wrong][1:][-1:]
    response = ctx.call(name, ids, json={**base, **{field: wrong[field] for field in pair}})
    if not ctx.expect.status(response, Status(422, f"{pair} are wrong"), name):
        ctx.session.register_pool(str(response.at("id")))
        return
    detail = response.at("detail")
    if isinstance(detail, list):
        ctx.judge(name, response, column=Column.ERRORS).that(
            f"detail names each of {pair}",
            all(any(_names(item, (field,)) for item in detail) for field in pair),
            shorten(show(detail), 160),
        )


def _names(item: Any, path: Path) -> bool:
    """Return True if an entry of `detail` names a field, by its place or in its text."""
    place, text = at(item, "loc"), at(item, "msg")
    if isinstance(place, list) and path[-1] in place:
        return True
    # The refusal may be about the object that contains the field.
    return isinstance(text, str) and any(step in text for step in path)


def _has_query(operation: Operation) -> bool:
    """Select reads with parameters in their query that are none of a container's."""
    return reads(operation) and bool(operation.query) and operation.tag != "containers"


@scenario(
    "fields.query",
    _has_query,
    clauses="""
        responses Invalid#c83f, Errors#dce1, parameters EventFormat#7907#240e,
        parameters EventLimit#424e#0392
    """,
)
def fields_query(ctx: Context) -> None:
    run = {"run": ctx.resources.name()} if ctx.session.offers("runs") else {}
    containers, env = ctx.session.containers, {"answer": _RECORDED}
    more = {"container_url": containers["good"]} if containers else {}
    rollout = run_rollout(ctx, ctx.resources.pool(**more), **run, **({"env": env} if more else {}))
    for operation in offered(ctx):
        ids = operation.own_ids({**rollout.ids, **run})
        if ids.keys() != {*operation.id_names} or (may_find_nothing(operation) and not more):
            continue
        pages = operation.streams and ctx.session.offers("event_pages")
        always = {"format": "json"} if pages else {}
        parameters = dict(operation.query)
        if operation.streams and not pages:
            parameters.pop("format", None)
        if not ctx.session.offers("event_rollouts"):
            parameters.pop("include", None)
        if operation.item == "Rollout" and not run:
            # These are read where runs are.
            parameters = {name: parameters[name] for name in _OF_ALL_LISTS if name in parameters}
        for name, schema in parameters.items():
            for value in wrong_texts(schema):
                query = {**always, name: value}
                ctx.check(Status(422, f"{name!r} is wrong"), operation.id, ids, query=query)
            twice = Status(422, f"{name!r} is given more than once", clause=_ONCE)
            right = str(schema.get("enum", [schema.get("minimum", "1")])[0:1][0])
            ctx.check(twice, operation.id, ids, query={**always, name: [right, right]})
        if "limit" in operation.query and (not operation.streams or pages):
            first_page: dict[str, Any] = {**always, "limit": 1}
            plain = ctx.require(200, operation.id, ids, query=first_page)
            unknown = ctx.require(200, operation.id, ids, query={**first_page, "limti": ["1", "2"]})
            expected, actual = sorted(plain.json), sorted(unknown.json)
            ctx.judge(operation.id, unknown).equal("the keys of the page", expected, actual)


@scenario("fields.unknown_query", reads, "create_pool", "create_rollout", clauses="Errors#dce1")
def fields_unknown_query(ctx: Context) -> None:
    run = {"run": ctx.resources.name()} if ctx.session.offers("runs") else {}
    rollout = run_rollout(ctx, ctx.resources.pool(tasks=[{"task_id": "t"}]), **run)
    ids = {**rollout.ids, "task_id": "t", **run}
    for operation in offered(ctx):
        # A direct call depends on a container, and a stream on what happens.
        if operation.tag == "containers" or operation.streams or may_find_nothing(operation):
            continue
        body = small_body(ctx, operation)
        succeeded = Status(
            (200, 201, 202), "a query parameter that it does not have changes nothing"
        )
        response = ctx.check(
            succeeded, operation.id, operation.own_ids(ids), query={"limti": ["1", "2"]}, json=body
        )
        if operation.id == "create_pool" and response.status == 201:
            ctx.session.register_pool(str(response.at("id")))


@scenario(
    "fields.headers",
    creates_rollout,
    clauses="responses Invalid#c83f, Limits#d3c0, ErrorDetailItem.loc#4909",
    needs="idempotency_keys",
)
def fields_headers(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    for operation in offered(ctx):
        ids, body = operation.own_ids(rollout.ids), small_body(ctx, operation)
        if "pool_id" in operation.body_fields and "pool_id" not in ids:
            body = {**body, "pool_id": rollout.pool_id}
        longest = (f"{operation.id}-{ctx.session.options.run_id}-" * 255)[:_LONGEST_KEY]
        for key in (f"{longest}x", "a b"):
            headers = {"idempotency-key": key}
            ctx.check(422, operation.id, ids, json=body, headers=headers)
        headers = {"idempotency-key": longest}
        ctx.check((202, 200), operation.id, ids, json=body, headers=headers)


_ONCE = Clause(ids="Errors#dce1")
_OF_ALL_LISTS = ("state", "limit", "cursor")
_STEP = {"step_id": 1, "source": "agent", "message": "x"}
_RECORDED = {
    "status": "completed", "reward": 1.0,
    "trajectory": {"agent": {"name": "kit", "version": "1"}, "steps": [_STEP]},
}  # fmt: skip


@scenario(
    "fields.pool",
    *_POOLS,
    "get_pool",
    "list_pools",
    clauses="""
        update_pool#1046, PoolDefinition.name#3e73, replace_pool responses 200#07bf,
        Pool.container_url#7ec1, patch_task#51a8, replace_pool#1423, PoolDefinition.config#1376,
        PoolDefinition.container_urls#155d#bf19, PoolDefinition.metadata#8664,
        PoolDefinition.container_url#d348
    """,
)
def fields_pool(ctx: Context) -> None:
    if ctx.session.options.pool_request is not None:
        # Every body would need the fields of --pool-request.
        for operation in ctx.operations:
            ctx.expect.inconclusive(operation, "--pool-request says what pools are made with")
        return
    name = ctx.resources.name()
    ctx.resources.create_pool({"pool_id": name})
    path = {"pool_id": name}
    plain = ctx.require(200, "get_pool", path).json
    fields = [name for name in _fields(ctx, "create_pool").names if name not in _GIVEN_ELSEWHERE]
    for field in fields:
        default = _definition(plain, fields)
        affected = {field, _TWINS.get(field, field)}
        unaffected = {key: value for key, value in default.items() if key not in affected}
        for number, value in enumerate(_right(ctx, "create_pool", field, plain)):
            set_ = {**unaffected, field: value}
            for writer, body, expected in (
                ("update_pool", {field: value}, set_),
                ("update_pool", {field: None}, default),
                ("replace_pool", {field: value}, set_),
                ("update_pool", {}, set_),
                ("replace_pool", {}, default),
                ("replace_pool", {field: None}, default),
            ):
                updated = ctx.require(200, writer, path, json=body)
                views = of_pool(ctx, name)[: None if body else 1]
                _fields_are(ctx, writer, updated, views, expected, _said(writer, field, body))
            if number == 0:
                _created(ctx, field, value, set_)


def _said(writer: str, field: str, body: Mapping[str, Any]) -> str:
    how = "without" if field not in body else "with null for" if body[field] is None else "with"
    return f"after {writer} {how} {field!r}"


_LONGEST_KEY = 255
# Ids are in the path, and tasks have scenarios of their own.
_GIVEN_ELSEWHERE = ("id", "pool_id", "task_id", "tasks")


def _created(ctx: Context, field: str, value: Any, expected_value: Mapping[str, Any]) -> None:
    """Create a pool with one optional field, and judge its views."""
    name = ctx.resources.name()
    ctx.session.register_pool(name)
    body = {"pool_id": name, "name": name, field: value}
    created = ctx.require(201, "create_pool", json=body)
    expected = {**expected_value, **({} if field == "name" else {"name": name})}
    _fields_are(
        ctx, "create_pool", created, of_pool(ctx, name), expected, f"created with {field!r}"
    )


@scenario(
    "fields.task",
    *_TASKS,
    "list_tasks",
    "get_pool",
    clauses="""
        update_task#f639, update_pool#1046, update_task responses 200#787f,
        TaskDefinition.backend#0cf7#2c6d, Task.container_url#7e6d#1332,
        TaskDefinition.task_config#2692, TaskDefinition.container_url#3366, patch_task#a808,
        TaskPatch#2044
    """,
)
def fields_task(ctx: Context) -> None:
    pool_id = ctx.resources.pool(backend="the pool's", tasks=[{"task_id": "unchanged"}])
    pool, ids = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "t"}
    plain = ctx.require(201, "create_task", pool, json={"task_id": "t"}).json
    fields = [name for name in _fields(ctx, "create_task").names if name not in _GIVEN_ELSEWHERE]
    default = _definition(plain, fields)
    for field in fields:
        for number, value in enumerate(_right(ctx, "create_task", field, plain)):
            set_ = {**default, field: value}
            for writer, body, expected in (
                ("patch_task", {field: value}, set_),
                ("patch_task", {field: None}, default),
                ("update_task", {field: value}, set_),
                ("patch_task", {}, set_),
                ("update_task", {}, default),
                ("update_task", {field: None}, default),
            ):
                updated = ctx.require(200, writer, ids, json=body)
                views = of_task(ctx, pool_id, "t")
                _fields_are(ctx, writer, updated, views, expected, _said(writer, field, body))
            if number == 0:
                task_id = f"{field}-task".replace("_", "-")
                created = ctx.require(
                    201, "create_task", pool, json={"task_id": task_id, field: value}
                )
                views = of_task(ctx, pool_id, task_id)
                _fields_are(ctx, "create_task", created, views, set_, f"created with {field!r}")
    updated = ctx.require(200, "update_pool", pool, json={"backend": "the pool's later one"})
    for reader, task, response in of_task(ctx, pool_id, "unchanged"):
        label = "backend of a task without one, that of its pool,"
        ctx.judge(reader, response).equal(label, updated.at("backend"), at(task, "backend"))


def _fields(ctx: Context, operation: str) -> RequestFields:
    document = ctx.session.document
    return RequestFields(document, document.operations[operation])


def _right(ctx: Context, operation: str, field: str, plain: Any) -> list[Any]:
    """Return values other than the default that this server must accept for a field."""
    containers = ctx.session.containers
    urls = [containers["good"], containers["twin"]] if containers else []
    if field == "container_url":
        # The server's policy may refuse another address.
        return urls[:1]
    if field == "container_urls":
        return [urls] * (bool(urls) and ctx.session.offers("container_urls"))
    values = _fields(ctx, operation).right((field,), {"name": "x"})
    if field == "target":
        offered = ctx.call("get_capabilities").at("targets")
        values = [value for value in values if isinstance(offered, list) and value in offered]
    # One value shows that a field is set; the full profile tries a second one.
    most = 2 if ctx.session.options.profile is Profile.FULL else 1
    return [value for value in values if not same_json(value, at(plain, field))][:most]


def _definition(resource: Any, fields: list[str]) -> dict[str, Any]:
    return {field: at(resource, field) for field in fields}


def _fields_are(
    ctx: Context,
    writer: str,
    updated: Response,
    views: list[tuple[str, Any, Response]],
    expected_value: Mapping[str, Any],
    label: str,
) -> None:
    """Expect the answer of the writer and all later reads to show these fields."""
    expected = {field: value for field, value in expected_value.items() if value is not ABSENT}

    def shown(observed: Any) -> dict[str, Any]:
        return {field: at(observed, field) for field in expected}

    ctx.judge(writer, updated).shown(
        [(writer, updated.json, updated), *views],
        lambda observed: same_json(expected, shown(observed)),
        f"the definition {label}",
        difference(expected, shown(views[0][1])),
    )
