"""Opening of the folder or bucket with the contents of artifacts, by the settings."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.content_places import BucketPlace, endpoint_url
from synth_pools.backend.errors import ArtifactsError, DataDirError
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage.contents.folder import FolderContents
from synth_pools.backend.storage.contents.store import (
    CONTENTS_FILE,
    FOLDER,
    ID_FILE,
    ContentStore,
    in_parts,
)
from synth_pools.backend.storage.cursors import cursor_secret
from synth_pools.backend.storage.database import Database, Transaction
from synth_pools.backend.storage.private_files import noted
from synth_pools.backend.storage.statements import set_meta

if TYPE_CHECKING:
    from synth_pools.backend.storage.contents.bucket import BucketContents

# Most contents to check and put away in one transaction.
_MOST_SWEPT = 200
_DRIVER = "obstore"
_FOLDER_KEY = "folder of artifacts"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_WORD = re.compile("[A-Za-z0-9-]+")

_log = logging.getLogger(__name__)


async def open_contents(settings: Settings, database: Database) -> ContentStore:
    """Open the place of the contents.

    Args:
        settings: The settings; if they have no bucket, the contents are in a folder.
        database: The database whose rollouts have the contents.

    Returns:
        The contents, which the caller closes.

    Raises:
        ArtifactsError: The bucket cannot be used, or has the contents of another database.
        BadOptionError: The address in a variable is invalid.
        DataDirError: The data directory cannot be used, or its contents are in a bucket.
        StorageError: The database cannot be used.
    """
    data_dir, place = settings.data_dir, settings.artifacts
    if place is None:
        if (former_place := contents_place(data_dir)) is not None:
            raise DataDirError(_advice(data_dir, former_place, f"{data_dir}/{FOLDER}"))
        return await _open_folder(settings, database)
    owner = await database.read(lambda db: _owner(cursor_secret(db)))
    contents = await asyncio.to_thread(_claim, place, settings, owner, os.environ)
    contents.unix_time = database.unix_time
    return contents


async def _open_folder(settings: Settings, database: Database) -> FolderContents:
    """Open the folder of the contents; one that may not be mounted has a mark."""
    if settings.store is None and settings.artifacts_dir is None:
        return FolderContents(settings.contents_dir)
    mark = settings.contents_dir / ID_FILE
    identity = noted(mark, clock.token(16))
    expected = await database.write(partial(_claim_folder, identity))
    if expected != identity:
        raise DataDirError(
            f"{settings.contents_dir} is not the folder with the artifacts of this database: mount "
            f"it, give another --artifacts-dir, or write {expected} to {mark} if they were moved "
            "there, or are to be given up"
        )
    is_shared = settings.artifacts_dir is not None
    return FolderContents(settings.contents_dir, identity, is_shared=is_shared)


def _claim_folder(identity: str, tx: Transaction) -> str:
    """Return the identity of the folder that has contents of the database: this one if none."""
    row = tx.execute("SELECT value FROM meta WHERE key = ?", (_FOLDER_KEY,)).fetchone()
    if row is not None and row["value"] != identity:
        if tx.execute("SELECT 1 FROM artifacts LIMIT 1").fetchone():
            return str(row["value"])
        row = None
    if row is None:
        set_meta(tx, _FOLDER_KEY, identity)
    return identity


async def sweep_contents(contents: FolderContents, database: Database) -> None:
    """Put away the contents that a former run stored in a folder and that no rollout names.

    Raises:
        OSError: The folder cannot be read.
    """
    used = await database.read(artifact_rows.all_names)
    if used and not await asyncio.to_thread(contents.has_any):
        _log.warning("%s has no artifact of this database: is it mounted?", contents.folder)
    if not database.is_shared or database.is_new:
        await asyncio.to_thread(contents.sweep, used, is_new=database.is_new)
        return
    unnamed = await asyncio.to_thread(contents.unnamed, used, database.unix_time())
    for part in in_parts(unnamed, _MOST_SWEPT):
        await database.write(partial(_put_away, contents, part))


def _put_away(contents: FolderContents, names: list[str], tx: Transaction) -> None:
    # Called in a write, so that no other backend can name one of them meanwhile.
    contents.put_away(artifact_rows.unnamed(tx, names))


def contents_identity(settings: Settings) -> str | None:
    """Return the identity of the bucket that has the contents; None if a folder has them."""
    place = settings.artifacts
    return None if place is None else hashlib.sha256(f"{place}".encode()).hexdigest()[:32]


def _claim(
    place: BucketPlace, settings: Settings, owner: str, environment: Mapping[str, str]
) -> BucketContents:
    """Open a bucket, claim it for this database, and note it in the data directory."""
    data_dir = settings.data_dir
    former_place = contents_place(data_dir)
    if former_place is None and FolderContents(data_dir).has_any():
        raise ArtifactsError(
            f"{data_dir / FOLDER} has artifacts: copy it to {place}/{FOLDER} and move it away, or "
            "go on without --artifacts"
        )
    if former_place not in (None, str(place)):
        raise ArtifactsError(_advice(data_dir, former_place, f"{place}/{FOLDER}"))
    contents = _open_bucket(place, settings.artifacts_endpoint, environment)
    with contextlib.ExitStack() as undo:
        undo.callback(contents.close)
        if contents.claim(owner) != owner:
            raise ArtifactsError(
                f"{place} has the artifacts of another database: give another prefix"
            )
        noted(data_dir / CONTENTS_FILE, str(place))
        undo.pop_all()
    return contents


def _open_bucket(
    place: BucketPlace, endpoint: str | None, environment: Mapping[str, str]
) -> BucketContents:
    try:
        # Needs an extra, so it is imported only for a bucket.
        from synth_pools.backend.storage.contents.bucket import BucketContents
    except ModuleNotFoundError as error:
        if error.name != _DRIVER:
            raise
        raise ArtifactsError(
            f"artifacts in {place} need {_DRIVER}: pip install 'synth-pools[local,s3]'"
        ) from None
    for name in _ENDPOINTS:
        if endpoint is None and environment.get(name):
            endpoint = endpoint_url(name, environment[name])
    for name in (*_REGIONS, *_CREDENTIALS):
        value = environment.get(name)
        is_word = _WORD.fullmatch if name in _REGIONS else _is_plain
        if value and not is_word(value):
            # The message does not repeat the text, which may hold a secret.
            raise ArtifactsError(
                f"cannot use {place}: the variable {name} has a value that cannot be right"
            )
    return BucketContents(place, endpoint)


def _advice(data_dir: Path, former_place: str | None, target: str) -> str:
    return (
        f"the artifacts of {data_dir} are in {former_place}: give --artifacts {former_place}, or "
        f"copy {former_place}/{FOLDER} to {target} and remove {data_dir / CONTENTS_FILE}"
    )


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def contents_place(data_dir: Path) -> str | None:
    """Return the bucket with the contents of a data directory; None if the directory has them.

    Raises:
        DataDirError: The note cannot be read.
    """
    note = data_dir / CONTENTS_FILE
    try:
        return note.read_text(encoding="utf-8", errors="replace").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataDirError(f"cannot read {note}: {error.strerror}") from error


def _owner(secret: str) -> str:
    """Return the name that identifies a database in its bucket, without revealing its address."""
    return hashlib.sha256(f"contents of {secret}".encode()).hexdigest()[:32]
