"""Scenarios of containers: direct calls, and the requests that rollouts send them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import product
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import read_list, readers
from synth_pools.contract.harness.waits import (
    Rollout,
    becomes_true,
    eventually,
    rollout_id,
    start_rollout,
    start_running,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.http.stub_container import (
    HEALTH,
    INFO,
    METADATA,
    PROGRAM,
    TASK_INFO,
    TASKSET,
)
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import moment

_GETS = {
    "health": HEALTH,
    "info": INFO,
    "metadata": METADATA,
    "task_info": TASK_INFO,
    "program": PROGRAM,
    "taskset": TASKSET,
}
_EXECUTIONS = ("execute_pool_container_rollout", "execute_task_container_rollout")
_OPERATIONS = (
    *(f"get_pool_container_{label}" for label in _GETS),
    _EXECUTIONS[0],
    *(f"get_task_container_{label}" for label in _GETS),
    _EXECUTIONS[1],
)

# Delay in seconds: shorter than the time limit of the kit, longer than that of direct calls.
_TOO_LONG = 15.0
# If a failed call took more seconds than this, a container of the kit may have been too slow.
_SLOW = 1.0
_TRIES = 3


@scenario(
    "containers.answer",
    *_OPERATIONS,
    clauses="""
        Direct calls#9df2#65a4#9f10#2ed9, get_pool_container_health#4729,
        get_pool_container_info#8d11, get_pool_container_metadata#44df,
        get_pool_container_task_info#8309, get_pool_container_program#002e,
        get_pool_container_taskset#4ada, get_task_container_health#9c39,
        get_task_container_info#7d20, get_task_container_metadata#b609,
        get_task_container_task_info#7604, get_task_container_program#30c2,
        get_task_container_taskset#6618, execute_pool_container_rollout#fe11,
        execute_task_container_rollout#a75a
    """,
)
def containers_answer(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    for name, ids in _offered(ctx, pool_id):
        request: Any = ctx.session.rollout_body(seed=7) if name.startswith("execute_") else ABSENT
        response = ctx.call(name, ids, json=request)
        if response.status in (404, 502, 504):
            # The caller's own container may answer like this; it is not judged.
            ctx.expect.inconclusive(name, f"the container answers {response.status}")
            continue
        if ctx.expect.status(response, 200, name):
            body = response.json
            ctx.judge(name, response).that("a JSON object", isinstance(body, dict), str(body)[:80])


def _offered(ctx: Context, pool_id: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the direct calls that the server offers, with the ids of the task `t`."""
    absent = ctx.session.not_offered()
    for name in _OPERATIONS:
        if name in absent:
            ctx.expect.inconclusive(name, absent[name], Outcome.NOT_OFFERED)
        else:
            yield name, {"pool_id": pool_id} | ({} if "_pool_" in name else {"task_id": "t"})


@scenario(
    "containers.query",
    *_OPERATIONS,
    clauses="Direct calls#e970, parameters TaskSeed#adba",
    needs="containers",
)
def containers_query(ctx: Context) -> None:
    url = ctx.session.containers["good"]
    pool_id = ctx.resources.pool(container_url=url, tasks=[{"task_id": "t"}])
    for name, ids in _offered(ctx, pool_id):
        mark = ctx.resources.name()
        query: dict[str, Any] = {"seed": "7", "mark": mark, "kit": "ü & =?#/%41", "empty": ""}
        query["several"] = ["b", "a", "b"]
        body: Any = {"rollout_id": mark} if name in _EXECUTIONS else ABSENT
        response = _direct(ctx, Status(200), name, ids, query=query, json=body)
        expected = [{key: value if key == "several" else [value] for key, value in query.items()}]
        actual = ctx.session.received.queries(mark)
        ctx.expect.equal(name, "the query that the container got", expected, actual, response)


