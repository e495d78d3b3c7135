"""The queue's counts, on a server that others may be using at the same time."""

from __future__ import annotations

from functools import partial

from synth_pools.contract.following import eventually, start
from synth_pools.contract.probe import Answer
from synth_pools.contract.scenario import Context, scenario

_RUNNING = 40
_QUEUED = 40
_IDLE = 1_000
# How far off a count may be: others' rollouts and pools come and go meanwhile. Whoever counts
# something twice, or not at all, is further off in every attempt.
_OFF = {"running": 15, "queued": 15, "capacity": 400}
_ATTEMPTS = 3


@scenario(
    "service.queue_counts",
    "QueueStatus",
    "queued, running and capacity count the rollouts and the concurrency of all pools",
    "get_queue_status",
    needs="live",
)
def counts(ctx: Context) -> None:
    wanted = {"running": _RUNNING, "queued": _QUEUED, "capacity": _RUNNING + _IDLE}
    grown: dict[str, int | None] = {}
    answer: Answer | None = None
    for _ in range(_ATTEMPTS):
        before = ctx.want(200, "get_queue_status")
        idle = ctx.live_pool("idle", concurrency=_IDLE)
        busy = ctx.live_pool("busy", concurrency=_RUNNING)
        for _ in range(_RUNNING + _QUEUED):
            start(ctx, busy, env={"delay": 600})
        running = eventually(ctx, partial(_all_run, ctx, busy), 10.0)
        answer = ctx.want(200, "get_queue_status")
        for pool_id in (busy, idle):
            ctx.want(200, "delete_pool", {"pool_id": pool_id})
        if not running:
            ctx.lack("get_queue_status", f"{_RUNNING} rollouts would not run at once")
            return
        grown = {name: _grown(before, answer, name) for name in wanted}
        if all(_close(name, grown[name], wanted[name]) for name in wanted):
            break
    for name, came in grown.items():
        ctx.judge(
            "get_queue_status",
            _close(name, came, wanted[name]),
            f"{name} grows by about {wanted[name]} with two pools for {_RUNNING} and {_IDLE} "
            f"rollouts, of which {_RUNNING} run and {_QUEUED} wait",
            f"by {came}, in each of {_ATTEMPTS} attempts",
            answer,
        )


def _all_run(ctx: Context, pool_id: str) -> bool:
    answer = ctx.want(200, "get_pool_metrics", {"pool_id": pool_id})
    return bool(answer.at("active_rollouts") == _RUNNING)


def _close(name: str, came: int | None, wanted: int) -> bool:
    return came is not None and abs(came - wanted) <= _OFF[name]


def _grown(before: Answer, after: Answer, name: str) -> int | None:
    one, other = before.at(name), after.at(name)
    return other - one if isinstance(one, int) and isinstance(other, int) else None
