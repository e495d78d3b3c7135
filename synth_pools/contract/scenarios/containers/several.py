"""Scenarios of pools with several containers: the choice between them, and further attempts."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.holding import hold, only_in_time
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.rollout_views import judge_timing
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import (
    Rollout,
    becomes_true,
    eventually,
    ids_of,
    moment,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.http.switched_container import SwitchedContainer
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show

_FEATURE = "container_urls"
_ATTEMPT_SECONDS = 3.0
_IDLE_SECONDS = 2.0
# Statuses of a container after which no further attempt follows, and those after which one does.
_REFUSALS, _FAILURES = (400, 408, 425, 429, 451), (502, 503, 504)


@scenario(
    "containers.several",
    "create_pool",
    "create_rollout",
    "get_pool_urls",
    "get_pool_metrics",
    clauses="Containers#fc97#7dfa, Pool.container_urls#8163, Features.container_urls#95e6",
    needs=("containers", _FEATURE),
)
def containers_several(ctx: Context) -> None:
    received = ctx.session.received
    # No other pool has these containers, because a server may count the rollouts of all pools.
    with SwitchedContainer(received) as first_box, SwitchedContainer(received) as second_box:
        urls = [first_box.url, second_box.url]
        pool_id = ctx.resources.pool(
            container_url=None, container_urls=urls, concurrency=2, tasks=[{"task_id": "t"}]
        )
        _judge_urls(ctx, pool_id, urls)
        named_twice = {"container_url": urls[1], "container_urls": urls}
        pool = {"pool_id": ctx.resources.pool("twice", **named_twice)}
        response = ctx.require(200, "get_pool_urls", pool)
        ctx.judge("get_pool_urls", response).field("container_urls", urls[::-1], "each once")
        holder = next(hold(ctx))
        # The kit's own containers hold both rollouts at the same time.
        rollouts = [holder.start(pool_id) for _ in urls]
        metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
        for rollout in rollouts:
            holder.release(rollout)
        for rollout in rollouts:
            final = wait_for(ctx, rollout, FINAL)
            ctx.judge("create_rollout", final).field("status", "completed")
        boxes = (first_box, second_box)
        reached = [
            place for place, box in enumerate(boxes, 1) for it in rollouts if box.sent_for(it.id)
        ]
        if reached != [1, 2]:
            _require_health(metrics, boxes)
        ctx.judge("create_rollout", metrics).that(
            "one of two rollouts at a time on each of two containers",
            reached == [1, 2],
            f"they went to container {' and '.join(map(str, reached))}",
        )
        if reached == [1, 2]:
            running = ids_of(metrics.list_at("containers"), "running_rollouts")
            label = "running_rollouts of two containers with one each"
            ctx.judge("get_pool_metrics", metrics).equal(label, [1, 1], running)
            _judge_idle(ctx, pool_id, boxes)


def _judge_idle(ctx: Context, pool_id: str, boxes: tuple[SwitchedContainer, ...]) -> None:
    """Expect most of what starts one after another to go past a container that is busy."""
    holder = next(hold(ctx))
    busy = holder.start(pool_id)

    def is_one_idle() -> bool:
        metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
        return ids_of(metrics.list_at("containers"), "running_rollouts") in ([0, 1], [1, 0])

    rollouts = []
    for _ in range(4):
        # That one has ended may be known a moment before its container counts as idle.
        eventually(ctx, is_one_idle, _IDLE_SECONDS)
        rollouts.append(run_rollout(ctx, pool_id))
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    if not holder.lasted(busy):
        return
    holder.release(busy)
    wait_for(ctx, busy, FINAL)
    idle = [box for box in boxes if not box.sent_for(busy.id)]
    count = sum(any(box.sent_for(rollout.id) for box in idle) for rollout in rollouts)
    if count < 3:
        _require_health(metrics, boxes)
    demand = "rollouts one after another go to the container that is idle"
    ctx.judge("create_rollout", metrics).that(demand, count >= 3, f"{count} of 4")


def _judge_urls(ctx: Context, pool_id: str, urls: list[str]) -> None:
    response = ctx.require(200, "get_pool_urls", {"pool_id": pool_id})
    judge = ctx.judge("get_pool_urls", response)
    judge.field("container_urls", urls)
    judge.field("task_urls.0.container_url", urls[0], "container_url of a task")
    for reader, pool, response in of_pool(ctx, pool_id):
        ctx.expect.equal(reader, "container_urls", urls, at(pool, "container_urls"), response)
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    actual = ids_of(metrics.list_at("containers"), "url")
    ctx.expect.equal("get_pool_metrics", "containers, in order,", urls, actual, metrics)


def _require_health(metrics: Response, boxes: tuple[SwitchedContainer, ...]) -> None:
    """Stop before the choice is judged if a container has failed a check.

    Raises:
        InconclusiveError: A container has failed a check, or may have.
    """
    only_in_time("create_rollout", boxes)
    for container in metrics.list_at("containers"):
        if at(container, "health") != "healthy" or at(container, "last_error"):
            note = "a container had failed a check when the rollouts were sent"
            raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)


@scenario(
    "containers.attempts",
    "create_rollout",
    "get_rollout",
    "get_rollout_summary",
    "stream_rollout_events",
    clauses="""
        Further attempts#5cc6#8e04#c906, RolloutLimits.max_attempts#34f4#c5cb,
        RolloutQueuedData.previous_error#b1da, RolloutStartedData.container_url#f024,
        RolloutStartedData#7003, RolloutStartedData.attempt#33fb, Rollout.started_at#ab61,
        RolloutTiming.started_at#886a, RolloutTiming.queue_seconds#9cd5,
        RolloutTiming.run_seconds#3087
    """,
    needs=("containers", _FEATURE),
)
def containers_attempts(ctx: Context) -> None:
    urls = ctx.session.containers
    pool_id = ctx.resources.pool(container_url=None, container_urls=[urls["nobody"], urls["good"]])
    for _ in range(3):
        rollout = run_rollout(ctx, pool_id, limits={"max_attempts": 2})
        response = ctx.require(200, "get_rollout", rollout.ids)
        ctx.judge("create_rollout", response).field("status", "completed")
        count = len(ctx.session.received.sent(rollout.id))
        ctx.judge("create_rollout", response).equal("how often it reached a container", 1, count)
        _judge_attempts(ctx, rollout, {urls["nobody"], urls["good"]})
        _judge_start(ctx, rollout, response)


def _judge_start(ctx: Context, rollout: Rollout, final: Response) -> None:
    """Expect the rollout to have started with its first attempt."""
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=ctx.session.patience)
    texts = [m.envelope.get("timestamp") for m in stream.messages if m.event == "rollout.started"]
    moments = [moment(text) for text in texts]
    started_at = moment(final.at("started_at"))
    if len(moments) > 1 and started_at and moments[0] and moments[-1]:
        is_first = abs(started_at - moments[0]) <= abs(moments[-1] - started_at)
        observed = f"{final.at('started_at')}, and the attempts started at {texts}"
        ctx.judge("get_rollout", final).that("started_at of the first attempt", is_first, observed)
    summary = ctx.require(200, "get_rollout_summary", rollout.ids)
    judge_timing(ctx, "get_rollout_summary", final.json, summary)


def _judge_attempts(ctx: Context, rollout: Rollout, urls: set[str]) -> None:
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=ctx.session.patience)
    judge = ctx.judge("stream_rollout_events", stream)
    starts = [m.envelope.get("data") for m in stream.messages if m.event == "rollout.started"]
    expected = [*range(1, len(starts) + 1)]
    judge.equal("attempt of each rollout.started", expected, ids_of(starts, "attempt"))
    for number, data in enumerate(starts):
        url, error = at(data, "container_url"), at(data, "previous_error")
        is_known = isinstance(url, str) and url in urls
        judge.that("container_url: one of the pool's", is_known, str(url))
        if number > 0:
            has_error = all(isinstance(at(error, key), str) for key in ("code", "message"))
            demand = "previous_error (code, message) of a later attempt"
            judge.that(demand, has_error, str(error))


@scenario(
    "containers.each_attempt",
    "create_rollout",
    "get_rollout",
    "stream_rollout_events",
    clauses="Time limits#9e07, Further attempts#de25",
    needs="containers",
    slow=True,
)
def containers_each_attempt(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=ctx.session.containers["good"])
    # Each attempt takes two thirds of its time limit.
    env = {"flaky": 1, "delay": _ATTEMPT_SECONDS * 2 / 3}
    limits = {"max_attempts": 2, "timeout_seconds": _ATTEMPT_SECONDS}
    rollout = run_rollout(ctx, pool_id, env=env, limits=limits)
    final = ctx.require(200, "get_rollout", rollout.ids)
    stream = ctx.stream("stream_rollout_events", rollout.ids)
    events = [(m.event, moment(m.envelope.get("timestamp"))) for m in stream.messages]
    names = stream.events
    after = names[names.index("rollout.started") :] if "rollout.started" in names else []
    ctx.judge("stream_rollout_events", stream).that(
        "no rollout.queued between two attempts", "rollout.queued" not in after, str(names)
    )
    started = [stamp for name, stamp in events if name == "rollout.started" and stamp]
    finished = moment(final.at("finished_at"))
    code = final.at("error", "code")
    if code == "container_timeout" and len(started) == 1 and finished is not None:
        seconds = (finished - started[0]).total_seconds()
        if seconds >= _ATTEMPT_SECONDS:
            note = "the first attempt took all of its time: this machine is too busy"
            raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)
    if final.at("status") == "completed" or len(started) < 2 or finished is None:
        ctx.judge("create_rollout", final).field("status", "completed")
        return
    # On a busy machine the second attempt may take all of its time.
    seconds = (finished - started[-1]).total_seconds()
    ctx.judge("create_rollout", final).that(
        f"{_ATTEMPT_SECONDS:g} s for each attempt",
        seconds >= _ATTEMPT_SECONDS,
        f"{show(code)} {seconds:.2f} s after the last start",
    )


@scenario(
    "containers.asked",
    "create_rollout",
    "get_rollout",
    clauses="""
        Containers#1000, PoolConfig.submission_mode#1e7f#40af#5a0a, Features.async_submission#1798
    """,
    needs="containers",
)
def containers_asked(ctx: Context) -> None:
    modes = ["sync", "async"] if ctx.session.offers("async_submission") else ["sync"]
    for mode in modes:
        pool_id = ctx.resources.pool(
            mode,
            container_url=ctx.session.containers["good"],
            config={"submission_mode": mode, "telemetry": {"mode": mode}},
        )
        for answer in ("later", "pending"):
            env = {"answer": answer, "reward": 0.25}
            request = {"env": env, "params": {"n": [1]}}
            rollout = run_rollout(ctx, pool_id, **request)
            response = ctx.require(200, "get_rollout", rollout.ids)
            ctx.judge("get_rollout", response).field("status", "completed")
            for path in ("score", "result.metrics.outcome_reward"):
                ctx.judge("get_rollout", response).field(path, 0.25)
            requests = ctx.session.received.sent(rollout.id)
            actual = [at(request.body, "submission_mode") for request in requests]
            label = "submission_mode of what is sent"
            ctx.judge("create_rollout", response).equal(label, [mode], actual)
            expected = {**request, "rollout_id": rollout.id, "telemetry": {"mode": mode}}
            observed = [{k: at(r.body, k) for k in expected} for r in requests]
            ctx.judge("create_rollout", response).equal("what is sent", [expected], observed)


@scenario(
    "containers.checked", "create_pool", clauses="Containers#acaa", needs="containers", slow=True
)
def containers_checked(ctx: Context) -> None:
    ctx.resources.pool(container_url=ctx.session.containers["twin"])

    def purposes() -> list[str | None]:
        received = tuple(ctx.session.received.received)
        return [it.purpose for it in received if (it.behaviour, it.path) == ("twin", "/health")]

    if not eventually(ctx, lambda: bool(purposes())):
        ctx.expect.inconclusive("create_pool", "no health check came")
        return
    ctx.judge("create_pool").that(
        "x-synth-pools-call: health-check",
        becomes_true(ctx, "create_pool", lambda: "health-check" in purposes()),
        f"GET /health came with {purposes()[:5]}",
    )


@scenario(
    "containers.again",
    "create_rollout",
    "stream_rollout_events",
    clauses="""
        Further attempts#68e9#2155#8e04#c906, RolloutLimits.max_attempts#34f4#c5cb,
        Restarts of the server#fd79
    """,
    needs="containers",
)
def containers_again(ctx: Context) -> None:
    url = ctx.session.containers["good"]
    pool_id = ctx.resources.pool(container_url=url)
    short_limits = {"max_attempts": 2, "timeout_seconds": 0.3}
    twice: dict[str, Any] = {"limits": {"max_attempts": 2}}
    cases: list[tuple[dict[str, Any], str, int]] = [
        ({"env": {"flaky": 1}, "limits": {"max_attempts": 3}}, "completed", 2),
        ({"env": {"flaky": 1}}, "failed", 1),
        ({"env": {"flaky": 5}, "limits": {"max_attempts": 2}}, "failed", 2),
        ({"env": {"answer": "cut"}, "limits": {"max_attempts": 2}}, "failed", 2),
        ({"env": {"fail": True}, "limits": {"max_attempts": 2}}, "failed", 1),
        ({"env": {"answer": "refused"}, "limits": {"max_attempts": 2}}, "failed", 1),
        ({"env": {"delay": 600}, "limits": short_limits}, "failed", 1),
        *(({"env": {"answer": status}, **twice}, "failed", 1) for status in _REFUSALS),
        *(({"env": {"answer": status}, **twice}, "failed", 2) for status in _FAILURES),
    ]
    created = [start_rollout(ctx, pool_id, **request) for request, _, _ in cases]
    for rollout, (request, status, attempts) in zip(created, cases, strict=True):
        final = wait_for(ctx, rollout, FINAL)
        ctx.judge("create_rollout", final).field("status", status, f"status for {request}")
        count = len(ctx.session.received.sent(rollout.id))
        if final.at("error", "code") == "container_timeout":
            # On a busy machine its time may be over before it reaches the container.
            count = max(count, 1)
        ctx.expect.equal("create_rollout", "how often it was sent", attempts, count, final)
        _judge_attempts(ctx, rollout, {url})


@scenario(
    "containers.forgotten",
    "create_rollout",
    "get_rollout",
    "stream_rollout_events",
    clauses="Further attempts#68e9",
    needs=("containers", "async_submission"),
)
def containers_forgotten(ctx: Context) -> None:
    url = ctx.session.containers["good"]
    pool_id = ctx.resources.pool(container_url=url, config={"submission_mode": "async"})
    rollouts = [
        start_rollout(ctx, pool_id, env={"forget": 1}, limits={"max_attempts": 2}),
        start_rollout(ctx, pool_id, env={"forget": 1}),
    ]
    for rollout, status in zip(rollouts, ("completed", "failed"), strict=True):
        final = wait_for(ctx, rollout, FINAL)
        label = f"status of one that was forgotten, with {2 - (status == 'failed')} attempts"
        ctx.judge("create_rollout", final).field("status", status, label)
        if status == "failed":
            path = "error.details.cause"
            ctx.judge("get_rollout", final).field(path, "rollout_forgotten", optional=True)
        _judge_attempts(ctx, rollout, {url})
