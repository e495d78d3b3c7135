"""Clauses that rules judge by: ids of sentences of openapi.yaml, by check or family of checks.

Scenarios name their own in their decorators. A rule that reads its demand from the document itself,
such as the schema of an answer or the row of an error code, needs no id.
"""

from __future__ import annotations

_ANSWERED_AS_DESCRIBED = "info#bd19"
_FREE_FORM = "JsonObject#4d0a"
_KEYS = """
    Authentication#fd47#5c46, securitySchemes bearer#4104, responses Unauthorized#ebea
"""
_LISTS = """
    Pages#94c3, list_pools#7c43, list_rollouts#50cd, list_global_rollouts#4da0, PoolList#e719,
    PoolList.items#c4e8, PoolList.next_cursor#952d, RolloutList#8759, RolloutList.items#50ae
"""
_TWINS = """
    Identifiers#8bc9, PoolStatus#7152, Pool.pool_id#8e5a, PoolUrls.pool_id#fa43, Task.task_id#4151,
    Rollout.rollout_id#f975, RolloutSummary.score#b758, Artifact.kind#5fb6
"""
CLAUSES = {
    "agree": _TWINS,
    "agree.admitted": "RolloutBatch.admitted#e6a8",
    "agree.config": "PoolDefinition#3178",
    "agree.container_url": "PoolUrls.container_url#1544",
    "agree.creation": """
        create_rollout responses 200#40c0, create_rollout responses 202#7a08,
        replay_rollout responses 200#03e5, parameters IdempotencyKey#ccb2,
        RolloutBatchItem.status#7042
    """,
    "agree.ended": "PoolEventPage.ended#d390",
    "agree.error": "Rollouts: states#e3b6, Rollout.error#3c32, Pool.error#19e3",
    "agree.finished_at": "Rollout.finished_at#9458",
    "agree.metadata": "PoolDefinition#3178",
    "agree.labels": "Rollout.labels#e2c7",
    "agree.mode": "Rollout.mode#7938",
    "agree.next_sequence": "RolloutEventPage.next_sequence#4208",
    "agree.pool_id": "Rollout.pool_id#3f16",
    "agree.queue_seconds": "RolloutTiming.queue_seconds#9cd5",
    "agree.refused": "RolloutBatch.refused#63bd",
    "agree.result": "Rollouts: states#c39e",
    "agree.run": "Rollout.run#7d0c",
    "agree.run_seconds": "RolloutTiming.run_seconds#3087",
    "agree.sandbox_minutes": "RolloutUsage.sandbox_minutes#1aa9",
    "agree.scopes": "Capabilities.scopes#f8db",
    "agree.score": "Rollout.score#9f18",
    "agree.sequence": "RolloutEvent.sequence#7589",
    "agree.success_rate": "get_pool_metrics#9638",
    "agree.time": "Times#4799",
    "agree.task_id": "Rollout.task_id#b029",
    "agree.task_usage": "PoolMetrics.task_usage#cf9a",
    "agree.trace_correlation_id": "Rollout.trace_correlation_id#fc29",
    "agree.valid": "RolloutValidation.errors#ae4f",
    "asked": "get_pool#fdaa, get_rollout#07d1, Rollout.pool_id#3f16",
    "auth.refused": _KEYS,
    "client": "Growth#d446",
    "echo.config": _FREE_FORM,
    "echo.metadata": _FREE_FORM,
    "echo.pool_id": "Rollout.pool_id#3f16",
    "echo.request": "RolloutRequest#f9d2, Rollout.request#9fc0",
    "echo.task_config": _FREE_FORM,
    "echo.task_metadata": _FREE_FORM,
    "errors.loc": "ErrorDetailItem.loc#4909",
    "errors.retry_after": "ErrorEnvelope.retry_after_ms#5c6f",
    "errors.request_id": "ErrorEnvelope.request_id#142d",
    # For all other fields: the operation says that it stores them.
    "echo": "get_pool#fdaa",
    "events.cursors": "stream_pool_events#c9ff#8304",
    "events.fields": "Events#24fa",
    "events.first": "Events#36b4",
    "events.ids": "Events#1848#e98f, RolloutEvent.id#12c2",
    "events.owner": "Events#a1f2",
    "events.pool_sequence": "stream_pool_events#3ec2",
    "events.pool_start": "stream_pool_events#2b6b",
    "events.position": "stream_pool_events#2b6b",
    "events.schema": """
        Events#9db4#24fa, stream_rollout_events#164a, stream_pool_events#f0a0, PoolEvent#8d1f,
        RolloutEventType#fc60, RolloutEvent#e669, RolloutQueuedData.status#b5d3
    """,
    "events.sequence": "Events#7659, RolloutEvent.sequence#7589",
    "events.start": "Events#a1f2",
    "events.terminal": "Events#b62d",
    "facts.archived": "delete_pool#1b67",
    "facts.artifacts": "Rollouts: states#6729",
    "facts.created": "Rollouts: the two families#1e49",
    "facts.deleted": "delete_run#c3bb#20ef",
    "facts.event": "Events#a1f2",
    "facts.final": "Rollouts: states#6729",
    "facts.listed": "Pages#c09d",
    "facts.metrics": "get_pool_metrics#b872",
    "facts.patched": "update_pool#1046, patch_task#51a8",
    "facts.pool": "get_pool#fdaa",
    "facts.replay": "replay_rollout#d4e2",
    "facts.request_id": "headers RequestId#6962",
    "facts.run": "Run.created_at#629b, Run.labels#4d57, Run.configuration_digest#e698",
    "facts.runs": "RunCounts#7bca",
    "facts.state": "PoolEventPage#3b31",
    "facts.stored": """
        PoolMetrics.capacity#d009, PoolMetrics.concurrency#9f57, PoolList.items#c4e8,
        get_pool#fdaa, list_tasks#603f
    """,
    "facts.streams": "headers XAccelBuffering#f649",
    "facts.usage": "get_rollout_usage#0ae5",
    "model": "Pools: states#78fd",
    "page.archived": "list_pools#ca02",
    "page.limit": "parameters Limit#cd20",
    "page.once": _LISTS,
    "page.order": _LISTS,
    "page.state": "parameters State#a8ef#73a4",
    "preflight.contact": "Authentication#5c46",
    "preflight.rollout": "Rollouts: states#f1bc",
    "schema": _ANSWERED_AS_DESCRIBED,
    "schema.allow": "Errors#2c54",
    "schema.auth": _KEYS,
    "schema.body": """
        info#bd19, Rollouts: states#d954, get_capabilities#9028, Pool#dca0, Task#f006,
        RolloutError#76e8, Rollout#7253, RolloutUsage#aa67, RolloutTiming#c576,
        RolloutErrorCode#51dc, Capabilities#0429, Capabilities.targets#6b68, Artifact#9dd7,
        ErrorEnvelope#d9bf
    """,
    "schema.code": """
        Errors#3603, create_pool#6e8f, get_pool#5b16, delete_pool#3c83, PoolConfig.image#4cd6,
        PoolImage#4322, ErrorCode#ccfd#3066
    """,
    "schema.coded": "Errors#b4b8#fbcf, ErrorBody#9205",
    "schema.error_body": """
        Errors#d256#2c54, ErrorDetailItem#906f, ErrorDetailItem.loc#4909, ErrorDetail#a028,
        ErrorBody#ce26
    """,
    "schema.gone": "Tasks: states#6d44",
    "schema.invalid_refused": "responses Invalid#c83f",
    "schema.location": "headers Location#9aa6",
    "schema.method": "Errors#2c54",
    "schema.origins": "Authentication#4079",
    "schema.request_id": "Errors#d256",
    "schema.retry_after": "Errors#0e7d",
    "schema.retryable": "Errors#f340, ErrorEnvelope.retryable#d0dd",
    "schema.server_error": "responses ServerError#acf2",
    "schema.there": "Rollouts: the two families#1e49",
    "schema.valid_accepted": "Errors#d821#619f, info#bd19, create_pool#62f7",
}
