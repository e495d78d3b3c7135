"""Artifacts of rollouts in the database, and rows that link rollouts to contents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from synth_pools.backend.domain.errors import rollout_not_found
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.statements import byte_length


class ContentRow(NamedTuple):
    """Content in a file, and the position of its artifact in the rollout's list."""

    position: int
    sha256: str
    size_bytes: int


def insert(tx: Transaction, rollout_seq: int, rows: Iterable[ContentRow]) -> None:
    """Store the rows that link a rollout to its contents."""
    tx.executemany(
        "INSERT INTO artifacts (rollout_seq, position, sha256, size_bytes) VALUES (?, ?, ?, ?)",
        [(rollout_seq, *row) for row in rows],
    )


def positions_with_content(db: Executes, rollout_seq: int) -> set[int]:
    """Return the positions of the artifacts whose files still exist."""
    rows = db.execute("SELECT position FROM artifacts WHERE rollout_seq = ?", (rollout_seq,))
    return {row["position"] for row in rows}


def text_sizes(db: Executes, rollout_seq: int) -> tuple[int, int]:
    """Return the sizes of a rollout's list of artifacts and of its result, without reading them."""
    sizes = ", ".join(map(byte_length, ("artifacts", "result")))
    sql = f"SELECT {sizes} FROM rollouts WHERE seq = ?"  # noqa: S608
    row = db.execute(sql, (rollout_seq,)).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def stored_text(db: Executes, rollout: Row, column: Literal["artifacts", "result"]) -> str:
    """Return a large field of a rollout as JSON text; raise 404 if the rollout is gone."""
    sql = f"SELECT {column} FROM rollouts WHERE seq = ?"  # noqa: S608
    row = db.execute(sql, (rollout["seq"],)).fetchone()
    if row is None:
        raise rollout_not_found(rollout["id"], None)
    return str(row[0])


def all_names(db: Executes) -> set[str]:
    """Return the names of all contents that rollouts have."""
    return {row["sha256"] for row in db.execute("SELECT DISTINCT sha256 FROM artifacts")}


def forget_of_rollouts(tx: Transaction, rollout_seqs: Sequence[int]) -> set[str]:
    """Delete the rows of deleted rollouts; return the names of their contents."""
    names: set[str] = set()
    for seq in rollout_seqs:
        rows = tx.execute("DELETE FROM artifacts WHERE rollout_seq = ? RETURNING sha256", (seq,))
        names.update(row["sha256"] for row in rows.fetchall())
    return names


def forget_oldest(tx: Transaction, most_bytes: int, limit: int) -> set[str]:
    """Delete the least recently used contents until the rest fits; return their names."""
    [total] = tx.execute(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT)"
        " FROM (SELECT MAX(size_bytes) AS size FROM artifacts GROUP BY sha256) AS contents"
    ).fetchone()
    names: set[str] = set()
    if total <= most_bytes:
        return names
    # Content is as old as the latest rollout that has it.
    for row in tx.execute(
        "SELECT sha256, size_bytes FROM (SELECT sha256, size_bytes, rollout_seq, position,"
        " ROW_NUMBER() OVER (PARTITION BY sha256 ORDER BY rollout_seq DESC, position) AS age"
        " FROM artifacts) AS contents WHERE age = 1 ORDER BY rollout_seq, position LIMIT ?",
        (limit,),
    ).fetchall():
        if total > most_bytes:
            tx.execute("DELETE FROM artifacts WHERE sha256 = ?", (row["sha256"],))
            names.add(row["sha256"])
            total -= row["size_bytes"]
    return names


def unnamed(db: Executes, names: Iterable[str]) -> set[str]:
    """Return those of these contents that no rollout has."""
    return {
        name
        for name in names
        if db.execute("SELECT 1 FROM artifacts WHERE sha256 = ? LIMIT 1", (name,)).fetchone()
        is None
    }
