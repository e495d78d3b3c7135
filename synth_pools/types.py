"""Values in requests and answers.

The literals list the values of this release. A newer service may answer other values, so the
type in an answer is `PoolState | str`. The dictionaries are the bodies of requests: calls take any
dictionary, and a type checker names a misspelt key where a literal is annotated with its class.
"""

from datetime import datetime
from enum import Enum
from typing import Literal, TypeAlias, TypedDict

from synth_pools_api.requests import ChatMessageDict as ChatMessageDict
from synth_pools_api.requests import ImageMountDict as ImageMountDict
from synth_pools_api.requests import ImageReleaseDefinitionDict as ImageReleaseDefinitionDict
from synth_pools_api.requests import PlacementDict as PlacementDict
from synth_pools_api.requests import PoolConfigDict as PoolConfigDict
from synth_pools_api.requests import PoolDefinitionDict as PoolDefinitionDict
from synth_pools_api.requests import PoolImageDict as PoolImageDict
from synth_pools_api.requests import PoolPatchDict as PoolPatchDict
from synth_pools_api.requests import PoolProcessDict as PoolProcessDict
from synth_pools_api.requests import RolloutBatchRequestDict as RolloutBatchRequestDict
from synth_pools_api.requests import RolloutEnvDict as RolloutEnvDict
from synth_pools_api.requests import RolloutLimitsDict as RolloutLimitsDict
from synth_pools_api.requests import RolloutPolicyDict as RolloutPolicyDict
from synth_pools_api.requests import RolloutRequestDict as RolloutRequestDict
from synth_pools_api.requests import TaskDefinitionDict as TaskDefinitionDict
from synth_pools_api.requests import TaskPatchDict as TaskPatchDict


class PoolTarget(str, Enum):  # noqa: UP042 - a StrEnum prints as its value, this always printed its name
    """Purpose of a pool's containers: the ``target`` of a pool definition.

    Every member is also a plain string, so both ``PoolTarget.HARBOR`` and ``"harbor"`` can be sent.
    """

    HARBOR = "harbor"
    OPENENV = "openenv"
    HORIZONS = "horizons"
    HORIZONS_PRIVATE = "horizons_private"
    ARBITRARY = "arbitrary"


PoolTargetName: TypeAlias = Literal[
    "harbor", "openenv", "horizons", "horizons_private", "arbitrary"
]
"""The values of `PoolTarget`, for code that writes plain strings."""

PoolState: TypeAlias = Literal[
    "created", "uploading", "building", "warming", "active", "paused", "failed", "archived"
]
"""``status`` of a pool. Only an active pool admits rollouts; an archived pool stays archived."""

TaskState: TypeAlias = Literal["active", "archived"]
"""``status`` of a task."""

RolloutState: TypeAlias = Literal["queued", "running", "completed", "failed", "cancelled"]
"""``status`` of a rollout. The last three are final."""

RolloutMode: TypeAlias = Literal["sync", "async"]
"""``mode`` of a rollout request: whether its creation waits for the end of the rollout."""

RolloutEventType: TypeAlias = Literal[
    "rollout.queued",
    "rollout.started",
    "rollout.completed",
    "rollout.failed",
    "rollout.cancelled",
    "agent",
    "verifier",
    "reward",
    "heartbeat",
]
"""``event`` of an event: its type."""

ContainerState: TypeAlias = Literal["healthy", "unhealthy", "starting", "stopped"]
"""``health`` of a container in the metrics of its pool."""

SubmissionMode: TypeAlias = Literal["sync", "async"]
"""``submission_mode`` of a pool's ``config``: how rollouts are handed to its containers."""

ProcessLauncher: TypeAlias = Literal["local", "ray"]
"""``launcher`` of a pool's ``config.process``: what starts its processes."""

ImageLauncher: TypeAlias = Literal["podman", "docker", "ray"]
"""``launcher`` of a pool's ``config.image``: the engine that starts its containers."""

ImageNetwork: TypeAlias = Literal["loopback", "none"]
"""``network`` of a pool's ``config.image``."""

ErrorCode: TypeAlias = Literal[
    "bad_request",
    "unauthorized",
    "forbidden_host",
    "insufficient_scope",
    "forbidden_container_url",
    "forbidden_container_key",
    "processes_not_allowed",
    "images_not_allowed",
    "ray_not_allowed",
    "not_found",
    "pool_not_found",
    "task_not_found",
    "rollout_not_found",
    "release_not_found",
    "artifact_not_found",
    "artifact_expired",
    "method_not_allowed",
    "id_mismatch",
    "pool_exists",
    "task_exists",
    "pool_archived",
    "pool_not_active",
    "config_conflict",
    "engine_unavailable",
    "image_unavailable",
    "release_bound",
    "run_active",
    "release_mismatch",
    "single_task_required",
    "no_active_pool",
    "rollout_finished",
    "idempotency_conflict",
    "query_refused",
    "payload_too_large",
    "unsupported_media_type",
    "range_not_satisfiable",
    "validation_failed",
    "pool_queue_full",
    "queue_full",
    "too_many_streams",
    "headers_too_large",
    "internal_error",
    "not_implemented",
    "container_unreachable",
    "container_error",
    "container_timeout",
    "storage_unavailable",
    "no_container",
    "no_room",
    "backend_stopping",
    "too_many_connections",
]
"""``code`` of an error: what went wrong, for programs."""

RolloutErrorCode: TypeAlias = Literal[
    "container_unreachable",
    "container_timeout",
    "container_http_error",
    "container_bad_response",
    "container_failed",
    "task_deleted",
    "backend_restarted",
    "internal_error",
]
"""``code`` of the ``error`` of a rollout: why it failed."""


class RolloutFilters(TypedDict, total=False):
    """Filters of a list of rollouts beside its state, and its order; None is as left out.

    Attributes:
        run: The run that the rollout is part of.
        task_id: Its task.
        seed: The seed of its request.
        error_code: The code with which it failed.
        label: One of its labels, as ``name=value``.
        min_reward: The least reward.
        max_reward: The largest reward.
        created_after: The earliest time of its creation, with an offset or `Z`.
        created_before: A time before which it was created.
        sort: What the list is sorted by; rollouts without this figure are left out.
        direction: `desc` for the newest or largest first, which is the default, or `asc`.
    """

    run: str | None
    task_id: str | None
    seed: int | None
    error_code: str | None
    label: str | None
    min_reward: float | None
    max_reward: float | None
    created_after: str | datetime | None
    created_before: str | datetime | None
    sort: Literal["created", "reward", "duration", "cost"] | None
    direction: Literal["desc", "asc"] | None
