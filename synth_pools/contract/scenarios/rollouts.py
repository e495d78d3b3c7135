"""Rollouts: what was asked for, how it ended, and every account of it in agreement."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import (
    FINAL,
    Rollout,
    finish,
    moment,
    rollout_id,
    start,
    wait,
)
from synth_pools.contract.http.client import ABSENT, Answer, at

# Time stamps may be of whole seconds.
_ROUNDING = 1.5
_READS = ("", "_artifacts", "_usage", "_summary")


@scenario(
    "rollouts.request",
    "RolloutRequest",
    "every value of the 20 keys comes back in request as it was sent, from every operation",
    "create_rollout",
    "create_global_rollout",
    "get_rollout",
    "get_global_rollout",
    "list_rollouts",
    "list_global_rollouts",
)
def request(ctx: Context) -> None:
    pool_id = ctx.pool(tasks=[{"task_id": "t"}])
    body: dict[str, Any] = {
        "context_overrides": [{"file": "a", "text": "b"}],
        "env": {"seed": 3, "config": {"a": 1}, "other": [1]},
        "inference_url": "https://inference.example/v1",
        "instance_id": "instance-1",
        "limits": {"timeout_seconds": 3600, "other": 1},
        "messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "tool", "x": 1}],
        "metadata": {"n": ctx.random.randrange(10**6), "nested": {"x": [None]}},
        "mode": "async",
        "ops": ["a", {"b": 1}],
        "override_bundle_id": "bundle-1",
        "params": {"p": 1},
        "policy": {"model": "m", "provider": "p", "config": {}, "inference_url": None},
        "policy_config": {"temperature": 0.5},
        "pool_id": pool_id,
        "record": True,
        "safety": {"s": False},
        "seed": 2**53,
        "task_contract": {"c": "v1"},
        "task_id": "t",
        "trace_correlation_id": f"trace-{ctx.random.randrange(10**6)}",
    }
    given = ctx.world.options.rollout_request or {}
    body.update(given, pool_id=pool_id, task_id="t")
    for operation, ids in (
        ("create_rollout", {"pool_id": pool_id}),
        ("create_global_rollout", {}),
    ):
        made = ctx.want((202, 200), operation, ids, json=body)
        rollout = Rollout(pool_id, rollout_id(made))
        told = [(operation, made.json, made), *of_rollout(ctx, rollout)]
        for reader, seen, answer in told:
            if not ctx.judge(reader, seen is not ABSENT, "the rollout", "no such rollout", answer):
                continue
            ctx.equal(reader, "request", body, at(seen, "request"), answer)
            ctx.equal(reader, "id", rollout.id, at(seen, "id"), answer)
            ctx.equal(reader, "pool_id", pool_id, at(seen, "pool_id"), answer)
            ctx.equal(
                reader,
                "trace_correlation_id",
                body["trace_correlation_id"],
                at(seen, "trace_correlation_id"),
                answer,
            )
            if at(seen, "task_id") is not ABSENT:
                ctx.equal(reader, "task_id", "t", at(seen, "task_id"), answer)


@scenario(
    "rollouts.agree",
    "Rollouts: the two families",
    "both families, the lists, summary, usage and artifacts tell the same of one rollout, and of "
    "no other",
    "get_rollout",
    "get_global_rollout",
    "list_rollouts",
    "list_global_rollouts",
    "get_rollout_summary",
    "get_global_rollout_summary",
    "get_rollout_usage",
    "get_global_rollout_usage",
    "get_rollout_artifacts",
    "get_global_rollout_artifacts",
)
def agree(ctx: Context) -> None:
    pool_id = ctx.pool()
    # Several, that differ: whoever mixes them up tells it.
    rollouts = [start(ctx, pool_id, metadata={"which": number}) for number in range(3)]
    for rollout in rollouts:
        wait(ctx, rollout, FINAL)
    artifacts: dict[str, list[Any]] = {}
    for number, rollout in enumerate(rollouts):
        told = of_rollout(ctx, rollout)
        whole, source = told[0][1], told[0][2]
        ctx.equal(
            "get_rollout", "metadata", {"which": number}, at(whole, "request", "metadata"), source
        )
        ctx.alike("the rollout", told)
        for what in _READS[1:]:
            (one, ids), (other, other_ids) = rollout.both(what)
            first = ctx.want(200, one, ids)
            second = ctx.want(200, other, other_ids)
            name = what.lstrip("_")
            ctx.alike(f"the {name}", [(one, first.json, first), (other, second.json, second)])
            for operation, answer in ((one, first), (other, second)):
                _belongs(ctx, operation, what, rollout, whole, answer)
            if what == "_artifacts":
                found = first.at("items")
                artifacts[rollout.id] = [
                    at(item, "artifact_id") for item in (found if isinstance(found, list) else [])
                ]
    names = [name for found in artifacts.values() for name in found]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    ctx.judge(
        "get_rollout_artifacts",
        not twice,
        "artifacts of its own for each rollout",
        f"{twice[:3]} are of several",
        None,
    )


def _belongs(
    ctx: Context, operation: str, what: str, rollout: Rollout, whole: Any, answer: Answer
) -> None:
    """Summary, usage and artifacts against the rollout itself."""
    if what == "_artifacts":
        ctx.equal(operation, "next_cursor", None, answer.at("next_cursor"), answer)
        return
    ctx.equal(operation, "rollout_id", rollout.id, answer.at("rollout_id"), answer)
    if answer.at("pool_id") is not ABSENT:
        ctx.equal(operation, "pool_id", rollout.pool_id, answer.at("pool_id"), answer)
    if what == "_summary":
        _summary(ctx, operation, whole, answer)
    else:
        _usage(ctx, operation, whole, answer)


def _summary(ctx: Context, operation: str, whole: Any, answer: Answer) -> None:
    reward = at(whole, "metrics", "outcome_reward")
    for field, wanted in {
        "status": at(whole, "status"),
        "state": at(whole, "status"),
        "reward": reward,
        "score": reward,
        "error": at(whole, "error"),
    }.items():
        ctx.equal(operation, field, wanted, answer.at(field), answer)
    for field in ("created_at", "started_at", "finished_at"):
        if at(whole, field) is not ABSENT:
            ctx.equal(
                operation, f"timing.{field}", at(whole, field), answer.at("timing", field), answer
            )
    last = answer.at("last_event")
    ctx.equal(
        operation,
        "the type of last_event",
        f"rollout.{at(whole, 'status')}",
        at(last, "event"),
        answer,
    )
    ctx.equal(
        operation, "rollout_id of last_event", at(whole, "id"), at(last, "rollout_id"), answer
    )
    for seconds, begin, end in (
        ("queue_seconds", "created_at", "started_at"),
        ("run_seconds", "started_at", "finished_at"),
    ):
        came = answer.at("timing", seconds)
        from_, to = (moment(answer.at("timing", name)) for name in (begin, end))
        if from_ and to and isinstance(came, int | float):
            wanted = (to - from_).total_seconds()
            ctx.judge(
                operation,
                abs(came - wanted) < _ROUNDING,
                f"timing.{seconds} is {end} minus {begin}: {wanted}",
                str(came),
                answer,
            )


def _usage(ctx: Context, operation: str, whole: Any, answer: Answer) -> None:
    numbers = (
        "wall_time_sec",
        "sandbox_minutes",
        "llm_input_tokens",
        "llm_output_tokens",
        "bytes_uploaded",
        "bytes_downloaded",
        "cost_usd",
    )
    negative = [
        name for name in numbers if isinstance(answer.at(name), int | float) and answer.at(name) < 0
    ]
    ctx.judge(operation, not negative, "no negative numbers", f"{negative} are", answer)
    wall, minutes = answer.at("wall_time_sec"), answer.at("sandbox_minutes")
    if not isinstance(wall, int | float) or not isinstance(minutes, int | float):
        return
    ctx.judge(
        operation,
        abs(wall / 60 - minutes) < 0.01,
        f"sandbox_minutes is wall_time_sec in minutes: {wall / 60:.4f}",
        str(minutes),
        answer,
    )
    begin, end = moment(at(whole, "started_at")), moment(at(whole, "finished_at"))
    if begin and end:
        wanted = (end - begin).total_seconds()
        ctx.judge(
            operation,
            abs(wall - wanted) < _ROUNDING,
            f"wall_time_sec is the time from start to end: {wanted}",
            str(wall),
            answer,
        )


@scenario(
    "rollouts.ended",
    "Rollouts: states",
    "a rollout that has ended has its times in order, and a result or an error",
    "get_rollout",
    "create_rollout",
)
def ended(ctx: Context) -> None:
    rollout = finish(ctx, ctx.pool())
    answer = ctx.want(200, "get_rollout", rollout.ids)
    status = answer.at("status")
    if status == "completed":
        result = answer.at("result")
        ctx.judge("get_rollout", isinstance(result, dict), "a result", repr(result), answer)
        ctx.equal("get_rollout", "error of a completed rollout", None, answer.at("error"), answer)
    elif status == "failed":
        code = answer.at("error", "code")
        ctx.judge("get_rollout", isinstance(code, str), "an error code", repr(code), answer)
    stamps = [moment(answer.at(name)) for name in ("created_at", "started_at", "finished_at")]
    known = [stamp for stamp in stamps if stamp]
    ctx.judge(
        "get_rollout",
        known == sorted(known),
        "created, started, finished in this order",
        str([answer.at(name) for name in ("created_at", "started_at", "finished_at")]),
        answer,
    )


@scenario(
    "rollouts.sync",
    "Rollouts: the two families",
    "with mode sync a creation answers 200 with the finished rollout, or stops waiting with 202",
    "create_rollout",
    "create_global_rollout",
    "get_rollout",
)
def sync(ctx: Context) -> None:
    pool_id = ctx.pool()
    body = ctx.world.rollout_body(mode="sync")
    for operation, ids, more in (
        ("create_rollout", {"pool_id": pool_id}, {}),
        ("create_global_rollout", {}, {"pool_id": pool_id}),
    ):
        answer = ctx.want(
            (200, 202), operation, ids, json={**body, **more}, limit=ctx.world.patience * 2
        )
        rollout = Rollout(pool_id, rollout_id(answer))
        if answer.status == 200:
            ctx.judge(
                operation,
                answer.at("status") in FINAL,
                "200 has the finished rollout",
                f"status {answer.at('status')}",
                answer,
            )
            read = ctx.want(200, "get_rollout", rollout.ids)
            ctx.equal("get_rollout", "the rollout as it was created", answer.json, read.json, read)
        else:
            wait(ctx, rollout, FINAL)


@scenario(
    "rollouts.sync_failed",
    "Rollouts: the two families",
    "with mode sync a creation answers the finished rollout, whichever way that ended",
    "create_rollout",
    "create_global_rollout",
    needs="live",
)
def sync_failed(ctx: Context) -> None:
    pool = {"pool_id": ctx.live_pool()}
    body = {"mode": "sync", "env": {"fail": True}}
    for operation, ids, more in (("create_rollout", pool, {}), ("create_global_rollout", {}, pool)):
        answer = ctx.try_((200, 202), operation, ids, json={**body, **more})
        if answer.status == 200:
            ctx.equal(operation, "status", "failed", answer.at("status"), answer)


@scenario(
    "rollouts.async",
    "Rollouts: the two families",
    "without mode, and with async, a creation answers 202 as soon as the rollout is admitted",
    "create_rollout",
    "create_global_rollout",
    needs="live",
)
def asynchronous(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=1)
    for mode in ({}, {"mode": "async"}, {"mode": None}):
        body = {"env": {"delay": 600}, **mode}
        pool = {"pool_id": pool_id}
        for operation, ids, more in (
            ("create_rollout", pool, {}),
            ("create_global_rollout", {}, pool),
        ):
            answer = ctx.try_(202, operation, ids, json={**body, **more})
            ctx.judge(
                operation,
                answer.at("status") in ("queued", "running"),
                "202 has a rollout that has not ended",
                f"status {answer.at('status')}",
                answer,
            )
            for field in ("result", "error"):
                ctx.equal(operation, field, None, answer.at(field), answer)
