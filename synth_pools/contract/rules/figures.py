"""Rules for figures: numbers, counts and times of one answer of the same thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from synth_pools.contract.document import Document, Operation
from synth_pools.contract.results import Exchange
from synth_pools.contract.rules.verdict import AnswerPart, RuleResult, is_finite_number, moment

# Seconds that two times tell, with the room for time stamps of whole seconds, and for rounding.
_SPANS = (
    ("queue_seconds", "created_at", "started_at"),
    ("run_seconds", "started_at", "finished_at"),
)
_WHOLE, _ROUNDING, _EXACT = 1.5, 0.1, 1e-6
_SUMS = ("rollouts", "input_tokens", "output_tokens", "cost_usd")
_MOST_TASKS = 1_000
_SCOPES = ("read", "run", "admin")
# How far two clocks may be apart: a proxy may write Date.
_CLOCKS = timedelta(minutes=1)


def check_times(
    document: Document,
    operation: Operation,
    exchange: Exchange,
    schema: str,
    resource: Mapping[str, Any],
) -> Iterator[RuleResult]:
    """Judge the times of a resource by the time of the answer."""
    answered_at = _answered_at(exchange.header("date") or "")
    if answered_at is None:
        return
    latest = answered_at + _CLOCKS
    stamps = [(name, moment(resource.get(name))) for name in document.times.get(schema, ())]
    late = [f"{name} {stamp}" for name, stamp in stamps if stamp is not None and stamp > latest]
    part = AnswerPart(operation, schema)
    demand = f"no time is more than a minute after Date, {answered_at}"
    yield part.judge("agree.time", demand, [], late)
    created, is_new = moment(resource.get("created_at")), exchange.status == 201
    if created is not None and is_new:
        demand = f"created_at of what was made now is no older than Date, {answered_at}"
        earliest = answered_at - _CLOCKS - timedelta(seconds=exchange.elapsed)
        yield part.judge("agree.time", demand, True, created >= earliest)


@lru_cache(maxsize=64)
def _answered_at(date: str) -> datetime | None:
    """Read the header Date, which is the same for all that an answer lists."""
    try:
        answered_at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return answered_at if answered_at.tzinfo else None


def _timing(part: AnswerPart, summary: Mapping[str, Any]) -> Iterator[RuleResult]:
    raw_timing = summary.get("timing")
    timing = raw_timing if isinstance(raw_timing, dict) else {}
    for seconds, begin, end in _SPANS:
        former, later = moment(timing.get(begin)), moment(timing.get(end))
        if former and later and isinstance(actual := timing.get(seconds), int | float):
            are_whole = 0 in (former.microsecond, later.microsecond)
            expected = (later - former).total_seconds()
            demand = f"{seconds} is {end} minus {begin}: {expected}"
            is_near = abs(actual - expected) < (_WHOLE if are_whole else _ROUNDING)
            yield part.judge(f"agree.{seconds}", demand, True, is_near or actual)


def _usage(part: AnswerPart, usage: Mapping[str, Any]) -> Iterator[RuleResult]:
    seconds, minutes = usage.get("wall_time_sec"), usage.get("sandbox_minutes")
    if isinstance(seconds, int | float) and isinstance(minutes, int | float):
        demand = f"sandbox_minutes is wall_time_sec in minutes: {seconds / 60:.4f}"
        is_near = abs(seconds / 60 - minutes) < 0.01
        yield part.judge("agree.sandbox_minutes", demand, True, is_near or minutes)


def _metrics(part: AnswerPart, metrics: Mapping[str, Any]) -> Iterator[RuleResult]:
    completed, failed = (metrics.get(f"{name}_rollouts") for name in ("completed", "failed"))
    if isinstance(completed, int) and isinstance(failed, int) and "success_rate" in metrics:
        ended_count, rate = completed + failed, metrics["success_rate"]
        demand = f"success_rate is {completed} of {ended_count}"
        expected = completed / ended_count if ended_count else None
        if isinstance(rate, int | float) and isinstance(expected, float):
            rate = expected if abs(rate - expected) < _EXACT else rate
        yield part.judge("agree.success_rate", demand, expected, rate)
    usage, tasks = metrics.get("usage"), metrics.get("task_usage")
    # A longer list is cut.
    if isinstance(usage, dict) and isinstance(tasks, list) and len(tasks) < _MOST_TASKS:
        raw_numbers = [task.get("rollouts") for task in tasks if isinstance(task, dict)]
        numbers = [number for number in raw_numbers if is_finite_number(number)]
        demand, ordered = "the task with most rollouts is first", sorted(numbers, reverse=True)
        yield part.judge("agree.task_usage", demand, ordered, numbers)
        for name in _SUMS:
            amounts = [task.get(name) for task in tasks if isinstance(task, dict)]
            reported = [amount for amount in amounts if isinstance(amount, int | float)]
            total = sum(reported) if reported or name == "rollouts" else None
            actual = usage.get(name)
            if isinstance(actual, int | float) and total is not None:
                actual = total if abs(actual - total) <= _EXACT * max(1.0, total) else actual
            demand = f"usage.{name} is the sum of task_usage"
            yield part.judge("agree.task_usage", demand, total, actual)


def _validation(part: AnswerPart, verdict: Mapping[str, Any]) -> Iterator[RuleResult]:
    if isinstance(verdict.get("errors"), list):
        demand, is_valid = "valid is true where errors is empty", not verdict["errors"]
        yield part.judge("agree.valid", demand, is_valid, verdict.get("valid"))
        if is_valid and "pool_id" in verdict:
            demand = "what is valid has a pool that would get it"
            yield part.judge("agree.valid", demand, True, verdict["pool_id"] is not None)


def _event_page(part: AnswerPart, page: Mapping[str, Any]) -> Iterator[RuleResult]:
    events = page.get("events")
    numbers = [event.get("sequence") for event in events or () if isinstance(event, dict)]
    if numbers:
        demand = "next_sequence is the sequence of the last event"
        yield part.judge("agree.next_sequence", demand, numbers[-1], page.get("next_sequence"))
        gapless = list(range(numbers[0], numbers[0] + len(numbers))) if numbers[0] else []
        yield part.judge("agree.sequence", "sequence has no gaps", gapless, numbers)


def _pool_event_page(part: AnswerPart, page: Mapping[str, Any]) -> Iterator[RuleResult]:
    if page.get("ended") is True:
        demand = "a page that has ended is the last one of an archived pool"
        actual = [page.get("status"), page.get("has_more")]
        yield part.judge("agree.ended", demand, ["archived", False], actual)


def _capabilities(part: AnswerPart, capabilities: Mapping[str, Any]) -> Iterator[RuleResult]:
    scopes = capabilities.get("scopes")
    if isinstance(scopes, list):
        observed = [scope for scope in scopes if scope in _SCOPES]
        demand = "the scopes of a key, the smallest first"
        yield part.judge("agree.scopes", demand, sorted(observed, key=_SCOPES.index), observed)


def _urls(part: AnswerPart, urls: Mapping[str, Any]) -> Iterator[RuleResult]:
    addresses = urls.get("container_urls")
    if isinstance(addresses, list) and "container_url" in urls:
        demand, first = "container_url is the first of container_urls", (addresses or [None])[0]
        yield part.judge_fields("agree.container_url", demand, first, urls["container_url"])


# Figures of one answer of the same thing.
FIGURES: Mapping[str, Callable[[AnswerPart, Mapping[str, Any]], Iterator[RuleResult]]] = {
    "Capabilities": _capabilities,
    "RolloutSummary": _timing,
    "RolloutUsage": _usage,
    "PoolMetrics": _metrics,
    "PoolUrls": _urls,
    "RolloutValidation": _validation,
    "RolloutEventPage": _event_page,
    "PoolEventPage": _pool_event_page,
}
