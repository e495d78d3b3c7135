"""Scenarios of validation: the verdict of a creation without the creation."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.http.client import Response, at


@scenario(
    "validate.as_created",
    "validate_rollout",
    clauses="""
        validate_rollout#ee7c#7c1d#3f8b#49e5, RolloutValidation#e4f0, RolloutValidation.errors#3018,
        validate_rollout responses 200#cc63, RolloutValidation.valid#2bf9,
        Capabilities.features#43d2
    """,
    needs="validate",
)
def validate_as_created(ctx: Context) -> None:
    pool_id, archived_pool = (
        ctx.resources.pool(tasks=[{"task_id": "t"}]),
        ctx.resources.pool("gone"),
    )
    ctx.require(200, "delete_pool", {"pool_id": archived_pool})
    body = {**ctx.session.rollout_body(seed=7, env={"x": [1]}), "pool_id": pool_id}
    cases: list[tuple[dict[str, Any], str | None]] = [
        (body, None),
        ({**body, "task_id": "t"}, None),
        ({**body, "no_such_key": 1}, ""),
        ({**body, "seed": "seven"}, "seed"),
        ({**body, "env": [], "metadata": "x"}, "env"),
        ({**body, "task_id": "nowhere"}, "task_id"),
        ({**body, "pool_id": ctx.resources.name("nobody")}, "pool_id"),
        ({**body, "pool_id": archived_pool}, "pool_id"),
    ]
    for request, field in cases:
        response = ctx.require(200, "validate_rollout", json=request)
        is_valid = response.at("valid")
        ctx.expect.equal(
            "validate_rollout", f"valid, {_why(field)},", field is None, is_valid, response
        )
        errors = response.at("errors")
        listed = errors if isinstance(errors, list) else []
        ctx.expect.that(
            Expectation("validate_rollout", "errors exactly where it is not valid", response),
            bool(listed) is (field is not None),
            f"{len(listed)} of them",
        )
        if field and listed:
            _names(ctx, field, listed, response)
        status = ctx.call("create_global_rollout", json=request).status
        ctx.expect.that(
            Expectation("validate_rollout", "what the creation of the same request says", response),
            (status in (200, 202)) is (is_valid is True),
            f"valid is {is_valid}, the creation answers {status}",
        )


def _why(field: str | None) -> str:
    if field is None:
        return "of a good request"
    return f"where {field or 'a key'} is wrong"


def _names(ctx: Context, field: str, errors: list[Any], response: Response) -> None:
    """Expect an error at the field, or in it."""
    places = [at(error, "loc") for error in errors]
    ctx.expect.that(
        Expectation("validate_rollout", f"an error with {field} in its loc", response),
        any(isinstance(place, list) and field in place for place in places),
        f"locs {places}"[:200],
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
    response: Response | None = None
    for _ in range(2):
        response = ctx.require(200, "validate_rollout", json={**ctx.session.rollout_body(), **pool})
        named_pool = response.at("pool_id")
        if isinstance(named_pool, str):
            ctx.expect.equal("validate_rollout", "pool_id", pool["pool_id"], named_pool, response)
    listed = ctx.require(200, "list_rollouts", pool)
    ctx.expect.equal("validate_rollout", "the list of rollouts", [], listed.at("items"), response)
