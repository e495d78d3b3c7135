"""Handlers, one for each operation of openapi.yaml."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

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

Handler = Callable[[Request], Awaitable[Response]]

HANDLERS: Mapping[str, Handler] = {
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
    "list_tasks": tasks.list_tasks,
    "create_task": tasks.create_task,
    "update_task": tasks.update_task,
    "patch_task": tasks.patch_task,
    "delete_task": tasks.delete_task,
    "list_rollouts": rollouts.list_rollouts,
    "create_rollout": rollouts.create_rollout,
    "get_rollout": rollouts.get_rollout,
    "cancel_rollout": rollouts.cancel_rollout,
    "get_rollout_artifacts": artifacts.get_rollout_artifacts,
    "get_rollout_usage": rollouts.get_rollout_usage,
    "get_rollout_summary": rollouts.get_rollout_summary,
    "stream_rollout_events": events.stream_rollout_events,
    "list_global_rollouts": rollouts.list_rollouts,
    "create_global_rollout": rollouts.create_rollout,
    "get_global_rollout": rollouts.get_rollout,
    "cancel_global_rollout": rollouts.cancel_rollout,
    "get_global_rollout_artifacts": artifacts.get_rollout_artifacts,
    "get_global_rollout_artifact": artifacts.get_rollout_artifact,
    "get_global_rollout_artifacts_zip": artifacts.get_rollout_artifacts_zip,
    "get_global_rollout_support_bundle": artifacts.get_rollout_support_bundle,
    "get_global_rollout_usage": rollouts.get_rollout_usage,
    "get_global_rollout_summary": rollouts.get_rollout_summary,
    "stream_global_rollout_events": events.stream_rollout_events,
    "validate_rollout": rollouts.validate_rollout,
    "create_rollout_batch": rollouts.create_rollout_batch,
    "replay_rollout": rollouts.replay_rollout,
    "get_pool_container_health": containers.get_health,
    "get_pool_container_info": containers.get_info,
    "get_pool_container_metadata": containers.get_metadata,
    "get_pool_container_task_info": containers.get_task_info,
    "get_pool_container_program": containers.get_program,
    "get_pool_container_taskset": containers.get_taskset,
    "execute_pool_container_rollout": containers.execute_rollout,
    "get_task_container_health": containers.get_health,
    "get_task_container_info": containers.get_info,
    "get_task_container_metadata": containers.get_metadata,
    "get_task_container_task_info": containers.get_task_info,
    "get_task_container_program": containers.get_program,
    "get_task_container_taskset": containers.get_taskset,
    "execute_task_container_rollout": containers.execute_rollout,
    "list_image_releases": image_releases.list_image_releases,
    "create_image_release": image_releases.refuse,
    "get_image_release": image_releases.refuse,
    "delete_image_release": image_releases.refuse,
    "bind_image_release": image_releases.refuse,
    "bind_task_image_release": image_releases.refuse,
    "get_queue_status": service.get_queue_status,
    "get_capabilities": service.get_capabilities,
}


def require_complete(operation_ids: Iterable[str]) -> None:
    """Check that every operation has a handler and every handler an operation.

    Args:
        operation_ids: The operationIds of openapi.yaml.

    Raises:
        RuntimeError: They differ.
    """
    expected, actual = set(operation_ids), set(HANDLERS)
    if expected != actual:
        raise RuntimeError(
            f"openapi.yaml and the backend differ: no handler for {sorted(expected - actual)},"
            f" no operation for {sorted(actual - expected)}"
        )
