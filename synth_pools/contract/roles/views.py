"""Views of a resource: alone and in its list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.waits import iterate_pages
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.roles.subject import Item, Resource

Subject = Mapping[str, Resource]
# Statuses of a change that is made.
DONE = (200, 202, 204)


_MOST_PAGES = 400


def read(ctx: Context, resource: Resource, item: Item) -> tuple[Any, Response]:
    """Return the resource as `read` shows it, and the answer."""
    response = ctx.require(200, resource.read, item.ids)
    return resource.show(response), response


def views_of(ctx: Context, resource: Resource, item: Item) -> Iterator[tuple[str, Any, Response]]:
    """Iterate over the readers, the resource as each shows it, and the answers."""
    if resource.read:
        view, response = read(ctx, resource, item)
        yield resource.read, view, response
    if resource.list:
        entry, page = find_listed(ctx, resource, item)
        # A list may show less of each item.
        if entry is ABSENT or resource.state in ("", *entry):
            yield resource.list, entry, page


def find_listed(ctx: Context, resource: Resource, item: Item) -> tuple[Any, Response]:
    """Return an item of the list, or ABSENT, and the last page that was read."""
    operation = ctx.session.document.operations[resource.list]

    def mine(items: list[Any]) -> list[Any]:
        return [entry for entry in items if str(resource.id_of(entry)) == item.id]

    items, page, _ = iterate_pages(
        ctx,
        operation.id,
        operation.own_ids(item.ids),
        dict(resource.query or {}),
        enough=lambda listed: bool(mine(listed)),
        form=resource.form,
        most=_MOST_PAGES,
    )
    return next(iter(mine(items)), ABSENT), page
