"""Scenarios of containers: direct calls, and the requests that rollouts send them."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    becomes_true,
    eventually,
    rollout_id,
    start_rollout,
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

_GETS = {
    "health": HEALTH,
    "info": INFO,
    "metadata": METADATA,
    "task_info": TASK_INFO,
    "program": PROGRAM,
    "taskset": TASKSET,
}
_OPERATIONS = (
    *(f"get_pool_container_{label}" for label in _GETS),
    "execute_pool_container_rollout",
    *(f"get_task_container_{label}" for label in _GETS),
    "execute_task_container_rollout",
)

# Seconds: as long as a request of the kit's own may take, and less.
_TOO_LONG = 15.0
# Seconds from which on a call may have failed because a container of the kit's own was slow.
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
    absent = ctx.session.not_offered()
    for name in _OPERATIONS:
        if name in absent:
            ctx.expect.inconclusive(name, absent[name], Outcome.NOT_OFFERED)
            continue
        ids = {"pool_id": pool_id} if "_pool_" in name else {"pool_id": pool_id, "task_id": "t"}
        sent: Any = ctx.session.rollout_body(seed=7) if name.startswith("execute_") else ABSENT
        response = ctx.call(name, ids, json=sent)
        if response.status in (404, 502, 504):
            # A container of the caller's may answer so, and is not what is judged.
            ctx.expect.inconclusive(name, f"the container answers {response.status}")
            continue
        if ctx.expect.status(response, 200, name):
            got = response.json
            ctx.expect.that(
                Expectation(name, "a JSON object", response), isinstance(got, dict), str(got)[:80]
            )


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
        responses ServerError#64b2#bd8b#ee0d#395d, Errors#0e4e#a296, Capabilities.features#760f
    """,
    needs="containers",
)
def containers_pass(ctx: Context) -> None:
    here = ctx.session.containers
    pool_id = ctx.resources.pool(
        container_url=here["good"],
        tasks=[
            {"task_id": "same"},
            {"task_id": "bare", "container_url": here["bare"]},
            {"task_id": "broken", "container_url": here["broken"]},
            {"task_id": "nobody", "container_url": here["nobody"]},
        ],
    )
    bare = ctx.resources.pool(
        "bare", container_url=here["bare"], tasks=[{"task_id": "t", "container_url": here["good"]}]
    )
    broken = ctx.resources.pool("broken", container_url=here["broken"])
    nobody = ctx.resources.pool("nobody", container_url=here["nobody"])
    for label, expected in _GETS.items():
        pool, task = f"get_pool_container_{label}", f"get_task_container_{label}"
        if absent := ctx.session.not_offered().keys() & {pool, task}:
            for name in absent:
                note = ctx.session.not_offered()[name]
                ctx.expect.inconclusive(name, note, Outcome.NOT_OFFERED)
            continue
        for name, ids in (
            (pool, {"pool_id": pool_id}),
            (task, {"pool_id": pool_id, "task_id": "same"}),
            (task, {"pool_id": bare, "task_id": "t"}),
        ):
            response = _direct(ctx, Status(200), name, ids)
            ctx.expect.equal(name, "the container's answer", expected, response.json, response)
        for status, of_pool, task_id, why in (
            (404, bare, "bare", "the container does not have it"),
            (502, broken, "broken", "the container does not answer 200 with a JSON object"),
            (502, nobody, "nobody", "nobody answers at the address"),
        ):
            _direct(ctx, Status(status, why), pool, {"pool_id": of_pool})
            _direct(ctx, Status(status, why), task, {"pool_id": pool_id, "task_id": task_id})
    body = {
        "rollout_id": ctx.resources.name(),
        "seed": 7,
        "env": {"reward": 0.5},
        "text": "ü🌍",
        "n": [None],
    }
    for name, ids in (
        ("execute_pool_container_rollout", {"pool_id": pool_id}),
        ("execute_task_container_rollout", {"pool_id": pool_id, "task_id": "same"}),
        ("execute_pool_container_rollout", {"pool_id": bare}),
        ("execute_task_container_rollout", {"pool_id": pool_id, "task_id": "bare"}),
    ):
        response = _direct(ctx, Status(200), name, ids, json=body)
        ctx.expect.equal(
            name, "the body, as the container received it,", body, response.at("echo"), response
        )
        ctx.expect.equal(name, "summary", {"reward": 0.5}, response.at("summary"), response)
    for behaviour in ("http_error", "html", "array"):
        _direct(
            ctx,
            Status(502, f"the container answers {behaviour}"),
            "execute_pool_container_rollout",
            {"pool_id": pool_id},
            json={"env": {"answer": behaviour}},
        )
    _direct(
        ctx,
        Status(502, "nobody answers at the address"),
        "execute_task_container_rollout",
        {"pool_id": pool_id, "task_id": "nobody"},
        json={},
    )


def _direct(
    ctx: Context, expected: Status, operation: str, ids: dict[str, str], **request: Any
) -> Response:
    """Send a direct call, once more where the container may have been too slow for the server.

    Raises:
        InconclusiveError: It may each time.
        StopScenarioError: 200 is wanted, and the answer is another; the departure is recorded.
    """
    tried = 1
    while True:
        response = ctx.call(operation, ids, **request)
        slow = response.exchange.elapsed > _SLOW
        if response.status in expected.statuses or response.status not in (502, 504) or not slow:
            break
        if tried == _TRIES:
            note = f"the answer is {response.status} after {response.exchange.elapsed:.1f} s"
            raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
        tried += 1
    if not ctx.expect.status(response, expected, operation) and expected.allowed == 200:
        raise StopScenarioError
    return response


