"""Restarts: what a server forgets or changes is seen, and its script may leave it running."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import (
    KEY,
    Altering,
    Answering,
    Fault,
    Passing,
    answers,
    put,
    query_lost,
    request_header_lost,
)
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response

_CHECK = "restarts.kept"


def _forgetting(
    is_restarted: Callable[[], bool],
    operation: str,
    before: Answering | None,
    after: Altering | None,
) -> Fault:
    """Build a fault of a server that has been restarted."""

    async def later_before(request: Request, passing: Passing) -> Response | None:
        return await before(request, passing) if before and is_restarted() else None

    async def later_after(request: Request, response: Response, passing: Passing) -> Response:
        return await after(request, response, passing) if after and is_restarted() else response

    return Fault("restarted", "none", (operation,), (operation,), later_before, later_after)


def _with_more_beside(change: Callable[[Any], Any]) -> Altering:
    """Change a paused pool, and add what is not documented to all pools."""

    def of(pool: dict[str, Any]) -> Any:
        more = {"x_of_the_future": 1, "tasks": [{**t, "x": 1} for t in pool["tasks"]]}
        return change({**pool, **more}) if pool["status"] == "paused" else {**pool, **more}

    return answers(of)


@pytest.mark.parametrize(
    ("operation", "before", "after", "expected"),
    [
        ("create_rollout", request_header_lost("idempotency-key"), None, "what the key made"),
        ("list_rollouts", query_lost("cursor"), None, "the items of both pages"),
        ("list_runs", query_lost("cursor"), None, "the item after a cursor"),
        ("get_rollout", None, answers(put("replay_of", None)), "the rollout that had ended"),
        ("get_pool_metrics", None, answers(put("completed_rollouts", 0)), "completed_rollouts"),
        ("get_rollout_usage", None, answers(put("wall_time_sec", 0)), "what was at rest"),
        ("get_run", None, answers(put("llm_input_tokens", None)), "what was at rest"),
        (
            "create_global_rollout",
            request_header_lost("idempotency-key"),
            None,
            "what the key made",
        ),
        ("create_rollout_batch", request_header_lost("idempotency-key"), None, "what the key made"),
        ("get_pool", None, _with_more_beside(put("updated_at", "2026-01-01T00:00:00Z")), "at rest"),
        ("get_pool", None, _with_more_beside(lambda pool: pool), ""),
        ("stream_pool_events", request_header_lost("last-event-id"), None, "after a cursor"),
        (
            "stream_rollout_events",
            request_header_lost("last-event-id"),
            None,
            "the events after the first",
        ),
        ("", None, None, ""),
    ],
)
@pytest.mark.system
def test_what_a_restart_loses_is_seen(
    operation: str, before: Answering | None, after: Altering | None, expected: str, tmp_path: Path
) -> None:
    flag = tmp_path / "restarted"
    fault = _forgetting(flag.exists, operation, before, after)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        restart = f"touch {shlex.quote(str(flag))}"
        report = run_contract(proxy.url, api_key=KEY, seed=1, only=(_CHECK,), restart=restart)
    assert report.obstacles == ()
    assert report.exit_code == bool(expected)
    places = [(group.first.operation, group.first.expected) for group in report.groups]
    assert {name for name, _ in places} == ({operation} if expected else set()), places
    assert not expected or any(expected in demand for _, demand in places), places


def test_a_restart_that_fails_judges_nothing() -> None:
    with LocalBackend(api_key=KEY) as backend:
        report = run_contract(backend.url, api_key=KEY, seed=1, only=(_CHECK,), restart="exit 3")
    assert (report.departures, report.exit_code) == ((), 2)
    assert "the command ended with 3" in report.summary
