"""Comparison of our client, sync and async, with raw HTTP.

Only this module of the kit imports the client, and only when the checks run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synth_pools.contract.client.calls import (
    LIMIT,
    AsyncCaller,
    SyncCaller,
    call_method,
    call_with_retry,
    expect_alike,
    expect_listed,
    request_of,
)
from synth_pools.contract.client.optional_operations import check_optional_operations
from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import (
    BusyError,
    InconclusiveError,
    MissingOperationError,
    StoppedError,
    StopScenarioError,
)
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check, Expectation
from synth_pools.contract.harness.waits import Rollout, rollout_id, start_rollout, wait_for
from synth_pools.contract.http.client import ABSENT, Response, at, client_of
from synth_pools.contract.options import Access
from synth_pools.contract.results import Clause, Layer, LayerResult, Outcome
from synth_pools.contract.selections import every
from synth_pools.contract.session import Session

_CLAUSE = Clause("Growth", "readers keep what they do not know and never fail on it")


def run_client_checks(session: Session) -> LayerResult:
    """Call every method of both clients; verdicts go to the session's collector.

    Returns:
        The obstacle that kept the client from being judged, if there is one.
    """
    # Imported here: a backend can be judged without the client.
    try:
        import synth_pools
    except ImportError as error:
        return LayerResult(obstacle=f"the client cannot be imported: {error}")
    lost = synth_pools.APIConnectionError
    slow = (synth_pools.APITimeoutError, TimeoutError)
    key, base_url, access = session.options.api_key, session.base_url, session.options.access
    # The default client makes its own connections, and the checks judge them, too.
    is_default = access == Access()
    if session.options.wants("client.sync"):
        with synth_pools.ContainerPoolsClient(
            api_key=key.reveal(),
            base_url=base_url,
            timeout=LIMIT,
            http_client=None if is_default else client_of(access),
        ) as client:
            _run(session, "client.sync", SyncCaller(client, lost, slow))
    if session.options.wants("client.async"):
        with asyncio.Runner() as runner:
            async_client = synth_pools.AsyncContainerPoolsClient(
                api_key=key.reveal(),
                base_url=base_url,
                timeout=LIMIT,
                http_client=None if is_default else client_of(access, asynchronous=True),
            )
            try:
                _run(session, "client.async", AsyncCaller(async_client, lost, slow, runner))
            finally:
                runner.run(async_client.aclose())
    return LayerResult()


@dataclass(frozen=True, slots=True)
class _Readable:
    """Resources that the client reads: the run's own, or existing ones in a read-only run."""

    pool: str
    task: str
    rollout: str


def _run(session: Session, check: str, call: Any) -> None:
    ctx = Context(session, Check(check, _CLAUSE, (every,)), Layer.CLIENT)
    lack = ""
    try:
        readable = _existing(ctx) if session.options.read_only else _created(ctx)
        if readable is not None:
            _reads(ctx, call, readable)
        if not session.options.read_only:
            _refusal(ctx, call)
            _writes(ctx, call)
            _rollouts(ctx, call)
            check_optional_operations(ctx, call)
    except MissingOperationError as error:
        lack = str(error)
    except StopScenarioError:
        pass
    except (InconclusiveError, BusyError) as error:
        ctx.expect.inconclusive("create_rollout", str(error))
    except StoppedError:
        lack = "the run was stopped"
    absent = session.not_offered()
    for operation in ctx.operations:
        if operation in absent:
            ctx.expect.inconclusive(operation, absent[operation], Outcome.NOT_OFFERED)
        elif operation not in ctx.expect.judged:
            note = "read-only" if session.options.read_only else "what comes before it departed"
            ctx.expect.inconclusive(operation, lack or note)


def _created(ctx: Context) -> _Readable:
    pool_id = ctx.resources.pool(
        tasks=[{"task_id": "t", "task_metadata": {"a": "ü🌍"}}], x_unknown=[1]
    )
    rollout = start_rollout(ctx, pool_id, task_id="t")
    wait_for(ctx, rollout, FINAL)
    return _Readable(pool_id, "t", rollout.id)


def _existing(ctx: Context) -> _Readable | None:
    pools = ctx.require(200, "list_pools", query={"limit": 20}).at("items")
    for pool in pools if isinstance(pools, list) else []:
        pool_id = at(pool, "pool_id")
        ids = {"pool_id": str(pool_id)}
        task = ctx.require(200, "list_tasks", ids).at("items", 0, "task_id")
        rollouts = ctx.require(200, "list_rollouts", ids, query={"limit": 20}).at("items")
        final = [at(rollout, "id") for rollout in rollouts or [] if at(rollout, "status") in FINAL]
        if task is not ABSENT and final:
            return _Readable(str(pool_id), str(task), str(final[0]))
    return None


