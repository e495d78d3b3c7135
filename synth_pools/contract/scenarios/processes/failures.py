"""Scenario of pools none of whose processes gets healthy, on servers that may start any."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.processes import (
    KitProcesses,
    delete_and_wait,
    kit_processes,
    process_pool,
    wait_for_ends,
)
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import STARTED, read_until, start_rollout, wait_for
from synth_pools.contract.rules.verdict import show

# Seconds that a pool has which is to fail: long enough for its program to write a line.
_SOON = 3.0


@scenario(
    "processes.failed",
    "get_pool",
    "create_rollout",
    "resume_pool",
    "pause_pool",
    clauses="""
        Pools: states#0888#0ef4, resume_pool#a119#ec15#96a3, PoolError#8069, Pool.error#19e3,
        PoolProcess#8360, PoolProcess.start_timeout_seconds#58d7, pause_pool#6d12,
        PoolError.code#ba43#c00e#7e42#c85e, PoolError.details#fb9c
    """,
    needs="processes",
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
        never = retryable is not True
        _expect(ctx, "create_rollout", "retryable is not true", never, response, show(retryable))
        if not ctx.session.offers("pause"):
            return
        ctx.check(refused, "pause_pool", pool)
        # A pool that was up has rollouts that wait.
        patient = kit.definition()
        ctx.require(200, "update_pool", pool, json={"config": {"process": patient}})
        kit.order = "wait"
        _resume(ctx, pool, "warming")
        kit.tell("listen")
        ctx.resources.wait_until_active(pool["pool_id"])
        read = ctx.require(200, "get_pool", pool)
        ctx.expect.equal("get_pool", "error of an active pool", None, read.at("error"), read)
        running = start_rollout(ctx, pool["pool_id"], env={"delay": 600})
        wait_for(ctx, running, STARTED)
        queued = start_rollout(ctx, pool["pool_id"])
        ctx.require(200, "pause_pool", pool)
        _expect(ctx, "pause_pool", "its processes serve what runs", bool(kit.alive()), read)
        ctx.require(200, "cancel_rollout", running.ids, json={})
        wait_for_ends(ctx, pool, kit, "pause_pool", "with nothing left to run")
        kit.order = "exit"
        impatient = kit.definition(start_timeout_seconds=_SOON)
        ctx.require(200, "update_pool", pool, json={"config": {"process": impatient}})
        read = ctx.require(200, "get_pool", pool)
        ctx.expect.equal("update_pool", "status, as before,", "paused", read.at("status"), read)
        _resume(ctx, pool, "warming", "failed")
        _judge_failure(ctx, pool, kit)
        waits = ctx.require(200, "get_rollout", queued.ids)
        ctx.expect.equal(
            "get_rollout", "status in a failed pool", "queued", waits.at("status"), waits
        )
        ctx.require(200, "update_pool", pool, json={"config": {"process": patient}})
        kit.order = "wait"
        _resume(ctx, pool, "warming")
        kit.tell("listen")
        final = wait_for(ctx, queued, FINAL)
        ctx.expect.equal("resume_pool", "what waited", "completed", final.at("status"), final)
        delete_and_wait(ctx, pool, kit)


def _resume(ctx: Context, pool: dict[str, str], *states: str) -> None:
    response = ctx.require(200, "resume_pool", pool)
    status = response.at("status")
    demand = f"status {' or '.join(states)}"
    _expect(ctx, "resume_pool", demand, status in states, response, show(status))


def _judge_failure(ctx: Context, pool: dict[str, str], kit: KitProcesses) -> None:
    response, failed = read_until(
        ctx,
        "get_pool",
        pool,
        lambda read: bool(read.at("status") == "failed"),
        brings="create_pool",
    )
    if not ctx.expect.that(
        Expectation("create_pool", "a pool without a healthy process becomes failed", response),
        failed,
        f"it is {response.at('status')}",
    ):
        raise StopScenarioError
    code = response.at("error", "code")
    ctx.expect.equal("get_pool", "error.code", "process_not_healthy", code, response)
    if not any(process.exited.is_set() for process in kit.started()):
        # On a machine so busy that none got as far as a line.
        return
    output = response.at("error", "details", "output")
    _expect(
        ctx,
        "get_pool",
        "error.details.output: the last lines that the process wrote",
        isinstance(output, list) and any("kit: " in str(line) for line in output),
        response,
        show(output, 300),
    )


def _expect(
    ctx: Context, operation: str, demand: str, ok: bool, observed: Any, got: str = ""
) -> None:
    ctx.expect.that(Expectation(operation, demand, observed), ok, got or "it is not so")
