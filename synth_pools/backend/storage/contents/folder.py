"""Contents of artifacts in a folder of the data directory, or one that several backends share.

Several backends may write the same content: each file gets a unique name first, and is flushed to
disk before it is renamed to the hash of its content.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.contents.store import (
    FOLDER,
    ID_FILE,
    LOST_FOLDER,
    Content,
    ContentGoneError,
    ContentStore,
    ContentsUnavailableError,
)
from synth_pools.backend.storage.private_files import (
    create_file,
    flush_folder,
    make_folder,
    restrict,
)

_log = logging.getLogger(__name__)

_SHARD = re.compile(r"[0-9a-f]{2}")
_CONTENT = re.compile(r"[0-9a-f]{64}")
_DRAFT = re.compile(r"draft-[0-9a-f]{32}")
# Age from which a draft in a shared folder must be the remains of a backend that has ended.
_DRAFT_SECONDS = 3600.0


class FolderContents(ContentStore):
    """Contents in a folder. The methods may be called in any thread.

    Args:
        base: The folder that has the folder of contents.
        identity: The text of its mark, which the database knows; None if it has no mark.
        is_shared: True for a folder on a file system that may number its folders differently later.

    Attributes:
        folder: The folder of contents.
    """

    def __init__(self, base: Path, identity: str | None = None, *, is_shared: bool = False) -> None:
        super().__init__()
        self._base = base
        self._identity = identity
        self._is_shared = is_shared
        self.folder = base / FOLDER
        # Number of the folder once it exists: another one was mounted or made in its place.
        self._number: int | None = None
        self._total = 0

    @property
    def total_bytes(self) -> int:
        """Size of all contents; only for a folder that is not shared."""
        return self._total

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            path = self._path(name)
            try:
                with self._lock, contextlib.suppress(FileNotFoundError):
                    if self._held[name] == 0:
                        size = path.stat().st_size
                        path.unlink()
                        self._total -= size
            except OSError as error:
                # The next start moves it away.
                _log.warning("an artifact cannot be removed: %s", error.strerror)

    def sweep(self, used: Collection[str], *, is_new: bool = False) -> None:
        """Move unused contents to a separate folder, and remove drafts, before rollouts run.

        Args:
            used: The contents that rollouts have.
            is_new: True if the database was created at this start, and so has no rows of the
                contents: then none is moved.

        Raises:
            DataDirError: The folder of artifacts is a file.
            OSError: The folder cannot be read.
        """
        total = moved = stuck = 0
        for path in self._files():
            if path.name in used:
                restrict(path)
                total += path.stat().st_size
            elif is_new:
                stuck += 1
            else:
                try:
                    moved += self._put_away(path)
                except OSError:
                    stuck += 1
        self._total = total
        number = moved + stuck
        summary = f"{number} artifact{'' if number == 1 else 's'} that no rollout has"
        lost = self._base / LOST_FOLDER
        if is_new and stuck:
            _log.warning("left %s in %s: the database is new", summary, self.folder)
        elif stuck:
            _log.warning("of %s %d could not be moved to %s", summary, stuck, lost)
        elif moved:
            _log.warning("moved %s to %s", summary, lost)

    def has_any(self) -> bool:
        """Return True if there is any content."""
        return any(_CONTENT.fullmatch(path.name) for path in self._files())

    def ensure(self, contents: Sequence[Content]) -> None:
        """Write contents again that another backend has removed from a shared folder.

        Call it while nobody can remove any, before a transaction names them.
        """
        for content in contents:
            if not self._path(content.sha256).is_file():
                self._write_all([content])

    def unnamed(self, used: Collection[str], now: float) -> list[str]:
        """Return the names of unused contents in a shared folder.

        Drafts so old that nobody can still be writing them are removed.

        Args:
            used: The contents that rollouts have.
            now: The seconds since 1970.
        """
        unnamed_files = []
        for path in self._files():
            if _DRAFT.fullmatch(path.name):
                # Its writer may have renamed it meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    if now - path.stat().st_mtime > _DRAFT_SECONDS:
                        path.unlink()
            elif path.name not in used:
                unnamed_files.append(path.name)
        return unnamed_files

    def put_away(self, names: Collection[str]) -> None:
        """Move contents to a separate folder, while nobody can name them."""
        if names:
            _log.warning(
                "%d artifacts that no rollout has go to %s", len(names), self._base / LOST_FOLDER
            )
        for name in names:
            if not self._held[name]:
                try:
                    self._put_away(self._path(name))
                except OSError as error:
                    _log.warning("an artifact cannot be moved away: %s", error.strerror)

    def _read(self, sha256: str, start: int, end: int) -> tuple[bytes, int]:
        # No file stays open between two pieces, so that slow readers hold no descriptors.
        try:
            try:
                with self._path(sha256).open("rb", buffering=0) as file:
                    size = os.fstat(file.fileno()).st_size
                    file.seek(start)
                    return file.read(end - start), size
            except FileNotFoundError:
                self._check()
                raise ContentGoneError(sha256) from None
        except OSError as error:
            unavailable = _unavailable(error)
            self._complain(unavailable.reason)
            raise unavailable from None

    def _write_all(self, contents: Sequence[Content]) -> None:
        try:
            with self._lock:
                self._check()
                if self._number is None:
                    if not self.folder.is_dir():
                        make_folder(self.folder)
                        flush_folder(self._base)
                    self._number = self.folder.stat().st_ino
            for content in contents:
                self._write(content)
            # Also for existing contents: another backend may have written them without a flush yet.
            folders = {self._path(content.sha256).parent for content in contents}
            for folder in (*folders, self.folder):
                flush_folder(folder)
            self._check()
        except OSError as error:
            raise _unavailable(error) from None

    def _write(self, content: Content) -> None:
        path = self._path(content.sha256)
        make_folder(path.parent)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size == len(content.data):
                return
        draft = path.with_name(f"draft-{clock.token(16)}")
        try:
            with os.fdopen(create_file(draft), "wb") as file:
                file.write(content.data)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                former = path.stat().st_size if path.exists() else 0
                draft.replace(path)
                self._total += len(content.data) - former
        finally:
            draft.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        """Yield the contents and drafts, recognised by their names, without following links."""
        if not self.folder.is_dir():
            if self.folder.exists():
                raise DataDirError(f"{self.folder} is not a folder: move it away")
            return
        self._number = self.folder.stat().st_ino
        restrict(self.folder)
        with os.scandir(self.folder) as entries:
            shards = [
                Path(entry.path)
                for entry in entries
                if _SHARD.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
        for shard in shards:
            restrict(shard)
            with os.scandir(shard) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            for name in names:
                is_content = _CONTENT.fullmatch(name) and name.startswith(shard.name)
                if is_content or _DRAFT.fullmatch(name):
                    yield shard / name

    def _put_away(self, path: Path) -> bool:
        """Move a file away; return False for a draft, which is removed."""
        if _DRAFT.fullmatch(path.name):
            path.unlink()
            return False
        target = self._base / LOST_FOLDER / path.parent.name / path.name
        make_folder(target.parent)
        if target.parent.is_symlink():
            raise NotADirectoryError(target.parent)
        restrict(path)
        path.replace(target)
        return True

    def _check(self) -> None:
        """Raise `OSError` if another folder, or none, is in the place of this one."""
        moved = None
        if self._identity is not None and self._mark() != self._identity:
            moved = self._base
        elif self._number is not None and not self._is_in_place():
            moved = self.folder
        if moved is not None:
            raise OSError(errno.ESTALE, f"{moved} was moved away, or is not mounted: bring it back")

    def _mark(self) -> str | None:
        try:
            return (self._base / ID_FILE).read_text(errors="replace").strip()
        except FileNotFoundError:
            return None

    def _is_in_place(self) -> bool:
        try:
            number = self.folder.stat().st_ino
        except FileNotFoundError:
            return False
        return self._is_shared or number == self._number

    def _path(self, sha256: str) -> Path:
        return content_file(self._base, sha256)


def content_file(base: Path, sha256: str) -> Path:
    """Return the path of content in a data directory or a shared folder."""
    return base / FOLDER / sha256[:2] / sha256


def _unavailable(error: OSError) -> ContentsUnavailableError:
    return ContentsUnavailableError(error.strerror or type(error).__name__)
