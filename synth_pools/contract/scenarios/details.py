"""Scenarios of headers, media types, orders and addresses."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from synth_pools.contract.exceptions import UnreachableError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.waits import ids_of, moment, run_rollout
from synth_pools.contract.http.client import ABSENT, Response, at, is_loopback_url
from synth_pools.contract.selections import answers_itself, lists

_MERGE = "application/merge-patch+json"
_ARTIFACTS = "get_global_rollout_artifacts"
_ADDRESSES = ("pool_url", "rollouts_url", "container_rollout_url")


@scenario("details.location", "create_pool", "create_task", clauses="headers Location#9aa6")
def details_location(ctx: Context) -> None:
    created = ctx.resources.create_pool(ctx.resources.body())
    pool = {"pool_id": str(created.at("id"))}
    answers = [("create_pool", created)]
    if ctx.has("create_task"):
        task = ctx.require(201, "create_task", pool, json={"task_id": "a:b"})
        answers.append(("create_task", task))
    for operation, response in answers:
        location = response.exchange.header("location")
        if location is None:
            # A rule judges whether documented headers are present.
            continue
        list_url = response.exchange.url
        # No server has this prefix: a path that begins with a slash would lead out of it.
        prefixed = f"https://proxy.invalid/{ctx.session.options.run_id}{urlsplit(list_url).path}"
        for url in (list_url, prefixed):
            actual = unquote(urljoin(url, location))
            judge = ctx.judge(operation, response)
            judge.equal(f"Location from {url}", f"{url}/{response.at('id')}", actual)


@scenario(
    "details.forwarded",
    "get_pool_urls",
    "get_global_rollout_artifacts",
    clauses="get_pool_urls#cad2, Artifact.download_url#e9cf",
)
def details_forwarded(ctx: Context) -> None:
    parts = urlsplit(ctx.session.base_url)
    if not is_loopback_url(ctx.session.base_url) or ctx.session.options.access.proxy:
        ctx.expect.inconclusive("get_pool_urls", "a proxy on the way may set these headers itself")
        return
    rollout = run_rollout(ctx, ctx.resources.live_pool(tasks=[{"task_id": "t"}]))
    prefix = f"/{ctx.session.options.run_id}"
    plain = f"{parts.scheme}://{parts.netloc}"
    for proto, forwarded, expected in (
        ("https", "", f"https://{parts.netloc}"),
        ("HTTP", f"{prefix}/a.b/", f"http://{parts.netloc}{prefix}/a.b"),
        ("", prefix, f"{plain}{prefix}"),
        ("javascript", "//elsewhere.invalid", plain),
    ):
        forwarded_headers = {"x-forwarded-proto": proto, "x-forwarded-prefix": forwarded}
        headers = {name: text for name, text in forwarded_headers.items() if text}
        urls = ctx.require(200, "get_pool_urls", {"pool_id": rollout.pool_id}, headers=headers)
        page = ctx.require(200, _ARTIFACTS, rollout.global_ids, headers=headers)
        addresses = [(urls, "get_pool_urls", urls.at(field)) for field in _ADDRESSES]
        of_tasks = ids_of(urls.list_at("task_urls"), "container_rollout_url")
        addresses += [(urls, "get_pool_urls", address) for address in of_tasks]
        addresses += [
            (page, _ARTIFACTS, at(item, "download_url")) for item in page.list_at("items")
        ]
        for response, operation, actual in addresses:
            if actual is not None:
                ctx.judge(operation, response).that(
                    f"addresses that begin with {expected}, as {headers} say",
                    str(actual).startswith(f"{expected}/v1/"),
                    str(actual),
                )


@scenario(
    "details.merge_patch",
    "update_pool",
    "patch_task",
    "create_pool",
    "replace_pool",
    clauses="update_pool#34c2, responses UnsupportedMediaType#c9f0",
)
def details_merge_patch(ctx: Context) -> None:
    pool_id = ctx.resources.pool(metadata={"a": 1}, tasks=[{"task_id": "t"}])
    pool, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "t"}
    for operation, ids, field in (
        ("update_pool", pool, "metadata"),
        ("patch_task", task, "task_metadata"),
    ):
        body = json.dumps({field: {"b": 2}}).encode()
        for media_type in (_MERGE, f"{_MERGE}; charset=utf-8"):
            headers = {"content-type": media_type}
            updated = ctx.check(200, operation, ids, content=body, headers=headers)
            ctx.judge(operation, updated).field(f"{field}.b", 2)
    body = json.dumps({"name": "other"}).encode()
    for operation, ids in (("create_pool", {}), ("replace_pool", pool)):
        headers = {"content-type": _MERGE}
        refused = ctx.call(operation, ids, content=body, headers=headers)
        if refused.status == 201:
            ctx.session.register_pool(str(refused.at("id")))
        ctx.expect.status(refused, Status(415, f"the body is {_MERGE}"), operation)


_PREFERENCES = (
    *("return=representation", "respond-async", "minimal"),
    *("return=minimalist", 'note="return=minimal"', "no-return=minimal"),
)


@scenario("details.prefer", lists, clauses="parameters Prefer#84dd#468c")
def details_prefer(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    for operation in offered(ctx, lists):
        name, ids = operation.id, operation.own_ids(rollout.ids)
        plain = ctx.require(200, name, ids, query={})
        for preference in _PREFERENCES:
            page = ctx.check(200, name, ids, headers={"prefer": preference})
            expected = sorted(plain.json) if isinstance(plain.json, dict) else []
            keys = sorted(page.json) if isinstance(page.json, dict) else []
            ctx.expect.equal(name, "the keys of the page", expected, keys, page)
            header = page.exchange.header("preference-applied")
            ctx.expect.equal(name, f"Preference-Applied of {preference}", None, header, page)


@scenario(
    "details.task_order",
    "get_pool",
    "list_tasks",
    "create_pool",
    "get_pool_urls",
    "replace_pool",
    "update_task",
    clauses="""
        Pool.tasks#8e15, list_tasks#603f, TaskList#585b, PoolUrls.task_urls#5511,
        replace_pool#9b5e
    """,
)
def details_task_order(ctx: Context) -> None:
    names = ["m", "b", "z", "a"]
    pool_id = ctx.resources.pool(tasks=[{"task_id": name} for name in names])
    ids = {"pool_id": pool_id}
    for name in ("k", "c"):
        ctx.require(201, "create_task", ids, json={"task_id": name})
        names.append(name)
    _judge_task_order(ctx, ids, names, names[::-1])
    # A change of a task leaves its place.
    ctx.require(200, "update_task", {**ids, "task_id": "b"}, json={"task_config": {"x": 1}})
    _judge_task_order(ctx, ids, names, names[::-1])
    # Tasks that a body names again have its order in the pool, and their age in the list.
    names = ["k", "n", "m", "o", "a"]
    body = ctx.resources.body(tasks=[{"task_id": name} for name in names], pool_id=pool_id)
    ctx.require(200, "replace_pool", ids, json=body)
    page = _judge_task_order(ctx, ids, names, ["o", "n"])
    stamps = [moment(at(item, "created_at")) for item in page.list_at("items")]
    ordered = all(a is None or b is None or a >= b for a, b in pairwise(stamps))
    ctx.judge("list_tasks", page).that("newest first by created_at", ordered, f"{stamps}")


def _judge_task_order(
    ctx: Context, ids: dict[str, str], in_pool: list[str], newest: list[str]
) -> Response:
    """Judge the order of tasks in each view; return the list of tasks."""
    for operation, field in (("get_pool", "tasks"), ("get_pool_urls", "task_urls")):
        response = ctx.require(200, operation, ids)
        actual = ids_of(response.list_at(field), "task_id")
        ctx.expect.equal(operation, f"{field}, in order,", in_pool, actual, response)
    page = ctx.require(200, "list_tasks", ids)
    actual = ids_of(page.list_at("items"), "task_id")
    ctx.expect.equal("list_tasks", "the newest", newest, actual[: len(newest)], page)
    ctx.expect.equal("list_tasks", "all tasks", sorted(in_pool), sorted(map(str, actual)), page)
    return page


@scenario(
    "details.many",
    "list_tasks",
    "get_pool",
    "get_pool_urls",
    "update_pool",
    clauses="list_tasks#603f, TaskList#585b",
)
def details_many(ctx: Context) -> None:
    ids = {"pool_id": ctx.resources.pool()}
    for count in (1, 11, 120):
        expected = [f"task-{number:03}" for number in range(count)]
        tasks = [{"task_id": name} for name in expected]
        ctx.require(200, "update_pool", ids, json={"tasks": tasks})
        for operation, field in (
            ("list_tasks", "items"),
            ("get_pool", "tasks"),
            ("get_pool_urls", "task_urls"),
        ):
            response = ctx.require(200, operation, ids)
            actual = sorted(map(str, ids_of(response.list_at(field), "task_id")))
            ctx.expect.equal(operation, "the tasks of many", expected, actual, response)
            if operation == "list_tasks":
                ctx.judge(operation, response).field("next_cursor", None)


@scenario("details.host", "get_pool_urls", clauses="get_pool_urls#9c29")
def details_host(ctx: Context) -> None:
    ids = {"pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}])}
    parts = urlsplit(ctx.session.base_url)
    hosts = [parts.netloc]
    if is_loopback_url(ctx.session.base_url) and parts.scheme == "http":
        hosts += [f"localhost:{parts.port or 80}", f"127.0.0.1:{parts.port or 80}"]
    observed: list[tuple[str, Any, Response]] = []
    for host in dict.fromkeys(hosts):
        response = ctx.call("get_pool_urls", ids, headers={"host": host})
        # The server may refuse a Host that is not one of its names.
        if response.status == 200:
            root = f"{parts.scheme}://{host}/"
            observed += [(root, response.at(field), response) for field in _ADDRESSES]
    if observed and not any(str(actual).startswith(expected) for expected, actual, _ in observed):
        _judge_other_host(ctx, observed[0][1], observed[0][2])
        return
    for expected, actual, response in observed:
        ctx.judge("get_pool_urls", response).that(
            "addresses with the Host of the request",
            str(actual).startswith(expected),
            f"{actual} instead of {expected}...",
        )


def _judge_other_host(ctx: Context, address: Any, response: Response) -> None:
    """Expect an address to lead to a server if its Host is not that of the request.

    A proxy may set another Host. On this machine the kit can try whether a server answers there;
    it sends no key to such an address.
    """
    is_local = is_loopback_url(ctx.session.base_url)
    if not is_local or not is_loopback_url(str(address)) or ctx.session.options.access.proxy:
        ctx.expect.inconclusive("get_pool_urls", "something on the way gives another Host")
        return
    try:
        ctx.session.http.send("GET", str(address), {}, None, None)
    except UnreachableError:
        observed = f"{address}, where nobody answers"
        demand = "addresses with the Host of the request"
        ctx.judge("get_pool_urls", response).that(demand, False, observed)
        return
    ctx.expect.inconclusive("get_pool_urls", "something on the way gives another Host")


@scenario(
    "details.foreign_host",
    "get_pool_urls",
    answers_itself,
    clauses="Authentication#b316, responses Forbidden#29df, Errors#faed",
)
def details_foreign_host(ctx: Context) -> None:
    ids = {"pool_id": ctx.resources.pool()}
    # No host has a name under .invalid.
    host = f"{ctx.session.options.run_id}.invalid"
    response = ctx.call("get_pool_urls", ids, headers={"host": host})
    if response.status == 200 and host not in str(response.at("pool_url")):
        ctx.expect.inconclusive("get_pool_urls", "something on the way gives another Host")
    elif response.status in (200, 403):
        refused = Status(403, f"the Host is {host}", code="forbidden_host")
        if ctx.expect.status(response, refused, "get_pool_urls"):
            _read_all(ctx, refused, {"host": host})
    else:
        # A gateway with a list of its names answers in its own way.
        ctx.expect.inconclusive("get_pool_urls", f"the answer is {response.status}")


@scenario("details.origin", answers_itself, clauses="Authentication#4079")
def details_origin(ctx: Context) -> None:
    # A rule judges whether the answers let a page of another origin read them.
    origin = {"origin": f"https://{ctx.session.options.run_id}.invalid"}
    _read_all(ctx, Status((200, 403), "the Origin is another"), origin)


def _read_all(ctx: Context, expected: Status, headers: dict[str, str]) -> None:
    """Expect every read that needs no container to be answered so."""
    rollout = run_rollout(ctx, ctx.resources.pool())
    for operation in offered(ctx, answers_itself):
        ids = operation.own_ids(rollout.ids)
        if ids.keys() == {*operation.id_names}:
            ctx.check(expected, operation.id, ids, headers=headers)


@scenario(
    "details.policy",
    "create_pool",
    "update_pool",
    "get_pool",
    clauses="""
        PoolProcess#d8ef#0e21, PoolImage#b557, ImageMount#6d4f#370e,
        PoolConfig.container_key_env#b819#90c4, Errors#48e9#a854#8955#f0f7,
        Features.ray#2474
    """,
)
def details_policy(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    refusals: list[tuple[dict[str, Any], str]] = [
        # The operator does not allow this variable, or has not set it.
        ({"container_key_env": "CONTRACT_KIT_HAS_NO_SUCH_NAME"}, "forbidden_container_key")
    ]
    if not ctx.session.offers("processes"):
        refusals.append(({"process": {"argv": ["true"]}}, "processes_not_allowed"))
    # An older server treats `image` as an unknown field.
    image: dict[str, Any] = {"image": "contract-kit/none"}
    if ctx.session.features.get("images") is False:
        refusals.append(({"image": image}, "images_not_allowed"))
    elif ctx.session.offers("images"):
        mount = {"source": f"/{ctx.session.options.run_id}-is-no-folder", "target": "/data"}
        refusals.append(({"image": {**image, "mounts": [mount]}}, "images_not_allowed"))
    if ctx.session.features.get("ray") is False:
        process = {"argv": ["true"], "launcher": "ray"}
        refusals.append(({"process": process}, "ray_not_allowed"))
    for config, code in refusals:
        name = ctx.resources.name()
        ctx.session.register_pool(name)
        refused = Status(403, "the operator has not allowed it", code=code)
        body = {"name": name, "pool_id": name, "config": config}
        ctx.check(refused, "create_pool", json=body)
        ctx.check(Status(404, "nothing was created"), "get_pool", {"pool_id": name})
        ctx.check(refused, "update_pool", {"pool_id": pool_id}, json={"config": config})
    read = ctx.require(200, "get_pool", {"pool_id": pool_id})
    names = [name for config, _ in refusals for name in config]
    stored = [name for name in names if read.at("config", name) is not ABSENT]
    ctx.expect.equal("update_pool", "what a refused change left", [], stored, read)


@scenario(
    "details.replies",
    "create_rollout",
    "get_rollout",
    "get_pool_urls",
    "get_pool_metrics",
    "create_task",
    "patch_task",
    "create_rollout_batch",
    clauses="""
        Rollout.mode#7938, PoolUrls.container_urls#7b40, PoolMetrics.containers#4e08#382c,
        RolloutBatch.rollouts#6634, TaskUrls.container_url#d866, TaskDefinition#e0bb
    """,
)
def details_replies(ctx: Context) -> None:
    kit_urls = ctx.session.containers
    tasks: list[dict[str, Any]] = [{"task_id": "t"}]
    more = {"container_url": kit_urls["good"]} if kit_urls else {}
    if kit_urls:
        tasks.append({"task_id": "own", "container_url": kit_urls["twin"]})
    pool_id = ctx.resources.pool(tasks=tasks, **more)
    pool = {"pool_id": pool_id}
    for mode in ("async", "sync"):
        rollout = run_rollout(ctx, pool_id, mode=mode)
        read = ctx.require(200, "get_rollout", rollout.ids)
        ctx.judge("get_rollout", read).field("mode", mode)
    _batch(ctx, pool)
    owned = {"status": "archived", "pool_id": None, "created_at": "2001-01-01T00:00:00Z"}
    created = ctx.require(201, "create_task", pool, json={"task_id": "o", **owned})
    changed = ctx.require(200, "patch_task", {**pool, "task_id": "o"}, json=owned)
    for operation, response in (("create_task", created), ("patch_task", changed)):
        judge, stamp = ctx.judge(operation, response), response.at("created_at")
        judge.field("status", "active")
        judge.field("pool_id", pool_id)
        is_own = stamp != owned["created_at"]
        judge.that("created_at of the server's own", is_own, str(stamp))
    if not kit_urls:
        return
    urls = ctx.require(200, "get_pool_urls", pool)
    ctx.judge("get_pool_urls", urls).field("container_urls", [kit_urls["good"]])
    url_by_task = {at(it, "task_id"): at(it, "container_url") for it in urls.list_at("task_urls")}
    actual = url_by_task.get("own")
    ctx.judge("get_pool_urls", urls).equal("container_url of own", kit_urls["twin"], actual)
    metrics = ctx.require(200, "get_pool_metrics", pool)
    container_urls = ids_of(metrics.list_at("containers"), "url")
    ctx.expect.equal("get_pool_metrics", "containers", [kit_urls["good"]], container_urls, metrics)


def _batch(ctx: Context, pool: dict[str, str]) -> None:
    if not ctx.session.offers("batch"):
        return
    requests = [ctx.session.rollout_body(), {"no_such_key": 1}, ctx.session.rollout_body()]
    batch = ctx.require(200, "create_rollout_batch", json={**pool, "rollouts": requests})
    created = [at(item, "rollout", "rollout_id") for item in batch.list_at("items")]
    expected = [name for name in created if isinstance(name, str)]
    rollouts = batch.at("rollouts")
    actual = ids_of(rollouts, "rollout_id") if isinstance(rollouts, list) else rollouts
    ctx.expect.equal("create_rollout_batch", "rollouts, in order,", expected, actual, batch)
