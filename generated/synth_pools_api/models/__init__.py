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
    from .container_program import ContainerProgram as ContainerProgram
    from .container_rollout_request import ContainerRolloutRequest as ContainerRolloutRequest
    from .container_rollout_result import ContainerRolloutResult as ContainerRolloutResult
    from .container_state import ContainerState as ContainerState
    from .container_task_info import ContainerTaskInfo as ContainerTaskInfo
    from .container_taskset import ContainerTaskset as ContainerTaskset
    from .deployment_change import DeploymentChange as DeploymentChange
    from .deployment_change_operation import DeploymentChangeOperation as DeploymentChangeOperation
    from .error_body import ErrorBody as ErrorBody
    from .error_code import ErrorCode as ErrorCode
    from .error_detail_item import ErrorDetailItem as ErrorDetailItem
    from .error_envelope import ErrorEnvelope as ErrorEnvelope
    from .features import Features as Features
    from .image_launcher import ImageLauncher as ImageLauncher
    from .image_mount import ImageMount as ImageMount
    from .image_network import ImageNetwork as ImageNetwork
    from .image_release import ImageRelease as ImageRelease
    from .image_release_binding import ImageReleaseBinding as ImageReleaseBinding
    from .image_release_definition import ImageReleaseDefinition as ImageReleaseDefinition
    from .image_release_list import ImageReleaseList as ImageReleaseList
    from .json_object import JsonObject as JsonObject
    from .list_global_rollouts_direction import (
        ListGlobalRolloutsDirection as ListGlobalRolloutsDirection,
    )
    from .list_global_rollouts_sort import ListGlobalRolloutsSort as ListGlobalRolloutsSort
    from .list_rollouts_direction import ListRolloutsDirection as ListRolloutsDirection
    from .list_rollouts_sort import ListRolloutsSort as ListRolloutsSort
    from .placement import Placement as Placement
    from .placement_labels_type_0 import PlacementLabelsType0 as PlacementLabelsType0
    from .placement_resources_type_0 import PlacementResourcesType0 as PlacementResourcesType0
    from .pool import Pool as Pool
    from .pool_config import PoolConfig as PoolConfig
    from .pool_container import PoolContainer as PoolContainer
    from .pool_definition import PoolDefinition as PoolDefinition
    from .pool_error import PoolError as PoolError
    from .pool_event import PoolEvent as PoolEvent
    from .pool_event_page import PoolEventPage as PoolEventPage
    from .pool_image import PoolImage as PoolImage
    from .pool_list import PoolList as PoolList
    from .pool_log_line import PoolLogLine as PoolLogLine
    from .pool_log_page import PoolLogPage as PoolLogPage
    from .pool_metrics import PoolMetrics as PoolMetrics
    from .pool_patch import PoolPatch as PoolPatch
    from .pool_process import PoolProcess as PoolProcess
    from .pool_status import PoolStatus as PoolStatus
    from .pool_target import PoolTarget as PoolTarget
    from .pool_urls import PoolUrls as PoolUrls
    from .process_environment import ProcessEnvironment as ProcessEnvironment
    from .process_launcher import ProcessLauncher as ProcessLauncher
    from .query_request import QueryRequest as QueryRequest
    from .query_result import QueryResult as QueryResult
    from .queue_status import QueueStatus as QueueStatus
    from .reported_usage import ReportedUsage as ReportedUsage
    from .reward_data import RewardData as RewardData
    from .rollout import Rollout as Rollout
    from .rollout_batch import RolloutBatch as RolloutBatch
    from .rollout_batch_item import RolloutBatchItem as RolloutBatchItem
    from .rollout_batch_request import RolloutBatchRequest as RolloutBatchRequest
    from .rollout_cancelled_data import RolloutCancelledData as RolloutCancelledData
    from .rollout_completed_data import RolloutCompletedData as RolloutCompletedData
    from .rollout_env import RolloutEnv as RolloutEnv
    from .rollout_error import RolloutError as RolloutError
    from .rollout_error_code import RolloutErrorCode as RolloutErrorCode
    from .rollout_event import RolloutEvent as RolloutEvent
    from .rollout_event_page import RolloutEventPage as RolloutEventPage
    from .rollout_event_type import RolloutEventType as RolloutEventType
    from .rollout_failed_data import RolloutFailedData as RolloutFailedData
    from .rollout_labels import RolloutLabels as RolloutLabels
    from .rollout_limits import RolloutLimits as RolloutLimits
    from .rollout_list import RolloutList as RolloutList
    from .rollout_metrics import RolloutMetrics as RolloutMetrics
    from .rollout_mode import RolloutMode as RolloutMode
    from .rollout_policy import RolloutPolicy as RolloutPolicy
    from .rollout_queued_data import RolloutQueuedData as RolloutQueuedData
    from .rollout_reference import RolloutReference as RolloutReference
    from .rollout_request import RolloutRequest as RolloutRequest
    from .rollout_started_data import RolloutStartedData as RolloutStartedData
    from .rollout_status import RolloutStatus as RolloutStatus
    from .rollout_summary import RolloutSummary as RolloutSummary
    from .rollout_timing import RolloutTiming as RolloutTiming
    from .rollout_usage import RolloutUsage as RolloutUsage
    from .rollout_validation import RolloutValidation as RolloutValidation
    from .run import Run as Run
    from .run_counts import RunCounts as RunCounts
    from .run_list import RunList as RunList
    from .started_process import StartedProcess as StartedProcess
    from .stored_pool_config import StoredPoolConfig as StoredPoolConfig
    from .stream_global_rollout_events_format import (
        StreamGlobalRolloutEventsFormat as StreamGlobalRolloutEventsFormat,
    )
    from .stream_pool_events_format import StreamPoolEventsFormat as StreamPoolEventsFormat
    from .stream_pool_events_include import StreamPoolEventsInclude as StreamPoolEventsInclude
    from .stream_pool_events_start import StreamPoolEventsStart as StreamPoolEventsStart
    from .stream_rollout_events_format import StreamRolloutEventsFormat as StreamRolloutEventsFormat
    from .submission_mode import SubmissionMode as SubmissionMode
    from .task import Task as Task
    from .task_definition import TaskDefinition as TaskDefinition
    from .task_list import TaskList as TaskList
    from .task_patch import TaskPatch as TaskPatch
    from .task_status import TaskStatus as TaskStatus
    from .task_urls import TaskUrls as TaskUrls
    from .task_usage import TaskUsage as TaskUsage
    from .trajectory import Trajectory as Trajectory
    from .trajectory_agent import TrajectoryAgent as TrajectoryAgent
    from .trajectory_final_metrics_type_0 import (
        TrajectoryFinalMetricsType0 as TrajectoryFinalMetricsType0,
    )
    from .trajectory_step import TrajectoryStep as TrajectoryStep
    from .trajectory_step_message_type_1_item import (
        TrajectoryStepMessageType1Item as TrajectoryStepMessageType1Item,
    )
    from .usage_sums import UsageSums as UsageSums

