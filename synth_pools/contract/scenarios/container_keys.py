"""Scenario of the key of containers, on servers with such a key in their environment."""

from __future__ import annotations

from synth_pools.contract.document import TERMINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.processes import kit_processes, process_pool
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import Rollout, eventually, run_rollout
from synth_pools.contract.http.client import Response
from synth_pools.contract.http.sse import SseReader
from synth_pools.contract.results import Clause, Outcome
from synth_pools.contract.rules.verdict import show

_NAME = "ENVIRONMENT_API_KEY"
_ONE = "get_global_rollout_artifact"
_CONFIG = {"container_key_env": _NAME}

_NEVER_ANSWERED = Clause(ids="PoolConfig.container_key_env#5d6a")


@scenario(
    "container_keys.sent",
    "create_pool",
    "create_rollout",
    "get_rollout",
    "get_global_rollout",
    "stream_rollout_events",
    _ONE,
    clauses="""
        StoredPoolConfig.container_key_env#ae20,
        PoolConfig.container_key_env#be34#5d6a#2a04#e72f#b819
    """,
    needs="containers",
)
def container_keys_sent(ctx: Context) -> None:
    url = ctx.session.containers["good"]
    body = ctx.resources.body(container_url=url, config=_CONFIG)
    name = body["pool_id"]
    created = ctx.call("create_pool", json=body)
    if created.status == 403:
        note = f"the server has no variable {_NAME}"
        for operation in ctx.operations:
            ctx.expect.inconclusive(operation, note, Outcome.NOT_REACHED)
        return
    ctx.expect.status(created, 201, "create_pool")
    ctx.resources.wait_until_active(name)
    events = [{"sequence": 1, "type": "step"}]
    for env in ({"echo_key": True, "tell": events}, {"echo_key": True, "fail": True}):
        rollout = run_rollout(ctx, name, env=env)
        key = ctx.session.received.keys.get(rollout.id)
        if (
            not ctx.judge("create_rollout").that(
                "the header X-API-Key of what is sent", bool(key), "nothing"
            )
            or key is None
        ):
            return
        _judge_answers(ctx, rollout, key)
    reported = ctx.require(200, "get_pool", {"pool_id": name}).at("config", "container_key_env")
    ctx.expect.equal("get_pool", "config.container_key_env", _NAME, reported, None)
    if ctx.session.offers("processes"):
        _judge_process(ctx, created)


def _judge_answers(ctx: Context, rollout: Rollout, key: str) -> None:
    """Expect no answer about a rollout to show a key that its container puts everywhere.

    The answers are not recorded, so that no report shows a key.
    """
    http = ctx.session.http
    absent = ctx.session.not_offered()
    reads = [
        *readers(ctx, rollout, "Rollout", "RolloutSummary", "ArtifactList"),
        ("get_pool", {"pool_id": rollout.pool_id}),
        ("list_rollouts", {"pool_id": rollout.pool_id}),
    ]
    answers = {
        operation: http.call(operation, ids)
        for operation, ids in reads
        if operation not in absent and operation in ctx.session.document.operations
    }
    path = answers["get_global_rollout_artifacts"].at("items", 0, "path")
    if isinstance(path, str) and _ONE not in absent:
        answers[_ONE] = http.call(_ONE, {**rollout.global_ids, "artifact_path": path})
    bodies = {operation: read.exchange.response_body for operation, read in answers.items()}
    for operation, ids in (
        ("stream_rollout_events", rollout.ids),
        ("stream_global_rollout_events", rollout.global_ids),
    ):
        stream = http.stream(operation, ids, until=_has_ended)
        bodies[operation] = stream.exchange.response_body
    for operation, body in bodies.items():
        ctx.judge(operation, clause=_NEVER_ANSWERED).that(
            "no key of a container in an answer", key.encode() not in body, "the key"
        )
    for operation in ("get_rollout", "get_global_rollout"):
        for field in ("key", "status_detail"):
            actual = answers[operation].at("result", field)
            ctx.judge(operation, clause=_NEVER_ANSWERED).that(
                "*** in the place of an echoed key",
                isinstance(actual, str) and "***" in actual,
                "something else",
            )


def _has_ended(reader: SseReader) -> bool:
    return any(message.event in TERMINAL for message in reader.messages)


def _judge_process(ctx: Context, created: Response) -> None:
    with kit_processes(ctx) as kit:
        process_pool(ctx, kit.definition(), config=_CONFIG)
        if not eventually(ctx, lambda: bool(kit.started())):
            return
        has_key = kit.started()[0].hello.get("has_key")
        ctx.judge("create_pool", created).that(
            f"the variable {_NAME} of a process", has_key is True, show(has_key)
        )
