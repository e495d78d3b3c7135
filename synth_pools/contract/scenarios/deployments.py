"""Scenarios of deployments: what they are is the server's own, that there are none is not."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.http.client import ABSENT

_READS = ("get_deployment", "find_deployment_operation", "get_deployment_operation")


@scenario(
    "deployments.not_offered",
    "mutate_deployment",
    *_READS,
    clauses="""
        Deployments#5872, Features.deployments#51da
    """,
)
def deployments_not_offered(ctx: Context) -> None:
    if ctx.session.features.get("deployments") is True:
        return
    refused = Status(501, "the server does not offer it", code="not_implemented")
    _ask(ctx, refused, ctx.resources.pool(tasks=[{"task_id": "t"}]))


@scenario(
    "deployments.unknown",
    "mutate_deployment",
    *_READS,
    clauses="""
        get_deployment#20db, find_deployment_operation#c952, get_deployment_operation#7bba,
        parameters DeploymentKey#0f90, parameters DeploymentOperationId#0de7
    """,
    needs="deployments",
)
def deployments_unknown(ctx: Context) -> None:
    refused = Status(404, "there is nothing of that name")
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    _ask(ctx, refused, pool_id, *_READS)
    _ask(ctx, refused, ctx.resources.name("nowhere"))


def _ask(ctx: Context, refused: Status, pool_id: str, *operations: str) -> None:
    """Ask for what no server has: deployments of a project that does not exist."""
    name = ctx.resources.name("none")
    ids = {"pool_id": pool_id, "task_id": "t", "operation_id": name}
    query = {"project_id": name, "idempotency_key": name}
    change = {**query, "operation": "delete", "payload": {}}
    for operation in operations or ctx.operations:
        described = ctx.session.document.operations.get(operation)
        if described is None:
            # The server is older than this part of the document.
            continue
        is_change = operation == "mutate_deployment"
        ctx.check(
            refused,
            operation,
            described.own_ids(ids),
            query=None if is_change else query,
            json=change if is_change else ABSENT,
        )
