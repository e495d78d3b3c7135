"""Operations that a scenario judges, as far as the backend has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synth_pools.contract.document import Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.samples import smallest_body
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show
from synth_pools.contract.selections import Selection, ordered, select_operations

# The error code of an unknown id, by the name of the id.
NOT_FOUND = {
    "pool_id": "pool_not_found",
    "task_id": "task_not_found",
    "rollout_id": "rollout_not_found",
}


def offered(ctx: Context, *subjects: str | Selection) -> Iterator[Operation]:
    """Iterate over operations that the backend offers, removals last.

    Args:
        ctx: The context.
        *subjects: Some of the scenario's subjects; all of them by default.

    Yields:
        Each operation; for one that the server says it lacks, the report gets the reason.
    """
    document, missing = ctx.session.document, ctx.session.not_offered()
    names = select_operations(document.operations, *subjects) if subjects else ctx.operations
    existing = [document.operations[name] for name in names if name in document.operations]
    for operation in ordered(existing):
        if operation.id in missing:
            ctx.expect.inconclusive(operation.id, missing[operation.id], Outcome.NOT_OFFERED)
        else:
            yield operation


def small_body(ctx: Context, operation: Operation, **fields: Any) -> Any:
    """Return a small valid body of an operation, with given values of some fields.

    Args:
        ctx: The context.
        operation: The operation.
        **fields: Values of fields; a field that the body does not have is left out.

    Returns:
        The body; ABSENT if the operation has no body.
    """
    body = smallest_body(ctx.session.document, operation)
    if body is ABSENT:
        return ABSENT
    if operation.method == "PUT" and "name" in operation.body_fields:
        body["name"] = "contract-kit"
    return {**body, **{name: fields[name] for name in fields if name in operation.body_fields}}


def check_refused(
    ctx: Context,
    operation: Operation,
    ids: Mapping[str, str],
    body: Any,
    expected: Status,
    **request: Any,
) -> Response:
    """Expect an operation to refuse the request of a rollout, in its own form of a refusal.

    Args:
        ctx: The context.
        operation: The operation.
        ids: The ids of its path.
        body: The request of the rollout.
        expected: The status and code of the refusal.
        **request: Further arguments of `HttpClient.call`.

    Returns:
        The response, whose status is 200 where the form is no status.
    """
    name = operation.id
    if operation.result == "RolloutValidation":
        response = ctx.require(200, name, ids, json=body, **request)
        errors = response.at("errors")
        text = "" if errors is ABSENT else str(errors)
        ctx.judge(name, response).that(
            f"valid is false, and {expected.code} in errors",
            response.at("valid") is False and str(expected.code) in text,
            f"valid is {response.at('valid')}, errors {text}"[:200],
        )
    elif operation.result == "RolloutBatch":
        response = ctx.require(200, name, ids, json={"rollouts": [body]}, **request)
        item = response.at("items", 0)
        ctx.judge(name, response).that(
            f"an item of {expected}, {expected.code}",
            at(item, "status") in expected.statuses and at(item, "error", "code") == expected.code,
            show(item, 200) if item is not ABSENT else "no item",
        )
    else:
        request_body = ABSENT if operation.request is None else body
        response = ctx.check(expected, name, ids, json=request_body, **request)
    return response
