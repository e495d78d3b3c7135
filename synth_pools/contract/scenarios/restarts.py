"""Scenario of a restart of the backend, by a command of the caller's."""

from __future__ import annotations

import subprocess

from synth_pools.contract.exceptions import InconclusiveError, UnreachableError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import STARTED, run_rollout, start_rollout, wait_for
from synth_pools.contract.http.sse import SseMessage, SseReader
from synth_pools.contract.results import Outcome

_SECONDS = 180.0


@scenario(
    "restarts.kept",
    "Restarts of the server",
    "a restart loses no rollout whose creation was answered, and changes no event that was seen",
    "create_rollout",
    "get_rollout",
    "get_pool",
    "stream_rollout_events",
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
    ended = ctx.require(200, "get_rollout", done.ids)
    events = [message.data for message in _events(ctx, done.ids)]
    seen = [message.data for message in _events(ctx, running.ids, 2)]
    _restart(ctx)
    after = ctx.require(200, "get_pool", {"pool_id": pool_id})
    for field in ("name", "metadata", "config", "created_at", "tasks"):
        ctx.expect.equal("get_pool", f"{field}, as before,", pool.at(field), after.at(field), after)
    after = ctx.require(200, "get_rollout", done.ids)
    ctx.expect.equal("get_rollout", "the rollout that had ended", ended.json, after.json, after)
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
    ctx.expect.equal("stream_rollout_events", "its first events, as before,", seen, again, None)


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
