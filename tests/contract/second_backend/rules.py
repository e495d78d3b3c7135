"""Rules of the document that can be switched off, each of which plants a fault in the code."""

from __future__ import annotations

from collections.abc import Iterable

from tests.contract.second_backend.document import showing

# Operations that show a schema; a fault may name any of them.
_ANY: tuple[str, ...] = ()
_POOL = showing("Pool", "PoolList")
_TASK = ("create_task", "update_task", "patch_task", "delete_task", "list_tasks", *_POOL)
_CREATE = ("create_rollout", "create_global_rollout", "create_rollout_batch", "replay_rollout")
_READ = ("get_rollout", "get_global_rollout", "list_rollouts", "list_global_rollouts")
_CANCEL = ("cancel_rollout", "cancel_global_rollout")
_STREAM = ("stream_rollout_events", "stream_global_rollout_events")
_SUMMARY = ("get_rollout_summary", "get_global_rollout_summary")
_USAGE = ("get_rollout_usage", "get_global_rollout_usage")
_ARTIFACTS = ("get_rollout_artifacts", "get_global_rollout_artifacts")
_DOWNLOAD = ("get_global_rollout_artifact",)
_DIRECT = ("execute_pool_container_rollout", "execute_task_container_rollout")
_GETS = tuple(
    f"get_{whose}_container_{part}"
    for whose in ("pool", "task")
    for part in ("health", "info", "metadata", "task_info", "program", "taskset")
)
_ROLLOUT = (*_CREATE, *_READ, *_SUMMARY, *_STREAM, *_CANCEL)
_LISTS = ("list_pools", "list_rollouts", "list_global_rollouts")
_EVERY_LIST = (*_LISTS, *_ARTIFACTS, "list_tasks", "list_image_releases")
_METRICS = ("get_pool_metrics",)
_QUEUE = ("get_queue_status",)

