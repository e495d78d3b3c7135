"""Scenarios of pools that start their containers, on servers that may start any program.

The kit tells each process when to serve and when to end, so that a pool stays `warming` for as long
as a scenario needs.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.processes import (
    KitProcess,
    KitProcesses,
    active_process_pool,
    delete_and_wait,
    kit_processes,
    process_pool,
)
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import check_refused, offered
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import (
    becomes_true,
    eventually,
    ids_of,
    moment,
    read_until,
    run_rollout,
    start_rollout,
    start_running,
    wait_for,
)
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.http.process_container import EXIT_CODE, KILLED_BY
from synth_pools.contract.rules.verdict import show
from synth_pools.contract.selections import runs_something

_FEATURE = "processes"
_WORDS = ("--words", "a b; echo $HOME > * {x}")
_TEXT = "Grüße, 世界"
_JSON = {"deep": [1, None]}
# Exit codes by the order that ends a process.
_EXITS = {"exit": EXIT_CODE, "kill": -KILLED_BY}


def _runs_in_pool(operation: Operation) -> bool:
    """Select operations that run something in a pool that may be without rollouts."""
    return runs_something(operation) and "rollout_id" not in operation.id_names


def judge_retryable(ctx: Context, operation: str, refused: Response) -> None:
    """Expect a refusal by a pool that is warming to be retryable.

    The rules for single answers expect the time to try again, too.
    """
    retryable = refused.at("error", "retryable")
    judge = ctx.judge(operation, refused, about="pool_not_active")
    judge.that("retryable is true", retryable is True, show(retryable))


@scenario(
    "processes.warming",
    "create_pool",
    "get_pool",
    "list_pools",
    _runs_in_pool,
    "get_pool_metrics",
    "get_pool_urls",
    clauses="""
        Pools: states#65d6#99f0#6441, PoolProcess#cb46#6fd4#3ea2#3638#81e2, PoolConfig.process#ebdb,
        PoolUrls.container_urls#7b40, PoolProcess.env#03c7, PoolProcess.argv#8519#8dd5,
        PoolProcess.cwd#411e#694a, ContainerState#959a#8fd5#97b3#a927,
        ProcessEnvironment#9d74#0127#c898#f5c8, PoolContainer.pid#eb5e#6650,
        PoolContainer.restarts#3c66, PoolContainer.url#1187, Features.processes#b30c
    """,
    needs=_FEATURE,
)
def processes_warming(ctx: Context) -> None:
    with kit_processes(ctx) as kit, tempfile.TemporaryDirectory() as folder:
        kit.order = "wait"
        real = str(Path(folder).resolve())
        env = {"KIT_TEXT": _TEXT, "KIT_JSON": _JSON, "KIT_NULL": None}
        process = kit.definition(*_WORDS, env=env, cwd=real)
        created = process_pool(ctx, process, capacity=2, tasks=[{"task_id": "t"}])
        pool = {"pool_id": str(created.at("id"))}
        ctx.judge("create_pool", created).that("status warming", created.at("status") == "warming")
        for reader, observed, response in of_pool(ctx, pool["pool_id"], "warming"):
            judge = ctx.judge(reader, response)
            judge.equal("status", "warming", at(observed, "status"))
            judge.equal("config.process", process, at(observed, "config", "process"))
        warming = Status(409, "the pool is warming", code="pool_not_active")
        for operation in offered(ctx, _runs_in_pool):
            ids = operation.own_ids({**pool, "task_id": "t"})
            # The body of a direct call goes to the container.
            is_direct = operation.tag == "containers"
            body = {} if is_direct else {**ctx.session.rollout_body(), **pool}
            refused = check_refused(ctx, operation, ids, body, warming)
            if refused.status == 409:
                judge_retryable(ctx, operation.id, refused)
        _wait(ctx, lambda: len(kit.started()) == 2, "two processes")
        for kit_process in kit.started():
            _judge_start(ctx, kit_process, real, created)
        ports = {_port(kit_process) for kit_process in kit.started()}
        judge = ctx.judge("create_pool", created)
        judge.that("a port for each process", len(ports) == 2, str(ports))
        _judge_containers(ctx, pool, kit, "starting")
        kit.tell("listen")
        ctx.resources.wait_until_active(pool["pool_id"])
        _judge_containers(ctx, pool, kit, "healthy")
        rollout = run_rollout(ctx, pool["pool_id"])
        final = ctx.require(200, "get_rollout", rollout.ids)
        pids = [kit_process.hello["pid"] for kit_process in kit.started()]
        demand = "a rollout runs on one of the processes"
        ctx.judge("create_rollout", final).among("result.pid", pids, demand)
        delete_and_wait(ctx, pool, kit)


def _judge_start(ctx: Context, process: KitProcess, folder: str, created: Response) -> None:
    judge = ctx.judge("create_pool", created)
    env, argv = process.hello["env"], process.hello["argv"]
    ports = [_port(process), env.get("PORT"), env.get("KIT_PORT")]
    is_one = len(set(ports)) == 1 and str(ports[0]).isdigit()
    judge.that("one port in argv, in env and in PORT", is_one, str(ports))
    judge.equal("the arguments", list(_WORDS), argv[-2:])
    judge.equal("a variable", _TEXT, env.get("KIT_TEXT"))
    judge.equal("a variable that is no text", _JSON, _parsed(env.get("KIT_JSON")))
    judge.equal("a variable that a null names", None, env.get("KIT_NULL"))
    judge.equal("the folder", folder, process.hello["cwd"])
    judge.that("the variable PATH", bool(env.get("PATH")))


def _judge_containers(ctx: Context, pool: dict[str, str], kit: KitProcesses, health: str) -> None:
    """Expect the metrics and the urls of a pool to show its processes."""
    started = kit.started()
    port_by_pid = {str(process.hello["pid"]): str(_port(process)) for process in started}

    def has_health(response: Response) -> bool:
        return ids_of(response.at("containers"), "health") == [health] * len(started)

    response, is_shown = read_until(ctx, "get_pool_metrics", pool, has_health)
    judge, containers = ctx.judge("get_pool_metrics", response), response.at("containers")
    judge.that(f"every container is {health}", is_shown, show(containers, 300))
    ports = {str(at(it, "pid")): str(at(it, "url")).rsplit(":", 1)[-1] for it in containers}
    judge.equal("the ports by pid", port_by_pid, ports)
    for container in containers:
        for field in ("restarts", "running_rollouts"):
            judge.equal(field, 0, at(container, field))
        if health == "healthy":
            judge.equal("last_error", None, at(container, "last_error"))
    if health == "healthy":
        read = ctx.require(200, "get_pool_urls", pool)
        actual = sorted(str(url).rsplit(":", 1)[-1] for url in read.list_at("container_urls"))
        expected = sorted(port_by_pid.values())
        ctx.expect.equal("get_pool_urls", "the ports of all containers", expected, actual, read)


@scenario(
    "processes.again",
    "get_pool_metrics",
    "create_rollout",
    "get_pool",
    clauses="""
        PoolProcess#bbb2, StartedProcess.attempt#a6eb, PoolContainer.restarts#966f#3c66,
        StartedProcess.exit_code#feb7#98e8#092b, PoolContainer.last_error#119f,
        ContainerState#97b3#a927
    """,
    needs=_FEATURE,
    slow=True,
)
def processes_again(ctx: Context) -> None:
    with kit_processes(ctx) as kit:
        pool = active_process_pool(ctx, kit.definition())
        kit.order = "exit"
        rollout = start_rollout(ctx, pool["pool_id"], env={"die": True})
        for order, exit_code in _EXITS.items():
            kit.order = order
            got_it = partial(_has_got, kit, order)
            _wait(ctx, got_it, "a process that is started again")
            if ctx.session.offers("pool_logs"):
                _judge_exit(ctx, pool, kit, order, exit_code)
        kit.tell("wait")
        count = len(kit.started())
        more = partial(_has_more, kit, count)
        _wait(ctx, lambda: more() or bool(kit.alive()), "a process that is started again")
        response = ctx.require(200, "get_pool_metrics", pool)
        judge = ctx.judge("get_pool_metrics", response)
        restarts, count = response.at("containers", 0, "restarts"), len(kit.started())
        judge.that(
            "restarts: how often it was started again",
            isinstance(restarts, int) and 2 <= restarts <= count,
            f"{restarts}, and {count} were started",
        )
        error = response.at("containers", 0, "last_error")
        has_error = isinstance(error, str) and bool(error)
        judge.that("last_error: what went wrong", has_error, show(error))
        kit.tell("listen")
        wait_for(ctx, rollout, FINAL)
        _, is_healthy = read_until(ctx, "get_pool_metrics", pool, _has_healthy)
        judge.that("the process that was started again is healthy", is_healthy, "none is")
        final = ctx.require(200, "get_rollout", run_rollout(ctx, pool["pool_id"]).ids)
        ctx.judge("create_rollout", final).field("status", "completed")
        delete_and_wait(ctx, pool, kit)


def _has_got(kit: KitProcesses, order: str) -> bool:
    return any(process.order == order for process in kit.started())


def _judge_exit(
    ctx: Context, pool: dict[str, str], kit: KitProcesses, order: str, exit_code: int
) -> None:
    """Expect the logs to show how a process ended, in the pause before it is started again."""
    response = ctx.require(200, "get_pool_logs", pool)

    def has_ended() -> bool:
        nonlocal response
        response = ctx.require(200, "get_pool_logs", pool)
        pids = [process.hello["pid"] for process in kit.started() if process.order == order]
        process = response.at("processes", 0)
        return at(process, "running") is False and at(process, "pid") in pids

    if not eventually(ctx, has_ended):
        # The server may start it again without a pause.
        return
    judge, process = ctx.judge("get_pool_logs", response), response.at("processes", 0)
    judge.among("processes.0.exit_code", (exit_code, None), f"how it ended by {order}")
    start, end = moment(at(process, "started_at")), moment(at(process, "ended_at"))
    in_order = start is not None and end is not None and start <= end
    judge.that("ended_at, not before started_at", in_order, show(process, 300))
    attempt = at(process, "attempt")
    counts_up = isinstance(attempt, int) and attempt > 1
    judge.that("attempt counts up", counts_up, show(attempt))


@scenario(
    "processes.replaced",
    "update_pool",
    "replace_pool",
    "create_rollout",
    clauses="PoolProcess#a808#d74e",
    needs=_FEATURE,
)
def processes_replaced(ctx: Context) -> None:
    with kit_processes(ctx) as kit:
        created = process_pool(ctx, kit.definition(env={"KIT_TEXT": "old"}), concurrency=4)
        pool = {"pool_id": str(created.at("id"))}
        ctx.resources.wait_until_active(pool["pool_id"])
        names = ("name", "target", "capacity", "concurrency")
        body = {name: value for name in names if (value := created.at(name)) is not None}
        for operation, text in (("update_pool", "patched"), ("replace_pool", "put")):
            old = kit.alive()
            busy = start_running(ctx, pool["pool_id"])
            count = len(kit.started())
            config = {"process": kit.definition(env={"KIT_TEXT": text})}
            definition = {"config": config, **(body if operation == "replace_pool" else {})}
            response = ctx.require(200, operation, pool, json=definition)
            judge = ctx.judge(operation, response)
            judge.field("status", "active")
            _wait(ctx, partial(_has_more, kit, count), "a new process", operation)

            def is_new(text: str = text) -> bool:
                rollout = run_rollout(ctx, pool["pool_id"])
                observed = ctx.require(200, "get_rollout", rollout.ids)
                return bool(observed.at("result", "text") == text)

            runs = becomes_true(ctx, operation, is_new)
            judge.that("new rollouts run on the new process", runs)
            goes_on = not old[0].exited.is_set()
            judge.that("the old one serves what runs on it", goes_on)
            ctx.require(200, "cancel_rollout", busy.ids, json={})
            ends = becomes_true(ctx, operation, old[0].exited.is_set)
            judge.that("the old process ends when its rollouts have ended", ends)
        delete_and_wait(ctx, pool, kit)


def _has_more(kit: KitProcesses, count: int) -> bool:
    return len(kit.started()) > count


def _has_healthy(metrics: Response) -> bool:
    return "healthy" in ids_of(metrics.at("containers"), "health")


def _wait(
    ctx: Context, condition: Callable[[], bool], label: str, operation: str = "create_pool"
) -> None:
    """Wait until the server has started something.

    Raises:
        StopScenarioError: It has started nothing; the departure is recorded.
    """
    is_met = becomes_true(ctx, operation, condition)
    observed = f"it did not within {ctx.session.patience:.0f} s"
    if not ctx.judge(operation).that(f"the server starts {label}", is_met, observed):
        raise StopScenarioError


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _port(process: KitProcess) -> Any:
    argv: list[Any] = process.hello["argv"]
    return argv[argv.index("--port") + 1]
