"""Views of a rollout: the answers of every operation that describes it, read and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth_pools.contract.document import FINAL, TERMINAL
from synth_pools.contract.harness.context import Context, Judge
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import (
    USAGE,
    View,
    in_list,
    of_rollout,
    read_events,
    readers,
)
from synth_pools.contract.harness.waits import Rollout, moment
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.selections import Selection, describes_rollout, shows, streams_rollout

# Operations that describe a rollout, its pool and the queue.
ACCOUNTS: tuple[str | Selection, ...] = (
    describes_rollout,
    streams_rollout,
    "get_pool_metrics",
    "get_queue_status",
)
# Time stamps may be whole seconds, and two clocks are not read at the same moment.
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
        metrics: The metrics of its pool; None if the server has none.
        queue: The state of the queue, likewise.
    """

    rollouts: tuple[View, ...]
    lists: tuple[tuple[str, str, bool, Response], ...]
    parts: Mapping[str, Response]
    pages: Mapping[str, Response]
    metrics: Response | None
    queue: Response | None


def read_rollout_views(ctx: Context, rollout: Rollout) -> RolloutViews:
    """Read every view; nothing is judged yet, since the state may change meanwhile."""
    pool: dict[str, str] = {"pool_id": rollout.pool_id}
    whole_views = of_rollout(ctx, rollout)
    created = at(whole_views[0][1], "created_at")
    lists = []
    for name, path in (("list_rollouts", pool), ("list_global_rollouts", {})):
        if not ctx.has(name):
            continue
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
            pages[operation.id] = read_events(ctx, operation.id, ids)
    return RolloutViews(
        tuple(whole_views),
        tuple(lists),
        parts,
        pages,
        ctx.require(200, "get_pool_metrics", pool) if ctx.has("get_pool_metrics") else None,
        ctx.require(200, "get_queue_status") if ctx.has("get_queue_status") else None,
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


def judge_rollout_views(ctx: Context, views: RolloutViews, expected: ExpectedState) -> None:
    """Judge the views of a rollout in a known state."""
    for operation, observed, response in views.rollouts:
        judge = ctx.judge(operation, response)
        if observed is ABSENT:
            judge.that("the rollout", False, "no such rollout")
        else:
            _rollout(judge, observed, expected)
    for operation, state, is_there, response in views.lists:
        has_state = state == expected.status
        ctx.judge(operation, response).that(
            f"state={state} finds {'a' if has_state else 'no'} rollout that is {expected.status}",
            is_there is has_state,
            "it is there" if is_there else "it is not there",
        )
    for operation, response in views.parts.items():
        judge = ctx.judge(operation, response)
        described = ctx.session.document.operations[operation]
        if described.result == "RolloutSummary":
            _summary(judge, response, expected)
        elif described.result == "RolloutUsage":
            if not expected.started:
                judge_unused(ctx, operation, response)
        elif described.item != "Artifact":
            judge.field("status", expected.status, optional=True)
        elif not expected.ended:
            judge.field("items", [], "the list before the end")
    for operation, response in views.pages.items():
        _page(ctx.judge(operation, response), response, expected)
    _counts(ctx, views, expected)


def _rollout(judge: Judge, observed: Any, expected: ExpectedState) -> None:
    judge.equal("status", expected.status, at(observed, "status"))
    for field, is_there in (
        ("created_at", True),
        ("started_at", expected.started),
        ("finished_at", expected.ended),
        ("error", expected.status == "failed"),
    ):
        _judge_presence(judge, field, is_there, at(observed, field))
    if expected.status == "completed":
        _judge_presence(judge, "result", True, at(observed, "result"))
    elif expected.status != "failed":
        # A failed rollout may show the result and the reward of its container, and one that was
        # cancelled while it ran the result.
        may_be_told = expected.status == "cancelled" and expected.started
        for field in ("score",) if may_be_told else ("result", "score"):
            if at(observed, field) is not ABSENT:
                judge.equal(field, None, at(observed, field))


def _summary(judge: Judge, response: Response, expected: ExpectedState) -> None:
    judge.field("status", expected.status)
    for field, is_there in (
        ("created_at", True),
        ("started_at", expected.started),
        ("finished_at", expected.ended),
        ("queue_seconds", expected.started),
        ("run_seconds", expected.started and expected.ended),
    ):
        _judge_presence(judge, field, is_there, response.at("timing", field))
    _judge_presence(judge, "error", expected.status == "failed", response.at("error"))
    if expected.status in ("queued", "running", "cancelled"):
        for field in ("reward", "score"):
            judge.field(field, None, optional=True)
    last = response.at("last_event", "event")
    if expected.status == "running":
        judge.that(
            "the type of last_event is one of a rollout that runs",
            last not in ("rollout.queued", *TERMINAL),
            str(last),
        )
    else:
        judge.equal("the type of last_event", f"rollout.{expected.status}", last)


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


def judge_running_usage(ctx: Context, rollout: Rollout, seconds: float) -> None:
    """Expect the usage of a rollout that has run for some seconds to show some of them."""
    least = seconds / 2
    for operation, ids in readers(ctx, rollout, "RolloutUsage"):
        usage = ctx.require(200, operation, ids)
        wall = usage.at("wall_time_sec")
        if isinstance(wall, int | float):
            demand = f"wall_time_sec, until now, of one that has run for {seconds:g} s"
            ctx.judge(operation, usage).that(demand, wall >= least, str(wall))


def judge_no_artifacts_yet(ctx: Context, rollout: Rollout) -> None:
    """Expect no list to have an artifact of a rollout that has not ended."""
    lists = readers(ctx, rollout, "ArtifactList")
    read = [(name, ctx.require(200, name, ids)) for name, ids in lists]
    if ctx.require(200, "get_rollout", rollout.ids).at("status") not in FINAL:
        for operation, response in read:
            ctx.judge(operation, response).field("items", [], "the list before the end")


def _page(judge: Judge, response: Response, state: ExpectedState) -> None:
    judge.field("status", state.status, "status of the page")
    judge.field("has_more", False, "has_more of the page")
    page_events = response.at("events")
    events = [at(event, "event") for event in page_events] if isinstance(page_events, list) else []
    rollout_events = [str(event) for event in events if str(event).startswith("rollout.")]
    expected = ["rollout.queued"]
    expected += ["rollout.started"] * state.started
    expected += [f"rollout.{state.status}"] * state.ended
    judge.equal(f"the events of one that is {state.status}", expected, rollout_events)


def _counts(ctx: Context, views: RolloutViews, expected: ExpectedState) -> None:
    if views.metrics is not None:
        judge = ctx.judge("get_pool_metrics", views.metrics)
        for name, count in zip(_COUNTS, expected.counts, strict=True):
            judge.field(f"{name}_rollouts", count, optional=True)
        _, _, completed, failed, _ = expected.counts
        rate = completed / (completed + failed) if completed + failed else None
        judge.field("success_rate", rate)
    for field, least in zip(("running", "queued"), expected.queue, strict=True):
        if views.queue is None:
            break
        actual = views.queue.at(field)
        ctx.judge("get_queue_status", views.queue).that(
            f"{field} is at least {least}: the rollouts of this run",
            isinstance(actual, int) and actual >= least,
            repr(actual),
        )


def _judge_presence(judge: Judge, field: str, is_there: bool, actual: Any) -> None:
    if actual is not ABSENT:
        demand = f"{field} is {'there' if is_there else 'null'}"
        judge.that(demand, (actual is not None) is is_there, f"{field} is {actual!r}"[:200])


def judge_timing(ctx: Context, operation: str, whole_rollout: Any, summary: Response) -> None:
    """Compare the times of a summary with those of its rollout, and with each other."""
    judge = ctx.judge(operation, summary)
    for field in ("created_at", "started_at", "finished_at"):
        if at(whole_rollout, field) is not ABSENT:
            judge.field(f"timing.{field}", at(whole_rollout, field))
    for seconds, begin, end in (
        ("queue_seconds", "created_at", "started_at"),
        ("run_seconds", "started_at", "finished_at"),
    ):
        actual = summary.at("timing", seconds)
        former, later = (moment(summary.at("timing", name)) for name in (begin, end))
        if former and later and isinstance(actual, int | float):
            expected = (later - former).total_seconds()
            is_near = abs(actual - expected) < ROUNDING + ctx.session.http.round_trip
            demand = f"timing.{seconds} is {end} minus {begin}: {expected}"
            judge.that(demand, is_near, str(actual))
