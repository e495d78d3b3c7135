"""Handlers of artifacts: lists, downloads, archives and support bundles."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

from synth_pools.backend.api.content_responses import archive_response, content_response
from synth_pools.backend.api.handlers.rollouts import read_rollout
from synth_pools.backend.api.pagination import list_document, read_sized, read_with_room
from synth_pools.backend.api.requests import Request
from synth_pools.backend.api.responses import PIECE_BYTES, JSONResponse, Response
from synth_pools.backend.api.support_bundle import make_bundle
from synth_pools.backend.artifacts.listing import (
    Artifact,
    Download,
    artifact_expired,
    contents_in_result,
    find_artifact,
    find_trajectory,
    stored_artifacts,
)
from synth_pools.backend.artifacts.zip_stream import Entry, zip_pieces
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import invalid
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage.contents.store import ContentGoneError, in_executor
from synth_pools.backend.storage.database import Row, Snapshot
from synth_pools.trajectories.rules import selected, step_range

# Pieces of content in memory while it is sent: one just read, and one in transit.
_PIECES = 2
# Further bytes in memory for an archive: a compressor and its output.
_ARCHIVE_BYTES = 384 * 1024


async def get_rollout_artifacts(request: Request) -> Response:
    rollout, list_bytes, _ = await _find_rollout(request)

    def load(db: Snapshot) -> str:
        artifacts = _read_artifacts(db, rollout)
        items = [artifact.listed(request.base_url, rollout["id"]) for artifact in artifacts]
        return json_text.dumps(list_document(request, "artifacts", items))

    # The response has most of the list twice, under two names.
    return await read_sized(request, 2 * list_bytes, load)


async def get_rollout_artifact(request: Request) -> Response:
    path = request.path("artifact_path")
    _, [download], reserved = await _open(
        request,
        lambda artifacts: [find_artifact(artifacts, path)],
        _PIECES * request.services.contents.piece_bytes,
    )
    contents = request.services.contents

    def opened_pieces(start: int, end: int) -> Iterator[bytes]:
        pieces = download.pieces(contents, start, end)
        return itertools.chain([next(pieces, b"")], pieces)

    try:
        return await in_executor(
            contents.executor,
            content_response,
            request.parameters,
            download.sha256,
            download.size,
            download.path.rpartition("/")[2],
            opened_pieces,
            reserved,
            contents.executor,
        )
    except ContentGoneError:
        # Retention, or a person, has removed it since it was looked up.
        raise artifact_expired(download.path) from None


async def get_rollout_trajectory(request: Request) -> Response:
    services, step = request.services, request.parameters.get("step")
    contents = services.contents
    try:
        start, end = step_range(step or "1..")
    except ValueError as error:
        fault = {"loc": ["query", "step"], "msg": str(error), "type": "value_error"}
        raise invalid([fault]) from None
    _, [download], reserved = await _open(
        request,
        lambda artifacts: [find_trajectory(artifacts)],
        services.settings.max_artifact_bytes,
    )
    try:
        body = await in_executor(
            contents.executor, lambda: b"".join(download.pieces(contents, 0, download.size))
        )
    except ContentGoneError:
        # As above.
        raise artifact_expired(download.path) from None
    if step is not None and len(body) > json_text.LARGE:
        body = await services.workers.run(_some_steps, body, start, end)
    elif step is not None:
        body = _some_steps(body, start, end)
    return JSONResponse(200, body, reserved=reserved)


def _some_steps(body: bytes, start: int, end: int | None) -> bytes:
    return json_text.dumps(selected(json_text.loads(body), start, end)).encode("ascii")


async def get_rollout_artifacts_zip(request: Request) -> Response:
    contents = request.services.contents
    rollout, downloads, reserved = await _open(
        request,
        lambda artifacts: [artifact for artifact in artifacts if not artifact.is_gone],
        _ARCHIVE_BYTES + _PIECES * contents.piece_bytes,
    )

    def entries() -> Iterator[Entry]:
        for download in downloads:
            pieces = download.pieces(contents, 0, download.size)
            with contextlib.suppress(ContentGoneError):
                first = next(pieces, b"")
                yield Entry(download.path, itertools.chain([first], pieces), download.size)

    def opened_pieces() -> Iterator[bytes]:
        chunks = entries()
        # The first chunk is read before the response begins, while 503 can still be sent.
        return zip_pieces(itertools.chain(list(itertools.islice(chunks, 1)), chunks), timestamp)

    timestamp = rollout["finished_at"] or rollout["created_at"]
    name = f"{rollout['id']}-artifacts.zip"
    pieces = await in_executor(contents.executor, opened_pieces)
    return archive_response(name, pieces, reserved=reserved, executor=contents.executor)


async def get_rollout_support_bundle(request: Request) -> Response:
    rollout, _, _ = await _find_rollout(request)
    pieces, size, reserved = await make_bundle(request, rollout["id"])
    return archive_response(f"{rollout['id']}-support.zip", pieces, size, reserved)


async def _find_rollout(request: Request) -> tuple[Row, int, int]:
    """Find the rollout of the path, and the bytes of its artifacts' list and its result."""
    return await read_rollout(
        request, lambda db, rollout: (rollout, *artifact_rows.text_sizes(db, rollout["seq"]))
    )


async def _open(
    request: Request, choose: Callable[[list[Artifact]], list[Artifact]], most_bytes: int
) -> tuple[Row, list[Download], Reservation | None]:
    """Read the artifacts that a request selects.

    Args:
        request: The request.
        choose: Selects from the rollout's artifacts.
        most_bytes: The largest size of their contents in memory while they are sent.

    Returns:
        The rollout, the artifacts, and the memory reserved for their contents if they are large.

    Raises:
        ApiError: There is no rollout, no artifact or no room.
    """
    services = request.services
    rollout, list_bytes, result_bytes = await _find_rollout(request)
    selected, reserved = await read_with_room(
        request, list_bytes, lambda db: choose(_read_artifacts(db, rollout))
    )
    keys = [(artifact.position, artifact.sha256) for artifact in selected if not artifact.in_file]
    contents: list[bytes] = []
    if keys:
        if reserved is not None:
            # Waiting for room while holding room could deadlock.
            reserved.release()
        text, reserved = await read_with_room(
            request,
            list_bytes + result_bytes,
            lambda db: artifact_rows.stored_text(db, rollout, "result"),
        )
        if len(text) > json_text.LARGE:
            contents = await services.workers.run(contents_in_result, text, keys)
        else:
            contents = contents_in_result(text, keys)
        del text
    data = iter(contents)
    downloads = [
        Download(
            artifact.path, artifact.sha256, artifact.size, None if artifact.in_file else next(data)
        )
        for artifact in selected
    ]
    size = sum(artifact.held_bytes for artifact in downloads)
    size += min(sum(artifact.size for artifact in downloads), most_bytes)
    if reserved is not None and reserved.size >= size:
        reserved.shrink(size)
    else:
        if reserved is not None:
            reserved.release()
        reserved = await services.room_to_send(size) if size > PIECE_BYTES else None
    return rollout, downloads, reserved


def _read_artifacts(db: Snapshot, rollout: Row) -> list[Artifact]:
    positions = artifact_rows.positions_with_content(db, rollout["seq"])
    return stored_artifacts(artifact_rows.stored_text(db, rollout, "artifacts"), positions)
