"""Scenarios of image releases, on servers that offer them."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.http.client import ABSENT, at

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
    # Nobody builds or fetches it: it is bound to no task.
    body = {"source_kind": "image_ref", "image_ref": f"kit.invalid/none@sha256:{'0' * 64}"}
    created = ctx.require(201, "create_image_release", pool, json=body)
    release = {**pool, "release_id": str(created.at("release_id"))}
    ctx.expect.equal(
        "create_image_release", "id", created.at("release_id"), created.at("id"), created
    )
    read = ctx.require(200, "get_image_release", release)
    for field in ("id", "release_id", "source_kind"):
        ctx.expect.equal("get_image_release", field, created.at(field), read.at(field), read)
    listed = ctx.require(200, "list_image_releases", pool)
    items = [at(item, "release_id") for item in listed.at("items") or []]
    ctx.expect.equal("list_image_releases", "items", [created.at("release_id")], items, listed)
    ctx.expect.equal(
        "list_image_releases", "releases", listed.at("items"), listed.at("releases"), listed
    )
    ctx.require(200, "delete_image_release", release)
    ctx.check(404, "get_image_release", release)
    remaining = ctx.require(200, "list_image_releases", pool)
    ctx.expect.equal(
        "delete_image_release", "the list afterwards", [], remaining.at("items"), remaining
    )


@scenario(
    "images.not_offered",
    "list_image_releases",
    "create_image_release",
    "get_image_release",
    "delete_image_release",
    *_BINDS,
    clauses="""
        Image releases#8862, list_image_releases#01a9, ImageRelease.source_kind#19d5, Errors#67bd,
        Capabilities.features#22f7
    """,
)
def images_not_offered(ctx: Context) -> None:
    if ctx.session.features.get("image_releases") is True:
        return
    there = ctx.session.document.operations
    ids = {
        "pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}]),
        "task_id": "t",
        "release_id": ctx.resources.name("none"),
    }
    if "list_image_releases" not in there:
        return
    listed = ctx.call("list_image_releases", {"pool_id": ids["pool_id"]})
    if listed.status != 200:
        # A server from before this part of the document.
        ctx.expect.inconclusive("list_image_releases", f"the answer is {listed.status}")
        return
    ctx.expect.equal("list_image_releases", "items", [], listed.at("items"), listed)
    for operation in ctx.operations[1:]:
        if operation not in there:
            continue
        expected = {name: ids[name] for name in ids if f"{{{name}}}" in there[operation].path}
        body = {"source_kind": "image_ref", "image_ref": f"kit.invalid/none@sha256:{'0' * 64}"}
        sent = body if operation == "create_image_release" else ABSENT
        refused = Status(501, "the server does not offer it", code="not_implemented")
        ctx.check(refused, operation, expected, json=sent)


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
    body = {"source_kind": "image_ref", "image_ref": f"kit.invalid/none@sha256:{'0' * 64}"}
    for tasks in ((), ("t",), ("t", "u")):
        pool = {"pool_id": ctx.resources.pool(tasks=[{"task_id": name} for name in tasks])}
        created = ctx.require(201, "create_image_release", pool, json=body)
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
    ids = {
        "pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}]),
        "task_id": "t",
        "release_id": ctx.resources.name("none"),
    }
    for operation in ("get_image_release", "delete_image_release", *_BINDS):
        path = ctx.session.document.operations[operation].path
        expected = {name: value for name, value in ids.items() if f"{{{name}}}" in path}
        ctx.check(404, operation, expected)
        nowhere = ctx.check(404, operation, {**expected, "pool_id": ctx.resources.name("nowhere")})
        ctx.expect.that(
            Expectation(operation, "a pool that is not there is 404", nowhere),
            nowhere.status == 404,
            str(nowhere.status),
        )
