"""What each operation is, and whether it may be sent again."""

from __future__ import annotations

from typing import Literal, NamedTuple

OperationId = Literal[
    "bind_image_release",
    "bind_task_image_release",
    "cancel_global_rollout",
    "cancel_rollout",
    "create_global_rollout",
    "create_image_release",
    "create_pool",
    "create_rollout",
    "create_rollout_batch",
    "create_task",
    "delete_image_release",
    "delete_pool",
    "delete_run",
    "delete_task",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    "find_deployment_operation",
    "get_capabilities",
    "get_deployment",
    "get_deployment_operation",
    "get_global_rollout",
    "get_global_rollout_artifact",
    "get_global_rollout_artifacts",
    "get_global_rollout_artifacts_zip",
    "get_global_rollout_summary",
    "get_global_rollout_support_bundle",
    "get_global_rollout_trajectory",
    "get_global_rollout_usage",
    "get_image_release",
    "get_pool",
    "get_pool_container_health",
    "get_pool_container_info",
    "get_pool_container_metadata",
    "get_pool_container_program",
    "get_pool_container_task_info",
    "get_pool_container_taskset",
    "get_pool_logs",
    "get_pool_metrics",
    "get_pool_urls",
    "get_queue_status",
    "get_rollout",
    "get_rollout_artifacts",
    "get_rollout_summary",
    "get_rollout_usage",
    "get_run",
    "get_task_container_health",
    "get_task_container_info",
    "get_task_container_metadata",
    "get_task_container_program",
    "get_task_container_task_info",
    "get_task_container_taskset",
    "list_global_rollouts",
    "list_image_releases",
    "list_pools",
    "list_rollouts",
    "list_runs",
    "list_tasks",
    "mutate_deployment",
    "patch_task",
    "pause_pool",
    "replace_pool",
    "replay_rollout",
    "resume_pool",
    "run_query",
    "stream_global_rollout_events",
    "stream_pool_events",
    "stream_rollout_events",
    "unbind_image_release",
    "unbind_task_image_release",
    "update_pool",
    "update_task",
    "validate_rollout",
]

Retry = Literal["always", "with-key", "with-id", "never"]


class Operation(NamedTuple):
    """An operation of the document.

    Attributes:
        id: Its operationId.
        method: Its verb, in capitals.
        path: Its path, with the names of its parameters in braces.
        tag: Its first tag.
        retry: Its `x-retry`; "always" for verbs that may be repeated by their meaning.
        id_keys: The keys of its body that choose the id of what it makes.
        body_keys: The keys of its body that the document names, where others may be sent, too.
        body_type: The media type of its body, if it has one.
    """

    id: OperationId
    method: str
    path: str
    tag: str
    retry: Retry
    id_keys: tuple[str, ...] = ()
    body_keys: frozenset[str] = frozenset()
    body_type: str = "application/json"


