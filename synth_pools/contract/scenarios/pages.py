"""Scenarios of pages: every item once and in order, also while the list changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import read_list
from synth_pools.contract.harness.waits import (
    ids_of,
    iterate_pages,
    run_rollout,
    start_rollout,
    start_running,
)
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.roles.reading import judge_pages
from synth_pools.contract.roles.subject import own_subject
from synth_pools.contract.selections import has_pages, lists

_ROLLOUTS = ("rollouts", "get_global_rollout")
_MOST_PAGES = 20


@scenario(
    "pages.rollouts",
    "list_rollouts",
    "list_global_rollouts",
    clauses="""
        Pages#94c3, RolloutList#8759, list_rollouts#50cd, list_global_rollouts#4da0, PoolList#e719,
        PoolList.next_cursor#952d, parameters LogCursor#7d3d, RolloutList.items#50ae,
        parameters Cursor#47f7#7810
    """,
)
def pages_rollouts(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    created = [run_rollout(ctx, pool_id).id for _ in range(5)]
    for limit in (1, 2, 3, 5, 100):
        _whole(ctx, "list_rollouts", {"pool_id": pool_id}, {"limit": limit}, created)
    first = ctx.require(200, "list_rollouts", {"pool_id": pool_id}, query={"limit": 2})
    query = {"limit": 3, "cursor": str(first.at("next_cursor"))}
    rest = read_list(ctx, "list_rollouts", {"pool_id": pool_id}, query)
    ids = ids_of([*first.list_at("items"), *rest.list_at("items")])
    demand = "with another limit a page follows the one before"
    ctx.judge("list_rollouts", rest).that(demand, ids == created[::-1], f"{ids}")
    for limit in (1, 2, 100):
        _each(ctx, "list_global_rollouts", {"limit": limit}, created)


_MINIMAL = (
    "return=minimal",
    'respond-async, Return="minimal"; x=1',
    "return=minimal, respond-async",
)


@scenario(
    "pages.names",
    lists,
    clauses="""
        parameters Prefer#468c#b349, PoolList.pools#1e0c, headers Vary#a824
    """,
)
def pages_names(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    rollout = run_rollout(ctx, pool_id)
    for operation in offered(ctx):
        name, ids = operation.id, operation.own_ids(rollout.ids)
        for field in operation.lists:
            if field == "items":
                continue
            full = ctx.require(200, name, ids)
            ctx.expect.equal(name, field, full.at("items"), full.at(field), full)
            _judge_headers(ctx, name, full, None)
            for preference in _MINIMAL:
                minimal = ctx.require(200, name, ids, headers={"prefer": preference})
                demand = f"with Prefer: {preference} the list comes once"
                is_met = minimal.at(field) is ABSENT
                ctx.judge(name, minimal).that(demand, is_met, f"{field} is there")
                _judge_headers(ctx, name, minimal, _MINIMAL[0])


def _judge_headers(ctx: Context, name: str, page: Response, applied: str | None) -> None:
    judge, vary = ctx.judge(name, page), page.exchange.header("vary") or ""
    names = {part.strip().lower() for part in vary.split(",")}
    judge.that("Vary names Prefer", not names.isdisjoint({"prefer", "*"}), f"Vary: {vary}")
    judge.equal("Preference-Applied", applied, page.exchange.header("preference-applied"))


@scenario(
    "pages.pools",
    "list_pools",
    clauses="""
        Pages#94c3, PoolList#e719, list_pools#7c43, RolloutList#8759, list_global_rollouts#4da0,
        PoolList.next_cursor#952d, PoolList.items#c4e8, parameters Cursor#47f7
    """,
)
def pages_pools(ctx: Context) -> None:
    created = [ctx.resources.pool() for _ in range(5)]
    for limit in (1, 2, 100):
        _each(ctx, "list_pools", {"limit": limit}, created)
    _each(ctx, "list_pools", {"limit": 2, "state": "active"}, created)
    if ctx.session.offers("pause"):
        for pool_id in created[3:]:
            ctx.require(200, "pause_pool", {"pool_id": pool_id})
        _each(ctx, "list_pools", {"limit": 100, "state": "paused"}, created[3:])
    for pool_id in created[:3]:
        ctx.require(200, "delete_pool", {"pool_id": pool_id})
    _each(ctx, "list_pools", {"limit": 1, "state": "archived"}, created[:3])
    _each(ctx, "list_pools", {"limit": 1}, created[3:])


@scenario(
    "pages.hundred",
    "list_rollouts",
    clauses="Pages#94c3, PoolList.items#c4e8, RolloutList.items#50ae",
    needs="live",
)
def pages_hundred(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    created = [start_rollout(ctx, pool_id, env={"delay": 600}).id for _ in range(103)]
    ids = {"pool_id": pool_id}
    _whole(ctx, "list_rollouts", ids, {"limit": 100}, created)
    _whole(ctx, "list_rollouts", ids, {}, created)
    first = ctx.require(200, "list_rollouts", ids)
    count = len(first.list_at("items"))
    ctx.judge("list_rollouts", first).that("at most 100 items by default", count <= 100, f"{count}")


@scenario(
    "pages.moving", "list_rollouts", "list_global_rollouts", "list_pools", clauses="Pages#c09d"
)
def pages_moving(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    # Not one by one to its end: others may start thousands meanwhile.
    created = [start_rollout(ctx, pool_id).id for _ in range(5)]

    def more_rollouts(page: int) -> None:
        if page <= 2:
            run_rollout(ctx, pool_id)

    _each(ctx, "list_global_rollouts", {"limit": 2}, created, between=more_rollouts)
    ids = {"pool_id": pool_id}
    created = [run_rollout(ctx, pool_id).id for _ in range(5)]
    _each(ctx, "list_rollouts", {"limit": 2}, created, ids, more_rollouts)
    pools = [ctx.resources.pool(str(number)) for number in range(6)]

    def more_pools(page: int) -> None:
        if page <= 2:
            ctx.resources.pool("meanwhile")
        if page == 2:
            # This pool is on a page already read: a cursor of positions would skip an item.
            ctx.require(200, "delete_pool", {"pool_id": pools[-1]})

    _each(ctx, "list_pools", {"limit": 2}, pools[:-1], between=more_pools)


@scenario("pages.leaving", "list_rollouts", clauses="Pages#c09d", needs="live")
def pages_leaving(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    start_running(ctx, pool_id)
    queued = [start_rollout(ctx, pool_id, env={"delay": 600}) for _ in range(6)]

    def cancel(page: int) -> None:
        if page == 1:
            ctx.require(200, "cancel_rollout", queued[-1].ids, json={})

    query, remaining = {"limit": 2, "state": "queued"}, [rollout.id for rollout in queued[:-1]]
    _each(ctx, "list_rollouts", query, remaining, {"pool_id": pool_id}, cancel)


@scenario("pages.filter", has_pages, clauses="parameters State#73a4#a8ef")
def pages_filter(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    ids = {"pool_id": pool_id}
    created = [run_rollout(ctx, pool_id) for _ in range(2)]
    states = {
        rollout.id: ctx.require(200, "get_rollout", rollout.ids).at("status") for rollout in created
    }
    for state in ("queued", "running", *FINAL):
        expected = [name for name, status in states.items() if status == state]
        _whole(ctx, "list_rollouts", ids, {"state": state, "limit": 1}, expected)
        if expected:
            _each(ctx, "list_global_rollouts", {"state": state, "limit": 100}, expected)
    for operation, path in _lists(ctx, pool_id, "state"):
        for state in ("", "no-such-state", "COMPLETED", "Ärger 🌍", "active,archived", "x" * 64):
            response = ctx.check(200, operation, path, query={"state": state})
            _empty(ctx, operation, f"state={state}", response)


@scenario(
    "pages.unknown_cursor",
    has_pages,
    clauses="""
        parameters Cursor#a856#47f7, Pages#94c3, PoolList.next_cursor#952d, PoolList.items#c4e8,
        RolloutList.items#50ae
    """,
)
def pages_unknown_cursor(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    run_rollout(ctx, pool_id, **ctx.session.grouping())
    for operation, ids in _lists(ctx, pool_id):
        for cursor in ("", "nonsense", "-1", "Zm9v", "🌍 Ärger", "%00", "x" * 512):
            response = ctx.check(200, operation, ids, query={"cursor": cursor})
            _empty(ctx, operation, f"cursor={cursor[:20]}", response)


@scenario(
    "pages.limit", has_pages, clauses="parameters Limit#cd20, Limits#839d, parameters Cursor#7810"
)
def pages_limit(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    rollouts: list[str] = []
    runs: list[str] = []
    for number in range(3):
        run = {"run": f"{number} {pool_id}"[:128]} if ctx.session.offers("runs") else {}
        rollouts.append(run_rollout(ctx, pool_id, **run).id)
        runs += run.values()
    created = {"Rollout": rollouts, "Run": runs, "Pool": [pool_id, ctx.resources.pool()]}
    for operation, ids in _lists(ctx, pool_id):
        for most in (1, 2):
            response = ctx.require(200, operation, ids, query={"limit": most})
            items = response.list_at("items")
            judge = ctx.judge(operation, response)
            judge.that(f"at most {most} items", len(items) <= most, f"{len(items)} items")
            has_cursor = isinstance(response.at("next_cursor"), str)
            demand = "a next_cursor, for there are more items"
            judge.that(demand, has_cursor or most > 1, "none")
            kind = ctx.session.document.operations[operation].item
            if has_cursor:
                expected = set(created.get(kind, ()))
                _rest(ctx, operation, ids, response, expected)
        ctx.check(200, operation, ids, query={"limit": 1000})


def _rest(
    ctx: Context, operation: str, ids: dict[str, str], first: Response, expected: set[str]
) -> None:
    """Expect these items on the first page or on the pages of another limit after it."""

    def missing(rest: list[Any]) -> set[str]:
        items = [*first.list_at("items"), *rest]
        return expected - {*ids_of(items), *ids_of(items, "name")}

    query = {"limit": 100, "cursor": first.at("next_cursor")}
    rest, response, at_end = iterate_pages(
        ctx, operation, ids, query, enough=lambda rest: not missing(rest), most=_MOST_PAGES
    )
    # A list of others may be longer.
    is_complete = not (at_end and missing(rest))
    demand = "with another limit the rest of the list follows"
    ctx.judge(operation, response).that(demand, is_complete, f"without {sorted(missing(rest))}")


def _lists(
    ctx: Context, pool_id: str, parameter: str = "cursor"
) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the operations whose lists have pages, and a parameter, with their ids."""
    for operation in offered(ctx):
        if parameter in operation.query:
            yield operation.id, operation.own_ids({"pool_id": pool_id})


def _whole(
    ctx: Context, operation: str, ids: dict[str, str], query: dict[str, Any], created: list[str]
) -> None:
    """Expect a list to hold exactly these items."""
    listed, response = _each(ctx, operation, query, created, ids)
    others = [item_id for item_id in listed if item_id not in created]
    ctx.judge(operation, response).that("no others", not others, f"also {others[:3]}")


def _each(
    ctx: Context,
    operation: str,
    query: dict[str, Any],
    created: list[str],
    ids: dict[str, str] | None = None,
    between: Callable[[int], None] = lambda _: None,
) -> tuple[list[str], Response | None]:
    """Expect each created item once, newest first: in all of a pool's list, or in one of all."""
    if not (ids or ctx.has(operation)):
        return [], None
    name, reader = ("pools", "get_pool") if operation == "list_pools" else _ROLLOUTS
    roles = replace(own_subject()[name], list=operation, read=reader, query=query)
    return judge_pages(ctx, roles, ids or {}, created, between=between, to_end=bool(ids))


def _empty(ctx: Context, operation: str, label: str, response: Response) -> None:
    ctx.judge(operation, response).field("items", [], f"items of the page for {label}")
    ctx.judge(operation, response).field("next_cursor", None, f"next_cursor for {label}")
