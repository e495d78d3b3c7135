"""Answers that each rule judges, and its words for a departure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth_pools.contract.results import Column, Exchange
from synth_pools.contract.rules.conformance import check_conformance
from synth_pools.contract.rules.consistency import check_consistency
from synth_pools.contract.rules.event_streams import check_event_stream
from synth_pools.contract.rules.verdict import RuleResult
from tests.contract.rules.answers import (
    DOCUMENT,
    ROLLOUT,
    WHOLE,
    answered,
    example,
    pool_streamed,
    stream,
    streamed,
)

_POOL = "/v1/pools/docs-example-pool"
_ROLLOUT = f"/v1/rollouts/{ROLLOUT}"
_DONE = example("rollout_completed")


def _results(exchange: Exchange) -> list[RuleResult]:
    operation = DOCUMENT.operation_of(exchange.method, exchange.url)
    rules = (check_conformance, check_consistency, check_event_stream)
    return [result for rule in rules for result in rule(DOCUMENT, operation, exchange)]


def _told(exchange: Exchange) -> dict[str, str | None]:
    """Return the words of each rule that judges an exchange; None where it holds."""
    departed: dict[str, str | None] = {}
    for result in _results(exchange):
        departed[result.check] = departed.get(result.check) or result.got
    return departed


def _judged(exchange: Exchange, beginning: str) -> dict[str, str | None]:
    return {check: got for check, got in _told(exchange).items() if check.startswith(beginning)}


def _page(*stamps: str, query: str = "", path: str = "/v1/rollouts", **changed: Any) -> Exchange:
    items = [
        {**_DONE, "id": f"r{number}", "rollout_id": f"r{number}", "created_at": stamp, **changed}
        for number, stamp in enumerate(stamps)
    ]
    return answered("GET", path + query, 200, {"items": items, "next_cursor": None})


@pytest.mark.parametrize(
    ("query", "is_judged"),
    [
        ("", False),
        ("?limit=", False),
        ("?limit=0", False),
        ("?limit=1001", False),
        ("?limit=²", False),
        ("?limit=x", False),
        ("?limit=1000", True),
        ("?limit=3", True),
    ],
)
def test_a_limit_is_judged_where_it_is_one(query: str, is_judged: bool) -> None:
    exchange = _page("2026-01-03Z", "2026-01-02Z", "2026-01-01Z", query=query)
    results = [result.got for result in _results(exchange) if result.check == "page.limit"]
    assert results == ([None] if is_judged else [])


@pytest.mark.parametrize("limit", [1, 2])
def test_a_page_holds_no_more_items_than_its_limit(limit: int) -> None:
    exchange = _page("2026-01-03Z", "2026-01-02Z", "2026-01-01Z", query=f"?limit={limit}")
    (result,) = [result for result in _results(exchange) if result.check == "page.limit"]
    assert result.expected == f'a page holds at most limit items: "at most {limit}"'
    assert result.got == '"3"'
    assert (result.column, result.cause) == (Column.BEHAVIOUR, "page.limit|list_global_rollouts")
    assert str(result.clause) == "GET /v1/rollouts: a page holds at most limit items"


@pytest.mark.parametrize(
    ("stamps", "ordered"),
    [
        (("2026-01-02T00:00:00.000001Z", "2026-01-02T00:00:00.000000Z"), True),
        (("2026-01-02T00:00:00.000000Z", "2026-01-02T00:00:00.000001Z"), False),
        # Times of different lengths or zones cannot be compared as text.
        (("2026-01-02T00:00:00Z", "2026-01-02T00:00:00.5Z"), True),
        (("2026-01-02T00:00:00+0", "2026-01-02T01:00:00Z0"), False),
        (("2026-01-02T00:00:0a", "2026-01-02T01:00:0b"), True),
        ((), True),
    ],
)
def test_an_order_is_judged_where_stamps_can_be_compared(
    stamps: tuple[str, ...], ordered: bool
) -> None:
    got = _told(_page(*stamps))["page.order"]
    assert got == (None if ordered else json.dumps(stamps))


def test_pages_of_what_has_no_state() -> None:
    archived = {**example("pool"), "status": "archived", "state": "archived"}

    def listed(query: str, path: str = "/v1/pools") -> dict[str, str | None]:
        body = {"items": [archived, 5], "next_cursor": None}
        return _told(answered("GET", path + query, 200, body))

    assert listed("")["page.archived"] == '["archived"]'
    assert "page.state" not in listed("")
    assert listed("?state=archived")["page.state"] is None
    assert "page.archived" not in listed("?state=archived")
    assert listed("?state=idle")["page.state"] == '["archived"]'
    # Two states are ambiguous.
    assert not {"page.state", "page.archived"} & listed("?state=a&state=b").keys()
    assert listed("")["page.once"] is None
    assert "page.archived" not in listed("", "/v1/rollouts")
    artifacts = example("artifact_list")
    departed = _told(answered("GET", f"{_ROLLOUT}/artifacts", 200, artifacts))
    assert "page.order" not in departed
    assert departed["page.once"] is None
    artifacts["items"] *= 2
    count = len(artifacts["items"])
    departed = _told(answered("GET", f"{_ROLLOUT}/artifacts", 200, artifacts))
    assert departed["page.once"] == str(count // 2)


@pytest.mark.parametrize(
    ("changed", "names"),
    [({}, ["result", "score"]), ({"metrics": None}, ["result"]), ({"status": "failed"}, ["score"])],
)
def test_of_a_rollout_is_said_what_it_has(changed: dict[str, Any], names: list[str]) -> None:
    departed = _judged(answered("GET", _ROLLOUT, 200, {**_DONE, **changed}), "agree.")
    always = ["error", "finished_at", "id", "mode", "status", "task_id", "trace_correlation_id"]
    assert sorted(departed) == sorted(f"agree.{name}" for name in (*always, *names))


@pytest.mark.parametrize(
    ("changed", "check", "got"),
    [
        ({"status": "failed"}, "agree.error", "false"),
        ({"status": "failed"}, "agree.status", '"completed"'),
        ({"status": "running"}, "agree.finished_at", "true"),
        ({"status": "completed", "result": None}, "agree.result", "false"),
        ({"request": None}, "agree.task_id", '"addition"'),
        ({"request": None, "task_id": None}, "agree.task_id", None),
        ({"score": True, "metrics": {"outcome_reward": 1}}, "agree.score", "true"),
    ],
)
def test_a_rollout_departs_with_what_came(
    changed: dict[str, Any], check: str, got: str | None
) -> None:
    assert _told(answered("GET", _ROLLOUT, 200, {**_DONE, **changed}))[check] == got


def test_a_summary_and_a_batch_are_judged_by_their_rollouts() -> None:
    summary = {**example("rollout_summary"), "status": "failed", "error": None, "last_event": None}
    departed = _told(answered("GET", f"{_ROLLOUT}/summary", 200, summary))
    assert departed["agree.error"] == "false"
    assert "agree.last_event" not in departed
    batch = {"items": [5, {"rollout": {**_DONE, "state": "queued"}}, {"rollout": None}]}
    assert _judged(answered("POST", "/v1/rollouts/batch", 200, batch), "agree.status") == {
        "agree.status": '"queued"'
    }


def test_a_replay_is_another_rollout_than_the_one_in_its_path() -> None:
    replayed = {**_DONE, "id": "rollout_2", "rollout_id": "rollout_2", "replay_of": ROLLOUT}
    replay = answered("POST", f"{_ROLLOUT}/replay", 202, replayed, sent={})
    assert _judged(replay, "asked.") == {"asked.replay_of": None}
    assert _judged(answered("GET", _ROLLOUT, 200, replayed), "asked.") == {
        "asked.rollout_id": '"rollout_2"'
    }


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"error": {"request_id": "a"}}, (("x-request-id", "b"),), {"errors.request_id": '"a"'}),
        ({"error": {"request_id": "b"}}, (("x-request-id", "b"),), {"errors.request_id": None}),
        ({"error": {"request_id": 5}}, (("x-request-id", "b"),), {}),
        ({"error": {"request_id": "a"}}, (), {}),
        ({"error": "a"}, (("x-request-id", "b"),), {}),
        ([], (("x-request-id", "b"),), {}),
    ],
)
def test_the_id_of_a_request(
    body: Any, headers: tuple[tuple[str, str], ...], expected: dict[str, str | None]
) -> None:
    for status in (400, 500):
        assert _judged(answered("GET", _POOL, status, body, headers=headers), "errors.") == expected


def test_of_some_answers_no_rule_says_whether_they_agree() -> None:
    pool = {**example("pool"), "id": "other"}
    for exchange in (
        answered("GET", "/v1/nothing", 200, pool),
        answered("GET", _POOL, 200, pool, content_type="text/plain"),
        answered("GET", _POOL, 200, b"{"),
        answered("GET", _POOL, 200, [pool]),
        answered("GET", _POOL, 299, pool),
        Exchange("GET", f"http://127.0.0.1:8080{_POOL}"),
    ):
        assert not [check for check in _told(exchange) if not check.startswith("schema.")]


def test_what_was_sent_is_compared_where_it_was_given() -> None:
    def created(sent: Any, **changed: Any) -> dict[str, str | None]:
        body = {**example("pool"), **changed}
        return _judged(answered("POST", "/v1/pools", 201, body, sent=sent), "echo.")

    name = example("pool")["name"]
    assert created({"name": name, "capacity": None}) == {"echo.name": None}
    assert created({"name": "x"}) == {"echo.name": json.dumps(name)}
    assert created([]) == {}
    assert created({"pool_id": "x"}) == {"echo.pool_id": '"docs-example-pool"'}
    assert created({"id": "x"}) == {"echo.pool_id": '"docs-example-pool"'}
    assert created({"id": 5}) == {}

    def ran(sent: Any, path: str = "/v1/rollouts", **changed: Any) -> dict[str, str | None]:
        body = {**example("rollout_queued"), **changed}
        return _judged(answered("POST", path, 202, body, sent=sent), "echo.")

    assert ran({"a": None}, request={"b": None}) == {"echo.request": None}
    assert ran({"a": 1}, request="x") == {"echo.request": '"x"'}
    assert ran({}, request=None) == {"echo.request": "null"}
    pool = ran({"pool_id": "x"}, f"{_POOL}/rollouts", request={"pool_id": "x"}, pool_id="y")
    assert pool == {"echo.request": None, "echo.pool_id": '"y"'}


@pytest.mark.parametrize(
    ("exchange", "check", "got"),
    [
        (
            streamed(stream(*WHOLE[:1]) + stream("rollout.completed", first=3)),
            "events.sequence",
            "sequences [1, 3]",
        ),
        (streamed(stream("a") + stream("b")), "events.sequence", "sequences [1, 1]"),
        (
            streamed(stream("rollout.queued", first=2) + stream("agent")),
            "events.ids",
            'ids ["evt_0000000002", "evt_0000000001"]',
        ),
        (
            streamed(stream(*WHOLE, "agent")),
            "events.terminal",
            'events ["rollout.queued", "rollout.started", "rollout.completed", "agent"]',
        ),
        (
            streamed(stream(*WHOLE, "rollout.failed")),
            "events.terminal",
            'events ["rollout.queued", "rollout.started", "rollout.completed", "rollout.failed"]',
        ),
        (
            streamed(stream(*WHOLE[:2])),
            "events.terminal",
            'the stream ended after ["rollout.queued", "rollout.started"]',
        ),
        (streamed(b"", "?cursor=3"), "events.terminal", None),
        (streamed(stream(*WHOLE[:2]), trouble="left"), "events.terminal", None),
        (streamed(stream("agent", "rollout.completed")), "events.first", "first is agent"),
        (streamed(stream(*WHOLE)), "events.first", None),
        (streamed(b""), "events.start", "sequences []"),
        (streamed(stream("agent", first=2), trouble="left"), "events.start", "sequences [2]"),
        (
            streamed(stream(*WHOLE, rollout_id="other")),
            "events.owner",
            f"{ROLLOUT} was asked for, other came",
        ),
        (streamed(b"event: a\n\n" + b"data: {}\n\n"), "events.schema", "without id and event"),
        (streamed(b"id: 1\nevent: a\ndata: {\n\n"), "events.schema", "data: is no JSON: {"),
        (pool_streamed(("r", 1), ("r", 2), cursors="ba"), "events.cursors", 'ids ["b", "a"]'),
        (pool_streamed(("r", 1), ("r", 2), cursors="aa"), "events.cursors", 'ids ["a", "a"]'),
        (
            pool_streamed(("r", 1), ("s", 1), ("s", 3)),
            "events.pool_sequence",
            "sequences s: [1, 3]",
        ),
        (pool_streamed(("r", 1), ("s", 2)), "events.pool_start", "the first sequence of s: 2"),
    ],
)
def test_a_stream_departs_with_what_came(exchange: Exchange, check: str, got: str | None) -> None:
    departed = _told(exchange)
    assert check in departed
    if got is None or departed[check] is None:
        assert departed[check] == got
    else:
        assert str(departed[check]).startswith(got)


def _asked(exchange: Exchange, query: str, *headers: tuple[str, str]) -> Exchange:
    return Exchange(
        exchange.method,
        exchange.url + query,
        headers,
        status=200,
        response_headers=exchange.response_headers,
        response_body=exchange.response_body,
        trouble=exchange.trouble,
    )


@pytest.mark.parametrize(
    ("exchange", "check", "is_said"),
    [
        (streamed(stream("agent", first=2)), "events.first", False),
        (streamed(stream(*WHOLE)), "events.start", True),
        (streamed(b"", trouble="left"), "events.start", False),
        (streamed(stream("agent"), "?cursor="), "events.start", False),
        (streamed(stream("agent"), "?after_sequence=0"), "events.start", False),
        (_asked(streamed(b""), "", ("Last-Event-ID", "3")), "events.start", False),
        (pool_streamed(("r", 1)), "events.pool_start", True),
        (_asked(pool_streamed(("r", 2)), "?start=latest"), "events.pool_start", False),
        (_asked(pool_streamed(("r", 2)), "?start=first"), "events.pool_start", True),
        (_asked(pool_streamed(("r", 2)), "?types=agent"), "events.pool_start", False),
        (_asked(pool_streamed(("r", 2)), "?cursor=a"), "events.pool_start", False),
        (pool_streamed(("r", 1)), "events.sequence", False),
    ],
)
def test_what_is_said_of_a_stream_depends_on_what_was_asked_for(
    exchange: Exchange, check: str, is_said: bool
) -> None:
    assert (check in _told(exchange)) is is_said


def test_some_types_of_a_pool_may_leave_gaps_but_no_event_comes_twice() -> None:
    gap = _asked(pool_streamed(("r", 1), ("r", 3)), "?types=agent")
    assert _told(gap)["events.pool_sequence"] is None
    twice = _asked(pool_streamed(("r", 1), ("r", 1)), "?types=agent")
    assert _told(twice)["events.pool_sequence"] == "sequences r: [1, 1]"


def test_heartbeats_do_not_count() -> None:
    beat = stream("heartbeat", first=9)
    departed = _told(streamed(stream(*WHOLE[:2]) + beat + stream("rollout.completed", first=3)))
    assert departed["events.sequence"] is None
    assert departed["events.terminal"] is None


@pytest.mark.parametrize(
    ("status", "content_type", "path"),
    [
        (206, "text/event-stream", f"{_ROLLOUT}/events"),
        (200, "application/json", f"{_ROLLOUT}/events"),
        (200, "text/event-stream", "/v1/nothing"),
    ],
)
def test_no_stream_is_judged_as_none(status: int, content_type: str, path: str) -> None:
    exchange = answered("GET", path, status, b"data: x\n\n", content_type=content_type)
    assert _judged(exchange, "events.") == {}
