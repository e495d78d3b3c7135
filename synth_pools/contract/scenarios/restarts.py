"""Scenarios of a restart of the backend, with the caller's command."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

from synth_pools.contract.document import FINAL, Operation, schema_name
from synth_pools.contract.exceptions import InconclusiveError, UnreachableError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.processes import (
    active_process_pool,
    delete_and_wait,
    kit_processes,
)
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    becomes_true,
    eventually,
    ids_of,
    iterate_pages,
    rollout_id,
    run_rollout,
    start_rollout,
    start_running,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.http.sse import SseMessage
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.documented import DocumentedFields
from synth_pools.contract.selections import lists, reads_one_rollout

_SECONDS = 180.0
# Seconds for which a server answers before it counts as restarted.
_SETTLED = 1.0


@scenario(
    "restarts.kept",
    "create_rollout",
    "get_rollout",
    "get_pool",
    "stream_rollout_events",
    "stream_pool_events",
    "list_rollouts",
    "get_pool_metrics",
    "create_global_rollout",
    "create_rollout_batch",
    reads_one_rollout,
    lists,
    clauses="Restarts of the server#ddf8#e5d4#de0d, Events#aed5, Rollouts: states#12d4",
    needs="restart",
    alone=True,
)
def restarts_kept(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1, tasks=[{"task_id": "t"}])
    path = {"pool_id": pool_id}
    completed = Rollout(pool_id, rollout_id(_create_with_key(ctx, path)))
    wait_for(ctx, completed, FINAL)
    final_rollouts = [completed]
    if ctx.session.offers("replay"):
        response = ctx.require((202, 200), "replay_rollout", completed.global_ids)
        final_rollouts.append(Rollout(pool_id, rollout_id(response)))
        wait_for(ctx, final_rollouts[-1], FINAL)
    running = start_running(ctx, pool_id)
    queued = []
    for number in range(2):
        run = {"run": ctx.resources.name(f"{number}")} if ctx.session.offers("runs") else {}
        queued.append(start_rollout(ctx, pool_id, env={"delay": 600}, **run))
    pool = ctx.require(200, "get_pool", path)
    finals = [ctx.require(200, "get_rollout", rollout.ids) for rollout in final_rollouts]
    messages = _events(ctx, completed.ids)
    events = [message.data for message in messages]
    observed = [message.data for message in _events(ctx, running.ids, 2)]
    page = ctx.require(200, "list_rollouts", path, query={"limit": 2})
    metrics = ctx.require(200, "get_pool_metrics", path) if ctx.has("get_pool_metrics") else None
    followed = list(_second_pages(ctx, path))
    reads = [*_reads_of_ended(ctx, final_rollouts), *_reads_of_paused(ctx)]
    answered = [ctx.require(200, name, ids) for name, ids in reads]
    keyed = [(name, _create_with_key(ctx, path, name)) for name in _keyed(ctx)]
    at_first = _pool_events(ctx, pool_id, 3)
    _restart(ctx)
    for (name, ids), former in zip(reads, answered, strict=True):
        after = ctx.require(200, name, ids)
        before, now = _at_rest(ctx, name, former), _at_rest(ctx, name, after)
        ctx.expect.equal(name, "what was at rest, as before,", before, now, after)
    for name, former in keyed:
        after = _create_with_key(ctx, path, name)
        judge = ctx.judge(name, after)
        judge.equal("what the key made", _made(former), _made(after))
    if at_first and at_first[0].id:
        headers = {"last-event-id": str(at_first[0].id)}
        following = _first(ctx, "stream_pool_events", path, len(at_first) - 1, headers=headers)
        expected, actual = ([item.data for item in part] for part in (at_first[1:], following))
        demand = "the events after a cursor, as before,"
        ctx.expect.equal("stream_pool_events", demand, expected, actual, None)
    after = ctx.require(200, "get_pool", path)
    for field in ("name", "metadata", "config", "created_at", "tasks"):
        before, now = (at(_at_rest(ctx, "get_pool", answer), field) for answer in (pool, after))
        ctx.expect.equal("get_pool", f"{field}, as before,", before, now, after)
    for rollout, final in zip(final_rollouts, finals, strict=True):
        after = ctx.require(200, "get_rollout", rollout.ids)
        before, now = (_at_rest(ctx, "get_rollout", answer) for answer in (final, after))
        ctx.expect.equal("get_rollout", "the rollout that had ended", before, now, after)
    later = [message.data for message in _events(ctx, completed.ids)]
    ctx.expect.equal("stream_rollout_events", "the events, as before,", events, later, None)
    if ctx.session.offers("event_resume") and messages[0].id:
        resumed = _events(ctx, completed.ids, headers={"last-event-id": messages[0].id})
        later = [message.data for message in resumed]
        demand = "the events after the first, as before,"
        ctx.expect.equal("stream_rollout_events", demand, events[1:], later, None)
    if isinstance(cursor := page.at("next_cursor"), str):
        query = {"limit": 100, "cursor": cursor}
        items, after, _ = iterate_pages(ctx, "list_rollouts", path, query)
        expected = sorted(rollout.id for rollout in (*final_rollouts, running, *queued))
        actual = sorted(map(str, ids_of([*page.list_at("items"), *items])))
        ctx.expect.equal("list_rollouts", "the items of both pages", expected, actual, after)
    for operation, query, former in followed:
        after = ctx.require(200, operation.id, operation.own_ids(path), query=query)
        demand = "the item after a cursor, as before,"
        ctx.expect.equal(operation.id, demand, _names(former), _names(after), after)
    if metrics is not None:
        after = ctx.require(200, "get_pool_metrics", path)
        for field in ("completed_rollouts", "cancelled_rollouts"):
            ctx.judge("get_pool_metrics", after).field(field, metrics.at(field), f"{field}, again,")
    if ctx.session.offers("idempotency_keys"):
        after = _create_with_key(ctx, path)
        ctx.judge("create_rollout", after).field("rollout_id", completed.id, "what the key made")
    for rollout in queued:
        after = ctx.require(200, "get_rollout", rollout.ids)
        demand = "what was queued waits again, or runs"
        ctx.judge("create_rollout", after).among("status", ("queued", "running"), demand)
    after = ctx.require(200, "get_rollout", running.ids)
    goes_on = after.at("status") != "failed"
    ctx.judge("create_rollout", after).that(
        "what ran goes on, or failed with backend_restarted",
        goes_on or after.at("error", "code") == "backend_restarted",
        str(after.at("error")),
    )
    later = [message.data for message in _events(ctx, running.ids, 2)]
    ctx.expect.equal("stream_rollout_events", "its first events, as before,", observed, later, None)


@scenario(
    "restarts.resumed",
    "create_rollout",
    "get_rollout",
    "stream_rollout_events",
    clauses="""
        Restarts of the server#3b5f#1847#8f4f#d4a9, stream_pool_events#1747, Containers#3f18
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
    retried = start_rollout(ctx, pool_id, env={"hold": True}, limits={"max_attempts": 2})
    for rollout in (resumable, retried):
        wait_for(ctx, rollout, STARTED)
    was_asked = eventually(ctx, lambda: resumable.id in received.later and _sent(ctx, retried) == 1)
    queued = [start_rollout(ctx, pool_id) for _ in range(3)]
    observed = [message.data for message in _events(ctx, resumable.ids, 2)]
    pool = [message.data for message in _pool_events(ctx, pool_id, 7)]
    if not was_asked or _sent(ctx, resumable) != 1:
        note = "its container did not get both rollouts"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)
    _restart(ctx)
    states = [
        ctx.require(200, "get_rollout", rollout.ids).at("status")
        for rollout in (resumable, retried, *queued)
    ]
    are_open = set(states) <= {"queued", "running"}
    ctx.judge("create_rollout").that("all of them go on, or wait", are_open, str(states))
    later = [message.data for message in _pool_events(ctx, pool_id, 7)]
    ctx.expect.equal("stream_pool_events", "the order between rollouts", pool, later, None)
    eventually(ctx, lambda: _sent(ctx, retried) == 2)
    for rollout in (resumable, retried):
        received.release(rollout.id)
    final = wait_for(ctx, resumable, FINAL)
    ctx.judge("create_rollout", final).field("score", 0.25, "what was resumed")
    ctx.expect.equal("create_rollout", "how often it was sent", 1, _sent(ctx, resumable), final)
    events = _events(ctx, resumable.ids)
    judge = ctx.judge("stream_rollout_events", final)
    starts = [message for message in events if message.event == "rollout.started"]
    judge.equal("the number of its rollout.started", 1, len(starts))
    first = [message.data for message in events[: len(observed)]]
    judge.equal("its first events", observed, first)
    final = wait_for(ctx, retried, FINAL)
    ctx.judge("create_rollout", final).field("status", "completed", "one that is sent again")
    attempts = [
        at(message.envelope.get("data"), "attempt")
        for message in _events(ctx, retried.ids)
        if message.event == "rollout.started"
    ]
    ctx.expect.equal("stream_rollout_events", "its attempts", [1, 2], attempts, final)
    times = [str(wait_for(ctx, rollout, FINAL).at("started_at")) for rollout in queued]
    demand = "what was queued starts in its old order"
    ctx.judge("create_rollout", final).that(demand, times == sorted(times), str(times))


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
        pool = active_process_pool(ctx, kit.definition())
        paused = active_process_pool(ctx, other_kit.definition())
        can_pause = ctx.session.offers("pause")
        if can_pause:
            ctx.require(200, "pause_pool", paused)
        before = kit.alive()
        kit.order = "wait"
        _restart(ctx)
        observed = ctx.require(200, "get_pool", pool)
        ctx.judge("get_pool", observed).field("status", "warming")
        judge = ctx.judge("create_pool", observed)
        ends = becomes_true(
            ctx, "create_pool", lambda: all(process.exited.is_set() for process in before)
        )
        judge.that("the processes of before the restart end", ends, "they still run")
        starts = becomes_true(ctx, "create_pool", lambda: len(kit.started()) > len(before))
        judge.that("new processes are started after a restart", starts, "there are none")
        kit.tell("listen")
        ctx.resources.wait_until_active(pool["pool_id"])
        final = ctx.require(200, "get_rollout", run_rollout(ctx, pool["pool_id"]).ids)
        ctx.judge("create_rollout", final).field("status", "completed")
        if can_pause:
            observed = ctx.require(200, "get_pool", paused)
            ctx.judge("get_pool", observed).field("status", "paused")
        delete_and_wait(ctx, pool, kit)
        delete_and_wait(ctx, paused, other_kit)


