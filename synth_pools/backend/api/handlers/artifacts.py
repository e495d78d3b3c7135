"""Handlers of artifacts: lists, downloads, archives and support bundles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

from synth_pools.backend.artifacts.listing import (
    Artifact,
    ResultContents,
    artifact_expired,
    content_pieces,
    find_artifact,
    stored_artifacts,
)
from synth_pools.backend.artifacts.zip_stream import Entry, zip_pieces
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage.database import Row
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.rollouts import find_rollout

from ..content_responses import archive_response, content_response
from ..messages import Request, Response
from ..pagination import whole_list
from ..support_bundle import make_bundle

T = TypeVar("T")

# Parsing a longer list would hold up other requests.
_LARGE_LIST_CHARACTERS = 256 * 1024


async def get_rollout_artifacts(request: Request) -> Response:
    rollout, kept = _read_rollout(request)

    def make() -> Response:
        artifacts = stored_artifacts(rollout, kept)
        items = [artifact.listed(request.base_url, rollout["id"]) for artifact in artifacts]
        return whole_list(request, "artifacts", items)

    return await _in_thread_if_large(rollout, make)


async def get_rollout_artifact(request: Request) -> Response:
    rollout, kept = _read_rollout(request)
    artifacts = await _in_thread_if_large(rollout, lambda: stored_artifacts(rollout, kept))
    artifact = find_artifact(artifacts, request.path("artifact_path"))
    contents, results = request.services.contents, ResultContents(rollout)
    if artifact.in_file and not contents.has(artifact.sha256):
        # Removed by retention since it was looked up, or by somebody's hand.
        raise artifact_expired(artifact.path)
    return content_response(
        request.parameters,
        artifact.sha256,
        artifact.size,
        artifact.path.rpartition("/")[2],
        lambda start, end: content_pieces(contents, results, artifact, start, end),
    )


async def get_rollout_artifacts_zip(request: Request) -> Response:
    rollout, kept = _read_rollout(request)
    contents, results = request.services.contents, ResultContents(rollout)

    def entries() -> Iterator[Entry]:
        for artifact in stored_artifacts(rollout, kept):
            if not _has_no_content(artifact):
                found = content_pieces(contents, results, artifact, 0, artifact.size)
                yield Entry(artifact.path, found, artifact.size)

    def _has_no_content(artifact: Artifact) -> bool:
        return artifact.is_gone or (artifact.in_file and not contents.has(artifact.sha256))

    timestamp = rollout["finished_at"] or rollout["created_at"]
    return archive_response(f"{rollout['id']}-artifacts.zip", zip_pieces(entries(), timestamp))


async def get_rollout_support_bundle(request: Request) -> Response:
    rollout, _ = _read_rollout(request)
    file, size = await make_bundle(request.services, rollout, request.base_url)
    return archive_response(f"{rollout['id']}-support.zip", file, size)


def _read_rollout(request: Request) -> tuple[Row, set[int]]:
    """Read the rollout that the path names, and the positions of its artifacts that are files."""
    pool_id = request.parameters.get("pool_id")
    with request.services.database.reading() as db:
        if pool_id is not None:
            find_pool(db, pool_id)
        rollout = find_rollout(db, request.path("rollout_id"), pool_id)
        return rollout, artifact_rows.positions_with_content(db, rollout["seq"])


async def _in_thread_if_large(rollout: Row, make: Callable[[], T]) -> T:
    if len(rollout["artifacts"]) > _LARGE_LIST_CHARACTERS:
        return await asyncio.to_thread(make)
    return make()
