"""Scenarios of a restart of the backend, by a command of the caller's."""

from __future__ import annotations

import subprocess

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, UnreachableError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.processes import delete_and_wait, kit_processes, process_pool
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    becomes_true,
    eventually,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import at
from synth_pools.contract.http.sse import SseMessage, SseReader
from synth_pools.contract.results import Outcome

_SECONDS = 180.0


@scenario(
    "restarts.kept",
    "create_rollout",
    "get_rollout",
    "get_pool",
    "stream_rollout_events",
    clauses="Restarts of the server#ddf8#e5d4, Events#aed5, Rollouts: states#12d4",
    needs="restart",
    alone=True,
)
def restarts_kept(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1, tasks=[{"task_id": "t"}])
    done = run_rollout(ctx, pool_id)
    running = start_rollout(ctx, pool_id, env={"delay": 600})
    queued = [start_rollout(ctx, pool_id, env={"delay": 600}) for _ in range(2)]
    wait_for(ctx, running, STARTED)
    pool = ctx.require(200, "get_pool", {"pool_id": pool_id})
    final = ctx.require(200, "get_rollout", done.ids)
    events = [message.data for message in _events(ctx, done.ids)]
    observed = [message.data for message in _events(ctx, running.ids, 2)]
    _restart(ctx)
    after = ctx.require(200, "get_pool", {"pool_id": pool_id})
    for field in ("name", "metadata", "config", "created_at", "tasks"):
        ctx.expect.equal("get_pool", f"{field}, as before,", pool.at(field), after.at(field), after)
    after = ctx.require(200, "get_rollout", done.ids)
    ctx.expect.equal("get_rollout", "the rollout that had ended", final.json, after.json, after)
    again = [message.data for message in _events(ctx, done.ids)]
    ctx.expect.equal("stream_rollout_events", "the events, as before,", events, again, None)
    for rollout in queued:
        after = ctx.require(200, "get_rollout", rollout.ids)
        ctx.expect.that(
            Expectation("create_rollout", "what was queued waits again, or runs", after),
            after.at("status") in ("queued", "running"),
            str(after.at("status")),
        )
    after = ctx.require(200, "get_rollout", running.ids)
    failed = after.at("status") == "failed"
    ctx.expect.that(
        Expectation("create_rollout", "what ran goes on, or failed with backend_restarted", after),
        after.at("error", "code") == "backend_restarted" if failed else True,
        str(after.at("error")),
    )
    again = [message.data for message in _events(ctx, running.ids, 2)]
    ctx.expect.equal("stream_rollout_events", "its first events, as before,", observed, again, None)


@scenario(
    "restarts.resumed",
    "create_rollout",
    "get_rollout",
    "stream_rollout_events",
    clauses="""
        Restarts of the server#81fa#1847#8f4f#d4a9, stream_pool_events#1747, Containers#3f18
    """,
    needs="restart",
    alone=True,
)
def restarts_resumed(ctx: Context) -> None:
    if not ctx.session.containers:
        note = "needs a backend on this machine that may call loopback"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)
    received = ctx.session.received
    pool_id = ctx.resources.live_pool(container_url=ctx.session.containers["good"], concurrency=2)
    resumable = start_rollout(ctx, pool_id, env={"answer": "asked", "reward": 0.25})
    again = start_rollout(ctx, pool_id, env={"hold": True}, limits={"max_attempts": 2})
    for rollout in (resumable, again):
        wait_for(ctx, rollout, STARTED)
    was_asked = eventually(ctx, lambda: resumable.id in received.later and _sent(ctx, again) == 1)
    queued = [start_rollout(ctx, pool_id) for _ in range(3)]
    observed = [message.data for message in _events(ctx, resumable.ids, 2)]
    pool = [pool_message.data for pool_message in _pool_events(ctx, pool_id, 7)]
    if not was_asked or _sent(ctx, resumable) != 1:
        ctx.expect.inconclusive("create_rollout", "its container did not get both rollouts")
        return
    _restart(ctx)
    states = [
        ctx.require(200, "get_rollout", pool_message.ids).at("status")
        for pool_message in (resumable, again, *queued)
    ]
    open_ = Expectation("create_rollout", "all of them go on, or wait", None)
    ctx.expect.that(open_, set(states) <= {"queued", "running"}, str(states))
    later = [pool_message.data for pool_message in _pool_events(ctx, pool_id, 7)]
    ctx.expect.equal("stream_pool_events", "the order between rollouts", pool, later, None)
    eventually(ctx, lambda: _sent(ctx, again) == 2)
    for rollout in (resumable, again):
        received.release(rollout.id)
    final = wait_for(ctx, resumable, FINAL)
    ctx.expect.equal("create_rollout", "what was resumed", 0.25, final.at("score"), final)
    ctx.expect.equal("create_rollout", "how often it was sent", 1, _sent(ctx, resumable), final)
    events = _events(ctx, resumable.ids)
    names = [message.event for message in events]
    ctx.expect.equal(
        "stream_rollout_events", "the number of its rollout.started", 1,
        names.count("rollout.started"), final,
    )  # fmt: skip
    first = [message.data for message in events[: len(observed)]]
    ctx.expect.equal("stream_rollout_events", "its first events", observed, first, final)
    final = wait_for(ctx, again, FINAL)
    ctx.expect.equal(
        "create_rollout", "one that is sent again", "completed", final.at("status"), final
    )
    attempts = [
        at(message.envelope.get("data"), "attempt")
        for message in _events(ctx, again.ids)
        if message.event == "rollout.started"
    ]
    ctx.expect.equal("stream_rollout_events", "its attempts", [1, 2], attempts, final)
    starts = [str(wait_for(ctx, pool_message, FINAL).at("started_at")) for pool_message in queued]
    in_order = Expectation("create_rollout", "what was queued starts in its old order", final)
    ctx.expect.that(in_order, starts == sorted(starts), str(starts))


