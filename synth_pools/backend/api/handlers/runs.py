"""Handlers of runs."""

from __future__ import annotations

from synth_pools.backend.api.pagination import Page, read_page
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response, json_text_response
from synth_pools.backend.domain.errors import not_found
from synth_pools.backend.storage import runs
from synth_pools.backend.storage.cursors import ListPosition, page_document


async def list_runs(request: Request) -> Response:
    page = read_page(request, "runs", "runs", ())
    if not isinstance(page, Page):
        return json_text_response(page_document([], None))
    database, before = request.services.database, page.after and page.after.seq
    seqs = await database.read(lambda db: runs.list_positions(db, before, page.wanted))
    cursor = None
    if len(seqs) > page.limit:
        seqs = seqs[: page.limit]
        cursor = request.services.cursors.issue("runs", ListPosition(seqs[-1]))
    # Runs may be large: they are summed apart.
    items = await database.read_apart(lambda db: runs.read_runs(db, seqs))
    return json_text_response(page_document(items, cursor))


async def get_run(request: Request) -> Response:
    name = request.path("run")
    document = await request.services.database.read_apart(lambda db: runs.find_run(db, name))
    if document is None:
        raise not_found(f"There is no run {name!r}: none of the rollouts has this name.")
    return json_text_response(document)