__all__ = (
    "Artifact",
    "ArtifactList",
    "CancelRequest",
    "Capabilities",
    "ChatMessage",
    "ContainerHealth",
    "ContainerInfo",
    "ContainerMetadata",
    "ContainerProgram",
    "ContainerRolloutRequest",
    "ContainerRolloutResult",
    "ContainerState",
    "ContainerTaskInfo",
    "ContainerTaskset",
    "DeploymentChange",
    "DeploymentChangeOperation",
    "ErrorBody",
    "ErrorCode",
    "ErrorDetailItem",
    "ErrorEnvelope",
    "Features",
    "ImageLauncher",
    "ImageMount",
    "ImageNetwork",
    "ImageRelease",
    "ImageReleaseBinding",
    "ImageReleaseDefinition",
    "ImageReleaseList",
    "JsonObject",
    "ListGlobalRolloutsDirection",
    "ListGlobalRolloutsSort",
    "ListRolloutsDirection",
    "ListRolloutsSort",
    "Placement",
    "PlacementLabelsType0",
    "PlacementResourcesType0",
    "Pool",
    "PoolConfig",
    "PoolContainer",
    "PoolDefinition",
    "PoolError",
    "PoolEvent",
    "PoolEventPage",
    "PoolImage",
    "PoolList",
    "PoolLogLine",
    "PoolLogPage",
    "PoolMetrics",
    "PoolPatch",
    "PoolProcess",
    "PoolStatus",
    "PoolTarget",
    "PoolUrls",
    "ProcessEnvironment",
    "ProcessLauncher",
    "QueryRequest",
    "QueryResult",
    "QueueStatus",
    "ReportedUsage",
    "RewardData",
    "Rollout",
    "RolloutBatch",
    "RolloutBatchItem",
    "RolloutBatchRequest",
    "RolloutCancelledData",
    "RolloutCompletedData",
    "RolloutEnv",
    "RolloutError",
    "RolloutErrorCode",
    "RolloutEvent",
    "RolloutEventPage",
    "RolloutEventType",
    "RolloutFailedData",
    "RolloutLabels",
    "RolloutLimits",
    "RolloutList",
    "RolloutMetrics",
    "RolloutMode",
    "RolloutPolicy",
    "RolloutQueuedData",
    "RolloutReference",
    "RolloutRequest",
    "RolloutStartedData",
    "RolloutStatus",
    "RolloutSummary",
    "RolloutTiming",
    "RolloutUsage",
    "RolloutValidation",
    "Run",
    "RunCounts",
    "RunList",
    "StartedProcess",
    "StoredPoolConfig",
    "StreamGlobalRolloutEventsFormat",
    "StreamPoolEventsFormat",
    "StreamPoolEventsInclude",
    "StreamPoolEventsStart",
    "StreamRolloutEventsFormat",
    "SubmissionMode",
    "Task",
    "TaskDefinition",
    "TaskList",
    "TaskPatch",
    "TaskStatus",
    "TaskUrls",
    "TaskUsage",
    "Trajectory",
    "TrajectoryAgent",
    "TrajectoryFinalMetricsType0",
    "TrajectoryStep",
    "TrajectoryStepMessageType1Item",
    "UsageSums",
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
    "ContainerProgram": "container_program",
    "ContainerRolloutRequest": "container_rollout_request",
    "ContainerRolloutResult": "container_rollout_result",
    "ContainerState": "container_state",
    "ContainerTaskInfo": "container_task_info",
    "ContainerTaskset": "container_taskset",
    "DeploymentChange": "deployment_change",
    "DeploymentChangeOperation": "deployment_change_operation",
    "ErrorBody": "error_body",
    "ErrorCode": "error_code",
    "ErrorDetailItem": "error_detail_item",
    "ErrorEnvelope": "error_envelope",
    "Features": "features",
    "ImageLauncher": "image_launcher",
    "ImageMount": "image_mount",
    "ImageNetwork": "image_network",
    "ImageRelease": "image_release",
    "ImageReleaseBinding": "image_release_binding",
    "ImageReleaseDefinition": "image_release_definition",
    "ImageReleaseList": "image_release_list",
    "JsonObject": "json_object",
    "ListGlobalRolloutsDirection": "list_global_rollouts_direction",
    "ListGlobalRolloutsSort": "list_global_rollouts_sort",
    "ListRolloutsDirection": "list_rollouts_direction",
    "ListRolloutsSort": "list_rollouts_sort",
    "Placement": "placement",
    "PlacementLabelsType0": "placement_labels_type_0",
    "PlacementResourcesType0": "placement_resources_type_0",
    "Pool": "pool",
    "PoolConfig": "pool_config",
    "PoolContainer": "pool_container",
    "PoolDefinition": "pool_definition",
    "PoolError": "pool_error",
    "PoolEvent": "pool_event",
    "PoolEventPage": "pool_event_page",
    "PoolImage": "pool_image",
    "PoolList": "pool_list",
    "PoolLogLine": "pool_log_line",
    "PoolLogPage": "pool_log_page",
    "PoolMetrics": "pool_metrics",
    "PoolPatch": "pool_patch",
    "PoolProcess": "pool_process",
    "PoolStatus": "pool_status",
    "PoolTarget": "pool_target",
    "PoolUrls": "pool_urls",
    "ProcessEnvironment": "process_environment",
    "ProcessLauncher": "process_launcher",
    "QueryRequest": "query_request",
    "QueryResult": "query_result",
    "QueueStatus": "queue_status",
    "ReportedUsage": "reported_usage",
    "RewardData": "reward_data",
    "Rollout": "rollout",
    "RolloutBatch": "rollout_batch",
    "RolloutBatchItem": "rollout_batch_item",
    "RolloutBatchRequest": "rollout_batch_request",
    "RolloutCancelledData": "rollout_cancelled_data",
    "RolloutCompletedData": "rollout_completed_data",
    "RolloutEnv": "rollout_env",
    "RolloutError": "rollout_error",
    "RolloutErrorCode": "rollout_error_code",
    "RolloutEvent": "rollout_event",
    "RolloutEventPage": "rollout_event_page",
    "RolloutEventType": "rollout_event_type",
    "RolloutFailedData": "rollout_failed_data",
    "RolloutLabels": "rollout_labels",
    "RolloutLimits": "rollout_limits",
    "RolloutList": "rollout_list",
    "RolloutMetrics": "rollout_metrics",
    "RolloutMode": "rollout_mode",
    "RolloutPolicy": "rollout_policy",
    "RolloutQueuedData": "rollout_queued_data",
    "RolloutReference": "rollout_reference",
    "RolloutRequest": "rollout_request",
    "RolloutStartedData": "rollout_started_data",
    "RolloutStatus": "rollout_status",
    "RolloutSummary": "rollout_summary",
    "RolloutTiming": "rollout_timing",
    "RolloutUsage": "rollout_usage",
    "RolloutValidation": "rollout_validation",
    "Run": "run",
    "RunCounts": "run_counts",
    "RunList": "run_list",
    "StartedProcess": "started_process",
    "StoredPoolConfig": "stored_pool_config",
    "StreamGlobalRolloutEventsFormat": "stream_global_rollout_events_format",
    "StreamPoolEventsFormat": "stream_pool_events_format",
    "StreamPoolEventsInclude": "stream_pool_events_include",
    "StreamPoolEventsStart": "stream_pool_events_start",
    "StreamRolloutEventsFormat": "stream_rollout_events_format",
    "SubmissionMode": "submission_mode",
    "Task": "task",
    "TaskDefinition": "task_definition",
    "TaskList": "task_list",
    "TaskPatch": "task_patch",
    "TaskStatus": "task_status",
    "TaskUrls": "task_urls",
    "TaskUsage": "task_usage",
    "Trajectory": "trajectory",
    "TrajectoryAgent": "trajectory_agent",
    "TrajectoryFinalMetricsType0": "trajectory_final_metrics_type_0",
    "TrajectoryStep": "trajectory_step",
    "TrajectoryStepMessageType1Item": "trajectory_step_message_type_1_item",
    "UsageSums": "usage_sums",
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