def _reads(ctx: Context, call: Any, readable: _Readable) -> None:
    pool, task = readable.pool, readable.task
    rollout = Rollout(pool, readable.rollout)
    pool_ids = {"pool_id": pool}
    for operation, short in (
        ("get_pool", "get"), ("get_pool_urls", "get_urls"),
        ("get_pool_metrics", "metrics.get"), ("list_tasks", "tasks.list"),
    ):  # fmt: skip
        for name in (operation, short):
            _alike(ctx, call, name, operation, pool_ids)
    for part in ("", "_artifacts", "_usage", "_summary"):
        short = part.lstrip("_") or "get"
        for name in (f"get_rollout{part}", f"rollouts.{short}"):
            _alike(ctx, call, name, f"get_rollout{part}", rollout.ids)
        for name in (f"get_global_rollout{part}", f"agent_rollouts.{short}"):
            _alike(ctx, call, name, f"get_global_rollout{part}", rollout.global_ids)
    for operation, short, ids in (
        ("stream_rollout_events", "rollouts.events", rollout.ids),
        ("stream_global_rollout_events", "agent_rollouts.events", rollout.global_ids),
    ):
        for name in (operation, short):
            _events(ctx, call, name, operation, ids)
    lists: tuple[tuple[str, str, dict[str, str], str], ...] = (
        ("list_pools", "list", {}, pool),
        ("list_rollouts", "rollouts.list", pool_ids, rollout.id),
        ("list_global_rollouts", "agent_rollouts.list", {}, rollout.id),
    )
    for operation, short, ids, ours in lists:
        for name in (operation, short):
            expect_listed(ctx, call, name, operation, ids, ("id", ours))
    # Responses that change by themselves are compared by their field names.
    for name in ("get_queue_status", "get_capabilities"):
        _fields_alike(ctx, call, name, {})
    for part in ("health", "info", "metadata", "task_info", "program", "taskset"):
        _fields_alike(ctx, call, f"get_pool_container_{part}", pool_ids)
        ids = {**pool_ids, "task_id": task}
        _fields_alike(ctx, call, f"get_task_container_{part}", ids)


def _alike(ctx: Context, call: Any, name: str, operation: str, ids: dict[str, str]) -> None:
    raw = ctx.call(operation, ids)
    if raw.status == 501:
        ctx.expect.inconclusive(operation, "the server answers 501", Outcome.NOT_OFFERED)
    elif raw.status != 200:
        # The scenarios judge this answer; the client only passes it on.
        ctx.expect.inconclusive(operation, f"the answer is {raw.status}")
    else:
        actual = call_method(ctx, call, operation, name, *ids.values())
        expect_alike(ctx, operation, name, raw, raw.json, actual)


def _fields_alike(ctx: Context, call: Any, name: str, ids: dict[str, str]) -> None:
    raw = ctx.call(name, ids)
    if raw.status != 200:
        ctx.expect.inconclusive(name, f"the answer is {raw.status}")
        return
    actual = call_method(ctx, call, name, name, *ids.values())
    expect_alike(ctx, name, name, raw, _field_names(raw.json), _field_names(actual))


def _field_names(value: Any) -> Any:
    return sorted(value) if isinstance(value, dict) else value


def _events(ctx: Context, call: Any, name: str, operation: str, ids: dict[str, str]) -> None:
    stream = ctx.stream(operation, ids)
    expected = _placed([message.envelope for message in stream.reader.messages])
    raw = Response(stream.exchange)
    arguments = tuple(ids.values())
    actual = call_method(ctx, call, operation, name, *arguments)
    if actual is ABSENT:
        return
    expect_alike(ctx, operation, name, raw, expected, _placed(actual))
    if expected and ctx.session.offers("event_resume"):
        rest = call_method(ctx, call, operation, name, *arguments, cursor=expected[0].get("id"))
        expect_alike(ctx, operation, f"{name}(cursor=...)", raw, expected[1:], _placed(rest))


def _placed(events: Any) -> Any:
    """Leave out heartbeats, which have no position."""
    items = events if isinstance(events, list) else []
    return [item for item in items if at(item, "sequence") is not ABSENT] or events


def _refusal(ctx: Context, call: Any) -> None:
    """Expect the client's own exception for an error of the backend."""
    # Imported here: a backend can be judged without the client.
    from synth_pools import NotFoundError

    nobody = ctx.session.pool_id("nobody")
    for name, arguments, operation in (
        ("get_pool", (nobody,), "get_pool"),
        ("agent_rollouts.get", (nobody,), "get_global_rollout"),
    ):
        try:
            actual = call_with_retry(call, name, *arguments)
        except NotFoundError:
            got = ""
        except Exception as error:  # noqa: BLE001 - whatever the client raises is its answer
            got = f"{type(error).__name__}: {error}"[:200]
        else:
            got = str(actual)[:200]
        raw = request_of(ctx, operation, arguments, got)
        ctx.expect.that(Expectation(operation, f"{name} raises NotFoundError", raw), not got, got)


