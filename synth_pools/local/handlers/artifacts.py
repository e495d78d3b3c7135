"""What a rollout left behind, listed and downloaded."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from ..artifacts.archive import Entry, zip_pieces
from ..artifacts.serving import archive_reply, content_reply
from ..artifacts.stored import (
    Artifact,
    ResultContents,
    artifact_expired,
    find_artifact,
    pieces,
    read_artifacts,
)
from ..artifacts.support_bundle import make_bundle
from ..calls import Call, Reply, reply
from ..pool_rows import find_pool
from ..rollout_rows import find_rollout


async def get_rollout_artifacts(call: Call) -> Reply:
    with _found(call) as (db, rollout):
        artifacts = read_artifacts(db, rollout)
    items = [artifact.listed(call.base_url, rollout["id"]) for artifact in artifacts]
    return reply({"items": items, "next_cursor": None})


async def get_rollout_artifact(call: Call) -> Reply:
    with _found(call) as (db, rollout):
        artifact = find_artifact(db, rollout, call.path("artifact_path"))
    contents, results = call.backend.contents, ResultContents(rollout)
    if artifact.in_file and not contents.has(artifact.sha256):
        # Removed by retention since it was looked up, or by somebody's hand.
        raise artifact_expired(artifact.path)
    return content_reply(
        call.parameters,
        artifact.sha256,
        artifact.size,
        artifact.path.rpartition("/")[2],
        lambda start, end: pieces(contents, results, artifact, start, end),
    )


async def get_rollout_artifacts_zip(call: Call) -> Reply:
    with _found(call) as (db, rollout):
        artifacts = read_artifacts(db, rollout)
    contents, results = call.backend.contents, ResultContents(rollout)

    def entries() -> Iterator[Entry]:
        for artifact in artifacts:
            if not _is_missing(artifact):
                found = pieces(contents, results, artifact, 0, artifact.size)
                yield Entry(artifact.path, found, artifact.size)

    def _is_missing(artifact: Artifact) -> bool:
        return artifact.is_gone or (artifact.in_file and not contents.has(artifact.sha256))

    timestamp = rollout["finished_at"] or rollout["created_at"]
    return archive_reply(f"{rollout['id']}-artifacts.zip", zip_pieces(entries(), timestamp))


async def get_rollout_support_bundle(call: Call) -> Reply:
    with _found(call) as (_, rollout):
        pass
    file, size = await make_bundle(call.backend, rollout, call.base_url)
    return archive_reply(f"{rollout['id']}-support.zip", file, size)


@contextlib.contextmanager
def _found(call: Call) -> Iterator[tuple[sqlite3.Connection, sqlite3.Row]]:
    """The rollout that the path names, under its pool where the path names one."""
    pool_id = call.parameters.get("pool_id")
    with call.backend.store.reading() as db:
        if pool_id is not None:
            find_pool(db, pool_id)
        yield db, find_rollout(db, call.path("rollout_id"), pool_id)
