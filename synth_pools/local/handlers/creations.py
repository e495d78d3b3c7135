"""Creations of rollouts, and what they would say."""

from __future__ import annotations

from ..admitting import IdempotencyKey, admit, faults_of, note_stopped_waiting, stopped_waiting
from ..calls import Call, Reply, reply, reply_text
from ..disconnects import unless_disconnected
from ..events import until_final
from ..rollout_rows import FINAL, find_rollout, rollout_document


async def create_rollout(call: Call) -> Reply:
    backend, pool_id = call.backend, call.parameters.get("pool_id")
    key = None
    if "Idempotency-Key" in call.parameters:
        scope = f"{call.operation.id}:{pool_id or ''}"
        key = IdempotencyKey.of(scope, call.parameters["Idempotency-Key"], call.body)
    rollout = await admit(backend, pool_id, call.body, key)
    with backend.store.reading() as db:
        waits = rollout["mode"] == "sync" and not stopped_waiting(db, key)
    if not waits:
        return reply_text(rollout_document(rollout), 202)
    waiting = until_final(
        backend.store, backend.changes, rollout["id"], backend.settings.sync_wait_seconds
    )
    await unless_disconnected(call.receive, waiting)
    with backend.store.reading() as db:
        rollout = find_rollout(db, rollout["id"])
        is_first_end = rollout["status"] in FINAL and not stopped_waiting(db, key)
    if key is not None and rollout["status"] not in FINAL:
        await note_stopped_waiting(backend, key)
    return reply_text(rollout_document(rollout), 200 if is_first_end else 202)


async def validate_rollout(call: Call) -> Reply:
    errors, pool_id = faults_of(call.backend, call.body)
    return reply({"valid": not errors, "errors": errors, "pool_id": pool_id})