OPERATIONS: dict[OperationId, Operation] = {
    "bind_image_release": Operation(
        "bind_image_release",
        "POST",
        "/v1/pools/{pool_id}/runtime_image_releases/{release_id}/bind",
        "image_releases",
        "never",
    ),
    "bind_task_image_release": Operation(
        "bind_task_image_release",
        "POST",
        "/v1/pools/{pool_id}/tasks/{task_id}/runtime_image_releases/{release_id}/bind",
        "image_releases",
        "never",
    ),
    "cancel_global_rollout": Operation(
        "cancel_global_rollout",
        "POST",
        "/v1/rollouts/{rollout_id}/cancel",
        "agent_rollouts",
        "always",
    ),
    "cancel_rollout": Operation(
        "cancel_rollout",
        "POST",
        "/v1/pools/{pool_id}/rollouts/{rollout_id}/cancel",
        "rollouts",
        "always",
    ),
    "create_global_rollout": Operation(
        "create_global_rollout",
        "POST",
        "/v1/rollouts",
        "agent_rollouts",
        "with-key",
        body_keys=frozenset(
            [
                "context_overrides",
                "env",
                "inference_url",
                "instance_id",
                "labels",
                "limits",
                "messages",
                "metadata",
                "mode",
                "ops",
                "override_bundle_id",
                "params",
                "policy",
                "policy_config",
                "pool_id",
                "priority",
                "record",
                "run",
                "safety",
                "seed",
                "task_contract",
                "task_id",
                "trace_correlation_id",
            ]
        ),
    ),
    "create_image_release": Operation(
        "create_image_release",
        "POST",
        "/v1/pools/{pool_id}/runtime_image_releases",
        "image_releases",
        "never",
        body_keys=frozenset(
            [
                "archive_base64",
                "compute_provider",
                "dockerfile_path",
                "entrypoint",
                "env_vars",
                "filename",
                "image_ref",
                "limits",
                "metadata",
                "name",
                "source_kind",
            ]
        ),
    ),
    "create_pool": Operation(
        "create_pool",
        "POST",
        "/v1/pools",
        "pools",
        "with-id",
        ("id", "pool_id"),
        body_keys=frozenset(
            [
                "backend",
                "capacity",
                "concurrency",
                "config",
                "container_url",
                "container_urls",
                "id",
                "metadata",
                "name",
                "pool_config",
                "pool_id",
                "pool_metadata",
                "target",
                "tasks",
            ]
        ),
    ),
    "create_rollout": Operation(
        "create_rollout",
        "POST",
        "/v1/pools/{pool_id}/rollouts",
        "rollouts",
        "with-key",
        body_keys=frozenset(
            [
                "context_overrides",
                "env",
                "inference_url",
                "instance_id",
                "labels",
                "limits",
                "messages",
                "metadata",
                "mode",
                "ops",
                "override_bundle_id",
                "params",
                "policy",
                "policy_config",
                "pool_id",
                "priority",
                "record",
                "run",
                "safety",
                "seed",
                "task_contract",
                "task_id",
                "trace_correlation_id",
            ]
        ),
    ),
    "create_rollout_batch": Operation(
        "create_rollout_batch",
        "POST",
        "/v1/rollouts/batch",
        "agent_rollouts",
        "with-key",
        body_keys=frozenset(["pool_id", "requests", "rollouts"]),
    ),
    "create_task": Operation(
        "create_task",
        "POST",
        "/v1/pools/{pool_id}/tasks",
        "tasks",
        "with-id",
        ("id", "task_id"),
        body_keys=frozenset(
            ["backend", "container_url", "id", "task_config", "task_id", "task_metadata"]
        ),
    ),
    "delete_image_release": Operation(
        "delete_image_release",
        "DELETE",
        "/v1/pools/{pool_id}/runtime_image_releases/{release_id}",
        "image_releases",
        "always",
    ),
    "delete_pool": Operation("delete_pool", "DELETE", "/v1/pools/{pool_id}", "pools", "always"),
    "delete_run": Operation("delete_run", "DELETE", "/v1/runs/{run}", "runs", "always"),
    "delete_task": Operation(
        "delete_task", "DELETE", "/v1/pools/{pool_id}/tasks/{task_id}", "tasks", "always"
    ),
    "execute_pool_container_rollout": Operation(
        "execute_pool_container_rollout",
        "POST",
        "/v1/pools/{pool_id}/container/rollout",
        "containers",
        "never",
    ),
    "execute_task_container_rollout": Operation(
        "execute_task_container_rollout",
        "POST",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/rollout",
        "containers",
        "never",
    ),
    "find_deployment_operation": Operation(
        "find_deployment_operation",
        "GET",
        "/v1/pools/{pool_id}/deployments/{task_id}/operations",
        "deployments",
        "always",
    ),
    "get_capabilities": Operation(
        "get_capabilities", "GET", "/v1/capabilities", "service", "always"
    ),
    "get_deployment": Operation(
        "get_deployment",
        "GET",
        "/v1/pools/{pool_id}/deployments/{task_id}",
        "deployments",
        "always",
    ),
    "get_deployment_operation": Operation(
        "get_deployment_operation",
        "GET",
        "/v1/pools/{pool_id}/deployment-operations/{operation_id}",
        "deployments",
        "always",
    ),
    "get_global_rollout": Operation(
        "get_global_rollout", "GET", "/v1/rollouts/{rollout_id}", "agent_rollouts", "always"
    ),
    "get_global_rollout_artifact": Operation(
        "get_global_rollout_artifact",
        "GET",
        "/v1/rollouts/{rollout_id}/artifacts/{artifact_path}",
        "agent_rollouts",
        "always",
    ),
    "get_global_rollout_artifacts": Operation(
        "get_global_rollout_artifacts",
        "GET",
        "/v1/rollouts/{rollout_id}/artifacts",
        "agent_rollouts",
        "always",
    ),
    "get_global_rollout_artifacts_zip": Operation(
        "get_global_rollout_artifacts_zip",
        "GET",
        "/v1/rollouts/{rollout_id}/artifacts.zip",
        "agent_rollouts",
        "always",
    ),
    "get_global_rollout_summary": Operation(
        "get_global_rollout_summary",
        "GET",
        "/v1/rollouts/{rollout_id}/summary",
        "agent_rollouts",
        "always",
    ),
    "get_global_rollout_support_bundle": Operation(
        "get_global_rollout_support_bundle",
        "GET",
        "/v1/rollouts/{rollout_id}/support_bundle",
        "agent_rollouts",
        "always",
    ),
    "get_global_rollout_trajectory": Operation(
        "get_global_rollout_trajectory",
        "GET",
        "/v1/rollouts/{rollout_id}/trajectory",
        "agent_rollouts",
        "always",
    ),
    "get_global_rollout_usage": Operation(
        "get_global_rollout_usage",
        "GET",
        "/v1/rollouts/{rollout_id}/usage",
        "agent_rollouts",
        "always",
    ),
    "get_image_release": Operation(
        "get_image_release",
        "GET",
        "/v1/pools/{pool_id}/runtime_image_releases/{release_id}",
        "image_releases",
        "always",
    ),
    "get_pool": Operation("get_pool", "GET", "/v1/pools/{pool_id}", "pools", "always"),
    "get_pool_container_health": Operation(
        "get_pool_container_health",
        "GET",
        "/v1/pools/{pool_id}/container/health",
        "containers",
        "always",
    ),
    "get_pool_container_info": Operation(
        "get_pool_container_info",
        "GET",
        "/v1/pools/{pool_id}/container/info",
        "containers",
        "always",
    ),
    "get_pool_container_metadata": Operation(
        "get_pool_container_metadata",
        "GET",
        "/v1/pools/{pool_id}/container/metadata",
        "containers",
        "always",
    ),
    "get_pool_container_program": Operation(
        "get_pool_container_program",
        "GET",
        "/v1/pools/{pool_id}/container/program",
        "containers",
        "always",
    ),
    "get_pool_container_task_info": Operation(
        "get_pool_container_task_info",
        "GET",
        "/v1/pools/{pool_id}/container/task_info",
        "containers",
        "always",
    ),
    "get_pool_container_taskset": Operation(
        "get_pool_container_taskset",
        "GET",
        "/v1/pools/{pool_id}/container/taskset",
        "containers",
        "always",
    ),
    "get_pool_logs": Operation(
        "get_pool_logs", "GET", "/v1/pools/{pool_id}/logs", "pool_events", "always"
    ),
    "get_pool_metrics": Operation(
        "get_pool_metrics", "GET", "/v1/pools/{pool_id}/metrics", "metrics", "always"
    ),
    "get_pool_urls": Operation(
        "get_pool_urls", "GET", "/v1/pools/{pool_id}/urls", "pools", "always"
    ),
    "get_queue_status": Operation(
        "get_queue_status", "GET", "/v1/queue/status", "service", "always"
    ),
    "get_rollout": Operation(
        "get_rollout", "GET", "/v1/pools/{pool_id}/rollouts/{rollout_id}", "rollouts", "always"
    ),
    "get_rollout_artifacts": Operation(
        "get_rollout_artifacts",
        "GET",
        "/v1/pools/{pool_id}/rollouts/{rollout_id}/artifacts",
        "rollouts",
        "always",
    ),
    "get_rollout_summary": Operation(
        "get_rollout_summary",
        "GET",
        "/v1/pools/{pool_id}/rollouts/{rollout_id}/summary",
        "rollouts",
        "always",
    ),
    "get_rollout_usage": Operation(
        "get_rollout_usage",
        "GET",
        "/v1/pools/{pool_id}/rollouts/{rollout_id}/usage",
        "rollouts",
        "always",
    ),
    "get_run": Operation("get_run", "GET", "/v1/runs/{run}", "runs", "always"),
    "get_task_container_health": Operation(
        "get_task_container_health",
        "GET",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/health",
        "containers",
        "always",
    ),
    "get_task_container_info": Operation(
        "get_task_container_info",
        "GET",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/info",
        "containers",
        "always",
    ),
    "get_task_container_metadata": Operation(
        "get_task_container_metadata",
        "GET",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/metadata",
        "containers",
        "always",
    ),
    "get_task_container_program": Operation(
        "get_task_container_program",
        "GET",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/program",
        "containers",
        "always",
    ),
    "get_task_container_task_info": Operation(
        "get_task_container_task_info",
        "GET",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/task_info",
        "containers",
        "always",
    ),
    "get_task_container_taskset": Operation(
        "get_task_container_taskset",
        "GET",
        "/v1/pools/{pool_id}/tasks/{task_id}/container/taskset",
        "containers",
        "always",
    ),
    "list_global_rollouts": Operation(
        "list_global_rollouts", "GET", "/v1/rollouts", "agent_rollouts", "always"
    ),
    "list_image_releases": Operation(
        "list_image_releases",
        "GET",
        "/v1/pools/{pool_id}/runtime_image_releases",
        "image_releases",
        "always",
    ),
    "list_pools": Operation("list_pools", "GET", "/v1/pools", "pools", "always"),
    "list_rollouts": Operation(
        "list_rollouts", "GET", "/v1/pools/{pool_id}/rollouts", "rollouts", "always"
    ),
    "list_runs": Operation("list_runs", "GET", "/v1/runs", "runs", "always"),
    "list_tasks": Operation("list_tasks", "GET", "/v1/pools/{pool_id}/tasks", "tasks", "always"),
    "mutate_deployment": Operation(
        "mutate_deployment",
        "POST",
        "/v1/pools/{pool_id}/deployments/{task_id}/operations",
        "deployments",
        "always",
        body_keys=frozenset(
            ["expected_revision", "idempotency_key", "operation", "payload", "project_id"]
        ),
    ),
    "patch_task": Operation(
        "patch_task",
        "PATCH",
        "/v1/pools/{pool_id}/tasks/{task_id}",
        "tasks",
        "always",
        body_keys=frozenset(
            ["backend", "container_url", "id", "task_config", "task_id", "task_metadata"]
        ),
    ),
    "pause_pool": Operation("pause_pool", "POST", "/v1/pools/{pool_id}/pause", "pools", "always"),
    "replace_pool": Operation(
        "replace_pool",
        "PUT",
        "/v1/pools/{pool_id}",
        "pools",
        "always",
        body_keys=frozenset(
            [
                "backend",
                "capacity",
                "concurrency",
                "config",
                "container_url",
                "container_urls",
                "id",
                "metadata",
                "name",
                "pool_config",
                "pool_id",
                "pool_metadata",
                "target",
                "tasks",
            ]
        ),
    ),
    "replay_rollout": Operation(
        "replay_rollout", "POST", "/v1/rollouts/{rollout_id}/replay", "agent_rollouts", "with-key"
    ),
    "resume_pool": Operation(
        "resume_pool", "POST", "/v1/pools/{pool_id}/resume", "pools", "always"
    ),
    "run_query": Operation(
        "run_query", "POST", "/v1/query", "service", "always", body_keys=frozenset(["limit", "sql"])
    ),
    "stream_global_rollout_events": Operation(
        "stream_global_rollout_events",
        "GET",
        "/v1/rollouts/{rollout_id}/events",
        "agent_rollouts",
        "always",
    ),
    "stream_pool_events": Operation(
        "stream_pool_events", "GET", "/v1/pools/{pool_id}/events", "pool_events", "always"
    ),
    "stream_rollout_events": Operation(
        "stream_rollout_events",
        "GET",
        "/v1/pools/{pool_id}/rollouts/{rollout_id}/events",
        "rollouts",
        "always",
    ),
    "unbind_image_release": Operation(
        "unbind_image_release",
        "POST",
        "/v1/pools/{pool_id}/runtime_image_releases/{release_id}/unbind",
        "image_releases",
        "never",
    ),
    "unbind_task_image_release": Operation(
        "unbind_task_image_release",
        "POST",
        "/v1/pools/{pool_id}/tasks/{task_id}/runtime_image_releases/{release_id}/unbind",
        "image_releases",
        "never",
    ),
    "update_pool": Operation(
        "update_pool",
        "PATCH",
        "/v1/pools/{pool_id}",
        "pools",
        "always",
        body_keys=frozenset(
            [
                "backend",
                "capacity",
                "concurrency",
                "config",
                "container_url",
                "container_urls",
                "id",
                "metadata",
                "name",
                "pool_config",
                "pool_id",
                "pool_metadata",
                "target",
                "tasks",
            ]
        ),
    ),
    "update_task": Operation(
        "update_task",
        "PUT",
        "/v1/pools/{pool_id}/tasks/{task_id}",
        "tasks",
        "always",
        body_keys=frozenset(
            ["backend", "container_url", "id", "task_config", "task_id", "task_metadata"]
        ),
    ),
    "validate_rollout": Operation(
        "validate_rollout", "POST", "/v1/rollouts:validate", "agent_rollouts", "always"
    ),
}