def _reads_of_ended(ctx: Context, rollouts: list[Rollout]) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the operations that describe rollouts that have ended, with their ids."""
    for operation in offered(ctx, reads_one_rollout):
        for rollout in rollouts:
            # Addresses are those of the request, and a content may have gone meanwhile.
            if operation.item != "Artifact":
                yield operation.id, operation.own_ids(rollout.ids)


def _reads_of_paused(ctx: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """Pause a pool with a rollout that used something, and iterate over what reads its figures."""
    if not ctx.session.offers("pause"):
        return
    containers = ctx.session.containers
    more = {"container_url": containers["good"]} if containers else {}
    path = {"pool_id": ctx.resources.pool("paused", **more)}
    run = {"run": ctx.resources.name("paused")} if ctx.session.offers("runs") else {}
    usage = {"input_tokens": 7, "output_tokens": 5, "cost_usd": 0.25}
    run_rollout(ctx, path["pool_id"], env={"usage": usage}, **run)
    ctx.require(200, "pause_pool", path)
    yield from ctx.existing(("get_pool", path), ("get_pool_metrics", path))
    if run:
        yield "get_run", run


def _at_rest(ctx: Context, operation: str, response: Response) -> Any:
    """Return the documented fields, without the containers of a pool, which are checked again."""
    document, body = ctx.session.document, response.json
    described = document.operations[operation].response(200)
    if not isinstance(body, dict) or described is None:
        return body
    schema = schema_name(described.content.get("application/json", {}))
    fields = DocumentedFields(document).part(schema, body)
    return {name: value for name, value in fields.items() if name != "containers"}


def _keyed(ctx: Context) -> list[str]:
    """Return further operations that create rollouts with a key."""
    if not ctx.session.offers("idempotency_keys"):
        return []
    names = [*filter(ctx.has, ("create_global_rollout", "create_rollout_batch"))]
    return [operation.id for operation in offered(ctx, *names)] if names else []


def _made(response: Response) -> list[Any]:
    batch = [at(item, "rollout", "id") for item in response.list_at("items")]
    return batch or [response.at("id")]


def _second_pages(
    ctx: Context, ids: dict[str, str]
) -> Iterator[tuple[Operation, dict[str, Any], Response]]:
    """Yield the lists that have a second page, with its query and the page."""
    for operation in offered(ctx, lists):
        if {*operation.id_names} <= ids.keys() and "limit" in operation.query:
            page = ctx.require(200, operation.id, operation.own_ids(ids), query={"limit": 1})
            query = {"limit": 1, "cursor": page.at("next_cursor")}
            if isinstance(query["cursor"], str):
                ids_of_path = operation.own_ids(ids)
                yield operation, query, ctx.require(200, operation.id, ids_of_path, query=query)


def _names(page: Response) -> list[Any]:
    return [
        at(item, "name" if at(item, "id") is ABSENT else "id") for item in page.list_at("items")
    ]


def _create_with_key(
    ctx: Context, path: dict[str, str], operation: str = "create_rollout"
) -> Response:
    """Send the creation of a rollout, each time with the same key."""
    headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}"}
    body: dict[str, Any] = ctx.session.rollout_body()
    if operation != "create_rollout":
        # It must not end before the restart or after it.
        body = {**ctx.session.rollout_body(env={"delay": 600}), **path}
    if operation == "create_rollout_batch":
        body = {"rollouts": [body]}
    ids = ctx.session.document.operations[operation].own_ids(path)
    return ctx.require((202, 200), operation, ids, json=body, headers=headers)


def _sent(ctx: Context, rollout: Rollout) -> int:
    return len(ctx.session.received.sent(rollout.id))


def _pool_events(ctx: Context, pool_id: str, count: int) -> list[SseMessage]:
    """Return the first events of a pool; none if the server has no such stream."""
    if not ctx.session.offers("pool_events"):
        return []

    return _first(ctx, "stream_pool_events", {"pool_id": pool_id}, count)


def _restart(ctx: Context) -> None:
    command = ctx.session.options.restart or ""
    # A server that the command leaves in the background has its output, too: nobody waits for that.
    nothing = subprocess.DEVNULL
    try:
        # The caller wrote the command for a shell.
        process = subprocess.run(  # noqa: S602
            command,
            shell=True,
            timeout=_SECONDS,
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            check=False,
        )
        note = "" if process.returncode == 0 else f"the command ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        note = f"the command took more than {_SECONDS:.0f} s"
    if not note and not _comes_back(ctx):
        note = f"the backend was not back after {ctx.session.patience:.0f} s"
    if note:
        raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)


def _comes_back(ctx: Context) -> bool:
    """Return True once it answers for a while: at first that may be the server before it stops."""
    answers_since: float | None = None
    for _ in ctx.session.pauses():
        try:
            answers = ctx.session.http.call("get_capabilities").status == 200
        except UnreachableError:
            answers = False
        if not answers:
            answers_since = None
        elif answers_since is None:
            answers_since = time.monotonic()
        elif time.monotonic() - answers_since > _SETTLED:
            return True
    return False


def _events(
    ctx: Context, ids: dict[str, str], count: int = 10_000, **request: Any
) -> list[SseMessage]:
    return _first(ctx, "stream_rollout_events", ids, count, **request)


def _first(
    ctx: Context, operation: str, ids: dict[str, str], count: int, **request: Any
) -> list[SseMessage]:
    """Read a stream up to a number of messages, or to its end."""
    stream = ctx.stream(
        operation, ids, until=lambda reader: len(reader.messages) >= count, **request
    )
    return stream.reader.messages[:count]
