"""Places of contents of artifacts, into which tests can also look."""

from __future__ import annotations

import abc
from pathlib import Path

import obstore
from obstore.store import S3Store

from synth_pools.backend.domain.content_places import BucketPlace
from synth_pools.backend.storage.contents.bucket import BucketContents
from synth_pools.backend.storage.contents.folder import FolderContents, content_file
from synth_pools.backend.storage.contents.store import FOLDER, ContentStore
from tests.support.s3_server import BUCKET, REGION, S3Server


class ContentPlace(abc.ABC):
    """A place of contents that several may open."""

    @abc.abstractmethod
    def open(self) -> ContentStore:
        """Open it, as another backend would."""

    @abc.abstractmethod
    def names(self, folder: str = FOLDER) -> list[str]:
        """List the names of all contents."""

    @abc.abstractmethod
    def spoil(self, sha256: str, data: bytes) -> None:
        """Put something else in the place of a content."""


class FolderPlace(ContentPlace):
    """A folder, of one backend or of several."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def open(self) -> FolderContents:
        return FolderContents(self.base)

    def names(self, folder: str = FOLDER) -> list[str]:
        return sorted(path.name for path in (self.base / folder).rglob("*") if path.is_file())

    def spoil(self, sha256: str, data: bytes) -> None:
        path = content_file(self.base, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class BucketOfTests(ContentPlace):
    """A part of the bucket of a server: the keys that begin with a prefix of its own."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self.place = BucketPlace(BUCKET, prefix)
        self._server = server
        key, secret = server.writer
        self._store = S3Store(
            BUCKET,
            prefix=prefix,
            endpoint=server.url,
            region=REGION,
            access_key_id=key,
            secret_access_key=secret,
            client_options={"allow_http": True},
        )

    def open(self) -> BucketContents:
        return BucketContents(self.place, self._server.url)

    def names(self, folder: str = FOLDER) -> list[str]:
        listed = obstore.list(self._store, folder).collect()
        return sorted(item["path"].rpartition("/")[2] for item in listed)

    def spoil(self, sha256: str, data: bytes) -> None:
        obstore.put(self._store, f"{FOLDER}/{sha256[:2]}/{sha256}", data)
