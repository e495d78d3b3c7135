"""Scenario of a full queue, on servers whose limit is low enough to reach."""

from __future__ import annotations

import json

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import ids_of, iterate_pages
from synth_pools.contract.http.client import Response
from synth_pools.contract.results import Clause, Outcome
from synth_pools.contract.rules.verdict import show

_CREATE = "create_rollout"
_FULL = ("pool_queue_full", "queue_full")
# Most rollouts to create in order to find the limit.
_MOST = 40
# Seconds to repeat a request that another limit refuses with 429, such as a gateway's.
_OTHER_LIMITS = 5.0

_REPEATED = Clause(ids="Repeating a request#c230")


@scenario(
    "full.queue",
    _CREATE,
    clauses="""
        Limits#45df#b645#78aa, Repeating a request#c230, responses TooManyRequests#289b,
        Errors#7dbf#79b6
    """,
    needs="live",
    # If all pools share one queue, other scenarios would find it full.
    alone=True,
)
def full_queue(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.live_pool(concurrency=1)}
    try:
        _fill(ctx, pool)
    finally:
        ctx.call("delete_pool", pool)


def _fill(ctx: Context, pool: dict[str, str]) -> None:
    created: list[str] = []
    refused: Response | None = None
    while refused is None and len(created) < _MOST:
        response = _create(ctx, pool, str(len(created)))
        if response.status == 429:
            refused = response
        elif ctx.expect.status(response, (202, 200), _CREATE):
            created.append(str(response.at("rollout_id")))
        else:
            return
    if refused is None:
        note = f"the queue took {_MOST} rollouts"
        ctx.expect.inconclusive(_CREATE, note, Outcome.NOT_REACHED)
        return
    code = refused.at("error", "code")
    ctx.judge(_CREATE, refused).that(f"error.code {' or '.join(_FULL)}", code in _FULL, show(code))
    items, page, _ = iterate_pages(ctx, "list_rollouts", pool, {"limit": 100})
    actual = sorted(map(str, ids_of(items)))
    ctx.judge(_CREATE, page).equal("the rollouts", sorted(created), actual)
    if code == "pool_queue_full":
        response = _create(ctx, {"pool_id": ctx.resources.live_pool("other")}, "other")
        is_admitted = response.status in (200, 202)
        observed = show(response.at("error", "code"))
        ctx.judge(_CREATE, response).that("another pool goes on", is_admitted, observed)
    ctx.require(200, "cancel_rollout", {**pool, "rollout_id": created[-1]}, json={})
    repeated = _create(ctx, pool, str(len(created)))
    # If all pools share one queue, another rollout may have taken the place.
    is_met = repeated.status in (200, 202) or (repeated.status == 429 and code == "queue_full")
    ctx.judge(_CREATE, repeated, clause=_REPEATED).that(
        "the same request once there is a place", is_met, show(repeated.at("error", "code"))
    )


def _create(ctx: Context, pool: dict[str, str], key: str) -> Response:
    """Create a rollout; return the 429 of a full queue instead of waiting."""
    http = ctx.session.http
    operation = ctx.session.document.operations[_CREATE]
    headers = {
        **http.authorized(),
        "content-type": "application/json",
        "idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}-{key}",
    }
    body = json.dumps(ctx.session.rollout_body(env={"delay": 600})).encode()
    url = http.url(operation.path, pool, None)

    def send() -> Response:
        response = Response(http.send(operation.method, url, headers, body, _CREATE))
        ctx.expect.record(response.exchange)
        return response

    response = send()
    for _ in ctx.session.pauses(_OTHER_LIMITS):
        if response.status != 429 or response.at("error", "code") in _FULL:
            break
        response = send()
    return response
