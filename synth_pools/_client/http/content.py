"""Downloads: their files, and the heads of their responses. No network access."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from synth_pools.errors import RequestValidationError

# Called with the number of stored bytes, and the total number; None if that is unknown.
OnProgress = Callable[[int, int | None], object]

_HASH = re.compile(r'"([0-9a-f]{64})"')
_STRONG_TAG = re.compile(r'"[^"]*"')
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")

# Characters that some file system does not accept in a name.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LONGEST_NAME = 200


class Head(NamedTuple):
    """Description of content, from the head of a response.

    Attributes:
        total: Length of the whole content; None if unknown.
        start: Offset of the body in the content; None if unknown.
        tag: The strong entity tag; None without one, or if the body is encoded.
        sha256: SHA-256 of the content, in hexadecimal; None if the tag is no SHA-256.
    """

    total: int | None
    start: int | None
    tag: str | None
    sha256: str | None

    def continues(self, earlier: Head, size: int) -> bool:
        """Check that it describes the rest, from byte ``size`` on, of the same content."""
        is_same_length = None in (self.total, earlier.total) or self.total == earlier.total
        is_same = self.tag is not None and self.tag == earlier.tag
        return is_same and is_same_length and self.start == size


def read_head(status: int, headers: Mapping[str, str]) -> Head:
    """Read the head of a response with status 200 or 206."""
    encoded = headers.get("content-encoding", "identity").lower() != "identity"
    tag = headers.get("etag", "")
    strong_tag = _STRONG_TAG.fullmatch(tag) if not encoded else None
    sha256 = _HASH.fullmatch(tag)
    total: int | None = None
    start: int | None = 0
    if status == 206:
        interval = _RANGE.fullmatch(headers.get("content-range", "").strip())
        start = None if interval is None else int(interval[1])
        total = None if interval is None or interval[3] == "*" else int(interval[3])
    elif not encoded and (length := headers.get("content-length", "")).isdecimal():
        total = int(length)
    return Head(
        total,
        start,
        tag if strong_tag is not None else None,
        sha256[1] if sha256 is not None else None,
    )


class Sink:
    """Destination of a download."""

    def __init__(self) -> None:
        self.restart()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)

    def restart(self) -> None:
        """Drop everything that was written."""
        self.size = 0
        self._hash = hashlib.sha256()


class MemorySink(Sink):
    """Download in memory."""

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        super().write(data)

    def restart(self) -> None:
        self._pieces: list[bytes] = []
        super().restart()

    def content(self) -> bytes:
        return b"".join(self._pieces)


class PartFile(Sink):
    """Download into a file that has a temporary name until it is complete.

    A link is followed. What is no regular file, and what this process writes to, is written through
    at the end.
    """

    def __init__(self, target: Path) -> None:
        self._target = Path(os.path.realpath(target))
        self._path = self._target.with_name(f".{secrets.token_hex(8)}.part")
        self._stream = target if _is_stream(target) else None
        # Closed by `drop`.
        self._file: IO[bytes] = (
            self._path.open("xb") if self._stream is None else tempfile.TemporaryFile()  # noqa: SIM115
        )
        super().__init__()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        super().write(data)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        super().restart()

    def keep(self) -> None:
        """Rename the file to its final name; replace an older file."""
        if self._stream is not None:
            self._file.seek(0)
            with _open_stream(self._stream) as stream:
                shutil.copyfileobj(self._file, stream)
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._target)

    def drop(self) -> None:
        """Remove the file, unless it has its final name."""
        # Closing writes buffered bytes, and the disk may be full.
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _is_stream(target: Path) -> bool:
    """Check for a device, a pipe, or an output of this process, which may be a file."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _output_of(target) is not None


def _output_of(target: Path) -> int | None:
    """Return the descriptor by which this process writes to a file; None if it does not."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(target.stat(), os.fstat(descriptor)):
                return descriptor
    return None


def _open_stream(target: Path) -> BinaryIO:
    descriptor = _output_of(target)
    if descriptor is not None:
        # Opened by its name, a file would be written from its start.
        return os.fdopen(os.dup(descriptor), "wb")
    # A pipe that nobody reads is an error at once. Windows has neither flag.
    flags = [getattr(os, name, 0) for name in ("O_NOCTTY", "O_NONBLOCK")]
    descriptor = os.open(target, os.O_WRONLY | sum(flags))
    if flags[1]:
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def target_file(to: str | os.PathLike[str], name: str) -> Path:
    """Return the file to write: ``to``, or ``name`` in it if it is a folder.

    Args:
        to: Path of a file, or of an existing folder.
        name: Name of the content at the service; its last part is used, without characters that
            have a meaning for a file system.

    Raises:
        RequestValidationError: ``to`` is not a path, or its folder does not exist.
    """
    try:
        text = os.fspath(to)
        path = Path(text)
    except TypeError:
        raise RequestValidationError(f"to must be a path, not {type(to).__name__}") from None
    if not str(text) or "\x00" in str(text):
        raise RequestValidationError("to must be a path: it is empty, or holds a NUL")
    if path.is_dir():
        return path / file_name(name)
    if str(text).endswith(("/", os.sep)) or not path.parent.is_dir():
        raise RequestValidationError(
            f"to must be a file in a folder that exists, or such a folder: {text}"
        )
    return path


def file_name(path: str) -> str:
    """Return a safe file name from the last part of a path that a service names."""
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    name = (
        _UNSAFE.sub("_", last).encode("utf-8", "replace")[:_LONGEST_NAME].decode("utf-8", "ignore")
    )
    name = name.strip(" ").rstrip(" .")
    if _DEVICE.fullmatch(name):
        name = f"_{name}"
    return name or "download"
