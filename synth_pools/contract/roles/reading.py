"""Kinds of scenarios that read: pages, ids, views, ETags, ranges, streams."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.waits import iterate_pages
from synth_pools.contract.http.client import ABSENT, EventStream, Response, at
from synth_pools.contract.results import Outcome
from synth_pools.contract.roles.subject import Item, Resource, created_item, creation_body, make
from synth_pools.contract.roles.views import DONE, Subject, find_listed, read, views_of
from synth_pools.contract.rules.verdict import moment, request_json, same_json

_UNKNOWN = Status((400, 404, 410, 422), "no resource has this id")
_LONG_ID = 20
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Seconds in which a resource comes to rest, if it does.
_REST_SECONDS = 15.0


def pages(ctx: Context, subject: Subject, resource: Resource) -> None:
    """Every item comes, and once, whatever is added or removed between two pages."""
    first = make(ctx, subject, resource)
    siblings = partial(_sibling, ctx, subject, resource, first)
    created = [first.id, *(siblings().id for _ in range(4))]
    last = siblings()
    for size in (1, 2, 100) if resource.limit and resource.next else (0,):
        judge_pages(ctx, resource, first.ids, [*created, last.id], size)

    def between(number: int) -> None:
        if number <= 2:
            siblings()
        if number == 2 and resource.delete:
            # It is on a page already read: a cursor of positions would skip an item.
            ctx.require(DONE, resource.delete, last.ids)

    if resource.limit and resource.next:
        judge_pages(ctx, resource, first.ids, created, 2, between)


def judge_pages(
    ctx: Context,
    resource: Resource,
    ids: Mapping[str, str],
    created: Sequence[str],
    size: int = 0,
    between: Callable[[int], None] = lambda _: None,
    *,
    to_end: bool = False,
) -> tuple[list[str], Response]:
    """Expect each of these items once in a list that others also use, and newest first if it is so.

    Args:
        ctx: The context.
        resource: The roles of the list.
        ids: The ids of its path.
        created: The ids of the items, the oldest first.
        size: The largest number of items of a page; the server's own if 0.
        between: A callback after each page, with its number.
        to_end: Whether the whole list is read, also after the last of these items.

    Returns:
        The ids in the list, as far as it was read, and the last page.
    """
    operation = ctx.session.document.operations[resource.list]
    query = {**(resource.query or {}), **({resource.limit: size} if size else {})}
    oldest = None
    if resource.newest and resource.read and not to_end:
        first = Item(created[0], {**ids, resource.parameter: created[0]})
        oldest = moment(at(read(ctx, resource, first)[0], resource.newest))

    def enough(items: list[Any]) -> bool:
        # No expected item can come after one that is older than all of them.
        last = moment(at(items[-1], resource.newest)) if items else None
        is_past = oldest is not None and last is not None and last < oldest
        return not to_end and (is_past or {*created} <= {*map(str, map(resource.id_of, items))})

    items, page, is_at_end = iterate_pages(
        ctx,
        operation.id,
        operation.own_ids(ids),
        query,
        enough=enough,
        between=between,
        form=resource.form,
    )
    listed, judge = [str(resource.id_of(item)) for item in items], ctx.judge(operation.id, page)
    missing = [item_id for item_id in created if item_id not in listed]
    if missing and not (is_at_end or enough(items)):
        ctx.expect.inconclusive(operation.id, f"{len(items)} items, most of others, come before")
    else:
        judge.that("every item comes", not missing, f"{missing[:3]} did not come")
    twice = sorted({item_id for item_id in listed if listed.count(item_id) > 1})
    judge.that("no item comes twice", not twice, f"{twice[:3]} came twice")
    if resource.newest:
        stamps = [moment(at(item, resource.newest)) for item in items]
        wrong = [f"{b} after {a}" for a, b in pairwise(stamps) if a and b and b > a]
        judge.that("items are newest first", not wrong, ", ".join(wrong[:2]))
    if size:
        count = len(resource.form.items_of(page))
        judge.that(f"at most {size} items", count <= size, f"{count}")
    return listed, page


def ids(ctx: Context, subject: Subject, resource: Resource) -> None:
    """An id that resembles an existing one is unknown."""
    judge_similar_ids(ctx, resource, make(ctx, subject, resource), _UNKNOWN)


def judge_similar_ids(
    ctx: Context, resource: Resource, item: Item, unknown: Status, *, exact: bool = False
) -> None:
    """Expect reads and changes to know no id that resembles the one of an item, and to leave it."""
    for similar_id in similar_ids(item.id, exact=exact):
        path = {**item.ids, resource.parameter: similar_id}
        if resource.read:
            ctx.check(unknown, resource.read, path)
        if resource.change:
            patch = {resource.merges: {"changed": True}} if resource.merges else {}
            ctx.check(unknown, resource.change, path, json=patch)
    if resource.change and resource.merges:
        _, view, response = next(views_of(ctx, resource, item))
        is_changed = at(view, resource.merges, "changed") is not ABSENT
        judge = ctx.judge(resource.change, response)
        judge.that("nothing of another id", not is_changed, f"{resource.merges} was changed")


def similar_ids(identifier: str, *, exact: bool = False) -> Iterator[str]:
    """Iterate over ids that resemble an id; all of them if each letter of an id counts."""
    # Letters of a UUID have no case, and numbers may be read with white space.
    if exact or (identifier.swapcase() != identifier and not _UUID.fullmatch(identifier)):
        yield identifier.swapcase()
    if exact or not identifier.isdigit():
        yield identifier + " "
        yield " " + identifier
    # A short number may have neighbours.
    if exact or len(identifier) > _LONG_ID or not identifier[-1].isdigit():
        yield identifier[:-1]
        yield identifier + identifier[-1]
    yield identifier + "%"


def alike(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A resource alone and in the list is the same, and is what was sent."""
    item = make(ctx, subject, resource)
    if resource.cancel:
        ctx.call(resource.cancel, item.ids, json=resource.cancel_body)
    view, response = read(ctx, resource, item)
    for _ in ctx.session.pauses(_REST_SECONDS):
        former, (view, response) = view, read(ctx, resource, item)
        if same_json(former, view) and (
            not resource.final or at(view, resource.state) in resource.final
        ):
            break
    else:
        # It goes on changing: two readings differ without a fault.
        raise InconclusiveError(Outcome.NOT_REACHED, resource.read, "it does not come to rest")
    judge = ctx.judge(resource.read, response)
    identifier = resource.id_of(view)
    if identifier is not ABSENT:
        judge.equal("the id", item.id, str(identifier))
    sent: Any = request_json(item.response.exchange) if item.response else None
    for name in sent.keys() & view.keys() if isinstance(sent, dict) else ():
        # A server may add what has a default.
        shared = _common(sent[name], view[name])
        judge.equal(f"{name}, as sent,", sent[name], shared)
    if not resource.list:
        return
    entry, page = find_listed(ctx, resource, item)
    judge = ctx.judge(resource.list, page)
    if judge.that("it is in the list", entry is not ABSENT, "it is not"):
        for name in entry.keys() & view.keys():
            judge.equal(f"{name}, as alone,", view[name], entry[name])