@scenario(
    "containers.pass",
    *_OPERATIONS,
    clauses="""
        execute_task_container_rollout#a75a, Direct calls#9df2#9f10#65a4#2ed9,
        execute_pool_container_rollout#fe11, get_task_container_health#9c39,
        get_task_container_info#7d20, get_task_container_metadata#b609,
        get_task_container_task_info#7604, get_task_container_program#30c2,
        get_task_container_taskset#6618, ContainerTaskInfo#410c, ContainerTaskset#dc78,
        ContainerProgram#07b9, ContainerRolloutRequest#932d, ContainerRolloutResult#eefc,
        responses BadGateway#81e3, responses GatewayTimeout#b9ab, Errors#0e4e#a296,
        Features.container_probes#3513
    """,
    needs="containers",
)
def containers_pass(ctx: Context) -> None:
    urls = ctx.session.containers
    own_tasks = [
        {"task_id": name, "container_url": urls[name]} for name in ("bare", "broken", "nobody")
    ]
    tasks = [{"task_id": "same"}, *own_tasks]
    pool_id = ctx.resources.pool(container_url=urls["good"], tasks=tasks)
    tasks = [{"task_id": "t", "container_url": urls["good"]}]
    bare = ctx.resources.pool("bare", container_url=urls["bare"], tasks=tasks)
    broken = ctx.resources.pool("broken", container_url=urls["broken"])
    nobody = ctx.resources.pool("nobody", container_url=urls["nobody"])
    for label, expected in _GETS.items():
        pool, task = f"get_pool_container_{label}", f"get_task_container_{label}"
        missing = ctx.session.not_offered()
        if absent := missing.keys() & {pool, task}:
            for name in absent:
                ctx.expect.inconclusive(name, missing[name], Outcome.NOT_OFFERED)
            continue
        for name, ids in (
            (pool, {"pool_id": pool_id}),
            (task, {"pool_id": pool_id, "task_id": "same"}),
            (task, {"pool_id": bare, "task_id": "t"}),
        ):
            response = _direct(ctx, Status(200), name, ids)
            ctx.expect.equal(name, "the container's answer", expected, response.json, response)
        for status, other_id, task_id, why in (
            (404, bare, "bare", "the container does not have it"),
            (502, broken, "broken", "the container does not answer 200 with a JSON object"),
            (502, nobody, "nobody", "nobody answers at the address"),
        ):
            _direct(ctx, Status(status, why), pool, {"pool_id": other_id})
            _direct(ctx, Status(status, why), task, {"pool_id": pool_id, "task_id": task_id})
    body = {"rollout_id": ctx.resources.name(), "seed": 7, "env": {"reward": 0.5}}
    body |= {"text": "ü🌍", "n": [None], "nothing": None}
    for name, ids in (
        *_executions(pool_id, "same"),
        (_EXECUTIONS[0], {"pool_id": bare}),
        (_EXECUTIONS[1], {"pool_id": pool_id, "task_id": "bare"}),
    ):
        response = _direct(ctx, Status(200), name, ids, json=body)
        ctx.judge(name, response).field("echo", body, "the body, as the container received it,")
        ctx.judge(name, response).field("summary", {"reward": 0.5})
    for behaviour in ("http_error", "html", "array"):
        refused = Status(502, f"the container answers {behaviour}")
        body = {"env": {"answer": behaviour}}
        _direct(ctx, refused, _EXECUTIONS[0], {"pool_id": pool_id}, json=body)
    refused = Status(502, "nobody answers at the address")
    _direct(ctx, refused, *_executions(pool_id, "nobody")[1], json={})


