"""Scenarios of two organisations: the one finds nothing of the other."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import run_rollout
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.http.reproduce import OTHER_KEY
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import OF_FEATURE

_OTHER = f"Bearer {OTHER_KEY}"
_LISTS = ("list_pools", "list_global_rollouts")
# What a wrongly admitted one would do first is asked for last.
_LAST = ("cancel_rollout", "cancel_global_rollout", "delete_task", "delete_pool")
_NAMED = (
    "get_pool", "get_pool_urls", "get_pool_metrics", "list_tasks", "list_rollouts",
    "get_rollout", "get_rollout_artifacts", "get_rollout_usage", "get_rollout_summary",
    "stream_rollout_events", "get_global_rollout", "get_global_rollout_artifacts",
    "get_global_rollout_usage", "get_global_rollout_summary", "stream_global_rollout_events",
    "get_pool_container_health", "get_task_container_health", "update_pool", "replace_pool",
    "create_task", "update_task", "patch_task", "create_rollout",
    "execute_pool_container_rollout", "execute_task_container_rollout",
    *OF_FEATURE["pause"], *OF_FEATURE["replay"], *OF_FEATURE["artifact_downloads"],
    *OF_FEATURE["support_bundle"], *_LAST,
)  # fmt: skip


@scenario(
    "organisations.apart",
    *_NAMED,
    *_LISTS,
    "create_global_rollout",
    clauses="Authentication#69f4, responses NotFound#89f2",
    needs="other_key",
)
def organisations_apart(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id, task_id="t")
    mine = {"pool_id": pool_id, "task_id": "t", "rollout_id": rollout.id, "artifact_path": "x"}
    if ctx.call("list_pools", authorization=_OTHER).status in (401, 403):
        note = "the key of --other-key is refused"
        raise InconclusiveError(Outcome.NOT_REACHED, "list_pools", note)
    before = [ctx.require(200, "get_pool", {"pool_id": pool_id}).json, _rollout(ctx, rollout.ids)]
    for operation in _LISTS:
        response = ctx.require(200, operation, query={"limit": 100}, authorization=_OTHER)
        found = [at(item, "id") for item in response.at("items") or []]
        ctx.expect.that(
            Expectation(operation, "nothing of another organisation", response),
            not {pool_id, rollout.id} & set(map(str, found)),
            "the pool, or the rollout, of the first key",
        )
    theirs = Status(404, "it is another organisation's")
    absent = ctx.session.not_offered()
    for operation in _NAMED:
        known = ctx.session.document.operations.get(operation)
        if known is None or operation in absent:
            continue
        ids = {name: value for name, value in mine.items() if "{" + name + "}" in known.path}
        body: Any = {} if known.method in ("POST", "PUT", "PATCH") else ABSENT
        if operation == "replace_pool":
            body = {"name": ctx.resources.name()}
        ctx.check(theirs, operation, ids, json=body, authorization=_OTHER)
    body = {**ctx.session.rollout_body(), "pool_id": pool_id}
    ctx.check(theirs, "create_global_rollout", json=body, authorization=_OTHER)
    after = [ctx.require(200, "get_pool", {"pool_id": pool_id}).json, _rollout(ctx, rollout.ids)]
    ctx.expect.equal("update_pool", "what the other key asked to change", before, after, None)


def _rollout(ctx: Context, ids: dict[str, str]) -> Any:
    return ctx.require(200, "get_rollout", ids).json