@scenario(
    "containers.nothing_kept",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    clauses="execute_pool_container_rollout#fd28",
)
def containers_nothing_kept(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    path = {"pool_id": pool_id}
    name = ctx.resources.name()
    for operation, ids in (
        ("execute_pool_container_rollout", path),
        ("execute_task_container_rollout", {**path, "task_id": "t"}),
    ):
        response = ctx.call(operation, ids, json={"rollout_id": name, "seed": 1})
        listed = ctx.require(200, "list_rollouts", path)
        ctx.expect.equal(operation, "the list of rollouts", [], listed.at("items"), response)
        ctx.check(Status(404, "nothing was stored"), "get_global_rollout", {"rollout_id": name})


@scenario(
    "containers.sent",
    "create_rollout",
    clauses="Containers#b2cf#db40#b3e9",
    needs="containers",
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
        received = ctx.session.received.of_rollout(rollout.id)
        reached = [
            received_request for received_request in received if received_request.path == path
        ]
        response = ctx.require(200, "get_rollout", rollout.ids)
        ctx.expect.that(
            Expectation("create_rollout", f"one POST {path} at the container", response),
            len(reached) == 1,
            str([received_request.path for received_request in received]),
        )
        expected = {k: v for k, v in request.items() if k not in ("pool_id", "mode")}
        expected.update(rollout_id=rollout.id, submission_mode="sync")
        for received_request in reached[:1]:
            ctx.expect.equal(
                "create_rollout",
                "what the container received",
                expected,
                received_request.body,
                response,
            )


@scenario(
    "containers.changed",
    "update_pool",
    "patch_task",
    "create_rollout",
    clauses="update_pool#aed3, Containers#fc97#7dfa, PoolDefinition.container_url#bbb0",
    needs="containers",
)
def containers_changed(ctx: Context) -> None:
    here = ctx.session.containers
    pool_id = ctx.resources.pool(container_url=here["nobody"], tasks=[{"task_id": "t"}])
    path, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "t"}
    steps: list[tuple[str, dict[str, str], dict[str, str | None], str]] = [
        ("create_rollout", {}, {}, "failed"),
        ("update_pool", path, {"container_url": here["good"]}, "completed"),
        ("patch_task", task, {"container_url": here["nobody"]}, "failed"),
        ("patch_task", task, {"container_url": None}, "completed"),
    ]
    for operation, ids, change, expected in steps:
        if change:
            ctx.require(200, operation, ids, json=change)
            ctx.resources.wait_until_active(pool_id)
        response = wait_for(ctx, start_rollout(ctx, pool_id, task_id="t"), FINAL)
        ctx.expect.equal(
            operation, f"status after {change}", expected, response.at("status"), response
        )


@scenario(
    "containers.terminate",
    "cancel_rollout",
    "cancel_global_rollout",
    clauses="Containers#85f2, cancel_rollout#cbd6#130c",
    needs="containers",
)
def containers_terminate(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    for operation in ("cancel_rollout", "cancel_global_rollout"):
        rollout = start_rollout(ctx, pool_id, env={"delay": 600})
        wait_for(ctx, rollout, STARTED)

        def arrived(expected: str = rollout.id) -> bool:
            return any(
                request.path == "/rollouts" for request in ctx.session.received.of_rollout(expected)
            )

        if not eventually(ctx, arrived):
            ctx.expect.inconclusive(
                operation, "the rollout did not arrive at the container in time"
            )
            continue
        ids = rollout.ids if operation == "cancel_rollout" else rollout.global_ids
        response: Response = ctx.require(200, operation, ids, json={})

        def told(expected: str = rollout.id) -> bool:
            return ctx.session.received.was_terminated(expected)

        ctx.expect.that(
            Expectation(operation, "the container is told", response),
            becomes_true(ctx, operation, told),
            "it was not",
        )
        final = wait_for(ctx, rollout, FINAL)
        ctx.expect.equal(operation, "status", "cancelled", final.at("status"), final)


@scenario(
    "containers.slow",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    clauses="Direct calls#212f, Errors#eab2",
    needs="containers",
    slow=True,
)
def containers_slow(ctx: Context) -> None:
    pool_id = ctx.resources.pool(
        container_url=ctx.session.containers["good"],
        config={"timeout_seconds": 0.3},
        tasks=[{"task_id": "t"}],
    )
    for operation, ids in (
        ("execute_pool_container_rollout", {"pool_id": pool_id}),
        ("execute_task_container_rollout", {"pool_id": pool_id, "task_id": "t"}),
    ):
        body = {"rollout_id": ctx.resources.name(), "env": {"delay": _TOO_LONG}}
        response = ctx.call(operation, ids, json=body)
        if response.status == 200:
            # What is too long for a direct call is the server's own affair.
            ctx.expect.inconclusive(operation, f"the server waits for {_TOO_LONG:g} s")
            continue
        late = Status(504, "the container takes too long", code="container_timeout")
        ctx.expect.status(response, late, operation)


@scenario(
    "containers.address",
    "create_pool",
    "create_task",
    clauses="responses Forbidden#210e, Errors#1287",
)
def containers_address(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    refused = "http://user:secret@127.0.0.1:9/"
    body = {**ctx.session.pool_body("x"), "name": ctx.resources.name(), "container_url": refused}
    body["pool_id"] = body["name"]
    ctx.session.register_pool(body["name"])
    response = ctx.call("create_pool", json=body)
    ctx.expect.status(response, Status((403, 422), "the address holds userinfo"), "create_pool")
    ctx.check(Status(404, "nothing was created"), "get_pool", {"pool_id": body["pool_id"]})
    response = ctx.call("create_task", {"pool_id": pool_id}, json={"container_url": refused})
    ctx.expect.status(response, Status((403, 422), "the address holds userinfo"), "create_task")
