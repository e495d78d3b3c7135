"""Contents of artifacts in a bucket of S3-compatible storage, which several backends may share.

Calls block for a limited time, and run in separate threads, so that nothing else waits for a thread
if the service hangs. An object is complete or missing, even if it was uploaded in several parts.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from synth_pools.backend.domain.content_places import BucketPlace
from synth_pools.backend.errors import ArtifactsError
from synth_pools.backend.storage.contents.store import (
    FOLDER,
    LOST_FOLDER,
    Content,
    ContentGoneError,
    ContentsUnavailableError,
    RemoteContents,
    in_parts,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# Key of the object that has the owner of these contents.
_OWNER_NAME = "owner"
_CONTENT = re.compile(rf"{FOLDER}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})")
_MOST_NAMES = 100

# Uploads of all rollouts at the same time: each has two parts in memory besides its content.
_WRITERS = 6
_READERS = 32
_PIECE_BYTES = 512 * 1024
# Smallest part that services accept.
_PART_BYTES = 5 * 1024 * 1024
_PARTS_AT_ONCE = 2

_CONNECT_SECONDS = 5
# Time limits of a read, for which a client waits, and of a write, which sends one part.
_READ_SECONDS = 8
_WRITE_SECONDS = 15
_RETRIES = 3
_RETRY_SECONDS = 5

_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_STATUS = re.compile(r"status code: ([0-9]{3})")
_METADATA = re.compile(r"/latest/api/token|169\.254\.")
_PLACE_CODES = frozenset({"NoSuchBucket", "InvalidBucketName"})
_REGION_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)


class BucketContents(RemoteContents):
    """Contents in a bucket. The methods may be called in any thread.

    Credentials and the region are read from the usual variables (AWS_ACCESS_KEY_ID and so on), or
    from this machine or container; expired credentials are renewed.

    Args:
        place: The bucket, and the common prefix of its keys.
        endpoint: The address of the service; None for Amazon S3.
    """

    piece_bytes = _PIECE_BYTES

    def __init__(self, place: BucketPlace, endpoint: str | None = None) -> None:
        super().__init__()
        self._place = place
        self._reads = _open(place, endpoint, _READ_SECONDS)
        self._writes = _open(place, endpoint, _WRITE_SECONDS)
        self.executor = ThreadPoolExecutor(_READERS, thread_name_prefix="synth-pools-artifacts")
        self.writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="synth-pools-uploads")

    def claim(self, owner: str) -> str:
        """Store the owner of these contents unless one is stored; return the stored owner.

        This checks that objects can be read, written and listed.

        Raises:
            ArtifactsError: An operation is not possible.
        """
        try:
            stored_owner = self._owner()
            if stored_owner in (None, owner):
                # Written at each start, to check that writing works.
                obstore.put(self._writes, _OWNER_NAME, f"{owner}\n".encode("ascii"))
                stored_owner = self._owner()
            next(iter(obstore.list(self._reads, FOLDER, chunk_size=1)), None)
        except (BaseError, OSError) as error:
            raise ArtifactsError(f"cannot use {self._place}: {_advice(error)}") from None
        return stored_owner or ""

    def remove(self, names: Collection[str]) -> None:
        old: list[str] = []
        try:
            for name in names:
                written_at = self._written_at(name)
                if written_at is not None and self._has_aged(written_at):
                    old.append(name)
                elif written_at is not None:
                    self._give_up([name], self.young_seconds)
            with self._lock:
                # A transaction is about to name held contents.
                free = [_key(name) for name in old if self._held[name] == 0]
            if free:
                obstore.delete(self._writes, free)
        except (BaseError, OSError) as error:
            # They are moved away later.
            _log.warning("artifacts cannot be removed: %s", _reason(error))

    def old_names(self) -> Iterator[list[str]]:
        pages = self._call(lambda: iter(obstore.list(self._reads, FOLDER, chunk_size=1000)))
        while True:
            entries = self._call(lambda: next(pages, None))
            if entries is None:
                return
            old = (entry["path"] for entry in entries if self._has_aged(entry["last_modified"]))
            names = [match[2] for path in old if (match := _CONTENT.fullmatch(path))]
            yield from in_parts(names, _MOST_NAMES)

    def put_away(self, names: Collection[str]) -> int:
        moved = 0
        for name in names:
            written_at = self._call(partial(self._written_at, name))
            with self._lock:
                is_held = self._held[name] > 0
            if written_at is not None and self._has_aged(written_at) and not is_held:
                with contextlib.suppress(FileNotFoundError):
                    # Another backend may be moving it too.
                    self._call(partial(self._move, name))
                    moved += 1
        return moved

    def _read(self, sha256: str, start: int, end: int) -> tuple[bytes, int]:
        def read() -> tuple[bytes, int]:
            response = obstore.get(self._reads, _key(sha256), options={"range": (start, end)})
            return bytes(response.bytes()), response.meta["size"]

        try:
            return self._call(read)
        except FileNotFoundError:
            raise ContentGoneError(sha256) from None
        except ContentsUnavailableError as error:
            self._complain(error.reason)
            raise

    def _write_all(self, contents: Sequence[Content]) -> None:
        for content in contents:
            # Existing content is written too, to become young again.
            self._call(partial(self._put, content))

    def ensure(self, contents: Sequence[Content]) -> None:
        for content in contents:
            if self._call(partial(self._written_at, content.sha256)) is None:
                self._write_all([content])

    def _put(self, content: Content) -> None:
        obstore.put(
            self._writes,
            _key(content.sha256),
            content.data,
            chunk_size=_PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

    def _move(self, name: str) -> None:
        obstore.copy(self._writes, _key(name), f"{LOST_FOLDER}/{name[:2]}/{name}")
        obstore.delete(self._writes, _key(name))

    def _owner(self) -> str | None:
        try:
            owner = bytes(obstore.get(self._reads, _OWNER_NAME).bytes())
        except FileNotFoundError as error:
            if _code(error) in _PLACE_CODES:
                raise
            return None
        return owner[:256].decode("ascii", "replace").strip()

    def _written_at(self, name: str) -> datetime | None:
        """Return the time of the last write of content; None if it does not exist."""
        try:
            return obstore.head(self._reads, _key(name))["last_modified"]
        except FileNotFoundError:
            return None

    def _has_aged(self, moment: datetime) -> bool:
        return self.unix_time() - moment.timestamp() >= self.young_seconds

    def _call(self, work: Callable[[], _T]) -> _T:
        """Return the result of a call; raise `FileNotFoundError` only for a missing object."""
        try:
            return work()
        except FileNotFoundError as error:
            if _code(error) not in _PLACE_CODES:
                raise
            raise ContentsUnavailableError(_reason(error)) from None
        except (BaseError, OSError) as error:
            raise ContentsUnavailableError(_reason(error)) from None


def _open(place: BucketPlace, endpoint: str | None, seconds: float) -> S3Store:
    limits: ClientConfig = {
        "allow_http": endpoint is not None and endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(seconds=seconds),
    }
    config: S3Config = {} if endpoint is None else {"aws_endpoint_url_s3": endpoint}
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=config,
            client_options=limits,
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
                "backoff": {"init_backoff": timedelta(milliseconds=100), "base": 2},
            },
        )
    except (BaseError, ValueError, OSError):
        # The error's own text may quote environment variables.
        raise ArtifactsError(
            f"cannot use {place}: a variable that begins with AWS_ has a value that is none"
        ) from None


def _key(sha256: str) -> str:
    return f"{FOLDER}/{sha256[:2]}/{sha256}"


def _code(error: Exception) -> str | None:
    match = _CODE.search(str(error))
    return None if match is None else match[1]


def _reason(error: Exception) -> str:
    """Return the cause in few words; the error's own text may hold keys and signatures."""
    text = str(error)
    if (code := _code(error)) is not None:
        return code
    if _METADATA.search(text):
        return "no credentials"
    if (status := _STATUS.search(text)) is not None:
        return f"HTTP {status[1]}"
    if "kind: Timeout" in text or "TimedOut" in text:
        return "no answer in time"
    if "kind: Connect" in text:
        return "it cannot be reached"
    return "the connection broke" if "HTTP error" in text else type(error).__name__


def _advice(error: Exception) -> str:
    """Return the cause of an error, with advice."""
    reason = _reason(error)
    if reason in _PLACE_CODES:
        return f"there is no such bucket ({reason}); make it, or give another one"
    if reason in _REGION_CODES:
        return f"the bucket is in another region ({reason}); set AWS_REGION"
    if reason == "no credentials":
        return "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return (
            f"access is refused ({reason}); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and "
            "that they may get, put, list and delete objects there"
        )
    return f"{reason}; check --artifacts-endpoint, and that the service is up"
