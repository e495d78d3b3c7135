"""Scenarios of containers that go away and come back."""

from __future__ import annotations

from datetime import timedelta

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    Rollout,
    eventually,
    ids_of,
    moment,
    read_until,
    run_rollout,
    start_rollout,
    wait_for,
    wait_until_resumed,
)
from synth_pools.contract.http.client import at
from synth_pools.contract.http.switched_container import SwitchedContainer
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show

_STREAM = "stream_rollout_events"
_SHORT_SECONDS = 2
# Requests to allow for between the creation of a rollout and the pause of its pool.
_REQUESTS = 6


@scenario(
    "outages.returns",
    "create_rollout",
    "get_rollout",
    _STREAM,
    clauses="""
        Outages#9343#6fc6#57ad#7d78#6bdf#ef70#7edd#0c92#d34d, RolloutQueuedData#e19f,
        Rollout.started_at#d615
    """,
    needs="containers",
    slow=True,
)
def outages_returns(ctx: Context) -> None:
    with SwitchedContainer(ctx.session.received) as container:
        pool_id = ctx.resources.pool(container_url=container.url, concurrency=2)
        paused_id = ctx.resources.pool("paused", container_url=container.url)
        for pool in (pool_id, paused_id):
            # The server must have reached the container before it goes away.
            run_rollout(ctx, pool)
        container.go_away()
        patient = start_rollout(ctx, pool_id)
        waiting = _in_paused_pool(ctx, paused_id)
        _judge_hasty(ctx, pool_id, _SHORT_SECONDS)
        _judge_waiting(ctx, patient)
        if waiting is not None:
            # When the time of this rollout is over, that of the one in the paused pool is over too.
            _judge_hasty(ctx, pool_id, _limit(ctx))
            _judge_waiting(ctx, waiting)
        _come_back(container)
        final = wait_for(ctx, patient, FINAL)
        ctx.judge("create_rollout", final).field("status", "completed")
        count = container.sent_for(patient.id)
        ctx.expect.equal("create_rollout", "how often it was sent", 1, count, final)
        _judge_events(ctx, patient)
        if waiting is not None:
            resumed = ctx.require(200, "resume_pool", {"pool_id": paused_id})
            wait_until_resumed(ctx, paused_id, resumed)
            wait_for(ctx, waiting, FINAL)


@scenario(
    "outages.elsewhere",
    "create_rollout",
    _STREAM,
    clauses="Outages#ccc0#6bdf",
    needs=("containers", "container_urls"),
)
def outages_elsewhere(ctx: Context) -> None:
    received = ctx.session.received
    with SwitchedContainer(received) as steady, SwitchedContainer(received) as leaving:
        urls = [leaving.url, steady.url]
        pool_id = ctx.resources.pool(container_url=None, container_urls=urls, concurrency=2)
        if not eventually(ctx, lambda: leaving.sent_for(run_rollout(ctx, pool_id).id) > 0):
            ctx.expect.inconclusive("create_rollout", "one of the containers got no rollout")
            return
        leaving.go_away()
        for _ in range(4):
            rollout = run_rollout(ctx, pool_id)
            final = ctx.require(200, "get_rollout", rollout.ids)
            ctx.judge("create_rollout", final).field("status", "completed")
            count = steady.sent_for(rollout.id)
            ctx.expect.equal("create_rollout", "how often the other got it", 1, count, final)
            _judge_events(ctx, rollout)


def _in_paused_pool(ctx: Context, pool_id: str) -> Rollout | None:
    """Start a rollout and pause its pool; return None if the pause may have been too late."""
    if not ctx.session.offers("pause"):
        return None
    limit = _limit(ctx)
    rollout = start_rollout(ctx, pool_id, limits={"timeout_seconds": limit})
    ctx.require(200, "pause_pool", {"pool_id": pool_id})
    observed = ctx.require(200, "get_rollout", rollout.ids)
    pool = ctx.require(200, "get_pool", {"pool_id": pool_id})
    created, paused = moment(observed.at("created_at")), moment(pool.at("updated_at"))
    in_time = created and paused and paused - created < timedelta(seconds=limit / 2)
    return rollout if in_time and observed.at("status") not in FINAL else None


def _limit(ctx: Context) -> float:
    return _SHORT_SECONDS + _REQUESTS * ctx.session.http.round_trip


def _judge_hasty(ctx: Context, pool_id: str, limit: float) -> None:
    """Expect a rollout to fail when its time limit is over, and not before."""
    rollout = start_rollout(ctx, pool_id, limits={"timeout_seconds": limit})
    final = wait_for(ctx, rollout, FINAL)
    ctx.judge("get_rollout", final).field("status", "failed")
    ctx.judge("get_rollout", final).field("error.code", "container_unreachable")
    times = [final.at("created_at"), final.at("finished_at")]
    created, finished = map(moment, times)
    least = timedelta(seconds=0.99 * limit)
    has_waited = created is not None and finished is not None and finished - created >= least
    demand = f"it waits {limit:g} s for its container"
    ctx.judge("create_rollout", final).that(demand, has_waited, show(times))


def _judge_waiting(ctx: Context, rollout: Rollout) -> None:
    """Expect a rollout to be queued again, also in a paused pool."""
    observed, is_queued = read_until(
        ctx, "get_rollout", rollout.ids, lambda read: bool(read.at("status") == "queued")
    )
    judge = ctx.judge("get_rollout", observed)
    demand = "status queued while its container is away"
    if judge.that(demand, is_queued, show(observed.at("status"))):
        judge.field("started_at", None, "started_at, of an attempt that was not sent,")


def _judge_events(ctx: Context, rollout: Rollout) -> None:
    """Expect each return to the queue to have an event, and not to count as an attempt."""
    stream = ctx.stream(_STREAM, rollout.ids)
    judge = ctx.judge(_STREAM, stream)
    queued, started = (
        [message.envelope.get("data") for message in stream.messages if message.event == event]
        for event in ("rollout.queued", "rollout.started")
    )
    attempts = ids_of(started, "attempt")
    judge.equal("attempt of each rollout.started", [1] * len(attempts), attempts)
    for data in queued[1:]:
        error = at(data, "previous_error")
        has_error = all(isinstance(at(error, key), str) for key in ("code", "message"))
        demand = "previous_error (code, message) of a second rollout.queued"
        judge.that(demand, has_error, show(data, 300))


def _come_back(container: SwitchedContainer) -> None:
    try:
        container.come_back()
    except OSError as error:
        note = f"the port of the container was taken: {error}"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note) from None
