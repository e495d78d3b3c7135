"""Handlers, one for each operation of openapi.yaml."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import get_args

from synth_pools.backend.api.handlers import (
    artifacts,
    containers,
    events,
    image_releases,
    pools,
    rollouts,
    service,
    tasks,
)
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import Response
from synth_pools.backend.domain.target import Probe

Handler = Callable[[Request], Awaitable[Response]]

# Each handler serves an operation under a pool and its global form.
_OF_ROLLOUTS: Mapping[str, Handler] = {
    "list_rollouts": rollouts.list_rollouts,
    "create_rollout": rollouts.create_rollout,
    "get_rollout": rollouts.get_rollout,
    "cancel_rollout": rollouts.cancel_rollout,
    "get_rollout_artifacts": artifacts.get_rollout_artifacts,
    "get_rollout_usage": rollouts.get_rollout_usage,
    "get_rollout_summary": rollouts.get_rollout_summary,
    "stream_rollout_events": events.stream_rollout_events,
}

_OF_CONTAINERS: Mapping[str, Handler] = {
    f"get_{owner}_container_{probe}": containers.prober(probe)
    for owner in ("pool", "task")
    for probe in get_args(Probe)
}

_OTHERS: Mapping[str, Handler] = {
    "list_pools": pools.list_pools,
    "create_pool": pools.create_pool,
    "get_pool": pools.get_pool,
    "replace_pool": pools.replace_pool,
    "update_pool": pools.update_pool,
    "delete_pool": pools.delete_pool,
    "pause_pool": pools.pause_pool,
    "resume_pool": pools.resume_pool,
    "get_pool_urls": pools.get_pool_urls,
    "get_pool_metrics": pools.get_pool_metrics,
    "get_pool_logs": pools.get_pool_logs,
    "stream_pool_events": events.stream_pool_events,
    "list_runs": rollouts.list_runs,
    "get_run": rollouts.get_run,
    "delete_run": rollouts.delete_run,
    "list_tasks": tasks.list_tasks,
    "create_task": tasks.create_task,
    "update_task": tasks.update_task,
    "patch_task": tasks.patch_task,
    "delete_task": tasks.delete_task,
    "get_global_rollout_artifact": artifacts.get_rollout_artifact,
    "get_global_rollout_artifacts_zip": artifacts.get_rollout_artifacts_zip,
    "get_global_rollout_trajectory": artifacts.get_rollout_trajectory,
    "get_global_rollout_support_bundle": artifacts.get_rollout_support_bundle,
    "validate_rollout": rollouts.validate_rollout,
    "create_rollout_batch": rollouts.create_rollout_batch,
    "replay_rollout": rollouts.replay_rollout,
    "execute_pool_container_rollout": containers.execute_rollout,
    "execute_task_container_rollout": containers.execute_rollout,
    "list_image_releases": image_releases.list_image_releases,
    "create_image_release": image_releases.create_image_release,
    "get_image_release": image_releases.get_image_release,
    "delete_image_release": image_releases.delete_image_release,
    "bind_image_release": image_releases.bind_image_release,
    "bind_task_image_release": image_releases.bind_image_release,
    "unbind_image_release": image_releases.unbind_image_release,
    "unbind_task_image_release": image_releases.unbind_image_release,
    **dict.fromkeys(
        (
            *("get_deployment", "mutate_deployment"),
            *("get_deployment_operation", "find_deployment_operation"),
        ),
        image_releases.refuse_deployments,
    ),
    "get_queue_status": service.get_queue_status,
    "get_capabilities": service.get_capabilities,
    "run_query": service.run_query,
}

HANDLERS: Mapping[str, Handler] = {
    **_OF_ROLLOUTS,
    **{name.replace("_", "_global_", 1): handler for name, handler in _OF_ROLLOUTS.items()},
    **_OF_CONTAINERS,
    **_OTHERS,
}


def require_complete(operation_ids: Iterable[str]) -> None:
    """Check that every operation has a handler and every handler an operation.

    Args:
        operation_ids: The operationIds of openapi.yaml.

    Raises:
        RuntimeError: An operation or a handler has no counterpart.
    """
    expected, actual = set(operation_ids), set(HANDLERS)
    if expected != actual:
        raise RuntimeError(
            f"openapi.yaml and the backend differ: no handler for {sorted(expected - actual)},"
            f" no operation for {sorted(actual - expected)}"
        )
