"""Scenarios of pools that start their containers, on servers that may start any.

The program is the kit's own: each process of it serves, or ends, when the kit says so, so that a
pool stays `warming` for as long as is wanted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.processes import (
    KitProcess,
    KitProcesses,
    delete_and_wait,
    kit_processes,
    process_pool,
)
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import (
    STARTED,
    becomes_true,
    eventually,
    moment,
    read_until,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.http.process_container import EXIT_CODE
from synth_pools.contract.rules.verdict import show

_FEATURE = "processes"
_SECTION = "PoolProcess"
_WORDS = ("--words", "a b; echo $HOME > * {x}")
_TEXT = "Grüße, 世界"
_JSON = {"deep": [1, None]}


@scenario(
    "processes.warming",
    "create_pool",
    "get_pool",
    "list_pools",
    "create_rollout",
    "get_pool_metrics",
    "get_pool_urls",
    clauses="""
        Pools: states#65d6#99f0#6441, PoolProcess#cb46#6fd4#3ea2#3638#81e2, PoolConfig.process#ebdb,
        PoolUrls.container_urls#aa08, PoolProcess.env#03c7, PoolProcess.argv#8519#8dd5,
        PoolProcess.cwd#411e#694a, ContainerState#959a#8fd5#97b3#a927,
        ProcessEnvironment#9d74#0127#c898#f5c8, PoolContainer.pid#eb5e#6650,
        PoolContainer.restarts#3c66, PoolContainer.url#1187, Capabilities.features#055c
    """,
    needs=_FEATURE,
)
def processes_warming(ctx: Context) -> None:
    with kit_processes(ctx) as kit, tempfile.TemporaryDirectory() as folder:
        kit.order = "wait"
        real = str(Path(folder).resolve())
        process = kit.definition(*_WORDS, env={"KIT_TEXT": _TEXT, "KIT_JSON": _JSON}, cwd=real)
        created = process_pool(ctx, process, capacity=2)
        pool = {"pool_id": str(created.at("id"))}
        _expect(ctx, "create_pool", "status warming", created.at("status") == "warming", created)
        for reader, observed, response in of_pool(ctx, pool["pool_id"], "warming"):
            ctx.expect.equal(reader, "status", "warming", at(observed, "status"), response)
            ctx.expect.equal(reader, "config.process", process, _process(observed), response)
        refused = ctx.check(
            Status(409, "the pool is warming", code="pool_not_active"),
            "create_rollout",
            pool,
            json={},
        )
        detail = refused.at("error", "retryable")
        code = "pool_not_active"
        retryable = Expectation("create_rollout", "retryable is true", refused, about=code)
        ctx.expect.that(retryable, detail is True, show(detail))
        detail = refused.exchange.header("retry-after")
        later = Expectation("create_rollout", "the header Retry-After", refused, about=code)
        ctx.expect.that(later, bool(detail), str(detail))
        _wait(ctx, lambda: len(kit.started()) == 2, "two processes")
        for kit_process in kit.started():
            _judge_start(ctx, kit_process, real, created)
        ports = {_port(kit_process) for kit_process in kit.started()}
        _expect(ctx, "create_pool", "a port for each process", len(ports) == 2, created, str(ports))
        _judge_containers(ctx, pool, kit, "starting")
        kit.tell("listen")
        ctx.resources.wait_until_active(pool["pool_id"])
        _judge_containers(ctx, pool, kit, "healthy")
        rollout = run_rollout(ctx, pool["pool_id"])
        final = ctx.require(200, "get_rollout", rollout.ids)
        ran = final.at("result", "pid")
        _expect(
            ctx,
            "create_rollout",
            "a rollout runs on one of the processes",
            ran in [kit_process.hello["pid"] for kit_process in kit.started()],
            final,
            show(ran),
        )
        delete_and_wait(ctx, pool, kit)


def _judge_start(ctx: Context, process: KitProcess, folder: str, created: Response) -> None:
    env, argv = process.hello["env"], process.hello["argv"]
    ports = [_port(process), env.get("PORT"), env.get("KIT_PORT")]
    _expect(
        ctx,
        "create_pool",
        "one port in argv, in env and in PORT",
        len(set(ports)) == 1 and str(ports[0]).isdigit(),
        created,
        str(ports),
    )
    ctx.expect.equal("create_pool", "the arguments", list(_WORDS), argv[-2:], created)
    ctx.expect.equal("create_pool", "a variable", _TEXT, env.get("KIT_TEXT"), created)
    passed_on = _parsed(env.get("KIT_JSON"))
    ctx.expect.equal("create_pool", "a variable that is no text", _JSON, passed_on, created)
    ctx.expect.equal("create_pool", "the folder", folder, process.hello["cwd"], created)
    _expect(ctx, "create_pool", "the variable PATH", bool(env.get("PATH")), created)


def _judge_containers(ctx: Context, pool: dict[str, str], kit: KitProcesses, health: str) -> None:
    """Expect the metrics and the urls of a pool to tell of its processes."""
    operation = "get_pool_metrics"
    port_by_pid = {
        str(container.hello["pid"]): str(_port(container)) for container in kit.started()
    }

    def shown(response: Response) -> bool:
        return [at(container, "health") for container in response.at("containers")] == [
            health
        ] * len(port_by_pid)

    response, actual = read_until(ctx, operation, pool, shown)
    ctx.expect.that(
        Expectation(operation, f"every container is {health}", response),
        actual,
        show(response.at("containers"), 300),
    )
    containers = response.at("containers")
    ports = {
        str(at(container, "pid")): str(at(container, "url")).rsplit(":", 1)[-1]
        for container in containers
    }
    ctx.expect.equal(operation, "the ports by pid", port_by_pid, ports, response)
    for container in containers:
        for field, value in (("restarts", 0), ("running_rollouts", 0)):
            ctx.expect.equal(operation, field, value, at(container, field), response)
        if health == "healthy":
            ctx.expect.equal(operation, "last_error", None, at(container, "last_error"), response)
    if health == "healthy":
        read = ctx.require(200, "get_pool_urls", pool)
        urls = read.at("container_urls")
        listed = sorted(str(url).rsplit(":", 1)[-1] for url in urls or [])
        expected = sorted(port_by_pid.values())
        ctx.expect.equal("get_pool_urls", "the ports of all containers", expected, listed, read)


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
)
def processes_again(ctx: Context) -> None:
    with kit_processes(ctx) as kit:
        pool = {"pool_id": str(process_pool(ctx, kit.definition()).at("id"))}
        ctx.resources.wait_until_active(pool["pool_id"])
        kit.order = "exit"
        rollout = start_rollout(ctx, pool["pool_id"], env={"die": True})
        _wait(ctx, lambda: len(kit.started()) > 2, "a process that is started again")
        if ctx.session.offers("pool_logs"):
            _judge_exit(ctx, pool)
        kit.tell("wait")
        running = len(kit.started())
        _wait(
            ctx,
            lambda: len(kit.started()) > running or bool(kit.alive()),
            "a process that is started again",
        )
        response = ctx.require(200, "get_pool_metrics", pool)
        restarts = response.at("containers", 0, "restarts")
        _expect(
            ctx,
            "get_pool_metrics",
            "restarts: how often it was started again",
            isinstance(restarts, int) and 2 <= restarts <= len(kit.started()),
            response,
            f"{restarts}, and {len(kit.started())} were started",
        )
        error = response.at("containers", 0, "last_error")
        says = isinstance(error, str) and bool(error)
        _expect(ctx, "get_pool_metrics", "last_error: what went wrong", says, response, show(error))
        kit.tell("listen")
        wait_for(ctx, rollout, FINAL)
        again = _healthy(ctx, pool)
        _expect(
            ctx,
            "get_pool_metrics",
            "the process that was started again is healthy",
            again is not None,
            response,
            "none is",
        )
        final = ctx.require(200, "get_rollout", run_rollout(ctx, pool["pool_id"]).ids)
        ctx.expect.equal("create_rollout", "status", "completed", final.at("status"), final)
        delete_and_wait(ctx, pool, kit)


def _judge_exit(ctx: Context, pool: dict[str, str]) -> None:
    """Expect the logs to tell how a process ended, in the pause before it is started again."""
    operation = "get_pool_logs"
    response = ctx.require(200, operation, pool)

    def over() -> bool:
        nonlocal response
        response = ctx.require(200, operation, pool)
        return response.at("processes", 0, "running") is False

    if not eventually(ctx, over):
        # The server starts it again at once, as it may.
        return
    process = response.at("processes", 0)
    exit_code = at(process, "exit_code")
    _expect(
        ctx, operation, "how it ended", exit_code in (EXIT_CODE, None), response, show(exit_code)
    )
    start, end = moment(at(process, "started_at")), moment(at(process, "ended_at"))
    _expect(
        ctx,
        operation,
        "ended_at, not before started_at",
        start is not None and end is not None and start <= end,
        response,
        show(process, 300),
    )
    attempt = at(process, "attempt")
    counted = isinstance(attempt, int) and attempt > 1
    _expect(ctx, operation, "attempt counts up", counted, response, show(attempt))


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
        body = {name: value for name, value in _definition(created).items() if value is not None}
        for operation, text in (("update_pool", "patched"), ("replace_pool", "put")):
            old = kit.alive()
            busy = start_rollout(ctx, pool["pool_id"], env={"delay": 600})
            wait_for(ctx, busy, STARTED)
            started = len(kit.started())
            config = {"process": kit.definition(env={"KIT_TEXT": text})}
            definition = (
                {"config": config} if operation == "update_pool" else {**body, "config": config}
            )
            response = ctx.require(200, operation, pool, json=definition)
            ctx.expect.equal(operation, "status", "active", response.at("status"), response)
            _wait(ctx, lambda n=started: len(kit.started()) > n, "a new process", operation)  # type: ignore[misc]

            def is_new(text: str = text) -> bool:
                rollout = run_rollout(ctx, pool["pool_id"])
                observed = ctx.require(200, "get_rollout", rollout.ids)
                return bool(observed.at("result", "text") == text)

            _expect(
                ctx, operation, "new rollouts run on the new process",
                becomes_true(ctx, operation, is_new), response,
            )  # fmt: skip
            goes_on = not old[0].exited.is_set()
            _expect(ctx, operation, "the old one serves what runs on it", goes_on, response)
            ctx.require(200, "cancel_rollout", busy.ids, json={})
            _expect(
                ctx, operation, "the old process ends when its rollouts have ended",
                becomes_true(ctx, operation, old[0].exited.is_set), response,
            )  # fmt: skip
        delete_and_wait(ctx, pool, kit)


def _definition(created: Response) -> dict[str, Any]:
    return {name: created.at(name) for name in ("name", "target", "capacity", "concurrency")}


def _healthy(ctx: Context, pool: dict[str, str]) -> Any:
    healthy: Any = None

    def look() -> bool:
        nonlocal healthy
        containers = ctx.require(200, "get_pool_metrics", pool).at("containers")
        healthy = next(
            (container for container in containers if at(container, "health") == "healthy"), None
        )
        return healthy is not None

    becomes_true(ctx, "get_pool_metrics", look)
    return healthy


def _wait(
    ctx: Context, look: Callable[[], bool], label: str, operation: str = "create_pool"
) -> None:
    """Wait for what the server has to start.

    Raises:
        StopScenarioError: It did not come; the departure is recorded.
    """
    if not ctx.expect.that(
        Expectation(operation, f"the server starts {label}", None),
        becomes_true(ctx, operation, look),
        f"it did not within {ctx.session.patience:.0f} s",
    ):
        raise StopScenarioError


def _process(pool: Any) -> Any:
    return at(pool, "config", "process")


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _port(process: KitProcess) -> Any:
    argv: list[Any] = process.hello["argv"]
    return argv[argv.index("--port") + 1]


def _expect(
    ctx: Context, operation: str, demand: str, ok: bool, observed: Any, got: str = ""
) -> None:
    ctx.expect.that(Expectation(operation, demand, observed), ok, got or "it is not so")
