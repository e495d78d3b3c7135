"""Every rule for single exchanges, each with an answer that breaks it."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synth_pools.contract import rules
from synth_pools.contract.results import Exchange
from synth_pools.contract.rules.consistency import ECHOED, TWINS
from tests.contract.rules.answers import (
    DOCUMENT,
    ROLLOUT,
    WHOLE,
    answered,
    complaints,
    example,
    pool_streamed,
    stream,
    streamed,
)

_POOL = "/v1/pools/docs-example-pool"
_TASK = f"{_POOL}/tasks/addition"
_ROLLOUT = f"/v1/rollouts/{ROLLOUT}"
_REQUEST_ID = (("x-request-id", "req_1"),)
_NO = {"detail": "no", "error": {"code": "of_this_server", "message": "no"}}
_DONE = example("rollout_completed")


def _pool(**changed: Any) -> Exchange:
    return answered("GET", _POOL, 200, {**example("pool"), **changed})


def _rollout(**changed: Any) -> Exchange:
    return answered("GET", _ROLLOUT, 200, {**example("rollout_completed"), **changed})


def _summary(**changed: Any) -> Exchange:
    path = f"{_ROLLOUT}/summary"
    return answered("GET", path, 200, {**example("rollout_summary"), **changed})


def _artifacts(**changed: Any) -> Exchange:
    page = example("artifact_list")
    page["items"][0] |= changed
    return answered("GET", f"{_ROLLOUT}/artifacts", 200, page)


def _page(*items: dict[str, Any], query: str = "", path: str = "/v1/rollouts") -> Exchange:
    return answered("GET", path + query, 200, {"items": list(items), "next_cursor": None})


def _created(operation: str, sent: dict[str, Any], **changed: Any) -> Exchange:
    if operation == "create_pool":
        body = {**example("pool"), **changed}
        return answered("POST", "/v1/pools", 201, body, sent={"name": "docs-example-pool", **sent})
    if operation == "create_task":
        body = {**example("task"), **changed}
        return answered("POST", f"{_POOL}/tasks", 201, body, sent=sent)
    body = {**example("rollout_queued"), **changed}
    return answered("POST", "/v1/rollouts", 202, body, sent=sent)


def _refused(status: int, body: Any = _NO, *headers: tuple[str, str], **more: Any) -> Exchange:
    return answered("GET", _POOL, status, body, headers=(*_REQUEST_ID, *headers), **more)


_OTHER = {**_DONE, "id": "rollout_2", "rollout_id": "rollout_2"}
_RUN = example("run")
_OF_RUN = {"run": "a", "request": {**_DONE["request"], "run": "a"}}
_NEWER = {**_OTHER, "created_at": "2027-01-01T00:00:00.000000Z"}

_USAGE = f"{_ROLLOUT}/usage"
_METRICS = f"{_POOL}/metrics"
_VALIDATION = "/v1/rollouts:validate"
_ARCHIVED = {**example("pool"), "status": "archived", "state": "archived"}
_EVENT = {"id": "e", "rollout_id": ROLLOUT, "sequence": 1, "event": "rollout.queued", "data": {}}


def _figures(name: str, path: str, **changed: Any) -> Exchange:
    return answered("GET", path, 200, {**example(name), **changed})


def _timing(**changed: Any) -> Exchange:
    return _summary(timing={**example("rollout_summary")["timing"], **changed})


def _events(**changed: Any) -> Exchange:
    page = {"rollout_id": ROLLOUT, "status": "completed", "next_sequence": 1, "has_more": False}
    path = f"{_ROLLOUT}/events?format=json"
    return answered("GET", path, 200, {**page, "events": [_EVENT], **changed})


def _batch(**changed: Any) -> Exchange:
    item = {"index": 0, "status": 200, "rollout": _DONE, "error": None}
    body = {"items": [item], "admitted": 1, "refused": 0, "rollouts": [], **changed}
    return answered("POST", "/v1/rollouts/batch", 200, body, sent={"rollouts": [{}]})


# Answers of which the last one breaks the rule.
BREAKS: dict[str, Exchange | tuple[Exchange, ...]] = {
    "agree.admitted": _batch(admitted=2),
    "agree.container_url": _figures(
        "pool_urls", f"{_POOL}/urls", container_url="http://no.invalid"
    ),
    "agree.refused": _batch(refused=1),
    "agree.mode": _rollout(mode="sync"),
    "agree.trace_correlation_id": _rollout(trace_correlation_id="another"),
    "agree.run": _rollout(run="another"),
    "agree.labels": _rollout(labels={"another": "x"}),
    "agree.pool_id": _rollout(request={**_DONE["request"], "pool_id": "other"}),
    "agree.queue_seconds": _timing(queue_seconds=7),
    "agree.run_seconds": _timing(run_seconds=7),
    "agree.sandbox_minutes": _figures("rollout_usage", _USAGE, sandbox_minutes=7),
    "agree.success_rate": _figures("pool_metrics", _METRICS, success_rate=0.123),
    "agree.valid": answered(
        "POST", _VALIDATION, 200, {"valid": False, "errors": [], "pool_id": None}, sent={}
    ),
    "agree.next_sequence": _events(next_sequence=2),
    "agree.sequence": _events(events=[_EVENT, {**_EVENT, "sequence": 3}], next_sequence=3),
    "agree.ended": _figures("pool_event_page", f"{_POOL}/events?format=json", ended=True),
    "agree.time": _refused(200, example("pool"), ("date", "Wed, 01 Jan 2020 00:00:00 GMT")),
    "facts.created": (_rollout(), _rollout(pool_id="other")),
    "facts.deleted": (
        _rollout(**_OF_RUN),
        answered("DELETE", "/v1/runs/a", 200, {**_RUN, "name": "a"}),
        _page({**_DONE, **_OF_RUN}),
    ),
    "facts.final": (_rollout(), _summary(timing={"finished_at": "2026-11-20T09:30:02Z"})),
    "facts.replay": (_rollout(), _page({**_OTHER, "replay_of": ROLLOUT, "request": {"seed": 99}})),
    "facts.event": (streamed(stream(*WHOLE)), streamed(stream(*WHOLE, id="e"))),
    "facts.usage": (_rollout(), _figures("rollout_usage", _USAGE, wall_time_sec=99)),
    "facts.artifacts": (_rollout(), _artifacts(), _artifacts(size_bytes=99)),
    "facts.pool": (_pool(), _pool(created_at="2020-01-01T00:00:00Z")),
    "facts.archived": (_pool(**_ARCHIVED), _pool(**{**_ARCHIVED, "capacity": 7})),
    "facts.patched": (
        _pool(),
        answered("PATCH", _POOL, 200, {**example("pool"), "concurrency": 99}, sent={"name": "x"}),
    ),
    "facts.stored": (_pool(), _figures("pool_metrics", _METRICS, capacity=7)),
    "facts.metrics": (_rollout(), _figures("pool_metrics", _METRICS, completed_rollouts=0)),
    "facts.runs": (
        _rollout(**_OF_RUN),
        answered("GET", "/v1/runs/a", 200, {**_RUN, "name": "a", "rollouts": {"completed": 0}}),
    ),
    "facts.run": (
        _rollout(**_OF_RUN),
        *(
            answered(
                "GET", "/v1/runs/a", 200, {**_RUN, "name": "a", "configuration_digest": digest}
            )
            for digest in ("a" * 64, "b" * 64)
        ),
    ),
    "facts.state": (
        _pool(status="paused", state="paused"),
        _figures("pool_event_page", f"{_POOL}/events?format=json"),
        _pool(status="paused", state="paused"),
    ),
    "facts.streams": (
        streamed(stream(*WHOLE)),
        replace(
            pool_streamed(("r", 1)),
            response_headers=(("content-type", "text/event-stream"), ("x-accel-buffering", "no")),
        ),
    ),
    "facts.request_id": (_refused(404), _refused(404)),
    "facts.listed": (_rollout(), _page()),
    "schema.status": answered("GET", _POOL, 418, _NO),
    "schema.content_type": answered("GET", _POOL, 200, b"<html></html>", content_type="text/html"),
    "schema.headers": answered(
        "GET", _POOL, 429, _NO, headers=(*_REQUEST_ID, ("retry-after", "-1"))
    ),
    "schema.body": answered("GET", _POOL, 200, {"pool_id": "docs-example-pool"}),
    "schema.error_body": _refused(404, {"message": "no"}),
    "schema.request_id": answered("GET", _POOL, 404, _NO, headers=()),
    "schema.retry_after": _refused(503),
    "schema.origins": answered(
        "GET", _POOL, 404, _NO, headers=(*_REQUEST_ID, ("access-control-allow-origin", "*"))
    ),
    "schema.code": _refused(404, {"error": {"code": "pool_archived", "message": "no"}}),
    "schema.location": answered(
        "POST",
        "/v1/pools",
        201,
        example("pool"),
        headers=(*_REQUEST_ID, ("location", "http://elsewhere/v1/pools/docs-example-pool")),
        sent={"name": "docs-example-pool"},
    ),
    "schema.coded": _refused(404, {"detail": "no"}),
    "schema.retryable": _refused(
        404, {"error": {"code": "pool_not_found", "message": "no", "retryable": True}}
    ),
    "schema.allow": answered("TRACE", _POOL, 405, _NO),
    "errors.request_id": _refused(
        404, {"error": {"code": "not_found", "message": "no", "request_id": "req_2"}}
    ),
    "errors.loc": _refused(
        422, {"detail": [{"loc": ["query", "x"], "msg": "no", "type": "value_error"}]}
    ),
    "errors.retry_after": _refused(
        503,
        {"error": {"code": "no_room", "message": "no", "retry_after_ms": 1001}},
        ("retry-after", "1"),
    ),
    "agree.task_usage": _figures(
        "pool_metrics", _METRICS, usage={**example("pool_metrics")["usage"], "cost_usd": 99.0}
    ),
    "agree.id": _pool(id="other"),
    "agree.status": _pool(state="archived"),
    "agree.config": _pool(pool_config={"a": 1}),
    "agree.metadata": _pool(pool_metadata={"a": 1}),
    "agree.tasks": _pool(tasks=[{**example("task"), "pool_id": "other"}]),
    "agree.score": _rollout(score=0.125),
    "agree.artifact_type": _artifacts(kind="another"),
    "agree.error": _rollout(error={"code": "x", "message": "y"}),
    "agree.finished_at": _rollout(finished_at=None),
    "agree.result": _rollout(result=None),
    "agree.task_id": _rollout(task_id="subtraction"),
    "agree.creation": answered("POST", "/v1/rollouts", 202, _DONE, sent={}),
    "agree.last_event": _summary(
        last_event={**(example("rollout_summary")["last_event"] or {}), "rollout_id": "rollout_2"}
    ),
    "asked.pool_id": _pool(id="other", pool_id="other"),
    "asked.task_id": answered(
        "PUT", _TASK, 200, {**example("task"), "id": "other", "task_id": "other"}, sent={}
    ),
    "asked.release_id": answered(
        "GET",
        f"{_POOL}/runtime_image_releases/release_1",
        200,
        {**example("image_release"), "id": "other", "release_id": "other"},
    ),
    "agree.scopes": _figures("capabilities", "/v1/capabilities", scopes=["admin", "read"]),
    "asked.replay_of": answered(
        "POST", f"{_ROLLOUT}/replay", 200, {**_OTHER, "replay_of": "rollout_3"}, sent=None
    ),
    "asked.rollout_id": _rollout(id="rollout_2", rollout_id="rollout_2"),
    "page.limit": _page(_OTHER, _DONE, query="?limit=1"),
    "page.state": _page(_DONE, query="?state=failed"),
    "page.archived": _page(
        {**example("pool"), "status": "archived", "state": "archived"}, path="/v1/pools"
    ),
    "page.order": _page(_DONE, _NEWER),
    "page.once": _page(_DONE, _DONE),
    "echo.name": _created("create_pool", {}, name="other"),
    "echo.metadata": _created("create_pool", {"metadata": {"team": True}}),
    "echo.config": _created("create_pool", {"config": {"a": 1}}),
    "echo.capacity": _created("create_pool", {"capacity": 7}),
    "echo.concurrency": _created("create_pool", {"concurrency": 7}),
    "echo.container_url": _created("create_pool", {"container_url": "http://127.0.0.1:1"}),
    "echo.container_urls": _created("create_pool", {"container_urls": ["http://127.0.0.1:1"]}),
    "echo.task_config": _created("create_task", {"task_config": {"a": True}}),
    "echo.task_metadata": _created("create_task", {"task_metadata": {"a": True}}),
    "echo.request": _created("create_rollout", {"seed": 8}),
    "echo.pool_id": _created("create_pool", {"pool_id": "mine"}),
    "echo.task_id": _created("create_task", {"task_id": "mine"}),
    "events.schema": streamed(stream(*WHOLE, sequence="1")),
    "events.fields": streamed(stream(*WHOLE).replace(b"id: evt_0000000002", b"id: e2")),
    "events.sequence": streamed(stream(*WHOLE[:1]) + stream("rollout.completed", first=3)),
    "events.ids": streamed(stream(*WHOLE, id="evt")),
    "events.terminal": streamed(stream(*WHOLE, "agent")),
    "events.cursors": pool_streamed(("r", 1), ("r", 2), cursors="ba"),
    "events.pool_sequence": pool_streamed(("r", 1), ("s", 1), ("r", 3)),
    "events.position": replace(
        pool_streamed(("r", 1)), response_body=pool_streamed(("r", 1)).response_body[7:]
    ),
    "events.pool_start": pool_streamed(("r", 1), ("s", 2)),
    "events.first": streamed(stream("agent", "rollout.completed")),
    "events.start": streamed(b""),
    "events.owner": streamed(stream(*WHOLE, rollout_id="rollout_other")),
}

# Names that end an id, by its first part.
_NAMED = {
    "agree.": {field for pairs in TWINS.values() for field, _ in pairs}
    | {"admitted", "refused", "queue_seconds", "run_seconds"}
    | (DOCUMENT.properties("Rollout").keys() & DOCUMENT.properties("RolloutRequest").keys()),
    "asked.": {"pool_id", "task_id", "rollout_id", "release_id"},
    "echo.": {name for names in ECHOED.values() for name in names} | {"pool_id", "task_id"},
}
# Functions that build the result of a rule; its id comes first.
_BUILDERS = (
    *("RuleResult", "_judge", "_judge_counts", "judge", "judge_fields", "_required"),
    *("state", "_compare"),
)


def _emitted() -> set[str]:
    """Collect the ids from the source of the rules."""
    ids: set[str] = set()
    for path in Path(rules.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            if ast.unparse(node.func).rpartition(".")[2] not in _BUILDERS:
                continue
            match node.args[0]:
                case ast.Constant(value=str(check)):
                    ids.add(check)
                case ast.JoinedStr(values=[ast.Constant(value=str(subject)), *_]):
                    ids |= {subject + name for name in _NAMED[subject]}
                case ast.Name(id="check"):
                    pass  # handed on: the calls of that function name it
                case unread:
                    pytest.fail(f"{path.name}: an id that cannot be read: {ast.unparse(unread)}")
    return ids


def test_every_rule_has_an_answer_that_breaks_it() -> None:
    emitted = _emitted()
    assert len(emitted) > 40
    assert emitted == BREAKS.keys()


def test_the_ids_in_paths_are_those_of_the_document() -> None:
    parameters = {
        name for op in DOCUMENT.operations.values() for name in re.findall(r"{(\w+)}", op.path)
    }
    # An artifact is answered as bytes, an operation on a deployment in the server's terms, a run by
    # its name.
    assert _NAMED["asked."] == parameters - {"artifact_path", "operation_id", "run"}


@pytest.mark.parametrize("rule", BREAKS)
def test_the_kit_sees_the_rule_broken(rule: str) -> None:
    breaking = BREAKS[rule]
    exchanges = breaking if isinstance(breaking, tuple) else (breaking,)
    assert rule in complaints(*exchanges)
    assert rule not in complaints(*exchanges[:-1])


def test_the_answers_depart_in_little_else() -> None:
    """Prove that a row shows its own rule: the unbroken answer has no departure."""
    for exchange in (_pool(), _rollout(), _summary(), _artifacts(), streamed(stream(*WHOLE))):
        assert complaints(exchange) == set()
    assert complaints(_page(_NEWER, _DONE)) == set()
    assert complaints(pool_streamed(("r", 1), ("s", 1), ("r", 2))) == set()
    assert complaints(_refused(503, _NO, ("retry-after", "1"))) == set()


def test_a_page_that_begins_anew_is_seen_however_quickly_all_was_created() -> None:
    first, second, third = (
        {**_DONE, "id": f"r{place}", "rollout_id": f"r{place}"} for place in (3, 2, 1)
    )

    def page(items: list[dict[str, Any]], query: str, following: str | None) -> Exchange:
        body = {"items": items, "next_cursor": following}
        headers = (("x-request-id", f"req{query}"), ("vary", "Prefer"))
        return answered("GET", f"/v1/rollouts{query}", 200, body, headers=headers)

    beginning = page([first, second], "?limit=2", "c1")
    assert complaints(beginning, page([third], "?limit=4&cursor=c1", None)) == set()
    assert complaints(beginning, page([first, second, third], "?limit=3&cursor=c1", None)) == {
        "facts.listed"
    }
    # The cursor of another list says nothing about this one.
    filtered = page([first, second], "?state=completed&cursor=c1", None)
    assert complaints(beginning, filtered) == set()
