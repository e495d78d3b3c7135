"""Scenarios of validation: requests are checked, and nothing is created."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import read_list
from synth_pools.contract.harness.waits import ids_of


@scenario(
    "validate.as_created",
    "validate_rollout",
    clauses="""
        validate_rollout#ee7c#7c1d#3f8b#49e5, RolloutValidation#e4f0, RolloutValidation.errors#ae4f,
        validate_rollout responses 200#cc63, RolloutValidation.valid#2bf9,
        Features.validate#c7ac
    """,
    needs="validate",
)
def validate_as_created(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    archived_pool = ctx.resources.pool("gone")
    ctx.require(200, "delete_pool", {"pool_id": archived_pool})
    body = {**ctx.session.rollout_body(seed=7, env={"x": [1]}), "pool_id": pool_id}
    cases: list[tuple[dict[str, Any], tuple[str, ...] | None]] = [
        (body, None),
        ({**body, "task_id": "t"}, None),
        ({**body, "no_such_key": 1}, ()),
        ({**body, "seed": "seven"}, ("seed",)),
        ({**body, "env": [], "metadata": "x"}, ("env", "metadata")),
        ({**body, "task_id": "nowhere"}, ("task_id",)),
        ({**body, "pool_id": ctx.resources.name("nobody")}, ("pool_id",)),
        ({**body, "pool_id": archived_pool}, ("pool_id",)),
    ]
    for request, fields in cases:
        response = ctx.require(200, "validate_rollout", json=request)
        judge = ctx.judge("validate_rollout", response)
        is_valid, errors = response.at("valid"), response.list_at("errors")
        wrong = " and ".join(fields or ("a key",))
        why = "of a good request" if fields is None else f"where {wrong} is wrong"
        judge.field("valid", fields is None, f"valid, {why},")
        judge.that(
            "errors exactly where it is not valid",
            bool(errors) is (fields is not None),
            f"{len(errors)} of them",
        )
        if fields is None:
            judge.field("pool_id", pool_id, "pool_id of a request that names one")
        for field in fields if fields and errors else ():
            places = ids_of(errors, "loc")
            judge.that(
                f"an error with {field} in its loc",
                any(isinstance(place, list) and field in place for place in places),
                f"locs {places}"[:200],
            )
        status = ctx.call("create_global_rollout", json=request).status
        judge.that(
            "what the creation of the same request says",
            (status in (200, 202)) is (is_valid is True),
            f"valid is {is_valid}, the creation answers {status}",
        )


@scenario(
    "validate.creates_nothing",
    "validate_rollout",
    clauses="""
        validate_rollout#fb4b#49e5, RolloutValidation.pool_id#384e, RolloutValidation.valid#2bf9,
        validate_rollout responses 200#cc63
    """,
    needs="validate",
)
def validate_creates_nothing(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool()}
    for _ in range(2):
        response = ctx.require(200, "validate_rollout", json={**ctx.session.rollout_body(), **pool})
        if isinstance(response.at("pool_id"), str):
            ctx.judge("validate_rollout", response).field("pool_id", pool["pool_id"])
    page = read_list(ctx, "list_rollouts", pool)
    ctx.judge("validate_rollout", page).field("items", [], "the list of rollouts")
