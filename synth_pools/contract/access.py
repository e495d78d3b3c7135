"""Whether every operation refuses those who have no key, or a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synth_pools.contract.document import Operation
from synth_pools.contract.features import not_offered
from synth_pools.contract.harness.context import Context, Scenario
from synth_pools.contract.harness.waits import Rollout
from synth_pools.contract.http.client import ABSENT, Answer
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import Clause, Column, Layer, Outcome
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.session import World

CHECK = "auth.refused"
_CLAUSE = Clause("Authentication", "a missing or wrong key is 401, on every operation")
_SECONDS = 10.0
# Whoever does not check the key does what is asked: so deletions come last.
_LAST = ("delete_task", "delete_pool")


def check_access(world: World, rollout: Rollout | None) -> None:
    """Ask for every operation without a key and with wrong ones, about things of ours."""
    operations = tuple(world.document.operations)
    item = Scenario(CHECK, _CLAUSE, operations, lambda _: None)
    ctx = Context(world, item, Layer.PREFLIGHT)
    ids = _ids(world, rollout)
    absent = not_offered(world)
    for operation in sorted(world.document.operations.values(), key=lambda op: op.id in _LAST):
        if world.options.read_only and operation.method != "GET":
            continue
        if operation.id in absent:
            ctx.lack(operation.id, absent[operation.id], Outcome.NOT_OFFERED)
            continue
        for what, authorization in _wrong(operation):
            answer = _ask(ctx, operation, ids, authorization)
            if answer.status == 501:
                # It refuses everybody, which is as good.
                continue
            ctx.judge(
                operation.id,
                answer.status == 401,
                f"401: {what}",
                excerpt(answer.exchange),
                answer,
                column=Column.AUTH,
            )


def _wrong(operation: Operation) -> Iterator[tuple[str, str | None]]:
    yield "no key was sent", None
    yield "the key is wrong", "Bearer wrong-key-of-the-contract-kit"
    if operation.id in ("list_pools", "create_rollout", "get_rollout"):
        yield "the key has a letter too many", f"{MASKED}x"
        yield "the key is of another scheme", "Basic Y29udHJhY3Q6a2l0"


def _ids(world: World, rollout: Rollout | None) -> Mapping[str, str]:
    if rollout is None:
        # Nothing was made: a name that nobody has must be refused as well.
        name = world.pool_id("nothing")
        return dict.fromkeys(("pool_id", "task_id", "rollout_id", "artifact_path"), name)
    return {
        "pool_id": rollout.pool_id,
        "task_id": "task-1",
        "rollout_id": rollout.id,
        "artifact_path": "artifact",
    }


def _ask(
    ctx: Context, operation: Operation, ids: Mapping[str, str], authorization: str | None
) -> Answer:
    body: Any = ABSENT
    if operation.method in ("POST", "PUT", "PATCH"):
        body = {}
        if operation.id in ("create_pool", "replace_pool"):
            body = {"name": ctx.name("auth")}
        if operation.id == "create_pool":
            body["pool_id"] = body["name"]
            ctx.world.made_pool(body["name"])
        if operation.id == "create_global_rollout":
            body["pool_id"] = ids["pool_id"]
    named = {name: ids[name] for name in ids if "{" + name + "}" in operation.path}
    return ctx.call(operation.id, named, json=body, authorization=authorization, limit=_SECONDS)
