"""Scenarios of image releases, on servers that offer them."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.http.client import at

_BINDS = ("bind_image_release", "bind_task_image_release")


@scenario(
    "images.lifecycle",
    "Image releases",
    "a release is read as it was created, listed under both names, and gone once it is deleted",
    "create_image_release",
    "get_image_release",
    "list_image_releases",
    "delete_image_release",
    needs="image_releases",
)
def images_lifecycle(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}])}
    # Nobody builds or fetches it: it is bound to no task.
    body = {"source_kind": "image_ref", "image_ref": f"kit.invalid/none@sha256:{'0' * 64}"}
    made = ctx.require(201, "create_image_release", pool, json=body)
    release = {**pool, "release_id": str(made.at("release_id"))}
    ctx.expect.equal("create_image_release", "id", made.at("release_id"), made.at("id"), made)
    read = ctx.require(200, "get_image_release", release)
    for field in ("id", "release_id", "source_kind"):
        ctx.expect.equal("get_image_release", field, made.at(field), read.at(field), read)
    listed = ctx.require(200, "list_image_releases", pool)
    found = [at(item, "release_id") for item in listed.at("items") or []]
    ctx.expect.equal("list_image_releases", "items", [made.at("release_id")], found, listed)
    ctx.expect.equal(
        "list_image_releases", "releases", listed.at("items"), listed.at("releases"), listed
    )
    ctx.require(200, "delete_image_release", release)
    ctx.check(404, "get_image_release", release)
    left = ctx.require(200, "list_image_releases", pool)
    ctx.expect.equal("delete_image_release", "the list afterwards", [], left.at("items"), left)


@scenario(
    "images.unknown",
    "Image releases",
    "a release that is not there is 404, and so is one of a pool that is not there",
    *_BINDS,
    "get_image_release",
    "delete_image_release",
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
        wanted = {name: value for name, value in ids.items() if f"{{{name}}}" in path}
        ctx.check(404, operation, wanted)
        nowhere = ctx.check(404, operation, {**wanted, "pool_id": ctx.resources.name("nowhere")})
        ctx.expect.that(
            Expectation(operation, "a pool that is not there is 404", nowhere),
            nowhere.status == 404,
            str(nowhere.status),
        )
