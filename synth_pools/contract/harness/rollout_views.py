"""Views of a rollout: the answers of every operation that describes it, read and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import USAGE, View, in_list, of_rollout
from synth_pools.contract.harness.waits import Rollout, moment
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.selections import (
    Selection,
    describes_rollout,
    shows,
    streams_rollout,
)

# Operations that describe a rollout, its pool and the queue.
ACCOUNTS: tuple[str | Selection, ...] = (
    describes_rollout,
    streams_rollout,
    "get_pool_metrics",
    "get_queue_status",
)
# Time stamps may be of whole seconds; where requests take long two clocks are read a while apart.
ROUNDING = 1.5
_COUNTS = ("active", "queued", "completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class RolloutViews:
    """Views of a rollout and its pool, by operation.

    Attributes:
        rollouts: The complete rollout, by the operations that show it.
        lists: The listing operations, each with a state and whether its list has the rollout.
        parts: The responses of summary, usage and artifacts, by operation.
        pages: The pages of its events, by operation; empty if the server has no pages.
        metrics: The metrics of its pool.
        queue: The state of the queue.
    """

    rollouts: tuple[View, ...]
    lists: tuple[tuple[str, str, bool, Response], ...]
    parts: Mapping[str, Response]
    pages: Mapping[str, Response]
    metrics: Response
    queue: Response


def read_rollout_views(ctx: Context, rollout: Rollout) -> RolloutViews:
    """Read every view; nothing is judged yet, since the state may change meanwhile."""
    pool: dict[str, str] = {"pool_id": rollout.pool_id}
    whole_views = of_rollout(ctx, rollout)
    created = at(whole_views[0][1], "created_at")
    lists = []
    for name, path in (("list_rollouts", pool), ("list_global_rollouts", {})):
        for state in ("queued", "running", *FINAL):
            query = {"state": state, "limit": 100}
            _, observed, response = in_list(ctx, name, path, query, rollout.id, created)
            lists.append((name, state, observed is not ABSENT, response))
    parts = {
        operation.id: ctx.require(200, operation.id, operation.own_ids(rollout.ids))
        for operation in offered(ctx, describes_rollout)
        if not shows("Rollout")(operation)
    }
    pages = {}
    if ctx.session.offers("event_pages"):
        for operation in offered(ctx, streams_rollout):
            ids = operation.own_ids(rollout.ids)
            pages[operation.id] = ctx.require(200, operation.id, ids, query={"format": "json"})
    return RolloutViews(
        tuple(whole_views),
        tuple(lists),
        parts,
        pages,
        ctx.require(200, "get_pool_metrics", pool),
        ctx.require(200, "get_queue_status"),
    )


@dataclass(frozen=True, slots=True)
class ExpectedState:
    """State that all views of a rollout must show.

    Attributes:
        status: Its state.
        started: Whether it ever started.
        counts: The numbers of active, queued, completed, failed and cancelled rollouts in its pool.
        queue: The least numbers of running and queued rollouts in all pools.
    """

    status: str
    started: bool
    counts: tuple[int, int, int, int, int]
    queue: tuple[int, int] = (0, 0)

    @property
    def ended(self) -> bool:
        return self.status in FINAL


def judge_rollout_views(ctx: Context, accounts: RolloutViews, expected: ExpectedState) -> None:
    """Judge the views of a rollout in a known state."""
    for operation, observed, response in accounts.rollouts:
        if observed is ABSENT:
            missing = Expectation(operation, "the rollout", response)
            ctx.expect.that(missing, False, "no such rollout")
        else:
            _rollout(ctx, operation, observed, response, expected)
    for operation, state, there, response in accounts.lists:
        demand = f"state={state} finds {'a' if state == expected.status else 'no'} rollout that is "
        ctx.expect.that(
            Expectation(operation, demand + expected.status, response),
            there is (state == expected.status),
            "it is there" if there else "it is not there",
        )
    for operation, response in accounts.parts.items():
        described = ctx.session.document.operations[operation]
        if described.result == "RolloutSummary":
            _summary(ctx, operation, response, expected)
        elif described.result == "RolloutUsage":
            if not expected.started:
                judge_unused(ctx, operation, response)
        elif described.item != "Artifact":
            status = response.at("status")
            if status is not ABSENT:
                ctx.expect.equal(operation, "status", expected.status, status, response)
        elif not expected.ended:
            items = response.at("items")
            ctx.expect.equal(operation, "the list before the end", [], items, response)
    for operation, response in accounts.pages.items():
        _page(ctx, operation, response, expected)
    _counts(ctx, accounts, expected)


def _rollout(
    ctx: Context, operation: str, observed: Any, response: Response, expected: ExpectedState
) -> None:
    ctx.expect.equal(operation, "status", expected.status, at(observed, "status"), response)
    for field, there in (
        ("created_at", True),
        ("started_at", expected.started),
        ("finished_at", expected.ended),
        ("error", expected.status == "failed"),
    ):
        _is_there(ctx, operation, field, there, at(observed, field), response)
    if expected.status != "completed":
        # A failed rollout may show the result and the reward of its container.
        for field in () if expected.status == "failed" else ("result", "score"):
            if at(observed, field) is not ABSENT:
                ctx.expect.equal(operation, field, None, at(observed, field), response)
    else:
        _is_there(ctx, operation, "result", True, at(observed, "result"), response)


def _summary(ctx: Context, operation: str, response: Response, expected: ExpectedState) -> None:
    ctx.expect.equal(operation, "status", expected.status, response.at("status"), response)
    for field, there in (
        ("created_at", True),
        ("started_at", expected.started),
        ("finished_at", expected.ended),
        ("queue_seconds", expected.started),
        ("run_seconds", expected.started and expected.ended),
    ):
        _is_there(ctx, operation, field, there, response.at("timing", field), response)
    _is_there(ctx, operation, "error", expected.status == "failed", response.at("error"), response)
    if expected.status in ("queued", "running", "cancelled"):
        for field in ("reward", "score"):
            if response.at(field) is not ABSENT:
                ctx.expect.equal(operation, field, None, response.at(field), response)
    last = response.at("last_event", "event")
    if expected.status == "running":
        demand = "the type of last_event is one of a rollout that runs"
        ctx.expect.that(
            Expectation(operation, demand, response),
            last not in ("rollout.queued", *(f"rollout.{state}" for state in FINAL)),
            str(last),
        )
    else:
        kind = f"rollout.{expected.status}"
        ctx.expect.equal(operation, "the type of last_event", kind, last, response)


def judge_unused(ctx: Context, operation: str, response: Response) -> None:
    """Expect no usage of a rollout that has not started."""
    used = {name: response.at(name) for name in USAGE if response.at(name) not in (0, None, ABSENT)}
    ctx.judge(operation, response).that("zero, or null, until it starts", not used, str(used))


def judge_usage(ctx: Context, operation: str, response: Response, whole_rollout: Any) -> None:
    """Expect the times in the usage of a rollout that has ended to be those of the rollout."""
    judge = ctx.judge(operation, response)
    wall, minutes = response.at("wall_time_sec"), response.at("sandbox_minutes")
    if not isinstance(wall, int | float):
        return
    if isinstance(minutes, int | float):
        demand = f"sandbox_minutes is wall_time_sec in minutes: {wall / 60:.4f}"
        judge.that(demand, abs(wall / 60 - minutes) < 0.01, str(minutes))
    begin, end = moment(at(whole_rollout, "started_at")), moment(at(whole_rollout, "finished_at"))
    if begin and end:
        expected = (end - begin).total_seconds()
        judge.that(
            f"wall_time_sec is the time from start to end: {expected}",
            abs(wall - expected) < ROUNDING + ctx.session.http.round_trip,
            str(wall),
        )


def _page(ctx: Context, operation: str, response: Response, state: ExpectedState) -> None:
    ctx.expect.equal(operation, "status of the page", state.status, response.at("status"), response)
    ctx.expect.equal(operation, "has_more of the page", False, response.at("has_more"), response)
    listed = response.at("events")
    events = [at(event, "event") for event in listed] if isinstance(listed, list) else []
    rollout_events = [str(event) for event in events if str(event).startswith("rollout.")]
    expected = ["rollout.queued"]
    expected += ["rollout.started"] * state.started
    expected += [f"rollout.{state.status}"] * state.ended
    name = f"the events of one that is {state.status}"
    ctx.expect.equal(operation, name, expected, rollout_events, response)


def _counts(ctx: Context, accounts: RolloutViews, expected: ExpectedState) -> None:
    metrics = accounts.metrics
    for name, count in zip(_COUNTS, expected.counts, strict=True):
        actual = metrics.at(f"{name}_rollouts")
        if actual is not ABSENT:
            ctx.expect.equal("get_pool_metrics", f"{name}_rollouts", count, actual, metrics)
    _, _, completed, failed, _ = expected.counts
    rate = completed / (completed + failed) if completed + failed else None
    ctx.expect.equal("get_pool_metrics", "success_rate", rate, metrics.at("success_rate"), metrics)
    for field, least in zip(("running", "queued"), expected.queue, strict=True):
        actual = accounts.queue.at(field)
        demand = f"{field} is at least {least}: the rollouts of this run"
        ctx.expect.that(
            Expectation("get_queue_status", demand, accounts.queue),
            isinstance(actual, int) and actual >= least,
            repr(actual),
        )


def _is_there(
    ctx: Context, operation: str, field: str, there: bool, actual: Any, response: Response
) -> None:
    if actual is ABSENT:
        return
    ctx.expect.that(
        Expectation(operation, f"{field} is {'there' if there else 'null'}", response),
        (actual is not None) is there,
        f"{field} is {actual!r}"[:200],
    )
