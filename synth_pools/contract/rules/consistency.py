"""Rules for one exchange that no schema states: a response agrees with itself and its request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from synth_pools.contract.document import FINAL, Document, Operation, schema_name
from synth_pools.contract.results import Column, Exchange
from synth_pools.contract.rules.figures import FIGURES, check_times
from synth_pools.contract.rules.verdict import (
    AnswerPart,
    NotJsonError,
    RuleResult,
    media_type,
    request_json,
    response_json,
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
    "RunList": "Run",
    "ImageReleaseList": "ImageRelease",
}
# Fields that the last event of a rollout may have, and their schemas.
INCLUDED = {"rollout": "Rollout", "summary": "RolloutSummary"}
# Fields of a definition that the response repeats as they were sent.
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
        operation: The operation; a request that addresses none is not judged.
        exchange: The exchange.

    Yields:
        The result of each rule.
    """
    status = exchange.status
    if operation is None or document.is_foreign:
        return
    if status is None or media_type(exchange) != "application/json":
        return
    try:
        body = response_json(exchange)
    except NotJsonError:
        return
    if not isinstance(body, dict):
        return
    if status >= 400:
        yield from _envelope(operation, exchange, body)
        return
    response = operation.response(status)
    if response is None:
        return
    schema = schema_name(response.content.get("application/json", {}))
    raw_items = body.get("items")
    rows = raw_items if schema in _ITEMS and isinstance(raw_items, list) else None
    if schema == "RolloutBatch" and isinstance(raw_items, list):
        yield from _batch(operation, body, [item for item in raw_items if isinstance(item, dict)])
        yield from _batch_echo(operation, exchange, raw_items)
    elif schema == "Rollout" and "202" in operation.responses:
        yield from _creation(operation, status, body)
    # A replay answers with another rollout than the one in its path.
    replays = operation.id == "replay_rollout"
    ids = operation.ids(document.path_of(exchange.url)) or {}
    if replays:
        demand = "replay_of is the rollout in the path"
        subject, original = AnswerPart(operation, schema), ids.pop("rollout_id", None)
        yield subject.judge("asked.replay_of", demand, original, body.get("replay_of"))
    if schema == "RolloutValidation" and isinstance(body.get("errors"), list):
        yield from _places(operation, exchange, body["errors"])
    for name, resource in resources_of(operation, exchange, body):
        yield from _agrees_with_itself(document, operation, name, resource)
        yield from _is_the_one_asked_for(operation, ids, name, resource)
        yield from check_times(document, operation, exchange, name, resource)
    if rows is not None:
        yield from _page(operation, exchange, [item for item in rows if isinstance(item, dict)])
    else:
        yield from _echo(operation, exchange, body)


