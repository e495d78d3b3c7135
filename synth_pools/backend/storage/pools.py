"""Pools and tasks in the database. Functions that change them run in a `Transaction`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.definitions import (
    StartRate,
    can_be_id,
    lacks_containers,
    pool_view,
    start_rate,
    starts_containers,
    task_exists,
    task_view,
)
from synth_pools.backend.domain.errors import (
    NO_CONTAINER,
    ApiError,
    conflict,
    no_container,
    pool_archived,
    pool_not_active,
    pool_not_found,
    task_not_found,
)
from synth_pools.backend.domain.releases import current_releases, definitions_of_tasks, place_of
from synth_pools.backend.domain.state_changes import PoolChange
from synth_pools.backend.storage.cursors import Found, ListPosition
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.statements import POOL_COLUMNS, TASK_COLUMNS, byte_length

# Largest definition whose view is cached.
_SMALL = 16 * 1024

_SELECT = f"SELECT {POOL_COLUMNS} FROM pools"  # noqa: S608
_SELECT_TASK = f"SELECT {TASK_COLUMNS} FROM tasks"  # noqa: S608
_TASK_BYTES = byte_length("tasks.definition")
# Approximate size of a pool in an answer, where its settings may appear under two names.
_SIZE = (
    f"2 * {byte_length('definition')} + 600"  # noqa: S608
    f" + COALESCE((SELECT SUM(2 * {_TASK_BYTES} + 500)"
    " FROM tasks WHERE tasks.pool_id = pools.id), 0)"
)


@lru_cache(maxsize=128)
def _small_view(definition: str) -> dict[str, Any]:
    """Return the view of a small definition, which is cached; never change it."""
    return pool_view(json.loads(definition))


class Pool:
    """Pool as of one moment; its definition is parsed on demand."""

    __slots__ = ("_releases", "_view", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self._view: dict[str, Any] | None = None
        self._releases: dict[str, dict[str, Any]] | None = None

    @property
    def id(self) -> str:
        """The id."""
        return str(self.row["id"])

    @property
    def status(self) -> str:
        """The state."""
        return str(self.row["status"])

    @property
    def is_archived(self) -> bool:
        """True once it is archived."""
        return self.status == "archived"

    @property
    def owner(self) -> int | None:
        """The number of the backend that starts its containers; None if any may run it."""
        owner: int | None = self.row["owner"]
        return owner

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that made the pool fail; None if it has not failed."""
        error: dict[str, Any] | None = json.loads(self.row["error"])
        return error

    @property
    def releases(self) -> dict[str, dict[str, Any]]:
        """The image releases that tasks are bound to, by the ids of the tasks."""
        if self._releases is None:
            self._releases = json.loads(self.row["releases"])
        return self._releases or {}

    @property
    def task_definitions(self) -> dict[str, dict[str, Any]]:
        """Definitions of the tasks that have containers of their own, as of pools."""
        return definitions_of_tasks(self.view, self.releases) if self.releases else {}

    def place_of(self, task_id: str | None) -> str:
        """Return where the containers of a task are: in a place of its own, or that of the pool."""
        bound = None if task_id is None else self.releases.get(task_id)
        if task_id is None or bound is None or "base" in bound:
            return self.id
        return place_of(self.id, task_id)

    @property
    def concurrency(self) -> int:
        """The largest number of its rollouts that run at once."""
        return int(self.row["concurrency"])

    @property
    def start_rate(self) -> StartRate | None:
        """The rate at which its rollouts may start; None if it has no limit."""
        # Most have none, and to parse a large definition takes long.
        if "max_starts_per_second" not in self.row["definition"]:
            return None
        return start_rate(self.view)

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as it is stored."""
        definition: dict[str, Any] = json.loads(self.row["definition"])
        return definition

    @property
    def view(self) -> dict[str, Any]:
        """The definition with every default; never change it."""
        if self._view is None:
            text = self.row["definition"]
            self._view = _small_view(text) if len(text) <= _SMALL else pool_view(self.definition)
        return self._view

    def require_active(self) -> None:
        """Raise 409 if the pool admits no rollouts."""
        self.require_changeable()
        if self.status != "active":
            raise pool_not_active(self.id, self.status, (self.error or {}).get("message"))

    def require_changeable(self) -> None:
        """Raise 409 if the pool is archived."""
        if self.is_archived:
            raise pool_archived(self.id)

    def document(self, tasks: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the document of the pool, with these tasks."""
        row = self.row
        identity = {"id": self.id, "pool_id": self.id}
        state = {
            "status": row["status"],
            "state": row["status"],
            "error": self.error,
            "tasks": list(tasks),
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
            "archived_at": row["archived_at"],
        }
        view = self.view
        with_name = view if view["name"] is not None else {**view, "name": self.id}
        return {**identity, **with_name, **state}