@scenario(
    "restarts.processes",
    "get_pool",
    "create_pool",
    "create_rollout",
    clauses="Pools: states#2e79",
    needs=("restart", "processes"),
    alone=True,
)
def restarts_processes(ctx: Context) -> None:
    with kit_processes(ctx) as kit, kit_processes(ctx) as other_kit:
        pool = {"pool_id": str(process_pool(ctx, kit.definition()).at("id"))}
        ctx.resources.wait_until_active(pool["pool_id"])
        paused = {"pool_id": str(process_pool(ctx, other_kit.definition()).at("id"))}
        ctx.resources.wait_until_active(paused["pool_id"])
        pauses = ctx.session.offers("pause")
        if pauses:
            ctx.require(200, "pause_pool", paused)
        before = kit.alive()
        kit.order = "wait"
        _restart(ctx)
        observed = ctx.require(200, "get_pool", pool)
        ctx.expect.equal("get_pool", "status", "warming", observed.at("status"), observed)
        ctx.expect.that(
            Expectation("create_pool", "the processes of before the restart end", observed),
            becomes_true(
                ctx, "create_pool", lambda: all(process.exited.is_set() for process in before)
            ),
            "they still run",
        )
        ctx.expect.that(
            Expectation("create_pool", "new processes are started after a restart", observed),
            becomes_true(ctx, "create_pool", lambda: len(kit.started()) > len(before)),
            "there are none",
        )
        kit.tell("listen")
        ctx.resources.wait_until_active(pool["pool_id"])
        final = ctx.require(200, "get_rollout", run_rollout(ctx, pool["pool_id"]).ids)
        ctx.expect.equal("create_rollout", "status", "completed", final.at("status"), final)
        if pauses:
            observed = ctx.require(200, "get_pool", paused)
            ctx.expect.equal("get_pool", "status", "paused", observed.at("status"), observed)
        delete_and_wait(ctx, pool, kit)
        delete_and_wait(ctx, paused, other_kit)


def _sent(ctx: Context, rollout: Rollout) -> int:
    received = ctx.session.received.of_rollout(rollout.id)
    return sum(request.path == "/rollouts" for request in received)


def _pool_events(ctx: Context, pool_id: str, count: int) -> list[SseMessage]:
    """Return the first events of a pool, none where the server has no such stream."""
    if not ctx.session.offers("pool_events"):
        return []

    def until(reader: SseReader) -> bool:
        return len(reader.messages) >= count

    stream = ctx.stream("stream_pool_events", {"pool_id": pool_id}, until=until)
    return stream.reader.messages[:count]


def _restart(ctx: Context) -> None:
    command = ctx.session.options.restart or ""
    try:
        # A command of the caller's own, for the shell that it was written for.
        done = subprocess.run(  # noqa: S602
            command, shell=True, timeout=_SECONDS, capture_output=True, check=False
        )
        note = "" if done.returncode == 0 else f"the command ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        note = f"the command took more than {_SECONDS:.0f} s"
    if not note and not _comes_back(ctx):
        note = f"the backend was not back after {ctx.session.patience:.0f} s"
    if note:
        raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)


def _comes_back(ctx: Context) -> bool:
    for _ in ctx.session.pauses():
        try:
            if ctx.session.http.call("get_capabilities").status == 200:
                return True
        except UnreachableError:
            continue
    return False


def _events(ctx: Context, ids: dict[str, str], enough: int = 10_000) -> list[SseMessage]:
    def until(reader: SseReader) -> bool:
        return len(reader.messages) >= enough

    return ctx.stream("stream_rollout_events", ids, until=until).reader.messages[:enough]