# The operations at which a broken rule shows.
RULES: dict[str, tuple[str, ...]] = {
    "artifacts.base64": (*_ARTIFACTS, *_DOWNLOAD),
    "artifacts.in_order": _ARTIFACTS,
    "artifacts.kind": _ARTIFACTS,
    "artifacts.large_leave_result": _READ,
    "artifacts.metadata": _ARTIFACTS,
    "artifacts.name": _ARTIFACTS,
    "artifacts.safe_path": _ARTIFACTS,
    "artifacts.sha256": (*_ARTIFACTS, *_DOWNLOAD),
    "artifacts.size": (*_ARTIFACTS, *_DOWNLOAD),
    "artifacts.unique_path": (*_ARTIFACTS, *_DOWNLOAD, "get_global_rollout_artifacts_zip"),
    "artifacts.url": (*_ARTIFACTS, *_DOWNLOAD),
    "attempts.counted": _STREAM,
    "attempts.forgotten": _ROLLOUT,
    "attempts.further": _ROLLOUT,
    "attempts.previous_error": _STREAM,
    "auth.challenge": _ANY,
    "auth.needed_to_read": _ANY,
    "auth.others_hidden": _ANY,
    "auth.scheme": _ANY,
    "auth.whole_key": _ANY,
    "batch.counts": ("create_rollout_batch",),
    "batch.each_alone": ("create_rollout_batch",),
    "batch.in_order": ("create_rollout_batch",),
    "batch.pool_of_batch": ("create_rollout_batch",),
    "batch.status": ("create_rollout_batch",),
    "batch.two_spellings": ("create_rollout_batch",),
    "bodies.checked": _ANY,
    "bodies.each_field": _ANY,
    "bodies.media_type": _ANY,
    "bundle.events": ("get_global_rollout_support_bundle",),
    "bundle.no_secrets": ("get_global_rollout_support_bundle",),
    "cancel.finished_refused": _CANCEL,
    "cancel.queued": _CANCEL,
    "cancel.terminates": _CANCEL,
    "cancel.twice": _CANCEL,
    "containers.asked": _ROLLOUT,
    "containers.bad_status": _ROLLOUT,
    "containers.bad_success_status": _ROLLOUT,
    "containers.errors": _ROLLOUT,
    "containers.health_check_header": _ANY,
    "containers.keys_left_out": _ROLLOUT,
    "containers.least_loaded": (*_ROLLOUT, *_POOL),
    "containers.of_task": (*_ROLLOUT, *_TASK),
    "containers.older_route": _ROLLOUT,
    "containers.other_rollout": _ROLLOUT,
    "containers.rollout_id": _ROLLOUT,
    "containers.says_nothing": _ROLLOUT,
    "containers.submission_mode": (*_ROLLOUT, *_POOL),
    "creations.ended_is_200": _CREATE,
    "direct.active_pool": _DIRECT,
    "direct.answer_unchanged": (*_GETS, *_DIRECT),
    "direct.body_unchanged": _DIRECT,
    "direct.errors": (*_GETS, *_DIRECT),
    "direct.not_found": _GETS,
    "downloads.archive_paths": ("get_global_rollout_artifacts_zip",),
    "downloads.by_id": _DOWNLOAD,
    "downloads.content_range": _DOWNLOAD,
    "downloads.etag": _DOWNLOAD,
    "downloads.etag_lists": _DOWNLOAD,
    "downloads.if_none_match": _DOWNLOAD,
    "downloads.if_range": _DOWNLOAD,
    "downloads.octet_stream": _DOWNLOAD,
    "downloads.range": _DOWNLOAD,
    "downloads.says_which": _DOWNLOAD,
    "downloads.unsatisfiable": _DOWNLOAD,
    "downloads.weak_etag": _DOWNLOAD,
    "errors.allow": _ANY,
    "errors.head": _ANY,
    "errors.request_id": _ANY,
    "events.after_sequence": _STREAM,
    "events.all_seen": _STREAM,
    "events.cursor": _STREAM,
    "events.furthest": _STREAM,
    "events.heartbeat": _STREAM,
    "events.ids_rise": _STREAM,
    "events.ids_rise_as_text": _STREAM,
    "events.last_event_id": _STREAM,
    "events.live": _STREAM,
    "events.no_gaps": _STREAM,
    "events.reward": _STREAM,
    "events.stream_ends": _STREAM,
    "idempotency.conflict": _CREATE,
    "idempotency.one_rollout": _CREATE,
    "idempotency.own_operation": _CREATE,
    "ids.must_agree": _TASK,
    "images.not_allowed": _POOL,
    "keys.allowed_names": _POOL,
    "keys.masked": (*_READ, *_SUMMARY, *_ARTIFACTS, *_DOWNLOAD, *_STREAM),
    "keys.sent": _ROLLOUT,
    "lists.cursor": _LISTS,
    "lists.every_item": _LISTS,
    "lists.limit": _LISTS,
    "lists.minimal": _EVERY_LIST,
    "lists.minimal_among_others": _EVERY_LIST,
    "lists.newest_first": _LISTS,
    "lists.next_cursor": _LISTS,
    "lists.preference_applied": _EVERY_LIST,
    "lists.second_name": _EVERY_LIST,
    "lists.state": ("list_pools",),
    "lists.state_of_rollouts": ("list_rollouts", "list_global_rollouts"),
    "lists.strange_cursor": _LISTS,
    "lists.vary": _EVERY_LIST,
    "merge.arrays": ("update_pool", "patch_task"),
    "merge.nulls": ("update_pool", "patch_task"),
    "merge.objects": ("update_pool", "patch_task"),
    "metrics.cancelled": _METRICS,
    "metrics.containers": _METRICS,
    "metrics.failed": _METRICS,
    "metrics.no_rate_yet": _METRICS,
    "metrics.queued": _METRICS,
    "metrics.success_rate": _METRICS,
    "pages.has_more": _STREAM,
    "pages.json": _STREAM,
    "pages.limit": _STREAM,
    "pages.next_sequence": _STREAM,
    "parameters.checked": _ANY,
    "parameters.once": _ANY,
    "parameters.unknown_ignored": _ANY,
    "patch.tasks": ("update_pool",),
    "paths.encoded_slash": _ANY,
    "pause.pauses": ("pause_pool",),
    "pause.queue_waits": ("pause_pool", *_ROLLOUT),
    "pause.resumes": ("resume_pool",),
    "placement.holds_task": ("create_global_rollout", "validate_rollout"),
    "placement.least_loaded": ("create_global_rollout", "validate_rollout"),
    "pools.active_admits": (*_CREATE, *_DIRECT, "pause_pool", "validate_rollout"),
    "pools.archived_at": _POOL,
    "pools.archived_code": (*_CREATE, *_DIRECT, "validate_rollout"),
    "pools.archived_left_out": ("list_pools",),
    "pools.archived_never_changes": _TASK,
    "pools.backend_of_target": _POOL,
    "pools.created_at": _POOL,
    "pools.default_concurrency": _POOL,
    "pools.delete_again": ("delete_pool",),
    "pools.delete_cancels": ("delete_pool", *_ROLLOUT),
    "pools.id_taken_for_ever": ("create_pool",),
    "pools.location": ("create_pool",),
    "pools.same_state": _POOL,
    "pools.says_archived": ("create_pool",),
    "pools.shorter_wins": _POOL,
    "pools.target_of_backend": _POOL,
    "pools.two_configs": _POOL,
    "pools.unknown_fields": _POOL,
    "pools.updated_at": _POOL,
    "processes.not_allowed": _POOL,
    "ray.not_allowed": _POOL,
    "put.resets": ("replace_pool",),
    "put.resets_tasks": ("update_task",),
    "queue.capacity": _QUEUE,
    "queue.concurrency": (*_ROLLOUT, *_POOL, *_METRICS, *_QUEUE),
    "queue.in_order": _ROLLOUT,
    "queue.queued": _QUEUE,
    "queue.running": _QUEUE,
    "replay.names_it": ("replay_rollout",),
    "replay.request": ("replay_rollout",),
    "rewards.order": _ROLLOUT,
    "rollouts.error_code": _ROLLOUT,
    "rollouts.known_keys": _CREATE,
    "rollouts.own_pool": ("get_rollout", *_CANCEL, *_SUMMARY, *_USAGE, *_ARTIFACTS, *_STREAM),
    "rollouts.pool_of_path": ("create_rollout",),
    "rollouts.request_as_sent": _ROLLOUT,
    "rollouts.score": _ROLLOUT,
    "rollouts.task_id": _ROLLOUT,
    "rollouts.task_is_there": (*_CREATE, "validate_rollout"),
    "rollouts.trace": _ROLLOUT,
    "rollouts.whole_answer": _ROLLOUT,
    "summary.error": _SUMMARY,
    "summary.last_event": _SUMMARY,
    "summary.queue_seconds": _SUMMARY,
    "summary.reward": _SUMMARY,
    "summary.run_seconds": _SUMMARY,
    "sync.waits": _CREATE,
    "tasks.backend_of_pool": _TASK,
    "tasks.deleted_are_gone": _TASK,
    "tasks.deleted_fails_queued": (*_TASK, *_ROLLOUT),
    "tasks.id_taken": ("create_task",),
    "tasks.keep_created_at": _TASK,
    "tasks.newest_first": ("list_tasks",),
    "tasks.seen_archived": ("delete_task",),
    "tasks.two_ids": _TASK,
    "tasks.unknown_fields": _TASK,
    "tasks.updated_at": _TASK,
    "time_limit.counts": (*_ROLLOUT, "create_pool"),
    "time_limit.of_pool": (*_ROLLOUT, *_POOL),
    "time_limit.own_wins": _ROLLOUT,
    "urls.all_containers": ("get_pool_urls",),
    "urls.of_this_host": ("get_pool_urls",),
    "urls.task_of_pool": ("get_pool_urls",),
    "usage.bytes": _USAGE,
    "usage.minutes": _USAGE,
    "usage.wall_time": _USAGE,
    "validate.creates_nothing": ("validate_rollout",),
    "validate.fields": ("validate_rollout",),
    "validate.valid": ("validate_rollout",),
}


class Rules:
    """Callable that tells if the backend keeps a rule."""

    def __init__(self, broken: Iterable[str] = ()) -> None:
        self._broken = frozenset(broken)
        unknown = self._broken - RULES.keys()
        if unknown:
            raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")

    def __call__(self, rule: str) -> bool:
        return rule not in self._broken
