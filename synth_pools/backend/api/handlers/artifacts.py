"""What a rollout left behind, listed and downloaded."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from typing import TypeVar

from synth_pools.backend.artifacts.listing import (
    Artifact,
    ResultContents,
    artifact_expired,
    artifacts_of,
    find_artifact,
    pieces,
)
from synth_pools.backend.artifacts.zip_stream import Entry, zip_pieces
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.rollouts import find_rollout

from ..content_responses import archive_reply, content_reply
from ..messages import Request, Response, reply
from ..support_bundle import make_bundle

T = TypeVar("T")

# From here on, taking a list apart would hold up everybody else for too long.
_LONG_LIST = 256 * 1024


async def get_rollout_artifacts(call: Request) -> Response:
    rollout, kept = _read(call)

    def make() -> Response:
        artifacts = artifacts_of(rollout, kept)
        items = [artifact.listed(call.base_url, rollout["id"]) for artifact in artifacts]
        return reply({"items": items, "next_cursor": None})

    return await _politely(rollout, make)


async def get_rollout_artifact(call: Request) -> Response:
    rollout, kept = _read(call)
    artifacts = await _politely(rollout, lambda: artifacts_of(rollout, kept))
    artifact = find_artifact(artifacts, call.path("artifact_path"))
    contents, results = call.services.contents, ResultContents(rollout)
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


async def get_rollout_artifacts_zip(call: Request) -> Response:
    rollout, kept = _read(call)
    contents, results = call.services.contents, ResultContents(rollout)

    def entries() -> Iterator[Entry]:
        for artifact in artifacts_of(rollout, kept):
            if not _is_missing(artifact):
                found = pieces(contents, results, artifact, 0, artifact.size)
                yield Entry(artifact.path, found, artifact.size)

    def _is_missing(artifact: Artifact) -> bool:
        return artifact.is_gone or (artifact.in_file and not contents.has(artifact.sha256))

    timestamp = rollout["finished_at"] or rollout["created_at"]
    return archive_reply(f"{rollout['id']}-artifacts.zip", zip_pieces(entries(), timestamp))


async def get_rollout_support_bundle(call: Request) -> Response:
    rollout, _ = _read(call)
    file, size = await make_bundle(call.services, rollout, call.base_url)
    return archive_reply(f"{rollout['id']}-support.zip", file, size)


def _read(call: Request) -> tuple[sqlite3.Row, set[int]]:
    """The rollout that the path names, and which of its contents are files that are there."""
    pool_id = call.parameters.get("pool_id")
    with call.services.database.reading() as db:
        if pool_id is not None:
            find_pool(db, pool_id)
        rollout = find_rollout(db, call.path("rollout_id"), pool_id)
        return rollout, artifact_rows.positions_with_content(db, rollout["seq"])


async def _politely(rollout: sqlite3.Row, make: Callable[[], T]) -> T:
    if len(rollout["artifacts"]) > _LONG_LIST:
        return await asyncio.to_thread(make)
    return make()