def _common(sent: Any, stored: Any) -> Any:
    """Return what is stored without the fields that were not sent."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return {name: _common(sent[name], stored[name]) for name in sent.keys() & stored.keys()}
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [*map(_common, sent, stored)]
    return stored


def etags(ctx: Context, subject: Subject, resource: Resource) -> None:
    """An ETag is the same for the same, answers 304, and is another one after a change."""
    item = make(ctx, subject, resource)
    first = ctx.require(200, resource.read, item.ids)
    tag = first.exchange.header("etag")
    if tag is None:
        return
    again = ctx.require(200, resource.read, item.ids)
    ctx.expect.equal(resource.read, "etag", tag, again.exchange.header("etag"), again)
    same = Status((304, 200), "it has not changed")
    ctx.check(same, resource.read, item.ids, headers={"if-none-match": tag})
    if resource.change and resource.merges:
        ctx.require(DONE, resource.change, item.ids, json={resource.merges: {"tagged": 1}})
        later = ctx.check(
            Status(200, "it was changed"), resource.read, item.ids, headers={"if-none-match": tag}
        )
        tag_now = later.exchange.header("etag")
        ctx.judge(resource.read, later).that("another etag", tag_now != tag, str(tag_now))


def ranges(ctx: Context, subject: Subject, resource: Resource) -> None:
    """A range has the bytes that the whole has there."""
    item = make(ctx, subject, resource)
    full = ctx.require(200, resource.download, item.ids)
    size = len(full.exchange.response_body)
    if size < 4:
        return
    for first, last in ((0, 0), (1, 2), (size - 2, size - 1)):
        headers = {"range": f"bytes={first}-{last}"}
        part = ctx.check((206, 200), resource.download, item.ids, headers=headers)
        judge_part(ctx, resource.download, part, full, first, last)


def judge_part(
    ctx: Context, operation: str, part: Response, full: Response, first: int, last: int
) -> None:
    """Expect the answer to a range to be these bytes of the whole, or all of it with 200."""
    judge, content = ctx.judge(operation, part), full.exchange.response_body
    expected = content[first : last + 1] if part.status == 206 else content
    body = part.exchange.response_body
    demand = f"bytes {first} to {last} of the whole: {expected[:40]!r}"
    judge.that(demand, body == expected, f"{len(body)} bytes: {body[:40]!r}")
    if part.status == 206:
        header = f"bytes {first}-{last}/{len(content)}"
        judge.equal("Content-Range", header, part.exchange.header("content-range"))
        # RFC 9110, 15.3.7: a part has the ETag of the whole, if that has one.
        if (tag := full.exchange.header("etag")) is not None:
            judge.equal("ETag of the whole", tag, part.exchange.header("etag"))


def streams(ctx: Context, subject: Subject, resource: Resource) -> None:
    """Two readers of a stream that has ended agree."""
    item = make(ctx, subject, resource)
    if resource.cancel:
        ctx.call(resource.cancel, item.ids, json=resource.cancel_body)
    readings = [ctx.stream(resource.events, item.ids, limit=10.0) for _ in range(2)]
    judge_readers(ctx, resource.events, *readings)


def judge_readers(ctx: Context, operation: str, expected: EventStream, stream: EventStream) -> None:
    """Expect a reader of a stream to get what another one got, as far as both got."""
    first, second = (
        [(m.id, m.event, _in_order(m.data)) for m in reading.messages]
        for reading in (expected, stream)
    )
    shared = min(len(first), len(second))
    judge, counts = ctx.judge(operation, stream), f"{len(second)} messages: {stream.events}"
    judge.that("the same messages for both readers", first[:shared] == second[:shared], counts)
    if expected.complete and stream.complete:
        demand = f"{len(first)} messages, as many for both readers"
        judge.that(demand, len(first) == len(second), counts)


def _in_order(data: str) -> str:
    """Return JSON with its keys in order; other data as they are."""
    try:
        return json.dumps(json.loads(data), sort_keys=True)
    except ValueError:
        return data


def _sibling(ctx: Context, subject: Subject, resource: Resource, first: Item) -> Item:
    """Make another resource in the parent of the first one."""
    if not resource.parent:
        return make(ctx, subject, resource)
    ids = {name: value for name, value in first.ids.items() if name != resource.parameter}
    response = ctx.require((200, 201, 202), resource.create, ids, json=creation_body(ctx, resource))
    return created_item(ctx, resource, ids, response)
