"""Scenarios of image releases, on servers that offer them."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import ids_of
from synth_pools.contract.http.client import ABSENT

# It is bound to no task, so that no server builds or fetches it.
_RELEASE = {"source_kind": "image_ref", "image_ref": f"kit.invalid/none@sha256:{'0' * 64}"}
_BINDS = ("bind_image_release", "bind_task_image_release")


@scenario(
    "images.lifecycle",
    "create_image_release",
    "get_image_release",
    "list_image_releases",
    "delete_image_release",
    clauses="""
        get_image_release#6c96, delete_image_release#ca2c, list_image_releases#e90d,
        ImageRelease.id#fa1f, ImageRelease.source_kind#19d5
    """,
    needs="image_releases",
)
def images_lifecycle(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}])}
    created = ctx.require(201, "create_image_release", pool, json=_RELEASE)
    release = {**pool, "release_id": str(created.at("release_id"))}
    ctx.judge("create_image_release", created).field("id", created.at("release_id"))
    read = ctx.require(200, "get_image_release", release)
    for field in ("id", "release_id", "source_kind"):
        ctx.judge("get_image_release", read).field(field, created.at(field))
    page = ctx.require(200, "list_image_releases", pool)
    items = ids_of(page.list_at("items"), "release_id")
    ctx.expect.equal("list_image_releases", "items", [created.at("release_id")], items, page)
    ctx.judge("list_image_releases", page).field("releases", page.at("items"))
    ctx.require(200, "delete_image_release", release)
    ctx.check(404, "get_image_release", release)
    remaining = ctx.require(200, "list_image_releases", pool)
    ctx.judge("delete_image_release", remaining).field("items", [], "the list afterwards")


@scenario(
    "images.not_offered",
    "list_image_releases",
    "create_image_release",
    "get_image_release",
    "delete_image_release",
    *_BINDS,
    clauses="""
        Image releases#8862, list_image_releases#01a9, ImageRelease.source_kind#19d5, Errors#67bd,
        Features.image_releases#d163, responses NotOffered#fe5a
    """,
)
def images_not_offered(ctx: Context) -> None:
    if ctx.session.features.get("image_releases") is True:
        return
    operations = ctx.session.document.operations
    ids = _ids(ctx)
    if "list_image_releases" not in operations:
        return
    page = ctx.call("list_image_releases", {"pool_id": ids["pool_id"]})
    if page.status != 200:
        # The server is older than this part of the document.
        ctx.expect.inconclusive("list_image_releases", f"the answer is {page.status}")
        return
    ctx.judge("list_image_releases", page).field("items", [])
    refused = Status(501, "the server does not offer it", code="not_implemented")
    for operation in ctx.operations[1:]:
        if operation not in operations:
            continue
        body = _RELEASE if operation == "create_image_release" else ABSENT
        ctx.check(refused, operation, operations[operation].own_ids(ids), json=body)


@scenario(
    "images.bind_refused",
    *_BINDS,
    clauses="""
        bind_image_release#ec7e, ImageRelease#1477, bind_task_image_release#4cbd,
        ImageReleaseList#0298, list_image_releases#e90d, ImageRelease.id#fa1f
    """,
    needs="image_releases",
)
def images_bind_refused(ctx: Context) -> None:
    for tasks in ((), ("t",), ("t", "u")):
        pool = {"pool_id": ctx.resources.pool(tasks=[{"task_id": name} for name in tasks])}
        created = ctx.require(201, "create_image_release", pool, json=_RELEASE)
        release = {**pool, "release_id": str(created.at("release_id"))}
        expected = {"expected_release_id": ctx.resources.name("another")}
        # Nothing is built or fetched for a release that is refused.
        refused = Status(409, "another one is expected, or there is not exactly one task")
        ctx.check(refused, "bind_image_release", release, json=expected)
        if tasks:
            ids = {**release, "task_id": "t"}
            ctx.check(refused, "bind_task_image_release", ids, json=expected)


@scenario(
    "images.unknown",
    *_BINDS,
    "get_image_release",
    "delete_image_release",
    clauses="""
        get_image_release#6c96, delete_image_release#ca2c, ImageRelease#1477, ImageReleaseList#0298,
        list_image_releases#e90d, bind_task_image_release#4cbd, ImageRelease.id#fa1f,
        ImageRelease.source_kind#19d5
    """,
    needs="image_releases",
)
def images_unknown(ctx: Context) -> None:
    ids = _ids(ctx)
    for operation in ("get_image_release", "delete_image_release", *_BINDS):
        own_ids = ctx.session.document.operations[operation].own_ids(ids)
        ctx.check(404, operation, own_ids)
        nowhere = ctx.check(404, operation, {**own_ids, "pool_id": ctx.resources.name("nowhere")})
        ctx.judge(operation, nowhere).that(
            "a pool that is not there is 404", nowhere.status == 404, str(nowhere.status)
        )


def _ids(ctx: Context) -> dict[str, str]:
    """Return ids of a pool and its task, and of a release that does not exist."""
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    return {"pool_id": pool_id, "task_id": "t", "release_id": ctx.resources.name("none")}
