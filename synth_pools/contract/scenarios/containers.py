"""Containers: direct calls pass both ways unchanged, and rollouts reach them as documented."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.waits import (
    FINAL,
    STARTED,
    Rollout,
    eventually,
    rollout_id,
    start,
    wait,
    wait_until_active,
)
from synth_pools.contract.http.client import ABSENT, Answer
from synth_pools.contract.http.stub_container import (
    HEALTH,
    INFO,
    METADATA,
    PROGRAM,
    TASK_INFO,
    TASKSET,
)

_GETS = {
    "health": HEALTH,
    "info": INFO,
    "metadata": METADATA,
    "task_info": TASK_INFO,
    "program": PROGRAM,
    "taskset": TASKSET,
}
_OPERATIONS = (
    *(f"get_pool_container_{what}" for what in _GETS),
    "execute_pool_container_rollout",
    *(f"get_task_container_{what}" for what in _GETS),
    "execute_task_container_rollout",
)


@scenario(
    "containers.answer",
    "Containers",
    "the container behind a pool or a task answers with a JSON object",
    *_OPERATIONS,
)
def answer_at_all(ctx: Context) -> None:
    pool_id = ctx.pool(tasks=[{"task_id": "t"}])
    for name in _OPERATIONS:
        ids = {"pool_id": pool_id} if "_pool_" in name else {"pool_id": pool_id, "task_id": "t"}
        sent: Any = ctx.world.rollout_body(seed=7) if name.startswith("execute_") else ABSENT
        answer = ctx.call(name, ids, json=sent)
        if answer.status in (404, 502, 504):
            # So may a container of the caller's be; it is not what is judged.
            ctx.lack(name, f"the container answers {answer.status}")
            continue
        if ctx.expect(answer, 200, name):
            got = answer.json
            ctx.judge(name, isinstance(got, dict), "a JSON object", str(got)[:80], answer)


@scenario(
    "containers.pass",
    "Containers",
    "direct calls pass the container's JSON on unchanged, both ways; a task's own address wins",
    *_OPERATIONS,
    needs="containers",
)
def pass_on(ctx: Context) -> None:
    here = ctx.world.containers
    pool_id = ctx.pool(
        container_url=here["good"],
        tasks=[
            {"task_id": "same"},
            {"task_id": "bare", "container_url": here["bare"]},
            {"task_id": "broken", "container_url": here["broken"]},
            {"task_id": "nobody", "container_url": here["nobody"]},
        ],
    )
    bare = ctx.pool(
        "bare", container_url=here["bare"], tasks=[{"task_id": "t", "container_url": here["good"]}]
    )
    broken = ctx.pool("broken", container_url=here["broken"])
    nobody = ctx.pool("nobody", container_url=here["nobody"])
    for what, wanted in _GETS.items():
        pool, task = f"get_pool_container_{what}", f"get_task_container_{what}"
        for name, ids in (
            (pool, {"pool_id": pool_id}),
            (task, {"pool_id": pool_id, "task_id": "same"}),
            (task, {"pool_id": bare, "task_id": "t"}),
        ):
            answer = ctx.want(200, name, ids)
            ctx.equal(name, "the container's answer", wanted, answer.json, answer)
        for status, of_pool, task_id, why in (
            (404, bare, "bare", "the container does not have it"),
            (502, broken, "broken", "the container does not answer 200 with a JSON object"),
            (502, nobody, "nobody", "nobody answers at the address"),
        ):
            ctx.try_(status, pool, {"pool_id": of_pool}, because=why)
            ctx.try_(status, task, {"pool_id": pool_id, "task_id": task_id}, because=why)
    body = {"rollout_id": ctx.name(), "seed": 7, "env": {"reward": 0.5}, "text": "ü🌍", "n": [None]}
    for name, ids in (
        ("execute_pool_container_rollout", {"pool_id": pool_id}),
        ("execute_task_container_rollout", {"pool_id": pool_id, "task_id": "same"}),
        ("execute_pool_container_rollout", {"pool_id": bare}),
        ("execute_task_container_rollout", {"pool_id": pool_id, "task_id": "bare"}),
    ):
        answer = ctx.want(200, name, ids, json=body)
        ctx.equal(name, "the body, as the container received it,", body, answer.at("echo"), answer)
        ctx.equal(name, "summary", {"reward": 0.5}, answer.at("summary"), answer)
    for said in ("http_error", "html", "array"):
        wrong = {"env": {"answer": said}}
        ctx.try_(
            502,
            "execute_pool_container_rollout",
            {"pool_id": pool_id},
            json=wrong,
            because="the container answers wrongly",
        )
    ctx.try_(
        502,
        "execute_task_container_rollout",
        {"pool_id": pool_id, "task_id": "nobody"},
        json={},
        because="nobody answers at the address",
    )


@scenario(
    "containers.nothing_kept",
    "execute_pool_container_rollout",
    "nothing is queued, stored or measured",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
)
def nothing_kept(ctx: Context) -> None:
    pool_id = ctx.pool(tasks=[{"task_id": "t"}])
    path = {"pool_id": pool_id}
    name = ctx.name()
    for operation, ids in (
        ("execute_pool_container_rollout", path),
        ("execute_task_container_rollout", {**path, "task_id": "t"}),
    ):
        answer = ctx.call(operation, ids, json={"rollout_id": name, "seed": 1})
        listed = ctx.want(200, "list_rollouts", path)
        ctx.equal(operation, "the list of rollouts", [], listed.at("items"), answer)
        ctx.try_(404, "get_global_rollout", {"rollout_id": name}, because="nothing was stored")


@scenario(
    "containers.sent",
    "Containers",
    "a rollout is sent with the keys of its request except pool_id and mode, plus rollout_id and "
    "submission_mode sync",
    "create_rollout",
    needs="containers",
)
def sent(ctx: Context) -> None:
    for behaviour, path in (("good", "/rollouts"), ("bare", "/rollout")):
        pool_id = ctx.pool(
            behaviour, container_url=ctx.world.containers[behaviour], tasks=[{"task_id": "t"}]
        )
        request = {
            "task_id": "t", "seed": 7, "mode": "async", "pool_id": pool_id, "ops": [1, None],
            "env": {"reward": 0.5, "config": {"ü": "🌍"}}, "trace_correlation_id": "trace-1",
        }  # fmt: skip
        created = ctx.want((202, 200), "create_rollout", {"pool_id": pool_id}, json=request)
        rollout = Rollout(pool_id, rollout_id(created))
        wait(ctx, rollout, FINAL)
        received = ctx.world.memory.of_rollout(rollout.id)
        reached = [one for one in received if one.path == path]
        answer = ctx.want(200, "get_rollout", rollout.ids)
        ctx.judge(
            "create_rollout",
            len(reached) == 1,
            f"one POST {path} at the container",
            str([one.path for one in received]),
            answer,
        )
        wanted = {k: v for k, v in request.items() if k not in ("pool_id", "mode")}
        wanted.update(rollout_id=rollout.id, submission_mode="sync")
        for one in reached[:1]:
            ctx.equal("create_rollout", "what the container received", wanted, one.body, answer)


@scenario(
    "containers.changed",
    "update_pool",
    "rollouts that start later use the new values: another container, of the pool or of the task",
    "update_pool",
    "patch_task",
    "create_rollout",
    needs="containers",
)
def changed(ctx: Context) -> None:
    here = ctx.world.containers
    pool_id = ctx.pool(container_url=here["nobody"], tasks=[{"task_id": "t"}])
    path, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "t"}
    steps: list[tuple[str, dict[str, str], dict[str, str | None], str]] = [
        ("create_rollout", {}, {}, "failed"),
        ("update_pool", path, {"container_url": here["good"]}, "completed"),
        ("patch_task", task, {"container_url": here["nobody"]}, "failed"),
        ("patch_task", task, {"container_url": None}, "completed"),
    ]
    for operation, ids, change, wanted in steps:
        if change:
            ctx.want(200, operation, ids, json=change)
            wait_until_active(ctx, pool_id)
        answer = wait(ctx, start(ctx, pool_id, task_id="t"), FINAL)
        ctx.equal(operation, f"status after {change}", wanted, answer.at("status"), answer)


@scenario(
    "containers.terminate",
    "Containers",
    "cancelling a running rollout also calls POST /rollouts/{rollout_id}/terminate",
    "cancel_rollout",
    "cancel_global_rollout",
    needs="containers",
)
def terminate(ctx: Context) -> None:
    pool_id = ctx.pool(container_url=ctx.world.containers["good"])
    for operation in ("cancel_rollout", "cancel_global_rollout"):
        rollout = start(ctx, pool_id, env={"delay": 600})
        wait(ctx, rollout, STARTED)

        def arrived(wanted: str = rollout.id) -> bool:
            return any(one.path == "/rollouts" for one in ctx.world.memory.of_rollout(wanted))

        if not eventually(ctx, arrived):
            ctx.lack(operation, "the rollout did not arrive at the container in time")
            continue
        ids = rollout.ids if operation == "cancel_rollout" else rollout.global_ids
        answer: Answer = ctx.want(200, operation, ids, json={})

        def told(wanted: str = rollout.id) -> bool:
            return ctx.world.memory.was_terminated(wanted)

        ctx.judge(
            operation,
            eventually(ctx, told, 10.0),
            "the container is told within 10 s",
            "it was not",
            answer,
        )
        ended = wait(ctx, rollout, FINAL)
        ctx.equal(operation, "status", "cancelled", ended.at("status"), ended)


@scenario(
    "containers.address",
    "PoolDefinition",
    "an address that the server's policy refuses is 403, and nothing is created",
    "create_pool",
    "create_task",
)
def address(ctx: Context) -> None:
    pool_id = ctx.pool()
    refused = "http://user:secret@127.0.0.1:9/"
    body = {**ctx.world.pool_body("x"), "name": ctx.name(), "container_url": refused}
    body["pool_id"] = body["name"]
    ctx.world.made_pool(body["name"])
    answer = ctx.call("create_pool", json=body)
    ctx.expect(answer, (403, 422), "create_pool", because="the address holds userinfo")
    ctx.try_(404, "get_pool", {"pool_id": body["pool_id"]}, because="nothing was created")
    answer = ctx.call("create_task", {"pool_id": pool_id}, json={"container_url": refused})
    ctx.expect(answer, (403, 422), "create_task", because="the address holds userinfo")
