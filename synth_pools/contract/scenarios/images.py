"""Scenarios of image releases, on servers that offer them."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import ids_of, start_rollout, wait_for
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show
from synth_pools.contract.scenarios.pool_images import NOWHERE, create_image_pool, ended_warming

# It is bound to no task, so that no server builds it; one that pulls images needs --image.
_RELEASE = {"source_kind": "image_ref", "image_ref": f"kit.invalid/none@sha256:{'0' * 64}"}
_NEEDS_IMAGE = "needs --image, with an image that the server can pull"
_BINDS = ("bind_image_release", "bind_task_image_release")
_UNBINDS = ("unbind_image_release", "unbind_task_image_release")


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
    pool = _pool(ctx, "t")
    created = _release(ctx, pool)
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
    *_UNBINDS,
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
    pool, minimal = {"pool_id": ids["pool_id"]}, {"prefer": "return=minimal"}
    page = ctx.require(200, "list_image_releases", pool, headers=minimal)
    applied = page.exchange.header("preference-applied")
    judge = ctx.judge("list_image_releases", page)
    judge.equal("Preference-Applied", minimal["prefer"], applied)
    nobody = {"pool_id": ctx.resources.name("nobody")}
    ctx.check(Status(404, "no such pool", code="pool_not_found"), "list_image_releases", nobody)
    refused = Status(501, "the server does not offer it", code="not_implemented")
    for operation in ctx.operations[1:]:
        if operation not in operations:
            continue
        body = _RELEASE if operation == "create_image_release" else ABSENT
        ctx.check(refused, operation, operations[operation].own_ids(ids), json=body)


@scenario(
    "images.bind_refused",
    *_BINDS,
    *_UNBINDS,
    clauses="""
        bind_image_release#8e4e, ImageRelease#1477, bind_task_image_release#bff2,
        unbind_image_release#4d16, unbind_task_image_release#3658,
        ImageReleaseList#0298, list_image_releases#e90d, ImageRelease.id#fa1f
    """,
    needs="image_releases",
)
def images_bind_refused(ctx: Context) -> None:
    for tasks in ((), ("t",), ("t", "u")):
        pool = _pool(ctx, *tasks)
        created = _release(ctx, pool)
        release = {**pool, "release_id": str(created.at("release_id"))}
        expected = {"expected_release_id": ctx.resources.name("another")}
        # Nothing is built or pulled for a binding that is refused.
        code = "release_mismatch" if len(tasks) == 1 else "single_task_required"
        refused = Status(
            409, "another one is expected, or there is not exactly one task", code=code
        )
        ctx.check(refused, "bind_image_release", release, query=expected)
        ctx.check(refused, "unbind_image_release", release)
        if tasks:
            refused = Status(409, "another one is expected", code="release_mismatch")
            ids = {**release, "task_id": "t"}
            ctx.check(refused, "bind_task_image_release", ids, query=expected)
            ctx.check(refused, "unbind_task_image_release", ids)


@scenario(
    "images.bound",
    *_BINDS,
    *_UNBINDS,
    "delete_image_release",
    "create_rollout",
    clauses="""
        Image releases#2906#9768, delete_image_release#3bbb, bind_image_release#8e4e#b5a7,
        unbind_image_release#7904,
        bind_image_release responses 200#9ce9, parameters ExpectedReleaseId#cb19#cf6b
    """,
    needs="image_releases",
    slow=True,
)
def images_bound(ctx: Context) -> None:
    if ctx.session.options.image is None:
        raise InconclusiveError(Outcome.NOT_REACHED, _BINDS[0], _NEEDS_IMAGE)
    pool = _pool(ctx, "t")
    read = ended_warming(ctx, pool)
    created = _release(ctx, pool)
    release = {**pool, "release_id": str(created.at("release_id"))}
    none, this = {"expected_release_id": ""}, {"expected_release_id": release["release_id"]}
    bound = ctx.require(200, "bind_image_release", release, query=none)
    for field, expected in {**release, "task_id": "t"}.items():
        ctx.judge("bind_image_release", bound).field(field, expected)
    task = {**release, "task_id": "t"}
    for operation, ids in zip(_BINDS, (release, task), strict=True):
        refused = Status(409, "a release is bound already", code="release_mismatch")
        ctx.check(refused, operation, ids, query=none)
        ctx.require(200, operation, ids, query=this)
    refused = Status(409, "a task is bound to it", code="release_bound")
    ctx.check(refused, "delete_image_release", release)
    if read.at("status") == "active" and ctx.session.offers("images"):
        # The rollout may fail, as long as its container was reached.
        final = wait_for(ctx, start_rollout(ctx, pool["pool_id"], task_id="t"), FINAL)
        lost = final.at("error", "code") in ("container_unreachable", "container_timeout")
        ctx.judge("create_rollout", final).that(
            "the rollout of a bound task runs on a container",
            not lost,
            show(final.at("error"), 200),
        )
    for bind, unbind, ids in zip(_BINDS, _UNBINDS, (release, task), strict=True):
        ctx.require(200, bind, ids)
        unbound = ctx.require(200, unbind, ids)
        for field, expected in task.items():
            ctx.judge(unbind, unbound).field(field, expected)
        refused = Status(409, "it is bound no more", code="release_mismatch")
        ctx.check(refused, unbind, ids)
    ctx.check(200, "delete_image_release", release)


@scenario(
    "images.unavailable",
    "create_image_release",
    "list_image_releases",
    clauses="create_image_release#5522",
    needs="image_releases",
)
def images_unavailable(ctx: Context) -> None:
    pool = _pool(ctx, "t")
    body = {**_RELEASE, "image_ref": NOWHERE}
    # A server that builds images may pull none before they are needed.
    created = ctx.require((201, 409), "create_image_release", pool, json=body)
    if created.status == 201:
        return
    ctx.judge("create_image_release", created).field("error.code", "image_unavailable")
    page = ctx.require(200, "list_image_releases", pool)
    ctx.judge("create_image_release", page).field("items", [], "the list after the refusal")


@scenario(
    "images.unknown",
    *_BINDS,
    *_UNBINDS,
    "get_image_release",
    "delete_image_release",
    clauses="""
        get_image_release#6c96, delete_image_release#ca2c, ImageRelease#1477, ImageReleaseList#0298,
        list_image_releases#e90d, bind_task_image_release#bff2, ImageRelease.id#fa1f,
        ImageRelease.source_kind#19d5
    """,
    needs="image_releases",
)
def images_unknown(ctx: Context) -> None:
    ids = _ids(ctx)
    for operation in ("get_image_release", "delete_image_release", *_BINDS, *_UNBINDS):
        own_ids = ctx.session.document.operations[operation].own_ids(ids)
        ctx.check(404, operation, own_ids)
        nowhere = ctx.check(404, operation, {**own_ids, "pool_id": ctx.resources.name("nowhere")})
        ctx.judge(operation, nowhere).that(
            "a pool that is not there is 404", nowhere.status == 404, str(nowhere.status)
        )


def _pool(ctx: Context, *task_ids: str) -> dict[str, str]:
    """Create a pool with tasks; with the image of the options where the server starts images."""
    image, tasks = ctx.session.options.image, [{"task_id": task_id} for task_id in task_ids]
    if image is None or not ctx.session.offers("images"):
        return {"pool_id": ctx.resources.pool(tasks=tasks)}
    return {"pool_id": str(create_image_pool(ctx, image, tasks=tasks).at("id"))}


def _release(ctx: Context, pool: dict[str, str]) -> Response:
    """Create a release, of the image of the options if there is one.

    Raises:
        InconclusiveError: The server cannot pull the image.
        StopScenarioError: The release is not created; the departure is recorded.
    """
    image = ctx.session.options.image
    body = _RELEASE if image is None else {**_RELEASE, "image_ref": image["image"]}
    created = ctx.call("create_image_release", pool, json=body)
    if created.at("error", "code") == "image_unavailable":
        raise InconclusiveError(Outcome.NOT_REACHED, "create_image_release", _NEEDS_IMAGE)
    if not ctx.expect.status(created, 201, "create_image_release"):
        raise StopScenarioError
    return created


def _ids(ctx: Context) -> dict[str, str]:
    """Return ids of a pool and its task, and of a release that does not exist."""
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    return {"pool_id": pool_id, "task_id": "t", "release_id": ctx.resources.name("none")}
