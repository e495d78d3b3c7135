"""Scenarios of pools that start their containers from an image, on servers that allow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    eventually,
    ids_of,
    read_until,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import same_json, show

_FEATURE = "images"
# Nothing listens at this port of the server's own machine.
NOWHERE = "localhost:9/contract-kit/none:1"
# Multiples of the usual patience: for pulling an image, and for a pull that fails.
_PULL, _TRY = 20, 4


@scenario(
    "pool_images.started",
    "create_pool",
    "get_pool",
    "get_pool_metrics",
    "create_rollout",
    "delete_pool",
    clauses="PoolImage#d565#e74a, PoolContainer.launcher#44ca, Features.images#ddcb",
    needs=_FEATURE,
    slow=True,
)
def pool_images_started(ctx: Context) -> None:
    image = ctx.session.options.image
    if image is None:
        note = "needs --image, with an image whose containers serve rollouts"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_pool", note)
    created = create_image_pool(ctx, image)
    pool = {"pool_id": str(created.at("id"))}
    demand = "status warming, until a container is healthy"
    ctx.judge("create_pool", created).among("status", ("warming", "active"), demand)
    read = ended_warming(ctx, pool)
    if read.at("status") != "active":
        # The image is the caller's own: its faults are not judged.
        note = f"the pool of --image is {read.at('status')}: {show(read.at('error'), 200)}"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_pool", note)
    for field in ("config", "pool_config"):
        stored_image = read.at(field, "image")
        stored_fields = {name: at(stored_image, name) for name in image}
        ctx.expect.equal("get_pool", f"{field}.image, as sent,", dict(image), stored_fields, read)
    ctx.judge("get_pool", read).field("error", None, "error of an active pool")
    _judge_container(ctx, pool)
    final = wait_for(ctx, start_rollout(ctx, pool["pool_id"]), FINAL)
    # The rollout may fail, as long as its container was reached.
    lost = final.at("error", "code") in ("container_unreachable", "container_timeout")
    ctx.judge("create_rollout", final).that(
        "a rollout runs on the container of the image", not lost, show(final.at("error"), 200)
    )
    ctx.require(200, "delete_pool", pool)
    if ctx.session.offers("pool_logs"):
        _judge_end(ctx, pool)


@scenario(
    "pool_images.unavailable",
    "create_pool",
    "get_pool",
    clauses="PoolImage#b60e, PoolError.code#f79f",
    needs=_FEATURE,
    slow=True,
)
def pool_images_unavailable(ctx: Context) -> None:
    created = create_image_pool(ctx, {"image": NOWHERE})
    read = ended_warming(ctx, {"pool_id": str(created.at("id"))}, _TRY)
    code = read.at("error", "code")
    if code == "engine_unavailable":
        note = f"the engine of the server does not work: {show(read.at('error', 'message'), 200)}"
        raise InconclusiveError(Outcome.NOT_REACHED, "get_pool", note)
    ctx.judge("get_pool", read).field("status", "failed")
    ctx.judge("get_pool", read).field("error.code", "image_unavailable")


def create_image_pool(ctx: Context, image: Any, **more: Any) -> Response:
    """Create a pool whose containers are started from an image, with more fields.

    Raises:
        InconclusiveError: The server's machine does not have the engine.
        StopScenarioError: The pool is not created; the departure is recorded.
    """
    name = ctx.resources.name()
    ctx.session.register_pool(name)
    body = {"name": name, "pool_id": name, "config": {"image": dict(image)}, **more}
    created = ctx.call("create_pool", json=body)
    for status, code, why in (
        (409, "engine_unavailable", "no engine there"),
        (403, "images_not_allowed", "the operator allows no such image"),
    ):
        if created.status == status and created.at("error", "code") == code:
            note = f"{why}: {show(created.at('error', 'message'), 200)}"
            raise InconclusiveError(Outcome.NOT_REACHED, "create_pool", note)
    if not ctx.expect.status(created, 201, "create_pool"):
        raise StopScenarioError
    return created


def ended_warming(ctx: Context, pool: dict[str, str], times: int = _PULL) -> Response:
    """Return the pool once it is no longer warming.

    Raises:
        InconclusiveError: It is still warming when the time limit is over.
    """
    read = ctx.require(200, "get_pool", pool)

    def has_ended() -> bool:
        nonlocal read
        read = ctx.require(200, "get_pool", pool)
        return bool(read.at("status") != "warming")

    limit = times * ctx.session.patience
    if not eventually(ctx, has_ended, limit):
        note = f"the pool was still warming after {limit:.0f} s"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_pool", note)
    return read


def _judge_container(ctx: Context, pool: dict[str, str]) -> None:
    operation = "get_pool_metrics"

    def healthy(response: Response) -> bool:
        return ids_of(response.list_at("containers"), "health") == ["healthy"]

    response, is_healthy = read_until(ctx, operation, pool, healthy)
    ctx.judge(operation, response).that(
        "the one container is healthy", is_healthy, show(response.at("containers"), 300)
    )
    container = response.at("containers", 0)
    demands: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
        ("pid", "null for a container of an image", lambda value: value is None),
        ("restarts", "0, for it was never started again", lambda value: same_json(value, 0)),
        ("launcher", "an engine", lambda value: isinstance(value, str) and value != "local"),
        ("image_digest", "what it runs", lambda value: isinstance(value, str) and bool(value)),
    )
    for field, demand, is_valid in demands:
        actual = at(container, field)
        if actual is not ABSENT:
            ctx.judge(operation, response).that(
                f"{field}: {demand}", is_valid(actual), show(actual)
            )


def _judge_end(ctx: Context, pool: dict[str, str]) -> None:
    def have_ended(page: Response) -> bool:
        return all(at(process, "running") is False for process in page.list_at("processes"))

    page, is_over = read_until(ctx, "get_pool_logs", pool, have_ended, brings="delete_pool")
    ctx.judge("delete_pool", page).that(
        "the containers end with their pool", is_over, show(page.at("processes"), 300)
    )
