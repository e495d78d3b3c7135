"""Kinds of scenarios that write: merges, replacements, deletions, repeated creations, ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.views import View
from synth_pools.contract.harness.waits import becomes_true, call_simultaneously, iterate_pages
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.roles.subject import (
    Item,
    Resource,
    created_item,
    creation_body,
    make,
    parent_ids,
)
from synth_pools.contract.roles.views import DONE, Subject, find_listed, read, views_of
from synth_pools.contract.rules.verdict import excerpt

MERGES = "a patch merges at any depth"
GONE = Status((404, 410), "it is deleted")
PATCHES: tuple[dict[str, Any], ...] = (
    {"a": {"b": 1, "x": 1}, "list": [1, {"y": None}]},
    {"a": {"c": {"d": 1}, "x": None}},
    {"a": {"c": {"e": 2}}, "list": [2]},
    {"a": {"c": {"d": None, "f": {"g": None}}}},
    {"a": None, "none": None, "z": ""},
    {},
)


def merges(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A patch merges into what is there, at any depth; null removes."""
    judge_patches(ctx, resource, make(ctx, subject, resource))


def judge_patches(
    ctx: Context,
    resource: Resource,
    item: Item,
    views: Callable[[], Sequence[View]] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Expect patches of a field of an item to merge, for all readers.

    Args:
        ctx: The context.
        resource: The roles; `merges` is the field.
        item: The item.
        views: Reads the item in every way; by the roles if None. An answer to a patch then shows
            all of the item.
        fields: Fields before, also some that no patch names; the one field, as `read` shows it, if
            None.

    Returns:
        The fields afterwards.
    """
    ctx.expect.rule = MERGES
    show, name = views or partial(views_of, ctx, resource, item), resource.merges
    expected = dict(fields or {name: at(read(ctx, resource, item)[0], name)})
    for patch in PATCHES:
        expected[name] = merged(expected[name], patch)
        response = ctx.require(DONE, resource.change, item.ids, json={name: patch})
        readings = [(resource.change, resource.show(response), response), *show()]
        judge_shown(
            ctx, resource.change, readings, expected, "after the merge", partly=views is None
        )
    return expected


def judge_shown(
    ctx: Context,
    writer: str,
    views: Sequence[View],
    expected: Mapping[str, Any],
    when: str = "",
    *,
    partly: bool = False,
) -> None:
    """Expect fields of a resource in the answer to a write, the first view, and in all others.

    Args:
        ctx: The context.
        writer: The operation that wrote.
        views: Its answer, and what every reader shows.
        expected: The value of each field; ABSENT for one that is not there.
        when: The time, for the report, as in "after the merge".
        partly: Whether the answer may lack a field.
    """
    judge = ctx.judge(writer, views[0][2])
    for field, value in expected.items():
        telling = views[1:] if partly and at(views[0][1], field) is ABSENT else views
        judge.shown_field(telling, field, value, f"{field} is {value!r} {when}".rstrip())


def merged(target: Any, patch: Any) -> Any:
    """Return the result of a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def replaces(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A replacement leaves nothing of what was there."""
    item = make(ctx, subject, resource)
    if resource.change and resource.merges:
        ctx.require(DONE, resource.change, item.ids, json={resource.merges: {"older": True}})
    body = creation_body(ctx, resource)
    operation = ctx.session.document.operations[resource.replace]
    shorter = {name: value for name, value in body.items() if name != resource.merges}
    if ctx.session.document.allows(operation, shorter):
        body = shorter
    # Sent again, it changes nothing.
    for _ in range(2):
        response = ctx.require((200, 201, 204), resource.replace, item.ids, json=body)
        views = [(resource.replace, resource.show(response), response)]
        views += views_of(ctx, resource, item)
        judge_shown(ctx, resource.replace, views, body, "after the replacement", partly=True)
        spot = (resource.merges, "older") if resource.merges else ("",)
        rest = at(read(ctx, resource, item)[0], *spot)
        judge = ctx.judge(resource.replace, response)
        judge.that("nothing of what was there before", rest is ABSENT, f"{spot[0]} has it")


def deletes(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A deletion is seen by all readers, and takes nothing else along."""
    item, sibling = make(ctx, subject, resource), make(ctx, subject, resource)
    response = ctx.require(DONE, resource.delete, item.ids)
    judge_deleted(ctx, resource, item, response)
    again = ctx.call(resource.delete, item.ids)
    is_calm = again.status in (*DONE, *GONE.statuses, 409)
    demand = "a second deletion succeeds, or finds nothing"
    ctx.judge(resource.delete, again).answered(demand, is_calm)
    if resource.read:
        read(ctx, resource, sibling)


def judge_deleted(
    ctx: Context, resource: Resource, item: Item, written: Response, views: Sequence[View] = ()
) -> None:
    """Expect that no reader shows an item any more, or each in the state of deleted ones.

    Args:
        ctx: The context.
        resource: The roles.
        item: The item.
        written: The answer to the deletion.
        views: What readers show of the item; `read` and `list` are asked if there are none.
    """
    ctx.session.ends.pop(tuple(item.ids.items()), None)
    if resource.deleted:
        if resource.read:
            view, response = read(ctx, resource, item)
            views = [(resource.read, at(view, resource.state) == resource.deleted, response)]
            demand, observed = f"it is {resource.deleted}", excerpt(response.exchange)
            ctx.expect.observed(resource.delete, written, views, demand, observed)
        return
    readers = [(reader, view is ABSENT, page) for reader, view, page in views]
    if resource.read and not views:
        response = ctx.call(resource.read, item.ids)
        readers.append((resource.read, response.status in GONE.statuses, response))
    if resource.list and not views:
        entry, page = find_listed(ctx, resource, item)
        readers.append((resource.list, entry is ABSENT, page))
    ctx.expect.observed(resource.delete, written, readers, "it is gone", "it is still there")


def idempotency(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A creation with a used key makes nothing, also when requests come at once."""
    ids = parent_ids(ctx, subject, resource)
    body = creation_body(ctx, resource)
    send = partial(_create, ctx, resource, ids)
    first = created_item(ctx, resource, ids, send("a", body))
    judge_repeated(ctx, resource, first, send("a", body, reverse=True))
    sibling = created_item(ctx, resource, ids, send("b", body))
    expected = "a resource of its own for another key"
    judge = ctx.judge(resource.create, sibling.response)
    judge.that(expected, sibling.id != first.id, f"{sibling.id}, which was there")
    if resource.conflict:
        refused = Status(resource.conflict, "the body is another")
        another = creation_body(ctx, resource)
        ctx.check(refused, resource.create, ids, json=another, headers=_key(ctx, resource, "a"))
    judge_at_once(ctx, resource, ids, partial(_create, ctx, resource, ids, "c", body))


def judge_at_once(
    ctx: Context, resource: Resource, ids: Mapping[str, str], send: Callable[[], Response]
) -> list[Response]:
    """Expect requests at once with one key to make one resource; return their answers."""
    answers = call_simultaneously(ctx, [send] * 8, 120.0)
    passed = [answer for answer in answers if (answer.status or 500) < 300]
    created = {created_item(ctx, resource, ids, answer).id for answer in passed}
    judge = ctx.judge(resource.create, answers[0])
    # A server that is still at work has created none yet.
    is_unknown = not created and any(answer.exchange.late for answer in answers)
    demand = "one resource of requests at once with one key"
    judge.that(demand, is_unknown or len(created) == 1, f"{created}")
    return answers


def judge_repeated(ctx: Context, resource: Resource, first: Item, second: Response) -> None:
    """Expect the answer to a repeated creation to name the first resource."""
    if resource.repeated:
        ctx.expect.status(second, Status(resource.repeated, "the key is used"), resource.create)
    value = at(second.json, *resource.id.split("."))
    if value is not ABSENT or not resource.repeated:
        # A resource too many is removed with the others.
        repeated = (
            str(value)
            if resource.repeated
            else created_item(
                ctx,
                resource,
                {n: i for n, i in first.ids.items() if n != resource.parameter},
                second,
            ).id
        )
        judge = ctx.judge(resource.create, second)
        judge.that(f"{resource.id}, again, is {first.id}", repeated == first.id, repeated)


def _create(
    ctx: Context,
    resource: Resource,
    ids: Mapping[str, str],
    key: str,
    body: Any,
    *,
    reverse: bool = False,
) -> Response:
    headers = _key(ctx, resource, key)
    if reverse and isinstance(body, dict):
        # The body is equal as JSON, but not as bytes.
        content = json.dumps(dict(reversed(list(body.items()))), indent=1).encode()
        headers |= {"content-type": "application/json"}
        return ctx.call(resource.create, ids, content=content, headers=headers)
    return ctx.call(resource.create, ids, json=body, headers=headers)


def _key(ctx: Context, resource: Resource, name: str) -> dict[str, str]:
    return {resource.idempotency: f"{ctx.session.options.run_id}-{ctx.scenario.id}-{name}"}


def cancels(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A cancelled resource is so for all readers, and never changes again."""
    item, sibling = make(ctx, subject, resource), make(ctx, subject, resource)
    response = ctx.require(DONE, resource.cancel, item.ids, json=resource.cancel_body)

    def ended() -> bool:
        return at(read(ctx, resource, item)[0], resource.state) in resource.cancelled

    is_ended = becomes_true(ctx, resource.cancel, ended)
    demand = f"{resource.state} becomes {' or '.join(resource.cancelled)}"
    if not ctx.judge(resource.cancel, response).that(demand, is_ended, _state(ctx, resource, item)):
        raise StopScenarioError
    before = read(ctx, resource, item)[0]
    # A repeated call may be refused, and changes nothing.
    again = ctx.call(resource.cancel, item.ids, json=resource.cancel_body)
    judge = ctx.judge(resource.cancel, again)
    is_calm = again.status in (*DONE, 404, 409, 400, 422)
    judge.answered("a second call changes nothing, or is refused", is_calm)
    for reader, view, answer in views_of(ctx, resource, item):
        state = at(view, resource.state)
        ctx.expect.equal(reader, resource.state, at(before, resource.state), state, answer)
    untouched = _state(ctx, resource, sibling)
    # The first of several states is reached by cancelling alone.
    is_spared = untouched != resource.cancelled[0]
    judge.that("the others are not cancelled", is_spared, untouched)


def _state(ctx: Context, resource: Resource, item: Item) -> str:
    return str(at(read(ctx, resource, item)[0], resource.state))


def refusals(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A refused creation or change leaves nothing behind."""
    first = make(ctx, subject, resource)
    operation = ctx.session.document.operations[resource.create]
    before = _count(ctx, resource, first) if resource.list else None
    shared = {name: value for name, value in first.ids.items() if name in operation.id_names}
    bodies: tuple[Any, ...] = ([], "text", 5, {"contract kit": []})
    for wrong in bodies:
        if operation.request is None or ctx.session.document.allows(operation, wrong):
            continue
        response = ctx.call(resource.create, shared, json=wrong)
        if (response.status or 500) < 300:
            created_item(ctx, resource, shared, response)
        demand, is_refused = "an invalid body is refused", 400 <= (response.status or 0) < 500
        ctx.judge(resource.create, response).answered(demand, is_refused)
        if before is not None and is_refused:
            later = _count(ctx, resource, first)
            demand = f"{before} items, since nothing was made"
            judge = ctx.judge(resource.create, response)
            judge.that(demand, later == before, f"{later} items")
            before = later


def _count(ctx: Context, resource: Resource, item: Item) -> int:
    operation = ctx.session.document.operations[resource.list]
    query, ids = dict(resource.query or {}), operation.own_ids(item.ids)
    return len(iterate_pages(ctx, resource.list, ids, query, form=resource.form)[0])
