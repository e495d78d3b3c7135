"""Scenarios of deletion, archived pools, and the addresses of a pool."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import in_list, of_pool
from synth_pools.contract.harness.waits import run_rollout
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.roles.writing import judge_shown
from synth_pools.contract.selections import reads_one_rollout


@scenario(
    "pools.deleted",
    "delete_pool",
    "get_pool",
    "list_pools",
    clauses="""
        Pools: states#dc63#f6e1, list_pools#ca02, delete_pool#428e#7be9#62ad#1b67,
        Pool.archived_at#522d
    """,
)
def pools_deleted(ctx: Context) -> None:
    pool_id = ctx.resources.pool(metadata={"kept": 1})
    path = {"pool_id": pool_id}
    before = ctx.require(200, "get_pool", path)
    updated = ctx.require(200, "delete_pool", path)
    expected = {"status": "archived", "metadata": {"kept": 1}}
    expected |= {"created_at": before.at("created_at"), "archived_at": updated.at("archived_at")}
    views = [("delete_pool", updated.json, updated), *of_pool(ctx, pool_id, "archived")]
    ctx.expect.rule = "the archived pool is as it was"
    judge_shown(ctx, "delete_pool", views, expected)
    ctx.expect.rule = ""
    is_dated = updated.at("archived_at") is not None
    ctx.judge("delete_pool", updated).that("archived_at tells when", is_dated, "it is null")
    active = {"state": "active"}, "among the active ones"
    for query, others in (active, ({}, "without state=archived")):
        more, since = {"limit": 100, **query}, before.at("created_at")
        reader, pool, response = in_list(ctx, "list_pools", {}, more, pool_id, since)
        demand = f"no archived pool {others}"
        ctx.judge(reader, response).that(demand, pool is ABSENT, "it is")
    second = ctx.require(200, "delete_pool", path)
    for field in ("id", "status", "archived_at", "created_at"):
        ctx.judge("delete_pool", second).field(field, updated.at(field), f"{field}, again,")


@scenario(
    "pools.archived",
    reads_one_rollout,
    "list_tasks",
    "list_rollouts",
    "update_pool",
    clauses="delete_pool#3c83, get_pool#fdaa, Errors#44df",
)
def pools_archived(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    path = {"pool_id": pool_id}
    rollout = run_rollout(ctx, pool_id)
    readers = list(offered(ctx, reads_one_rollout, "list_tasks", "list_rollouts"))
    before = [ctx.require(200, reader.id, reader.own_ids(rollout.ids)) for reader in readers]
    ctx.require(200, "delete_pool", path)
    for reader, former in zip(readers, before, strict=True):
        after = ctx.check(Status(200, "reads go on"), reader.id, reader.own_ids(rollout.ids))
        ctx.expect.equal(reader.id, "what it was before", former.json, after.json, after)
    name = ctx.resources.name()
    refused = Status(409, "the pool is archived", code="pool_archived")
    ctx.check(refused, "update_pool", path, json={"name": name})
    pool = ctx.require(200, "get_pool", path)
    ctx.judge("update_pool", pool).that(
        "nothing was changed", pool.at("name") != name, "the name was"
    )


@scenario(
    "pools.tasks_all_or_none",
    "create_pool",
    "replace_pool",
    "update_pool",
    "get_pool",
    clauses="create_pool#5158, PoolDefinition.tasks#437a#f00b, Errors#45aa",
)
def pools_tasks_all_or_none(ctx: Context) -> None:
    twice = [{"task_id": "same"}, {"task_id": "same"}]
    body = ctx.resources.body(tasks=twice)
    path = {"pool_id": body["pool_id"]}
    refused = Status(409, "two tasks have one id", code="task_exists")
    ctx.require(refused, "create_pool", json=body)
    ctx.check(Status(404, "nothing was created"), "get_pool", path)
    ctx.check(201, "create_pool", json={**body, "tasks": [{"task_id": "same"}]})
    for operation in ("replace_pool", "update_pool"):
        ctx.check(refused, operation, path, json={"name": "changed", "tasks": twice})
    after = ctx.require(200, "get_pool", path)
    ctx.judge("update_pool", after).field("name", body["name"])


@scenario(
    "pools.urls",
    "get_pool_urls",
    clauses="""
        get_pool_urls#4636, PoolUrls#8359, TaskUrls#c077, PoolUrls.task_urls#5511,
        TaskUrls.task_id#4ad6, TaskUrls.container_rollout_url#2e98, PoolUrls.pool_url#9537,
        PoolUrls.rollouts_url#7613, PoolUrls.container_url#1544, PoolUrls.container_rollout_url#0665
    """,
)
def pools_urls(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "a"}, {"task_id": "b"}])
    pool = ctx.require(200, "get_pool", {"pool_id": pool_id})
    response = ctx.require(200, "get_pool_urls", {"pool_id": pool_id})
    ctx.judge("get_pool_urls", response).field("pool_id", pool_id)
    ctx.judge("get_pool_urls", response).field("container_url", pool.at("container_url"))
    tail = f"/v1/pools/{quote(pool_id, safe='')}"
    expected = {
        "pool_url": tail,
        "rollouts_url": f"{tail}/rollouts",
        "container_rollout_url": f"{tail}/container/rollout",
    }
    for field, path in expected.items():
        _absolute(ctx, field, response.at(field), path, response)
    tasks = response.at("task_urls")
    task_ids = sorted(str(at(task, "task_id")) for task in tasks or [])
    ctx.expect.equal("get_pool_urls", "the tasks of task_urls", ["a", "b"], task_ids, response)
    for task in tasks or []:
        path = f"{tail}/tasks/{at(task, 'task_id')}/container/rollout"
        _absolute(ctx, "container_rollout_url", at(task, "container_rollout_url"), path, response)
    ctx.require(201, "create_task", {"pool_id": pool_id}, json={"task_id": "c"})
    later = ctx.require(200, "get_pool_urls", {"pool_id": pool_id})
    task_ids = sorted(str(at(task, "task_id")) for task in later.list_at("task_urls"))
    ctx.expect.equal("get_pool_urls", "the tasks, one more,", ["a", "b", "c"], task_ids, later)


def _absolute(ctx: Context, field: str, value: object, tail: str, response: Response) -> None:
    parts = urlsplit(value if isinstance(value, str) else "")
    is_absolute = (
        parts.scheme in ("http", "https") and bool(parts.netloc) and parts.path.endswith(tail)
    )
    ctx.judge("get_pool_urls", response).that(
        f"{field} is an absolute URL that ends in {tail}", is_absolute, str(value)
    )
