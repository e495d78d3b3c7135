"""Support bundles: one archive of everything stored about a rollout, secrets redacted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any

from synth_pools._version import __version__
from synth_pools.backend.api.requests import Request
from synth_pools.backend.artifacts.listing import stored_artifacts
from synth_pools.backend.artifacts.redaction import MASK, Redactor, names_secret
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError, StorageUnavailableError
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.resources.workers import Workers
from synth_pools.backend.services import Services
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage import events
from synth_pools.backend.storage.database import Row, Snapshot
from synth_pools.backend.storage.events import Event
from synth_pools.backend.storage.pools import (
    find_pool,
    find_task,
    size_of_pool,
    task_document,
    task_documents,
)
from synth_pools.backend.storage.rollout_documents import rollout_document, usage_document
from synth_pools.backend.storage.rollouts import find_head, find_rollout, size_of

_log = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 128 * 1024
# Events in memory at once, each of at most `max_event_bytes`.
_EVENTS_AT_ONCE = 16
# Longest document, in characters, that is indented.
_SHORT = 64 * 1024

_PACKAGES = ("starlette", "uvicorn", "httptools", "httpx", "jsonschema-rs", "synth-containers")

_README = f"""What is known of the rollout {{rollout_id}}, for whoever looks into what happened.

rollout.json           its state, error, metrics and times
request.json           what was asked for
container_answer.json  what its container answered; null where it did not
events.jsonl           its events, one a line, in their order
usage.json             what it used
artifacts.json         what it left behind, described; the contents are not here
pool.json              its pool as it is now, with the pool's tasks
task.json              its task as it is now; null where it has none any more
versions.json          the versions of what ran it

