"""Scenarios of outcomes: reward, result and error for each answer of the container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import (
    Rollout,
    becomes_true,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.rules.outcomes import REWARDS
from synth_pools.contract.rules.verdict import show

_READS = ("get_rollout", "get_global_rollout", "get_rollout_summary", "get_global_rollout_summary")

# A reward that no container gives by chance.
_ECHOED = -7351.25


@scenario(
    "outcomes.echo",
    *_READS,
    "stream_rollout_events",
    clauses="""
        RolloutEnv#024a#41b9#80ef, RolloutEnv.delay#05d6#5458, RolloutEnv.reward#b40c,
        RolloutEnv.fail#21d0, RolloutEnv.events#4427, Containers#8d68, Features.echo#a571
    """,
    needs="echo",
)
def outcomes_echo(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=None)
    cases: list[tuple[dict[str, Any], str, Any, int]] = [
        ({}, "completed", 1.0, 1),
        ({"reward": 0.123456789, "events": 0}, "completed", 0.123456789, 0),
        ({"reward": -3, "events": 4}, "completed", -3, 4),
        ({"delay": 0.05, "reward": 0}, "completed", 0, 1),
        ({"fail": False, "reward": 1e6}, "completed", 1e6, 1),
        ({"fail": True}, "failed", ABSENT, 1),
        # Values of another type or outside the range count as not given.
        ({"reward": "0.25", "delay": "long", "events": -1, "fail": "yes"}, "completed", 1.0, 1),
        ({"reward": True, "delay": -5, "events": 1.5}, "completed", 1.0, 1),
        ({"reward": None, "delay": 3601, "events": 1001}, "completed", 1.0, 1),
    ]
    created = [(start_rollout(ctx, pool_id, env=env), *rest) for env, *rest in cases]
    for (rollout, status, reward, agents), (env, *_) in zip(created, cases, strict=True):
        wait_for(ctx, rollout, FINAL)
        for schema in ("Rollout", "RolloutSummary"):
            for operation, ids in readers(ctx, rollout, schema):
                response = ctx.require(200, operation, ids)
                judge = ctx.judge(operation, response)
                judge.field("status", status, f"status for env {env}")
                if reward is not ABSENT:
                    path = "reward" if schema == "RolloutSummary" else "metrics.outcome_reward"
                    field = path.rpartition(".")[2]
                    judge.field(path, reward, f"{field} for env {env}")
                if status == "failed":
                    judge.field("error.code", "container_failed")
        stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
        judge = ctx.judge("stream_rollout_events", stream)
        if status == "completed":
            count = stream.events.count("agent")
            judge.equal(f"the number of agent events for env {env}", agents, count)
            for message in stream.messages:
                if message.event in ("reward", "rollout.completed"):
                    actual = at(message.envelope, "data", "outcome_reward")
                    judge.equal(f"outcome_reward of {message.event}", reward, actual)


@scenario(
    "outcomes.timeout",
    "create_rollout",
    "get_rollout",
    "update_pool",
    clauses="""
        Time limits#5335#9296, RolloutLimits.timeout_seconds#76ad#37f4, Rollouts: states#b514
    """,
    needs="live",
)
def outcomes_timeout(ctx: Context) -> None:
    slow, short, long = {"delay": 600}, {"timeout_seconds": 0.3}, {"timeout_seconds": 3600}
    patient = ctx.resources.live_pool("patient", config=long)
    hasty = ctx.resources.live_pool("hasty", config=short)
    created = [
        (start_rollout(ctx, patient, env=slow, limits=short), "failed"),
        (start_rollout(ctx, hasty, env=slow), "failed"),
        (start_rollout(ctx, hasty, env=slow, limits={"max_cost_usd": 100}), "failed"),
        (start_rollout(ctx, hasty, env={"delay": 0.8}, limits=long), "completed"),
    ]
    for rollout, expected in created:
        response = wait_for(ctx, rollout, FINAL)
        ctx.judge("get_rollout", response).field("status", expected)
        if expected == "failed":
            ctx.judge("get_rollout", response).field("error.code", "container_timeout")
    # Rollouts that start later use the new values.
    ctx.require(200, "update_pool", {"pool_id": patient}, json={"config": short})
    ctx.resources.wait_until_active(patient)
    response = wait_for(ctx, start_rollout(ctx, patient, env=slow), FINAL)
    ctx.judge("update_pool", response).field("status", "failed", "status after the change")


_FAILURES = ("aborted", "canceled", "cancelled", "error", "terminated", "timed_out", "timeout")
_SUCCESSES = ("success", "succeeded", "completed", "ok", "success")


def _rewards() -> Iterator[tuple[dict[str, Any], float]]:
    """Iterate over answers, each with the reward of one place and others in all places after it."""
    for number in range(len(REWARDS)):
        fields: dict[str, Any] = {}
        for place, (name, *rest) in enumerate(REWARDS[number:], number):
            reward = place + 0.123456789
            fields[name] = {**fields.get(name, {}), rest[0]: reward} if rest else reward
        yield fields, number + 0.123456789


@scenario(
    "outcomes.container",
    "get_rollout",
    "stream_rollout_events",
    "get_rollout_artifacts",
    "get_global_rollout_artifacts",
    clauses="""
        Containers#f51a#6991#c5bf#1c09, RolloutEventType#2c5d, RewardData#5d98,
        RolloutMetrics.outcome_reward#950a, RewardData.outcome_reward#809d, Limits#0723
    """,
    needs="containers",
)
def outcomes_container(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    success = {"status": "completed", "success_status": "success"}
    cases: list[tuple[dict[str, Any], str, Any]] = [
        *(
            ({"status": "completed", "success_status": status, **rewards}, "completed", reward)
            for status, (rewards, reward) in zip(_SUCCESSES, _rewards(), strict=True)
        ),
        ({**success, "metrics": {"outcome_reward": True}, "reward": 4}, "completed", 4),
        ({**success, "metrics": {"outcome_reward": None}}, "completed", None),
        ({**success, "reward": 0}, "completed", 0),
        ({**success, "reward": -2, "large": [2**53 + 1, -(2**63)]}, "completed", -2),
        ({"status": "completed"}, "completed", None),
        # The request holds the answer: both stay below what every server takes.
        ({**success, "reward": 6, "notes": "x" * 1_000_000}, "completed", 6),
        ({"status": "failed", "reward": 1}, "failed", ABSENT),
        *(({"status": status}, "failed", ABSENT) for status in _FAILURES),
        ({"status": "completed", "success_status": "runtime_error"}, "failed", ABSENT),
    ]
    created = [
        (start_rollout(ctx, pool_id, env={"answer": answer}), answer, *rest)
        for answer, *rest in cases
    ]
    for rollout, answer, status, reward in created:
        judge = ctx.judge("get_rollout", wait_for(ctx, rollout, FINAL))
        judge.field("status", status, f"status for {answer}")
        if status == "failed":
            judge.field("error.code", "container_failed", f"error.code for {answer}")
        else:
            judge.field("result", answer, "result, the whole answer,")
            judge.field("metrics.outcome_reward", reward, f"outcome_reward for {answer}")
    _judge_reward_events(ctx, [(row[0], row[3]) for row in created if row[2] == "completed"])
    rollout = run_rollout(ctx, pool_id)
    for operation, ids in readers(ctx, rollout, "ArtifactList"):
        response = ctx.require(200, operation, ids)
        judge = ctx.judge(operation, response)
        judge.equal("the number of artifacts", 1, len(response.list_at("items")))
        for field, expected in {
            "size_bytes": 5,
            "content_type": "text/plain",
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        }.items():
            judge.field(f"items.0.{field}", expected, field)


def _judge_reward_events(ctx: Context, rollouts: list[tuple[Rollout, Any]]) -> None:
    """Expect one event of each reward."""
    for rollout, reward in rollouts:
        stream = ctx.stream("stream_rollout_events", rollout.ids, limit=ctx.session.patience)
        events = [m.envelope for m in stream.messages if m.event == "reward"]
        actual = [at(event, "data", "outcome_reward") for event in events]
        expected = [] if reward is None else [reward]
        judge = ctx.judge("stream_rollout_events", stream)
        judge.equal("the rewards that events tell", expected, actual)


@scenario(
    "outcomes.no_container",
    "get_rollout",
    "resume_pool",
    "update_pool",
    clauses="Containers#8d68, Pools: states#b50f#47c5, PoolError.code#4aa5",
)
def outcomes_no_container(ctx: Context) -> None:
    for target in ("harbor", "openenv"):
        body = ctx.resources.body(target, target=target, container_url=None)
        created = ctx.call("create_pool", json=body)
        if created.at("error", "code") == "no_container":
            _judge_preparation(ctx, body["pool_id"])
        if created.at("status") != "active":
            # It was refused, or waits for what it is to run on.
            continue
        rollout = start_rollout(ctx, body["pool_id"], env={"reward": _ECHOED})
        final = wait_for(ctx, rollout, FINAL)
        # A server with containers for the target gives a reward of theirs.
        reward = final.at("metrics", "outcome_reward")
        is_echo = final.at("status") == "completed" and reward == _ECHOED
        demand = f"the echo answers for no container of target {target}"
        ctx.judge("get_rollout", final).that(demand, not is_echo, f"reward {show(reward)}")


def _judge_preparation(ctx: Context, pool_id: str) -> None:
    """Expect a pool that failed without a container to be prepared once it needs none."""
    path = {"pool_id": pool_id}
    if ctx.session.offers("pause"):
        refusal = Status(409, "nothing would run its rollouts", code="no_container")
        ctx.check(refusal, "resume_pool", path)
    changed = ctx.require(200, "update_pool", path, json={"target": "arbitrary"})

    def is_active() -> bool:
        return bool(ctx.require(200, "get_pool", path).at("status") == "active")

    prepared = becomes_true(ctx, "update_pool", is_active)
    ctx.judge("update_pool", changed).that("a pool that becomes active", prepared, "another state")


@scenario(
    "outcomes.trouble",
    "get_rollout",
    "get_global_rollout",
    clauses="""
        Rollouts: states#d954#5cb2#cce9#89d4#60da, RolloutErrorCode#51dc, Outages#5017,
        RolloutError#76e8, Containers#7b8e
    """,
    needs="containers",
)
def outcomes_trouble(ctx: Context) -> None:
    pool_id = ctx.resources.pool(
        container_url=ctx.session.containers["good"],
        tasks=[{"task_id": "nobody", "container_url": ctx.session.containers["nobody"]}],
    )
    # Field of a completed answer that cannot be used, and its value. How the place within the
    # artifacts is written is free.
    unusable: dict[str, dict[str, Any]] = {
        "reward": {"reward": "0.5"},
        "metrics.outcome_reward": {"metrics": {"outcome_reward": True}},
        "artifact": {"artifact": [{"content": "x"}, "x"]},
        "artifacts": {"artifacts": {"content": "no base64!", "encoding": "base64"}},
    }
    cases: list[tuple[dict[str, Any], str]] = [
        *(
            ({"env": {"answer": {"status": "completed", **fields}}}, "container_bad_response")
            for fields in unusable.values()
        ),
        ({"env": {"answer": "http_error"}}, "container_http_error"),
        ({"env": {"answer": "html"}}, "container_bad_response"),
        ({"env": {"answer": "array"}}, "container_bad_response"),
        ({"env": {"answer": "cut"}}, "container_bad_response"),
        ({"env": {"answer": {"x": 1}}}, "container_bad_response"),
        ({"env": {"answer": {"rollout_id": "x", "reward": 1}}}, "container_bad_response"),
        ({"env": {"fail": True}}, "container_failed"),
        ({"task_id": "nobody"}, "container_unreachable"),
    ]
    created = [(start_rollout(ctx, pool_id, **request), request, code) for request, code in cases]
    for (rollout, request, code), field in zip_longest(created, unusable):
        wait_for(ctx, rollout, FINAL)
        for operation, ids in readers(ctx, rollout, "Rollout"):
            response = ctx.require(200, operation, ids)
            judge = ctx.judge(operation, response)
            judge.field("status", "failed", f"status for {request}")
            judge.field("error.code", code, f"error.code for {request}")
            # Details may be left out as a whole.
            details = response.at("error", "details")
            if field is not None and isinstance(details, dict):
                actual = details.get("field")
                is_right = re.match(rf"{re.escape(field)}(?!\w)", str(actual)) is not None
                judge.that(f"error.details.field for {request}: {field}", is_right, str(actual))
