"""Scenario of pools without a healthy process, on servers that may start any program."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.processes import (
    KitProcesses,
    delete_and_wait,
    kit_processes,
    process_pool,
    wait_for_ends,
)
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import read_until, start_rollout, start_running, wait_for
from synth_pools.contract.http.client import Response
from synth_pools.contract.rules.verdict import show
from synth_pools.contract.scenarios.processes.replacement import judge_retryable

# Seconds until a pool fails: long enough for its program to write a line.
_SOON = 3.0


@scenario(
    "processes.failed",
    "get_pool",
    "create_rollout",
    "resume_pool",
    "pause_pool",
    "replay_rollout",
    clauses="""
        Pools: states#0888#0ef4#6441, resume_pool#a119#ec15#96a3, PoolError#8069, Pool.error#19e3,
        PoolProcess#8360, PoolProcess.start_timeout_seconds#58d7, pause_pool#6d12,
        PoolError.code#ba43#c00e#7e42#c85e, PoolError.details#fb9c
    """,
    needs="processes",
    slow=True,
)
def processes_failed(ctx: Context) -> None:
    with kit_processes(ctx) as kit:
        kit.order = "exit"
        created = process_pool(ctx, kit.definition(start_timeout_seconds=_SOON), concurrency=1)
        pool = {"pool_id": str(created.at("id"))}
        _judge_failure(ctx, pool, kit)
        refused = Status(409, "the pool has failed", code="pool_not_active")
        response = ctx.check(refused, "create_rollout", pool, json={})
        retryable = response.at("error", "retryable")
        judge = ctx.judge("create_rollout", response)
        judge.that("retryable is not true", retryable is not True, show(retryable))
        if not ctx.session.offers("pause"):
            return
        ctx.check(refused, "pause_pool", pool)
        # Only a pool that was active can have queued rollouts.
        patient = kit.definition()
        ctx.require(200, "update_pool", pool, json={"config": {"process": patient}})
        kit.order = "wait"
        _resume(ctx, pool, "warming")
        kit.tell("listen")
        ctx.resources.wait_until_active(pool["pool_id"])
        read = ctx.require(200, "get_pool", pool)
        ctx.judge("get_pool", read).field("error", None, "error of an active pool")
        running = start_running(ctx, pool["pool_id"])
        queued = start_rollout(ctx, pool["pool_id"])
        ctx.require(200, "pause_pool", pool)
        ctx.judge("pause_pool", read).that("its processes serve what runs", bool(kit.alive()))
        ctx.require(200, "cancel_rollout", running.ids, json={})
        wait_for_ends(ctx, pool, kit, "pause_pool", "with nothing left to run")
        kit.order = "exit"
        impatient = kit.definition(start_timeout_seconds=_SOON)
        ctx.require(200, "update_pool", pool, json={"config": {"process": impatient}})
        read = ctx.require(200, "get_pool", pool)
        ctx.judge("update_pool", read).field("status", "paused", "status, as before,")
        _resume(ctx, pool, "warming", "failed")
        _judge_failure(ctx, pool, kit)
        waits = ctx.require(200, "get_rollout", queued.ids)
        ctx.judge("get_rollout", waits).field("status", "queued", "status in a failed pool")
        ctx.require(200, "update_pool", pool, json={"config": {"process": patient}})
        kit.order = "wait"
        _resume(ctx, pool, "warming")
        if ctx.session.offers("replay"):
            warming = Status(409, "the pool is warming", code="pool_not_active")
            response = ctx.check(warming, "replay_rollout", running.global_ids)
            judge_retryable(ctx, "replay_rollout", response)
        kit.tell("listen")
        final = wait_for(ctx, queued, FINAL)
        ctx.judge("resume_pool", final).field("status", "completed", "what waited")
        delete_and_wait(ctx, pool, kit)


def _resume(ctx: Context, pool: dict[str, str], *states: str) -> None:
    response = ctx.require(200, "resume_pool", pool)
    ctx.judge("resume_pool", response).among("status", states, f"status {' or '.join(states)}")


def _judge_failure(ctx: Context, pool: dict[str, str], kit: KitProcesses) -> None:
    def has_failed(read: Response) -> bool:
        return bool(read.at("status") == "failed")

    response, failed = read_until(ctx, "get_pool", pool, has_failed, brings="create_pool")
    demand = "a pool without a healthy process becomes failed"
    observed = f"it is {response.at('status')}"
    if not ctx.judge("create_pool", response).that(demand, failed, observed):
        raise StopScenarioError
    ctx.judge("get_pool", response).field("error.code", "process_not_healthy")
    if not any(process.exited.is_set() for process in kit.started()):
        # The machine is so busy that no process has written a line.
        return
    output = response.at("error", "details", "output")
    ctx.judge("get_pool", response).that(
        "error.details.output: the last lines that the process wrote",
        isinstance(output, list) and any("kit: " in str(line) for line in output),
        show(output, 300),
    )
