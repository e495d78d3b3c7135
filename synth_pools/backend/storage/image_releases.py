"""Image releases of pools in the database, and the tasks that are bound to them."""

from __future__ import annotations

import json
from typing import Any

from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.definitions import can_be_id, config_of, image_of
from synth_pools.backend.domain.errors import ApiError, conflict
from synth_pools.backend.domain.releases import bound_image
from synth_pools.backend.storage import pools
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.pools import Pool
from synth_pools.backend.storage.statements import byte_length

_SELECT = "SELECT id, pool_id, definition, reference, digest, created_at FROM image_releases"


def insert_release(
    tx: Transaction, pool_id: str, definition: dict[str, Any], reference: str, digest: str
) -> Row:
    """Store a new release; `reference` names its image by the digest."""
    release_id = clock.new_id("release")
    tx.execute(
        "INSERT INTO image_releases (id, pool_id, definition, reference, digest, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (release_id, pool_id, json_text.dumps(definition), reference, digest, tx.now()),
    )
    return find_release(tx, pool_id, release_id)


def find_release(db: Executes, pool_id: str, release_id: str) -> Row:
    """Return a release of a pool; raise 404 for an unknown id."""
    row: Row | None = None
    if can_be_id(release_id):
        sql = f"{_SELECT} WHERE pool_id = ? AND id = ?"
        row = db.execute(sql, (pool_id, release_id)).fetchone()
    if row is None:
        message = f"Pool {pool_id!r} has no image release {release_id!r}."
        raise ApiError(404, "release_not_found", message)
    return row


def releases_of(db: Executes, pool_id: str) -> list[Row]:
    """Return the releases of a pool, newest first."""
    return db.execute(f"{_SELECT} WHERE pool_id = ? ORDER BY seq DESC", (pool_id,)).fetchall()


def size_of_releases(db: Executes, pool_id: str) -> int:
    """Return the approximate size of a pool's list of releases."""
    size = f"SELECT SUM({byte_length('definition')} + 500) FROM image_releases WHERE pool_id = ?"  # noqa: S608
    return int(db.execute(size, (pool_id,)).fetchone()[0] or 0)


def release_document(row: Row) -> dict[str, Any]:
    """Return the document of a release."""
    definition: dict[str, Any] = json.loads(row["definition"])
    return {
        "name": None,
        "compute_provider": None,
        **definition,
        "id": row["id"],
        "release_id": row["id"],
        "pool_id": row["pool_id"],
        "status": "ready",
        "resolved_digest": row["digest"],
        "source_content_hash": None,
        "metadata": definition.get("metadata") or {},
        "created_at": row["created_at"],
    }


def delete_release(tx: Transaction, pool: Pool, release_id: str) -> Row:
    """Delete a release that no task is bound to; return it as it was."""
    row = find_release(tx, pool.id, release_id)
    tasks = [name for name, bound in pool.releases.items() if bound["release_id"] == row["id"]]
    if tasks:
        message = f"Task {tasks[0]!r} is bound to image release {row['id']!r}: unbind it first."
        raise conflict("release_bound", message)
    tx.execute("DELETE FROM image_releases WHERE pool_id = ? AND id = ?", (pool.id, row["id"]))
    return row


def bind_release(
    tx: Transaction, pool: Pool, task_id: str | None, release_id: str, expected_id: str | None
) -> tuple[str, Pool]:
    """Bind a task, or the only one of its pool, to a release.

    Args:
        tx: The transaction.
        pool: The pool.
        task_id: The task; None for the only one.
        release_id: The release.
        expected_id: The release that has to be bound now, empty for none; None for any.

    Returns:
        The id of the task, and the pool as it is then.
    """
    task, is_only = _task_of(tx, pool, task_id)
    task_id = str(task["id"])
    if pools.task_container_url(task) is not None:
        message = f"Task {task_id!r} has a container_url, which its rollouts run on: remove it."
        raise conflict("config_conflict", message)
    release = find_release(tx, pool.id, release_id)
    former = pool.releases.get(task_id, {})
    actual_id = former.get("release_id", "")
    if expected_id not in (None, actual_id):
        raise _mismatch(task_id, actual_id)
    definition = pool.definition
    # Settings of the former release must not stay with the next one.
    base = former["base"] if "base" in former else image_of(definition)
    image = bound_image(base, json.loads(release["definition"]), release["reference"])
    bound = {"release_id": release["id"], "image": image}
    if is_only:
        bound["base"] = base or {}
        definition["config"] = {**config_of(definition), "image": image}
    releases = {**pool.releases, task_id: bound}
    return task_id, pools.update_pool(tx, pool, definition, releases)


def unbind_release(
    tx: Transaction, pool: Pool, task_id: str | None, release_id: str
) -> tuple[str, Pool]:
    """Unbind a task, or the only one of its pool, from a release; the value is that of binding."""
    task_id = str(_task_of(tx, pool, task_id)[0]["id"])
    bound = pool.releases.get(task_id, {})
    if bound.get("release_id") != find_release(tx, pool.id, release_id)["id"]:
        raise _mismatch(task_id, bound.get("release_id", ""))
    definition = pool.definition
    if "base" in bound:
        config = {**config_of(definition), "image": bound["base"]}
        definition["config"] = {key: config[key] for key in config if key != "image" or config[key]}
    releases = {name: pool.releases[name] for name in pool.releases if name != task_id}
    return task_id, pools.update_pool(tx, pool, definition, releases)


def _task_of(tx: Transaction, pool: Pool, task_id: str | None) -> tuple[Row, bool]:
    """Return a task, or the only one if it is None, and whether the pool has no other."""
    rows = tx.execute("SELECT id FROM tasks WHERE pool_id = ? LIMIT 2", (pool.id,)).fetchall()
    if task_id is None and len(rows) != 1:
        message = f"Pool {pool.id!r} has {'several tasks' if rows else 'no task'}: name one."
        raise conflict("single_task_required", message)
    task = pools.find_task(tx, pool.id, rows[0]["id"] if task_id is None else task_id)
    return task, len(rows) == 1


def _mismatch(task_id: str, actual_id: str) -> ApiError:
    message = f"Task {task_id!r} is bound to {actual_id or 'no image release'!r} now."
    return conflict("release_mismatch", message)