def _writes(ctx: Context, call: Any) -> None:
    for method_of in (str, _short_name):
        name = ctx.resources.name(method_of("create_pool").replace("_", "-"))
        body = {**ctx.session.pool_body("x"), "pool_id": name, "name": name}
        ctx.session.register_pool(name)
        pool = {"pool_id": name}
        steps: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("create_pool", (body,)),
            ("replace_pool", (name, body)),
            ("update_pool", (name, {"capacity": 2})),
        )
        for operation, arguments in steps:
            method = method_of(operation)
            actual = call_method(ctx, call, operation, method, *arguments)
            read = ctx.require(200, "get_pool", pool)
            expect_alike(ctx, operation, method, read, _settled(read.json), _settled(actual))
            ctx.resources.wait_until_active(name)
        _task_writes(ctx, call, name, method_of)
        for operation in ("execute_pool_container_rollout", "execute_task_container_rollout"):
            path_ids = [name] if "_pool_" in operation else [name, "t"]
            actual = call_method(ctx, call, operation, operation, *path_ids, {"seed": 1})
            if actual is not ABSENT:
                expectation = Expectation(operation, "a JSON object", None)
                ctx.expect.that(expectation, isinstance(actual, dict), repr(actual)[:80])
        call_method(ctx, call, "delete_task", method_of("delete_task"), name, "t")
        remaining = ctx.require(200, "list_tasks", pool)
        ctx.expect.equal(
            "delete_task", "the tasks afterwards", [], remaining.at("items"), remaining
        )
        method = method_of("delete_pool")
        actual = call_method(ctx, call, "delete_pool", method, name)
        read = ctx.require(200, "get_pool", pool)
        expect_alike(ctx, "delete_pool", method, read, read.json, actual)


def _short_name(operation: str) -> str:
    """Return the short name of the method that writes a pool or a task."""
    name = operation.removesuffix("_pool")
    return f"tasks.{name.removesuffix('_task')}" if name == operation else name


def _settled(pool: Any) -> Any:
    """Leave out the fields that change while the server prepares the pool."""
    if not isinstance(pool, dict):
        return pool
    return {k: v for k, v in pool.items() if k not in ("status", "state", "updated_at")}


def _task_writes(ctx: Context, call: Any, pool_id: str, method_of: Callable[[str], str]) -> None:
    for operation, arguments in (
        ("create_task", (pool_id, {"task_id": "t"})),
        ("update_task", (pool_id, "t", {"task_config": {"x": 1}})),
        ("patch_task", (pool_id, "t", {"task_config": {"y": 2}})),
    ):
        method = method_of(operation)
        actual = call_method(ctx, call, operation, method, *arguments)
        read = ctx.require(200, "list_tasks", {"pool_id": pool_id})
        expect_alike(ctx, operation, method, read, read.at("items", 0), actual)


def _rollouts(ctx: Context, call: Any) -> None:
    pool_id = ctx.resources.pool()
    body = ctx.session.rollout_body()
    for method, operation, arguments in (
        ("create_rollout", "create_rollout", (pool_id, body)),
        ("rollouts.create", "create_rollout", (pool_id, body)),
        ("create_global_rollout", "create_global_rollout", ({**body, "pool_id": pool_id},)),
        ("agent_rollouts.create", "create_global_rollout", ({**body, "pool_id": pool_id},)),
    ):
        actual = call_method(ctx, call, operation, method, *arguments)
        created_id = at(actual, "rollout_id")
        if isinstance(created_id, str):
            read = ctx.require(200, "get_rollout", {"pool_id": pool_id, "rollout_id": created_id})
            expect_alike(ctx, operation, method, read, read.at("request"), at(actual, "request"))
    live = ctx.session.live_pool_body("x", pool_id=(name := ctx.resources.name("live")), name=name)
    if live is None:
        for operation in ("cancel_rollout", "cancel_global_rollout"):
            ctx.expect.inconclusive(operation, "needs a slow rollout", Outcome.NOT_REACHED)
        return
    ctx.resources.create_pool(live)
    for method, operation in (
        ("cancel_rollout", "cancel_rollout"),
        ("rollouts.cancel", "cancel_rollout"),
        ("cancel_global_rollout", "cancel_global_rollout"),
        ("agent_rollouts.cancel", "cancel_global_rollout"),
    ):
        created = ctx.require(
            202, "create_rollout", {"pool_id": name}, json={"env": {"delay": 600}}
        )
        rollout = Rollout(name, rollout_id(created))
        path_ids = [rollout.id] if operation == "cancel_global_rollout" else [name, rollout.id]
        actual = call_method(ctx, call, operation, method, *path_ids)
        read = ctx.require(200, "get_rollout", rollout.ids)
        expect_alike(ctx, operation, method, read, read.json, actual)
