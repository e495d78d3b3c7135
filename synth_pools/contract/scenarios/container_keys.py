"""Scenario of the key of containers, on servers whose environment holds one."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.processes import kit_processes, process_pool
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import eventually, run_rollout
from synth_pools.contract.http.client import Response
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show

_NAME = "ENVIRONMENT_API_KEY"
_CONFIG = {"container_key_env": _NAME}


@scenario(
    "container_keys.sent",
    "PoolConfig",
    "the key of the containers is sent as X-API-Key and given to processes as ENVIRONMENT_API_KEY, "
    "and is never answered: *** stands in its place, and the variable has its name alone",
    "create_pool",
    "create_rollout",
    "get_rollout",
    needs="containers",
)
def container_keys_sent(ctx: Context) -> None:
    name = ctx.resources.name()
    url = ctx.session.containers["good"]
    body = ctx.session.pool_body("x", pool_id=name, name=name, container_url=url, config=_CONFIG)
    ctx.session.register_pool(name)
    made = ctx.call("create_pool", json=body)
    if made.status == 403:
        note = f"the server has no variable {_NAME}"
        for operation in ctx.scenario.operations:
            ctx.expect.inconclusive(operation, note, Outcome.NOT_REACHED)
        return
    ctx.expect.status(made, 201, "create_pool")
    ctx.resources.wait_until_active(name)
    rollout = run_rollout(ctx, name, env={"echo_key": True})
    key = ctx.session.received.keys.get(rollout.id)
    sent = Expectation("create_rollout", "the header X-API-Key of what is sent", None)
    if not ctx.expect.that(sent, bool(key), "nothing") or key is None:
        return
    # Not recorded: what is wrong here must not stand in a report.
    answers = {
        operation: ctx.session.http.call(operation, ids)
        for operation, ids in (
            *rollout.both(""),
            ("get_pool", {"pool_id": name}),
            ("list_rollouts", {"pool_id": name}),
        )
    }
    for operation, response in answers.items():
        hidden = key.encode() not in response.exchange.response_body
        demand = Expectation(operation, "no key of a container in an answer", None)
        ctx.expect.that(demand, hidden, "the key")
    for operation in ("get_rollout", "get_global_rollout"):
        masked = answers[operation].at("result", "key")
        demand = Expectation(operation, "*** in the place of an echoed key", None)
        ctx.expect.that(demand, masked == "***", "something else")
    told = answers["get_pool"].at("config", "container_key_env")
    ctx.expect.equal("get_pool", "config.container_key_env", _NAME, told, None)
    if ctx.session.offers("processes"):
        _judge_process(ctx, made)


def _judge_process(ctx: Context, made: Response) -> None:
    with kit_processes(ctx) as kit:
        process_pool(ctx, kit.definition(), config=_CONFIG)
        if not eventually(ctx, lambda: bool(kit.started())):
            return
        given = kit.started()[0].hello.get("has_key")
        demand = Expectation("create_pool", f"the variable {_NAME} of a process", made)
        ctx.expect.that(demand, given is True, show(given))
