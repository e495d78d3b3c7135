"""Views of a rollout: right ones pass, and each wrong part departs by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.rollout_views import (
    ACCOUNTS,
    ExpectedState,
    RolloutViews,
    judge_rollout_views,
    read_rollout_views,
)
from synth_pools.contract.harness.views import USAGE
from synth_pools.contract.harness.waits import run_rollout
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.options import ApiKey
from synth_pools.contract.preflight import first_contact
from synth_pools.contract.results import Exchange, Outcome
from synth_pools.contract.selections import describes_rollout, select_operations
from synth_pools.local import LocalBackend
from tests.contract.harness.sessions import DOCUMENT, URL, context, departures, session

_TIME = "2026-11-20T09:30:01Z"
_STATES = ("queued", "running", *FINAL)
_WHOLE = ("get_rollout", "get_global_rollout", "list_rollouts", "list_global_rollouts")
_PARTS = tuple(
    name for name in select_operations(DOCUMENT.operations, describes_rollout) if name not in _WHOLE
)
_COUNTS = {
    "queued": (0, 1, 0, 0, 0),
    "running": (1, 0, 0, 0, 0),
    "completed": (0, 0, 3, 1, 0),
    "failed": (0, 0, 0, 1, 0),
    "cancelled": (0, 0, 0, 0, 1),
}
_RATES = {"completed": 0.75, "failed": 0.0}


def _right(status: str, started: bool) -> dict[str, Any]:
    """Return the right view of a rollout by operation."""
    final = status in FINAL
    times = {
        "created_at": _TIME,
        "started_at": _TIME if started else None,
        "finished_at": _TIME if final else None,
    }
    error = {"code": "x"} if status == "failed" else None
    result: dict[str, Any] | None = {} if status == "completed" else None
    rollout_view = {"status": status, **times, "error": error, "result": result, "score": None}
    summary = {
        "status": status,
        "timing": {
            **times,
            "queue_seconds": 0.0 if started else None,
            "run_seconds": 0.0 if started and final else None,
        },
        "error": error,
        "reward": 1.0 if status == "completed" else None,
        "score": None,
        "last_event": {"event": "step" if status == "running" else f"rollout.{status}"},
    }
    types = ["rollout.queued", *["rollout.started", "step"] * started]
    types += [f"rollout.{status}"] * final
    page = {"status": status, "has_more": False, "events": [{"event": state} for state in types]}
    names = ("active", "queued", "completed", "failed", "cancelled")
    counts = dict(zip((f"{state}_rollouts" for state in names), _COUNTS[status], strict=True))
    views: dict[str, Any] = {
        **dict.fromkeys(_WHOLE, rollout_view),
        **{name: summary for name in _PARTS if name.endswith("_summary")},
        **{
            name: dict.fromkeys(USAGE, 1.5 if started else None)
            for name in _PARTS
            if name.endswith("_usage")
        },
        **{
            name: {"items": [{}] if final else []} for name in _PARTS if name.endswith("_artifacts")
        },
        "stream_rollout_events": page,
        "stream_global_rollout_events": page,
        "get_pool_metrics": {**counts, "success_rate": _RATES.get(status)},
        "get_queue_status": {"running": 2, "queued": 1},
    }
    # Copies, so that a test can change one alone.
    return {name: json.loads(json.dumps(view)) for name, view in views.items()}


def _judged(
    status: str, started: bool, views: Mapping[str, Any], odd_list: tuple[str, str] = ("", "")
) -> set[str]:
    """Judge views, and return the operations that departed."""
    responses = {
        name: Response(
            Exchange(
                "GET", URL, status=200, response_body=json.dumps(view).encode(), operation=name
            )
        )
        for name, view in views.items()
        if view is not ABSENT
    }
    nothing = Response(Exchange("GET", URL, status=200))
    accounts = RolloutViews(
        tuple((name, views[name], responses.get(name, nothing)) for name in _WHOLE),
        tuple(
            (name, state, (state == status) is not ((name, state) == odd_list), nothing)
            for name in _WHOLE[2:]
            for state in _STATES
        ),
        {name: responses[name] for name in _PARTS},
        {name: response for name, response in responses.items() if name.startswith("stream_")},
        responses["get_pool_metrics"],
        responses["get_queue_status"],
    )
    run = session()
    expected = ExpectedState(status, started, _COUNTS[status], (2, 1))
    judge_rollout_views(context(run, *ACCOUNTS), accounts, expected)
    judged = {outcome.operation for outcome in run.collector.result().outcomes}
    # Artifacts are compared only until the end.
    artifacts = {name for name in _PARTS if name.endswith("_artifacts")}
    usage = {name for name in _PARTS if name.endswith("_usage")}
    left_out = (artifacts if status in FINAL else set()) | (usage if started else set())
    assert judged == set(select_operations(DOCUMENT.operations, *ACCOUNTS)) - left_out
    return {departure.operation for departure in departures(run)}


@pytest.mark.parametrize(
    ("status", "started"),
    [*[(state, state != "queued") for state in _STATES], ("cancelled", False), ("failed", False)],
)
def test_what_is_right_is_taken(status: str, started: bool) -> None:
    assert _judged(status, started, _right(status, started)) == set()


def test_what_a_backend_need_not_tell_may_be_left_out() -> None:
    views = _right("running", True)
    for name in _WHOLE:
        views[name] = {"status": "running"}
    for name in _PARTS:
        if name.endswith("_summary"):
            views[name] = {"status": "running", "last_event": {"event": "step"}}
    views["get_pool_metrics"] = {"success_rate": None}
    assert _judged("running", True, views) == set()


@pytest.mark.parametrize(
    ("status", "started", "path", "value"),
    [
        ("queued", False, "get_rollout/status", "running"),
        ("queued", False, "list_rollouts/created_at", None),
        ("queued", False, "get_global_rollout/started_at", _TIME),
        ("queued", False, "list_global_rollouts/finished_at", _TIME),
        ("running", True, "get_rollout/started_at", None),
        ("running", True, "get_rollout/finished_at", _TIME),
        ("running", True, "get_rollout/error", {}),
        ("running", True, "get_rollout/result", {}),
        ("running", True, "get_rollout/score", 0.0),
        ("completed", True, "get_rollout/result", None),
        ("completed", True, "get_rollout/finished_at", None),
        ("failed", True, "get_rollout/error", None),
        ("cancelled", False, "get_rollout/result", {}),
        ("queued", False, "get_rollout_summary/status", "running"),
        ("queued", False, "get_rollout_summary/timing/created_at", None),
        ("queued", False, "get_rollout_summary/timing/started_at", _TIME),
        ("queued", False, "get_rollout_summary/timing/queue_seconds", 1.0),
        ("running", True, "get_rollout_summary/timing/run_seconds", 1.0),
        ("running", True, "get_rollout_summary/timing/queue_seconds", None),
        ("completed", True, "get_rollout_summary/timing/run_seconds", None),
        ("completed", True, "get_rollout_summary/timing/finished_at", None),
        ("cancelled", False, "get_rollout_summary/timing/run_seconds", 1.0),
        ("failed", True, "get_global_rollout_summary/error", None),
        ("completed", True, "get_global_rollout_summary/error", {}),
        ("queued", False, "get_rollout_summary/reward", 1.0),
        ("running", True, "get_rollout_summary/score", 1.0),
        ("cancelled", True, "get_rollout_summary/reward", 1.0),
        ("running", True, "get_rollout_summary/last_event/event", "rollout.queued"),
        ("running", True, "get_rollout_summary/last_event/event", "rollout.completed"),
        ("completed", True, "get_rollout_summary/last_event/event", "step"),
        ("queued", False, "get_rollout_usage/cost_usd", 1.0),
        ("running", True, "get_rollout_artifacts/items", [{}]),
        ("queued", False, "stream_rollout_events/status", "running"),
        ("completed", True, "stream_rollout_events/has_more", True),
        ("running", True, "stream_rollout_events/events", [{"event": "rollout.queued"}]),
        ("completed", True, "stream_global_rollout_events/events", None),
        ("completed", True, "get_pool_metrics/completed_rollouts", 2),
        ("completed", True, "get_pool_metrics/failed_rollouts", 0),
        ("completed", True, "get_pool_metrics/success_rate", 1.0),
        ("queued", False, "get_pool_metrics/success_rate", 0.0),
        ("running", True, "get_queue_status/running", 1),
        ("queued", False, "get_queue_status/queued", 0),
        ("queued", False, "get_queue_status/queued", "1"),
    ],
)
def test_what_is_wrong_departs_by_itself(status: str, started: bool, path: str, value: Any) -> None:
    operation, *steps = path.split("/")
    views = _right(status, started)
    inner = views[operation]
    for step in steps[:-1]:
        inner = inner[step]
    assert inner[steps[-1]] != value
    inner[steps[-1]] = value
    assert _judged(status, started, views) == {operation}


@pytest.mark.parametrize("state", ["completed", "queued"])
def test_a_list_of_one_state_has_those_in_it_alone(state: str) -> None:
    views = _right("completed", True)
    assert _judged("completed", True, views, ("list_rollouts", state)) == {"list_rollouts"}


def test_a_rollout_that_is_not_shown_departs() -> None:
    views = {**_right("completed", True), "list_global_rollouts": ABSENT}
    assert _judged("completed", True, views) == {"list_global_rollouts"}


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as running:
        yield running


def test_every_account_of_a_backend_is_read_and_right(backend: LocalBackend) -> None:
    run = session(url=backend.url, key=ApiKey(backend.api_key))
    first_contact(run)
    ctx = context(run, *ACCOUNTS)
    rollout = run_rollout(ctx, ctx.resources.pool())
    for has_pages in (False, True):
        run.features = {**run.features, "event_pages": has_pages}
        accounts = read_rollout_views(ctx, rollout)
        assert len(accounts.pages) == (2 if has_pages else 0)
    assert tuple(name for name, _, _ in accounts.rollouts) == _WHOLE
    assert [(name, state) for name, state, there, _ in accounts.lists if there] == [
        (name, "completed") for name in _WHOLE[2:]
    ]
    assert len(accounts.lists) == 2 * len(_STATES)
    assert set(accounts.parts) == set(_PARTS)
    judge_rollout_views(ctx, accounts, ExpectedState("completed", True, (0, 0, 1, 0, 0)))
    assert {outcome.outcome for outcome in run.collector.result().outcomes} == {Outcome.HELD}