{MASK} stands for what may be a secret: everything under names such as api_key, token, secret,
password or authorization, the environment of processes, the user and the query of every URL, and
what has the form of a key. Nobody can know every secret: read it before you pass it on.
"""


async def make_bundle(
    request: Request, rollout_id: str
) -> tuple[Iterator[bytes], int, Reservation]:
    """Make the complete bundle of a rollout before its first byte is sent.

    Args:
        request: The request.
        rollout_id: The rollout.

    Returns:
        The archive in pieces, its size in bytes, and the memory reserved for it.

    Raises:
        ApiError: 503 if there is no room for it, or it cannot be written to the temporary folder.
    """
    services = request.services
    rollout, size = await services.database.read(lambda db: _measure(db, rollout_id))
    reserved = await services.room_to_send(size + _IN_MEMORY_BYTES)
    documents, secrets = await services.database.read_apart(
        lambda db: _read_documents(db, services, rollout_id, request.base_url)
    )
    redactor = Redactor(secrets)
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - sent later
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", _README.format(rollout_id=rollout_id))
            for name, make in documents.items():
                bundle = await asyncio.to_thread(make)
                text = await _redacted(services.redaction_workers, bundle, secrets)
                await asyncio.to_thread(archive.writestr, name, text)
            with archive.open("events.jsonl", "w", force_zip64=True) as lines:
                position = 0
                while events := await _events(services, rollout, position):
                    await asyncio.to_thread(_write_events, lines, events, redactor)
                    position = events[-1].sequence
        reserved.shrink(min(file.tell(), _IN_MEMORY_BYTES))
        return _pieces(file), file.tell(), reserved
    except OSError as error:
        _drop(file)
        _log.error("a support bundle cannot be made: %s", error.strerror)
        raise StorageUnavailableError("its temporary folder", str(error.strerror)) from error
    except BaseException:
        _drop(file)
        raise


async def _redacted(workers: Workers, text: str, secrets: Sequence[str]) -> str:
    """Redact a document; a large one, which may take many seconds, in another process."""
    if len(text) > json_text.LARGE:
        return await workers.run(redacted_text, text, secrets)
    return await asyncio.to_thread(redacted_text, text, secrets)


def redacted_text(text: str, secrets: Sequence[str]) -> str:
    """Redact a document.

    Args:
        text: The document as JSON text.
        secrets: Texts that are masked wherever they appear.

    Returns:
        The redacted JSON text, indented for human readers if it is short.
    """
    document = Redactor(secrets).document(json.loads(text))
    # Indentation makes a document of a hundred levels up to a hundred times as long.
    indent = 2 if len(text) <= _SHORT else None
    # ASCII, because UTF-8 cannot encode a lone surrogate.
    return f"{json.dumps(document, indent=indent)}\n"


def _measure(db: Snapshot, rollout_id: str) -> tuple[Row, int]:
    """Return a rollout without its large fields, and the number of bytes to be read."""
    rollout = find_head(db, rollout_id)
    sizes = (
        size_of(db, rollout_id),
        artifact_rows.text_sizes(db, rollout["seq"])[0],
        size_of_pool(db, rollout["pool_id"]),
    )
    return rollout, sum(sizes)


def _read_documents(
    db: Snapshot, services: Services, rollout_id: str, base_url: str
) -> tuple[dict[str, Callable[[], str]], list[str]]:
    """Read the parts of the bundle.

    Returns:
        A maker of the JSON text of each document, and the known secrets.
    """
    rollout = find_rollout(db, rollout_id)
    pool = find_pool(db, rollout["pool_id"])
    pool_document = pool.document(task_documents(db, pool))
    task: dict[str, Any] | None = None
    if rollout["task_id"] is not None:
        with contextlib.suppress(ApiError):
            task = task_document(find_task(db, pool.id, rollout["task_id"]), pool)
    positions = artifact_rows.positions_with_content(db, rollout["seq"])

    def artifacts() -> str:
        stored = stored_artifacts(rollout["artifacts"], positions)
        return json_text.dumps([artifact.listed(base_url, rollout["id"]) for artifact in stored])

    documents: dict[str, Callable[[], str]] = {
        "rollout.json": lambda: _rollout_alone(rollout),
        "request.json": lambda: str(rollout["request"]),
        "container_answer.json": lambda: str(rollout["result"]),
        "usage.json": lambda: json_text.dumps(usage_document(rollout, services.database.now())),
        "artifacts.json": artifacts,
        "pool.json": lambda: json_text.dumps(pool_document),
        "task.json": lambda: json_text.dumps(task),
        "versions.json": lambda: json_text.dumps(_versions(services)),
    }
    return documents, [*_own_secrets(services), *_process_secrets(pool_document)]


def _rollout_alone(rollout: Row) -> str:
    """Return a rollout as JSON text, without the parts that have their own files."""
    fields = {name: rollout[name] for name in rollout.keys()}  # noqa: SIM118 - a row is no mapping
    document = json.loads(rollout_document({**fields, "request": "null", "result": "null"}))
    del document["request"], document["result"]
    return json_text.dumps(document)


def _versions(services: Services) -> dict[str, Any]:
    packages = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "synth_pools": __version__,
        "openapi": services.contract.version,
        **services.database.versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
    }


def _own_secrets(services: Services) -> Iterator[str]:
    """Yield every secret that this backend was started with."""
    settings = services.settings
    yield from services.keys.secrets()
    for store in filter(None, (settings.store, settings.query_store)):
        yield from store.secrets
    key_envs = {*settings.container_key_envs, *settings.process_envs}
    yield from (
        value for name, value in os.environ.items() if names_secret(name) or name in key_envs
    )


def _process_secrets(pool: dict[str, Any]) -> Iterator[str]:
    """Yield the environment values of a pool's processes, which may have written them anywhere."""
    for start in ("process", "image"):
        fields = pool["config"].get(start)
        env = fields.get("env") if isinstance(fields, dict) else None
        if isinstance(env, dict):
            yield from (value for value in env.values() if isinstance(value, str))


async def _events(services: Services, rollout: Row, position: int) -> Sequence[Event]:
    return await services.database.read(
        lambda db: events.read_after(db, rollout, position, _EVENTS_AT_ONCE)
    )


def _write_events(lines: IO[bytes], events: Sequence[Event], redactor: Redactor) -> None:
    for event in events:
        line = json.dumps(redactor.document(json.loads(event.envelope())))
        lines.write(f"{line}\n".encode("ascii"))


def _drop(file: IO[bytes]) -> None:
    # Closing flushes the file, and the disk may be full.
    with contextlib.suppress(OSError):
        file.close()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece
