"""Accounts of a rollout: every operation that tells of it, read at one moment and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import USAGE, View, in_list, of_rollout
from synth_pools.contract.harness.waits import Rollout
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.selections import (
    Selection,
    describes_rollout,
    shows,
    streams_rollout,
)

# Operations that tell of a rollout, of its pool and of the queue.
ACCOUNTS: tuple[str | Selection, ...] = (
    describes_rollout,
    streams_rollout,
    "get_pool_metrics",
    "get_queue_status",
)
_COUNTS = ("active", "queued", "completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class RolloutViews:
    """Accounts of a rollout, and of its pool, by the operations that gave them.

    Attributes:
        whole: The rollout, by the operations that show it whole.
        lists: The listing operations, each with a state and whether its list has the rollout.
        parts: The responses of summary, usage and artifacts, by operation.
        pages: The pages of its events, by operation; none where the server has no pages.
        metrics: The metrics of its pool.
        queue: The state of the queue.
    """

    whole: tuple[View, ...]
    lists: tuple[tuple[str, str, bool, Response], ...]
    parts: Mapping[str, Response]
    pages: Mapping[str, Response]
    metrics: Response
    queue: Response


def read_rollout_views(ctx: Context, rollout: Rollout) -> RolloutViews:
    """Read every account; nothing is judged yet, as the state may change meanwhile."""
    pool: dict[str, str] = {"pool_id": rollout.pool_id}
    whole = of_rollout(ctx, rollout)
    made = at(whole[0][1], "created_at")
    lists = []
    for name, path in (("list_rollouts", pool), ("list_global_rollouts", {})):
        for state in ("queued", "running", *FINAL):
            query = {"state": state, "limit": 100}
            _, seen, response = in_list(ctx, name, path, query, rollout.id, made)
            lists.append((name, state, seen is not ABSENT, response))
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
        tuple(whole),
        tuple(lists),
        parts,
        pages,
        ctx.require(200, "get_pool_metrics", pool),
        ctx.require(200, "get_queue_status"),
    )


@dataclass(frozen=True, slots=True)
class ExpectedState:
    """Accounts that a rollout must have.

    Attributes:
        status: Its state.
        started: Whether it ever started.
        counts: The numbers of active, queued, completed, failed and cancelled ones in its pool.
        queue: The least that run and wait in all pools.
    """

    status: str
    started: bool
    counts: tuple[int, int, int, int, int]
    queue: tuple[int, int] = (0, 0)

    @property
    def ended(self) -> bool:
        return self.status in FINAL


def judge_rollout_views(ctx: Context, accounts: RolloutViews, wanted: ExpectedState) -> None:
    """Judge what was read of a rollout in a known state."""
    for operation, seen, response in accounts.whole:
        if seen is ABSENT:
            missing = Expectation(operation, "the rollout", response)
            ctx.expect.that(missing, False, "no such rollout")
            continue
        _whole(ctx, operation, seen, response, wanted)
    for operation, state, there, response in accounts.lists:
        expected = f"state={state} finds {'a' if state == wanted.status else 'no'} rollout that is "
        ctx.expect.that(
            Expectation(operation, expected + wanted.status, response),
            there is (state == wanted.status),
            "it is there" if there else "it is not there",
        )
    for operation, response in accounts.parts.items():
        described = ctx.session.document.operations[operation]
        if described.result == "RolloutSummary":
            _summary(ctx, operation, response, wanted)
        elif described.result == "RolloutUsage":
            _usage(ctx, operation, response, wanted)
        elif described.item != "Artifact":
            status = response.at("status")
            if status is not ABSENT:
                ctx.expect.equal(operation, "status", wanted.status, status, response)
        elif not wanted.ended:
            ctx.expect.equal(
                operation, "the list before the end", [], response.at("items"), response
            )
    for operation, response in accounts.pages.items():
        _page(ctx, operation, response, wanted)
    _counts(ctx, accounts, wanted)


def _whole(
    ctx: Context, operation: str, seen: Any, response: Response, wanted: ExpectedState
) -> None:
    ctx.expect.equal(operation, "status", wanted.status, at(seen, "status"), response)
    for field, there in (
        ("created_at", True),
        ("started_at", wanted.started),
        ("finished_at", wanted.ended),
        ("error", wanted.status == "failed"),
    ):
        _is_there(ctx, operation, field, there, at(seen, field), response)
    if wanted.status != "completed":
        # A failed rollout may show what its container said; a reward needs an answer, too.
        for field in () if wanted.status == "failed" else ("result", "score"):
            if at(seen, field) is not ABSENT:
                ctx.expect.equal(operation, field, None, at(seen, field), response)
    else:
        _is_there(ctx, operation, "result", True, at(seen, "result"), response)


def _summary(ctx: Context, operation: str, response: Response, wanted: ExpectedState) -> None:
    ctx.expect.equal(operation, "status", wanted.status, response.at("status"), response)
    for field, there in (
        ("created_at", True),
        ("started_at", wanted.started),
        ("finished_at", wanted.ended),
        ("queue_seconds", wanted.started),
        ("run_seconds", wanted.started and wanted.ended),
    ):
        _is_there(ctx, operation, field, there, response.at("timing", field), response)
    _is_there(ctx, operation, "error", wanted.status == "failed", response.at("error"), response)
    if wanted.status in ("queued", "running", "cancelled"):
        for field in ("reward", "score"):
            if response.at(field) is not ABSENT:
                ctx.expect.equal(operation, field, None, response.at(field), response)
    last = response.at("last_event", "event")
    if wanted.status == "running":
        ctx.expect.that(
            Expectation(
                operation, "the type of last_event is one of a rollout that runs", response
            ),
            last not in ("rollout.queued", *(f"rollout.{state}" for state in FINAL)),
            str(last),
        )
    else:
        kind = f"rollout.{wanted.status}"
        ctx.expect.equal(operation, "the type of last_event", kind, last, response)


def _usage(ctx: Context, operation: str, response: Response, wanted: ExpectedState) -> None:
    if wanted.started:
        return
    used = {name: response.at(name) for name in USAGE if response.at(name) not in (0, None, ABSENT)}
    ctx.expect.that(
        Expectation(operation, "zero, or null, until it starts", response), not used, str(used)
    )


def _page(ctx: Context, operation: str, response: Response, wanted: ExpectedState) -> None:
    ctx.expect.equal(
        operation, "status of the page", wanted.status, response.at("status"), response
    )
    ctx.expect.equal(operation, "has_more of the page", False, response.at("has_more"), response)
    found = response.at("events")
    events = [at(event, "event") for event in found] if isinstance(found, list) else []
    told = [str(event) for event in events if str(event).startswith("rollout.")]
    expected = ["rollout.queued"]
    expected += ["rollout.started"] * wanted.started
    expected += [f"rollout.{wanted.status}"] * wanted.ended
    ctx.expect.equal(
        operation, f"the events of one that is {wanted.status}", expected, told, response
    )


def _counts(ctx: Context, accounts: RolloutViews, wanted: ExpectedState) -> None:
    metrics = accounts.metrics
    for name, count in zip(_COUNTS, wanted.counts, strict=True):
        came = metrics.at(f"{name}_rollouts")
        if came is not ABSENT:
            ctx.expect.equal("get_pool_metrics", f"{name}_rollouts", count, came, metrics)
    _, _, completed, failed, _ = wanted.counts
    rate = completed / (completed + failed) if completed + failed else None
    ctx.expect.equal("get_pool_metrics", "success_rate", rate, metrics.at("success_rate"), metrics)
    for field, least in zip(("running", "queued"), wanted.queue, strict=True):
        came = accounts.queue.at(field)
        ctx.expect.that(
            Expectation(
                "get_queue_status",
                f"{field} is at least {least}: so many are this run's",
                accounts.queue,
            ),
            isinstance(came, int) and came >= least,
            repr(came),
        )


def _is_there(
    ctx: Context, operation: str, field: str, there: bool, came: Any, response: Response
) -> None:
    if came is ABSENT:
        return
    ctx.expect.that(
        Expectation(operation, f"{field} is {'there' if there else 'null'}", response),
        (came is not None) is there,
        f"{field} is {came!r}"[:200],
    )