def resources_of(
    operation: Operation, exchange: Exchange, body: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources in an answer, each with the name of its schema."""
    response = operation.response(exchange.status or 0)
    schema = schema_name(response.content.get("application/json", {})) if response else ""
    items, events = body.get("items"), body.get("events")
    resources: list[tuple[str, Any]] = [(schema, body)]
    if schema in _ITEMS and isinstance(items, list):
        resources = [(_ITEMS[schema], item) for item in items]
    elif schema == "RolloutBatch" and isinstance(items, list):
        rollouts = [item.get("rollout") for item in items if isinstance(item, dict)]
        resources = [("Rollout", rollout) for rollout in rollouts]
    elif isinstance(events, list):
        resources += [("RolloutEvent", event) for event in events]
        for event in (event for event in events if isinstance(event, dict)):
            resources += [(schema, event.get(name)) for name, schema in INCLUDED.items()]
    yield from ((name, resource) for name, resource in resources if isinstance(resource, dict))


def _envelope(
    operation: Operation, exchange: Exchange, body: Mapping[str, Any]
) -> Iterator[RuleResult]:
    envelope = body.get("error")
    request_id = envelope.get("request_id") if isinstance(envelope, dict) else None
    header = exchange.header("x-request-id")
    if isinstance(request_id, str) and header:
        demand = "error.request_id is the value of x-request-id"
        subject = AnswerPart(operation, "ErrorEnvelope")
        yield subject.judge("errors.request_id", demand, header, request_id, Column.ERRORS)
    milliseconds = envelope.get("retry_after_ms") if isinstance(envelope, dict) else None
    seconds = exchange.header("retry-after") or ""
    if isinstance(milliseconds, int) and seconds.isdecimal():
        demand = "Retry-After is retry_after_ms, rounded up to seconds"
        expected = -(-milliseconds // 1000)
        subject = AnswerPart(operation, "ErrorEnvelope")
        yield subject.judge("errors.retry_after", demand, expected, int(seconds), Column.ERRORS)
    if exchange.status == 422 and isinstance(details := body.get("detail"), list):
        yield from _places(operation, exchange, details)


def _places(
    operation: Operation, exchange: Exchange, details: Iterable[Any]
) -> Iterator[RuleResult]:
    """Judge whether the request can have a fault at each of the places that an answer names."""
    query = parse_qs(urlsplit(exchange.url).query, keep_blank_values=True)
    headers = {*operation.headers, *(name.lower() for name, _ in exchange.request_headers)}
    possible: dict[Any, Callable[[str], bool]] = {
        "body": lambda _: operation.request is not None,
        "query": lambda name: not name or name in operation.query or name in query,
        "path": lambda name: not name or name in operation.id_names,
        "header": lambda name: not name or name.lower() in headers,
    }
    for detail in details:
        place = detail.get("loc") if isinstance(detail, dict) else None
        if isinstance(place, list):
            first = place[0] if place else None
            second = str(place[1]) if len(place) > 1 else ""
            is_place = isinstance(first, str) and first in possible and possible[first](second)
            demand = "loc begins with body, query, path or header, and names what the request has"
            part = AnswerPart(operation, "ErrorDetailItem")
            yield part.judge("errors.loc", demand, True, is_place or place, Column.ERRORS)
            if first == "body":
                demand = "loc has the index of the item of a list that it is about"
                has_index = _has_indexes(request_json(exchange), place[1:])
                yield part.judge("errors.loc", demand, True, has_index or place, Column.ERRORS)


def _has_indexes(value: Any, steps: Iterable[Any]) -> bool:
    """Return False if steps lead from a list to a key of an item of it without the index.

    A step that is no key is a name of the server's own, and leads nowhere.
    """
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step, value)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if 0 <= step < len(value) else None
        elif isinstance(value, list) and any(step in it for it in value if isinstance(it, dict)):
            return False
    return True


def _batch(
    operation: Operation, body: Mapping[str, Any], items: list[dict[str, Any]]
) -> Iterator[RuleResult]:
    subject = AnswerPart(operation, "RolloutBatch")
    for item in items:
        yield from _creation(operation, item.get("status"), item.get("rollout"))
    admitted = sum(item.get("rollout") is not None for item in items)
    for name, count in (("admitted", admitted), ("refused", len(items) - admitted)):
        if name in body:
            yield subject.judge(f"agree.{name}", f"{name} counts the items", count, body[name])


def _batch_echo(operation: Operation, exchange: Exchange, items: list[Any]) -> Iterator[RuleResult]:
    """Judge whether the items of a batch repeat their requests."""
    body = request_json(exchange)
    lists = [body.get(name) for name in ("rollouts", "requests")] if isinstance(body, dict) else []
    requests = [request for sent in lists if isinstance(sent, list) for request in sent]
    if len(requests) != len(items):
        return
    subject = AnswerPart(operation)
    for request, item in zip(requests, items, strict=True):
        rollout = item.get("rollout") if isinstance(item, dict) else None
        if isinstance(rollout, dict) and isinstance(request, dict):
            demand, stored = "request comes back as it was sent", rollout.get("request")
            expected = _without_nulls(request)
            yield subject.judge("echo.request", demand, expected, _without_nulls(stored))


def _creation(operation: Operation, status: Any, rollout: Any) -> Iterator[RuleResult]:
    if isinstance(rollout, dict):
        demand = "a creation answers 200 with a rollout that has ended, 202 with one that has not"
        expected = 200 if rollout.get("status") in FINAL else 202
        yield AnswerPart(operation).judge("agree.creation", demand, expected, status, Column.STATUS)


def _agrees_with_itself(
    document: Document, operation: Operation, schema: str, resource: Mapping[str, Any]
) -> Iterator[RuleResult]:
    subject = AnswerPart(operation, schema)
    for name, twin in TWINS.get(schema, ()):
        if name in resource and twin in resource:
            demand = f"{name} and {twin} carry the same value"
            yield subject.judge_fields(f"agree.{name}", demand, resource[name], resource[twin])
    if schema == "Pool":
        if "error" in resource:
            yield _error(subject, resource)
        for task in resource.get("tasks") or ():
            if isinstance(task, dict):
                yield from _agrees_with_itself(document, operation, "Task", task)
                yield AnswerPart(operation, "Pool.tasks").judge_fields(
                    "agree.tasks",
                    "the tasks of a pool carry its id",
                    resource.get("pool_id"),
                    task.get("pool_id"),
                )
    elif schema == "Rollout":
        yield from _rollout(subject, resource)
        yield from _as_requested(document, subject, resource)
    elif schema == "RolloutSummary":
        yield from _summary(subject, resource)
    if schema in FIGURES:
        yield from FIGURES[schema](subject, resource)


def _rollout(subject: AnswerPart, rollout: Mapping[str, Any]) -> Iterator[RuleResult]:
    status = rollout.get("status")
    if "score" in rollout and isinstance(rollout.get("metrics"), dict):
        reward = rollout["metrics"].get("outcome_reward")
        demand = "score is metrics.outcome_reward"
        yield subject.judge_fields("agree.score", demand, reward, rollout["score"])
    yield _error(subject, rollout)
    if "finished_at" in rollout:
        demand = "finished_at is null until the rollout has ended"
        finished = rollout["finished_at"] is not None
        yield subject.judge("agree.finished_at", demand, status in FINAL, finished)
    if status == "completed":
        demand = "a completed rollout has a result"
        yield subject.judge("agree.result", demand, True, rollout.get("result") is not None)


def _as_requested(
    document: Document, subject: AnswerPart, rollout: Mapping[str, Any]
) -> Iterator[RuleResult]:
    """Judge the fields that a rollout and its request share; what is empty may be left out."""
    raw_request = rollout.get("request")
    request = raw_request if isinstance(raw_request, dict) else {}
    for name, schema in document.properties("RolloutRequest").items():
        expected = request.get(name)
        if name not in document.properties("Rollout") or (name == "pool_id" and expected is None):
            continue
        default = schema.get("default") if isinstance(schema, dict) else None
        expected = (default if expected is None else expected) or None
        is_missing = expected is not None and name not in document.required("Rollout")
        # A server without the feature `runs` has them in `request` alone.
        if name in rollout or (is_missing and name not in ("run", "labels")):
            demand = f"{name} is that of the request"
            actual = rollout.get(name) or None
            yield subject.judge_fields(f"agree.{name}", demand, expected, actual)


def _summary(subject: AnswerPart, summary: Mapping[str, Any]) -> Iterator[RuleResult]:
    event = summary.get("last_event")
    if isinstance(event, dict):
        yield subject.judge_fields(
            "agree.last_event",
            "last_event is one of this rollout's",
            summary.get("rollout_id"),
            event.get("rollout_id"),
        )
    yield _error(subject, summary)


def _error(subject: AnswerPart, resource: Mapping[str, Any]) -> RuleResult:
    demand = "error is there where status is failed, and only there"
    failed = resource.get("status") == "failed"
    return subject.judge("agree.error", demand, failed, resource.get("error") is not None)


def _is_the_one_asked_for(
    operation: Operation, ids: Mapping[str, str], schema: str, resource: Mapping[str, Any]
) -> Iterator[RuleResult]:
    for name, expected in ids.items():
        if name in resource and schema in TWINS:
            demand = f"{name} is the one in the path"
            subject = AnswerPart(operation, schema)
            yield subject.judge(f"asked.{name}", demand, expected, resource[name])


def _page(
    operation: Operation, exchange: Exchange, items: list[dict[str, Any]]
) -> Iterator[RuleResult]:
    subject = AnswerPart(operation)
    query = parse_qs(urlsplit(exchange.url).query, keep_blank_values=True)
    limit = query.get("limit", [""])[0]
    if limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1000:
        most = f"at most {int(limit)}"
        actual = most if len(items) <= int(limit) else f"{len(items)}"
        yield subject.judge("page.limit", "a page holds at most limit items", most, actual)
    states = query.get("state")
    statuses = [item["status"] for item in items if "status" in item]
    if states and len(states) == 1:
        strange = [status for status in statuses if status != states[0]]
        yield subject.judge("page.state", "state filters by the exact state", [], strange)
    elif not states and operation.id == "list_pools":
        archived = [status for status in statuses if status == "archived"]
        demand = "archived pools are listed only with state=archived"
        yield subject.judge("page.archived", demand, [], archived)
    # Artifacts have the order of the container's answer.
    if operation.item != "Artifact" and "sort" not in query and "direction" not in query:
        stamps = [item["created_at"] for item in items if isinstance(item.get("created_at"), str)]
        ordered = sorted(stamps, reverse=True) if _comparable(stamps) else stamps
        yield subject.judge("page.order", "a list is newest first", ordered, stamps)
    keys = [str(item.get("id") or item.get("artifact_id") or item.get("name")) for item in items]
    yield subject.judge("page.once", "every item comes once", len(keys), len(set(keys)))


def _comparable(stamps: list[str]) -> bool:
    """Return True if time stamps can be compared as text: one zone, one length."""
    return len({(len(stamp), stamp[-1:]) for stamp in stamps}) <= 1


def _echo(
    operation: Operation, exchange: Exchange, body: Mapping[str, Any]
) -> Iterator[RuleResult]:
    request_body = request_json(exchange)
    if not isinstance(request_body, dict):
        return
    subject = AnswerPart(operation)
    for name in ECHOED.get(operation.id, ()):
        if request_body.get(name) is not None:
            demand = f"{name} comes back as it was sent"
            yield subject.judge(f"echo.{name}", demand, request_body[name], body.get(name))
    if operation.id in ("create_rollout", "create_global_rollout"):
        demand = "request comes back as it was sent"
        request = _without_nulls(body.get("request"))
        yield subject.judge("echo.request", demand, _without_nulls(request_body), request)
        pool_id = request_body.get("pool_id")
        if isinstance(pool_id, str):
            demand = "the rollout is in the pool that was named"
            yield subject.judge("echo.pool_id", demand, pool_id, body.get("pool_id"))
    for name in ("pool_id", "task_id"):
        chosen = request_body.get(name, request_body.get("id"))
        if operation.id == f"create_{name[:-3]}" and isinstance(chosen, str):
            demand = "a chosen id is the one that is given"
            yield subject.judge(f"echo.{name}", demand, chosen, body.get(name))


def _without_nulls(request: Any) -> Any:
    """Return a rollout request without its nulls, which mean the same as absent fields."""
    if not isinstance(request, dict):
        return request
    return {name: value for name, value in request.items() if value is not None}
