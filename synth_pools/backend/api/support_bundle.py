"""Support bundles: one archive with all that is known of a rollout, secrets redacted."""

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
from itertools import chain
from typing import IO, Any

from synth_pools._version import __version__

from ..api_keys import read_keys_file
from ..artifacts.listing import stored_artifacts
from ..artifacts.redaction import MASK, Redactor, names_secret
from ..domain.errors import ApiError, storage_unavailable
from ..errors import BadOptionError
from ..services import Services
from ..storage import artifacts as artifact_rows
from ..storage import events
from ..storage.database import Row
from ..storage.events import Event
from ..storage.pools import find_pool, find_task, task_document, task_documents
from ..storage.rollouts import rollout_document, usage_document
from ..storage.schema import SQLITE_VERSION, VERSION

_log = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 128 * 1024
_EVENTS_AT_ONCE = 200

_PACKAGES = ("starlette", "uvicorn", "h11", "httpx", "jsonschema-rs", "synth-containers")

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
    services: Services, rollout: Row, base_url: str
) -> tuple[Iterator[bytes], int]:
    """Make the bundle of a rollout, whole, before its first byte is sent.

    Args:
        services: The parts of the backend.
        rollout: The rollout's row.
        base_url: The URL under which the client reached the backend.

    Returns:
        The archive in pieces, and its size in bytes.

    Raises:
        ApiError: 503 if it cannot be written to the temporary folder.
    """
    documents = _documents(services, rollout, base_url)
    secrets = chain(_own_secrets(services), _process_secrets(documents["pool.json"]()))
    redactor = Redactor(secrets)
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - sent later
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            await asyncio.to_thread(_write_documents, archive, rollout["id"], documents, redactor)
            with archive.open("events.jsonl", "w", force_zip64=True) as lines:
                position = 0
                while events := _events(services, rollout, position):
                    await asyncio.to_thread(_write_events, lines, events, redactor)
                    position = events[-1].sequence
        return _pieces(file), file.tell()
    except OSError as error:
        _drop(file)
        _log.error("a support bundle cannot be made: %s", error.strerror)
        raise storage_unavailable(f"cannot write a temporary file ({error.strerror})") from error
    except BaseException:
        _drop(file)
        raise


def _documents(services: Services, rollout: Row, base_url: str) -> dict[str, Callable[[], Any]]:
    """Read what the bundle holds; each document is built later, in another thread."""
    with services.database.reading() as db:
        pool = find_pool(db, rollout["pool_id"])
        pool_document = pool.document(task_documents(db, pool))
        task: dict[str, Any] | None = None
        if rollout["task_id"] is not None:
            with contextlib.suppress(ApiError):
                task = task_document(find_task(db, pool.id, rollout["task_id"]), pool)
        kept = artifact_rows.positions_with_content(db, rollout["seq"])
    return {
        "rollout.json": lambda: _rollout_alone(rollout),
        "request.json": lambda: json.loads(rollout["request"]),
        "container_answer.json": lambda: json.loads(rollout["result"]),
        "usage.json": lambda: usage_document(rollout),
        "artifacts.json": lambda: [
            artifact.listed(base_url, rollout["id"]) for artifact in stored_artifacts(rollout, kept)
        ],
        "pool.json": lambda: pool_document,
        "task.json": lambda: task,
        "versions.json": lambda: _versions(services),
    }


def _rollout_alone(rollout: Row) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(rollout_document(rollout))
    for in_a_file_of_its_own in ("request", "result"):
        document.pop(in_a_file_of_its_own, None)
    return document


def _versions(services: Services) -> dict[str, Any]:
    packages = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "synth_pools": __version__,
        "openapi": services.contract.version,
        "database": VERSION,
        "sqlite": SQLITE_VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
    }


def _own_secrets(services: Services) -> Iterator[str]:
    """Give every secret that this backend was started with."""
    settings = services.settings
    yield settings.api_key.reveal()
    if settings.api_keys_file is not None:
        with contextlib.suppress(BadOptionError):
            yield from (key.reveal() for key in read_keys_file(settings.api_keys_file).values())
    named = settings.container_key_envs
    yield from (value for name, value in os.environ.items() if names_secret(name) or name in named)


def _process_secrets(pool: dict[str, Any]) -> Iterator[str]:
    """Give the variables of a pool's processes, which these may have written somewhere."""
    process = pool["config"].get("process")
    env = process.get("env") if isinstance(process, dict) else None
    if isinstance(env, dict):
        yield from (value for value in env.values() if isinstance(value, str))


def _write_documents(
    archive: zipfile.ZipFile,
    rollout_id: str,
    documents: dict[str, Callable[[], Any]],
    redactor: Redactor,
) -> None:
    archive.writestr("README.txt", _README.format(rollout_id=rollout_id))
    for name, make in documents.items():
        # ASCII, because a lone surrogate is a character of JSON too.
        text = json.dumps(redactor.document(make()), indent=2)
        archive.writestr(name, f"{text}\n")


def _events(services: Services, rollout: Row, position: int) -> Sequence[Event]:
    with services.database.reading() as db:
        return events.read_after(db, rollout, position, _EVENTS_AT_ONCE)


def _write_events(lines: IO[bytes], events: Sequence[Event], redactor: Redactor) -> None:
    for event in events:
        line = json.dumps(redactor.document(json.loads(event.envelope())))
        lines.write(f"{line}\n".encode("ascii"))


def _drop(file: IO[bytes]) -> None:
    # Closing writes what is not written yet, and the disk may be full.
    with contextlib.suppress(OSError):
        file.close()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece
