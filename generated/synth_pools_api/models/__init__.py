"""The data models of requests and responses, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from .artifact import Artifact as Artifact
    from .artifact_list import ArtifactList as ArtifactList
    from .cancel_request import CancelRequest as CancelRequest
    from .capabilities import Capabilities as Capabilities
    from .chat_message import ChatMessage as ChatMessage
    from .container_health import ContainerHealth as ContainerHealth
    from .container_info import ContainerInfo as ContainerInfo
    from .container_metadata import ContainerMetadata as ContainerMetadata
    from .container_rollout_request import (
        ContainerRolloutRequest as ContainerRolloutRequest,
    )
    from .container_rollout_result import (
        ContainerRolloutResult as ContainerRolloutResult,
    )
    from .error_answer import Error as Error
    from .error_detail_item import ErrorDetailItem as ErrorDetailItem
    from .error_envelope import ErrorEnvelope as ErrorEnvelope
    from .json_object import JsonObject as JsonObject
    from .pool import Pool as Pool
    from .pool_config import PoolConfig as PoolConfig
    from .pool_definition import PoolDefinition as PoolDefinition
    from .pool_list import PoolList as PoolList
    from .pool_metrics import PoolMetrics as PoolMetrics
    from .pool_patch import PoolPatch as PoolPatch
    from .pool_status import PoolStatus as PoolStatus
    from .pool_target import PoolTarget as PoolTarget
    from .pool_urls import PoolUrls as PoolUrls
    from .queue_status import QueueStatus as QueueStatus
    from .rollout import Rollout as Rollout
    from .rollout_env import RolloutEnv as RolloutEnv
    from .rollout_error import RolloutError as RolloutError
    from .rollout_event import RolloutEvent as RolloutEvent
    from .rollout_event_message import RolloutEventMessage as RolloutEventMessage
    from .rollout_event_type import RolloutEventType as RolloutEventType
    from .rollout_limits import RolloutLimits as RolloutLimits
    from .rollout_list import RolloutList as RolloutList
    from .rollout_metrics import RolloutMetrics as RolloutMetrics
    from .rollout_mode import RolloutMode as RolloutMode
    from .rollout_policy import RolloutPolicy as RolloutPolicy
    from .rollout_request import RolloutRequest as RolloutRequest
    from .rollout_status import RolloutStatus as RolloutStatus
    from .rollout_summary import RolloutSummary as RolloutSummary
    from .rollout_timing import RolloutTiming as RolloutTiming
    from .rollout_usage import RolloutUsage as RolloutUsage
    from .task import Task as Task
    from .task_definition import TaskDefinition as TaskDefinition
    from .task_list import TaskList as TaskList
    from .task_patch import TaskPatch as TaskPatch
    from .task_status import TaskStatus as TaskStatus
    from .task_urls import TaskUrls as TaskUrls

__all__ = (
    "Artifact",
    "ArtifactList",
    "CancelRequest",
    "Capabilities",
    "ChatMessage",
    "ContainerHealth",
    "ContainerInfo",
    "ContainerMetadata",
    "ContainerRolloutRequest",
    "ContainerRolloutResult",
    "Error",
    "ErrorDetailItem",
    "ErrorEnvelope",
    "JsonObject",
    "Pool",
    "PoolConfig",
    "PoolDefinition",
    "PoolList",
    "PoolMetrics",
    "PoolPatch",
    "PoolStatus",
    "PoolTarget",
    "PoolUrls",
    "QueueStatus",
    "Rollout",
    "RolloutEnv",
    "RolloutError",
    "RolloutEvent",
    "RolloutEventMessage",
    "RolloutEventType",
    "RolloutLimits",
    "RolloutList",
    "RolloutMetrics",
    "RolloutMode",
    "RolloutPolicy",
    "RolloutRequest",
    "RolloutStatus",
    "RolloutSummary",
    "RolloutTiming",
    "RolloutUsage",
    "Task",
    "TaskDefinition",
    "TaskList",
    "TaskPatch",
    "TaskStatus",
    "TaskUrls",
)

_MODULES = {
    "Artifact": "artifact",
    "ArtifactList": "artifact_list",
    "CancelRequest": "cancel_request",
    "Capabilities": "capabilities",
    "ChatMessage": "chat_message",
    "ContainerHealth": "container_health",
    "ContainerInfo": "container_info",
    "ContainerMetadata": "container_metadata",
    "ContainerRolloutRequest": "container_rollout_request",
    "ContainerRolloutResult": "container_rollout_result",
    "Error": "error_answer",
    "ErrorDetailItem": "error_detail_item",
    "ErrorEnvelope": "error_envelope",
    "JsonObject": "json_object",
    "Pool": "pool",
    "PoolConfig": "pool_config",
    "PoolDefinition": "pool_definition",
    "PoolList": "pool_list",
    "PoolMetrics": "pool_metrics",
    "PoolPatch": "pool_patch",
    "PoolStatus": "pool_status",
    "PoolTarget": "pool_target",
    "PoolUrls": "pool_urls",
    "QueueStatus": "queue_status",
    "Rollout": "rollout",
    "RolloutEnv": "rollout_env",
    "RolloutError": "rollout_error",
    "RolloutEvent": "rollout_event",
    "RolloutEventMessage": "rollout_event_message",
    "RolloutEventType": "rollout_event_type",
    "RolloutLimits": "rollout_limits",
    "RolloutList": "rollout_list",
    "RolloutMetrics": "rollout_metrics",
    "RolloutMode": "rollout_mode",
    "RolloutPolicy": "rollout_policy",
    "RolloutRequest": "rollout_request",
    "RolloutStatus": "rollout_status",
    "RolloutSummary": "rollout_summary",
    "RolloutTiming": "rollout_timing",
    "RolloutUsage": "rollout_usage",
    "Task": "task",
    "TaskDefinition": "task_definition",
    "TaskList": "task_list",
    "TaskPatch": "task_patch",
    "TaskStatus": "task_status",
    "TaskUrls": "task_urls",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = import_module(f".{_MODULES[name]}", __name__)
        found = getattr(found, name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
