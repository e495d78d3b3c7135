"""Operations on rollouts, of one pool and of all."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from starlette.responses import Response, StreamingResponse

from tests.contract.second_backend import artifacts
from tests.contract.second_backend.calls import Call, answer, operation
from tests.contract.second_backend.document import body_faults, version
from tests.contract.second_backend.events import EventLog
from tests.contract.second_backend.pools import admits
from tests.contract.second_backend.problems import Problem, invalid
from tests.contract.second_backend.state import Pool, Rollout, canonical


@operation("list_rollouts", "list_global_rollouts")
async def list_rollouts(call: Call) -> Response:
    here = call.pool() if "pool_id" in call.path else None
    query = call.query
    state = query.get("state")
    rollouts = [
        rollout
        for rollout in call.store.rollouts.values()
        if rollout.pool.owner == call.owner
        and (rollout.pool is here or here is None)
        and (rollout.state == state or state is None or not call.keeps("lists.state_of_rollouts"))
        and (_is_filtered(rollout, query) or not call.keeps("lists.filters"))
    ]
    sort = query.get("sort", "created") if call.keeps("lists.sort") else "created"
    rollouts = [rollout for rollout in rollouts if _figure(rollout, sort) is not None]
    scope = [(name, query.get(name)) for name in sorted(query) if name not in ("cursor", "limit")]
    return call.page(
        rollouts,
        "rollouts",
        here.id if here else None,
        *scope,
        key=lambda rollout: (_figure(rollout, sort), rollout.number),
        is_ascending=query.get("direction") == "asc" and call.keeps("lists.direction"),
    )


def _is_filtered(rollout: Rollout, query: dict[str, Any]) -> bool:
    labels = [f"{name}={value}" for name, value in (rollout.request.get("labels") or {}).items()]
    reward = rollout.reward
    met: dict[str, Callable[[Any], bool]] = {
        "run": lambda value: rollout.request.get("run") == value,
        "task_id": lambda value: rollout.task_id == value,
        "seed": lambda value: rollout.request.get("seed") == value,
        "error_code": lambda value: (rollout.error or {}).get("code") == value,
        "label": lambda value: value in labels,
        "min_reward": lambda value: reward is not None and reward >= value,
        "max_reward": lambda value: reward is not None and reward <= value,
        "created_after": lambda value: rollout.created_at >= _moment(value),
        "created_before": lambda value: rollout.created_at < _moment(value),
    }
    return all(check(query[name]) for name, check in met.items() if name in query)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        fault = {"loc": ["query"], "msg": f"{text!r} is no time", "type": "value_error"}
        raise invalid([fault]) from None


def _figure(rollout: Rollout, sort: str) -> float | None:
    if sort == "reward":
        return rollout.reward
    if sort == "duration":
        finished = rollout.finished_at
        return None if finished is None else rollout.seconds(finished)
    if sort == "cost":
        cost = rollout.usage(rollout.updated_at)["cost_usd"]
        return None if cost is None else float(cost)
    return 0.0


@operation("create_rollout")
async def create_rollout(call: Call) -> Response:
    pool = call.pool()
    return await _created(call, pool.id, lambda: _admit(call, call.body, pool))


@operation("create_global_rollout")
async def create_global_rollout(call: Call) -> Response:
    return await _created(call, None, lambda: _admit(call, call.body, None))


@operation("replay_rollout")
async def replay_rollout(call: Call) -> Response:
    first = call.rollout()

    def again() -> Rollout:
        request = copy.deepcopy(first.request)
        if not call.keeps("replay.request"):
            request.pop("seed", None)
        admitted = _admit(call, request, first.pool)
        admitted.replay_of = first.id if call.keeps("replay.names_it") else None
        return admitted

    return await _created(call, first.id, again)


@operation("create_rollout_batch")
async def create_batch(call: Call) -> Response:
    requests = [*(call.body.get("rollouts") or []), *(call.body.get("requests") or [])]
    if not call.keeps("batch.two_spellings"):
        requests = call.body.get("rollouts") or []
    created = _remembered(call, None)
    if created is None:
        created = [None] * len(requests)
        _remember(call, None, created)
    items: list[dict[str, Any]] = []
    for index, request in enumerate(requests):
        item: dict[str, Any] = {"index": index, "status": 0, "rollout": None, "error": None}
        try:
            if created[index] is None:
                if not call.keeps("batch.each_alone") and any(item["error"] for item in items):
                    raise Problem("no_active_pool", "An earlier one was refused.")
                created[index] = _admit_item(call, request)
            rollout = created[index]
            assert rollout is not None
            _require_kept(call, rollout)
            item |= {"rollout": rollout.shown(), "status": _status(call, rollout)}
        except Problem as problem:
            status = problem.status if call.keeps("batch.status") else 400
            item |= {"status": status, "error": problem.envelope()}
        items.append(item)
    admitted = [item["rollout"] for item in items if item["rollout"] is not None]
    refused = len(items) - len(admitted)
    return answer(
        {
            "items": items if call.keeps("batch.in_order") else items[::-1],
            "admitted": len(admitted) if call.keeps("batch.counts") else len(items),
            "refused": refused,
            "rollouts": [{"id": item["id"], "rollout_id": item["id"]} for item in admitted],
        }
    )


@operation("validate_rollout")
async def validate_rollout(call: Call) -> Response:
    errors = body_faults("RolloutRequest", call.body) if call.keeps("validate.fields") else []
    pool_id = None
    if not errors:
        try:
            pool = _place(call, call.body, None)
            pool_id = pool.id
        except Problem as problem:
            field = "task_id" if problem.code == "task_not_found" else "pool_id"
            loc = ["body", field]
            errors = [{"loc": loc, "msg": problem.message, "type": problem.code}]
    if not call.keeps("validate.creates_nothing") and not errors:
        _admit(call, call.body, None)
    valid = not errors if call.keeps("validate.valid") else True
    return answer({"valid": valid, "errors": errors, "pool_id": pool_id})


@operation("get_rollout", "get_global_rollout")
async def get_rollout(call: Call) -> Response:
    return answer(call.rollout().shown())


@operation("cancel_rollout", "cancel_global_rollout")
async def cancel_rollout(call: Call) -> Response:
    rollout = call.rollout()
    if rollout.state in ("completed", "failed") and call.keeps("cancel.finished_refused"):
        raise Problem("rollout_finished", f"Rollout {rollout.id!r} has {rollout.state}.")
    if rollout.state == "cancelled" and not call.keeps("cancel.twice"):
        raise Problem("rollout_finished", f"Rollout {rollout.id!r} was cancelled.")
    if rollout.state in ("queued", "running") and (
        rollout.state == "running" or call.keeps("cancel.queued")
    ):
        call.backend.runner.cancel(rollout)
    return answer(rollout.shown())


@operation("get_rollout_summary", "get_global_rollout_summary")
async def get_summary(call: Call) -> Response:
    return answer(call.rollout().summary())


@operation("get_rollout_usage", "get_global_rollout_usage")
async def get_usage(call: Call) -> Response:
    return answer(call.rollout().usage(call.store.clock.now()))


@operation("get_rollout_artifacts", "get_global_rollout_artifacts")
async def list_artifacts(call: Call) -> Response:
    rollout = call.rollout()
    items = [artifact.shown(call.base, rollout.id, call.keeps) for artifact in rollout.artifacts]
    return call.listed(items if call.keeps("artifacts.in_order") else items[::-1], "artifacts")


@operation("get_global_rollout_artifact")
async def download_artifact(call: Call) -> Response:
    stored = call.rollout().artifacts
    return artifacts.download(stored, call.path["artifact_path"], call.headers, call.keeps)


@operation("get_global_rollout_artifacts_zip")
async def download_artifacts(call: Call) -> Response:
    rollout = call.rollout()
    by_path = call.keeps("downloads.archive_paths")
    return artifacts.archive(
        {item.path if by_path else item.id: item.content for item in rollout.artifacts}
    )


@operation("get_global_rollout_support_bundle")
async def download_support_bundle(call: Call) -> Response:
    rollout = call.rollout()
    parts = {
        "request": rollout.request,
        "rollout": rollout.shown(),
        "events": rollout.events.items,
        "container": rollout.result,
        "pool": rollout.pool.shown(),
        "versions": {"contract": version(), "server": "second backend"},
    }
    if not call.keeps("bundle.events"):
        del parts["events"]
    return artifacts.support_bundle(parts, call.keeps)


@operation("stream_rollout_events", "stream_global_rollout_events")
async def follow_events(call: Call) -> Response:
    rollout = call.rollout()
    after = rollout.events.position(
        [
            call.query.get("cursor") if call.keeps("events.cursor") else None,
            call.headers.get("last-event-id") if call.keeps("events.last_event_id") else None,
        ],
        call.query.get("after_sequence") if call.keeps("events.after_sequence") else None,
    )
    is_page = call.query["format"] == "json" and call.keeps("pages.json")
    if not (is_page or call.offers("event_resume")):
        after = 0
    if is_page:
        limit = call.query["limit"] if call.keeps("pages.limit") else 1000
        page = rollout.events.page(after, limit)
        return answer({"rollout_id": rollout.id, "status": rollout.state, **page})
    return StreamingResponse(
        _stream(rollout, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _stream(rollout: Rollout, after: int) -> AsyncIterator[bytes]:
    async for message in rollout.events.stream(after):
        yield message


async def _created(call: Call, path_id: str | None, make: Any) -> Response:
    """Admit a rollout, or answer with the earlier one of this key; wait if requested."""
    created = _remembered(call, path_id)
    if created is None:
        created = [make()]
        _remember(call, path_id, created)
    [rollout] = created
    _require_kept(call, rollout)
    waits = rollout.mode == "sync" and call.offers("sync_mode")
    if waits and not call.keeps("sync.waits"):
        return answer(rollout.shown(), 200)
    if waits:
        await rollout.done.wait()
    return answer(rollout.shown(), _status(call, rollout))


def _require_kept(call: Call, rollout: Rollout) -> None:
    if rollout.id not in call.store.rollouts:
        raise Problem("rollout_not_found", "The rollout of this key was deleted.")


def _status(call: Call, rollout: Rollout) -> int:
    return 200 if rollout.done.is_set() and call.keeps("creations.ended_is_200") else 202


def _remembered(call: Call, path_id: str | None) -> list[Any] | None:
    """Return the rollouts that this key created.

    Raises:
        Problem: It has, with another body.
    """
    key = _key(call, path_id)
    if key is None or key not in call.backend.keys:
        return None
    body, created = call.backend.keys[key]
    if body != canonical(call.body) and call.keeps("idempotency.conflict"):
        raise Problem("idempotency_conflict", "The key was used with another body.")
    return created


def _remember(call: Call, path_id: str | None, created: list[Rollout | None]) -> None:
    key = _key(call, path_id)
    if key is not None:
        call.backend.keys[key] = (canonical(call.body), created)


def _key(call: Call, path_id: str | None) -> tuple[Any, ...] | None:
    key = call.headers.get("idempotency-key")
    is_read = call.offers("idempotency_keys") and call.keeps("idempotency.one_rollout")
    if key is None or not is_read:
        return None
    where = (call.operation.name, path_id) if call.keeps("idempotency.own_operation") else ()
    return (call.owner, *where, key)


def _admit(call: Call, request: dict[str, Any], here: Pool | None) -> Rollout:
    """Admit one rollout to its pool.

    Raises:
        Problem: It is refused.
    """
    pool = _place(call, request, here)
    store, now = call.store, call.store.clock.now()
    mode = request.get("mode") or "async"
    rollout_id = store.new_id("rollout")
    log = EventLog(rollout_id, pool.id, call.keeps)
    stored = request if call.keeps("rollouts.request_as_sent") else _without_nulls(request)
    rollout = Rollout(rollout_id, pool, stored, mode, now, now, store.number(), log)
    call.backend.runner.admit(rollout)
    return rollout


def _admit_item(call: Call, request: dict[str, Any]) -> Rollout:
    faults = body_faults("RolloutRequest", request)
    if faults:
        raise invalid(faults)
    pool_id = request.get("pool_id")
    if pool_id is None and call.keeps("batch.pool_of_batch"):
        pool_id = call.body.get("pool_id")
    return _admit(call, request, call.pool(pool_id) if pool_id is not None else None)


def _place(call: Call, request: dict[str, Any], here: Pool | None) -> Pool:
    """Return the pool of a rollout.

    Raises:
        Problem: No pool takes it.
    """
    pool_id, task_id = request.get("pool_id"), request.get("task_id")
    if pool_id == "" and not call.keeps("ids.empty_is_an_id"):
        pool_id = None
    if here is not None and pool_id not in (None, here.id) and call.keeps("rollouts.pool_of_path"):
        raise Problem("id_mismatch", f"The path names pool {here.id!r}, the body {pool_id!r}.")
    if here is None and pool_id is not None:
        here = call.pool(pool_id)
    if here is None:
        return _least_loaded(call, task_id)
    admits(call, here)
    if task_id is not None and task_id not in here.tasks and call.keeps("rollouts.task_is_there"):
        raise Problem("task_not_found", f"Pool {here.id!r} has no task {task_id[:200]!r}.")
    return here


def _least_loaded(call: Call, task_id: str | None) -> Pool:
    fit = [
        pool
        for pool in call.store.pools.values()
        if pool.owner == call.owner
        and pool.state == "active"
        and (task_id is None or task_id in pool.tasks or not call.keeps("placement.holds_task"))
    ]
    if not fit:
        raise Problem("no_active_pool", "No active pool fits.")
    if not call.keeps("placement.least_loaded"):
        return fit[-1]
    return min(fit, key=lambda pool: (pool.load, pool.number))


def _without_nulls(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if value is not None}
