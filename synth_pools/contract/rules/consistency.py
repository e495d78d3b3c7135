"""Rules for one exchange that no schema can say: a response agrees with itself and its request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from synth_pools.contract.document import FINAL, Document, Operation
from synth_pools.contract.results import Clause, Column, Exchange
from synth_pools.contract.rules.verdict import (
    NotJsonError,
    RuleResult,
    media_type,
    request_json,
    response_json,
    same_json,
    show,
)

# Pairs of fields that carry the same value, by schema.
TWINS: dict[str, tuple[tuple[str, str], ...]] = {
    "Pool": (
        ("id", "pool_id"),
        ("status", "state"),
        ("config", "pool_config"),
        ("metadata", "pool_metadata"),
    ),
    "PoolUrls": (("id", "pool_id"),),
    "PoolMetrics": (("id", "pool_id"),),
    "Task": (("id", "task_id"),),
    "Rollout": (("id", "rollout_id"), ("status", "state")),
    "RolloutUsage": (("id", "rollout_id"),),
    "RolloutSummary": (("id", "rollout_id"), ("status", "state"), ("score", "reward")),
    "Artifact": (("artifact_type", "kind"),),
    "ImageRelease": (("id", "release_id"),),
}
_ITEMS = {
    "PoolList": "Pool",
    "TaskList": "Task",
    "RolloutList": "Rollout",
    "ArtifactList": "Artifact",
}
# Fields of a definition that come back as they were sent.
ECHOED: dict[str, tuple[str, ...]] = {
    "create_pool": (
        "name",
        "metadata",
        "config",
        "capacity",
        "concurrency",
        "container_url",
        "container_urls",
    ),
    "create_task": ("task_config", "task_metadata", "container_url"),
}
ECHOED["replace_pool"] = ECHOED["create_pool"]
ECHOED["update_task"] = ECHOED["create_task"]


def check_consistency(
    document: Document, operation: Operation | None, exchange: Exchange
) -> Iterator[RuleResult]:
    """Judge whether a response agrees with itself and with its request.

    Args:
        document: The document.
        operation: The operation; nothing is said of a request that addresses none.
        exchange: The exchange.

    Yields:
        The result of each rule.
    """
    status = exchange.status
    if operation is None or status is None or media_type(exchange) != "application/json":
        return
    try:
        body = response_json(exchange)
    except NotJsonError:
        return
    if not isinstance(body, dict):
        return
    if status >= 400:
        yield from _request_id(operation, exchange, body)
        return
    response = operation.response(status)
    if response is None:
        return
    schema = str(response.content.get("application/json", {}).get("$ref", "")).rsplit("/", 1)[-1]
    raw_items = body.get("items")
    listed = raw_items if schema in _ITEMS and isinstance(raw_items, list) else None
    things = [(schema, body)] if listed is None else [(_ITEMS[schema], item) for item in listed]
    if schema == "RolloutBatch" and isinstance(raw_items, list):
        things = [("Rollout", item.get("rollout")) for item in raw_items if isinstance(item, dict)]
    # A replay answers with another rollout than the one in its path.
    replays = operation.id == "replay_rollout"
    ids = {} if replays else operation.ids(document.path_of(exchange.url)) or {}
    for name, thing in things:
        if isinstance(thing, dict):
            yield from _agrees_with_itself(operation, name, thing)
            yield from _is_the_one_asked_for(operation, ids, name, thing)
    if listed is not None:
        items = [item for item in listed if isinstance(item, dict)]
        yield from _page(operation, exchange, items)
    else:
        yield from _echo(operation, exchange, body)


def _request_id(
    operation: Operation, exchange: Exchange, body: Mapping[str, Any]
) -> Iterator[RuleResult]:
    envelope = body.get("error")
    request_id = envelope.get("request_id") if isinstance(envelope, dict) else None
    header = exchange.header("x-request-id")
    if isinstance(request_id, str) and header:
        yield _judge(
            "errors.request_id",
            Column.ERRORS,
            operation,
            "ErrorEnvelope",
            "error.request_id is the value of x-request-id",
            header,
            request_id,
        )


def _agrees_with_itself(
    operation: Operation, schema: str, thing: Mapping[str, Any]
) -> Iterator[RuleResult]:
    for name, twin in TWINS.get(schema, ()):
        if name in thing and twin in thing:
            demand = f"{name} and {twin} carry the same value"
            yield _judge(
                f"agree.{name}",
                Column.SCHEMA,
                operation,
                schema,
                demand,
                thing[name],
                thing[twin],
            )
    if schema == "Pool":
        for task in thing.get("tasks") or ():
            if isinstance(task, dict):
                yield from _agrees_with_itself(operation, "Task", task)
                yield _judge(
                    "agree.tasks",
                    Column.SCHEMA,
                    operation,
                    "Pool.tasks",
                    "the tasks of a pool carry its id",
                    thing.get("pool_id"),
                    task.get("pool_id"),
                )
    elif schema == "Rollout":
        yield from _rollout(operation, thing)
    elif schema == "RolloutSummary":
        yield from _summary(operation, thing)


def _rollout(operation: Operation, thing: Mapping[str, Any]) -> Iterator[RuleResult]:
    status = thing.get("status")
    if "score" in thing and isinstance(thing.get("metrics"), dict):
        yield _judge(
            "agree.score",
            Column.SCHEMA,
            operation,
            "Rollout",
            "score is metrics.outcome_reward",
            thing["metrics"].get("outcome_reward"),
            thing["score"],
        )
    failed = status == "failed"
    yield _judge(
        "agree.error",
        Column.BEHAVIOUR,
        operation,
        "Rollout",
        "error is there where status is failed, and only there",
        failed,
        thing.get("error") is not None,
    )
    if "finished_at" in thing:
        yield _judge(
            "agree.finished_at",
            Column.BEHAVIOUR,
            operation,
            "Rollout",
            "finished_at is null until the rollout has ended",
            status in FINAL,
            thing["finished_at"] is not None,
        )
    if status == "completed":
        yield _judge(
            "agree.result",
            Column.BEHAVIOUR,
            operation,
            "Rollout",
            "a completed rollout has a result",
            True,
            thing.get("result") is not None,
        )
    request = thing.get("request")
    task_id = request.get("task_id") if isinstance(request, dict) else None
    if "task_id" in thing:
        yield _judge(
            "agree.task_id",
            Column.SCHEMA,
            operation,
            "Rollout",
            "task_id is the one that the request names",
            task_id,
            thing["task_id"],
        )


def _summary(operation: Operation, thing: Mapping[str, Any]) -> Iterator[RuleResult]:
    event = thing.get("last_event")
    if isinstance(event, dict):
        yield _judge(
            "agree.last_event",
            Column.SCHEMA,
            operation,
            "RolloutSummary",
            "last_event is one of this rollout's",
            thing.get("rollout_id"),
            event.get("rollout_id"),
        )
    yield _judge(
        "agree.error",
        Column.BEHAVIOUR,
        operation,
        "RolloutSummary",
        "error is there where status is failed, and only there",
        thing.get("status") == "failed",
        thing.get("error") is not None,
    )


def _is_the_one_asked_for(
    operation: Operation, ids: Mapping[str, str], schema: str, thing: Mapping[str, Any]
) -> Iterator[RuleResult]:
    for name, expected in ids.items():
        if name in thing and schema in TWINS:
            yield _judge(
                f"asked.{name}",
                Column.BEHAVIOUR,
                operation,
                schema,
                f"{name} is the one in the path",
                expected,
                thing[name],
            )


def _page(
    operation: Operation, exchange: Exchange, items: list[dict[str, Any]]
) -> Iterator[RuleResult]:
    query = parse_qs(urlsplit(exchange.url).query, keep_blank_values=True)
    limit = query.get("limit", [""])[0]
    if limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1000:
        yield _judge(
            "page.limit",
            Column.BEHAVIOUR,
            operation,
            "",
            "a page holds at most limit items",
            f"at most {int(limit)}",
            f"at most {int(limit)}" if len(items) <= int(limit) else f"{len(items)}",
        )
    states = query.get("state")
    statuses = [item.get("status") for item in items]
    if states and len(states) == 1:
        yield _judge(
            "page.state",
            Column.BEHAVIOUR,
            operation,
            "",
            "state filters by the exact state",
            [],
            [status for status in statuses if status != states[0]],
        )
    elif not states and operation.id == "list_pools":
        yield _judge(
            "page.archived",
            Column.BEHAVIOUR,
            operation,
            "",
            "archived pools are listed only with state=archived",
            [],
            [status for status in statuses if status == "archived"],
        )
    if operation.id in ("list_pools", "list_rollouts", "list_global_rollouts", "list_tasks"):
        stamps = [item["created_at"] for item in items if isinstance(item.get("created_at"), str)]
        yield _judge(
            "page.order",
            Column.BEHAVIOUR,
            operation,
            "",
            "a list is newest first",
            sorted(stamps, reverse=True) if _comparable(stamps) else stamps,
            stamps,
        )
    keys = [item.get("id") or item.get("artifact_id") for item in items]
    yield _judge(
        "page.once",
        Column.BEHAVIOUR,
        operation,
        "",
        "every item comes once",
        len(keys),
        len(set(map(str, keys))),
    )


def _comparable(stamps: list[str]) -> bool:
    """Return True if time stamps can be compared as text: one zone, one length."""
    return len({(len(stamp), stamp[-1:]) for stamp in stamps}) <= 1


def _echo(
    operation: Operation, exchange: Exchange, body: Mapping[str, Any]
) -> Iterator[RuleResult]:
    sent = request_json(exchange)
    if not isinstance(sent, dict):
        return
    for name in ECHOED.get(operation.id, ()):
        if sent.get(name) is not None:
            yield _judge(
                f"echo.{name}",
                Column.BEHAVIOUR,
                operation,
                "",
                f"{name} comes back as it was sent",
                sent[name],
                body.get(name),
            )
    if operation.id in ("create_rollout", "create_global_rollout"):
        yield _judge(
            "echo.request",
            Column.BEHAVIOUR,
            operation,
            "",
            "request comes back as it was sent",
            _given(sent),
            _given(body.get("request")),
        )
        if isinstance(sent.get("pool_id"), str):
            yield _judge(
                "echo.pool_id",
                Column.BEHAVIOUR,
                operation,
                "",
                "the rollout is in the pool that was named",
                sent["pool_id"],
                body.get("pool_id"),
            )
    for name in ("pool_id", "task_id"):
        chosen = sent.get(name, sent.get("id"))
        if operation.id == f"create_{name[:-3]}" and isinstance(chosen, str):
            yield _judge(
                f"echo.{name}",
                Column.BEHAVIOUR,
                operation,
                "",
                "a chosen id is the one that is given",
                chosen,
                body.get(name),
            )


def _judge(
    check: str,
    column: Column,
    operation: Operation,
    schema: str,
    demand: str,
    expected: Any,
    actual: Any,
) -> RuleResult:
    equal = same_json(expected, actual)
    return RuleResult(
        check,
        column,
        Clause(f"{operation.route}{f', {schema}' if schema else ''}", demand),
        f"{demand}: {show(expected)}",
        None if equal else show(actual),
        f"{check}|{schema or operation.id}",
    )


def _given(request: Any) -> Any:
    """Leave out the nulls of a rollout request, which are the same as not given."""
    if not isinstance(request, dict):
        return request
    return {name: value for name, value in request.items() if value is not None}
