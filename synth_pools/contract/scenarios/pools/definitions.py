"""Scenarios of pool definitions: defaults, spellings, and fields that the server owns."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import start_rollout
from synth_pools.contract.http.client import ABSENT


@scenario(
    "pools.defaults",
    "create_pool",
    "get_pool",
    clauses="PoolDefinition#46db, Pool.container_url#7ec1",
)
def pools_defaults(ctx: Context) -> None:
    nothing = dict.fromkeys(
        ("target", "backend", "config", "pool_config", "metadata", "pool_metadata", "tasks")
        + ("capacity", "concurrency", "id")
    )
    for more in ({}, nothing):
        name = ctx.resources.name()
        ctx.session.register_pool(name)
        created = ctx.require(201, "create_pool", json={**more, "pool_id": name, "name": name})
        read = ctx.require(200, "get_pool", {"pool_id": name})
        for operation, response in (("create_pool", created), ("get_pool", read)):
            expected = {
                "target": "arbitrary",
                "backend": "arbitrary",
                "config": {},
                "metadata": {},
                "tasks": [],
                "capacity": 1,
                "concurrency": 8,
                "container_url": None,
            }
            # A server that adds no defaults, or keeps null, gets one entry for all fields.
            missing = [field for field in expected if response.at(field) is ABSENT]
            ctx.expect.equal(operation, "what the answer lacks", [], missing, response)
            null = [
                name for name in expected if name != "container_url" and response.at(name) is None
            ]
            ctx.expect.equal(operation, "what is null and has a default", [], null, response)
            for field, value in expected.items():
                if field not in (*missing, *null):
                    ctx.judge(operation, response).field(field, value, f"{field} by default")


@scenario(
    "pools.assigned_id",
    "create_pool",
    "get_pool",
    clauses="Identifiers#b0f4, create_task#2218, PoolDefinition.id#456e, TaskDefinition.id#ea58",
)
def pools_assigned_id(ctx: Context) -> None:
    observed = []
    for _ in range(2):
        body = ctx.session.pool_body("x", name=ctx.resources.name())
        del body["pool_id"]
        response = ctx.require(201, "create_pool", json=body)
        pool_id = str(response.at("id"))
        ctx.session.register_pool(pool_id)
        observed.append(response)
        read = ctx.require(200, "get_pool", {"pool_id": pool_id})
        ctx.judge("get_pool", read).field("name", body["name"])
    ctx.judge("create_pool", observed[1]).that(
        "an id of its own for each pool",
        observed[0].at("id") != observed[1].at("id"),
        observed[0].at("id"),
    )


@scenario(
    "pools.spellings",
    "create_pool",
    "update_pool",
    clauses="""
        PoolDefinition#3178, Pool.pool_metadata#e5a9, PoolDefinition.backend#a9c5#0127,
        PoolDefinition.pool_config#1483#ac6b, PoolDefinition.pool_metadata#a39e#7e65,
        PoolDefinition.target#a3b8#cedd, Pool.backend#40c2
    """,
)
def pools_spellings(ctx: Context) -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"backend": "harbor"}, {"target": "harbor", "backend": "harbor"}),
        ({"backend": "of our own"}, {"target": "arbitrary", "backend": "of our own"}),
        ({"target": "openenv"}, {"target": "openenv", "backend": "openenv"}),
        ({"pool_config": {"a": 1}}, {"config": {"a": 1}, "pool_config": {"a": 1}}),
        ({"pool_config": {"a": 1}, "config": {"b": 2}}, {"config": {"b": 2}}),
        ({"pool_metadata": {"a": 1}}, {"metadata": {"a": 1}, "pool_metadata": {"a": 1}}),
        ({"pool_metadata": {"a": 1}, "metadata": {"b": 2}}, {"metadata": {"b": 2}}),
        # Null is the same as not given.
        ({"pool_config": {"a": 1}, "config": None}, {"config": {"a": 1}}),
        ({"pool_metadata": {"a": 1}, "metadata": None}, {"metadata": {"a": 1}}),
        ({"backend": "of our own", "target": None}, {"target": "arbitrary"}),
    ]
    targets = ctx.call("get_capabilities").list_at("targets")
    for body, expected in cases:
        target = body.get("target", body.get("backend"))
        if target in ("harbor", "openenv") and target not in targets:
            continue
        pool_id = ctx.resources.name()
        ctx.session.register_pool(pool_id)
        response = ctx.require(
            201, "create_pool", json={"name": pool_id, "pool_id": pool_id, **body}
        )
        responses = [("create_pool", response)]
        for operation in filter(ctx.has, ("replace_pool", "update_pool")):
            # Null in a patch removes, and what a patch does not name stays.
            follows = bool({*expected} & {"target", "backend"} or None in body.values())
            if operation == "replace_pool" or not follows:
                if operation == "update_pool":
                    # Without what the pools of this run have, which a patch would leave.
                    names = {*expected} & {"config", "metadata"}
                    pool_id = ctx.resources.pool("", **{field: {} for field in names})
                ids = {"pool_id": pool_id}
                responses.append((operation, ctx.require(200, operation, ids, json=body)))
        for operation, response in responses:
            answered = {field: response.at(field) for field in expected}
            label = f"what {' and '.join(body)} stand for"
            ctx.expect.equal(operation, label, expected, answered, response)
    path = {"pool_id": ctx.resources.pool(metadata={"a": 1})}
    updated = ctx.require(200, "update_pool", path, json={"pool_metadata": {"b": 2}})
    ctx.judge("update_pool", updated).field("metadata", {"a": 1, "b": 2})
    path = {"pool_id": ctx.resources.pool("merged", config={"a": 1})}
    updated = ctx.require(200, "update_pool", path, json={"pool_config": {"b": 2}})
    for field, value in (("a", 1), ("b", 2)):
        ctx.judge("update_pool", updated).field(f"config.{field}", value)


@scenario(
    "pools.server_owned",
    "create_pool",
    "replace_pool",
    "update_pool",
    "create_task",
    "update_task",
    "patch_task",
    clauses="PoolDefinition#f21d, TaskDefinition#e0bb",
)
def pools_server_owned(ctx: Context) -> None:
    owned = {
        "status": "archived",
        "state": "paused",
        "created_at": "2001-01-01T00:00:00Z",
        "updated_at": "2001-01-01T00:00:00Z",
        "archived_at": "2001-01-01T00:00:00Z",
    }
    body = ctx.resources.body()
    created = ctx.require(201, "create_pool", json={**body, **owned})
    path = {"pool_id": body["pool_id"]}
    put = ctx.require(200, "replace_pool", path, json={**body, **owned})
    patched = ctx.require(200, "update_pool", path, json=owned)
    for operation, response in (
        ("create_pool", created),
        ("replace_pool", put),
        ("update_pool", patched),
    ):
        for field, value in owned.items():
            ctx.judge(operation, response).that(
                f"{field} is the server's own",
                response.at(field) != value,
                f"{field} is {value}, as the request said",
            )
    of_task = {name: owned[name] for name in ("status", "created_at", "updated_at")}
    for operation in filter(ctx.has, ("create_task", "update_task", "patch_task")):
        ids = {**path, "task_id": "t"} if operation != "create_task" else path
        body = {"task_id": "t", **of_task} if operation == "create_task" else of_task
        response = ctx.require((200, 201), operation, ids, json=body)
        for field, value in of_task.items():
            ctx.judge(operation, response).that(
                f"{field} is the server's own",
                response.at(field) != value,
                f"{field} is {value}, as the request said",
            )


@scenario(
    "pools.case",
    "create_pool",
    "get_pool",
    "create_task",
    "update_task",
    "get_global_rollout",
    clauses="Identifiers#93d9#252e",
)
def pools_case(ctx: Context) -> None:
    lower = ctx.resources.name()
    upper = lower + "-UPPER"
    lower += "-upper"
    body = ctx.session.pool_body("x", name=lower)
    ctx.resources.create_pool({**body, "pool_id": lower, "metadata": {"which": "lower"}})
    ctx.check(Status(404, "its name is spelt otherwise"), "get_pool", {"pool_id": upper})
    ctx.resources.create_pool({**body, "pool_id": upper, "metadata": {"which": "upper"}})
    for pool_id, which in ((lower, "lower"), (upper, "upper")):
        response = ctx.require(200, "get_pool", {"pool_id": pool_id})
        ctx.judge("get_pool", response).field("metadata.which", which)
    ctx.require(201, "create_task", {"pool_id": lower}, json={"task_id": "Task"})
    in_lower_case = {"pool_id": lower, "task_id": "task"}
    ctx.check(Status(404, "its name is spelt otherwise"), "update_task", in_lower_case, json={})
    ctx.check(201, "create_task", {"pool_id": lower}, json={"task_id": "task"})
    rollout = start_rollout(ctx, lower)
    if rollout.id.swapcase() != rollout.id:
        swapped = {"rollout_id": rollout.id.swapcase()}
        ctx.check(Status(404, "its id is spelt otherwise"), "get_global_rollout", swapped)