def _executions(pool_id: str, task_id: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return the direct executions on the container of a pool and of a task, with their ids."""
    pool = {"pool_id": pool_id}
    return (_EXECUTIONS[0], pool), (_EXECUTIONS[1], {**pool, "task_id": task_id})


def _direct(
    ctx: Context, expected: Status, operation: str, ids: dict[str, str], **request: Any
) -> Response:
    """Send a direct call; repeat it if the container may have been too slow for the server.

    Raises:
        InconclusiveError: The container may have been too slow each time.
        StopScenarioError: 200 is expected, but not answered; the departure is recorded.
    """
    trials = 0
    while True:
        response, trials = ctx.call(operation, ids, **request), trials + 1
        elapsed = response.exchange.elapsed
        has_failed = response.status in (502, 504) and response.status not in expected.statuses
        if not has_failed or elapsed <= _SLOW:
            break
        if trials == _TRIES:
            note = f"the answer is {response.status} after {elapsed:.1f} s"
            raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
    if not ctx.expect.status(response, expected, operation) and expected.allowed == 200:
        raise StopScenarioError
    return response


@scenario("containers.nothing_kept", *_EXECUTIONS, clauses="execute_pool_container_rollout#fd28")
def containers_nothing_kept(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    name = ctx.resources.name()
    for operation, ids in _executions(pool_id, "t"):
        response = ctx.call(operation, ids, json={"rollout_id": name, "seed": 1})
        page = read_list(ctx, "list_rollouts", {"pool_id": pool_id})
        ctx.expect.equal(operation, "the list of rollouts", [], page.at("items"), response)
        ctx.check(Status(404, "nothing was stored"), "get_global_rollout", {"rollout_id": name})


@scenario(
    "containers.sent", "create_rollout", clauses="Containers#b2cf#db40#b3e9", needs="containers"
)
def containers_sent(ctx: Context) -> None:
    for behaviour, path in (("good", "/rollouts"), ("bare", "/rollout")):
        pool_id = ctx.resources.pool(
            behaviour, container_url=ctx.session.containers[behaviour], tasks=[{"task_id": "t"}]
        )
        request = {
            "task_id": "t", "seed": 7, "mode": "async", "pool_id": pool_id, "ops": [1, None],
            "env": {"reward": 0.5, "config": {"ü": "🌍"}}, "trace_correlation_id": "trace-1",
        }  # fmt: skip
        created = ctx.require((202, 200), "create_rollout", {"pool_id": pool_id}, json=request)
        rollout = Rollout(pool_id, rollout_id(created))
        wait_for(ctx, rollout, FINAL)
        requests = ctx.session.received.sent(rollout.id, path)
        paths = [received.path for received in ctx.session.received.of_rollout(rollout.id)]
        judge = ctx.judge("create_rollout", ctx.require(200, "get_rollout", rollout.ids))
        judge.that(f"one POST {path} at the container", len(requests) == 1, str(paths))
        expected = {k: v for k, v in request.items() if k not in ("pool_id", "mode")}
        expected.update(rollout_id=rollout.id, submission_mode="sync")
        for received in requests[:1]:
            judge.equal("what the container received", expected, received.body)


@scenario(
    "containers.changed",
    "update_pool",
    "patch_task",
    "create_rollout",
    clauses="update_pool#aed3, Containers#fc97#7dfa, PoolDefinition.container_url#bbb0",
    needs="containers",
)
def containers_changed(ctx: Context) -> None:
    urls = ctx.session.containers
    pool_id = ctx.resources.pool(container_url=urls["nobody"], tasks=[{"task_id": "t"}])
    path, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "t"}
    steps: list[tuple[str, dict[str, str], dict[str, str | None], str]] = [
        ("create_rollout", {}, {}, "failed"),
        ("update_pool", path, {"container_url": urls["good"]}, "completed"),
        ("patch_task", task, {"container_url": urls["nobody"]}, "failed"),
        ("patch_task", task, {"container_url": None}, "completed"),
    ]
    for operation, ids, change, expected in steps:
        if change:
            ctx.require(200, operation, ids, json=change)
            ctx.resources.wait_until_active(pool_id)
        response = wait_for(ctx, start_rollout(ctx, pool_id, task_id="t"), FINAL)
        ctx.judge(operation, response).field("status", expected, f"status after {change}")


@scenario(
    "containers.terminate",
    "cancel_rollout",
    "cancel_global_rollout",
    clauses="Containers#85f2#59b2, cancel_rollout#cbd6#130c",
    needs="containers",
)
def containers_terminate(ctx: Context) -> None:
    received, polls = ctx.session.received, ctx.session.offers("async_submission")
    url = ctx.session.containers["good"]
    pools = [ctx.resources.pool("sync", container_url=url)]
    if polls:
        config = {"submission_mode": "async"}
        pools.append(ctx.resources.pool("async", container_url=url, config=config))
    for place, family in product(range(len(pools)), (0, 1)):
        env: dict[str, Any] = {}
        if place:
            env = {"delay": 0, "answer": "asked", "reward": 0.5, "usage": {"input_tokens": 7}}
        rollout = start_running(ctx, pools[place], **env)
        operation, ids = rollout.cancels(ctx)[-family]
        if not eventually(ctx, partial(received.was_sent, rollout.id)):
            note = "the rollout did not arrive at the container in time"
            ctx.expect.inconclusive(operation, note)
            continue
        response = ctx.require(200, operation, ids, json={})
        is_terminated = becomes_true(ctx, operation, partial(received.was_terminated, rollout.id))
        ctx.judge(operation, response).that("the container is told", is_terminated, "it was not")
        final = wait_for(ctx, rollout, FINAL)
        ctx.judge(operation, final).field("status", "cancelled")
        if place:
            _judge_last_answer(ctx, rollout, final)


def _is_later(before: datetime | None, after: datetime | None) -> bool:
    if before is None or after is None:
        return False
    # Two changes may come within a second or a millisecond, where a server's times are as coarse.
    return before < after or (before == after and after.microsecond % 1000 == 0)


def _judge_last_answer(ctx: Context, rollout: Rollout, cancelled: Response) -> None:
    """Judge what a cancelled rollout gets of its container, where the server asks for that."""
    later = cancelled

    def is_there() -> bool:
        nonlocal later
        later = ctx.require(200, "get_rollout", rollout.ids)
        return isinstance(later.at("result"), dict)

    if not eventually(ctx, is_there):
        return
    judge = ctx.judge("get_rollout", later)
    judge.equal("what the container reports", {"input_tokens": 7}, later.at("result", "usage"))
    late = ("result", "updated_at")
    stays = [{k: v for k, v in r.json.items() if k not in late} for r in (cancelled, later)]
    judge.equal("the rest of the cancelled rollout", *stays)
    before, after = (moment(response.at("updated_at")) for response in (cancelled, later))
    is_same = cancelled.at("result") == later.at("result")
    note = f"{after} after {before}"
    judge.that("updated_at is later with the answer", is_same or _is_later(before, after), note)
    for operation, ids in readers(ctx, rollout, "RolloutUsage"):
        usage = ctx.require(200, operation, ids)
        ctx.judge(operation, usage).field("llm_input_tokens", 7)


@scenario(
    "containers.slow",
    *_EXECUTIONS,
    clauses="Direct calls#212f, Errors#eab2",
    needs="containers",
    slow=True,
)
def containers_slow(ctx: Context) -> None:
    url, tasks = ctx.session.containers["good"], [{"task_id": "t"}]
    pool_id = ctx.resources.pool(container_url=url, config={"timeout_seconds": 0.3}, tasks=tasks)
    for operation, ids in _executions(pool_id, "t"):
        body = {"rollout_id": ctx.resources.name(), "env": {"delay": _TOO_LONG}}
        response = ctx.call(operation, ids, json=body)
        if response.status == 200:
            # A server may choose its own time limit for direct calls.
            ctx.expect.inconclusive(operation, f"the server waits for {_TOO_LONG:g} s")
            continue
        refused = Status(504, "the container takes too long", code="container_timeout")
        ctx.expect.status(response, refused, operation)


@scenario(
    "containers.address",
    "create_pool",
    "create_task",
    clauses="Errors#fc28#619f, responses Forbidden#29df, PoolDefinition.container_url#d348",
)
def containers_address(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    uncallable = "forbidden_container_url"
    for url, status, code in (
        ("http://user:secret@127.0.0.1:9/", 403, uncallable),
        ("http://127.0.0.1:65536/", 403, uncallable),
        ("127.0.0.1:9", 422, "validation_failed"),
        ("ftp://127.0.0.1/", 422, "validation_failed"),
        ("http://127.0.0.1:9/ /", 422, "validation_failed"),
        ("", 422, "validation_failed"),
    ):
        refused = Status(status, f"the address {url!r}", code=code)
        body = ctx.resources.body(container_url=url)
        ctx.check(refused, "create_pool", json=body)
        ctx.check(Status(404, "nothing was created"), "get_pool", {"pool_id": body["pool_id"]})
        ctx.check(refused, "create_task", {"pool_id": pool_id}, json={"container_url": url})