def find_pool(db: Executes, pool_id: str, sql: str = f"{_SELECT} WHERE id = ?") -> Pool:
    """Return a pool, by a statement that may add columns; raise 404 for an unknown id."""
    row = None
    if can_be_id(pool_id):
        row = db.execute(sql, (pool_id,)).fetchone()
    if row is None:
        raise pool_not_found(pool_id)
    return Pool(row)


def list_sizes_of_pools(
    db: Executes, state: str | None, before: int | None, limit: int
) -> list[Found]:
    """Return the positions and sizes of the pools on a page, newest first.

    Archived pools are included only on request.
    """
    condition = "status != 'archived'" if state is None else "status = ?"
    values: list[Any] = [] if state is None else [state]
    if before is not None:
        condition += " AND seq < ?"
        values.append(before)
    rows = db.execute(
        f"SELECT seq, {_SIZE} FROM pools WHERE {condition} ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    )
    return [Found(ListPosition(row[0]), row[1]) for row in rows]


def list_pools(db: Executes, seqs: Sequence[int], state: str | None) -> list[str]:
    """Return the pools at these positions as JSON texts, newest first."""
    rows = db.execute(
        f"{_SELECT} WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq DESC",  # noqa: S608
        (json.dumps(seqs),),
    ).fetchall()
    pools = [Pool(row) for row in rows]
    return [
        json_text.dumps(pool.document(task_documents(db, pool)))
        for pool in pools
        if (not pool.is_archived if state is None else pool.status == state)
    ]


def size_of_pool(db: Executes, pool_id: str) -> int:
    """Return the approximate size of a pool's document with its tasks; 0 for an unknown id."""
    row = db.execute(f"SELECT {_SIZE} FROM pools WHERE id = ?", (pool_id,)).fetchone()  # noqa: S608
    return 0 if row is None else int(row[0])


def unarchived_pools(db: Executes) -> list[Pool]:
    """Return all pools that are not archived."""
    return [Pool(row) for row in db.execute(f"{_SELECT} WHERE status != 'archived'")]


def pools_of(db: Executes, pool_ids: Iterable[str]) -> list[Pool]:
    """Return the existing pools with these ids."""
    sql = f"{_SELECT} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return [Pool(row) for row in db.execute(sql, (json.dumps(sorted(pool_ids)),))]


def definitions(db: Executes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the ids and definitions of all pools that are not archived."""
    for row in db.execute("SELECT id, definition FROM pools WHERE status != 'archived'"):
        yield row["id"], json.loads(row["definition"])


def total_concurrency(db: Executes) -> int:
    """Return the number of rollouts that could run at once in all active pools."""
    row = db.execute(
        "SELECT CAST(SUM(concurrency) AS BIGINT) FROM pools WHERE status = 'active'"
    ).fetchone()
    return row[0] or 0


def insert_pool(
    tx: Transaction, pool_id: str | None, definition: dict[str, Any], status: str = "active"
) -> Pool:
    """Store a new pool; raise 409 if the id is taken."""
    if pool_id is None:
        pool_id = clock.new_id("pool")
    elif existing := tx.execute("SELECT status FROM pools WHERE id = ?", (pool_id,)).fetchone():
        archived = existing["status"] == "archived"
        more = " It is archived, and its id cannot be used again." if archived else ""
        raise conflict("pool_exists", f"Pool {pool_id!r} exists already.{more}")
    moment = tx.now()
    tx.execute(
        "INSERT INTO pools (id, status, definition, concurrency, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (pool_id, status, json_text.dumps(definition), _concurrency(definition), moment, moment),
    )
    tx.changed(PoolChange(pool_id, status))
    _notify_backends(tx, pool_id, starts=starts_containers(definition))
    return find_pool(tx, pool_id)


def update_pool(
    tx: Transaction,
    pool: Pool,
    definition: dict[str, Any],
    releases: dict[str, dict[str, Any]] | None = None,
) -> Pool:
    """Replace the definition of a pool, whose tasks are stored already, and its bound releases."""
    releases = pool.releases if releases is None else releases
    if releases:
        rows = tx.execute("SELECT id FROM tasks WHERE pool_id = ?", (pool.id,)).fetchall()
        releases = current_releases(releases, definition, {row["id"] for row in rows})
    values = (json_text.dumps(definition), json_text.dumps(releases), _concurrency(definition))
    tx.execute(
        "UPDATE pools SET definition = ?, releases = ?, concurrency = ?, updated_at = ?"
        " WHERE id = ?",
        (*values, tx.now(), pool.id),
    )
    starts = starts_containers(definition) or bool(definitions_of_tasks(definition, releases))
    _notify_backends(tx, pool.id, starts=starts)
    return find_pool(tx, pool.id)


def move_pool(
    tx: Transaction, pool: Pool, status: str, error: dict[str, Any] | None = None
) -> Pool:
    """Move a pool to another state; `error` is the cause of a failure."""
    tx.execute(
        "UPDATE pools SET status = ?, error = ?, updated_at = ? WHERE id = ?",
        (status, json_text.dumps(error), tx.now(), pool.id),
    )
    tx.changed(PoolChange(pool.id, status, None if error is None else str(error["code"])))
    tx.tell("pool", pool.id)
    return find_pool(tx, pool.id)


def check_containers(tx: Transaction, pool: Pool) -> Pool:
    """Fail a pool whose target needs a container and has none; prepare it once it has."""
    try:
        require_containers(tx, pool)
    except ApiError as error:
        if pool.status not in ("active", "warming"):
            return pool
        return move_pool(tx, pool, "failed", {"code": error.code, "message": error.message})
    if pool.error is not None and pool.error["code"] == NO_CONTAINER:
        return move_pool(tx, pool, "warming")
    return pool


def require_containers(db: Executes, pool: Pool) -> None:
    """Raise 409 if the target of a pool needs a container, and neither it nor a task has one."""
    if not lacks_containers(pool.view) or pool.task_definitions:
        return
    rows = db.execute(f"{_SELECT_TASK} WHERE pool_id = ?", (pool.id,))
    if not any(map(task_container_url, rows)):
        raise no_container()


def archive_pool(tx: Transaction, pool: Pool) -> Pool:
    """Archive a pool."""
    moment = tx.now()
    tx.execute(
        "UPDATE pools SET status = 'archived', updated_at = ?, archived_at = ? WHERE id = ?",
        (moment, moment, pool.id),
    )
    tx.execute("DELETE FROM pool_starts WHERE pool_id = ?", (pool.id,))
    tx.changed(PoolChange(pool.id, "archived"))
    tx.tell("pool", pool.id)
    return find_pool(tx, pool.id)


def find_task(db: Executes, pool_id: str, task_id: str) -> Row:
    """Return a task of a pool; raise 404 for an unknown id."""
    row: Row | None = None
    if can_be_id(task_id):
        row = db.execute(
            f"{_SELECT_TASK} WHERE pool_id = ? AND id = ?", (pool_id, task_id)
        ).fetchone()
    if row is None:
        raise task_not_found(task_id, pool_id)
    return row


def task_documents(db: Executes, pool: Pool) -> list[dict[str, Any]]:
    """Return the tasks of a pool in the order of their definition."""
    rows = db.execute(f"{_SELECT_TASK} WHERE pool_id = ? ORDER BY seq", (pool.id,))
    return [task_document(row, pool) for row in rows]


def task_document(row: Row, pool: Pool, status: str = "active") -> dict[str, Any]:
    """Return the document of a task."""
    return {
        "id": row["id"],
        "task_id": row["id"],
        "pool_id": pool.id,
        **task_view(json.loads(row["definition"]), pool.view),
        "status": status,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def task_container_url(row: Row) -> str | None:
    """Return the container address of a task; None for the containers of its pool."""
    url: str | None = json.loads(row["definition"]).get("container_url")
    return url


def insert_task(
    tx: Transaction,
    pool_id: str,
    task_id: str | None,
    definition: dict[str, Any],
    created_at: str | None = None,
) -> Row:
    """Store a new task; raise 409 if the pool has a task of this id."""
    if task_id is None:
        task_id = clock.new_id("task")
    moment = tx.now()
    inserted = tx.execute(
        "INSERT INTO tasks (pool_id, id, definition, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (pool_id, id) DO NOTHING",
        (pool_id, task_id, json_text.dumps(definition), created_at or moment, moment),
    ).rowcount
    if not inserted:
        raise task_exists(task_id)
    return find_task(tx, pool_id, task_id)


def update_task(tx: Transaction, pool_id: str, task_id: str, definition: dict[str, Any]) -> Row:
    """Replace the definition of a task."""
    tx.execute(
        "UPDATE tasks SET definition = ?, updated_at = ? WHERE pool_id = ? AND id = ?",
        (json_text.dumps(definition), tx.now(), pool_id, task_id),
    )
    return find_task(tx, pool_id, task_id)


def delete_task(tx: Transaction, pool_id: str, task_id: str) -> str:
    """Delete a task; return the time of the deletion."""
    tx.execute("DELETE FROM tasks WHERE pool_id = ? AND id = ?", (pool_id, task_id))
    return tx.now()


def replace_tasks(
    tx: Transaction, pool_id: str, tasks: Sequence[tuple[str | None, dict[str, Any]]]
) -> None:
    """Replace the tasks of a pool, in this order; existing ones keep their `created_at`."""
    existing = {
        row["id"]: row["created_at"]
        for row in tx.execute("SELECT id, created_at FROM tasks WHERE pool_id = ?", (pool_id,))
    }
    tx.execute("DELETE FROM tasks WHERE pool_id = ?", (pool_id,))
    for task_id, definition in tasks:
        insert_task(tx, pool_id, task_id, definition, existing.get(task_id))


def touch_pool(tx: Transaction, pool_id: str) -> None:
    """Set the pool's time of change after a change of its tasks, which its document has."""
    tx.execute("UPDATE pools SET updated_at = ? WHERE id = ?", (tx.now(), pool_id))


def _notify_backends(tx: Transaction, pool_id: str, *, starts: bool) -> None:
    """Notify the other backends of a changed pool; one of them starts its containers."""
    if tx.owner is not None:
        if starts:
            sql = "UPDATE pools SET owner = ? WHERE id = ? AND owner IS NULL"
            tx.execute(sql, (tx.owner, pool_id))
        else:
            sql = "UPDATE pools SET owner = NULL WHERE id = ? AND owner IS NOT NULL"
            tx.execute(sql, (pool_id,))
    tx.tell("pool", pool_id)


def _concurrency(definition: dict[str, Any]) -> int:
    # JSON Schema counts 2.0 as an integer.
    return int(pool_view(definition)["concurrency"])
